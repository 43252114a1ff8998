//! Burning cell by cell, and blocks whose cells are no codeword.

use super::{
    Efuses,
    coding::{Coding, CodingError},
    file::set_register,
};
use dryburn::{Chip, efuse::blocks};

/// The cells of one block: data, then check bytes; of the 3/4 code 24 data bytes count.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Cells {
    data: [u8; 32],
    check: Vec<u8>,
}

impl Cells {
    fn bit(&self, cell: u16) -> bool {
        let (byte, bit) = (usize::from(cell / 8), cell % 8);
        self.data.iter().chain(&self.check).nth(byte).is_some_and(|byte| byte >> bit & 1 == 1)
    }

    fn set(&mut self, cell: u16) {
        let (byte, bit) = (usize::from(cell / 8), cell % 8);
        if let Some(byte) = self.data.iter_mut().chain(&mut self.check).nth(byte) {
            *byte |= 1 << bit;
        }
    }

    fn count(&self) -> u16 {
        (self.data.len() + self.check.len()) as u16 * 8
    }
}

impl Efuses {
    /// The code of a block. The ESP32's counts as it stands: a block that was burned before CODING_SCHEME is not read anew.
    fn coding(&self, block: usize) -> Coding {
        match self.chip() {
            _ if block == 0 => Coding::None,
            Chip::Esp32 if self.raw_word(0, 6) & 3 == 1 => Coding::ThreeQuarters,
            Chip::Esp32 => Coding::None,
            _ => Coding::ReedSolomon,
        }
    }

    fn cells(&self, block: usize) -> Cells {
        self.torn.get(&block).cloned().unwrap_or_else(|| {
            let data = self.raw_block(block);
            Cells { data, check: self.coding(block).check(&data) }
        })
    }

    /// The cells with which `bits` is burned into a block, without those that WR_DIS (as it is now) freezes.
    fn wanted(&self, block: usize, bits: &[u32]) -> Cells {
        let mut data = [0; 32];
        for (word, (chunk, bits)) in
            data.as_chunks_mut::<4>().0.iter_mut().zip(bits).enumerate().take(self.words(block))
        {
            *chunk = (bits & !self.frozen_bits(block, word)).to_le_bytes();
        }
        Cells { data, check: self.coding(block).check(&data) }
    }

    /// Burns bits of a block, as the hardware does: bits go from 0 to 1 only, and what WR_DIS freezes (as it was before this
    /// burn) stays as it is. Words beyond the block are ignored. A coded block that has other bits already gets coding errors.
    pub fn burn(&mut self, block: usize, bits: &[u32]) {
        let cells = self.cells_to_burn(block, bits);
        self.burn_cells(block, &cells);
    }

    /// The cells that [`Efuses::burn`] would set: numbers of bits, data first, then check bytes; a burned cell is none of them.
    pub fn cells_to_burn(&self, block: usize, bits: &[u32]) -> Vec<u16> {
        let (now, wanted) = (self.cells(block), self.wanted(block, bits));
        (0..wanted.count()).filter(|cell| wanted.bit(*cell) && !now.bit(*cell)).collect()
    }

    /// Sets cells of a block, as a burn does that is not finished.
    pub fn burn_cells(&mut self, block: usize, cells: &[u16]) {
        let mut all = self.cells(block);
        cells.iter().for_each(|cell| all.set(*cell));
        let coding = self.coding(block);
        let decoded = coding.decode(&all.data, &all.check);
        self.set_block(block, &decoded.data);
        if decoded.error.is_some() {
            self.torn.insert(block, all);
        } else {
            self.torn.remove(&block);
        }
    }

    /// Burns as the vendor's emulator does, which knows no codes: bits go from 0 to 1.
    pub(crate) fn burn_without_code(&mut self, block: usize, bits: &[u32]) {
        let wanted = self.wanted(block, bits);
        for (word, chunk) in wanted.data.as_chunks::<4>().0.iter().enumerate() {
            let value = self.raw_word(block, word) | u32::from_le_bytes(*chunk);
            self.set_word(block, word, value);
        }
    }

    /// The coding errors of a block: of its cells, or what the error registers of a `--virt` file tell.
    pub fn coding_error(&self, block: usize) -> Option<CodingError> {
        match self.torn.get(&block) {
            Some(cells) => self.coding(block).decode(&cells.data, &cells.check).error,
            None => self.reported_error(block),
        }
    }

    fn register(&self, offset: usize) -> u32 {
        let bytes = self.registers.get(offset..offset + 4).and_then(|bytes| bytes.try_into().ok());
        bytes.map_or(0, u32::from_le_bytes)
    }

