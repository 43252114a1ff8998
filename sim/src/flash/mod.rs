//! The NOR flash chip: what its array does ([`Flash`]) and what its SPI commands make of it ([`spi`]).
//!
//! The array knows two changes, with the vendor's words: *erase* sets a whole sector of 4096 bytes to `0xFF`, *program*
//! clears bits (`new = old AND data`) and can never set one. That is the whole contract (behaviour sheet §4.3); timing,
//! torn operations and protection are wrapped around it by others ([`spi`] models the status register). What writes it can be
//! noted in a [`journal`], for power cuts in whoever knows nothing of them.
//!
//! | unit | bytes | |
//! |---|---|---|
//! | page | 256 | one page-program command reaches one page |
//! | sector | 4096 | the smallest erase |
//!
//! A clone shares every sector until one of the two changes it, so a campaign can branch a 4 MB device thousands of
//! times per second; erased sectors share one block of memory for the whole process.

mod error;
pub mod journal;
pub mod spi;

pub use error::FlashError;

use dryburn::{PAGE, SECTOR};
use embedded_storage::nor_flash::{ErrorType, MultiwriteNorFlash, NorFlash, ReadNorFlash};
use journal::Journal;
use std::sync::{Arc, LazyLock};

/// The bytes of one sector.
type Sector = [u8; SECTOR as usize];

/// The one erased sector that every blank sector of every flash shares.
static ERASED: LazyLock<Arc<Sector>> = LazyLock::new(|| Arc::new([0xFF; SECTOR as usize]));

/// What the array has gone through since it was made. Clones carry their history on from there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Bytes handed to [`Flash::program`].
    pub bytes_programmed: u64,
    /// Page-program commands that those bytes take: one for each page of 256 bytes touched by a call.
    pub page_programs: u64,
    /// Sectors erased; a block erase counts each of its 16.
    pub sector_erases: u64,
    /// Erases of each sector, in the order of their addresses.
    pub wear: Vec<u32>,
}

/// The array of one flash chip. Addresses are bytes from its start.
#[derive(Clone)]
pub struct Flash {
    sectors: Vec<Arc<Sector>>,
    counters: Counters,
    journal: Journal,
}

impl Flash {
    /// The smallest modelled chip, in bytes: 256 KB.
    pub const MIN_SIZE: u32 = 256 * 1024;
    /// The largest modelled chip, in bytes: 128 MB, the last size that an image header can name (formats sheet §1.2).
    pub const MAX_SIZE: u32 = 128 * 1024 * 1024;

    /// A factory-fresh (erased) chip of `size` bytes.
    ///
    /// # Errors
    /// [`FlashError::BadSize`] unless `size` is a power of two from [`Self::MIN_SIZE`] to [`Self::MAX_SIZE`].
    pub fn new(size: u32) -> Result<Self, FlashError> {
        let count = Self::sector_count(u64::from(size))?;
        Ok(Self {
            sectors: vec![ERASED.clone(); count],
            counters: Counters { wear: vec![0; count], ..Counters::default() },
            journal: Journal::default(),
        })
    }

