//! App and bootloader images: raw views, verification in ESP-IDF's order, a builder.
//!
//! ```text
//! 0            24-byte header, [`Header`]
//! 24           per segment: 8-byte header, data
//!              zeros, so that the checksum byte is the last of a 16-byte block
//! E-1          checksum: XOR of all data bytes and 0xEF
//! E .. E+32    SHA-256 of [0, E), where header byte 23 is 1
//!              secure boot data
//! ```
//!
//! Source: formats sheet §1.

#[cfg(feature = "alloc")]
mod build;
mod event;
#[cfg(test)]
mod flash_of_bytes;
mod header;
mod signature;
mod verify;

#[cfg(feature = "alloc")]
pub use build::{Builder, Damage, MIN_SIZE, SegmentData, damage};
pub use event::{BadDestination, Event, Refusal, SegmentUse};
pub use header::{
    APP_DESCRIPTOR_MAGIC, APP_DESCRIPTOR_SIZE, AppDescriptor, BOOTLOADER_DESCRIPTOR_MAGIC, BOOTLOADER_DESCRIPTOR_SIZE,
    BootloaderDescriptor, DESCRIPTOR_OFFSET, HEADER_SIZE, Header, MAGIC, MAX_SEGMENTS, SEGMENT_HEADER_SIZE,
    SegmentHeader,
};
pub use signature::{SignatureEvent, SignaturePolicy, V2Policy};
pub use verify::{Loader, Purpose, Region, Rules, Target, Verified, check_chip, verify};

/// Seed of the XOR checksum over all segment data.
pub const CHECKSUM_SEED: u8 = 0xEF;
/// Size in bytes of the appended SHA-256.
pub const HASH_SIZE: u32 = 32;

/// The two kinds of image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "lowercase"))]
pub enum Kind {
    /// An application.
    App,
    /// A second-stage bootloader.
    Bootloader,
}
