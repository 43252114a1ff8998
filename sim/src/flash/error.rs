//! Why the array refused an access.

use embedded_storage::nor_flash::{NorFlashError, NorFlashErrorKind};

/// Why the array refused an access. Addresses, lengths and sizes are in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FlashError {
    /// The range does not lie within the chip, or ends before it starts.
    #[error("flash access at {address:#x}, {length:#x} bytes, leaves the chip, whose size is {size:#x} bytes")]
    OutOfBounds {
        /// First address of the range.
        address: u32,
        /// Length of the range.
        length: u64,
        /// Size of the chip.
        size: u32,
    },
    /// The range of an erase does not start and end at multiples of 4096.
    #[error(
        "flash erase at {address:#x}, {length:#x} bytes, of a chip of {size:#x} bytes: address and length must be multiples of the sector size 0x1000"
    )]
    NotAligned {
        /// First address of the range.
        address: u32,
        /// Length of the range.
        length: u64,
        /// Size of the chip.
        size: u32,
    },
    /// No chip of that size is modelled.
    #[error("no flash chip has {size} bytes ({size:#x}): sizes are powers of two from 256KB to 128MB")]
    BadSize {
        /// The size asked for.
        size: u64,
    },
}

impl NorFlashError for FlashError {
    fn kind(&self) -> NorFlashErrorKind {
        match self {
            Self::OutOfBounds { .. } => NorFlashErrorKind::OutOfBounds,
            Self::NotAligned { .. } => NorFlashErrorKind::NotAligned,
            Self::BadSize { .. } => NorFlashErrorKind::Other,
        }
    }
}
