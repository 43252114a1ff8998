//! Private keys: PEM files, new keys, signatures.

use super::{KeyError, PublicKey, SignError, pem, public};
use crate::{
    SecureBootScheme,
    secure_boot::{
        ecdsa::swap,
        v1::{self, SIGNATURE},
        v2::BLOCK,
    },
};
use alloc::{boxed::Box, string::String, vec::Vec};
use core::fmt;
use ecdsa::{
    EcdsaCurve, SignatureSize,
    elliptic_curve::{
        CurveArithmetic, Generate, SecretKey, array::ArraySize, common::BlockSizeUser, zeroize::Zeroizing,
    },
    hazmat::sign_prehashed_rfc6979,
};
use rand_core::CryptoRng;
use rsa::{
    RsaPrivateKey,
    pkcs1::{DecodeRsaPrivateKey, EncodeRsaPrivateKey},
    pkcs8::{DecodePrivateKey, LineEnding, PrivateKeyInfoRef, der::Decode},
    pss,
    signature::{SignatureEncoding, hazmat::RandomizedPrehashSigner},
    traits::PublicKeyParts,
};
use sec1::EcPrivateKey;
use sha2::{Digest, Sha256, Sha384};

/// Labels of the PEM parts that hold private keys.
const PRIVATE: [&str; 4] = ["EC PRIVATE KEY", "RSA PRIVATE KEY", "PRIVATE KEY", "ENCRYPTED PRIVATE KEY"];
/// Random bytes mixed into the nonces of ECDSA.
const ENTROPY: usize = 32;

/// A private key. Its memory is wiped when it is dropped; [`fmt::Debug`] shows the scheme only.
pub struct SigningKey(Inner);

enum Inner {
    Rsa(Box<RsaPrivateKey>),
    #[cfg(feature = "p192")]
    P192(SecretKey<p192::NistP192>),
    P256(SecretKey<p256::NistP256>),
    P384(SecretKey<p384::NistP384>),
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({:?})", self.scheme())
    }
}

