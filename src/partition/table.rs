//! The two readers that run on a device (formats sheet §2.3, behaviour sheet §2.2).

use super::{ENTRY_SIZE, Entry, MAGIC, MD5_MAGIC};
use crate::bytes::{array, le16};
use md5::{Digest, Md5};

/// Size in bytes of the table; the rest of its sector is free (Secure Boot v1 may put a signature there).
pub const TABLE_SIZE: usize = 0xC00;
/// Records of the table, end marker included.
pub const MAX_RECORDS: usize = 96;
/// Records of the table's whole sector, which an application scans.
const SECTOR_RECORDS: usize = crate::SECTOR as usize / ENTRY_SIZE;

/// Why the bootloader refuses a table. Offsets of a record in the table are `index * 32`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub enum TableError {
    /// An entry reaches beyond the flash chip (ESP_ERR_INVALID_SIZE).
    #[error(
        "record {index} (table offset {:#x}): offset {offset:#x} size {size:#x} reaches beyond the flash size {flash_size:#x}",
        at(*index)
    )]
    OutOfFlash {
        /// Which record.
        index: usize,
        /// Flash offset found in it, in bytes.
        offset: u32,
        /// Size found in it, in bytes.
        size: u32,
        /// Size of the flash chip as the bootloader header states it, in bytes.
        flash_size: u32,
    },
    /// A second MD5 record (ESP_ERR_INVALID_STATE).
    #[error("record {index} (table offset {:#x}): a second MD5 record; the first is record {first}", at(*index))]
    SecondMd5 {
        /// Which record.
        index: usize,
        /// The record that holds the first MD5.
        first: usize,
    },
    /// The MD5 of the records before the MD5 record is not the stored one (ESP_ERR_INVALID_STATE).
    #[error("record {index} (table offset {:#x}): the stored MD5 is not that of the records before it", at(*index))]
    Md5Mismatch {
        /// Which record.
        index: usize,
        /// The stored MD5.
        stored: [u8; 16],
        /// The MD5 of all records before this one.
        computed: [u8; 16],
    },
    /// Neither entry, nor MD5 record, nor end marker (ESP_ERR_INVALID_STATE).
    #[error(
        "record {index} (table offset {:#x}): magic number {found:#06x}; expected 0x50aa (entry), 0xebeb (MD5) or, \
         except in record 0, the end marker",
        at(*index)
    )]
    BadMagic {
        /// Which record.
        index: usize,
        /// Its first two bytes, little-endian.
        found: u16,
    },
    /// 96 records, none of which is the end marker (ESP_ERR_INVALID_STATE).
    #[error("no end marker in {MAX_RECORDS} records")]
    NoEnd,
    /// The caller gave fewer than 0xC00 bytes and none of the records in them ends the table.
    #[error("the table stops after {found} bytes without an end marker; expected {TABLE_SIZE} bytes")]
    TooShort {
        /// Bytes given.
        found: usize,
    },
}

impl TableError {
    /// The `esp_err_t` that `esp_partition_table_verify` returns: 0x104 for sizes, else 0x103.
    pub const fn code(&self) -> u32 {
        if let Self::OutOfFlash { .. } = self { 0x104 } else { 0x103 }
    }
}

/// Byte offset of a record in the table.
const fn at(index: usize) -> usize {
    index.saturating_mul(ENTRY_SIZE)
}

/// A table that the bootloader accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Number of partitions: records before the end marker without the MD5 record.
    pub count: usize,
    /// Which record holds the MD5, if one does.
    pub md5: Option<usize>,
}

impl Verified {
    /// The records that the bootloader then takes for partitions: the *first* [`count`](Self::count) records of the
    /// table. That is [`entries`] unless entries follow the MD5 record: then the bootloader takes the MD5 record for a
    /// partition of unknown type and never sees the last entry.
    pub fn bootloader_entries<'a>(&self, bytes: &'a [u8]) -> impl Iterator<Item = Entry> + 'a {
        records(bytes).take(self.count)
    }
}

/// The MD5 that an MD5 record after `records` holds.
pub fn md5_of(records: &[u8]) -> [u8; 16] {
    Md5::digest(records).into()
}

/// The 96 records of the table, whatever is in them; fewer where the slice is shorter.
fn records(bytes: &[u8]) -> impl Iterator<Item = Entry> + '_ {
    bytes.chunks_exact(ENTRY_SIZE).take(MAX_RECORDS).filter_map(Entry::parse)
}

