//! The edges of each check, each from both sides.

use super::*;
use crate::image::{Builder, SegmentData, flash_of_bytes::Bytes};
use std::{vec, vec::Vec};

fn target(chip: Chip, idf: (u8, u8)) -> Target {
    Target {
        chip,
        revision: Revision(0),
        block_revision: None,
        ignore_max_revision: false,
        ignore_max_block_revision: false,
        idf: IdfVersion::new(idf.0, idf.1),
    }
}

fn check(image: &[u8], target: &Target, purpose: Purpose<'_>) -> (Result<Verified, Refusal>, Vec<Event>) {
    let mut events = Vec::new();
    let rules = Rules { target, kind: Kind::App, purpose, signature: None };
    let region = Region { offset: 0, size: 0x10_0000 };
    let verdict = verify(&mut Bytes(image.to_vec()), region, &rules, &mut |e| events.push(e));
    (verdict, events)
}

/// An app of the C3 with a descriptor in front, and these segments behind it.
fn app(descriptor: Vec<u8>, rest: &[(u32, usize)]) -> Vec<u8> {
    let mut segments = vec![SegmentData { load_addr: 0x3C00_0020, data: descriptor }];
    segments.extend(rest.iter().map(|(load_addr, len)| SegmentData { load_addr: *load_addr, data: vec![1; *len] }));
    Builder::app(Chip::Esp32c3).segments(segments).build()
}

#[test]
fn esp_idf_4_2_states_odd_flash_fields() {
    let good = app(vec![0; 256], &[]);
    for code in 0..16 {
        let mut image = good.clone();
        (image[2], image[3]) = (code, 0);
        let events = check(&image, &target(Chip::Esp32c3, (4, 2)), Purpose::Verify).1;
        assert_eq!(events.contains(&Event::SpiModeOdd { offset: 0, mode: code }), code > 5, "mode {code}");
        assert!(!events.iter().any(|e| matches!(e, Event::SpiSizeOdd { .. })));
        (image[2], image[3]) = (0, code << 4);
        let events = check(&image, &target(Chip::Esp32c3, (4, 2)), Purpose::Verify).1;
        assert_eq!(events.contains(&Event::SpiSizeOdd { offset: 0, size: code }), code > 5, "size {code}");
        let events = check(&image, &target(Chip::Esp32c3, (4, 3)), Purpose::Verify).1;
        assert!(!events.iter().any(|e| matches!(e, Event::SpiSizeOdd { .. } | Event::SpiModeOdd { .. })));
    }
}

#[test]
fn chip_revisions_at_their_limits() {
    let verdict = |min, max, found, idf| {
        let header = Header::from_bytes({
            let image = Builder::app(Chip::Esp32c3).revisions(Revision(min), Revision(max)).build();
            *image.first_chunk().unwrap()
        });
        let mut stated = false;
        let target = Target { revision: Revision(found), ..target(Chip::Esp32c3, idf) };
        let mut observer = |event| stated |= matches!(event, Event::RevisionStated { .. });
        let verdict = check_chip(&header, Kind::App, &target, &mut observer).is_ok();
        (verdict, stated)
    };
    for (min, max, found, good) in [
        (101, 0, 100, false),
        (101, 0, 101, true),
        (101, 103, 103, true),
        (101, 103, 104, false),
        (0, 0, 9999, true),
        (0, u16::MAX, 9999, true),
    ] {
        assert_eq!(verdict(min, max, found, (5, 1)), (good, false), "{min} to {max}, found {found}");
    }
    // a bootloader may be older than its chip, and an eFuse lifts the maximum for apps
    let image = Builder::app(Chip::Esp32c3).revisions(Revision(0), Revision(103)).build();
    let header = Header::from_bytes(*image.first_chunk().unwrap());
    for (kind, ignore_max_revision, good) in [
        (Kind::App, false, false),
        (Kind::App, true, true),
        (Kind::Bootloader, false, true),
        (Kind::Bootloader, true, true),
    ] {
        let target = Target { revision: Revision(104), ignore_max_revision, ..target(Chip::Esp32c3, (5, 1)) };
        assert_eq!(check_chip(&header, kind, &target, &mut |_| {}).is_ok(), good, "{kind:?}, {ignore_max_revision}");
    }
    // up to 4.2 only the major part counts, and a newer chip is stated
    for (min, found, expected) in [
        (200, 199, (false, false)),
        (200, 200, (true, false)),
        (200, 299, (true, false)),
        (200, 300, (true, true)),
        (0, 99, (true, false)),
    ] {
        assert_eq!(verdict(min, 1, found, (4, 2)), expected, "{min}, found {found}");
    }
}

