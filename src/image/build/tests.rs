//! What is made is what was asked for, and a damage is in one place only.

use super::*;
use crate::image::{AppDescriptor, BootloaderDescriptor, DESCRIPTOR_OFFSET, Header};
use std::{vec, vec::Vec};

fn header(image: &[u8]) -> Header {
    Header::from_bytes(*image.first_chunk().unwrap())
}

/// Load address and length of each segment.
fn segments(image: &[u8]) -> Vec<(u32, usize)> {
    let mut at = HEADER_SIZE;
    (0..image[1])
        .map(|_| {
            let SegmentHeader { load_addr, data_len } = SegmentHeader::from_bytes(*image[at..].first_chunk().unwrap());
            at += SEGMENT_HEADER_SIZE + data_len as usize;
            (load_addr, data_len as usize)
        })
        .collect()
}

/// Formats sheet §1.4 and §1.5, anew: whether the checksum and the appended hash are right.
fn is_sound(image: &[u8]) -> (bool, bool) {
    let (body, hash) = image.split_at(image.len() - 32);
    let mut at = HEADER_SIZE;
    let mut xor = 0xEF;
    for (_, len) in segments(image) {
        at += SEGMENT_HEADER_SIZE;
        xor = image[at..at + len].iter().fold(xor, |x, b| x ^ b);
        at += len;
    }
    (body[body.len() - 1] == xor, Sha256::digest(body)[..] == *hash)
}

#[test]
fn headers_say_what_was_asked_for() {
    for (kind, image) in [
        ("app", Builder::app(Chip::Esp32c3).size(10_000).flash_size(3).build()),
        ("bootloader", Builder::bootloader(Chip::Esp32c3, IdfVersion::new(5, 4)).size(10_000).flash_size(3).build()),
    ] {
        let header = header(&image);
        assert_eq!(image.len(), 10_000, "{kind}");
        assert_eq!((header.spi_mode(), header.spi_speed(), header.spi_size()), (2, 0, 3), "{kind}: DIO, 8 MB");
        // the write-protect pin that is none, default drive strengths
        assert_eq!((header.pins(), header.chip_id(), header.hash_appended()), ([0xEE, 0, 0, 0], 5, 1), "{kind}");
        let code = Chip::Esp32c3.spec().memory.iram.clone();
        assert!(code.contains(&header.entry_addr()), "{kind}: {:#x}", header.entry_addr());
        assert!(segments(&image).iter().any(|(at, len)| (*at..at + *len as u32).contains(&header.entry_addr())));
        assert_eq!(is_sound(&image), (true, true), "{kind}");
    }
}

#[test]
fn sizes_are_the_documented_ones() {
    let app = Builder::app(Chip::Esp32c3).build();
    assert_eq!(app.len(), 64 * 1024);
    // a quarter is data, an eighth RAM, the rest code
    let sizes: Vec<usize> = segments(&app).iter().map(|(_, len)| len / 1024).collect();
    assert_eq!(sizes, [15, 7, 39], "KiB, less the headers");
    for size in [MIN_SIZE, MIN_SIZE + 1, 4096, 100_000] {
        assert_eq!(Builder::app(Chip::Esp32).size(size).build().len(), size.next_multiple_of(16));
    }
    assert_eq!(Builder::app(Chip::Esp32).size(0).build().len(), MIN_SIZE);
}

#[test]
fn descriptors_name_version_and_release() {
    let app = Builder::app(Chip::Esp32c6).version("2.0").project_name("p").secure_version(7).idf_ver("v5.4.1").build();
    let descriptor = AppDescriptor::from_bytes(*app[DESCRIPTOR_OFFSET as usize..].first_chunk().unwrap());
    assert_eq!(descriptor.magic_word(), APP_DESCRIPTOR_MAGIC);
    assert_eq!((descriptor.version(), descriptor.project_name()), ("2.0", "p"));
    assert_eq!((descriptor.secure_version(), descriptor.idf_ver()), (7, "v5.4.1"));
    assert_eq!((descriptor.time(), descriptor.date()), ("00:00:00", "Jan  1 2026"));
    assert_eq!(descriptor.mmu_page_size_log2(), 16, "64 KiB");

    let bootloader = |idf: (u8, u8)| {
        let image = Builder::bootloader(Chip::Esp32, IdfVersion::new(idf.0, idf.1)).build();
        assert_eq!(image.len(), 24 * 1024);
        let raw = *image[DESCRIPTOR_OFFSET as usize..].first_chunk().unwrap();
        let descriptor = BootloaderDescriptor::from_bytes(raw);
        (descriptor.magic_byte() == 0x50)
            .then(|| (std::string::String::from(descriptor.idf_ver()), descriptor.date_time().len()))
    };
    // a descriptor from 5.2 on, with the compile time up to 5.x
    assert_eq!(bootloader((4, 4)), None);
    assert_eq!(bootloader((5, 1)), None);
    assert_eq!(bootloader((5, 2)), Some(("v5.2".into(), 20)));
    assert_eq!(bootloader((6, 0)), Some(("v6.0".into(), 0)));
}

