//! PEM text: which parts a file has, and the curve that a key says it is on.
//!
//! Whatever lies before, between and after the parts is passed over, and so are line lengths and line ends.

use super::KeyError;
use crate::SecureBootScheme;
use alloc::{
    borrow::ToOwned,
    format,
    string::{String, ToString},
};
use p256::elliptic_curve::zeroize::Zeroizing;
use rsa::pkcs8::{ObjectIdentifier, SecretDocument};

/// Bytes of a key file that are looked at: an RSA-8192 key has some 6500.
const MAX_FILE: usize = 64 * 1024;
/// Characters per line of PEM text (RFC 7468 §2).
const LINE: usize = 64;

/// id-ecPublicKey (RFC 5480 §2.1.1).
pub(crate) const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
/// rsaEncryption (RFC 8017 appendix A.1).
pub(crate) const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");

const CURVES: [(&str, SecureBootScheme); 3] = [
    ("1.2.840.10045.3.1.1", SecureBootScheme::V2EcdsaP192),
    ("1.2.840.10045.3.1.7", SecureBootScheme::V2EcdsaP256),
    ("1.3.132.0.34", SecureBootScheme::V2EcdsaP384),
];

/// Names of curves that people have keys of and no chip verifies.
const OTHER_CURVES: [(&str, &str); 6] = [
    ("1.3.132.0.10", "secp256k1"),
    ("1.3.132.0.33", "secp224r1"),
    ("1.3.132.0.35", "secp521r1"),
    ("1.3.36.3.3.2.8.1.1.7", "brainpoolP256r1"),
    ("1.3.36.3.3.2.8.1.1.11", "brainpoolP384r1"),
    ("1.3.36.3.3.2.8.1.1.13", "brainpoolP512r1"),
];

/// The scheme of keys on the curve `oid`.
pub(crate) fn scheme(oid: ObjectIdentifier) -> Result<SecureBootScheme, KeyError> {
    let text = oid.to_string();
    if let Some((_, scheme)) = CURVES.iter().find(|(curve, _)| *curve == text) {
        return Ok(*scheme);
    }
    let name = OTHER_CURVES.iter().find(|(curve, _)| *curve == text).map_or(text.as_str(), |(_, name)| name);
    Err(KeyError::UnknownCurve { name: name.to_owned() })
}

/// The first part of `text` with one of `labels`, decoded; `wanted` says what it is for the error.
pub(crate) fn find<'a>(
    text: &'a str,
    labels: &[&str],
    wanted: &'static str,
) -> Result<(&'a str, SecretDocument), KeyError> {
    if text.len() > MAX_FILE {
        return Err(KeyError::NotPem);
    }
    let mut first = None;
    let mut rest = text;
    while let Some((label, body, after)) = next(rest) {
        if labels.contains(&label) {
            return decode(label, body).map(|der| (label, der));
        }
        first.get_or_insert(label);
        rest = after;
    }
    Err(first.map_or(KeyError::NotPem, |found| KeyError::WrongKind { wanted, found: found.chars().take(64).collect() }))
}

/// Label and body of the first part of `text`, and what follows it.
fn next(text: &str) -> Option<(&str, &str, &str)> {
    let (_, begin) = text.split_once("-----BEGIN ")?;
    let (label, rest) = begin.split_once("-----")?;
    let (body, after) = rest.split_once(format!("-----END {label}-----").as_str())?;
    Some((label, body, after))
}

fn decode(label: &str, body: &str) -> Result<SecretDocument, KeyError> {
    // RFC 1421 headers say that the body is encrypted.
    if label == "ENCRYPTED PRIVATE KEY" || body.contains("Proc-Type:") {
        return Err(KeyError::Encrypted);
    }
    // Written anew, with the line length that the decoder insists on.
    let mut pem = Zeroizing::new(String::with_capacity(body.len().saturating_mul(2).saturating_add(256)));
    pem.push_str("-----BEGIN ");
    pem.push_str(label);
    pem.push_str("-----");
    for (column, character) in body.chars().filter(|c| !c.is_ascii_whitespace()).enumerate() {
        if column % LINE == 0 {
            pem.push('\n');
        }
        pem.push(character);
    }
    pem.push_str("\n-----END ");
    pem.push_str(label);
    pem.push_str("-----\n");
    SecretDocument::from_pem(&pem).map(|(_, der)| der).map_err(|_| KeyError::Malformed)
}
