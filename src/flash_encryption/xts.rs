//! XTS-AES of the later chips: IEEE 1619 over 128-byte units, each unit byte-reversed (formats sheet §5.1).
//!
//! ```text
//! unit address  u = address with its low 7 bits cleared
//! ciphertext    reverse(XTS_ENCRYPT(K1, K2, tweak = le32(u) || 12 zero bytes, reverse(plaintext)))
//! ```
//!
//! The reversal is of all 128 bytes, so the first 16 bytes in flash are the last block of the XTS unit. Blocks of an
//! XTS unit do not depend on each other: a part of a unit is done as a whole one whose other bytes are thrown away.

use super::kernel::Direction;
use aes::{
    Aes128, Aes256,
    cipher::{
        Array, BlockCipherDecrypt, BlockCipherEncrypt, BlockSizeUser, KeyInit,
        consts::{U16, U32, U64},
    },
};
use xts_mode::Xts128;

/// Size in bytes of the XTS data unit.
pub(super) const UNIT: usize = 128;

/// The two expanded keys.
pub(super) struct Cipher<C>(Xts128<C>);

impl Cipher<Aes128> {
    pub(super) fn xts128(key: &[u8; 32]) -> Self {
        let (data, tweak) = Array::<u8, U32>(*key).split::<U16>();
        Self(Xts128::new(Aes128::new(&data), Aes128::new(&tweak)))
    }
}

impl Cipher<Aes256> {
    pub(super) fn xts256(key: &[u8; 64]) -> Self {
        let (data, tweak) = Array::<u8, U64>(*key).split::<U32>();
        Self(Xts128::new(Aes256::new(&data), Aes256::new(&tweak)))
    }
}

impl<C: BlockSizeUser<BlockSize = U16> + BlockCipherEncrypt + BlockCipherDecrypt> Cipher<C> {
    /// Encrypts or decrypts whole 16-byte blocks that lie in one unit.
    pub(super) fn run(&self, direction: Direction, address: u32, bytes: &mut [u8]) {
        in_unit(address, bytes, |unit, tweak| match direction {
            Direction::Encrypt => self.0.encrypt_sector(unit, tweak),
            Direction::Decrypt => self.0.decrypt_sector(unit, tweak),
        });
    }
}

/// Does `work` on the byte-reversed unit that holds `bytes`, with the unit's tweak.
fn in_unit(address: u32, bytes: &mut [u8], work: impl FnOnce(&mut [u8], Array<u8, U16>)) {
    let into = address as usize % UNIT;
    let tweak = Array(u128::from(address & !0x7F).to_le_bytes());
    let mut unit = [0; UNIT];
    let Some(part) = unit.get_mut(into..).and_then(|from| from.get_mut(..bytes.len())) else { return };
    part.copy_from_slice(bytes);
    unit.reverse();
    work(&mut unit, tweak);
    unit.reverse();
    if let Some(part) = unit.get(into..).and_then(|from| from.get(..bytes.len())) {
        bytes.copy_from_slice(part);
    }
}