#[test]
fn segments_end_below_16_mb_where_the_map_is_narrow() {
    let verdict = |chip, length: u32| {
        let mut image = Builder::app(chip).build();
        image[28..32].copy_from_slice(&length.to_le_bytes());
        check(&image, &target(chip, (5, 4)), Purpose::Verify).0.unwrap_err()
    };
    let beyond = |length| Refusal::BeyondFlash { index: 0, flash_address: 32, length };
    assert_eq!(verdict(Chip::Esp32c3, 0xFF_FFFC), beyond(0xFF_FFFC));
    assert_eq!(verdict(Chip::Esp32c3, 0x100_0000), Refusal::SegmentLength { index: 0, length: 0x100_0000 });
    assert_eq!(verdict(Chip::Esp32s3, 0x100_0000), beyond(0x100_0000));
    assert_eq!(verdict(Chip::Esp32s3, 0x100_0002), Refusal::SegmentLength { index: 0, length: 0x100_0002 });
}

#[test]
fn a_segment_may_end_with_the_flash() {
    let verdict = |more: u32| {
        let mut image = Builder::app(Chip::Esp32c3).build();
        let length = image.len() as u32 - 32 + more;
        image[28..32].copy_from_slice(&length.to_le_bytes());
        (check(&image, &target(Chip::Esp32c3, (5, 4)), Purpose::Verify).0.unwrap_err(), length)
    };
    // whatever should follow cannot be read
    assert!(matches!(verdict(0), (Refusal::ReadFailed { address: 0x1_0000 }, _)));
    let (refusal, length) = verdict(4);
    assert_eq!(refusal, Refusal::BeyondFlash { index: 0, flash_address: 32, length });
}

#[test]
fn partitions_end_at_16_mb_where_the_map_is_narrow() {
    let verdict = |chip, size| {
        let target = target(chip, (5, 4));
        let rules = Rules { target: &target, kind: Kind::App, purpose: Purpose::Verify, signature: None };
        verify(&mut Bytes(Builder::app(chip).build()), Region { offset: 0, size }, &rules, &mut |_| {}).map(|_| ())
    };
    assert_eq!(verdict(Chip::Esp32c3, 0x100_0000), Ok(()));
    assert_eq!(verdict(Chip::Esp32c3, 0x100_0001), Err(Refusal::PartitionTooLarge { size: 0x100_0001 }));
    assert_eq!(verdict(Chip::Esp32s3, 0x200_0000), Ok(()));
}

#[test]
fn a_first_segment_without_data_has_no_block_revision() {
    let mut image = Builder::app(Chip::Esp32c3)
        .segments(vec![
            SegmentData { load_addr: 0x3C00_0020, data: vec![] },
            SegmentData { load_addr: 0x3C00_0028, data: vec![0xEE; 512] },
        ])
        .build();
    let target = Target { block_revision: Some(Revision(0)), ..target(Chip::Esp32c3, (5, 4)) };
    assert!(check(&image, &target, Purpose::Verify).0.is_ok());
    // with data, what lies there is one
    image = app(vec![0xEE; 512], &[]);
    let refusal = Refusal::BlockRevisionTooLow { required: Revision(0xEEEE), found: Revision(0) };
    assert_eq!(check(&image, &target, Purpose::Verify).0.map(|_| ()), Err(refusal));
}

#[test]
fn esp_idf_6_2_wants_a_whole_descriptor() {
    let verdict = |len, idf| check(&app(vec![0; len], &[]), &target(Chip::Esp32c3, idf), Purpose::Verify).0.map(|_| ());
    assert_eq!(verdict(252, (6, 2)), Err(Refusal::NoRoomForDescriptor { index: 0, length: 252 }));
    assert_eq!(verdict(256, (6, 2)), Ok(()));
    assert_eq!(verdict(260, (6, 2)), Ok(()));
    assert_eq!(verdict(252, (6, 1)), Ok(()));
}

