//! What flash encryption is measured against, for `dryburn bench` and the benches: the same work as a plain loop over
//! the published crates, one key for everything, and no work at all.

mod measure;

pub use measure::{Figure, SIZES, measure};

use aes::{
    Aes128, Aes256, Aes256Dec, Aes256Enc,
    cipher::{Array, BlockCipherDecrypt, BlockCipherEncrypt, KeyInit},
};
use dryburn::flash_encryption::{CryptConfig, FlashCipher, FlashKey, Path};
use serde::Serialize;
use xts_mode::Xts128;

/// A scheme of flash encryption.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Scheme {
    /// Address-tweaked AES-256, `FLASH_CRYPT_CONFIG` 0xF.
    Esp32,
    /// XTS-AES-128.
    Xts128,
    /// XTS-AES-256.
    Xts256,
}

/// To flash or from flash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Plaintext to what flash holds.
    Encrypt,
    /// What flash holds to plaintext.
    Decrypt,
}

/// Work on bytes, in place.
pub type Job = Box<dyn Fn(&mut [u8])>;

/// Flash address of the first byte in every measurement.
const ADDRESS: u32 = 0x1_0000;
const ROW: usize = 32;
const UNIT: usize = 128;

impl Scheme {
    /// All schemes.
    pub const ALL: [Self; 3] = [Self::Esp32, Self::Xts128, Self::Xts256];

    /// As in the reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Esp32 => "esp32",
            Self::Xts128 => "xts128",
            Self::Xts256 => "xts256",
        }
    }

    /// Flash encryption on `path`.
    pub fn job(self, direction: Direction, path: Path) -> Job {
        let key = match self {
            Self::Esp32 => FlashKey::Esp32 { key: [1; 32], config: CryptConfig::ALL },
            Self::Xts128 => FlashKey::Xts128([2; 32]),
            Self::Xts256 => FlashKey::Xts256([3; 64]),
        };
        let cipher = FlashCipher::with_path(&key, path);
        Box::new(move |data| {
            // data of the measurements is whole pages
            let _ = match direction {
                Direction::Encrypt => cipher.encrypt(ADDRESS, data),
                Direction::Decrypt => cipher.decrypt(ADDRESS, data),
            };
        })
    }

    /// The same work as a loop over `aes` (a new key each row) or `xts-mode` (one unit at a time), as published.
    ///
    /// The row's key comes for free here: a counter in place of the address bits.
    pub fn plain(self, direction: Direction) -> Job {
        match self {
            Self::Esp32 => Box::new(move |data| {
                for (n, row) in (0u32..).zip(data.as_chunks_mut::<ROW>().0) {
                    let mut key = Array([1; 32]);
                    key[..4].copy_from_slice(&n.to_le_bytes());
                    let (blocks, _) = row.as_chunks_mut::<16>();
                    blocks.iter_mut().for_each(|block| block.reverse());
                    match direction {
                        Direction::Encrypt => {
                            Aes256Dec::new(&key).decrypt_blocks(Array::cast_slice_from_core_mut(blocks))
                        }
                        Direction::Decrypt => {
                            Aes256Enc::new(&key).encrypt_blocks(Array::cast_slice_from_core_mut(blocks))
                        }
                    }
                    blocks.iter_mut().for_each(|block| block.reverse());
                }
            }),
            Self::Xts128 => {
                xts_loop(Xts128::new(Aes128::new(&Array([1; 16])), Aes128::new(&Array([2; 16]))), direction)
            }
            Self::Xts256 => {
                xts_loop(Xts128::new(Aes256::new(&Array([1; 32])), Aes256::new(&Array([2; 32]))), direction)
            }
        }
    }

    /// One key for all blocks and nothing else: AES-ECB by the crate `aes`, in whose batches all its speed lies.
    pub fn ecb(self, direction: Direction) -> Job {
        match self {
            Self::Xts128 => ecb(Aes128::new(&Array([1; 16])), direction),
            Self::Esp32 | Self::Xts256 => ecb(Aes256::new(&Array([1; 32])), direction),
        }
    }
}

impl Direction {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Encrypt, Self::Decrypt];

    /// As in the reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Encrypt => "encrypt",
            Self::Decrypt => "decrypt",
        }
    }
}

/// Copies the bytes over themselves by way of a second buffer of `len` bytes: what memory alone costs.
pub fn memcpy(len: usize) -> Job {
    let there = std::cell::RefCell::new(vec![0; len]);
    Box::new(move |data| there.borrow_mut()[..data.len()].copy_from_slice(std::hint::black_box(data)))
}

fn xts_loop<C>(xts: Xts128<C>, direction: Direction) -> Job
where
    C: BlockCipherEncrypt<BlockSize = aes::cipher::consts::U16> + BlockCipherDecrypt + 'static,
{
    Box::new(move |data| {
        for (address, unit) in (u128::from(ADDRESS)..).step_by(UNIT).zip(data.as_chunks_mut::<UNIT>().0) {
            let tweak = Array(address.to_le_bytes());
            unit.reverse();
            match direction {
                Direction::Encrypt => xts.encrypt_sector(unit, tweak),
                Direction::Decrypt => xts.decrypt_sector(unit, tweak),
            }
            unit.reverse();
        }
    })
}

fn ecb<C>(cipher: C, direction: Direction) -> Job
where
    C: BlockCipherEncrypt<BlockSize = aes::cipher::consts::U16> + BlockCipherDecrypt + 'static,
{
    Box::new(move |data| {
        let blocks = Array::cast_slice_from_core_mut(data.as_chunks_mut::<16>().0);
        match direction {
            Direction::Encrypt => cipher.encrypt_blocks(blocks),
            Direction::Decrypt => cipher.decrypt_blocks(blocks),
        }
    })
}
