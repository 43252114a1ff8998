//! The ESP32's scheme: AES-256 used backwards, one key per 32-byte row (formats sheet §4.1).
//!
//! ```text
//! row key           K ^ mask(address of the row)
//! encrypt 16 bytes  reverse(AES256_DECRYPT(row key, reverse(plaintext)))
//! decrypt 16 bytes  reverse(AES256_ENCRYPT(row key, reverse(ciphertext)))
//! ```
//!
//! Address bits 5..=23 take part, each XORed onto 12 to 16 key bits. The two halves of a row share their key and nothing
//! tells them apart: equal halves give equal ciphertext.
//!
//! Address bits 24 and up take no part, as the hardware table has it. espsecure multiplies big integers instead: at
//! `0x100_0000` and above its bits spill into their neighbours, and its files no longer match.

use super::{CryptConfig, kernel::Direction};
use aes::{
    Aes256Dec, Aes256Enc,
    cipher::{Array, BlockCipherDecrypt, BlockCipherEncrypt, KeyInit},
};

/// Size in bytes of the part of flash that shares one key.
pub(super) const ROW: usize = 32;

/// Lowest and highest address bit that take part.
const LOW_BIT: u32 = 5;
const HIGH_BIT: u32 = 23;
const ADDRESS_BITS: usize = 19;

/// Key bits come in four ranges, one per bit of `FLASH_CRYPT_CONFIG`, from key bit 0 (the top bit of byte 0) on: three
/// runs of the address bits 23 down to 5 each, then a last run that begins at this bit.
const LAST_RUN_FROM: [u32; 4] = [14, 12, 10, 8];

/// A key with, for each address bit from 5 up, the key bits that it flips.
pub(super) struct Cipher {
    key: [u8; 32],
    masks: [[u8; 32]; ADDRESS_BITS],
}

impl Cipher {
    pub(super) fn new(key: &[u8; 32], config: CryptConfig) -> Self {
        let mut masks = [[0; 32]; ADDRESS_BITS];
        for (key_bit, (address_bit, range)) in tweak_pattern().enumerate() {
            let enabled = config.bits() >> range & 1;
            let mask = masks.get_mut(address_bit.saturating_sub(LOW_BIT) as usize);
            if let Some(byte) = mask.and_then(|mask| mask.get_mut(key_bit / 8)) {
                *byte |= (enabled << 7) >> (key_bit % 8);
            }
        }
        Self { key: *key, masks }
    }

    /// The AES key of the row that holds `address`.
    pub(super) fn row_key(&self, address: u32) -> [u8; 32] {
        let mut key = self.key;
        for (mask, bit) in self.masks.iter().zip(LOW_BIT..) {
            if address >> bit & 1 == 1 {
                key.iter_mut().zip(mask).for_each(|(k, m)| *k ^= m);
            }
        }
        key
    }

    /// Encrypts or decrypts whole 16-byte blocks that lie in one row.
    pub(super) fn run(&self, direction: Direction, address: u32, blocks: &mut [u8]) {
        let key = Array(self.row_key(address));
        reversed(blocks, |blocks| {
            let blocks = Array::cast_slice_from_core_mut(blocks);
            match direction {
                Direction::Encrypt => Aes256Dec::new(&key).decrypt_blocks(blocks),
                Direction::Decrypt => Aes256Enc::new(&key).encrypt_blocks(blocks),
            }
        });
    }
}

/// For key bits 0 to 255: the address bit that tweaks it, and the bit of `FLASH_CRYPT_CONFIG` that allows it.
fn tweak_pattern() -> impl Iterator<Item = (u32, usize)> {
    LAST_RUN_FROM.iter().enumerate().flat_map(|(range, last)| {
        let runs = [HIGH_BIT, HIGH_BIT, HIGH_BIT, *last];
        runs.into_iter().flat_map(|from| (LOW_BIT..=from).rev()).map(move |bit| (bit, range))
    })
}

/// Does `work` on the blocks of `bytes` while each is byte-reversed.
fn reversed(bytes: &mut [u8], work: impl FnOnce(&mut [[u8; 16]])) {
    let (blocks, _) = bytes.as_chunks_mut();
    blocks.iter_mut().for_each(|block| block.reverse());
    work(blocks);
    blocks.iter_mut().for_each(|block| block.reverse());
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The masks that the sheet prints (§4.1), made by espsecure.
    #[test]
    fn masks_are_espsecures() {
        let cipher = Cipher::new(&[0; 32], CryptConfig::ALL);
        for (address, mask) in [
            (0x20, "0000200004000080200004000080001010000200004000082000040000800011"),
            (0x1000, "0010000200004010000200004000080800010000200004000002000040000800"),
            (0x10000, "0100002000040000002000040000800000100002000040000020000400008000"),
            (0x80_0000, "8000100002000000100002000040000008000100002000001000020000400000"),
        ] {
            assert_eq!(hex::encode(cipher.row_key(address)), mask, "{address:#x}");
        }
    }

    #[test]
    fn bits_below_5_and_above_23_take_no_part() {
        let cipher = Cipher::new(&[0xA5; 32], CryptConfig::ALL);
        assert_eq!(cipher.row_key(0xFF00_001F), [0xA5; 32]);
        assert_ne!(cipher.row_key(0x20), [0xA5; 32]);
    }

    #[test]
    fn each_range_of_key_bits_has_its_switch() {
        let masks = [0, 1, 2, 3].map(|bit| Cipher::new(&[0; 32], CryptConfig::new(1 << bit)).row_key(0xFF_FFE0));
        for (n, bit) in (0..256).map(|n| (n, 0x80 >> (n % 8))) {
            let range = [66, 131, 194, 255].iter().position(|last| n <= *last).unwrap();
            for (at, mask) in masks.iter().enumerate() {
                assert_eq!(mask[n / 8] & bit != 0, at == range, "key bit {n}, configuration bit {at}");
            }
        }
    }
}
