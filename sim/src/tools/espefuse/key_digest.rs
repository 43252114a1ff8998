//! Keys in PEM files: the digest of a public key as eFuses hold it (formats sheet §7.3), and the number of an ECDSA private key.
//!
//! Read are PKCS#1, SEC 1, PKCS#8 and SubjectPublicKeyInfo, without password; an ECDSA private key has to carry its public
//! half, as openssl and espsecure write it.

use super::super::Failure;
use crypto_bigint::{Odd, U3072, modular::FixedMontyParams};
use sha2::{Digest, Sha256};

const EC: &[u8] = &[0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x02, 0x01];
const RSA: &[u8] = &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, 0x01];

/// Object identifier, curve id of a signature block (0: no chip verifies it), bytes of a coordinate, name.
const CURVES: &[(&[u8], u8, usize, &str)] = &[
    (&[0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x03, 0x01, 0x01], 1, 24, "secp192r1"),
    (&[0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x03, 0x01, 0x07], 2, 32, "secp256r1"),
    (&[0x2B, 0x81, 0x04, 0x00, 0x22], 3, 48, "secp384r1"),
    (&[0x2B, 0x81, 0x04, 0x00, 0x23], 0, 66, "secp521r1"),
    (&[0x2B, 0x81, 0x04, 0x00, 0x0A], 0, 32, "secp256k1"),
];
type Curve = (&'static [u8], u8, usize, &'static str);

const BIT_STRING: u8 = 3;
const INTEGER: u8 = 2;
const OCTETS: u8 = 4;
const OID: u8 = 6;
const SEQUENCE: u8 = 0x30;

/// What a PEM file holds. No `Debug`: it may be a private key.
enum Key {
    /// Modulus and exponent, big-endian without leading zeros.
    Rsa(Vec<u8>, Vec<u8>),
    Ec {
        curve: Curve,
        private: Option<Vec<u8>>,
        point: Option<Vec<u8>>,
    },
}

/// The SHA-256 of a public key as a Secure Boot v2 signature block holds it.
pub(super) fn digest(file: &[u8]) -> Result<[u8; 32], Failure> {
    match read(file) {
        Ok(Key::Rsa(n, e)) => rsa_digest(&n, &e),
        Ok(Key::Ec { curve: (_, 0, _, name), .. }) => {
            Err(Failure::new(format!("Unsupported ECDSA curve: {name}. Supported curves: P-192, P-256, P-384")))
        }
        Ok(Key::Ec { curve: (_, id, size, _), point, .. }) => {
            let point = point.filter(|p| p.len() == 2 * size + 1 && p.first() == Some(&4)).ok_or_else(|| {
                Failure::new(
                    "the ECDSA key does not carry its public half: write it anew (openssl ec -in FILE -out FILE)",
                )
            })?;
            let mut bytes = vec![id];
            for coordinate in point.get(1..).unwrap_or(&[]).chunks(size) {
                bytes.extend(coordinate.iter().rev());
            }
            bytes.resize(if id == 3 { 97 } else { 65 }, 0);
            Ok(Sha256::digest(bytes).into())
        }
        Err(Bad::Encrypted) => {
            Err(Failure::new("Error loading private key: Password was not given but private key is encrypted"))
        }
        Err(Bad::Curve(name)) => {
            Err(Failure::new(format!("Unsupported ECDSA curve: {name}. Supported curves: P-192, P-256, P-384")))
        }
        Err(Bad::NotAKey) => Err(Failure::new(
            "Verification key does not appear to be an RSA Private or Public key in PEM format. Unsupported.",
        )),
    }
}

