//! Why the updater refuses, one enum per step. Nothing here ever holds a key.

use crate::{boot::Slot, image::Refusal, otadata::State};
use core::fmt::Debug;
use thiserror::Error;

/// What the updater did to flash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlashOp {
    /// Read.
    Read,
    /// Programmed.
    Program,
    /// Erased.
    Erase,
}

/// The flash driver reported an error. The operation may have been carried out in part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("flash {op:?} at {address:#x} failed: {error:?}")]
pub struct FlashFault<E> {
    /// What was tried.
    pub op: FlashOp,
    /// Flash address in bytes.
    pub address: u32,
    /// What the driver reports.
    pub error: E,
}

/// The partition table is none to update with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum LayoutError {
    /// There is no otadata partition; the bootloader then starts the factory app whatever is updated.
    #[error("the partition table has no otadata partition (data, ota)")]
    NoOtadata,
    /// otadata needs two sectors.
    #[error("the otadata partition has {size:#x} bytes, needs 0x2000")]
    OtadataTooSmall {
        /// Its size in bytes.
        size: u32,
    },
    /// The running app is in no partition of the table.
    #[error("the running app's slot {slot:?} is not in the partition table")]
    NoRunningSlot {
        /// The slot.
        slot: Slot,
    },
    /// A partition does not begin and end at sectors, or reaches beyond the flash chip.
    #[error("the partition at {offset:#x}, {size:#x} bytes, is not made of whole sectors within the flash chip")]
    NotInFlash {
        /// Flash address in bytes.
        offset: u32,
        /// Size in bytes.
        size: u32,
    },
    /// Two partitions share bytes: an update would overwrite what it must not.
    #[error("the partitions at {a:#x} and at {b:#x} overlap")]
    Overlap {
        /// Flash address of the one.
        a: u32,
        /// Flash address of the other.
        b: u32,
    },
}

/// Why otadata could not be read or written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum OtadataError<E> {
    /// The driver reported an error.
    #[error("otadata: {0}")]
    Flash(FlashFault<E>),
    /// The driver reported success, yet other bytes are read than were written: write protection, or a plaintext write on a
    /// device with flash encryption.
    #[error(
        "otadata sector {sector} does not hold what was written to it; check write protection and flash encryption"
    )]
    NotStored {
        /// 0 or 1.
        sector: u8,
    },
}

impl<E> From<FlashFault<E>> for OtadataError<E> {
    fn from(fault: FlashFault<E>) -> Self {
        Self::Flash(fault)
    }
}

