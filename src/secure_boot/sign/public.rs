//! Public keys: PEM files, the digest for eFuse, detached signatures.

use super::{KeyError, SignError, block, pem};
use crate::{
    SecureBootScheme,
    secure_boot::{
        ecdsa,
        v1::{self, SIGNATURE},
        v2::{self, BLOCK, SignatureBlock, digest_len},
    },
};
use alloc::{boxed::Box, string::String};
use crypto_bigint::U3072;
#[cfg(feature = "p192")]
use p256::elliptic_curve::PublicKey as CurveKey;
use p256::elliptic_curve::sec1::ToSec1Point;
use rsa::{
    BoxedUint, RsaPublicKey,
    pkcs8::{DecodePublicKey, EncodePublicKey, LineEnding, der::Decode, spki::SubjectPublicKeyInfoRef},
    traits::PublicKeyParts,
};

/// Bits of the only RSA keys that chips verify.
const RSA_BITS: u32 = 3072;

/// The public half of a signing key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    scheme: SecureBootScheme,
    /// A signature block with the key filled in, and no signature.
    block: Box<[u8; BLOCK]>,
    /// The `SubjectPublicKeyInfo` as PEM text.
    pem: String,
}

impl PublicKey {
    /// Reads the first `PUBLIC KEY` of a PEM file (`SubjectPublicKeyInfo`): RSA-3072, ECDSA P-192, P-256 or P-384.
    ///
    /// # Errors
    /// [`KeyError`]: no such part, damaged, another algorithm, size or curve.
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        let (_, der) = pem::find(text, &["PUBLIC KEY"], "public")?;
        let der = der.as_bytes();
        let info = SubjectPublicKeyInfoRef::from_der(der).map_err(|_| KeyError::Malformed)?;
        if info.algorithm.oid == pem::RSA {
            return Self::rsa(&RsaPublicKey::from_public_key_der(der).map_err(|_| KeyError::Malformed)?);
        }
        if info.algorithm.oid != pem::EC {
            return Err(KeyError::UnknownAlgorithm);
        }
        let curve = info.algorithm.parameters_oid().map_err(|_| KeyError::Malformed)?;
        match pem::scheme(curve)? {
            SecureBootScheme::V2EcdsaP256 => p256::PublicKey::from_public_key_der(der).map(|key| Self::p256(&key)),
            SecureBootScheme::V2EcdsaP384 => p384::PublicKey::from_public_key_der(der).map(|key| Self::p384(&key)),
            #[cfg(feature = "p192")]
            SecureBootScheme::V2EcdsaP192 => {
                CurveKey::<p192::NistP192>::from_public_key_der(der).map(|key| Self::p192(&key))
            }
            scheme => return Err(KeyError::Unsupported { scheme }),
        }
        .map_err(|_| KeyError::Malformed)?
    }

    /// A P-256 key from its 64 raw bytes: X then Y, big-endian, as a bootloader with Secure Boot v1 has it built in.
    ///
    /// # Errors
    /// [`KeyError::Malformed`] where that is no point of the curve.
    pub fn from_raw_p256(raw: &[u8; 64]) -> Result<Self, KeyError> {
        let mut sec1 = [4; 65];
        sec1.iter_mut().skip(1).zip(raw).for_each(|(to, from)| *to = *from);
        p256::PublicKey::from_sec1_bytes(&sec1).map_err(|_| KeyError::Malformed).and_then(|key| Self::p256(&key))
    }

    pub(super) fn rsa(key: &RsaPublicKey) -> Result<Self, KeyError> {
        let bits = key.n().bits_vartime();
        if bits != RSA_BITS {
            return Err(KeyError::RsaSize { bits });
        }
        let n = number(key.n())?;
        let e = number(key.e())?;
        if e.bits_vartime() > u32::BITS {
            return Err(KeyError::RsaExponent);
        }
        let e_le = e.to_le_bytes();
        let e_le: &[u8] = e_le.as_ref();
        let e = u32::from_le_bytes(*e_le.first_chunk().ok_or(KeyError::RsaExponent)?);
        let block = block::rsa(&n, e).ok_or(KeyError::Malformed)?;
        Self::new(SecureBootScheme::V2Rsa3072, block, key)
    }

    #[cfg(feature = "p192")]
    pub(super) fn p192(key: &CurveKey<p192::NistP192>) -> Result<Self, KeyError> {
        Self::point::<48>(SecureBootScheme::V2EcdsaP192, key.to_sec1_point(false).as_bytes(), key)
    }

    pub(super) fn p256(key: &p256::PublicKey) -> Result<Self, KeyError> {
        Self::point::<64>(SecureBootScheme::V2EcdsaP256, key.to_sec1_point(false).as_bytes(), key)
    }

    pub(super) fn p384(key: &p384::PublicKey) -> Result<Self, KeyError> {
        Self::point::<96>(SecureBootScheme::V2EcdsaP384, key.to_sec1_point(false).as_bytes(), key)
    }

    fn point<const N: usize>(
        scheme: SecureBootScheme,
        sec1: &[u8],
        key: &impl EncodePublicKey,
    ) -> Result<Self, KeyError> {
        let point = sec1.last_chunk::<N>().ok_or(KeyError::Malformed)?;
        Self::new(scheme, block::ecdsa(scheme, point), key)
    }

    fn new(scheme: SecureBootScheme, block: [u8; BLOCK], key: &impl EncodePublicKey) -> Result<Self, KeyError> {
        let pem = key.to_public_key_pem(LineEnding::LF).map_err(|_| KeyError::Malformed)?;
        Ok(Self { scheme, block: Box::new(block), pem })
    }

    /// What the key signs (a P-256 key may also sign for v1).
    pub fn scheme(&self) -> SecureBootScheme {
        self.scheme
    }

    /// `SubjectPublicKeyInfo` as PEM text, ended by a newline.
    pub fn to_pem(&self) -> &str {
        &self.pem
    }

    /// SHA-256 of the key as a signature block holds it, for eFuse (formats sheet §7.3).
    pub fn digest(&self) -> [u8; 32] {
        SignatureBlock(&self.block).key_digest().unwrap_or_default()
    }

    /// X then Y of a P-256 key, big-endian, for a bootloader with Secure Boot v1; `None` for other keys.
    pub fn raw_p256(&self) -> Option<[u8; 64]> {
        let point = self.block.get(37..101)?.first_chunk()?;
        (self.scheme == SecureBootScheme::V2EcdsaP256).then(|| ecdsa::swap(point))
    }

    /// Whether the signature in `block` is one of this key over `digest`, whatever key the block itself names.
    pub fn verify(&self, block: SignatureBlock<'_>, digest: &[u8]) -> bool {
        let mut own = *self.block;
        block::finish(&mut own, self.scheme, digest, block::signature_of(block, self.scheme));
        v2::verify_signature(SignatureBlock(&own), digest)
    }

    /// The v2 signature block with a `signature` that was made elsewhere, by a key that never leaves its vault.
    ///
    /// - `digest`: of the image up to the signature sector, [`digest_len`] bytes.
    /// - `signature`: RSA: the 384 bytes of RSASSA-PSS, big-endian; ECDSA: DER, as openssl and PKCS#11 tools write it.
    ///
    /// # Errors
    /// [`SignError::DigestLength`]; [`SignError::BadSignature`] where it is not one of this key over `digest`.
    pub fn attach(&self, digest: &[u8], signature: &[u8]) -> Result<[u8; BLOCK], SignError> {
        check_len(self.scheme, digest)?;
        let fixed: Box<[u8]> = match self.scheme {
            SecureBootScheme::V2Rsa3072 => {
                let signature: &[u8; 384] = signature.try_into().map_err(|_| SignError::BadSignature)?;
                signature.iter().rev().copied().collect()
            }
            SecureBootScheme::V2EcdsaP384 => from_der::<p384::NistP384, 96>(signature)?,
            #[cfg(feature = "p192")]
            SecureBootScheme::V2EcdsaP192 => from_der::<p192::NistP192, 48>(signature)?,
            _ => from_der::<p256::NistP256, 64>(signature)?,
        };
        self.filled(digest, &fixed).ok_or(SignError::BadSignature)
    }

    /// The v1 signature block with a `signature` that was made elsewhere: r then s, 64 bytes, big-endian.
    ///
    /// # Errors
    /// [`SignError::NotV1`] for any key but P-256; [`SignError::BadSignature`] where it is not one of this key over `digest`
    /// (SHA-256 of everything before the block).
    pub fn attach_v1(&self, digest: &[u8; 32], signature: &[u8]) -> Result<[u8; SIGNATURE], SignError> {
        let key = self.raw_p256().ok_or(SignError::NotV1 { scheme: self.scheme })?;
        let signature: &[u8; 64] = signature.try_into().map_err(|_| SignError::BadSignature)?;
        let mut block = [0; SIGNATURE];
        let version = v1::VERSION.to_le_bytes();
        block.iter_mut().zip(version.iter().chain(signature)).for_each(|(to, from)| *to = *from);
        v1::verify(v1::SignatureBlock(&block), digest, &key).map_err(|_| SignError::BadSignature)?;
        Ok(block)
    }

    /// The block with `digest` and a `signature` as the block has it; `None` where it does not verify.
    pub(super) fn filled(&self, digest: &[u8], signature: &[u8]) -> Option<[u8; BLOCK]> {
        let mut block = *self.block;
        block::finish(&mut block, self.scheme, digest, signature);
        v2::verify_signature(SignatureBlock(&block), digest).then_some(block)
    }
}

