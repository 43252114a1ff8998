//! Keys in PEM files: the digest of a public key as eFuses hold it (formats sheet §7.3), and the number of an ECDSA private key.

use super::super::Failure;
use dryburn::secure_boot::sign::{KeyError, PublicKey, SigningKey};

/// The SHA-256 of a public key as a Secure Boot v2 signature block holds it; from a private key its public half. `name` is
/// that of the file, for errors.
pub(super) fn digest(name: &str, file: &[u8]) -> Result<[u8; 32], Failure> {
    let of = || {
        let text = text(file)?;
        match SigningKey::from_pem(text) {
            Ok(key) => Ok(key.public()?.digest()),
            Err(KeyError::WrongKind { .. }) => Ok(PublicKey::from_pem(text)?.digest()),
            Err(error) => Err(error),
        }
    };
    of().map_err(|error| Failure::new(format!("{name}: {error}")))
}

/// The private number of an ECDSA key, big-endian, as long as the curve asks for.
pub(super) fn private_number(name: &str, file: &[u8]) -> Result<Vec<u8>, Failure> {
    let key = text(file).and_then(SigningKey::from_pem).map_err(|error| Failure::new(format!("{name}: {error}")))?;
    // the vendor's tool falls over an RSA key, with status 1
    let number = key
        .private_number()
        .ok_or_else(|| Failure { text: "an RSA key, expected a private ECDSA key in PEM format".into(), status: 1 })?;
    Ok(number.to_vec())
}

fn text(file: &[u8]) -> Result<&str, KeyError> {
    std::str::from_utf8(file).map_err(|_| KeyError::NotPem)
}
