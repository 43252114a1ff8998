//! An AES block as both widths take it: its shuffles and its words.

use super::tables::Block;

/// Byte shuffle: the reverse of a block.
pub const REVERSE: Block = [15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0];
/// Byte shuffle before `aesenclast`: undoes its ShiftRows, so that each word stays where it is.
pub const SUB_WORD: Block = [0, 13, 10, 7, 4, 1, 14, 11, 8, 5, 2, 15, 12, 9, 6, 3];
/// The same, with each word's bytes rotated by one.
pub const ROT_SUB_WORD: Block = [1, 14, 11, 4, 5, 2, 15, 8, 9, 6, 3, 12, 13, 10, 7, 0];

/// Little-endian dword `n` of a block.
#[inline(always)]
pub fn i32_at(block: &Block, n: usize) -> i32 {
    block.as_chunks().0.get(n).map_or(0, |word| i32::from_le_bytes(*word))
}

/// Little-endian qword `n` of a block.
#[inline(always)]
pub fn i64_at(block: &Block, n: usize) -> i64 {
    block.as_chunks().0.get(n).map_or(0, |half| i64::from_le_bytes(*half))
}