/// The private number of an ECDSA key, big-endian: 24 (P-192), 32 (P-256) or 48 bytes (P-384).
pub(super) fn private_number(file: &[u8]) -> Result<Vec<u8>, Failure> {
    match read(file) {
        Ok(Key::Ec { curve: (_, 1.., size, _), private: Some(number), .. }) if number.len() <= size => {
            Ok([vec![0; size - number.len()], number].concat())
        }
        Ok(Key::Ec { curve: (_, 0, ..), private: Some(_), .. }) | Err(Bad::Curve(_)) => {
            Err(Failure::new("Supports NIST192p, NIST256p and NIST384p keys only."))
        }
        // the vendor's tool falls over on these, with status 1
        Ok(Key::Rsa(..)) => {
            Err(Failure { text: "an RSA key, expected a private ECDSA key in PEM format".into(), status: 1 })
        }
        Err(Bad::Encrypted) => {
            Err(Failure { text: "Password was not given but private key is encrypted".into(), status: 1 })
        }
        _ => Err(Failure::new("Incorrect ECDSA private key specified. Please check algorithm and/or format.")),
    }
}

fn rsa_digest(n: &[u8], e: &[u8]) -> Result<[u8; 32], Failure> {
    let bits = n.len() * 8 - n.first().map_or(0, |b| b.leading_zeros() as usize);
    if bits != 3072 {
        return Err(Failure::new(format!("RSA key has {bits} bits. Only RSA-3072 is supported.")));
    }
    let unusable = || Failure::new("the RSA key's modulus or exponent cannot be used; generate another key");
    let odd = Option::from(Odd::new(U3072::from_be_slice(n))).ok_or_else(unusable)?;
    let mut e_le = e.iter().rev().copied().collect::<Vec<u8>>();
    if e_le.len() > 4 {
        return Err(unusable());
    }
    e_le.resize(4, 0);
    let lowest = n.iter().rev().take(4).rev().fold(0_u32, |word, byte| word << 8 | u32::from(*byte));
    // the inverse modulo 2^32 by Newton's iteration
    let inverse = (0..5).fold(lowest, |x, _| x.wrapping_mul(2_u32.wrapping_sub(lowest.wrapping_mul(x))));
    let r2 = FixedMontyParams::new_vartime(odd).r2().to_le_bytes();
    let mut hash = Sha256::new();
    hash.update(n.iter().rev().copied().collect::<Vec<u8>>());
    hash.update(&e_le);
    hash.update(r2.as_ref());
    hash.update(inverse.wrapping_neg().to_le_bytes());
    Ok(hash.finalize().into())
}

enum Bad {
    NotAKey,
    Encrypted,
    Curve(String),
}

fn read(file: &[u8]) -> Result<Key, Bad> {
    let text = std::str::from_utf8(file).map_err(|_| Bad::NotAKey)?;
    for label in ["RSA PRIVATE KEY", "EC PRIVATE KEY", "PRIVATE KEY", "PUBLIC KEY", "ENCRYPTED PRIVATE KEY"] {
        let (begin, end) = (format!("-----BEGIN {label}-----"), format!("-----END {label}-----"));
        let Some(body) = text.split_once(&begin).and_then(|(_, rest)| rest.split_once(&end)) else { continue };
        if body.0.contains("Proc-Type:") || label.starts_with("ENCRYPTED") {
            return Err(Bad::Encrypted);
        }
        let der = base64(body.0).ok_or(Bad::NotAKey)?;
        let mut outer = Der(&der);
        let content = outer.take(SEQUENCE).ok_or(Bad::NotAKey)?;
        return match label {
            "RSA PRIVATE KEY" => rsa(content, true),
            "EC PRIVATE KEY" => ec_private(content, None),
            "PRIVATE KEY" => pkcs8(content),
            _ => public(content),
        };
    }
    Err(Bad::NotAKey)
}

fn rsa(mut der: Der<'_>, private: bool) -> Result<Key, Bad> {
    if private {
        der.take(INTEGER).ok_or(Bad::NotAKey)?;
    }
    let mut number = || {
        let bytes = der.take(INTEGER).map(|d| d.0).ok_or(Bad::NotAKey)?;
        let zeros = bytes.iter().take_while(|b| **b == 0).count();
        Ok(bytes.iter().skip(zeros).copied().collect::<Vec<u8>>())
    };
    Ok(Key::Rsa(number()?, number()?))
}

