//! What verification reports: progress as it happens, and the one refusal that ends it.

use super::Kind;
use crate::Revision;

/// What happens to a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub enum SegmentUse {
    /// Copied to RAM.
    Load,
    /// Mapped into the address space by the MMU.
    Map,
    /// Neither: padding, or a RAM segment of an image that is only verified.
    Skip,
}

/// Why a RAM segment may not be loaded where it wants to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub enum BadDestination {
    /// Would overwrite the stack of the running bootloader.
    Stack,
    /// Would overwrite static data of the running bootloader.
    Data,
    /// Would overwrite the code that does the loading.
    LoaderIram,
    /// Is not memory.
    Range,
}

/// Why an image is refused. Offsets are flash addresses in bytes; every variant is one check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(tag = "check", rename_all = "snake_case"))]
pub enum Refusal {
    /// The partition is larger than this chip can map.
    #[error("partition of {size:#x} bytes is larger than 16 MB")]
    PartitionTooLarge {
        /// Partition size in bytes.
        size: u32,
    },
    /// Flash could not be read.
    #[error("flash read failed at {address:#x}")]
    ReadFailed {
        /// Flash address.
        address: u32,
    },
    /// The first byte is not 0xE9.
    #[error("image at {offset:#x} has magic byte {found:#04x}, expected 0xe9")]
    BadMagic {
        /// Flash address of the image.
        offset: u32,
        /// The byte that lies there.
        found: u8,
    },
    /// Built for another chip.
    #[error("image is for chip id {found}, this chip has id {expected}")]
    WrongChip {
        /// Image chip id of this chip.
        expected: u16,
        /// Chip id in the header.
        found: u16,
    },
    /// This silicon is too old.
    #[error("image requires chip revision {required} or later, this chip is {found}")]
    RevisionTooLow {
        /// Minimum in the header.
        required: Revision,
        /// Revision of this chip.
        found: Revision,
    },
    /// This silicon is too new.
    #[error("image requires chip revision {required} or earlier, this chip is {found}")]
    RevisionTooHigh {
        /// Maximum in the header.
        required: Revision,
        /// Revision of this chip.
        found: Revision,
    },
    /// The eFuse block revision of this chip is too low.
    #[error("app requires eFuse block revision {required} or later, this chip has {found}")]
    BlockRevisionTooLow {
        /// Minimum in the app descriptor.
        required: Revision,
        /// Revision of this chip.
        found: Revision,
    },
    /// The eFuse block revision of this chip is too high.
    #[error("app requires eFuse block revision {required} or earlier, this chip has {found}")]
    BlockRevisionTooHigh {
        /// Maximum in the app descriptor.
        required: Revision,
        /// Revision of this chip.
        found: Revision,
    },
    /// More segments than the format allows.
    #[error("image at {offset:#x} claims {count} segments, the maximum is 16")]
    TooManySegments {
        /// Flash address of the image.
        offset: u32,
        /// Claimed count.
        count: u8,
    },
    /// A segment length that is not a multiple of 4, or too large.
    #[error("segment {index} has length {length:#x}: not a multiple of 4, or 16 MB or more")]
    SegmentLength {
        /// Segment index.
        index: u8,
        /// Claimed length in bytes.
        length: u32,
    },
    /// Segment 0 of an app cannot hold the app descriptor.
    #[error("segment {index} has length {length:#x}, too short for the 256-byte app descriptor")]
    NoRoomForDescriptor {
        /// Segment index.
        index: u8,
        /// Claimed length in bytes.
        length: u32,
    },
    /// A chip with several MMU page sizes found no app descriptor to read the size from.
    #[error("app descriptor has magic {found:#010x}, expected 0xabcd5432")]
    NoDescriptor {
        /// The word that lies there.
        found: u32,
    },
    /// Flash offset and CPU address of a mapped segment differ within the MMU page.
    #[error(
        "segment {index}: load address {load_addr:#010x} and flash address {flash_address:#010x} differ within the MMU page"
    )]
    Misaligned {
        /// Segment index.
        index: u8,
        /// Load address in the segment header.
        load_addr: u32,
        /// Flash address of the data.
        flash_address: u32,
    },
    /// A RAM segment must not go where it wants to.
    #[error("segment {index} at {start:#010x}-{end:#010x} may not be loaded there ({reason:?})")]
    Destination {
        /// Segment index.
        index: u8,
        /// First address.
        start: u32,
        /// Address behind the last.
        end: u32,
        /// What is in the way.
        reason: BadDestination,
    },
    /// A segment ends behind the end of the flash chip.
    #[error("segment {index}: {length:#x} bytes at {flash_address:#x} end behind the flash chip")]
    BeyondFlash {
        /// Segment index.
        index: u8,
        /// Flash address of the data.
        flash_address: u32,
        /// Claimed length in bytes.
        length: u32,
    },
    /// The end of the image is behind the end of the 32-bit address space.
    #[error("image offset has wrapped")]
    Wrapped,
    /// The XOR checksum differs.
    #[error("checksum is {calculated:#04x}, the image says {read:#04x}")]
    Checksum {
        /// XOR of all data bytes and 0xEF.
        calculated: u8,
        /// The byte behind the data.
        read: u8,
    },
    /// Image and signature do not fit the partition.
    #[error("image of {length} bytes does not fit the partition of {partition} bytes")]
    TooLong {
        /// Length in bytes, signature included.
        length: u32,
        /// Partition size in bytes.
        partition: u32,
    },
    /// The appended SHA-256 differs.
    #[error("SHA-256 differs from the one appended to the image")]
    Hash,
    /// No signature that this device trusts.
    #[error("no valid signature by a trusted key; the image itself is {}", if *hash_matches { "intact" } else { "corrupt" })]
    Signature {
        /// Whether the last 32 bytes are the SHA-256 of those before, i.e. only the signature is wrong.
        hash_matches: bool,
    },
}

/// What verification comes across, in the order in which the boot code does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(tag = "image", rename_all = "snake_case"))]
pub enum Event {
    /// ESP-IDF 4.0-4.2 states both revisions where the chip is newer than the image asks for.
    RevisionStated {
        /// App or bootloader.
        kind: Kind,
        /// Major revision of this chip.
        chip: u16,
        /// The legacy minimum in the header.
        minimum: u8,
    },
    /// ESP-IDF up to 4.2 warns of a flash mode that does not exist.
    SpiModeOdd {
        /// Flash address of the image.
        offset: u32,
        /// The code in the header.
        mode: u8,
    },
    /// ESP-IDF up to 4.2 warns of a flash size that does not exist.
    SpiSizeOdd {
        /// Flash address of the image.
        offset: u32,
        /// The code in the header.
        size: u8,
    },
    /// A segment that passed the checks of its header.
    Segment {
        /// Segment index.
        index: u8,
        /// Flash address of the data.
        flash_address: u32,
        /// CPU address.
        load_addr: u32,
        /// Length in bytes.
        length: u32,
        /// What happens to it.
        action: SegmentUse,
    },
    /// The signature comes next.
    VerifyingSignature,
    /// What checking the signature came across.
    Signature(super::SignatureEvent),
    /// The refusal, at the moment of the check.
    Refused(Refusal),
}