    fn reported_error(&self, block: usize) -> Option<CodingError> {
        if block >= blocks(self.chip()).len() {
            return None;
        }
        if block == 0 {
            let count = self.repeat_errors().iter().map(|word| word.count_ones() as u8).sum();
            return (count != 0).then_some(CodingError { count, failed: true });
        }
        if self.chip() == Chip::Esp32 {
            let failed = self.register(DEC_STATUS) & 0xFFF != 0;
            return failed.then_some(CodingError { count: 0, failed });
        }
        let (count, fail) = error_bits(self.chip(), block)?;
        let count = (self.register(count.0) >> count.1 & 7) as u8;
        let failed = fail.is_some_and(|(offset, bit)| self.register(offset) >> bit & 1 == 1);
        (count != 0 || failed).then_some(CodingError { count, failed })
    }

    /// What a `--virt` file tells of bits of block 0 whose copies differ: nothing here makes such bits.
    pub(crate) fn repeat_errors(&self) -> Vec<u32> {
        repeat_registers(self.chip()).iter().map(|offset| self.register(*offset)).collect()
    }

    /// The error registers by the names that the vendor's tool prints.
    pub(crate) fn error_registers(&self) -> Vec<(&'static str, u32)> {
        let mut image = self.registers.clone();
        image.resize(0x200, 0);
        self.write_error_registers(&mut image);
        let value = |offset: usize| {
            let bytes = image.get(offset..offset + 4).and_then(|bytes| bytes.try_into().ok());
            bytes.map_or(0, u32::from_le_bytes)
        };
        let base = error_base(self.chip());
        match self.chip() {
            Chip::Esp32 => vec![("EFUSE_REG_DEC_STATUS", value(DEC_STATUS))],
            Chip::Esp32c2 => vec![("EFUSE_RD_RS_ERR_REG", value(base))],
            _ => vec![("EFUSE_RD_RS_ERR0_REG", value(base)), ("EFUSE_RD_RS_ERR1_REG", value(base + 4))],
        }
    }

    /// The error registers of a `--virt` file for the blocks that have coding errors.
    pub(super) fn write_error_registers(&self, image: &mut [u8]) {
        for block in self.torn.keys() {
            let Some(error) = self.coding_error(*block) else { continue };
            let mut add = |(offset, shift): (usize, usize), bits: u32| {
                let old =
                    image.get(offset..offset + 4).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_le_bytes);
                set_register(image, offset, old | bits << shift);
            };
            if self.chip() == Chip::Esp32 {
                // four bits for each block; which one stands for which group is UNVERIFIED
                add((DEC_STATUS, block.saturating_sub(1) * 4), 1);
            } else if let Some((count, fail)) = error_bits(self.chip(), *block) {
                add(count, error.count.into());
                if let Some(fail) = fail {
                    add(fail, error.failed.into());
                }
            }
        }
    }
}

/// The ESP32's decoder status.
const DEC_STATUS: usize = 0x11C;

/// Offset of the first error register.
fn error_base(chip: Chip) -> usize {
    match chip {
        Chip::Esp32c2 => 0x84,
        Chip::Esp32c5 | Chip::Esp32c61 => 0x190,
        _ => 0x1C0,
    }
}

/// Offset of a register, bit of it.
type Place = (usize, usize);

/// Where the error registers count a block's errors and say that they are too many. Seen by what espefuse 5.6 makes of
/// them.
fn error_bits(chip: Chip, block: usize) -> Option<(Place, Option<Place>)> {
    let base = error_base(chip);
    let nibble = block.checked_sub(1)?;
    let place = |nibble: usize, bit: usize| (base + nibble / 8 * 4, nibble % 8 * 4 + bit);
    // the ESP32-C3's flags lie one block further on, and its last block has none
    let fail = if chip == Chip::Esp32c3 { nibble + 1 } else { nibble };
    let last = blocks(chip).len() - 1;
    Some((place(nibble, 0), (fail < last).then(|| place(fail, 3))))
}

/// The registers that name bits of block 0 whose copies differ. Seen as those of [`error_bits`].
fn repeat_registers(chip: Chip) -> &'static [usize] {
    match chip {
        Chip::Esp32 => &[],
        Chip::Esp32c2 => &[0x80],
        Chip::Esp32s2 | Chip::Esp32s3 | Chip::Esp32c3 | Chip::Esp32c6 => &[0x17C, 0x180, 0x184, 0x188, 0x190],
        _ => &[0x17C, 0x180, 0x184, 0x188, 0x18C],
    }
}
