//! The seam between an envelope and the key that opens it.

use core::fmt;
use p256::elliptic_curve::zeroize::Zeroizing;

/// Size in bytes of the header's field with the wrapped key: 3072 bits.
pub const WRAPPED_SIZE: usize = 384;

/// The AES-256 key of one envelope. Wiped when dropped; [`fmt::Debug`] shows nothing of it.
pub struct ContentKey(Zeroizing<[u8; 32]>);

impl ContentKey {
    /// Takes the 32 bytes.
    pub fn new(key: [u8; 32]) -> Self {
        Self(Zeroizing::new(key))
    }

    /// The 32 bytes.
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for ContentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ContentKey").finish_non_exhaustive()
    }
}

/// Whatever can take the AES key out of a header: a private key in memory, a DS peripheral, an HSM.
pub trait Unwrap {
    /// The AES key that is wrapped in `wrapped`, bytes 4..388 of the header.
    ///
    /// # Errors
    /// [`UnwrapError`]: it is wrapped for another key, or damaged.
    fn unwrap_key(&mut self, wrapped: &[u8; WRAPPED_SIZE]) -> Result<ContentKey, UnwrapError>;
}

impl<U: Unwrap + ?Sized> Unwrap for &mut U {
    fn unwrap_key(&mut self, wrapped: &[u8; WRAPPED_SIZE]) -> Result<ContentKey, UnwrapError> {
        (**self).unwrap_key(wrapped)
    }
}

/// Why the AES key cannot be taken out of a header. Offsets count bytes from the start of the envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnwrapError {
    /// The RSA ciphertext does not decrypt to an AES key. One ciphertext in some hundreds that is wrapped for another key
    /// decrypts to *some* 32 bytes, as the `rsa` crate answers wrong padding with noise; then the tag does not match.
    #[error(
        "the 384 bytes at offset 0x4 do not decrypt to an AES key with this RSA key: sealed for another key, for ECIES, or \
         changed"
    )]
    Rsa,
    /// The server's public key is no point of P-256.
    #[error("the 64 bytes at offset 0x4 are no point of P-256: sealed for an RSA key, or changed")]
    NotOnCurve,
    /// A byte behind the ECIES fields is not zero.
    #[error("offset {offset:#x} holds {found:#04x}, expected 0x00: sealed for an RSA key, or changed")]
    EciesZeros {
        /// Where.
        offset: usize,
        /// The byte found.
        found: u8,
    },
    /// A peripheral or HSM refused; the number is its own.
    #[error("the hardware that holds the key refused: code {0:#x}")]
    Hardware(i32),
}
