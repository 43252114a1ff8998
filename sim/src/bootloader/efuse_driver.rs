//! ESP-IDF's eFuse driver as the bootloader uses it: bits are staged, then burned block by block, the highest first, so
//! that protections and the crypt counter, which lie in BLOCK0, come last. Behaviour sheet §8.2, security-builds sheet.

use crate::{
    efuse::Efuses,
    fault::{PowerLost, PoweredEfuses},
};
use dryburn::{
    IdfVersion,
    efuse::{self, Efuse, Field},
};
use serde::Serialize;

/// What the driver prints about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "efuse", rename_all = "snake_case")]
pub enum Event {
    /// Writes are collected from here on.
    BatchBegins,
    /// What was collected is dropped.
    BatchCancelled,
    /// What was collected has been sent to the controller, successfully or not.
    BatchCommitted,
    /// A key is staged.
    WritingKey {
        /// Key block, 0 to 5.
        key: u8,
        /// KEY_PURPOSE.
        purpose: u8,
    },
    /// No free key block.
    NoKeyBlock {
        /// How many are needed.
        required: u8,
        /// How many are left.
        left: u8,
    },
    /// A counter cannot be raised that far.
    BitsNotSet {
        /// How many bits are missing.
        missing: u16,
    },
    /// Bits to be burned are burned already.
    Repeated {
        /// Those bits, in their word.
        bits: u32,
    },
    /// A block is programmed.
    Burn {
        /// Block number.
        block: u8,
    },
    /// The block holds what was programmed.
    BurnOk {
        /// Block number.
        block: u8,
        /// It holds nothing else.
        exact: bool,
    },
    /// The block does not hold what was programmed.
    BurnFailed {
        /// Block number.
        block: u8,
        /// Which of three attempts.
        attempt: u8,
    },
    /// The block was left out because the one before it failed.
    BurnSkipped {
        /// Block number.
        block: u8,
    },
    /// At least one block does not hold what was programmed.
    WrittenIncorrectly,
    /// ESP-IDF 6.1: write protection was held back because something failed.
    WriteProtectionHeldBack {
        /// The WR_DIS bits that were not burned.
        bits: u32,
    },
}

/// Blocks have at most eight words.
type Words = [u32; 8];

/// Staged writes of one commit.
pub struct Batch {
    staged: Vec<Words>,
    idf: IdfVersion,
}

impl Batch {
    /// Nothing staged, for the driver of ESP-IDF `idf`.
    pub fn new(efuses: &Efuses, idf: IdfVersion) -> Self {
        Self { staged: vec![[0; 8]; efuse::blocks(efuses.chip()).len()], idf }
    }

    fn field(efuses: &Efuses, name: &str) -> Option<&'static Field> {
        efuse::field_at(efuses.chip(), efuse::chip_revision(efuses), name)
    }

    fn stage_at(&mut self, block: usize, bit: usize) {
        if let Some(word) = self.staged.get_mut(block).and_then(|words| words.get_mut(bit / 32)) {
            *word |= 1 << (bit % 32);
        }
    }

    /// Stages bits of a field that are not burned yet; a chip without the field is left alone.
    pub fn stage(&mut self, efuses: &Efuses, name: &str, value: u32) {
        let Some(field) = Self::field(efuses, name) else { return };
        let burned = efuse::read_field(efuses, field);
        for bit in (0..field.len.min(32)).filter(|bit| (value & !burned) >> bit & 1 == 1) {
            self.stage_at(field.block.into(), usize::from(field.bit + bit));
        }
    }

    /// Stages the write protection of a field, unless it is burned.
    pub fn stage_write_protection(&mut self, efuses: &Efuses, name: &str) {
        if let Some(bit) = Self::field(efuses, name).and_then(|f| f.write_disable) {
            self.stage(efuses, "WR_DIS", 1 << bit);
        }
    }

    /// Stages the read protection of a field, unless it is burned.
    pub fn stage_read_protection(&mut self, efuses: &Efuses, name: &str) {
        for bit in Self::field(efuses, name).map_or(&[][..], |f| f.read_disable) {
            self.stage(efuses, "RD_DIS", 1 << bit);
        }
    }

    /// Stages the bytes of a whole block, in memory order.
    pub fn stage_block(&mut self, block: usize, bytes: &[u8; 32]) {
        if let Some(words) = self.staged.get_mut(block) {
            let (chunks, _) = bytes.as_chunks();
            for (word, chunk) in words.iter_mut().zip(chunks) {
                *word |= u32::from_le_bytes(*chunk);
            }
        }
    }

    /// Burns what is staged. Whether every block holds it afterwards.
    ///
    /// # Errors
    /// Power fails.
    pub fn commit(mut self, efuses: &mut PoweredEfuses<'_>, tell: &mut dyn FnMut(Event)) -> Result<bool, PowerLost> {
        // ESP-IDF 6.1 holds WR_DIS back until everything else is burned
        let deferred = match self.staged.first_mut() {
            Some(words) if self.idf.since(6, 1) => std::mem::take(&mut words[0]),
            _ => 0,
        };
        let ok = self.pass(efuses, tell)?;
        if !ok {
            tell(Event::WrittenIncorrectly);
        }
        if deferred == 0 {
            return Ok(ok);
        }
        if !ok {
            tell(Event::WriteProtectionHeldBack { bits: deferred });
            return Ok(false);
        }
        let mut second = Self::new(efuses, self.idf);
        second.staged[0][0] = deferred;
        second.pass(efuses, tell)
    }

    fn pass(&self, efuses: &mut PoweredEfuses<'_>, tell: &mut dyn FnMut(Event)) -> Result<bool, PowerLost> {
        let mut ok = true;
        for (block, words) in self.staged.iter().enumerate().rev().filter(|(_, words)| **words != [0; 8]) {
            let number = block as u8;
            if !ok {
                tell(Event::BurnSkipped { block: number });
                continue;
            }
            ok = false;
            for attempt in 1..=3 {
                tell(Event::Burn { block: number });
                efuses.burn(block, words)?;
                let read: Words = std::array::from_fn(|w| efuses.read_word(block, w));
                ok = words.iter().zip(&read).all(|(staged, read)| staged & !read == 0);
                tell(if ok {
                    Event::BurnOk { block: number, exact: read == *words }
                } else {
                    Event::BurnFailed { block: number, attempt }
                });
                if ok {
                    break;
                }
            }
        }
        Ok(ok)
    }
}
