//! ECIES as `esp_encrypted_img` has it (formats sheet §9.2): P-256, HKDF-SHA256, and a device key out of eFuse.
//!
//! ```text
//! H    32 bytes in an eFuse key block of purpose HMAC_UP, which only the HMAC peripheral can read
//! d    PBKDF2-HMAC-SHA256(password H, salt of the format, 2048 rounds), 32 bytes, a big-endian scalar of P-256
//! z    X of d * server's public key
//! key  HKDF-SHA256(z, salt of the header, "_esp_enc_img_ecc"), 32 bytes
//! ```

use super::{ContentKey, Unwrap, UnwrapError, WRAPPED_SIZE, header::ECIES_ZEROS};
use crate::bytes;
use core::fmt;
use hmac::{Hmac, KeyInit, Mac};
use p256::{
    PublicKey, SecretKey,
    ecdh::diffie_hellman,
    elliptic_curve::{sec1::ToSec1Point, zeroize::Zeroizing},
};
use sha2::Sha256;

/// Salt of PBKDF2.
const SALT: [u8; 32] = [
    0x0e, 0x21, 0x60, 0x64, 0x2d, 0xae, 0x76, 0xd3, 0x34, 0x48, 0xe4, 0x3d, 0x77, 0x20, 0x12, 0x3d, 0x9f, 0x3b, 0x1e,
    0xce, 0xb8, 0x8e, 0x57, 0x3a, 0x4e, 0x8f, 0x7f, 0xb9, 0x4f, 0xf0, 0xc8, 0x69,
];
/// Rounds of PBKDF2.
const ROUNDS: u32 = 2048;
/// Info of HKDF.
const INFO: &[u8] = b"_esp_enc_img_ecc";

/// The private key of a device whose envelopes are made with ECIES. Wiped when dropped; [`fmt::Debug`] shows nothing of it.
#[derive(Clone)]
pub struct EciesKey(SecretKey);

impl EciesKey {
    /// The key of a device with the 32-byte HMAC key `key` in eFuse, in file order (it is burned un-reversed).
    ///
    /// `None` where the derived number is no scalar of P-256, which happens to one key in 2^32; generate another.
    pub fn from_hmac_key(key: &[u8; 32]) -> Option<Self> {
        // HMAC takes keys of any length
        let mac = Hmac::<Sha256>::new_from_slice(key).ok()?;
        Self::derive(|message| mac.clone().chain_update(message).finalize().into_bytes().into())
    }

    /// The key of this device, with `hmac` for its HMAC peripheral: HMAC-SHA256 of a message with the key in eFuse. It is
    /// called 2048 times.
    ///
    /// `None` where the derived number is no scalar of P-256.
    pub fn derive(mut hmac: impl FnMut(&[u8]) -> [u8; 32]) -> Option<Self> {
        // PBKDF2 (RFC 8018 §5.2), first block, which is the only one.
        let mut first = [0; 36];
        let input = SALT.iter().chain(&[0, 0, 0, 1]);
        first.iter_mut().zip(input).for_each(|(to, from)| *to = *from);
        let mut last = Zeroizing::new(hmac(&first));
        let mut sum = last.clone();
        for _ in 1..ROUNDS {
            *last = hmac(&*last);
            sum.iter_mut().zip(last.iter()).for_each(|(sum, byte)| *sum ^= byte);
        }
        Self::from_scalar(&sum)
    }

    /// The key with the private number `scalar`, big-endian; `None` where that is no scalar of P-256.
    pub fn from_scalar(scalar: &[u8; 32]) -> Option<Self> {
        SecretKey::from_slice(scalar).ok().map(Self)
    }

    /// The public half, which envelopes are sealed for: X then Y, big-endian.
    pub fn public(&self) -> [u8; 64] {
        raw(&self.0.public_key())
    }

    #[cfg(feature = "seal")]
    pub(super) fn new(key: SecretKey) -> Self {
        Self(key)
    }

    #[cfg(feature = "seal")]
    pub(super) fn public_key(&self) -> PublicKey {
        self.0.public_key()
    }
}

impl fmt::Debug for EciesKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EciesKey").finish_non_exhaustive()
    }
}

impl Unwrap for EciesKey {
    fn unwrap_key(&mut self, wrapped: &[u8; WRAPPED_SIZE]) -> Result<ContentKey, UnwrapError> {
        let mut sec1 = [4; 65];
        sec1.iter_mut().skip(1).zip(wrapped).for_each(|(to, from)| *to = *from);
        let server = PublicKey::from_sec1_bytes(&sec1).map_err(|_| UnwrapError::NotOnCurve)?;
        // offsets in the field are those in the header less 4
        let zeros = ECIES_ZEROS.saturating_sub(4);
        let tail = wrapped.get(zeros..).unwrap_or(&[]);
        if let Some((at, found)) = tail.iter().enumerate().find(|(_, byte)| **byte != 0) {
            return Err(UnwrapError::EciesZeros { offset: ECIES_ZEROS.saturating_add(at), found: *found });
        }
        let salt = bytes::array(wrapped, 64).unwrap_or([0; 32]);
        content_key(&self.0, &server, &salt)
    }
}

/// X then Y, big-endian.
pub(super) fn raw(key: &PublicKey) -> [u8; 64] {
    key.to_sec1_point(false).as_bytes().last_chunk().copied().unwrap_or([0; 64])
}

/// The AES key that the owners of `own` and `other` agree on.
pub(super) fn content_key(own: &SecretKey, other: &PublicKey, salt: &[u8; 32]) -> Result<ContentKey, UnwrapError> {
    let shared = diffie_hellman(own.to_nonzero_scalar(), other.as_affine());
    let mut key = [0; 32];
    // 32 bytes are far below what HKDF can give
    shared.extract::<Sha256>(Some(salt)).expand(INFO, &mut key).map_err(|_| UnwrapError::NotOnCurve)?;
    Ok(ContentKey::new(key))
}