fn ec_private(mut der: Der<'_>, curve: Option<Curve>) -> Result<Key, Bad> {
    der.take(INTEGER).ok_or(Bad::NotAKey)?;
    let private = der.take(OCTETS).ok_or(Bad::NotAKey)?.0.to_vec();
    let named = match der.take(0xA0).and_then(|mut d| d.take(OID)) {
        Some(oid) => Some(find_curve(oid.0)?),
        None => curve,
    };
    let point = der.take(0xA1).and_then(|mut d| d.bits());
    Ok(Key::Ec { curve: named.ok_or(Bad::NotAKey)?, private: Some(private), point })
}

fn pkcs8(mut der: Der<'_>) -> Result<Key, Bad> {
    der.take(INTEGER).ok_or(Bad::NotAKey)?;
    let mut algorithm = der.take(SEQUENCE).ok_or(Bad::NotAKey)?;
    let kind = algorithm.take(OID).ok_or(Bad::NotAKey)?.0;
    let inner = der.take(OCTETS).and_then(|mut d| d.take(SEQUENCE)).ok_or(Bad::NotAKey)?;
    match kind {
        RSA => rsa(inner, true),
        EC => {
            let curve = find_curve(algorithm.take(OID).ok_or(Bad::NotAKey)?.0)?;
            ec_private(inner, Some(curve))
        }
        _ => Err(Bad::NotAKey),
    }
}

fn public(mut der: Der<'_>) -> Result<Key, Bad> {
    let mut algorithm = der.take(SEQUENCE).ok_or(Bad::NotAKey)?;
    let kind = algorithm.take(OID).ok_or(Bad::NotAKey)?.0;
    let bits = der.bits().ok_or(Bad::NotAKey)?;
    match kind {
        RSA => rsa(Der(&bits).take(SEQUENCE).ok_or(Bad::NotAKey)?, false),
        EC => {
            let curve = find_curve(algorithm.take(OID).ok_or(Bad::NotAKey)?.0)?;
            Ok(Key::Ec { curve, private: None, point: Some(bits) })
        }
        _ => Err(Bad::NotAKey),
    }
}

fn find_curve(oid: &[u8]) -> Result<Curve, Bad> {
    let unknown = || Bad::Curve(oid.iter().map(|b| format!("{b:02x}")).collect());
    CURVES.iter().find(|(known, ..)| *known == oid).copied().ok_or_else(unknown)
}

/// A reader of DER: tag, length, content.
#[derive(Clone, Copy)]
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    /// The content of the next element if it has this tag; else nothing is consumed.
    fn take(&mut self, tag: u8) -> Option<Der<'a>> {
        let (_, rest) = self.0.split_first().filter(|(first, _)| **first == tag)?;
        let (len, rest) = rest.split_first()?;
        let (len, rest) = match len {
            0..=0x7F => (usize::from(*len), rest),
            0x81..=0x84 => {
                let (digits, rest) = rest.split_at_checked(usize::from(len - 0x80))?;
                (digits.iter().fold(0_usize, |n, byte| n << 8 | usize::from(*byte)), rest)
            }
            _ => return None,
        };
        let (content, after) = rest.split_at_checked(len)?;
        self.0 = after;
        Some(Der(content))
    }

    /// A bit string of whole bytes.
    fn bits(&mut self) -> Option<Vec<u8>> {
        let content = self.take(BIT_STRING)?.0;
        content.split_first().filter(|(unused, _)| **unused == 0).map(|(_, bytes)| bytes.to_vec())
    }
}

fn base64(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let (mut bits, mut count) = (0_u32, 0);
    for c in text.bytes().filter(|c| !c.is_ascii_whitespace() && *c != b'=') {
        let six = match c {
            b'A'..=b'Z' => c - b'A',
            b'a'..=b'z' => c - b'a' + 26,
            b'0'..=b'9' => c - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = (bits << 6 | u32::from(six)) & 0xFFFF;
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count & 0xFF) as u8);
        }
    }
    Some(out)
}
