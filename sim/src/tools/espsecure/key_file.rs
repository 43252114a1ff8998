//! Key files: which half of a key pair one holds, and what espsecure says of one that it cannot use.
//!
//! | use | private key | public key | 64 raw bytes |
//! |---|---|---|---|
//! | v1, to sign | PEM of any label | | |
//! | v1, beside a signature made elsewhere | | PEM | |
//! | v1, to verify | label `EC PRIVATE KEY` | label `PUBLIC KEY` | X, Y |
//! | v2, to sign | PEM of any label | | |
//! | v2, to verify | labels in [`PRIVATE`] | any other PEM | |

use super::{Failure, Version, Workbench, fatal};
use dryburn::{
    SecureBootScheme,
    secure_boot::sign::{KeyError, PublicKey, SigningKey},
};
use std::borrow::Cow;

/// Labels of private keys: SEC 1, PKCS #1, PKCS #8.
const PRIVATE: [&str; 3] = ["EC PRIVATE", "RSA PRIVATE", "PRIVATE"];

/// What a key is used for: each use has words of its own for a key that does not serve.
#[derive(Clone, Copy)]
enum Use {
    SignV1,
    /// The public key of a signature that was made elsewhere.
    AttachV1,
    VerifyV1,
    /// With the public half of a private key.
    VerifyV1ByPrivate,
    SignV2,
    VerifyV2,
}

/// A file that is to hold a key.
pub(super) struct KeyFile(Vec<u8>);

impl KeyFile {
    pub(super) fn read(bench: &Workbench, name: &str) -> Result<Self, Failure> {
        bench.read_small(name).map(Self)
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// To sign with.
    pub(super) fn private(&self, version: Version) -> Result<SigningKey, Failure> {
        if version == Version::V2 {
            return self.private_for(Use::SignV2);
        }
        let key = self.private_for(Use::SignV1)?;
        match key.scheme() {
            SecureBootScheme::V2EcdsaP256 => Ok(key),
            SecureBootScheme::V2Rsa3072 => Err(Use::SignV1.no_ecdsa_key()),
            _ => Err(Use::SignV1.other_curve()),
        }
    }

    /// To go with a v1 signature that was made elsewhere: X then Y.
    pub(super) fn attached_v1(&self) -> Result<[u8; 64], Failure> {
        self.public_v1(Use::AttachV1)
    }

    /// To verify a v1 signature with: X then Y.
    pub(super) fn verifying_v1(&self) -> Result<[u8; 64], Failure> {
        if self.has_key(&["EC PRIVATE"]) {
            let by = Use::VerifyV1ByPrivate;
            return self.private_for(by)?.public()?.raw_p256().ok_or_else(|| by.other_curve());
        }
        if self.has_key(&["PUBLIC"]) {
            return self.public_v1(Use::VerifyV1);
        }
        let Ok(raw) = <&[u8; 64]>::try_from(self.bytes()) else {
            return Err(fatal(
                "Verification key does not appear to be an EC key in PEM format or binary EC public key data. Unsupported.",
            ));
        };
        PublicKey::from_raw_p256(raw).map_err(|_| fatal("Invalid EC key. Point is not on the curve specified."))?;
        Ok(*raw)
    }

    /// To verify a v2 signature with, or to make a digest of.
    pub(super) fn verifying_v2(&self) -> Result<PublicKey, Failure> {
        if self.has_key(&PRIVATE) {
            return Ok(self.private_for(Use::SignV2)?.public()?);
        }
        PublicKey::from_pem(&self.text()).map_err(|error| Use::VerifyV2.refusal(&error))
    }

    fn private_for(&self, purpose: Use) -> Result<SigningKey, Failure> {
        SigningKey::from_pem(&self.text()).map_err(|error| purpose.refusal(&error))
    }

    fn public_v1(&self, purpose: Use) -> Result<[u8; 64], Failure> {
        let key = PublicKey::from_pem(&self.text()).map_err(|error| purpose.refusal(&error))?;
        if key.scheme() == SecureBootScheme::V2Rsa3072 {
            return Err(purpose.no_ecdsa_key());
        }
        key.raw_p256().ok_or_else(|| purpose.other_curve())
    }

    /// Bytes that are no text cannot be part of a key and are replaced.
    fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.0)
    }

    /// Whether there is a PEM key with one of these labels.
    fn has_key(&self, labels: &[&str]) -> bool {
        let text = self.text();
        let mut keys = text.split("-----BEGIN ").skip(1).filter_map(|rest| rest.split_once(" KEY-----"));
        keys.any(|(label, _)| labels.contains(&label))
    }
}