/// `load:0x…` lines of recorded boots.
#[test]
fn bootloaders_lie_where_recorded_ones_do() {
    let at = |chip| {
        let image = Builder::bootloader(chip, IdfVersion::new(5, 4)).build();
        segments(&image).iter().map(|(at, _)| *at).collect::<Vec<_>>()
    };
    assert_eq!(at(Chip::Esp32), [0x3FFF_0030, 0x4007_8000, 0x4008_0400]);
    assert_eq!(at(Chip::Esp32c3), [0x3FCD_5830, 0x403C_E710, 0x403C_BF10]);
    // the others: in the RAM of the chip
    for chip in Chip::ALL.into_iter().filter(|chip| !matches!(chip, Chip::Esp32 | Chip::Esp32c3)) {
        let memory = &chip.spec().memory;
        let image = Builder::bootloader(chip, IdfVersion::new(5, 4)).build();
        for ((from, len), ram) in segments(&image).into_iter().zip([&memory.dram, &memory.iram, &memory.iram]) {
            assert!(ram.contains(&from) && from + len as u32 <= ram.end, "{chip}: {from:#x}, {len} bytes");
        }
    }
}

/// Where `b` differs from `a`, up to the checksum.
fn changed(a: &[u8], b: &[u8]) -> Vec<usize> {
    let checksum = a.len() - 33;
    (0..checksum).filter(|at| a.get(*at) != b.get(*at)).collect()
}

#[test]
fn a_damage_changes_what_it_names() {
    let good = Builder::app(Chip::Esp32c3).size(2048).build();
    for (what, at) in [
        (Damage::Magic, vec![0]),
        (Damage::ChipId(0x0201), vec![12, 13]),
        (Damage::MinRevision(Revision(0x0201)), vec![14, 15, 16]),
        (Damage::MaxRevision(Revision(0x0201)), vec![17, 18]),
        (Damage::SegmentCount(9), vec![1]),
        (Damage::LoadAddress(0x0102_0304), vec![24, 25, 26, 27]),
        (Damage::SegmentLength(0x0102_0304), vec![28, 29, 30, 31]),
        (Damage::Bit, vec![1024]),
        (Damage::Checksum, vec![]),
        (Damage::Hash, vec![]),
    ] {
        for repair in [false, true] {
            let mut bad = good.clone();
            damage(&mut bad, what, repair);
            assert_eq!(bad.len(), good.len());
            let differ = changed(&good, &bad);
            assert!(differ.iter().all(|byte| at.contains(byte)) && differ.is_empty() == at.is_empty(), "{what:?}");
            let (body, hash) = bad.split_at(bad.len() - 32);
            let hash_is_right = Sha256::digest(body)[..] == *hash;
            assert_eq!(hash_is_right, repair && what != Damage::Hash, "{what:?}, repaired: {repair}");
            let same_checksum = body.last() == good.get(body.len() - 1);
            let moved = what == Damage::Checksum || (what == Damage::Bit && repair);
            assert_eq!(same_checksum, !moved, "{what:?}, repaired: {repair}");
        }
    }
    // one bit each, and the checksum follows the data
    for (what, at) in [(Damage::Bit, 1024), (Damage::Checksum, 2048 - 33), (Damage::Hash, 2047)] {
        let mut bad = good.clone();
        damage(&mut bad, what, false);
        assert_eq!((good[at] ^ bad[at]).count_ones(), 1, "{what:?}");
        damage(&mut bad, what, false);
        assert_eq!(bad, good, "{what:?} twice");
    }
    let mut bad = good.clone();
    damage(&mut bad, Damage::Bit, true);
    assert_eq!(is_sound(&bad), (true, true));
}

#[test]
fn damage_without_an_appended_hash() {
    let good = Builder::app(Chip::Esp32c3).size(2048).hash_appended(false).build();
    let mut bad = good.clone();
    damage(&mut bad, Damage::Checksum, true);
    assert_eq!(bad[..2047], good[..2047]);
    assert_eq!(bad[2047], good[2047] ^ 1);
    let mut bad = good.clone();
    damage(&mut bad, Damage::Magic, true);
    assert_eq!(bad[1..], good[1..], "there is no hash to repair");
}

#[test]
fn what_is_cut_off_is_not_repaired() {
    let good = Builder::app(Chip::Esp32c3).size(2048).build();
    let checksum = 2048 - 33;
    // without its checksum, and with it but without the hash
    for len in [checksum, checksum + 1, checksum + 16, 100, 24, 1] {
        let mut bad = good[..len].to_vec();
        damage(&mut bad, Damage::Magic, true);
        assert_eq!((bad[0], &bad[1..]), (0xEA, &good[1..len]), "{len} bytes");
    }
    let mut bad = good.clone();
    damage(&mut bad, Damage::Truncate(1000), true);
    assert_eq!(bad, good[..1000]);
    let mut nothing = Vec::new();
    damage(&mut nothing, Damage::Bit, true);
    assert!(nothing.is_empty());
}
