//! Partition tables, and what can be wrong with them.

use dryburn::partition::{
    ENTRY_SIZE, Entry, MAX_RECORDS, PartitionType, Subtype, TABLE_SIZE, TableError, build, md5_of,
};
use proptest::{collection::vec, prelude::*};

/// Flash size in bytes that the entries of [`entries`] fit in.
pub const FLASH_SIZE: u32 = 0x100_0000;

/// An entry inside a flash of [`FLASH_SIZE`] bytes: any type, label and flags.
pub fn entry() -> impl Strategy<Value = Entry> {
    let place = (0..=FLASH_SIZE).prop_flat_map(|offset| (Just(offset), 0..=FLASH_SIZE.saturating_sub(offset)));
    (any::<u8>(), any::<u8>(), place, any::<[u8; 16]>(), any::<u32>()).prop_map(
        |(kind, subtype, (offset, size), label, flags)| Entry {
            label,
            flags,
            ..Entry::new("", PartitionType(kind), Subtype(subtype), offset, size)
        },
    )
}

/// 1 to 94 entries: as many as a table with an MD5 record can hold. They may overlap, as no device minds.
pub fn entries() -> impl Strategy<Value = Vec<Entry>> {
    vec(entry(), 1..=MAX_RECORDS.saturating_sub(2))
}

/// One thing wrong with a table that was valid.
#[derive(Clone, Copy, Debug)]
pub enum Damage {
    /// Entry `index` (modulo their number) has this magic number.
    BadMagic {
        /// Which entry.
        index: usize,
        /// The magic number; none that means something.
        magic: u16,
    },
    /// Bit `bit` of the stored MD5 is flipped.
    Md5Bit {
        /// Which bit, from 0 to 127.
        bit: u8,
    },
    /// Every record after the MD5 record is an entry.
    NoEnd,
    /// The MD5 record stands there twice.
    SecondMd5,
    /// Entry `index` (modulo their number) reaches beyond the flash by so many bytes.
    TooLarge {
        /// Which entry.
        index: usize,
        /// How far it reaches beyond the flash.
        by: u32,
    },
}

/// Any damage.
pub fn damage() -> impl Strategy<Value = Damage> {
    let magic = any::<u16>().prop_filter("means something", |m| ![0x50AA, 0xEBEB, 0xFFFF].contains(m));
    prop_oneof![
        (any::<usize>(), magic).prop_map(|(index, magic)| Damage::BadMagic { index, magic }),
        (0..128_u8).prop_map(|bit| Damage::Md5Bit { bit }),
        Just(Damage::NoEnd),
        Just(Damage::SecondMd5),
        (any::<usize>(), 1..=u32::MAX - FLASH_SIZE).prop_map(|(index, by)| Damage::TooLarge { index, by }),
    ]
}

impl Damage {
    /// The damaged table (with an MD5 record that fits, unless that is the damage) and the bootloader's verdict on it in
    /// a flash of [`FLASH_SIZE`] bytes. `None` if `entries` is empty or no table holds that many.
    pub fn apply(self, entries: &[Entry]) -> Option<(Vec<u8>, TableError)> {
        let mut entries = entries.to_vec();
        let md5 = entries.len();
        let at = md5.checked_mul(ENTRY_SIZE)?;
        let error = match self {
            Self::BadMagic { index, magic } => {
                let index = index.checked_rem(md5)?;
                entries.get_mut(index)?.magic = magic;
                TableError::BadMagic { index, found: magic }
            }
            Self::TooLarge { index, by } => {
                let index = index.checked_rem(md5)?;
                let entry = entries.get_mut(index)?;
                entry.size = FLASH_SIZE.checked_sub(entry.offset)?.checked_add(by)?;
                TableError::OutOfFlash { index, offset: entry.offset, size: entry.size, flash_size: FLASH_SIZE }
            }
            Self::Md5Bit { bit } => {
                let mut table = build(&entries, true).ok()?;
                let computed = md5_of(table.get(..at)?);
                *table.get_mut(at.checked_add(16)?.checked_add(usize::from(bit / 8))?)? ^= 1 << (bit % 8);
                let stored = *table.get(at.checked_add(16)?..)?.first_chunk()?;
                return Some((table, TableError::Md5Mismatch { index: md5, stored, computed }));
            }
            Self::SecondMd5 => {
                let mut table = build(&entries, true).ok()?;
                let next = at.checked_add(ENTRY_SIZE)?;
                table.copy_within(at..next, next);
                table.truncate(TABLE_SIZE);
                return Some((table, TableError::SecondMd5 { index: md5.checked_add(1)?, first: md5 }));
            }
            Self::NoEnd => {
                let mut table = build(&entries, true).ok()?;
                let last = entries.last()?.to_bytes();
                let behind = table.get_mut(at.checked_add(ENTRY_SIZE)?..)?;
                behind.chunks_exact_mut(ENTRY_SIZE).for_each(|record| record.copy_from_slice(&last));
                return Some((table, TableError::NoEnd));
            }
        };
        Some((build(&entries, true).ok()?, error))
    }
}

/// Text that looks like a partition CSV more often than not.
pub fn csv_text() -> impl Strategy<Value = String> {
    let field = prop_oneof![
        4 => prop::sample::select(vec![
            "nvs", "app", "data", "bootloader", "partition_table", "ota", "ota_0", "factory", "primary", "recovery", "phy",
            "0x9000", "-1M", "1M", "64K", "0x40", "-9223372036854775808", "0xffffffff", "9999999M", "", "", "", "k", "0x",
            "encrypted", "readonly:encrypted", "$HOME", "${", "#", "ä",
        ]).prop_map(String::from),
        1 => any::<String>(),
    ];
    let row = vec(field, 0..8).prop_map(|fields| fields.join(", "));
    vec(row, 0..8).prop_map(|rows| rows.join("\n"))
}
