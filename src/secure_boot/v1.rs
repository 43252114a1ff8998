//! Secure Boot v1 of the ESP32: two independent things (formats sheet §6).
//!
//! **The digest of the bootloader**, which the ROM checks with a secret AES key in eFuse BLOCK2:
//!
//! | flash offset | size | content |
//! |---|---|---|
//! | 0x0 | 128 | random IV |
//! | 0x80 | 64 | digest |
//! | 0xC0 | 0xF40 | 0xFF |
//! | 0x1000 | | bootloader image |
//!
//! It is SHA-512 over the AES-256 encryption of IV and image, with the bytes turned around as the engine does
//! ([`BootloaderDigest`]).
//!
//! **The signature of an app**, which the second-stage bootloader checks with a public key compiled into it. The block
//! follows the signed bytes at once (an app's appended SHA-256 is among them):
//!
//! | offset | size | field |
//! |---|---|---|
//! | 0 | 4 | version 0, little-endian |
//! | 4 | 32 | r, big-endian |
//! | 36 | 32 | s, big-endian |
//!
//! ECDSA P-256 over SHA-256; the public key is 64 bytes, X then Y, big-endian.

use super::ecdsa;
use crate::bytes;
use aes::{
    Aes256Enc,
    cipher::{Array, BlockCipherEncrypt, KeyInit},
};
use sha2::{Digest, Sha512};

/// Size in bytes of the IV at flash offset 0.
pub const IV: usize = 128;
/// Size in bytes of the digest, at flash offset [`IV`].
pub const DIGEST: usize = 64;
/// The engine reads whole pieces of this many bytes.
pub const PIECE: usize = 128;
/// Size in bytes of the sector that holds IV and digest; the bootloader follows it.
pub const HEADER: usize = 0x1000;
/// Size in bytes of an app's signature block.
pub const SIGNATURE: usize = 68;
/// The only version of the signature block.
pub const VERSION: u32 = 0;
/// Size in bytes of the SHA-256 that an image may carry at its end.
const APPENDED: usize = 32;
const AES_BLOCK: usize = 16;

/// A key file that is no secure boot key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a secure boot key has 32 bytes (24 with 3/4 coding), not {found}")]
pub struct BadKeyLength {
    /// Length found, in bytes.
    pub found: usize,
}

/// The engine's 32-byte key from a file of 32 bytes, or of 24: with the 3/4 coding scheme the hardware repeats bytes
/// 8..16 behind the 24 (formats sheet §6.2).
///
/// # Errors
/// [`BadKeyLength`] for any other length.
pub fn engine_key(file: &[u8]) -> Result<[u8; 32], BadKeyLength> {
    let error = BadKeyLength { found: file.len() };
    if let Ok(key) = file.try_into() {
        return Ok(key);
    }
    let short: &[u8; 24] = file.try_into().map_err(|_| error)?;
    let mut key = [0; 32];
    key.iter_mut().zip(short.iter().chain(short.iter().skip(8))).for_each(|(to, from)| *to = *from);
    Ok(key)
}

/// How many bytes of a bootloader *file* of `len` bytes are digested, before it is filled up with 0xFF to a multiple of
/// [`PIECE`]: where at most the appended SHA-256 reaches into the last piece, that piece is left out, because the device
/// does not read that far.
pub fn file_len(len: usize, hash_appended: bool) -> usize {
    let rest = len % PIECE;
    if hash_appended && rest <= APPENDED { len.saturating_sub(rest) } else { len }
}

/// How many bytes of *flash* from 0x1000 on the device digests: `image_len` is the length of the image without its
/// appended SHA-256, rounded up to a multiple of [`PIECE`]. `None` above 4 GiB.
///
/// It reads what lies there, so part of the appended SHA-256 or erased flash; with [`file_len`] that is the same bytes.
pub fn device_len(image_len: u32) -> Option<u32> {
    image_len.checked_next_multiple_of(PIECE as u32)
}

