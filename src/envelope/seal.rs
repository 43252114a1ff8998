//! Sealing `esp_encrypted_img` envelopes, on the host that makes releases.

use super::{ContentKey, Contents, Recipient, WRAPPED_SIZE, ecies, gcm::Gcm, keys::Public};
use alloc::vec::Vec;
use p256::{SecretKey, elliptic_curve::Generate};
use rand_core::CryptoRng;
use rsa::{Pkcs1v15Encrypt, RsaPublicKey};

/// Why nothing was sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The size does not fit the header's 32 bits.
    #[error("{size} bytes do not fit the 32-bit size of an envelope's header")]
    TooLarge {
        /// Size of the plaintext in bytes.
        size: usize,
    },
    /// The RSA key cannot encrypt: its numbers do not make a key.
    #[error("the key cannot encrypt: its numbers do not make a key")]
    BadKey,
}

/// An envelope with `plaintext` for `recipient`: 512 bytes more than the plaintext. Key, IV, salt and the server's P-256 key
/// are new each time, from `rng`.
///
/// # Errors
/// [`SealError`].
pub fn seal<R: CryptoRng>(plaintext: &[u8], recipient: &Recipient, rng: &mut R) -> Result<Vec<u8>, SealError> {
    let size = u32::try_from(plaintext.len()).map_err(|_| SealError::TooLarge { size: plaintext.len() })?;
    let (key, wrapped) = match &recipient.0 {
        Public::Rsa(public) => wrap_rsa(public, rng)?,
        Public::P256(public) => wrap_ecies(public, rng)?,
    };
    let mut iv = [0; 16];
    rng.fill_bytes(&mut iv);
    let mut gcm = Gcm::new(&key, &iv);
    let mut body = plaintext.to_vec();
    gcm.encrypt(&mut body).map_err(|_| SealError::TooLarge { size: plaintext.len() })?;
    let header = Contents { wrapped_key: &wrapped, iv, size, tag: gcm.tag() }.to_bytes();
    let mut envelope = Vec::with_capacity(header.len().saturating_add(body.len()));
    envelope.extend_from_slice(&header);
    envelope.append(&mut body);
    Ok(envelope)
}

fn wrap_rsa<R: CryptoRng>(public: &RsaPublicKey, rng: &mut R) -> Result<(ContentKey, [u8; WRAPPED_SIZE]), SealError> {
    let mut key = [0; 32];
    rng.fill_bytes(&mut key);
    let key = ContentKey::new(key);
    let wrapped = public.encrypt(rng, Pkcs1v15Encrypt, key.expose()).map_err(|_| SealError::BadKey)?;
    wrapped.as_slice().try_into().map(|wrapped| (key, wrapped)).map_err(|_| SealError::BadKey)
}

fn wrap_ecies<R: CryptoRng>(
    public: &p256::PublicKey,
    rng: &mut R,
) -> Result<(ContentKey, [u8; WRAPPED_SIZE]), SealError> {
    let server: SecretKey = Generate::generate_from_rng(rng);
    let mut salt = [0; 32];
    rng.fill_bytes(&mut salt);
    let key = ecies::content_key(&server, public, &salt).map_err(|_| SealError::BadKey)?;
    let mut wrapped = [0; WRAPPED_SIZE];
    let fields = ecies::raw(&server.public_key()).into_iter().chain(salt);
    wrapped.iter_mut().zip(fields).for_each(|(to, from)| *to = from);
    Ok((key, wrapped))
}
