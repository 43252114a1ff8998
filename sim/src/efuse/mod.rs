//! The eFuse controller of the model: which bits are burned, and what each reader gets to see.
//!
//! Three readers see different things: software reads through [`Efuse`] (read protection applied), the encryption unit
//! gets its key from [`Efuses::flash_key`] whether it is protected or not, and the model's own files keep everything
//! ([`Efuses::raw_word`]). Burning only ever sets bits, and write protection is obeyed as the hardware does: silently.
//!
//! | file | concept |
//! |---|---|
//! | `mod.rs` | the bits, burning, protection |
//! | `key.rs` | the key that the flash encryption unit uses |
//! | `cells.rs` | burning cell by cell, blocks with coding errors |
//! | `coding.rs` | Reed-Solomon and the 3/4 code |
//! | `file.rs`, `text.rs` | the files that hold eFuses |
//!
//! # Power cuts while burning
//! A block is burned cell by cell: its data, and the check bytes of its code. Power that fails leaves any subset of the new
//! cells ([`Efuses::cells_to_burn`], [`Efuses::burn_cells`]); [`crate::fault`] chooses one. The controller then gives what the
//! code makes of it, and reports errors ([`Efuses::coding_error`]). A block that was burned whole has none and keeps its words only.
//! Bits that read differently from time to time are not modelled, nor are the copies by which block 0 guards itself.
//!
//! Sources: formats sheet §8.1-8.5.

mod cells;
pub(crate) mod coding;
mod error;
mod file;
mod key;
mod text;

pub use coding::CodingError;
pub use error::FileError;
pub use file::Format;

use dryburn::{
    Chip, Revision,
    efuse::{Efuse, Field, blocks, chip_revision, field_at, fields_at},
};
use std::{collections::BTreeMap, fmt};

/// The eFuses of one chip. Equality compares chip and burned bits.
#[derive(Clone)]
pub struct Efuses {
    chip: Chip,
    /// What the controller gives, whatever the read protection.
    blocks: Vec<Vec<u32>>,
    /// The cells of blocks in which they are no codeword.
    torn: BTreeMap<usize, cells::Cells>,
    /// The other registers of the controller, as the vendor's `--virt` file keeps them; empty where never seen.
    registers: Vec<u8>,
}

impl PartialEq for Efuses {
    fn eq(&self, other: &Self) -> bool {
        self.chip == other.chip && self.blocks == other.blocks && self.torn == other.torn
    }
}
impl Eq for Efuses {}

impl fmt::Debug for Efuses {
    /// Shows blocks as software reads them and of key blocks only whether they are burned: logs must not hold keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Efuses");
        shown.field("chip", &self.chip);
        for ((n, words), block) in self.blocks.iter().enumerate().zip(blocks(self.chip)) {
            if !block.read_disable.is_empty() {
                shown.field(block.name, &if words.iter().all(|w| *w == 0) { "empty" } else { "burned" });
            } else {
                let words = (0..words.len()).map(|w| format!("{:08x}", self.read_word(n, w))).collect::<Vec<_>>();
                shown.field(block.name, &words.join(" "));
            }
        }
        shown.finish()
    }
}

/// Why a field cannot be burned. Carries no field values: they may be keys.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BurnError {
    /// The chip has no such field.
    #[error("{chip} has no eFuse field called {name}")]
    NoSuchField {
        /// The chip.
        chip: Chip,
        /// What was asked for.
        name: String,
    },
    /// The value does not fit.
    #[error("the new value of {name} does not fit into its {bits} bits")]
    TooLarge {
        /// The field.
        name: &'static str,
        /// Its length in bits.
        bits: u16,
    },
    /// Burned bits cannot be cleared.
    #[error("{name} already has bits burned that the new value would clear; eFuses burn from 0 to 1 only")]
    WouldClear {
        /// The field.
        name: &'static str,
    },
    /// WR_DIS freezes the field.
    #[error("{name} is write-protected: WR_DIS bit {bit} is burned")]
    WriteProtected {
        /// The field.
        name: &'static str,
        /// The bit of WR_DIS.
        bit: u8,
    },
    /// No burned pattern stands for this silicon revision.
    #[error("{chip} has no eFuse pattern for revision {revision}")]
    NoSuchRevision {
        /// The chip.
        chip: Chip,
        /// What was asked for.
        revision: Revision,
    },
}

