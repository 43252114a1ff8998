//! The end of the pipe: bytes in order of arrival to flash, sector by sector, in whole 16-byte pieces.

use super::{
    Erase,
    error::{FlashOp, WriteError},
    medium::{Medium, tried},
};
use crate::{SECTOR, flash_encryption::PIECE, image};
use core::fmt::Debug;

/// What is written where. Offsets are relative to the slot.
pub(super) struct Sink {
    /// Flash address and size of the slot.
    pub region: image::Region,
    pub raw: bool,
    /// The announced size.
    pub size: Option<u32>,
    /// Offset of the next whole piece.
    pub at: u32,
    /// Sectors below this offset are erased.
    pub erased: u32,
    /// The first piece, which is programmed last.
    pub head: [u8; PIECE],
    /// Bytes that do not fill a piece yet.
    tail: [u8; PIECE],
    filled: usize,
    crc: crc32fast::Hasher,
    /// The last sector boundary that was reached, with the CRC of everything before it.
    pub mark: (u32, u32),
    pub failed: bool,
}

impl Sink {
    pub fn new(region: image::Region, raw: bool, size: Option<u32>) -> Self {
        Self {
            region,
            raw,
            size,
            at: 0,
            erased: 0,
            head: [0xFF; PIECE],
            tail: [0xFF; PIECE],
            filled: 0,
            crc: crc32fast::Hasher::new(),
            mark: (0, 0),
            failed: false,
        }
    }

    /// As if `written` bytes with this CRC had arrived.
    pub fn resumed(mut self, head: [u8; PIECE], written: u32, crc: u32) -> Self {
        self.head = head;
        (self.at, self.erased) = (written, written);
        self.crc = crc32fast::Hasher::new_with_initial(crc);
        self.mark = (written, crc);
        self
    }

    /// Bytes that have arrived.
    pub fn written(&self) -> u32 {
        self.at.saturating_add(self.filled as u32)
    }

    fn room(&self) -> u32 {
        self.size.unwrap_or(self.region.size).min(self.region.size)
    }

    /// Erases everything that `erase` wants erased before the first write.
    pub fn prepare<M: Medium>(&mut self, medium: &mut M, erase: Erase) -> Result<(), super::FlashFault<M::Error>> {
        if erase == Erase::First {
            self.erase_to(medium, self.room())?;
        }
        Ok(())
    }

    /// Takes bytes of any number.
    pub fn take<M: Medium, S: Debug>(&mut self, medium: &mut M, bytes: &[u8]) -> Result<(), WriteError<M::Error, S>> {
        if self.failed {
            return Err(WriteError::Failed);
        }
        let end = u64::from(self.written()).saturating_add(bytes.len() as u64);
        if end > u64::from(self.room()) {
            self.failed = true;
            return Err(WriteError::TooMuch { end, room: self.room() });
        }
        self.failed = true;
        self.take_all(medium, bytes)?;
        self.failed = false;
        Ok(())
    }

    fn take_all<M: Medium, S: Debug>(&mut self, medium: &mut M, bytes: &[u8]) -> Result<(), WriteError<M::Error, S>> {
        let mut rest = bytes;
        if self.filled > 0 {
            let (part, behind) = rest.split_at(PIECE.saturating_sub(self.filled).min(rest.len()));
            self.fill(part);
            rest = behind;
            if self.filled < PIECE {
                return Ok(());
            }
            self.flush(medium)?;
        }
        let (pieces, behind) = rest.split_at(rest.len() & !(PIECE.wrapping_sub(1)));
        self.put(medium, pieces)?;
        self.fill(behind);
        Ok(())
    }

    fn fill(&mut self, bytes: &[u8]) {
        self.tail.iter_mut().skip(self.filled).zip(bytes).for_each(|(to, from)| *to = *from);
        self.filled = self.filled.saturating_add(bytes.len());
    }

    /// Programs what does not fill a piece, padded with 0xFF.
    pub fn flush<M: Medium, S: Debug>(&mut self, medium: &mut M) -> Result<(), WriteError<M::Error, S>> {
        if self.filled > 0 {
            let tail = self.tail;
            (self.tail, self.filled) = ([0xFF; PIECE], 0);
            self.put(medium, &tail)?;
        }
        Ok(())
    }

    /// Takes whole pieces.
    fn put<M: Medium, S: Debug>(&mut self, medium: &mut M, pieces: &[u8]) -> Result<(), WriteError<M::Error, S>> {
        let mut rest = pieces;
        while !rest.is_empty() {
            let to_boundary = SECTOR.saturating_sub(self.at & SECTOR.wrapping_sub(1));
            let (part, behind) = rest.split_at(rest.len().min(to_boundary as usize));
            self.put_in_sector(medium, part)?;
            rest = behind;
        }
        Ok(())
    }

    fn put_in_sector<M: Medium, S: Debug>(
        &mut self,
        medium: &mut M,
        part: &[u8],
    ) -> Result<(), WriteError<M::Error, S>> {
        if self.at == 0
            && let Some(found) = part.first().copied()
            && !self.raw
            && found != image::MAGIC
        {
            return Err(WriteError::BadMagic { found });
        }
        let length = part.len() as u32;
        self.erase_to(medium, self.at.saturating_add(length))?;
        self.program(medium, self.at, part)?;
        self.crc.update(part);
        self.at = self.at.saturating_add(length);
        if self.at.is_multiple_of(SECTOR) {
            self.mark = (self.at, self.crc.clone().finalize());
        }
        Ok(())
    }

    /// Programs whole pieces within a sector that is erased; the first piece of the slot is only kept.
    pub fn program<M: Medium>(
        &mut self,
        medium: &mut M,
        offset: u32,
        pieces: &[u8],
    ) -> Result<(), super::FlashFault<M::Error>> {
        let mut rest = pieces;
        let mut at = self.region.offset.saturating_add(offset);
        if offset == 0
            && let Some((head, behind)) = pieces.split_first_chunk()
        {
            self.head = *head;
            rest = behind;
            at = at.saturating_add(PIECE as u32);
        }
        if rest.is_empty() {
            return Ok(());
        }
        let result = if self.raw { medium.program_raw(at, rest) } else { medium.program(at, rest) };
        tried(result, FlashOp::Program, at)
    }

    /// Erases the sectors up to the one that ends at or behind `end`.
    pub fn erase_to<M: Medium>(&mut self, medium: &mut M, end: u32) -> Result<(), super::FlashFault<M::Error>> {
        while self.erased < end {
            let at = self.region.offset.saturating_add(self.erased);
            tried(medium.erase_sector(at), FlashOp::Erase, at)?;
            self.erased = self.erased.saturating_add(SECTOR);
        }
        Ok(())
    }
}