#[test]
fn ram_segments_stay_clear_of_the_loader() {
    use BadDestination::{Data, LoaderIram, Range, Stack};
    let loader =
        Loader { stack: 0x3FCC_0000..0x3FCC_1000, data: 0x3FCD_0000..0x3FCD_1000, iram: 0x403C_0000..0x403C_1000 };
    // RAM of the C3: data bus 3FC80000 to 3FCE0000, instruction bus 4037C000 to 403E0000, RTC 50000000 to 50002000
    for (start, len, expected) in [
        (0x3FC8_0000, 0x10, None),
        (0x3FC7_FFFC, 0x10, Some(Range)),
        (0x3FCD_FFF0, 0x10, None),
        (0x3FCD_FFF4, 0x10, Some(Range)),
        (0x3FCB_FFF0, 0x10, None),
        (0x3FCB_FFF4, 0x10, Some(Stack)),
        (0x3FCC_0000, 0x10, Some(Stack)),
        (0x3FCC_0FFC, 0x10, Some(Stack)),
        (0x3FCC_1000, 0x10, None),
        (0x3FCB_FFF0, 0x2000, Some(Stack)),
        (0x3FCC_FFF0, 0x10, None),
        (0x3FCC_FFF4, 0x10, Some(Data)),
        (0x3FCD_0FFC, 0x10, Some(Data)),
        (0x3FCD_1000, 0x10, None),
        (0x4037_C000, 0x10, None),
        (0x4037_BFFC, 0x10, Some(Range)),
        (0x403B_FFF0, 0x10, None),
        (0x403B_FFF4, 0x10, Some(LoaderIram)),
        (0x403C_0FFC, 0x10, Some(LoaderIram)),
        (0x403C_1000, 0x10, None),
        (0x403D_FFF0, 0x10, None),
        (0x403D_FFF4, 0x10, Some(Range)),
        (0x5000_0000, 0x10, None),
        (0x5000_1FF0, 0x10, None),
        (0x5000_1FF4, 0x10, Some(Range)),
        (0x6000_0000, 0x10, Some(Range)),
        // a segment without data goes nowhere, and what is not loaded may say what it likes
        (0x3FCC_0000, 0, None),
        (0x6000_0000, 0, None),
        (0, 0x10, None),
        (0x0FFF_FFFC, 0x10, None),
        (0x1000_0000, 0x10, Some(Range)),
    ] {
        let image = app(vec![0; 256], &[(start, len)]);
        let target = target(Chip::Esp32c3, (5, 4));
        let verdict = check(&image, &target, Purpose::Load(&loader)).0.map(|_| ());
        let end = start + len as u32;
        let refusal = expected.map(|reason| Refusal::Destination { index: 1, start, end, reason });
        assert_eq!(verdict, refusal.map_or(Ok(()), Err), "{start:#x}, {len:#x} bytes");
        let (verdict, events) = check(&image, &target, Purpose::Verify);
        assert_eq!(verdict.map(|_| ()), Ok(()), "{start:#x}: nothing is loaded");
        let is_load = |event: &Event| matches!(event, Event::Segment { action: SegmentUse::Load, .. });
        assert!(!events.iter().any(is_load), "{start:#x}: nor said to be");
    }
    // unknown memory is nowhere, not at its address
    let unknown = Loader { stack: 0x3FCC_0008..0x3FCC_0008, ..Loader::default() };
    let image = app(vec![0; 256], &[(0x3FCC_0000, 0x10)]);
    assert!(check(&image, &target(Chip::Esp32c3, (5, 4)), Purpose::Load(&unknown)).0.is_ok());
}

#[test]
fn block_revisions_at_their_limits() {
    for (min, max, found, ignore, expected) in [
        (0, 0, 0, false, "good"),
        (0, 0, 300, false, "good"),
        (u16::MAX, u16::MAX, 300, false, "good"),
        (102, 0, 101, false, "low"),
        (102, 0, 102, false, "good"),
        (102, 0, 103, false, "good"),
        (0, 103, 103, false, "good"),
        (0, 103, 102, false, "good"),
        (0, 103, 104, false, "high"),
        (0, 103, 104, true, "good"),
        (105, 0, 104, true, "low"),
    ] {
        let mut descriptor = vec![0; 256];
        descriptor[176..178].copy_from_slice(&u16::to_le_bytes(min));
        descriptor[178..180].copy_from_slice(&u16::to_le_bytes(max));
        let image = app(descriptor, &[]);
        let verdict = |idf| {
            let target = Target {
                block_revision: Some(Revision(found)),
                ignore_max_block_revision: ignore,
                ..target(Chip::Esp32c3, idf)
            };
            check(&image, &target, Purpose::Verify).0.map(|_| ())
        };
        let (required, found) = (Revision(min), Revision(found));
        let refusal = match expected {
            "low" => Err(Refusal::BlockRevisionTooLow { required, found }),
            "high" => Err(Refusal::BlockRevisionTooHigh { required: Revision(max), found }),
            _ => Ok(()),
        };
        assert_eq!(verdict((5, 1)), refusal, "{min} to {max}, found {found:?}");
        assert_eq!(verdict((5, 0)), Ok(()), "not looked at before 5.1");
    }
}