impl Efuses {
    /// Virgin eFuses: nothing burned, silicon revision v0.0.
    pub fn new(chip: Chip) -> Self {
        let blocks = blocks(chip).iter().map(|b| vec![0; b.words.into()]).collect();
        Self { chip, blocks, torn: BTreeMap::new(), registers: Vec::new() }
    }

    /// Virgin eFuses of a chip of that silicon revision (the fields that the factory burns).
    pub fn with_revision(chip: Chip, revision: Revision) -> Result<Self, BurnError> {
        let mut e = Self::new(chip);
        let (major, minor) = (u64::from(revision.major()), u64::from(revision.minor()));
        let parts: &[(&str, u64)] = match chip {
            Chip::Esp32 => &[
                ("CHIP_VER_REV1", u64::from(major > 0)),
                ("CHIP_VER_REV2", u64::from(major > 1)),
                ("WAFER_VERSION_MINOR", minor),
            ],
            Chip::Esp32s2 | Chip::Esp32s3 | Chip::Esp32c3 => &[
                ("WAFER_VERSION_MAJOR", major),
                ("WAFER_VERSION_MINOR_LO", minor & 7),
                ("WAFER_VERSION_MINOR_HI", minor >> 3),
            ],
            Chip::Esp32p4 => &[
                ("WAFER_VERSION_MAJOR_LO", major & 3),
                ("WAFER_VERSION_MAJOR_HI", major >> 2),
                ("WAFER_VERSION_MINOR", minor),
            ],
            _ => &[("WAFER_VERSION_MAJOR", major), ("WAFER_VERSION_MINOR", minor)],
        };
        let unknown = BurnError::NoSuchRevision { chip, revision };
        for (name, value) in parts {
            e.burn_field(name, *value).map_err(|_| unknown.clone())?;
        }
        if chip_revision(&e) == revision { Ok(e) } else { Err(unknown) }
    }

    /// The chip.
    pub fn chip(&self) -> Chip {
        self.chip
    }

    /// A word as the controller has it, whatever the read protection; 0 where there is none.
    pub fn raw_word(&self, block: usize, word: usize) -> u32 {
        self.blocks.get(block).and_then(|b| b.get(word)).copied().unwrap_or(0)
    }

    /// A block as the controller has it, whatever the read protection: little-endian words, padded with zeros.
    pub fn raw_block(&self, block: usize) -> [u8; 32] {
        let mut bytes = [0; 32];
        for (word, chunk) in bytes.as_chunks_mut::<4>().0.iter_mut().enumerate() {
            *chunk = self.raw_word(block, word).to_le_bytes();
        }
        bytes
    }

    /// The number of words of a block.
    pub(crate) fn words(&self, block: usize) -> usize {
        self.blocks.get(block).map_or(0, Vec::len)
    }

    /// Sets a word to what a file says; this is not burning.
    fn set_word(&mut self, block: usize, word: usize, value: u32) {
        if let Some(w) = self.blocks.get_mut(block).and_then(|b| b.get_mut(word)) {
            *w = value;
        }
    }

