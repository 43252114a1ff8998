//! The files that hold eFuses, recognised by their content.
//!
//! | form | size in bytes | says the chip | layout |
//! |---|---|---|---|
//! | raw (`espefuse dump --format joint`, QEMU for the ESP32) | ESP32 124 (100 with 3/4 coding), C2 84, others 336 | ESP32, C2 | blocks in order, little-endian words |
//! | QEMU | 1024 | no | raw, padded with zeros |
//! | `espefuse --virt --path-efuse-file` | ESP32 288, others 512 | ESP32 | register image of the controller, all bytes reversed |
//! | text | any | see [`super::text`] | `espefuse dump`, `summary --format json`, `EFSR:` token |
//! | empty | 0 | no | nothing burned |
//!
//! Of a block with coding errors (power failed while it was burned) the `--virt` file keeps what the controller gives and the error
//! registers, the other forms only what it gives; none has the check bytes.
//!
//! Sources: formats sheet §8.6-8.9. A raw or QEMU file keeps keys that software cannot read; the `--virt` file has lost them.

use super::{Efuses, coding::reed_solomon, error::FileError, text};
use dryburn::{
    Chip,
    efuse::{Efuse, blocks},
};

/// A form in which eFuses are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// All blocks in order, as burned: `espefuse dump --format joint` before any read protection.
    Raw,
    /// The register image of `espefuse --virt`: read-protected words are zero and so are lost.
    Virt,
    /// QEMU's eFuse drive: raw for the ESP32, raw padded to 1024 bytes for the others.
    Qemu,
}

/// The size of the register image of `--virt` files, in bytes.
fn registers_len(chip: Chip) -> usize {
    if chip == Chip::Esp32 { 0x120 } else { 0x200 }
}

/// The registers that the vendor's emulator sets when it programs: offset, value (observed in its files).
fn programming_registers(chip: Chip) -> &'static [(usize, u32)] {
    match chip {
        Chip::Esp32 => &[(0x0F8, 0xA0), (0x0FC, 0x5AA5), (0x118, 0x50)],
        Chip::Esp32s2 => &[(0x1CC, 0x5AA5), (0x1E8, 0x50), (0x1EC, 1), (0x1F0, 1), (0x1F4, 0x5101), (0x1F8, 0x80)],
        Chip::Esp32s3 => &[(0x1CC, 0x5AA5), (0x1E8, 0x28), (0x1F4, 0x3000), (0x1F8, 0x190)],
        Chip::Esp32c2 => &[(0x08C, 0x5AA5), (0x108, 0x28), (0x114, 0x3000), (0x118, 0x190)],
        Chip::Esp32c5 => &[(0x1CC, 0x5AA5), (0x1EC, 0x28), (0x1F4, 0x3000), (0x1F8, 0x190)],
        Chip::Esp32p4 => &[(0x1CC, 0x5AA5)],
        _ => &[(0x1CC, 0x5AA5), (0x1E8, 0x28), (0x1F0, 0x3000), (0x1F4, 0x190)],
    }
}

impl Efuses {
    /// Reads an eFuse file of any known form. `chip` is needed where the form does not say it, and checked where it does.
    pub fn parse(bytes: &[u8], chip: Option<Chip>) -> Result<Efuses, FileError> {
        if let Some(parsed) = text::parse(bytes, chip) {
            return parsed;
        }
        let only = |form, found, is: fn(Chip) -> bool, implied: Option<Chip>| match chip.or(implied) {
            None => Err(FileError::NeedsChip { form }),
            Some(expected) if !is(expected) => Err(FileError::OtherChip { form, found, expected }),
            Some(chip) => Ok(chip),
        };
        let esp32 = |form| only(form, "the ESP32", |c| c == Chip::Esp32, Some(Chip::Esp32));
        match bytes.len() {
            0 => Ok(Efuses::new(chip.ok_or(FileError::NeedsChip { form: "an empty file: nothing burned" })?)),
            100 => Ok(Efuses::from_raw(esp32("raw dump with 3/4 coding")?, bytes, &[28, 24, 24, 24])),
            124 => Ok(Efuses::from_raw(esp32("raw dump")?, bytes, &[])),
            288 => Ok(Efuses::from_virt(esp32("espefuse --virt file")?, bytes)),
            84 => {
                let chip = only("raw dump", "the C2", |c| c == Chip::Esp32c2, Some(Chip::Esp32c2))?;
                Ok(Efuses::from_raw(chip, bytes, &[]))
            }
            336 => {
                let big = |c| !matches!(c, Chip::Esp32 | Chip::Esp32c2);
                Ok(Efuses::from_raw(only("raw dump", "chips other than ESP32 and C2", big, None)?, bytes, &[]))
            }
            512 => {
                let chip = only("espefuse --virt file", "chips other than the ESP32", |c| c != Chip::Esp32, None)?;
                Ok(Efuses::from_virt(chip, bytes))
            }
            1024 => {
                let chip = only("QEMU eFuse file", "chips other than the ESP32", |c| c != Chip::Esp32, None)?;
                let used = Efuses::new(chip).to_bytes(Format::Raw).len();
                match bytes.iter().enumerate().skip(used).find(|(_, b)| **b != 0) {
                    Some((offset, found)) => Err(FileError::Padding { offset, found: *found }),
                    None => Ok(Efuses::from_raw(chip, bytes, &[])),
                }
            }
            found => Err(FileError::Size { found }),
        }
    }

