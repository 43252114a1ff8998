//! Properties of partition tables: no bytes and no text upset the readers, what is built is read, what is damaged is
//! refused for just that damage.

use dryburn::partition::{
    TableError, Verified, build,
    csv::{self, Options},
    entries, verify, verify_as_application,
};
use dryburn_sim::strategy::partition::{self as strategy, FLASH_SIZE};
use proptest::{collection::vec, prelude::*};

proptest! {
    #[test]
    fn any_bytes_are_judged(bytes in vec(any::<u8>(), 0..0x1100), flash_size: u32) {
        let _ = verify(&bytes, flash_size);
        let _ = verify_as_application(&bytes);
        let _ = entries(&bytes).count();
    }

    #[test]
    fn any_overwritten_table_is_judged(
        list in strategy::entries(), at in 0_usize..0xC00, bytes in vec(any::<u8>(), 1..64), flash_size: u32,
    ) {
        let mut table = build(&list, true).unwrap();
        let end = (at + bytes.len()).min(table.len());
        table[at..end].copy_from_slice(&bytes[..end - at]);
        let verdict = verify(&table, flash_size);
        if let Ok(Verified { count, .. }) = verdict {
            prop_assert_eq!(entries(&table).count(), count);
        }
        let mut log = Vec::new();
        if let Ok(partitions) = csv::from_binary(&table, &Options::default(), &mut log) {
            let _ = csv::verify(&partitions, &Options::default(), &mut log);
            let _ = csv::to_csv(&partitions, &Options::default());
        }
    }

    #[test]
    fn any_text_is_judged(text: String, likely in strategy::csv_text(), table_offset: u32, bootloader: Option<u32>) {
        let environment = |name: &str| (name == "HOME").then(|| "a, data".to_string());
        let options = Options {
            table_offset,
            primary_bootloader_offset: bootloader,
            recovery_bootloader_offset: bootloader,
            environment: Some(&environment),
            ..Options::default()
        };
        for text in [text, likely] {
            match csv::parse(&text, &options) {
                Ok(partitions) => {
                    let _ = csv::verify(&partitions, &options, &mut Vec::new());
                    let _ = csv::verify_size_fits(&partitions, 0);
                }
                Err(diagnostic) => {
                    prop_assert!(diagnostic.line >= 1 && diagnostic.column >= 1 && diagnostic.length >= 1, "{:?}", diagnostic);
                }
            }
        }
    }

    #[test]
    fn what_is_built_is_read(list in strategy::entries(), md5: bool) {
        let table = build(&list, md5).unwrap();
        let verified = verify(&table, FLASH_SIZE);
        prop_assert_eq!(verified, Ok(Verified { count: list.len(), md5: md5.then_some(list.len()) }));
        prop_assert!(entries(&table).eq(list.iter().copied()));
        prop_assert_eq!(verify_as_application(&table).ok(), md5.then_some(list.len()));
    }

    #[test]
    fn damage_is_refused_for_what_it_is(list in strategy::entries(), damage in strategy::damage()) {
        let (table, expected) = damage.apply(&list).unwrap();
        // With 94 entries the MD5 record is followed by one record only: a second MD5 there still is the first refusal.
        prop_assert_eq!(verify(&table, FLASH_SIZE), Err(expected));
    }

    #[test]
    fn the_generator_s_csv_is_read_back(list in strategy::entries()) {
        let named: Vec<_> = list.iter().enumerate().map(|(i, entry)| {
            let mut entry = dryburn::partition::Entry::new(&format!("p{i}"), entry.kind, entry.subtype, entry.offset, entry.size);
            entry.flags = i as u32 & 3;
            entry
        }).collect();
        let table = build(&named, true).unwrap();
        let options = Options::default();
        let partitions = csv::from_binary(&table, &options, &mut Vec::new()).unwrap();
        let text = csv::to_csv(&partitions, &options);
        // Only tables that the generator could have made: in order, nothing on the table, no rows with places of their own.
        if let Ok(again) = csv::parse(&text, &options) {
            let bytes: Vec<_> = again.iter().map(csv::Partition::entry).collect();
            prop_assert_eq!(build(&bytes, true).unwrap(), table);
        }
    }
}

#[test]
fn errors_name_the_place() {
    let error = TableError::BadMagic { index: 3, found: 0x50BA };
    assert_eq!(
        error.to_string(),
        "record 3 (table offset 0x60): magic number 0x50ba; expected 0x50aa (entry), 0xebeb (MD5) or, except in record 0, the end marker"
    );
}