    /// Fields at the chip's present silicon revision.
    pub(crate) fn fields(&self) -> &'static [Field] {
        fields_at(self.chip, chip_revision(self))
    }

    /// WR_DIS as burned.
    fn write_disabled(&self, bit: u8) -> bool {
        self.raw_word(0, 0) & self.wr_dis_mask() & 1_u32.checked_shl(bit.into()).unwrap_or(0) != 0
    }

    fn wr_dis_mask(&self) -> u32 {
        match self.chip {
            Chip::Esp32 => 0xFFFF,
            Chip::Esp32c2 => 0xFF,
            _ => u32::MAX,
        }
    }

    /// RD_DIS as burned.
    fn read_disabled(&self, bit: u8) -> bool {
        let rd_dis =
            if self.chip == Chip::Esp32 { self.raw_word(0, 0) >> 16 & 0xF } else { self.raw_word(0, 1) & 0x7F };
        let rd_dis = if self.chip == Chip::Esp32c2 { rd_dis & 3 } else { rd_dis };
        rd_dis & 1_u32.checked_shl(bit.into()).unwrap_or(0) != 0
    }

    /// The bits of a word that some field of `table` with `select` covers.
    fn mask(table: &[Field], block: usize, word: usize, select: impl Fn(&Field) -> bool) -> u32 {
        table.iter().filter(|f| usize::from(f.block) == block && select(f)).fold(0, |mask, f| {
            let (start, end) = (usize::from(f.bit), usize::from(f.bit) + usize::from(f.len));
            (0..32).filter(|b| (start..end).contains(&(word * 32 + b))).fold(mask, |m, b| m | 1 << b)
        })
    }

    /// The bits of a word that burning cannot change.
    fn frozen_bits(&self, block: usize, word: usize) -> u32 {
        match blocks(self.chip).get(block).and_then(|b| b.write_disable) {
            Some(bit) if self.write_disabled(bit) => u32::MAX,
            Some(_) => 0,
            None => {
                Self::mask(self.fields(), block, word, |f| f.write_disable.is_some_and(|bit| self.write_disabled(bit)))
            }
        }
    }

    /// The bits of a word that software cannot read.
    fn hidden_bits(&self, block: usize, word: usize) -> u32 {
        let Some(info) = blocks(self.chip).get(block) else { return 0 };
        match info.read_disable {
            // The revision decides the table and is itself read from here; what is hidden does not depend on it.
            [] => Self::mask(fields_at(self.chip, Revision(0)), block, word, |f| {
                f.read_disable.iter().any(|bit| self.read_disabled(*bit))
            }),
            bits => {
                let part = usize::from(info.words).div_ceil(bits.len());
                let hidden = bits.get(word / part).is_some_and(|bit| self.read_disabled(*bit));
                if hidden { u32::MAX } else { 0 }
            }
        }
    }

    /// Burns a field (by name or alias) to `value`, or says why that cannot be.
    ///
    /// Fields longer than 64 bits are blocks: use [`Efuses::burn`].
    pub fn burn_field(&mut self, name: &str, value: u64) -> Result<(), BurnError> {
        if let Some((block, bits)) = self.field_bits(name, value)? {
            self.burn(block, &bits);
        }
        Ok(())
    }

    /// The block and bits that [`Efuses::burn_field`] burns; none where the field has that value.
    ///
    /// # Errors
    /// As there.
    pub(crate) fn field_bits(&self, name: &str, value: u64) -> Result<Option<(usize, Vec<u32>)>, BurnError> {
        let field = field_at(self.chip, chip_revision(self), name)
            .ok_or_else(|| BurnError::NoSuchField { chip: self.chip, name: name.into() })?;
        let name = field.name;
        if field.len < 64 && value >> field.len != 0 {
            return Err(BurnError::TooLarge { name, bits: field.len });
        }
        let new = place(field, &value.to_le_bytes(), self.words(field.block.into()));
        let old: Vec<u32> = new
            .iter()
            .enumerate()
            .map(|(w, _)| self.raw_word(field.block.into(), w) & self.field_mask(field, w))
            .collect();
        if old == new {
            return Ok(None);
        }
        if let Some(bit) = field.write_disable.filter(|bit| self.write_disabled(*bit)) {
            return Err(BurnError::WriteProtected { name, bit });
        }
        if old.iter().zip(&new).any(|(old, new)| old & !new != 0) {
            return Err(BurnError::WouldClear { name });
        }
        Ok(Some((field.block.into(), new)))
    }

    fn field_mask(&self, field: &Field, word: usize) -> u32 {
        Self::mask(std::slice::from_ref(field), field.block.into(), word, |_| true)
    }

    /// Drops what software cannot read any more, as the vendor's emulator does with its `--virt` file.
    pub(crate) fn forget_protected(&mut self) {
        for block in 0..self.blocks.len() {
            for word in 0..self.words(block) {
                let visible = self.read_word(block, word);
                self.set_word(block, word, visible);
            }
        }
    }
}

/// The bits of a value laid out at the place of its field, as the words of its block.
pub(crate) fn place(field: &Field, value: &[u8], words: usize) -> Vec<u32> {
    let mut out = vec![0; words];
    for i in 0..usize::from(field.len) {
        if value.get(i / 8).is_some_and(|byte| byte >> (i % 8) & 1 == 1) {
            let bit = usize::from(field.bit) + i;
            if let Some(word) = out.get_mut(bit / 32) {
                *word |= 1_u32 << (bit % 32);
            }
        }
    }
    out
}

impl Efuse for Efuses {
    fn chip(&self) -> Chip {
        self.chip
    }
    fn read_word(&self, block: usize, word: usize) -> u32 {
        self.raw_word(block, word) & !self.hidden_bits(block, word)
    }
}

#[cfg(test)]
mod tests;
