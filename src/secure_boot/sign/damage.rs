//! Spoiling a v2 signature block in one named way, so that everything else about it is still right.

use super::block::{CRC, flip_signature};
use crate::secure_boot::v2::{BLOCK, MAGIC, MAX_BLOCKS, SignatureBlock};

/// A named way to damage a signature block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockDamage {
    /// One bit of the signature; the CRC is made right again.
    Signature,
    /// The version byte; the CRC is made right again.
    Version(u8),
    /// One bit of the image digest in the block; the CRC is made right again.
    Digest,
    /// One bit of the CRC.
    Crc,
    /// One bit of the magic byte.
    Magic,
}

/// Damages block `index` (0 to 2) of a signature sector in place; `false`, and nothing changed, where there is no block of
/// that index.
pub fn damage_block(sector: &mut [u8], index: usize, damage: BlockDamage) -> bool {
    let at = index.saturating_mul(BLOCK);
    let found = sector.get_mut(at..).and_then(|from| from.first_chunk_mut::<BLOCK>());
    let Some(block) = found.filter(|block| index < MAX_BLOCKS && SignatureBlock(block).magic() == MAGIC) else {
        return false;
    };
    let mut flip = |offset: usize| block.iter_mut().skip(offset).take(1).for_each(|byte| *byte ^= 1);
    match damage {
        BlockDamage::Signature => flip_signature(block),
        BlockDamage::Version(version) => block.iter_mut().skip(1).take(1).for_each(|byte| *byte = version),
        BlockDamage::Digest => flip(4),
        BlockDamage::Crc => flip(CRC),
        BlockDamage::Magic => flip(0),
    }
    if !matches!(damage, BlockDamage::Crc | BlockDamage::Magic) {
        super::block::seal(block);
    }
    true
}
