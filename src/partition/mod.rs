//! The partition table: what lies where in flash.
//!
//! The table is 0xC00 bytes (96 records of 32 bytes, little-endian) at flash offset 0x8000 unless the build says otherwise,
//! alone in its sector (formats sheet §2.1):
//!
//! | offset | bytes | field of an entry |
//! |---|---|---|
//! | 0 | 2 | magic 0x50AA (bytes `AA 50`) |
//! | 2 | 1 | type |
//! | 3 | 1 | subtype |
//! | 4 | 4 | offset in flash, bytes |
//! | 8 | 4 | size, bytes |
//! | 12 | 16 | label, NUL-padded; 16 characters leave no room for a NUL |
//! | 28 | 4 | flags: bit 0 encrypted, bit 1 readonly |
//!
//! | offset | bytes | field of the MD5 record |
//! |---|---|---|
//! | 0 | 2 | magic 0xEBEB; the 14 bytes after it are 0xFF and nobody looks at them |
//! | 16 | 16 | MD5 of all records before this one |
//!
//! The end marker is an erased record. Three readers judge a table, and they do not agree: the bootloader
//! ([`verify`], MD5 optional), the application ([`verify_as_application`], MD5 mandatory) and the vendor's generator
//! (`csv`, overlap and alignment rules that no device checks).
//!
//! | module | what it holds |
//! |---|---|
//! | `types` | types and subtypes and the generator's keywords for them |
//! | `entry` | one record, shown as it is |
//! | `table` | the two device readers |
//! | `build` | entries to bytes (needs `alloc`) |
//! | [`csv`] | the vendor's CSV, both directions (needs `alloc`) |

#[cfg(feature = "alloc")]
mod build;
#[cfg(feature = "alloc")]
pub mod csv;
mod entry;
mod table;
mod types;

#[cfg(feature = "alloc")]
pub use build::{TooManyEntries, build};
pub use entry::{
    ENTRY_SIZE, Entry, FLAG_ENCRYPTED, FLAG_READONLY, MAGIC, MD5_MAGIC, is_encrypted_with_flash_encryption,
};
pub use table::{
    ApplicationTableError, Entries, MAX_RECORDS, TABLE_SIZE, TableError, Verified, entries, md5_of, verify,
    verify_as_application,
};
pub use types::{PartitionType, SUBTYPES, Subtype, TYPES};