    /// A chip that holds `bytes`, whose length is the size of the chip; counters start at zero.
    ///
    /// # Errors
    /// [`FlashError::BadSize`], as for [`Self::new`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, FlashError> {
        let count = Self::sector_count(bytes.len() as u64)?;
        let (sectors, _) = bytes.as_chunks::<{ SECTOR as usize }>();
        let sectors = sectors.iter().map(|s| if *s == **ERASED { ERASED.clone() } else { Arc::new(*s) }).collect();
        let counters = Counters { wear: vec![0; count], ..Counters::default() };
        Ok(Self { sectors, counters, journal: Journal::default() })
    }

    /// Number of sectors of a chip of `size` bytes.
    fn sector_count(size: u64) -> Result<usize, FlashError> {
        let sizes = u64::from(Self::MIN_SIZE)..=u64::from(Self::MAX_SIZE);
        if !size.is_power_of_two() || !sizes.contains(&size) {
            return Err(FlashError::BadSize { size });
        }
        Ok((size / u64::from(SECTOR)) as usize)
    }

    /// The whole array.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.sectors.iter().map(|sector| &sector[..]).collect::<Vec<_>>().concat()
    }

    /// Size in bytes.
    pub fn size(&self) -> u32 {
        // At most MAX_SIZE, by construction.
        self.sectors.len() as u32 * SECTOR
    }

    /// What the array has gone through.
    pub fn counters(&self) -> Counters {
        self.counters.clone()
    }

    /// Reads `buf.len()` bytes at `address`.
    ///
    /// # Errors
    /// [`FlashError::OutOfBounds`] when the range leaves the chip; `buf` is then unchanged.
    pub fn read(&self, address: u32, buf: &mut [u8]) -> Result<(), FlashError> {
        self.check_range(address, buf.len() as u64)?;
        let mut at = address;
        let mut rest = buf;
        while !rest.is_empty() {
            let (sector, offset, length) = split(at, rest.len(), SECTOR);
            let (piece, next) = rest.split_at_mut(length);
            piece.copy_from_slice(&self.sectors[sector][offset..offset + length]);
            at += length as u32;
            rest = next;
        }
        Ok(())
    }

    /// Programs `data` at `address`: each byte becomes `old AND new`. Any address and length; no wrap at page ends (that is
    /// the matter of one SPI command, see [`spi`]).
    ///
    /// # Errors
    /// [`FlashError::OutOfBounds`] when the range leaves the chip; nothing is then programmed.
    pub fn program(&mut self, address: u32, data: &[u8]) -> Result<(), FlashError> {
        self.check_range(address, data.len() as u64)?;
        self.journal.programmed(address, data);
        let mut at = address;
        let mut rest = data;
        while !rest.is_empty() {
            let (sector, offset, length) = split(at, rest.len(), SECTOR);
            let (piece, next) = rest.split_at(length);
            let target = offset..offset + length;
            let clears = self.sectors[sector][target.clone()].iter().zip(piece).any(|(old, new)| old & new != *old);
            if clears {
                let cells = &mut Arc::make_mut(&mut self.sectors[sector])[target];
                cells.iter_mut().zip(piece).for_each(|(cell, new)| *cell &= new);
            }
            at += length as u32;
            rest = next;
        }
        if let Some(last) = data.len().checked_sub(1) {
            let last_page = (address + last as u32) / PAGE;
            self.counters.page_programs += u64::from(last_page - address / PAGE + 1);
            self.counters.bytes_programmed += data.len() as u64;
        }
        Ok(())
    }

    /// Erases the sector at `address` to `0xFF`.
    ///
    /// # Errors
    /// [`FlashError::NotAligned`] unless `address` is the first of a sector, [`FlashError::OutOfBounds`] past the end.
    pub fn erase_sector(&mut self, address: u32) -> Result<(), FlashError> {
        self.erase(address, address.saturating_add(SECTOR))
    }

    /// Erases the sectors from `from` up to but not including `to`.
    ///
    /// # Errors
    /// [`FlashError::OutOfBounds`] when `from > to` or the range leaves the chip, [`FlashError::NotAligned`] unless both are
    /// multiples of 4096; nothing is then erased.
    pub fn erase(&mut self, from: u32, to: u32) -> Result<(), FlashError> {
        self.check_erase(from, to)?;
        for sector in (from / SECTOR) as usize..(to / SECTOR) as usize {
            self.journal.erased(sector as u32 * SECTOR);
            self.sectors[sector] = ERASED.clone();
            self.counters.wear[sector] = self.counters.wear[sector].saturating_add(1);
            self.counters.sector_erases += 1;
        }
        Ok(())
    }

    /// Whether [`Flash::erase`] would take that range.
    pub(crate) fn check_erase(&self, from: u32, to: u32) -> Result<(), FlashError> {
        let size = self.size();
        let length = u64::from(to.saturating_sub(from));
        if from > to || to > size {
            return Err(FlashError::OutOfBounds { address: from, length, size });
        }
        if !from.is_multiple_of(SECTOR) || !to.is_multiple_of(SECTOR) {
            return Err(FlashError::NotAligned { address: from, length, size });
        }
        Ok(())
    }

    /// Addresses (not numbers) of the sectors whose content differs from that in `before`, ascending. A sector that only
    /// one of the two chips has counts as changed.
    pub fn changed_sectors(&self, before: &Flash) -> Vec<u32> {
        (0..self.sectors.len().max(before.sectors.len()))
            .filter(|n| match (self.sectors.get(*n), before.sectors.get(*n)) {
                (Some(a), Some(b)) => !Arc::ptr_eq(a, b) && a != b,
                _ => true,
            })
            .map(|n| n as u32 * SECTOR)
            .collect()
    }

    /// That `length` bytes at `address` lie in the chip.
    pub(crate) fn check_range(&self, address: u32, length: u64) -> Result<(), FlashError> {
        let size = self.size();
        if u64::from(address) + length > u64::from(size) {
            return Err(FlashError::OutOfBounds { address, length, size });
        }
        Ok(())
    }
}

/// The number of the unit that holds `address`, the offset in it, and how many of `length` bytes still lie in it.
fn split(address: u32, length: usize, unit: u32) -> (usize, usize, usize) {
    let offset = address % unit;
    ((address / unit) as usize, offset as usize, length.min((unit - offset) as usize))
}

impl std::fmt::Debug for Flash {
    /// Size and counters only: a dump of the array would bury a failed assertion.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Counters { bytes_programmed, page_programs, sector_erases, .. } = self.counters;
        f.debug_struct("Flash")
            .field("size", &self.size())
            .field("bytes_programmed", &bytes_programmed)
            .field("page_programs", &page_programs)
            .field("sector_erases", &sector_erases)
            .finish_non_exhaustive()
    }
}

impl PartialEq for Flash {
    /// Equal bytes; the history does not count.
    fn eq(&self, other: &Self) -> bool {
        self.changed_sectors(other).is_empty()
    }
}

impl Eq for Flash {}

impl ErrorType for Flash {
    type Error = FlashError;
}

impl ReadNorFlash for Flash {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), FlashError> {
        Flash::read(self, offset, bytes)
    }

    fn capacity(&self) -> usize {
        self.size() as usize
    }
}

impl NorFlash for Flash {
    const WRITE_SIZE: usize = 1;
    const ERASE_SIZE: usize = SECTOR as usize;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), FlashError> {
        Flash::erase(self, from, to)
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), FlashError> {
        self.program(offset, bytes)
    }
}

/// A second program over the same bytes clears further bits, as the trait demands.
impl MultiwriteNorFlash for Flash {}

#[cfg(test)]
mod tests;
