//! eFuses: fields, blocks, and what may be read of them.
//!
//! The tables say where each field lies and which WR_DIS and RD_DIS bits protect it; [`security`] answers the boot code's
//! questions (is flash encrypted, which digests are trusted, which silicon is this). Nothing here burns.
//!
//! Sources: formats sheet §8.1 (blocks), §8.2-8.4 (fields and their protection bits), §5.4 (key purposes).
//!
//! | chips | block 0 | block 1 | blocks 2.. | key blocks |
//! |---|---|---|---|---|
//! | ESP32 | 7 words | 8 words | 2, 3: 8 words | 1 (flash encryption), 2 (secure boot) |
//! | C2 | 2 words | 3 words | 2, 3: 8 words | 3, in halves |
//! | all others | 6 words | 6 words | 2..10: 8 words | 4..9 |

mod blocks;
pub mod security;
mod tables;

use crate::{Chip, Revision};
pub use blocks::{Block, blocks};
pub use security::{CryptCount, KeyPurpose, chip_revision};

/// The eFuses as software reads them: a read-protected word reads as zero.
///
/// Implemented by whatever holds the bits: a driver on the device, the controller in the model.
pub trait Efuse {
    /// The chip that the eFuses belong to; it decides which field lies where.
    fn chip(&self) -> Chip;
    /// The 32-bit word `word` of block `block` after read protection; 0 where the block has no such word.
    fn read_word(&self, block: usize, word: usize) -> u32;
}

/// What the bits of a field mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldKind {
    /// One bit.
    Bool,
    /// An unsigned number, least significant bit first.
    Uint,
    /// Bytes in memory order.
    Bytes,
}

/// One named field (formats sheet §8.2-8.3).
#[derive(Debug, PartialEq, Eq)]
pub struct Field {
    /// The vendor's name.
    pub name: &'static str,
    /// Other names that the vendor's tool accepts.
    pub aliases: &'static [&'static str],
    /// Block number.
    pub block: u8,
    /// First bit, counted from the start of the block.
    pub bit: u16,
    /// Length in bits.
    pub len: u16,
    /// The WR_DIS bit that freezes the field.
    pub write_disable: Option<u8>,
    /// The RD_DIS bits that hide it; two bits hide one half each.
    pub read_disable: &'static [u8],
    /// What the bits mean.
    pub kind: FieldKind,
    /// The vendor's category, as `espefuse summary` groups fields.
    pub category: &'static str,
}

impl Field {
    /// Whether this is the field's name or one of its aliases, in any case.
    pub fn is_called(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name) || self.aliases.iter().any(|a| a.eq_ignore_ascii_case(name))
    }
}

/// The first revision of the ESP32-H2 without the field ECDSA_FORCE_USE_HARDWARE_K (formats sheet §8.3).
const H2_NEW: Revision = Revision::new(1, 2);
/// The first revision of the ESP32-P4 with the second field table (formats sheet §8.3).
const P4_NEW: Revision = Revision::new(3, 0);

/// The fields of a chip at its first silicon revision, in the order of the vendor's list.
pub fn fields(chip: Chip) -> &'static [Field] {
    fields_at(chip, Revision(0))
}

/// The fields of a chip at silicon revision `revision`; only the P4 and the H2 depend on it.
pub fn fields_at(chip: Chip, revision: Revision) -> &'static [Field] {
    match chip {
        Chip::Esp32 => tables::esp32::FIELDS,
        Chip::Esp32s2 => tables::esp32s2::FIELDS,
        Chip::Esp32s3 => tables::esp32s3::FIELDS,
        Chip::Esp32c2 => tables::esp32c2::FIELDS,
        Chip::Esp32c3 => tables::esp32c3::FIELDS,
        Chip::Esp32c5 => tables::esp32c5::FIELDS,
        Chip::Esp32c6 => tables::esp32c6::FIELDS,
        Chip::Esp32c61 => tables::esp32c61::FIELDS,
        Chip::Esp32h2 if revision < H2_NEW => tables::esp32h2::FIELDS,
        Chip::Esp32h2 => tables::esp32h2::FIELDS.split_last().map_or(&[], |(_, rest)| rest),
        Chip::Esp32p4 if revision < P4_NEW => tables::esp32p4::FIELDS,
        Chip::Esp32p4 => tables::esp32p4_v3::FIELDS,
    }
}

/// The field of that name or alias (in any case); one that exists on a later silicon revision only is found, too.
pub fn field(chip: Chip, name: &str) -> Option<&'static Field> {
    field_at(chip, Revision(0), name).or_else(|| field_at(chip, Revision(u16::MAX), name))
}

/// The field of that name or alias (in any case) at silicon revision `revision`.
pub fn field_at(chip: Chip, revision: Revision, name: &str) -> Option<&'static Field> {
    let table = fields_at(chip, revision);
    table.iter().find(|f| f.name.eq_ignore_ascii_case(name)).or_else(|| table.iter().find(|f| f.is_called(name)))
}

/// The low 32 bits of a field as software reads it; 0 when the chip has no such field at its silicon revision.
pub fn read<E: Efuse + ?Sized>(efuse: &E, name: &str) -> u32 {
    field_at(efuse.chip(), chip_revision(efuse), name).map_or(0, |f| read_field(efuse, f))
}

/// The low 32 bits of `field` as software reads it.
pub fn read_field<E: Efuse + ?Sized>(efuse: &E, field: &Field) -> u32 {
    let word = usize::from(field.bit / 32);
    let low = u64::from(efuse.read_word(field.block.into(), word));
    let high = u64::from(efuse.read_word(field.block.into(), word.saturating_add(1)));
    let bits = ((high << 32) | low) >> (field.bit % 32);
    let mask = if field.len >= 32 { u64::from(u32::MAX) } else { (1_u64 << field.len).wrapping_sub(1) };
    u32::try_from(bits & mask).unwrap_or(0)
}

/// A block as software reads it: little-endian words in order, padded with zeros to 32 bytes.
pub fn read_block<E: Efuse + ?Sized>(efuse: &E, block: usize) -> [u8; 32] {
    let words = blocks(efuse.chip()).get(block).map_or(0, |b| usize::from(b.words));
    let mut bytes = [0; 32];
    for (word, chunk) in bytes.as_chunks_mut::<4>().0.iter_mut().enumerate().take(words) {
        *chunk = efuse.read_word(block, word).to_le_bytes();
    }
    bytes
}

#[cfg(test)]
mod tests;