/// The secure boot engine, fed with a bootloader in chunks of any size.
///
/// ```text
/// for each 16 bytes b of IV || image:   c = reverse(AES256_ENCRYPT(key, reverse(b)))
///                                       SHA-512 of c, each 4-byte word reversed
/// digest                                each 4-byte word of the SHA-512 reversed
/// ```
pub struct BootloaderDigest {
    aes: Aes256Enc,
    sha: Sha512,
    block: [u8; AES_BLOCK],
    /// Bytes of `block` in use, less than its size between calls.
    filled: usize,
    /// Bytes of the current piece that were read, modulo [`PIECE`].
    in_piece: usize,
}

impl BootloaderDigest {
    /// An engine with `key` (see [`engine_key`]) that has read `iv`.
    pub fn new(key: &[u8; 32], iv: &[u8; IV]) -> Self {
        let aes = Aes256Enc::new(&Array(*key));
        let mut engine = Self { aes, sha: Sha512::new(), block: [0; AES_BLOCK], filled: 0, in_piece: 0 };
        engine.update(iv);
        engine
    }

    /// Reads the next bytes of the image.
    pub fn update(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if let Some(slot) = self.block.get_mut(self.filled) {
                *slot = *byte;
            }
            self.filled = self.filled.wrapping_add(1);
            self.in_piece = self.in_piece.wrapping_add(1) % PIECE;
            if self.filled == AES_BLOCK {
                self.filled = 0;
                self.digest_block();
            }
        }
    }

    /// Fills the last piece up with 0xFF and gives the 64 bytes for flash offset 0x80.
    pub fn finalize(mut self) -> [u8; DIGEST] {
        while self.in_piece != 0 {
            self.update(&[0xFF]);
        }
        let mut digest: [u8; DIGEST] = self.sha.finalize().into();
        reverse_words(&mut digest);
        digest
    }

    fn digest_block(&mut self) {
        let mut block = self.block;
        block.reverse();
        let mut block = Array(block);
        self.aes.encrypt_block(&mut block);
        let mut block: [u8; AES_BLOCK] = block.0;
        block.reverse();
        reverse_words(&mut block);
        self.sha.update(block);
    }
}

fn reverse_words(bytes: &mut [u8]) {
    bytes.chunks_exact_mut(4).for_each(<[u8]>::reverse);
}

/// The signature block of an app as it lies in flash; shows its fields and judges nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignatureBlock<'a>(pub &'a [u8; SIGNATURE]);

impl<'a> SignatureBlock<'a> {
    /// The last 68 bytes of a signed file, and the bytes before them; `None` where it is shorter.
    pub fn split(file: &'a [u8]) -> Option<(&'a [u8], Self)> {
        file.split_last_chunk().map(|(content, block)| (content, Self(block)))
    }

    /// Bytes 0..4; [`VERSION`] in a block, 0xFFFFFFFF where nothing was written.
    pub fn version(self) -> u32 {
        bytes::le32(self.0, 0).unwrap_or(u32::MAX)
    }

    /// r then s, 32 bytes each, big-endian.
    pub fn signature(self) -> &'a [u8; 64] {
        const NONE: &[u8; 64] = &[0; 64];
        self.0.last_chunk().unwrap_or(NONE)
    }
}

/// Why a block does not vouch for an app.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub enum VerifyError {
    /// The version is not [`VERSION`]; that of an unsigned app is whatever lies behind it.
    #[error("image has invalid signature version field {found:#010x} (image without a signature?)")]
    BadVersion {
        /// The version found.
        found: u32,
    },
    /// The signature is not one of the key over the digest, or the key is no point of the curve.
    #[error("the signature does not verify")]
    BadSignature,
}

/// Checks an app's signature as the second-stage bootloader does: version, then signature.
///
/// - `digest`: SHA-256 of everything before the block.
/// - `key`: the public key, X then Y, big-endian.
///
/// # Errors
/// [`VerifyError`], the first that applies.
pub fn verify(block: SignatureBlock<'_>, digest: &[u8; 32], key: &[u8; 64]) -> Result<(), VerifyError> {
    if block.version() != VERSION {
        return Err(VerifyError::BadVersion { found: block.version() });
    }
    if !ecdsa::verify_p256(key, block.signature(), digest) {
        return Err(VerifyError::BadSignature);
    }
    Ok(())
}
