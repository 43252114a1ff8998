//! Key files: who an envelope is sealed for, and who opens it.

use super::{ContentKey, EciesKey, RsaKey, Unwrap, UnwrapError, WRAPPED_SIZE};
use crate::{
    SecureBootScheme,
    secure_boot::sign::{KeyError, pem},
};
use alloc::boxed::Box;
use p256::PublicKey;
use rand_core::CryptoRng;
use rsa::{
    RsaPrivateKey, RsaPublicKey,
    pkcs1::{DecodeRsaPrivateKey, DecodeRsaPublicKey},
    pkcs8::{DecodePrivateKey, DecodePublicKey, PrivateKeyInfoRef, der::Decode, spki::SubjectPublicKeyInfoRef},
    traits::PublicKeyParts,
};
use sec1::EcPrivateKey;

/// Labels of the PEM parts that an envelope can be sealed for: for RSA the private key will do.
const ANY: [&str; 6] =
    ["PUBLIC KEY", "RSA PUBLIC KEY", "RSA PRIVATE KEY", "PRIVATE KEY", "ENCRYPTED PRIVATE KEY", "EC PRIVATE KEY"];
const PRIVATE: [&str; 4] = ["RSA PRIVATE KEY", "PRIVATE KEY", "EC PRIVATE KEY", "ENCRYPTED PRIVATE KEY"];

/// Who an envelope is sealed for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipient(pub(super) Public);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Public {
    Rsa(RsaPublicKey),
    P256(PublicKey),
}

impl Recipient {
    /// Reads a PEM file: an RSA-3072 public or private key, or a P-256 **public** key, as the vendor's tool takes them.
    ///
    /// # Errors
    /// [`KeyError`]. A P-256 private key is refused as [`KeyError::WrongKind`]: its owner is the device.
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        let (label, der) = pem::find(text, &ANY, "public")?;
        let der = der.as_bytes();
        match label {
            "PUBLIC KEY" => spki(der),
            "RSA PUBLIC KEY" => RsaPublicKey::from_pkcs1_der(der).map(Public::Rsa).map_err(|_| KeyError::Malformed),
            _ => match private(label, der)? {
                Private::Rsa(key) => Ok(Public::Rsa(key.to_public_key())),
                Private::P256(_) => Err(KeyError::WrongKind { wanted: "public", found: label.into() }),
            },
        }
        .and_then(checked)
    }

    /// The public half of a device's key.
    pub fn ecies(key: &EciesKey) -> Self {
        Self(Public::P256(key.public_key()))
    }

    /// Whether the key is an RSA key; else it is P-256.
    pub fn is_rsa(&self) -> bool {
        matches!(self.0, Public::Rsa(_))
    }
}

fn checked(key: Public) -> Result<Recipient, KeyError> {
    match &key {
        Public::Rsa(rsa) if rsa.n().bits_vartime() != 3072 => Err(KeyError::RsaSize { bits: rsa.n().bits_vartime() }),
        _ => Ok(Recipient(key)),
    }
}

fn spki(der: &[u8]) -> Result<Public, KeyError> {
    let info = SubjectPublicKeyInfoRef::from_der(der).map_err(|_| KeyError::Malformed)?;
    if info.algorithm.oid == pem::RSA {
        return RsaPublicKey::from_public_key_der(der).map(Public::Rsa).map_err(|_| KeyError::Malformed);
    }
    if info.algorithm.oid != pem::EC {
        return Err(KeyError::UnknownAlgorithm);
    }
    let curve = info.algorithm.parameters_oid().map_err(|_| KeyError::Malformed)?;
    only_p256(pem::scheme(curve)?)?;
    PublicKey::from_public_key_der(der).map(Public::P256).map_err(|_| KeyError::Malformed)
}

/// Who opens an envelope: a private key out of a file. `R` blinds RSA operations.
#[derive(Debug)]
pub enum OpeningKey<R> {
    /// RSA-3072.
    Rsa(Box<RsaKey<R>>),
    /// ECIES with P-256.
    Ecies(EciesKey),
}

impl<R: CryptoRng> OpeningKey<R> {
    /// Reads a PEM file: an RSA-3072 or P-256 private key.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn from_pem(text: &str, rng: R) -> Result<Self, KeyError> {
        let (label, der) = pem::find(text, &PRIVATE, "private")?;
        match private(label, der.as_bytes())? {
            Private::Rsa(key) => {
                let bits = key.n().bits_vartime();
                RsaKey::new(*key, rng).map(|key| Self::Rsa(Box::new(key))).ok_or(KeyError::RsaSize { bits })
            }
            Private::P256(key) => Ok(Self::Ecies(key)),
        }
    }
}

impl<R: CryptoRng> Unwrap for OpeningKey<R> {
    fn unwrap_key(&mut self, wrapped: &[u8; WRAPPED_SIZE]) -> Result<ContentKey, UnwrapError> {
        match self {
            Self::Rsa(key) => key.unwrap_key(wrapped),
            Self::Ecies(key) => key.unwrap_key(wrapped),
        }
    }
}

enum Private {
    Rsa(Box<RsaPrivateKey>),
    P256(EciesKey),
}

impl Private {
    fn rsa(key: Option<RsaPrivateKey>) -> Result<Self, KeyError> {
        key.map(|key| Self::Rsa(key.into())).ok_or(KeyError::Malformed)
    }

    fn p256(key: Option<p256::SecretKey>) -> Result<Self, KeyError> {
        key.map(|key| Self::P256(EciesKey::new(key))).ok_or(KeyError::Malformed)
    }
}

fn private(label: &str, der: &[u8]) -> Result<Private, KeyError> {
    match label {
        "RSA PRIVATE KEY" => Private::rsa(RsaPrivateKey::from_pkcs1_der(der).ok()),
        "EC PRIVATE KEY" => {
            let key = EcPrivateKey::from_der(der).map_err(|_| KeyError::Malformed)?;
            let curve = key.parameters.and_then(|parameters| parameters.named_curve()).ok_or(KeyError::Malformed)?;
            only_p256(pem::scheme(curve)?)?;
            Private::p256(p256::SecretKey::from_sec1_der(der).ok())
        }
        _ => {
            let info = PrivateKeyInfoRef::from_der(der).map_err(|_| KeyError::Malformed)?;
            if info.algorithm.oid == pem::RSA {
                return Private::rsa(RsaPrivateKey::from_pkcs8_der(der).ok());
            }
            if info.algorithm.oid != pem::EC {
                return Err(KeyError::UnknownAlgorithm);
            }
            let curve = info.algorithm.parameters_oid().map_err(|_| KeyError::Malformed)?;
            only_p256(pem::scheme(curve)?)?;
            Private::p256(p256::SecretKey::from_pkcs8_der(der).ok())
        }
    }
}

fn only_p256(scheme: SecureBootScheme) -> Result<(), KeyError> {
    if scheme == SecureBootScheme::V2EcdsaP256 { Ok(()) } else { Err(KeyError::Unsupported { scheme }) }
}
