//! Flash encryption: what lies in flash, and what the CPU reads of it.
//!
//! | key | chips | cipher | unit | module |
//! |---|---|---|---|---|
//! | [`FlashKey::Esp32`] | ESP32 | AES-256 used backwards, key XORed with address bits | row, 32 bytes | `esp32` |
//! | [`FlashKey::Xts128`] | all later ones | XTS-AES-128 on byte-reversed units | unit, 128 bytes | `xts` |
//! | [`FlashKey::Xts256`] | S2, S3, P4 | XTS-AES-256 on byte-reversed units | unit, 128 bytes | `xts` |
//!
//! In every scheme a 16-byte piece depends on the key, its address and itself alone: it can be written or read without
//! its neighbours, and data may be cut at any multiple of 16. Ciphertext carries no integrity: a wrong key, address or
//! configuration gives other bytes, never an error.
//!
//! Long data goes through vector kernels where the machine has the instructions ([`Path`]); the bytes are the same on every
//! path.
//!
//! Keys are in *file order*, the order of espsecure's key files; eFuse key blocks hold them byte-reversed.
//!
//! Sources: formats sheet §4 (ESP32), §5 (XTS).

mod esp32;
#[allow(unsafe_code, reason = "vector instructions; see there why it is sound")]
#[allow(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::needless_range_loop,
    reason = "arrays and loops of constant size, that unroll"
)]
mod kernel;
mod xts;

pub use kernel::Path;

use aes::{Aes128, Aes256};
use core::fmt;
use kernel::Direction;
use sha2::{Digest, Sha256};

/// Size in bytes of the piece that addresses and lengths must be multiples of (formats sheet §4.3, §5.2).
pub const PIECE: usize = 16;

/// `FLASH_CRYPT_CONFIG` of the ESP32: which of four ranges of key bits the address tweaks (formats sheet §4.1).
///
/// Bit 0 enables key bits 0..=66, bit 1 67..=131, bit 2 132..=194, bit 3 195..=255.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CryptConfig(u8);

impl CryptConfig {
    /// `0xF`: the whole key is tweaked. ESP-IDF burns nothing else, and espsecure defaults to it.
    pub const ALL: Self = Self(0xF);
    /// `0x0`: no tweak, plain AES-256-ECB backwards. The state of an eFuse that was never burned.
    pub const NONE: Self = Self(0);

    /// The configuration in the low 4 bits of `bits`; the field has no others.
    pub const fn new(bits: u8) -> Self {
        Self(bits & 0xF)
    }

    /// The 4 bits of the eFuse field.
    pub const fn bits(self) -> u8 {
        self.0
    }
}

impl Default for CryptConfig {
    /// [`CryptConfig::ALL`].
    fn default() -> Self {
        Self::ALL
    }
}

/// A flash encryption key in file order. Its `Debug` form names the scheme and never shows key bytes.
#[derive(Clone, PartialEq, Eq)]
pub enum FlashKey {
    /// ESP32: AES-256 with address tweak.
    Esp32 {
        /// The 256-bit key.
        key: [u8; 32],
        /// Which key bits the address tweaks.
        config: CryptConfig,
    },
    /// XTS-AES-128: 16 bytes for the data, then 16 for the tweak.
    Xts128([u8; 32]),
    /// XTS-AES-256: 32 bytes for the data, then 32 for the tweak (eFuse blocks `XTS_AES_256_KEY_1` and `_2`).
    Xts256([u8; 64]),
}

/// How the bytes of a key file are to be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyScheme {
    /// ESP32: 24 bytes (3/4 coding scheme) or 32.
    Esp32(CryptConfig),
    /// XTS-AES: 16 bytes (ESP32-C2, derived), 32 or 64.
    Xts,
}

/// The key file's length fits no key of its scheme (formats sheet §4.4, §5.1, §5.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadKeyLength {
    /// Neither 24 nor 32 bytes.
    #[error("an ESP32 flash encryption key has 24 or 32 bytes, this one has {found}")]
    Esp32 {
        /// Length in bytes.
        found: usize,
    },
    /// Neither 16 nor 32 nor 64 bytes.
    #[error("an XTS-AES flash encryption key has 16, 32 or 64 bytes, this one has {found}")]
    Xts {
        /// Length in bytes.
        found: usize,
    },
}

impl FlashKey {
    /// A 192-bit key of an ESP32 with 3/4 coding scheme: extended by its own bytes 8..16 (formats sheet §4.4).
    pub fn esp32_192(key: [u8; 24], config: CryptConfig) -> Self {
        let mut full = [0; 32];
        let source = key.iter().chain(key.iter().skip(8));
        full.iter_mut().zip(source).for_each(|(to, from)| *to = *from);
        Self::Esp32 { key: full, config }
    }

    /// A 128-bit key of an ESP32-C2: its SHA-256 is the XTS-AES-128 key (formats sheet §5.3).
    ///
    /// That the chip hashes the bytes in file order is espsecure's word only: UNVERIFIED on silicon.
    pub fn xts_derived(key: [u8; 16]) -> Self {
        Self::Xts128(Sha256::digest(key).into())
    }