    /// Blocks in order; `sizes` in bytes where they differ from the table.
    fn from_raw(chip: Chip, bytes: &[u8], sizes: &[usize]) -> Self {
        let mut e = Efuses::new(chip);
        let mut rest = bytes;
        for block in 0..e.blocks.len() {
            let size = sizes.get(block).copied().unwrap_or(e.words(block) * 4);
            let (head, tail) = rest.split_at_checked(size).unwrap_or((rest, &[]));
            e.set_block(block, head);
            rest = tail;
        }
        e
    }

    /// Sets a block to little-endian words.
    pub(super) fn set_block(&mut self, block: usize, bytes: &[u8]) {
        for (word, chunk) in bytes.as_chunks::<4>().0.iter().enumerate() {
            self.set_word(block, word, u32::from_le_bytes(*chunk));
        }
    }

    fn from_virt(chip: Chip, bytes: &[u8]) -> Self {
        let mut e = Efuses::new(chip);
        let image: Vec<u8> = bytes.iter().rev().copied().collect();
        for (n, block) in blocks(chip).iter().enumerate() {
            let start = usize::from(block.read_offset);
            e.set_block(n, image.get(start..start + e.words(n) * 4).unwrap_or(&[]));
        }
        e.registers = image;
        e
    }

    /// Writes the eFuses in a form.
    pub fn to_bytes(&self, format: Format) -> Vec<u8> {
        let mut out = match format {
            Format::Virt => return self.to_virt(),
            Format::Raw | Format::Qemu => {
                self.blocks.iter().flatten().flat_map(|w| w.to_le_bytes()).collect::<Vec<u8>>()
            }
        };
        if format == Format::Qemu && self.chip != Chip::Esp32 {
            out.resize(1024, 0);
        }
        out
    }

    fn to_virt(&self) -> Vec<u8> {
        let mut image = self.registers.clone();
        image.resize(registers_len(self.chip), 0);
        for (n, block) in blocks(self.chip).iter().enumerate() {
            for word in 0..self.words(n) {
                set_register(&mut image, usize::from(block.read_offset) + word * 4, self.read_word(n, word));
            }
        }
        self.write_error_registers(&mut image);
        image.reverse();
        image
    }

    /// Notes in the controller's other registers what the vendor's emulator leaves there after programming `block` with
    /// `data`; seen in `--virt` files only.
    pub(crate) fn note_programmed(&mut self, block: usize, data: &[u32]) {
        self.registers.resize(registers_len(self.chip), 0);
        for (offset, value) in programming_registers(self.chip) {
            set_register(&mut self.registers, *offset, *value);
        }
        if block > 0 && self.chip != Chip::Esp32 {
            let mut bytes = [0; 32];
            for (chunk, word) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(data) {
                *chunk = word.to_le_bytes();
            }
            for (i, parity) in reed_solomon(&bytes).as_chunks::<4>().0.iter().enumerate() {
                set_register(&mut self.registers, 0x20 + i * 4, u32::from_le_bytes(*parity));
            }
        }
    }
}

pub(super) fn set_register(image: &mut [u8], offset: usize, value: u32) {
    if let Some(slot) = image.get_mut(offset..offset + 4) {
        slot.copy_from_slice(&value.to_le_bytes());
    }
}
