//! eFuse values as espefuse prints them.

use crate::efuse::Efuses;
use dryburn::efuse::{Efuse, Field, FieldKind};

/// The bits of a field as little-endian bytes, as software reads them.
pub(super) fn bits(e: &Efuses, field: &Field) -> Vec<u8> {
    let mut out = vec![0; usize::from(field.len).div_ceil(8)];
    for i in 0..usize::from(field.len) {
        let bit = usize::from(field.bit) + i;
        if e.read_word(field.block.into(), bit / 32) >> (bit % 32) & 1 == 1
            && let Some(byte) = out.get_mut(i / 8)
        {
            *byte |= 1 << (i % 8);
        }
    }
    out
}

/// A value in the tool's notation: bytes in memory order, numbers in hex where whole nibbles fit, else in binary.
pub(super) fn value(field: &Field, bits: &[u8]) -> String {
    if field.kind == FieldKind::Bytes {
        return format!("0x{}", hex(bits));
    }
    let number = number(bits);
    let len = usize::from(field.len);
    if len % 4 == 0 { format!("0x{number:0width$x}", width = len / 4) } else { format!("0b{number:0len$b}") }
}

/// The number that little-endian bytes stand for, up to 64 bits.
pub(super) fn number(bits: &[u8]) -> u64 {
    bits.iter().take(8).rev().fold(0, |n, byte| n << 8 | u64::from(*byte))
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// `?? ?? …` for `n` bytes that must not be shown.
pub(super) fn hidden(n: usize) -> String {
    vec!["??"; n].join(" ")
}
