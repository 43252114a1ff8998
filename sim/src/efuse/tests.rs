use super::*;
use crate::strategy::efuse as any_efuse;
use dryburn::{
    efuse::{read, security::*},
    flash_encryption::{CryptConfig, FlashKey},
};
use proptest::prelude::*;
use std::{fs, path::PathBuf};

fn vector(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors/efuse").join(name);
    fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn parse(name: &str, chip: Chip) -> Efuses {
    Efuses::parse(&vector(name), Some(chip)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// The dumps of the vendor's tool by the name of the eFuse file that they were made of.
fn dumps() -> Vec<(String, Chip, String)> {
    let text = String::from_utf8(vector("dumps.txt")).unwrap();
    let parts = text.split("$ ").filter(|p| !p.is_empty()).map(|part| {
        let words: Vec<&str> = part.lines().next().unwrap_or("").split_whitespace().collect();
        let after = |option| words[words.iter().position(|w| *w == option).unwrap() + 1];
        (after("--path-efuse-file").to_owned(), after("--chip").parse().unwrap(), part.to_owned())
    });
    parts.collect()
}

#[test]
fn the_vendors_dump_and_virt_file_agree() {
    let dumps = dumps();
    assert_eq!(dumps.len(), 9);
    for (name, chip, text) in dumps {
        let from_text = Efuses::parse(text.as_bytes(), Some(chip)).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert!(from_text == parse(&name, chip), "{name}: {from_text:?}");
    }
}

#[test]
fn joint_split_virt_and_json_agree() {
    for (stem, chip) in [("esp32_fe", Chip::Esp32), ("esp32s3_fe", Chip::Esp32s3)] {
        let joint = vector(&format!("{stem}.joint.dump"));
        let e = Efuses::parse(&joint, Some(chip)).unwrap();
        assert!(e == parse(&format!("{stem}.virt"), chip), "{stem}");
        assert_eq!(e.to_bytes(Format::Raw), joint, "{stem}");
        let qemu = e.to_bytes(Format::Qemu);
        assert_eq!(qemu.len(), if chip == Chip::Esp32 { 124 } else { 1024 });
        assert!(Efuses::parse(&qemu, Some(chip)).unwrap() == e);
    }
    let split: Vec<u8> = (0..11).flat_map(|n| vector(&format!("esp32s3_fe.split{n}.dump"))).collect();
    assert_eq!(split, vector("esp32s3_fe.joint.dump"));
    for (stem, chip) in
        [("esp32_fe_protected", Chip::Esp32), ("esp32s3_fe", Chip::Esp32s3), ("esp32c3_fe", Chip::Esp32c3)]
    {
        let mut banner = b"espefuse v5.3.1\n\n=== Run \"summary\" command ===\n".to_vec();
        let json = vector(&format!("{stem}.summary.json"));
        assert!(parse(&format!("{stem}.summary.json"), chip) == parse(&format!("{stem}.virt"), chip), "{stem}");
        banner.extend(json);
        assert!(Efuses::parse(&banner, Some(chip)).unwrap() == parse(&format!("{stem}.virt"), chip), "{stem}");
    }
}

#[test]
fn virt_files_are_written_back_unchanged() {
    for (name, chip) in [
        ("esp32_34", Chip::Esp32),
        ("esp32_blank", Chip::Esp32),
        ("esp32_fe", Chip::Esp32),
        ("esp32_fe_protected", Chip::Esp32),
        ("esp32_sb1", Chip::Esp32),
        ("esp32_sb2", Chip::Esp32),
        ("esp32_sb2r3", Chip::Esp32),
        ("esp32c2_256", Chip::Esp32c2),
        ("esp32c2_both", Chip::Esp32c2),
        ("esp32c2_der", Chip::Esp32c2),
        ("esp32c3_fe", Chip::Esp32c3),
        ("esp32s3_fe", Chip::Esp32s3),
    ] {
        let name = format!("{name}.virt");
        assert_eq!(parse(&name, chip).to_bytes(Format::Virt), vector(&name), "{name}");
    }
}

fn counting<const N: usize>() -> [u8; N] {
    std::array::from_fn(|i| i as u8)
}

#[test]
fn the_unit_gets_the_key_of_the_file() {
    let key = FlashKey::Esp32 { key: counting(), config: CryptConfig::ALL };
    assert!(parse("esp32_fe.virt", Chip::Esp32).flash_key() == key);
    let mut key: [u8; 32] = counting();
    key.copy_within(8..16, 24);
    assert!(parse("esp32_34.virt", Chip::Esp32).flash_key() == FlashKey::Esp32 { key, config: CryptConfig::NONE });
    assert!(parse("esp32s3_fe.virt", Chip::Esp32s3).flash_key() == FlashKey::Xts256(counting()));
    assert!(parse("esp32c2_256.virt", Chip::Esp32c2).flash_key() == FlashKey::Xts128(counting()));
    let FlashKey::Xts128(derived) = parse("esp32c2_der.virt", Chip::Esp32c2).flash_key() else { panic!() };
    assert_eq!(derived[..4], [0xBE, 0x45, 0xCB, 0x26]); // formats sheet §5.3
    // nothing burned, and a key that the file has lost
    assert!(Efuses::new(Chip::Esp32).flash_key() == FlashKey::Esp32 { key: [0; 32], config: CryptConfig::NONE });
    assert!(parse("esp32c3_fe.virt", Chip::Esp32c3).flash_key() == FlashKey::Xts128([0; 32]));
}

#[test]
fn read_protection_hides_from_software_only() {
    let mut e = Efuses::new(Chip::Esp32);
    e.burn(1, &[0x1122_3344; 8]);
    e.burn_field("FLASH_CRYPT_CONFIG", 0xF).unwrap();
    e.burn_field("RD_DIS", 0b1001).unwrap();
    assert_eq!((e.read_word(1, 0), e.raw_word(1, 0)), (0, 0x1122_3344));
    assert_eq!(read(&e, "FLASH_CRYPT_CONFIG"), 0);
    assert!(matches!(e.flash_key(), FlashKey::Esp32 { config: CryptConfig::ALL, .. }));
    // C2: RD_DIS bit 0 hides the lower half only
    let mut e = Efuses::new(Chip::Esp32c2);
    e.burn(3, &[7; 8]);
    e.burn_field("RD_DIS", 1).unwrap();
    assert_eq!([e.read_word(3, 3), e.read_word(3, 4)], [0, 7]);
    assert!(secure_boot_digests(&e)[0].is_some_and(|d| d.as_ref()[0] == 7));
}

#[test]
fn write_protection_is_obeyed() {
    let mut e = Efuses::new(Chip::Esp32c3);
    e.burn_field("WR_DIS", 1 << 4 | 1 << 23).unwrap();
    let error = e.burn_field("SPI_BOOT_CRYPT_CNT", 1);
    assert_eq!(error, Err(BurnError::WriteProtected { name: "SPI_BOOT_CRYPT_CNT", bit: 4 }));
    e.burn(0, &[0, 0, u32::MAX]);
    assert_eq!(e.raw_word(0, 2), !(7 << 18));
    e.burn(4, &[1; 8]);
    assert_eq!(e.raw_word(4, 0), 0);
    assert_eq!(e.burn_field("KEY_PURPOSE_0", 16), Err(BurnError::TooLarge { name: "KEY_PURPOSE_0", bits: 4 }));
    assert_eq!(e.burn_field("KEY_PURPOSE_0", 1), Err(BurnError::WouldClear { name: "KEY_PURPOSE_0" }));
    assert!(matches!(e.burn_field("FLASH_CRYPT_CNT", 1), Err(BurnError::NoSuchField { .. })));
}

#[test]
fn revisions_are_burned_where_they_are_read() {
    for (chip, text) in [
        (Chip::Esp32, "v3.0"),
        (Chip::Esp32, "v1.1"),
        (Chip::Esp32c3, "v0.4"),
        (Chip::Esp32s2, "v1.9"),
        (Chip::Esp32p4, "v5.2"),
    ] {
        let revision = text.parse().unwrap();
        assert_eq!(chip_revision(&Efuses::with_revision(chip, revision).unwrap()), revision, "{chip}");
    }
    let raw = Efuses::with_revision(Chip::Esp32, Revision::new(3, 0)).unwrap().to_bytes(Format::Raw);
    assert_eq!((raw[13], raw[22]), (0x80, 0x10)); // the emulator's file for revision 3
    let raw = Efuses::with_revision(Chip::Esp32c3, Revision::new(0, 3)).unwrap().to_bytes(Format::Qemu);
    assert_eq!(raw[0x26], 0x0C);
    assert!(Efuses::with_revision(Chip::Esp32, Revision::new(2, 0)).is_err());
    assert!(Efuses::with_revision(Chip::Esp32c3, Revision::new(4, 0)).is_err());
}

#[test]
fn what_is_not_an_efuse_file_is_refused_with_what_would_be() {
    let text = |bytes: &[u8], chip| Efuses::parse(bytes, chip).unwrap_err().to_string();
    assert!(text(&[0; 125], None).contains("found 125 bytes; known are 124"));
    assert!(text(&[0; 512], None).contains("--chip"));
    assert!(text(&[], None).contains("--chip"));
    assert!(text(&[0; 124], Some(Chip::Esp32c3)).contains("the ESP32, not of esp32c3"));
    assert!(text(&[0; 336], Some(Chip::Esp32)).contains("not of esp32"));
    assert!(text(&[1; 1024], Some(Chip::Esp32c3)).contains("offset 0x150"));
    assert!(text(b"EFSR:esp32:000:AAAA", None).contains("4 pieces"));
    assert!(text(b"EFSR:esp8266:000:AAAA", None).contains("unknown chip"));
    assert!(text(b"BLOCK0 () [0 ] dump: 00 xx", None).contains("line 1"));
    assert!(text(b"{\"A\": 1}", None).contains("FLASH_CRYPT_CNT"));
}

#[test]
fn a_token_is_read_and_its_crc_checked() {
    // made by the vendor's tool 5.6 of an S3 with WR_DIS 0xb00, RD_DIS 0xb, purposes 2, 3 and 8
    let token = "EFSR:esp32s3:000:AAsAAAsAAAAAAAAygAAAAAAAAAAAAAAA::::::::::::4gg50g";
    let e = Efuses::parse(token.as_bytes(), None).unwrap();
    assert_eq!(e.to_bytes(Format::Raw)[..16], [0, 0xB, 0, 0, 0xB, 0, 0, 0, 0, 0, 0, 0x32, 0x80, 0, 0, 0]);
    let changed = token.replace("AAsA", "AAoA");
    assert!(Efuses::parse(changed.as_bytes(), None).unwrap_err().to_string().contains("CRC-32"));
}

#[test]
fn debug_shows_no_key() {
    let e = parse("esp32_fe.virt", Chip::Esp32);
    let text = format!("{e:?} {:?}", e.flash_key()).to_lowercase();
    assert!(text.contains("burned") && !text.contains("1c1d1e1f") && !text.contains("0, 1, 2"), "{text}");
}

/// Burns all new cells of a key but these.
fn torn(chip: Chip, block: usize, missing: &[usize]) -> (Efuses, [u32; 8]) {
    let key = std::array::from_fn(|i| 0x1234_5678_u32.rotate_left(i as u32) | 1);
    let mut e = Efuses::new(chip);
    let cells = e.cells_to_burn(block, &key);
    let kept: Vec<u16> =
        cells.iter().enumerate().filter(|(at, _)| !missing.contains(at)).map(|(_, cell)| *cell).collect();
    e.burn_cells(block, &kept);
    (e, key)
}

#[test]
fn a_block_that_was_not_burned_whole_is_corrected_or_has_errors() {
    let words = |e: &Efuses, block| -> [u32; 8] { std::array::from_fn(|w| e.raw_word(block, w)) };
    let (e, key) = torn(Chip::Esp32c3, 4, &[]);
    assert_eq!((words(&e, 4), e.coding_error(4)), (key, None));
    let (e, key) = torn(Chip::Esp32c3, 4, &[0]);
    assert_eq!((words(&e, 4), e.coding_error(4)), (key, Some(CodingError { count: 1, failed: false })));
    let (mut e, key) = torn(Chip::Esp32c3, 4, &(0..60).collect::<Vec<_>>());
    assert_ne!(words(&e, 4), key);
    assert_eq!(e.coding_error(4), Some(CodingError { count: 7, failed: true }));
    // the same value once more makes it whole
    e.burn(4, &key);
    assert_eq!((words(&e, 4), e.coding_error(4)), (key, None));
    // another value spoils it
    e.burn(4, &[0x8000_0000; 8]);
    assert!(e.coding_error(4).is_some());
    // the ESP32 without a code has what was burned
    let (e, key) = torn(Chip::Esp32, 1, &[0]);
    assert_eq!((words(&e, 1)[0], e.coding_error(1)), (key[0] & !1, None));
}

/// What each form of file keeps of a block with coding errors.
#[test]
fn the_virt_file_keeps_coding_errors_and_the_raw_one_does_not() {
    let numbers: Vec<usize> = (0..60).collect();
    for missing in [&numbers[..1], &numbers] {
        for (chip, block) in
            [(Chip::Esp32c3, 8), (Chip::Esp32c3, 9), (Chip::Esp32s2, 8), (Chip::Esp32c2, 3), (Chip::Esp32c6, 10)]
        {
            let (e, _) = torn(chip, block, missing);
            let virt = Efuses::parse(&e.to_bytes(Format::Virt), Some(chip)).unwrap();
            assert_eq!(virt.coding_error(block), e.coding_error(block), "{chip} {block}");
            assert_eq!(virt.raw_block(block), e.raw_block(block));
            let raw = Efuses::parse(&e.to_bytes(Format::Raw), Some(chip)).unwrap();
            assert_eq!((raw.coding_error(block), raw.raw_block(block)), (None, e.raw_block(block)));
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in any_efuse::file(), chip in prop::option::of(any_efuse::chip())) {
        if let Ok(e) = Efuses::parse(&bytes, chip) {
            for format in [Format::Raw, Format::Virt, Format::Qemu] {
                prop_assert!(!e.to_bytes(format).is_empty());
            }
            let _ = (e.flash_key(), chip_revision(&e), secure_boot_digests(&e), format!("{e:?}"));
        }
    }

    #[test]
    fn burning_never_clears_a_bit(mut e in any_efuse::efuses(), (block, bits) in any_efuse::burn()) {
        let before = e.to_bytes(Format::Raw);
        e.burn(block, &bits);
        let after = e.to_bytes(Format::Raw);
        prop_assert!(before.iter().zip(&after).all(|(b, a)| b & !a == 0));
    }

    #[test]
    fn raw_and_emulator_files_keep_every_bit(e in any_efuse::efuses()) {
        for format in [Format::Raw, Format::Qemu] {
            let back = Efuses::parse(&e.to_bytes(format), Some(e.chip()));
            prop_assert!(back.is_ok_and(|back| back.to_bytes(format) == e.to_bytes(format)));
        }
    }
}
