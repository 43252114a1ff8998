//! The readers against the generator's tables and against recordings of the real bootloader.

use super::*;
use crate::partition::{PartitionType, Subtype};
use std::{format, string::String, vec::Vec};

const TWO_OTA: &[u8] = include_bytes!("../../../tests/vectors/ptable/two_ota.bin");
const TWO_OTA_NOMD5: &[u8] = include_bytes!("../../../tests/vectors/ptable/two_ota_nomd5.bin");
const BOOTLOADER: &str = include_str!("../../../tests/vectors/ptable/bootloader.txt");
const FLASH: u32 = 0x40_0000;

/// The line that the bootloader prints for a refusal (behaviour sheet §2.2), as proof that the variants suffice.
fn line(error: TableError) -> String {
    match error {
        TableError::OutOfFlash { index, offset, size, flash_size } => format!(
            "partition {index} invalid - offset {offset:#x} size {size:#x} exceeds flash chip size {flash_size:#x}"
        ),
        TableError::SecondMd5 { .. } => "Only one MD5 checksum is allowed".into(),
        TableError::Md5Mismatch { .. } => "Incorrect MD5 checksum".into(),
        TableError::BadMagic { index, found } => format!("partition {index} invalid magic number {found:#x}"),
        TableError::NoEnd => "partition table has no terminating entry, not valid".into(),
        TableError::TooShort { .. } => "the bootloader always reads 0xC00 bytes".into(),
    }
}

#[test]
fn says_what_the_real_bootloader_says() {
    let mut cases = 0;
    for case in BOOTLOADER.split("case ").skip(1) {
        let mut lines = case.lines();
        let name = lines.next().unwrap();
        let digits = lines.next().unwrap().strip_prefix("table ").unwrap();
        let mut table = hex::decode(digits).unwrap();
        table.resize(TABLE_SIZE, 0xFF);
        let log: Vec<&str> = lines.filter_map(|l| l.strip_prefix("log ")).collect();
        match verify(&table, FLASH) {
            Err(error) => assert_eq!(log, [format!("E flash_parts: {}", line(error))], "{name}"),
            Ok(verified) => {
                assert_eq!(verified.count, log.len(), "{name}");
                assert!(verified.bootloader_entries(&table).eq(entries(&table)), "{name}");
                for (i, (entry, row)) in entries(&table).zip(log).enumerate() {
                    let left = format!("I boot: {i:2} {:16} ", entry.label_text());
                    let right = format!(
                        " {:02x} {:02x} {:08x} {:08x}",
                        entry.kind.0, entry.subtype.0, entry.offset, entry.size
                    );
                    assert!(row.starts_with(&left) && row.ends_with(&right), "{name}: {row}: {left} {right}");
                }
            }
        }
        cases += 1;
    }
    assert_eq!(cases, 43);
}

#[test]
fn accepts_the_generator_s_tables() {
    assert_eq!(verify(TWO_OTA, FLASH), Ok(Verified { count: 8, md5: Some(8) }));
    assert_eq!(verify(TWO_OTA_NOMD5, FLASH), Ok(Verified { count: 8, md5: None }));
    assert!(entries(TWO_OTA).eq(entries(TWO_OTA_NOMD5)));
    assert_eq!(entries(TWO_OTA).count(), 8);
    assert_eq!(verify_as_application(TWO_OTA), Ok(8));
    assert_eq!(
        verify_as_application(TWO_OTA_NOMD5),
        Err(ApplicationTableError::NoMd5 { index: 8, found: Some(0xFFFF) })
    );
}

#[test]
fn the_last_byte_of_flash_is_in_it() {
    // `ro` ends at 0x312000.
    assert!(verify(TWO_OTA, 0x31_2000).is_ok());
    let refused = TableError::OutOfFlash { index: 7, offset: 0x31_1000, size: 0x1000, flash_size: 0x31_1FFF };
    assert_eq!(verify(TWO_OTA, 0x31_1FFF), Err(refused));
    assert_eq!((refused.code(), TableError::NoEnd.code()), (0x104, 0x103));
}

#[test]
fn an_empty_table_has_no_end_marker_in_record_0() {
    assert_eq!(verify(&[0xFF; TABLE_SIZE], FLASH), Err(TableError::BadMagic { index: 0, found: 0xFFFF }));
    // The end marker is four bytes: an erased word with something behind it is one, 0xFFFF alone is not.
    let mut table = TWO_OTA.to_vec();
    table[9 * 32 + 4..].fill(0);
    assert!(verify(&table, FLASH).is_ok());
    table[9 * 32 + 3] = 0;
    assert_eq!(verify(&table, FLASH), Err(TableError::BadMagic { index: 9, found: 0xFFFF }));
}

#[test]
fn scanning_continues_after_the_md5_record() {
    let mut table = TWO_OTA.to_vec();
    let late = Entry::new("late", PartitionType::DATA, Subtype(0x81), 0x1000, 0x1000);
    table[9 * 32..10 * 32].copy_from_slice(&late.to_bytes());
    let verified = verify(&table, FLASH).unwrap();
    assert_eq!(verified, Verified { count: 9, md5: Some(8) });
    assert_eq!(entries(&table).last(), Some(late));
    // The bootloader walks the first nine records: it sees the MD5 record and misses `late`.
    assert_eq!(verified.bootloader_entries(&table).last().unwrap().magic, MD5_MAGIC);
    assert_eq!(verify_as_application(&table), Ok(8));

    let beyond = Entry { offset: FLASH, size: 1, ..late };
    table[9 * 32..10 * 32].copy_from_slice(&beyond.to_bytes());
    assert!(matches!(verify(&table, FLASH), Err(TableError::OutOfFlash { index: 9, .. })));
}

#[test]
fn an_md5_record_first_covers_nothing() {
    let mut table = [0xFF; TABLE_SIZE];
    table[..2].copy_from_slice(&[0xEB, 0xEB]);
    table[16..32].copy_from_slice(&md5_of(&[]));
    assert_eq!(verify(&table, FLASH), Ok(Verified { count: 0, md5: Some(0) }));
    assert_eq!(verify_as_application(&table), Ok(0));
}

#[test]
fn the_application_insists_on_the_md5() {
    let mut table = TWO_OTA.to_vec();
    table[8 * 32 + 16] ^= 1;
    assert!(matches!(verify_as_application(&table), Err(ApplicationTableError::Md5Mismatch { index: 8, .. })));
    assert_eq!(verify_as_application(&TWO_OTA[..8 * 32]), Err(ApplicationTableError::NoMd5 { index: 8, found: None }));
    assert_eq!(ApplicationTableError::NoMd5 { index: 8, found: None }.code(), 0x105);
}

#[test]
fn short_slices_are_told_apart_from_endless_tables() {
    assert_eq!(verify(&TWO_OTA[..256], FLASH), Err(TableError::TooShort { found: 256 }));
    assert_eq!(verify(&[], FLASH), Err(TableError::TooShort { found: 0 }));
    let endless = Entry::new("x", PartitionType::DATA, Subtype(0x40), 0, 1).to_bytes().repeat(200);
    assert_eq!(verify(&endless, FLASH), Err(TableError::NoEnd));
    assert_eq!(entries(&endless).count(), MAX_RECORDS);
    // an application goes on to the end of the sector: 128 records
    let error = ApplicationTableError::NoMd5 { index: 128, found: None };
    assert_eq!(verify_as_application(&endless), Err(error));
}