/// Judges a table as the bootloader does (`esp_partition_table_verify`): `bytes` begins with the 0xC00 bytes of the
/// table, `flash_size` is the flash size in bytes that the bootloader's header states.
///
/// Record by record: an entry must lie inside the flash, an MD5 record must be the first and match the records before
/// it, the end marker ends the scan unless it is record 0, anything else is refused. Records after the MD5 record are
/// scanned like those before it. Overlaps, alignment and names are not looked at.
pub fn verify(bytes: &[u8], flash_size: u32) -> Result<Verified, TableError> {
    let mut md5 = None;
    for (index, record) in bytes.chunks_exact(ENTRY_SIZE).take(MAX_RECORDS).enumerate() {
        let Some(entry) = Entry::parse(record) else { break };
        match entry.magic {
            MAGIC => {
                let Entry { offset, size, .. } = entry;
                if entry.end() > u64::from(flash_size) {
                    return Err(TableError::OutOfFlash { index, offset, size, flash_size });
                }
            }
            MD5_MAGIC => {
                if let Some(first) = md5 {
                    return Err(TableError::SecondMd5 { index, first });
                }
                let stored = array(record, 16).unwrap_or_default();
                let computed = md5_of(bytes.get(..at(index)).unwrap_or_default());
                if stored != computed {
                    return Err(TableError::Md5Mismatch { index, stored, computed });
                }
                md5 = Some(index);
            }
            _ if entry.is_end() && index != 0 => {
                return Ok(Verified { count: index.saturating_sub(usize::from(md5.is_some())), md5 });
            }
            found => return Err(TableError::BadMagic { index, found }),
        }
    }
    if bytes.len() < TABLE_SIZE { Err(TableError::TooShort { found: bytes.len() }) } else { Err(TableError::NoEnd) }
}

/// The entries of a table in order, without the MD5 record: [`entries`].
#[derive(Clone, Debug)]
pub struct Entries<'a> {
    rest: core::iter::Take<core::slice::ChunksExact<'a, u8>>,
}

impl Iterator for Entries<'_> {
    type Item = Entry;
    fn next(&mut self) -> Option<Entry> {
        loop {
            let entry = Entry::parse(self.rest.next()?)?;
            match entry.magic {
                MAGIC => return Some(entry),
                MD5_MAGIC => (),
                _ => {
                    self.rest = [].chunks_exact(ENTRY_SIZE).take(0);
                    return None;
                }
            }
        }
    }
}

/// The entries of a table up to the first record that is neither an entry nor an MD5 record. Judges nothing: for a table
/// that [`verify`] accepts these are its partitions, for a damaged one what can still be read of it.
pub fn entries(bytes: &[u8]) -> Entries<'_> {
    Entries { rest: bytes.chunks_exact(ENTRY_SIZE).take(MAX_RECORDS) }
}

/// Why an application does not load its partition table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub enum ApplicationTableError {
    /// The scan ended without an MD5 record (ESP_ERR_NOT_FOUND).
    #[error("no MD5 record before record {index} (table offset {:#x}), where the scan ended on magic number {found:#06x?}", at(*index))]
    NoMd5 {
        /// The record that ended the scan; behind the last record given where nothing did.
        index: usize,
        /// Its first two bytes, little-endian; `None` behind the last record given.
        found: Option<u16>,
    },
    /// The MD5 of the entries is not the stored one (ESP_ERR_INVALID_STATE).
    #[error("record {index} (table offset {:#x}): the stored MD5 is not that of the records before it", at(*index))]
    Md5Mismatch {
        /// The record that holds the MD5.
        index: usize,
        /// The stored MD5.
        stored: [u8; 16],
        /// The MD5 of all records before it.
        computed: [u8; 16],
    },
}

impl ApplicationTableError {
    /// The `esp_err_t` that loading the partitions returns: 0x105 without MD5, 0x103 for a wrong one.
    pub const fn code(&self) -> u32 {
        if let Self::NoMd5 { .. } = self { 0x105 } else { 0x103 }
    }
}

/// Judges a table as an application does (`esp_partition`, built with `CONFIG_PARTITION_TABLE_MD5` as by default) and
/// returns the number of its entries, which are the first records of the table.
///
/// The scan stops at the first record that is not an entry; that record must hold the MD5 of those before it. Sizes are
/// not looked at. `bytes` should be the whole 4096-byte sector: the application scans that far.
pub fn verify_as_application(bytes: &[u8]) -> Result<usize, ApplicationTableError> {
    let records = bytes.chunks_exact(ENTRY_SIZE).take(SECTOR_RECORDS);
    let Some((index, record)) = records.clone().enumerate().find(|(_, r)| le16(r, 0) != Some(MAGIC)) else {
        return Err(ApplicationTableError::NoMd5 { index: records.len(), found: None });
    };
    let found = le16(record, 0);
    if found != Some(MD5_MAGIC) {
        return Err(ApplicationTableError::NoMd5 { index, found });
    }
    let stored = array(record, 16).unwrap_or_default();
    let computed = md5_of(bytes.get(..at(index)).unwrap_or_default());
    if stored == computed { Ok(index) } else { Err(ApplicationTableError::Md5Mismatch { index, stored, computed }) }
}

#[cfg(test)]
mod tests;