/// Why an update did not begin. Nothing in the slot was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BeginError<E> {
    /// The bootloader can not reach that slot.
    #[error("there is no slot ota_{slot}: the partition table has {slots} OTA slots, numbered without gaps")]
    NoSuchSlot {
        /// The slot asked for.
        slot: u8,
        /// OTA slots in the table.
        slots: u8,
    },
    /// The running app lies there.
    #[error("ota_{slot} holds the running app; choose another slot")]
    RunningSlot {
        /// The slot asked for.
        slot: u8,
    },
    /// The running app has not been confirmed: an update would overwrite the app that it falls back to.
    #[error("the running app is not confirmed (state {state:?}); confirm it or roll back first")]
    Unconfirmed {
        /// Its state in otadata.
        state: State,
    },
    /// The image is larger than the slot.
    #[error("an image of {size} bytes does not fit the slot of {slot_size} bytes")]
    TooLarge {
        /// Size in bytes, as announced.
        size: u32,
        /// Size of the slot in bytes.
        slot_size: u32,
    },
    /// Ciphertext for a slot makes sense only where flash is decrypted.
    #[error("flash encryption is off: send the plain image")]
    NotEncrypted,
    /// otadata could not be read or written.
    #[error(transparent)]
    Otadata(#[from] OtadataError<E>),
    /// The slot could not be erased.
    #[error(transparent)]
    Flash(#[from] FlashFault<E>),
}

/// Why an update did not go on from a record. Nothing was changed but otadata, as for a begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ResumeError<E> {
    /// As for a new update.
    #[error(transparent)]
    Begin(#[from] BeginError<E>),
    /// The record is of an update of another kind.
    #[error("the record is of an update with {} image; resume it as such", if *raw { "a ciphertext" } else { "a plain" })]
    OtherWay {
        /// Whether the record is of a ciphertext image.
        raw: bool,
    },
    /// The record speaks of more than the slot can hold, or not of whole sectors.
    #[error("the record speaks of {written:#x} bytes written: not whole sectors within the slot")]
    BadExtent {
        /// Bytes written, as the record has it.
        written: u32,
    },
    /// Flash does not hold what the record speaks of. Begin anew.
    #[error("flash does not hold the {written:#x} bytes that the record speaks of; begin anew")]
    FlashDiffers {
        /// Bytes written, as the record has it.
        written: u32,
    },
}

/// Why data was not taken. The update is over: begin anew, or resume from the last record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum WriteError<E, S> {
    /// An earlier write failed.
    #[error("an earlier write failed; begin anew or resume from the last record")]
    Failed,
    /// The first byte is not that of an image. Nothing was programmed.
    #[error("the image begins with {found:#04x}, expected 0xe9: encrypted, compressed, or no app image")]
    BadMagic {
        /// The byte found.
        found: u8,
    },
    /// More data than the slot, or the announced size, has room for.
    #[error("data up to offset {end} does not fit {room} bytes")]
    TooMuch {
        /// Offset behind the data, in bytes.
        end: u64,
        /// Room in bytes.
        room: u32,
    },
    /// An offset that is not a multiple of 16, or ciphertext of such a length.
    #[error("{length} bytes at offset {offset:#x}: offsets, and lengths of ciphertext, are multiples of 16")]
    Misaligned {
        /// Offset in the slot.
        offset: u32,
        /// Length in bytes.
        length: usize,
    },
    /// The envelope was refused.
    #[error("the envelope was refused")]
    Source(S),
    /// The driver reported an error.
    #[error(transparent)]
    Flash(#[from] FlashFault<E>),
}

/// Why an image may not be started. The slot is left without its first bytes, so nothing can start it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum FinishError<E, S> {
    /// An earlier write failed.
    #[error("an earlier write failed; begin anew or resume from the last record")]
    Failed,
    /// Nothing was written.
    #[error("nothing was written")]
    Empty,
    /// Fewer bytes than announced.
    #[error("{written} bytes were written, {size} were announced")]
    Incomplete {
        /// Bytes written.
        written: u32,
        /// Bytes announced.
        size: u32,
    },
    /// The image goes on behind what was written: what lies there is old.
    #[error("the image and its signature take {length} bytes, {written} were written")]
    Truncated {
        /// Length in bytes, signature included.
        length: u32,
        /// Bytes written.
        written: u32,
    },
    /// Ciphertext of a length that is not a multiple of 16.
    #[error("{written} bytes of ciphertext are not a multiple of 16")]
    Misaligned {
        /// Bytes written.
        written: u32,
    },
    /// The envelope is not authentic, or not complete.
    #[error("the envelope was refused")]
    Source(S),
    /// The envelope proves nothing by itself, and this device checks no signatures.
    #[error("an envelope without a tag needs a signed app, and this device checks no signature")]
    SignatureNeeded,
    /// The bootloader would refuse the image.
    #[error(transparent)]
    Image(Refusal),
    /// Anti-rollback: the app has no descriptor to read its version from.
    #[error("the app has no descriptor, so no secure version (word {found:#010x}, expected 0xabcd5432)")]
    NoDescriptor {
        /// The word that lies there.
        found: u32,
    },
    /// Anti-rollback: the app is too old for this device.
    #[error("the app has secure version {app}, the eFuses say {burned}")]
    SecureVersion {
        /// Of the app.
        app: u32,
        /// In eFuse.
        burned: u32,
    },
    /// The driver reported success, yet other bytes are read than were written.
    #[error("the first bytes of the slot at {address:#x} do not hold what was written to them; check write protection")]
    NotStored {
        /// Flash address in bytes.
        address: u32,
    },
    /// The driver reported an error.
    #[error(transparent)]
    Flash(#[from] FlashFault<E>),
}

/// Why a slot's image was not taken as it lies there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum CheckError<E> {
    /// As for a new update.
    #[error(transparent)]
    Begin(#[from] BeginError<E>),
    /// The image may not be started.
    #[error(transparent)]
    Image(FinishError<E, core::convert::Infallible>),
}

/// Why the running app did not roll back. Nothing was changed, but for a failed write to otadata.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RollBackError<E> {
    /// No other app would start.
    #[error("there is no other app that the bootloader would start")]
    NothingToRollBackTo,
    /// otadata does not speak of the running app, so it can not be refused there.
    #[error("otadata has no entry of the running app {running:?}")]
    NoEntry {
        /// The running slot.
        running: Slot,
    },
    /// otadata could not be read or written.
    #[error(transparent)]
    Otadata(#[from] OtadataError<E>),
}
