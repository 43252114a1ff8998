//! The record of an update under way, for the caller to store and to resume from after a reset.
//!
//! 40 bytes, little-endian; a format of this crate's own. It speaks of whole sectors only, and whoever resumes from it reads
//! them again: a record that is not of what lies in flash is refused.
//!
//! | offset | size | field |
//! |---|---|---|
//! | 0 | 4 | magic `DBU1` |
//! | 4 | 1 | slot |
//! | 5 | 1 | flags: bit 0 ciphertext, bit 1 size known |
//! | 6 | 2 | 0 |
//! | 8 | 4 | bytes written, a multiple of 4096 |
//! | 12 | 4 | announced size, 0 where unknown |
//! | 16 | 16 | the first bytes of the image, which are held back |
//! | 32 | 4 | CRC-32 (IEEE) of the bytes written |
//! | 36 | 4 | CRC-32 (IEEE) of the record's first 36 bytes |
//!
//! # Where to keep it
//! Anywhere that survives a reset and is not the slot: a blob in NVS, or a data partition of its own, as a log of records in
//! one sector (a record that was torn by a power failure is [`BadProgress`]: the one before it counts). [`Update::medium`] gives the
//! flash driver back meanwhile. A record every few sectors will do: what came since is sent once more. RTC memory survives a reset,
//! but no power failure. It holds no secret but the image's first 16 bytes, most of its header.
//!
//! Beside it belongs what tells the file on the server from another: ETag, or size and date. When the update is over, or was
//! refused, the record must go: else a file that cannot be installed is gone on with for ever. Envelopes have no such record: what
//! opens them would have to be kept, with its key.
//!
//! [`Update::medium`]: super::Update::medium

use crate::{bytes, flash_encryption::PIECE};

/// Size in bytes of the stored record.
pub const PROGRESS_SIZE: usize = 40;
const MAGIC: [u8; 4] = *b"DBU1";
const RAW: u8 = 1 << 0;
const SIZED: u8 = 1 << 1;

/// How far an update got. Store [`to_bytes`](Self::to_bytes) every so often where it survives a reset, an NVS blob or a data
/// partition, and beside it whatever tells the file on the server from another of the same name; forget it when the update is over or
/// refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    pub(super) slot: u8,
    pub(super) raw: bool,
    pub(super) size: Option<u32>,
    pub(super) written: u32,
    pub(super) head: [u8; PIECE],
    pub(super) crc: u32,
}

/// The bytes are no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no record of an update: wrong magic, length or CRC; begin anew")]
pub struct BadProgress;

impl Progress {
    /// The slot that is written.
    pub fn slot(&self) -> u8 {
        self.slot
    }

    /// Offset in bytes that the image must be sent from: a `Range: bytes=offset-`.
    pub fn offset(&self) -> u32 {
        self.written
    }

    /// The bytes to store.
    pub fn to_bytes(&self) -> [u8; PROGRESS_SIZE] {
        let flags = if self.raw { RAW } else { 0 } | if self.size.is_some() { SIZED } else { 0 };
        let content = MAGIC
            .into_iter()
            .chain([self.slot, flags, 0, 0])
            .chain(self.written.to_le_bytes())
            .chain(self.size.unwrap_or(0).to_le_bytes())
            .chain(self.head)
            .chain(self.crc.to_le_bytes());
        let mut raw = [0; PROGRESS_SIZE];
        raw.iter_mut().zip(content).for_each(|(to, from)| *to = from);
        let crc = own_crc(&raw);
        raw.iter_mut().skip(36).zip(crc.to_le_bytes()).for_each(|(to, from)| *to = from);
        raw
    }

    /// The record in stored bytes.
    ///
    /// # Errors
    /// [`BadProgress`] when they are none, or damaged.
    pub fn from_bytes(raw: &[u8]) -> Result<Self, BadProgress> {
        let raw = raw.as_array::<PROGRESS_SIZE>().ok_or(BadProgress)?;
        let fields = || {
            let [_, _, _, _, slot, flags, 0, 0, ..] = *raw else { return None };
            let size = bytes::le32(raw, 12)?;
            Some(Self {
                slot,
                raw: flags & RAW != 0,
                size: (flags & SIZED != 0).then_some(size),
                written: bytes::le32(raw, 8)?,
                head: bytes::array(raw, 16)?,
                crc: bytes::le32(raw, 32)?,
            })
        };
        let intact = raw.starts_with(&MAGIC) && bytes::le32(raw, 36) == Some(own_crc(raw));
        if intact { fields().ok_or(BadProgress) } else { Err(BadProgress) }
    }
}

fn own_crc(raw: &[u8; PROGRESS_SIZE]) -> u32 {
    crc32fast::hash(raw.get(..36).unwrap_or(&[]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_record_comes_back_and_a_damaged_one_does_not(
            slot in 0..16_u8, raw: bool, size in prop::option::of(any::<u32>()), sectors in 0..1024_u32, head: [u8; 16],
            crc: u32, at in 0..PROGRESS_SIZE, bit in 0..8_u32,
        ) {
            let record = Progress { slot, raw, size, written: sectors * 4096, head, crc };
            let mut stored = record.to_bytes();
            prop_assert_eq!(Progress::from_bytes(&stored), Ok(record));
            stored[at] ^= 1 << bit;
            prop_assert_eq!(Progress::from_bytes(&stored), Err(BadProgress));
            prop_assert_eq!(Progress::from_bytes(&stored[..at]), Err(BadProgress));
        }
    }
}
