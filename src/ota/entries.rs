//! Reading and writing otadata, so that a power cut leaves the old choice or the new one.

use super::{
    Updater,
    choice::{self, Write},
    error::{FlashFault, FlashOp, OtadataError},
    medium::{Medium, tried},
};
use crate::{
    SECTOR,
    flash_encryption::PIECE,
    otadata::{ENTRY_SIZE, Entry, State},
};

/// More writes than any goal needs: [`choice::release`] takes three at most.
const MOST_WRITES: usize = 4;

impl<M: Medium> Updater<M> {
    /// Both entries as the bootloader reads them. Whatever lies there is an entry; only the driver can fail.
    pub(super) fn entries(&mut self) -> Result<[Entry; 2], FlashFault<M::Error>> {
        Ok([self.entry(0)?, self.entry(1)?])
    }

    fn entry(&mut self, sector: u8) -> Result<Entry, FlashFault<M::Error>> {
        let mut raw = [0; ENTRY_SIZE];
        let at = self.entry_address(sector);
        tried(self.medium.read(at, &mut raw), FlashOp::Read, at)?;
        Ok(Entry::from_bytes(raw))
    }

    fn entry_address(&self, sector: u8) -> u32 {
        self.otadata.offset.saturating_add(u32::from(sector).saturating_mul(SECTOR))
    }

    /// The running app's state in otadata; `None` where otadata does not speak of it: a factory app, an app that was
    /// flashed over a cable or that the bootloader fell back to.
    ///
    /// # Errors
    /// What the flash driver reports.
    pub fn state(&mut self) -> Result<Option<State>, FlashFault<M::Error>> {
        let entries = self.entries()?;
        let crate::boot::Slot::Ota(slot) = self.running else { return Ok(None) };
        let index = choice::entry_of(&entries, slot, self.slots.app_count);
        Ok(index.and_then(|k| entries.get(k)).map(Entry::state))
    }

    /// Sees to it that the running app is the only one that otadata can choose; for a factory app, that it chooses none.
    pub(super) fn release(&mut self) -> Result<(), OtadataError<M::Error>> {
        for _ in 0..MOST_WRITES {
            let entries = self.entries()?;
            match choice::release(&entries, self.running, self.slots.app_count) {
                Some(write) => self.carry_out(write)?,
                None => break,
            }
        }
        Ok(())
    }

    /// One write: erase, then the second half of the entry, then the first with `ota_seq`.
    ///
    /// The CRC in the second half fits one `ota_seq` only, so an entry that is cut anywhere is not valid; its state, which no
    /// CRC covers, is complete before it can count. On an encrypted device each half is a piece of its own.
    pub(super) fn carry_out(&mut self, write: Write) -> Result<(), OtadataError<M::Error>> {
        let (sector, entry) = match write {
            Write::Blank { sector } => (sector, None),
            Write::Entry { sector, entry } => (sector, Some(entry)),
        };
        let at = self.entry_address(sector);
        tried(self.medium.erase_sector(at), FlashOp::Erase, at)?;
        let Some(entry) = entry else {
            let blank = !self.entry(sector)?.is_valid();
            return if blank { Ok(()) } else { Err(OtadataError::NotStored { sector }) };
        };
        let raw = entry.to_bytes();
        let (first, second) = raw.split_at(PIECE);
        let behind = at.saturating_add(PIECE as u32);
        tried(self.medium.program(behind, second), FlashOp::Program, behind)?;
        tried(self.medium.program(at, first), FlashOp::Program, at)?;
        if self.entry(sector)? == entry { Ok(()) } else { Err(OtadataError::NotStored { sector }) }
    }
}