    /// The key in a file of espsecure's making.
    ///
    /// # Errors
    /// [`BadKeyLength`] when no key of `scheme` has that many bytes.
    pub fn from_file(bytes: &[u8], scheme: KeyScheme) -> Result<Self, BadKeyLength> {
        let found = bytes.len();
        match scheme {
            KeyScheme::Esp32(config) => match (bytes.try_into(), bytes.try_into()) {
                (Ok(key), _) => Ok(Self::Esp32 { key, config }),
                (_, Ok(key)) => Ok(Self::esp32_192(key, config)),
                _ => Err(BadKeyLength::Esp32 { found }),
            },
            KeyScheme::Xts => match (bytes.try_into(), bytes.try_into(), bytes.try_into()) {
                (Ok(key), _, _) => Ok(Self::xts_derived(key)),
                (_, Ok(key), _) => Ok(Self::Xts128(key)),
                (_, _, Ok(key)) => Ok(Self::Xts256(key)),
                _ => Err(BadKeyLength::Xts { found }),
            },
        }
    }
}

impl fmt::Debug for FlashKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Esp32 { config, .. } => f.debug_struct("Esp32").field("config", config).finish_non_exhaustive(),
            Self::Xts128(_) => f.debug_tuple("Xts128").finish_non_exhaustive(),
            Self::Xts256(_) => f.debug_tuple("Xts256").finish_non_exhaustive(),
        }
    }
}

/// The address or the length is not a multiple of [`PIECE`]; nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("flash encryption works on 16-byte pieces: {len} bytes at {address:#x} are not a whole number of them")]
pub struct Misaligned {
    /// Flash address in bytes.
    pub address: u32,
    /// Length in bytes.
    pub len: usize,
}

/// A flash encryption key made ready for work.
///
/// `address` is the flash address in bytes of the first byte of `data`; it and the length must be multiples of 16, and
/// may start or end inside a row or unit. Addresses run on from 0 after `0xFFFF_FFF0`.
pub struct FlashCipher(Kind);

#[allow(clippy::large_enum_variant, reason = "there is no allocator to box with")]
enum Kind {
    Esp32(esp32::Cipher, kernel::Esp32),
    Xts128(xts::Cipher<Aes128>, kernel::Xts<11>),
    Xts256(xts::Cipher<Aes256>, kernel::Xts<15>),
}

impl FlashCipher {
    /// Expands `key` for the fastest [`Path`] of this machine.
    pub fn new(key: &FlashKey) -> Self {
        Self::with_path(key, Path::fastest())
    }

    /// Expands `key` for `path`, or for the fastest below it that this machine has. For tests and measurements.
    pub fn with_path(key: &FlashKey, path: Path) -> Self {
        Self(match key {
            FlashKey::Esp32 { key, config } => {
                let rows = esp32::Cipher::new(key, *config);
                let bulk = kernel::Esp32::new(path, |address| rows.row_key(address));
                Kind::Esp32(rows, bulk)
            }
            FlashKey::Xts128(key) => Kind::Xts128(xts::Cipher::xts128(key), kernel::Xts::new(path, key)),
            FlashKey::Xts256(key) => Kind::Xts256(xts::Cipher::xts256(key), kernel::Xts::new(path, key)),
        })
    }

    /// Turns plaintext for `address` into what flash holds there, in place.
    ///
    /// # Errors
    /// [`Misaligned`] when the address or the length is not a multiple of 16.
    pub fn encrypt(&self, address: u32, data: &mut [u8]) -> Result<(), Misaligned> {
        self.run(Direction::Encrypt, address, data)
    }

    /// Turns what flash holds at `address` into what the CPU reads there, in place.
    ///
    /// # Errors
    /// [`Misaligned`] when the address or the length is not a multiple of 16.
    pub fn decrypt(&self, address: u32, data: &mut [u8]) -> Result<(), Misaligned> {
        self.run(Direction::Decrypt, address, data)
    }

    fn run(&self, direction: Direction, address: u32, data: &mut [u8]) -> Result<(), Misaligned> {
        check(address, data)?;
        match &self.0 {
            Kind::Esp32(rows, bulk) => bulk.run(direction, address, data, &mut |address, rest| {
                for_each_unit::<{ esp32::ROW }>(address, rest, |at, row| rows.run(direction, at, row));
            }),
            Kind::Xts128(units, bulk) => bulk.run(direction, address, data, &mut |address, rest| {
                for_each_unit::<{ xts::UNIT }>(address, rest, |at, unit| units.run(direction, at, unit));
            }),
            Kind::Xts256(units, bulk) => bulk.run(direction, address, data, &mut |address, rest| {
                for_each_unit::<{ xts::UNIT }>(address, rest, |at, unit| units.run(direction, at, unit));
            }),
        }
        Ok(())
    }
}

impl fmt::Debug for FlashCipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Kind::Esp32(..) => "FlashCipher(Esp32, ..)",
            Kind::Xts128(..) => "FlashCipher(Xts128, ..)",
            Kind::Xts256(..) => "FlashCipher(Xts256, ..)",
        })
    }
}

fn check(address: u32, data: &[u8]) -> Result<(), Misaligned> {
    let len = data.len();
    let whole = address.is_multiple_of(PIECE as u32) && len.is_multiple_of(PIECE);
    if whole { Ok(()) } else { Err(Misaligned { address, len }) }
}

/// Cuts `data` at the multiples of `SIZE` (a power of two) in flash and hands each part to `work` with its address.
fn for_each_unit<const SIZE: usize>(mut address: u32, data: &mut [u8], mut work: impl FnMut(u32, &mut [u8])) {
    let mut rest = data;
    while !rest.is_empty() {
        let to_boundary = SIZE.saturating_sub(address as usize & SIZE.wrapping_sub(1));
        let (part, tail) = rest.split_at_mut(to_boundary.min(rest.len()));
        work(address, part);
        address = address.wrapping_add(part.len() as u32);
        rest = tail;
    }
}

#[cfg(test)]
mod tests;
