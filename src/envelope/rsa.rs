//! RSA-3072: the AES key as an RSAES-PKCS1-v1_5 ciphertext (formats sheet §9.1).

use super::{ContentKey, Unwrap, UnwrapError, WRAPPED_SIZE};
use core::fmt;
use p256::elliptic_curve::zeroize::Zeroizing;
use rand_core::CryptoRng;
use rsa::{
    Pkcs1v15Encrypt, RsaPrivateKey, pkcs1::DecodeRsaPrivateKey, pkcs8::DecodePrivateKey, traits::PublicKeyParts,
};

/// An RSA-3072 private key in memory, and the random numbers that blind its operations (see the module's page).
/// [`fmt::Debug`] shows nothing of either.
pub struct RsaKey<R> {
    key: RsaPrivateKey,
    rng: R,
}

impl<R: CryptoRng> RsaKey<R> {
    /// Takes a key; `None` unless it has 3072 bits.
    pub fn new(key: RsaPrivateKey, rng: R) -> Option<Self> {
        (key.n().bits_vartime() == 3072).then_some(Self { key, rng })
    }

    /// Reads a key from DER, PKCS#1 or PKCS#8; `None` where that is not an RSA-3072 private key.
    pub fn from_der(der: &[u8], rng: R) -> Option<Self> {
        let key = RsaPrivateKey::from_pkcs1_der(der).ok().or_else(|| RsaPrivateKey::from_pkcs8_der(der).ok())?;
        Self::new(key, rng)
    }
}

impl<R> fmt::Debug for RsaKey<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RsaKey").finish_non_exhaustive()
    }
}

impl<R: CryptoRng> Unwrap for RsaKey<R> {
    fn unwrap_key(&mut self, wrapped: &[u8; WRAPPED_SIZE]) -> Result<ContentKey, UnwrapError> {
        let key = self.key.decrypt_blinded(&mut self.rng, Pkcs1v15Encrypt, wrapped).map_err(|_| UnwrapError::Rsa)?;
        let key = Zeroizing::new(key);
        key.as_slice().try_into().map(ContentKey::new).map_err(|_| UnwrapError::Rsa)
    }
}
