//! eFuses: fields, blocks, and what may be read of them.

use crate::Chip;

/// The eFuses as software reads them: a read-protected word reads as zero.
///
/// Implemented by whatever holds the bits: a driver on the device, the controller in the model.
pub trait Efuse {
    /// The chip that the eFuses belong to; it decides which field lies where.
    fn chip(&self) -> Chip;
    /// The 32-bit word `word` of block `block` after read protection; 0 where the block has no such word.
    fn read_word(&self, block: usize, word: usize) -> u32;
}