/// Whether `digest` has the length that `scheme` signs.
pub(super) fn check_len(scheme: SecureBootScheme, digest: &[u8]) -> Result<(), SignError> {
    let (expected, found) = (digest_len(scheme), digest.len());
    if expected == found { Ok(()) } else { Err(SignError::DigestLength { expected, found }) }
}

/// A number of at most 3072 bits.
fn number(value: &BoxedUint) -> Result<U3072, KeyError> {
    let bytes = value.to_be_bytes_trimmed_vartime();
    let mut wide = [0; 384];
    let start = wide.len().checked_sub(bytes.len()).ok_or(KeyError::RsaExponent)?;
    wide.iter_mut().skip(start).zip(bytes.iter()).for_each(|(to, from)| *to = *from);
    Ok(U3072::from_be_slice(&wide))
}

/// r and s out of a DER signature, little-endian.
fn from_der<C, const N: usize>(der: &[u8]) -> Result<Box<[u8]>, SignError>
where
    C: ::ecdsa::EcdsaCurve,
    ::ecdsa::der::MaxSize<C>: p256::elliptic_curve::array::ArraySize,
    <p256::elliptic_curve::FieldBytesSize<C> as core::ops::Add>::Output:
        core::ops::Add<::ecdsa::der::MaxOverhead> + p256::elliptic_curve::array::ArraySize,
{
    let signature = ::ecdsa::Signature::<C>::from_der(der).map_err(|_| SignError::BadSignature)?;
    let bytes = signature.to_bytes();
    let pair: &[u8; N] = bytes.as_slice().try_into().map_err(|_| SignError::BadSignature)?;
    Ok(Box::new(ecdsa::swap(pair)))
}