impl Use {
    fn no_ecdsa_key(self) -> Failure {
        let half = if matches!(self, Self::AttachV1 | Self::VerifyV1) { "public" } else { "private" };
        fatal(format!("Incorrect ECDSA {half} key specified. Please check algorithm and/or format."))
    }

    fn other_curve(self) -> Failure {
        let key = if matches!(self, Self::VerifyV1 | Self::VerifyV1ByPrivate) { "Public" } else { "Signing" };
        fatal(format!(
            "{key} key uses incorrect curve. ESP32 Secure Boot only supports NIST256p (openssl calls this curve 'prime256v1')."
        ))
    }

    /// What is said of a file that could not be read as a key.
    fn refusal(self, error: &KeyError) -> Failure {
        match self {
            Self::SignV2 => fatal(of_private_v2(error)),
            Self::VerifyV2 => fatal(of_public_v2(error)),
            Self::SignV1 | Self::VerifyV1ByPrivate if matches!(error, KeyError::Encrypted) => {
                fatal(format!("Incorrect ECDSA private key specified: {error}."))
            }
            Self::SignV1 if matches!(error, KeyError::UnknownCurve { .. }) => {
                fatal("Supports NIST192p, NIST256p and NIST384p keys only.")
            }
            _ if matches!(error, KeyError::UnknownCurve { .. }) => self.other_curve(),
            _ => self.no_ecdsa_key(),
        }
    }
}

fn of_private_v2(error: &KeyError) -> String {
    // the library that reads keys for espsecure says why
    let why = match error {
        KeyError::RsaSize { bits } => return format!("RSA key has {bits} bits. Only RSA-3072 is supported."),
        KeyError::UnknownCurve { name } => {
            return format!("Unsupported ECDSA curve: {name}. Supported curves: P-192, P-256, P-384");
        }
        KeyError::UnknownAlgorithm => return "Unsupported private key type".into(),
        KeyError::Encrypted => "Password was not given but private key is encrypted".into(),
        KeyError::WrongKind { .. } => {
            "Valid PEM but no BEGIN/END delimiters for a private key found. Are you sure this is a private key?".into()
        }
        KeyError::NotPem => "Unable to load PEM file. See \
                             https://cryptography.io/en/latest/faq/#why-can-t-i-import-my-pem-file for more details. \
                             MalformedFraming"
            .into(),
        other => other.to_string(),
    };
    format!("Error loading private key: {why}")
}

fn of_public_v2(error: &KeyError) -> String {
    match error {
        KeyError::NotPem | KeyError::WrongKind { .. } => {
            "Verification key does not appear to be an RSA Private or Public key in PEM format. Unsupported.".into()
        }
        KeyError::RsaSize { bits } => format!("Key file has length {bits} bits. Secure boot v2 only supports RSA-3072."),
        KeyError::UnknownAlgorithm => "Unsupported public key for Secure Boot V2.".into(),
        KeyError::UnknownCurve { .. } => "Key file uses incorrect curve. Secure Boot V2 + ECDSA only supports NIST192p, \
                                          NIST256p, NIST384p (aka prime192v1 / secp192r1, prime256v1 / secp256r1, secp384r1)."
            .into(),
        other => format!("Error loading public key: {other}"),
    }
}
