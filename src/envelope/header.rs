//! The header of an `esp_encrypted_img` envelope: 512 bytes before the ciphertext (formats sheet §9.1).
//!
//! | offset | size | RSA-3072 | ECIES with P-256 |
//! |---|---|---|---|
//! | 0 | 4 | magic CF B6 88 07 | the same |
//! | 4 | 384 | AES key, RSAES-PKCS1-v1_5, big-endian | 4: server's public key X, Y, big-endian; 68: salt; 100: zeros |
//! | 388 | 16 | IV of AES-256-GCM | the same |
//! | 404 | 4 | size of the plaintext, and so of the ciphertext; little-endian | the same |
//! | 408 | 16 | GCM tag | the same |
//! | 424 | 88 | zeros | the same |
//!
//! The header itself is not covered by the tag. A changed key, IV, size or tag shows in the tag all the same; the zeros show in
//! nothing, so they are checked here. (Espressif's component passes over them.)

use super::{EnvelopeError, WRAPPED_SIZE};
use crate::bytes;

/// Size in bytes of the header.
pub const HEADER_SIZE: usize = 512;
/// The first four bytes: the start of SHA-256 of `esp_encrypted_img`, as a little-endian word.
pub const MAGIC: [u8; 4] = [0xCF, 0xB6, 0x88, 0x07];

const WRAPPED: usize = 4;
const IV: usize = 388;
const SIZE: usize = 404;
const TAG: usize = 408;
const RESERVED: usize = 424;
/// Offset in the header where the zeros behind the ECIES fields begin.
pub(super) const ECIES_ZEROS: usize = 100;

/// A header as it lies in the file; shows its fields and judges nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header<'a>(pub &'a [u8; HEADER_SIZE]);

impl<'a> Header<'a> {
    /// The header at the start of `file`; `None` where it is shorter than one.
    pub fn at(file: &'a [u8]) -> Option<Self> {
        file.first_chunk().map(Self)
    }

    /// Bytes 0..4; [`MAGIC`] in an envelope.
    pub fn magic(self) -> [u8; 4] {
        self.field(0)
    }

    /// Bytes 4..388: the wrapped key.
    pub fn wrapped_key(self) -> &'a [u8; WRAPPED_SIZE] {
        self.0.get(WRAPPED..).and_then(|from| from.first_chunk()).unwrap_or(&[0; WRAPPED_SIZE])
    }

    /// Whether the zeros behind the ECIES fields are there. The format does not say which scheme an envelope has; an RSA
    /// ciphertext that looks like this is not to be expected before the end of the universe.
    pub fn looks_like_ecies(self) -> bool {
        self.0.get(ECIES_ZEROS..IV).is_some_and(|zeros| zeros.iter().all(|b| *b == 0))
    }

    /// ECIES: the server's public key, X then Y, big-endian.
    pub fn server_public(self) -> [u8; 64] {
        self.field(WRAPPED)
    }

    /// ECIES: the salt of HKDF.
    pub fn salt(self) -> [u8; 32] {
        self.field(68)
    }

    /// The IV of AES-256-GCM.
    pub fn iv(self) -> [u8; 16] {
        self.field(IV)
    }

    /// Size in bytes of the plaintext.
    pub fn size(self) -> u32 {
        u32::from_le_bytes(self.field(SIZE))
    }

    /// The GCM tag.
    pub fn tag(self) -> [u8; 16] {
        self.field(TAG)
    }

    /// Bytes 424..512; zeros in an envelope.
    pub fn reserved(self) -> &'a [u8] {
        self.0.get(RESERVED..).unwrap_or(&[])
    }

    fn field<const N: usize>(self, offset: usize) -> [u8; N] {
        bytes::array(self.0, offset).unwrap_or([0; N])
    }
}

/// What a good header says. The key is still wrapped, and nothing is proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contents<'a> {
    /// The AES key: an RSA ciphertext, or the fields of ECIES.
    pub wrapped_key: &'a [u8; WRAPPED_SIZE],
    /// The IV of AES-256-GCM.
    pub iv: [u8; 16],
    /// Size in bytes of the plaintext.
    pub size: u32,
    /// The GCM tag.
    pub tag: [u8; 16],
}

impl<'a> Contents<'a> {
    /// Judges a header.
    ///
    /// # Errors
    /// [`EnvelopeError::BadMagic`], [`EnvelopeError::ReservedNotZero`].
    pub fn parse(header: Header<'a>) -> Result<Self, EnvelopeError> {
        let found = header.magic();
        if found != MAGIC {
            return Err(EnvelopeError::BadMagic { found });
        }
        if let Some((at, found)) = header.reserved().iter().enumerate().find(|(_, byte)| **byte != 0) {
            return Err(EnvelopeError::ReservedNotZero { offset: RESERVED.saturating_add(at), found: *found });
        }
        let wrapped_key = header.wrapped_key();
        Ok(Self { wrapped_key, iv: header.iv(), size: header.size(), tag: header.tag() })
    }

    /// The 512 bytes of the header.
    pub fn to_bytes(&self) -> [u8; HEADER_SIZE] {
        let mut raw = [0; HEADER_SIZE];
        let fields = [&MAGIC[..], self.wrapped_key, &self.iv, &self.size.to_le_bytes(), &self.tag];
        raw.iter_mut().zip(fields.into_iter().flatten()).for_each(|(to, from)| *to = *from);
        raw
    }
}
