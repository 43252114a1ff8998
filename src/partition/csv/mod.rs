//! The vendor's partition CSV: what gen_esp32part of ESP-IDF reads and writes (formats sheet §2.4).
//!
//! ```text
//! # Name,   Type, SubType, Offset,  Size, Flags
//! nvs,      data, nvs,     0x9000,  0x6000,
//! factory,  app,  factory, ,        1M,
//! ```
//!
//! | step | function |
//! |---|---|
//! | bytes to text, by byte order mark | [`decode`] |
//! | text to partitions: keywords, numbers, automatic offsets | [`parse`] |
//! | bytes to partitions | [`from_binary`] |
//! | the generator's rules | [`verify`], [`verify_size_fits`] |
//! | partitions to text | [`to_csv`] |
//!
//! Every refusal is a [`Diagnostic`] that carries the vendor's message and points at a line and column.

mod binary;
mod diagnostic;
mod number;
mod parse;
mod rules;
mod text;

#[cfg(test)]
mod tests;

pub use binary::{from_binary, to_csv};
pub use diagnostic::{Diagnostic, Row, Span};
pub use parse::parse;
pub use rules::{verify, verify_size_fits};
pub use text::{DecodeError, decode, lines};

use super::{Entry, FLAG_ENCRYPTED, FLAG_READONLY, PartitionType, SUBTYPES, Subtype};
use alloc::{
    string::{String, ToString},
    vec::Vec,
};

/// Where the flash offset of the table lies unless the build says otherwise.
pub const DEFAULT_TABLE_OFFSET: u32 = 0x8000;
/// Bytes that the generator reserves for the table: its sector.
pub const TABLE_SECTOR: u32 = 0x1000;

/// The secure boot scheme that app partitions must suit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Secure {
    /// App sizes are multiples of 64 KiB: the signature lies at the very end of the padded image.
    V1,
    /// App sizes are multiples of 4 KiB, as without secure boot.
    V2,
}

/// A subtype keyword beside the built-in ones (`--extra-partition-subtypes`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtraSubtype {
    /// The type that it belongs to.
    pub kind: PartitionType,
    /// The keyword; matched in lower case, so one with capitals never matches.
    pub name: String,
    /// The value.
    pub subtype: Subtype,
}

/// Looks up a variable of the environment for `$NAME` and `${NAME}`.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// What the command line of the generator decides.
#[derive(Clone)]
pub struct Options<'a> {
    /// Flash offset of the table, in bytes.
    pub table_offset: u32,
    /// Flash offset of the bootloader, in bytes; needed for bootloader rows.
    pub primary_bootloader_offset: Option<u32>,
    /// Flash offset of the recovery bootloader, in bytes; needed for its row.
    pub recovery_bootloader_offset: Option<u32>,
    /// Whether app sizes must suit a secure boot scheme.
    pub secure: Option<Secure>,
    /// Whether binary tables hold (or may hold) an MD5 record.
    pub md5: bool,
    /// Further subtype keywords.
    pub extra_subtypes: Vec<ExtraSubtype>,
    /// The variables of `$NAME`; without it no variable is known.
    pub environment: Option<Environment<'a>>,
}

impl Default for Options<'_> {
    fn default() -> Self {
        Self {
            table_offset: DEFAULT_TABLE_OFFSET,
            primary_bootloader_offset: None,
            recovery_bootloader_offset: None,
            secure: None,
            md5: true,
            extra_subtypes: Vec::new(),
            environment: None,
        }
    }
}

impl Options<'_> {
    /// The first offset behind the sector of the table.
    fn table_end(&self) -> u64 {
        u64::from(self.table_offset).saturating_add(u64::from(TABLE_SECTOR))
    }

    /// The subtype keywords of a type, in the order in which the generator lists them.
    fn subtypes_of(&self, kind: PartitionType) -> impl Iterator<Item = (&str, Subtype)> {
        let extra = self.extra_subtypes.iter().map(|e| (e.kind, e.name.as_str(), e.subtype));
        SUBTYPES
            .iter()
            .copied()
            .chain(extra)
            .filter(move |(k, ..)| *k == kind)
            .map(|(_, name, subtype)| (name, subtype))
    }

    /// Whether `name` is a subtype keyword of any type.
    fn is_subtype_name(&self, name: &str) -> bool {
        SUBTYPES.iter().any(|(_, n, _)| *n == name) || self.extra_subtypes.iter().any(|e| e.name == name)
    }
}

/// A partition as the generator knows it: its name is not cut yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// Name; the label of the entry is its first 16 bytes.
    pub name: String,
    /// Type.
    pub kind: PartitionType,
    /// Subtype.
    pub subtype: Subtype,
    /// Offset in flash, in bytes.
    pub offset: u32,
    /// Size in bytes.
    pub size: u32,
    /// Flag `encrypted`.
    pub encrypted: bool,
    /// Flag `readonly`.
    pub readonly: bool,
    /// Where it stands in the CSV; `None` if it was read from a binary table.
    pub row: Option<Row>,
}

impl Partition {
    /// The record of the binary table; the name is cut after 16 bytes without a word, as the generator does.
    pub fn entry(&self) -> Entry {
        let mut entry = Entry::new(&self.name, self.kind, self.subtype, self.offset, self.size);
        entry.flags |= if self.encrypted { FLAG_ENCRYPTED } else { 0 };
        entry.flags |= if self.readonly { FLAG_READONLY } else { 0 };
        entry
    }

    /// The partition's row as [`to_csv`] writes it.
    pub fn to_csv(&self, options: &Options<'_>) -> String {
        binary::row(self, options)
    }

    /// Whether it is the bootloader or the table that boots: their places are given, not computed.
    fn is_primary(&self) -> bool {
        is_primary(self.kind, self.subtype)
    }

    /// The first offset behind the partition.
    fn end(&self) -> u64 {
        u64::from(self.offset).saturating_add(u64::from(self.size))
    }

    /// Where a complaint about one field points: `field` counts from 0 (name) to 5 (flags).
    fn complaint(&self, field: usize, message: impl ToString) -> Diagnostic {
        Diagnostic::at(self.row.as_ref(), field, message)
    }
}

fn is_primary(kind: PartitionType, subtype: Subtype) -> bool {
    matches!(kind, PartitionType::BOOTLOADER | PartitionType::PARTITION_TABLE) && subtype == Subtype::PRIMARY
}