impl SigningKey {
    /// Reads the first private key of a PEM file: PKCS#1 (`RSA PRIVATE KEY`), SEC 1 (`EC PRIVATE KEY`) or PKCS#8
    /// (`PRIVATE KEY`), without password; RSA-3072, ECDSA P-192, P-256 or P-384 by the curve's name.
    ///
    /// # Errors
    /// [`KeyError`]: no such part, damaged, encrypted, another algorithm, size or curve.
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        let (label, der) = pem::find(text, &PRIVATE, "private")?;
        let der = der.as_bytes();
        match label {
            "RSA PRIVATE KEY" => Self::rsa(RsaPrivateKey::from_pkcs1_der(der).map_err(|_| KeyError::Malformed)?),
            "EC PRIVATE KEY" => {
                let key = EcPrivateKey::from_der(der).map_err(|_| KeyError::Malformed)?;
                let curve = key.parameters.and_then(|parameters| parameters.named_curve());
                let scheme = pem::scheme(curve.ok_or(KeyError::Malformed)?)?;
                Self::ec(scheme, der, Encoding::Sec1)
            }
            _ => Self::from_pkcs8(der),
        }
    }

    fn from_pkcs8(der: &[u8]) -> Result<Self, KeyError> {
        let info = PrivateKeyInfoRef::from_der(der).map_err(|_| KeyError::Malformed)?;
        if info.algorithm.oid == pem::RSA {
            return Self::rsa(RsaPrivateKey::from_pkcs8_der(der).map_err(|_| KeyError::Malformed)?);
        }
        if info.algorithm.oid != pem::EC {
            return Err(KeyError::UnknownAlgorithm);
        }
        let curve = info.algorithm.parameters_oid().map_err(|_| KeyError::Malformed)?;
        let scheme = pem::scheme(curve)?;
        Self::ec(scheme, der, Encoding::Pkcs8)
    }

    fn ec(scheme: SecureBootScheme, der: &[u8], encoding: Encoding) -> Result<Self, KeyError> {
        macro_rules! read {
            ($variant:ident, $curve:ty) => {
                match encoding {
                    Encoding::Sec1 => SecretKey::<$curve>::from_sec1_der(der).ok(),
                    Encoding::Pkcs8 => SecretKey::<$curve>::from_pkcs8_der(der).ok(),
                }
                .map(Inner::$variant)
            };
        }
        let key = match scheme {
            SecureBootScheme::V2EcdsaP256 => read!(P256, p256::NistP256),
            SecureBootScheme::V2EcdsaP384 => read!(P384, p384::NistP384),
            #[cfg(feature = "p192")]
            SecureBootScheme::V2EcdsaP192 => read!(P192, p192::NistP192),
            scheme => return Err(KeyError::Unsupported { scheme }),
        };
        key.map(Self).ok_or(KeyError::Malformed)
    }

    fn rsa(key: RsaPrivateKey) -> Result<Self, KeyError> {
        let bits = key.n().bits_vartime();
        if bits == 3072 { Ok(Self(Inner::Rsa(Box::new(key)))) } else { Err(KeyError::RsaSize { bits }) }
    }

    /// A new key for `scheme` (v1 signs with a P-256 key). An RSA key takes seconds to find.
    ///
    /// # Errors
    /// [`KeyError::Unsupported`] for P-192 in a build without the feature `p192`; [`KeyError::Malformed`] where no RSA
    /// key was found, which only a broken `rng` brings about.
    pub fn generate<R: CryptoRng>(scheme: SecureBootScheme, rng: &mut R) -> Result<Self, KeyError> {
        Ok(Self(match scheme {
            SecureBootScheme::V2Rsa3072 => {
                Inner::Rsa(Box::new(RsaPrivateKey::new(rng, 3072).map_err(|_| KeyError::Malformed)?))
            }
            SecureBootScheme::V2EcdsaP384 => Inner::P384(SecretKey::generate_from_rng(rng)),
            SecureBootScheme::V1 | SecureBootScheme::V2EcdsaP256 => Inner::P256(SecretKey::generate_from_rng(rng)),
            #[cfg(feature = "p192")]
            SecureBootScheme::V2EcdsaP192 => Inner::P192(SecretKey::generate_from_rng(rng)),
            #[cfg(not(feature = "p192"))]
            scheme @ SecureBootScheme::V2EcdsaP192 => return Err(KeyError::Unsupported { scheme }),
        }))
    }

    /// The key as PEM text, PKCS#1 or SEC 1, as openssl and espsecure write it; wiped when dropped.
    ///
    /// # Errors
    /// [`KeyError::Malformed`] where the key cannot be encoded.
    pub fn to_pem(&self) -> Result<Zeroizing<String>, KeyError> {
        match &self.0 {
            Inner::Rsa(key) => key.to_pkcs1_pem(LineEnding::LF).ok(),
            #[cfg(feature = "p192")]
            Inner::P192(key) => key.to_sec1_pem(LineEnding::LF).ok(),
            Inner::P256(key) => key.to_sec1_pem(LineEnding::LF).ok(),
            Inner::P384(key) => key.to_sec1_pem(LineEnding::LF).ok(),
        }
        .ok_or(KeyError::Malformed)
    }

    /// What the key signs (a P-256 key may also sign for v1).
    pub fn scheme(&self) -> SecureBootScheme {
        match &self.0 {
            Inner::Rsa(_) => SecureBootScheme::V2Rsa3072,
            #[cfg(feature = "p192")]
            Inner::P192(_) => SecureBootScheme::V2EcdsaP192,
            Inner::P256(_) => SecureBootScheme::V2EcdsaP256,
            Inner::P384(_) => SecureBootScheme::V2EcdsaP384,
        }
    }

    /// The public half.
    ///
    /// # Errors
    /// [`KeyError::RsaExponent`] where a signature block cannot hold the key.
    pub fn public(&self) -> Result<PublicKey, KeyError> {
        match &self.0 {
            Inner::Rsa(key) => PublicKey::rsa(key.as_public_key()),
            #[cfg(feature = "p192")]
            Inner::P192(key) => PublicKey::p192(&key.public_key()),
            Inner::P256(key) => PublicKey::p256(&key.public_key()),
            Inner::P384(key) => PublicKey::p384(&key.public_key()),
        }
    }

    /// The v2 signature block over an image with `digest`: SHA-384 for P-384, else SHA-256, from the image's start to the
    /// signature sector.
    ///
    /// # Errors
    /// [`SignError::DigestLength`]; [`SignError::Failed`] where the finished block does not verify.
    pub fn sign_v2<R: CryptoRng>(&self, digest: &[u8], rng: &mut R) -> Result<[u8; BLOCK], SignError> {
        public::check_len(self.scheme(), digest)?;
        let mut entropy = [0; ENTROPY];
        rng.fill_bytes(&mut entropy);
        let signature = match &self.0 {
            Inner::Rsa(key) => {
                let signer = pss::SigningKey::<Sha256>::new(RsaPrivateKey::clone(key));
                let signature = signer.sign_prehash_with_rng(rng, digest).map_err(|_| SignError::Failed)?;
                let mut bytes = signature.to_vec();
                bytes.reverse();
                bytes
            }
            #[cfg(feature = "p192")]
            Inner::P192(key) => little_endian::<48>(&ecdsa_sign::<_, Sha256>(key, digest, &entropy))?,
            Inner::P256(key) => little_endian::<64>(&ecdsa_sign::<_, Sha256>(key, digest, &entropy))?,
            Inner::P384(key) => little_endian::<96>(&ecdsa_sign::<_, Sha384>(key, digest, &entropy))?,
        };
        let public = self.public().map_err(|_| SignError::Failed)?;
        public.filled(digest, &signature).ok_or(SignError::Failed)
    }

    /// The v1 signature block over `digest`, SHA-256 of everything before the block. The same bytes every time (RFC 6979).
    ///
    /// # Errors
    /// [`SignError::NotV1`] for any key but P-256.
    pub fn sign_v1(&self, digest: &[u8; 32]) -> Result<[u8; SIGNATURE], SignError> {
        let Inner::P256(key) = &self.0 else {
            return Err(SignError::NotV1 { scheme: self.scheme() });
        };
        let mut block = [0; SIGNATURE];
        let version = v1::VERSION.to_le_bytes();
        let signature = ecdsa_sign::<_, Sha256>(key, digest, &[]);
        block.iter_mut().zip(version.iter().chain(&signature)).for_each(|(to, from)| *to = *from);
        Ok(block)
    }

    /// The private number of an ECDSA key, big-endian, as long as a coordinate; `None` for RSA. As secret as the key itself.
    pub fn private_number(&self) -> Option<Zeroizing<Vec<u8>>> {
        let number = match &self.0 {
            Inner::Rsa(_) => return None,
            #[cfg(feature = "p192")]
            Inner::P192(key) => key.to_bytes().to_vec(),
            Inner::P256(key) => key.to_bytes().to_vec(),
            Inner::P384(key) => key.to_bytes().to_vec(),
        };
        Some(Zeroizing::new(number))
    }

    /// The secure boot key of ESP32's re-flashable mode: SHA-256 of the private number, 32 bytes big-endian (formats sheet
    /// §6.4). As secret as the key itself.
    ///
    /// # Errors
    /// [`SignError::NotV1`] for any key but P-256.
    pub fn bootloader_key(&self) -> Result<Zeroizing<[u8; 32]>, SignError> {
        let Inner::P256(key) = &self.0 else {
            return Err(SignError::NotV1 { scheme: self.scheme() });
        };
        let number = Zeroizing::new(key.to_bytes());
        Ok(Zeroizing::new(Sha256::digest(number.as_slice()).into()))
    }
}

#[derive(Clone, Copy)]
enum Encoding {
    Sec1,
    Pkcs8,
}

/// r then s, big-endian, with an RFC 6979 nonce into which `entropy` is mixed.
fn ecdsa_sign<C, D>(key: &SecretKey<C>, digest: &[u8], entropy: &[u8]) -> Vec<u8>
where
    C: EcdsaCurve + CurveArithmetic,
    D: Digest + BlockSizeUser,
    SignatureSize<C>: ArraySize,
{
    let (signature, _) = sign_prehashed_rfc6979::<C, D>(&key.to_nonzero_scalar(), digest, entropy);
    signature.to_bytes().to_vec()
}

fn little_endian<const N: usize>(signature: &[u8]) -> Result<Vec<u8>, SignError> {
    let pair: &[u8; N] = signature.try_into().map_err(|_| SignError::Failed)?;
    Ok(swap(pair).to_vec())
}
