//! Entries to the bytes that the generator writes (formats sheet §2.1).

use super::{ENTRY_SIZE, Entry, MD5_MAGIC, TABLE_SIZE, md5_of};
use alloc::vec::Vec;

/// The entries, with the MD5 record where there is one, leave no room for the end marker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Binary partition table length ({length}) longer than max")]
pub struct TooManyEntries {
    /// Bytes before the end marker; they must be fewer than [`TABLE_SIZE`].
    pub length: usize,
}

/// The table of `entries` as gen_esp32part writes it: entries, MD5 record (unless `md5` is false), 0xFF to the end.
///
/// At most 94 entries with the MD5 record and 95 without; more are an error. The entries themselves are not judged.
pub fn build(entries: &[Entry], md5: bool) -> Result<Vec<u8>, TooManyEntries> {
    let records = entries.len().saturating_add(usize::from(md5));
    let length = records.saturating_mul(ENTRY_SIZE);
    if length >= TABLE_SIZE {
        return Err(TooManyEntries { length });
    }
    let mut table = Vec::with_capacity(TABLE_SIZE);
    for entry in entries {
        table.extend(entry.to_bytes());
    }
    if md5 {
        let digest = md5_of(&table);
        table.extend(MD5_MAGIC.to_le_bytes());
        table.extend([0xFF; 14]);
        table.extend(digest);
    }
    table.resize(TABLE_SIZE, 0xFF);
    Ok(table)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::partition::{PartitionType, Subtype, entries, verify};
    use std::vec;

    const TWO_OTA: &[u8] = include_bytes!("../../tests/vectors/ptable/two_ota.bin");
    const TWO_OTA_NOMD5: &[u8] = include_bytes!("../../tests/vectors/ptable/two_ota_nomd5.bin");

    #[test]
    fn rebuilds_the_generator_s_tables() {
        let list: Vec<Entry> = entries(TWO_OTA).collect();
        assert_eq!(build(&list, true).unwrap(), TWO_OTA);
        assert_eq!(build(&list, false).unwrap(), TWO_OTA_NOMD5);
    }

    #[test]
    fn capacity_is_strictly_less_than_the_table() {
        let one = Entry::new("x", PartitionType(0x40), Subtype(0), 0, 0);
        let count = |n, md5| build(&vec![one; n], md5).map(|table| verify(&table, 0).unwrap().count);
        assert_eq!(count(94, true), Ok(94));
        assert_eq!(count(95, true), Err(TooManyEntries { length: 0xC00 }));
        assert_eq!(count(95, false), Ok(95));
        assert_eq!(count(96, false), Err(TooManyEntries { length: 0xC00 }));
        assert_eq!(
            std::format!("{}", TooManyEntries { length: 3072 }),
            "Binary partition table length (3072) longer than max"
        );
    }
}
