//! Signing keys: new ones, their public halves, digests, and what espsecure says of key files it cannot use.
//!
//! espsecure has one set of texts for v1 keys and one for v2 keys, and tells private from public keys by the PEM labels.

use super::{
    Failure, Version, Workbench, check_output, fatal,
    rehearsed::{self, Memory},
};
use clap::ValueEnum;
use dryburn::{
    SecureBootScheme,
    secure_boot::sign::{KeyError, PublicKey, SigningKey},
};
use std::{fmt::Write as _, sync::Mutex};

const V1_CURVE: &str =
    "uses incorrect curve. ESP32 Secure Boot only supports NIST256p (openssl calls this curve 'prime256v1').";
const BAD_V1_PRIVATE: &str = "Incorrect ECDSA private key specified. Please check algorithm and/or format.";
const BAD_V1_PUBLIC: &str = "Incorrect ECDSA public key specified. Please check algorithm and/or format.";

/// Schemes that keys are made for.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Scheme {
    /// RSA-3072 with PSS
    #[value(name = "rsa3072")]
    Rsa3072,
    /// ECDSA P-192
    #[value(name = "ecdsa192")]
    Ecdsa192,
    /// ECDSA P-256
    #[value(name = "ecdsa256")]
    Ecdsa256,
    /// ECDSA P-384
    #[value(name = "ecdsa384")]
    Ecdsa384,
}

pub(super) fn generate(
    bench: &mut Workbench,
    version: Version,
    scheme: Option<Scheme>,
    file: &str,
    text: &mut String,
) -> Result<(), Failure> {
    bench.path(file)?;
    if bench.exists(file) {
        return Err(fatal(format!("ERROR: Key file {file} already exists.")));
    }
    let scheme = match (version, scheme) {
        (Version::V1, None | Some(Scheme::Ecdsa256)) => Scheme::Ecdsa256,
        (Version::V1, _) => return Err(fatal("ERROR: V1 only supports ECDSA256.")),
        (Version::V2, scheme) => scheme.unwrap_or(Scheme::Rsa3072),
    };
    let (scheme, name) = match scheme {
        Scheme::Rsa3072 => (SecureBootScheme::V2Rsa3072, "RSA 3072"),
        Scheme::Ecdsa192 => (SecureBootScheme::V2EcdsaP192, "ECDSA NIST192p"),
        Scheme::Ecdsa256 => (SecureBootScheme::V2EcdsaP256, "ECDSA NIST256p"),
        Scheme::Ecdsa384 => (SecureBootScheme::V2EcdsaP384, "ECDSA NIST384p"),
    };
    let pem = new_key(scheme, bench)?;
    bench.write(file, pem.as_bytes())?;
    writeln!(text, "{name} private key in PEM format written to \"{file}\".")?;
    Ok(())
}

/// A new private key as PEM text: in a scenario, the seed's first, second, … of its scheme.
pub(in crate::tools) fn new_key(scheme: SecureBootScheme, bench: &mut Workbench) -> Result<String, Failure> {
    static MADE: Memory<String> = Memory::new(Mutex::default);
    let number = bench.count_key(scheme);
    rehearsed::once(&MADE, bench, &[format!("{scheme:?} key {number}").as_bytes()], |rng| {
        Ok(SigningKey::generate(scheme, rng)?.to_pem()?.to_string())
    })
}

pub(super) fn extract_public(
    bench: &Workbench,
    version: Version,
    keyfile: &str,
    output: &str,
    text: &mut String,
) -> Result<(), Failure> {
    let pem = read_text(bench, keyfile)?;
    check_output(bench, &[keyfile], output)?;
    match version {
        Version::V1 => bench.write(output, &raw_p256(&v1_private(&pem)?.public()?)?)?,
        Version::V2 => bench.write(output, v2_private(&pem)?.public()?.to_pem().as_bytes())?,
    }
    writeln!(text, "\"{keyfile}\" public key extracted to \"{output}\".")?;
    Ok(())
}

pub(super) fn digest_public(bench: &Workbench, keyfile: &str, output: &str, text: &mut String) -> Result<(), Failure> {
    let pem = read_text(bench, keyfile)?;
    check_output(bench, &[keyfile], output)?;
    bench.write(output, &v2_verifying(&pem)?.digest())?;
    writeln!(text, "Writing the public key digest of \"{keyfile}\" to \"{output}\".")?;
    Ok(())
}

pub(super) fn digest_private(
    bench: &Workbench,
    keyfile: &str,
    bits: u64,
    output: &str,
    text: &mut String,
) -> Result<(), Failure> {
    let pem = read_text(bench, keyfile)?;
    check_output(bench, &[keyfile], output)?;
    let digest = v1_private(&pem)?.bootloader_key()?;
    let (len, cut) = match bits {
        256 => (32, ""),
        192 => (24, " (truncated to 192 bits)"),
        _ => {
            return Err(fatal(format!(
                "The ESP32 has no secure boot key of {bits} bits; give -l 256, or 192 with 3/4 coding scheme."
            )));
        }
    };
    bench.write(output, digest.get(..len).unwrap_or(&digest[..]))?;
    writeln!(text, "SHA-256 digest of private key \"{keyfile}\"{cut} written to \"{output}\".")?;
    Ok(())
}

/// Reads a key file; bytes that are no text cannot be part of a key and are replaced.
pub(super) fn read_text(bench: &Workbench, file: &str) -> Result<String, Failure> {
    bench.read_small(file).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

/// X then Y of a P-256 key.
pub(super) fn raw_p256(key: &PublicKey) -> Result<[u8; 64], Failure> {
    key.raw_p256().ok_or_else(|| fatal(format!("Signing key {V1_CURVE}")))
}

/// A private key to sign with in v2.
pub(super) fn v2_private(pem: &str) -> Result<SigningKey, Failure> {
    SigningKey::from_pem(pem).map_err(|error| {
        fatal(match error {
            KeyError::RsaSize { bits } => format!("RSA key has {bits} bits. Only RSA-3072 is supported."),
            KeyError::UnknownCurve { name } => {
                format!("Unsupported ECDSA curve: {name}. Supported curves: P-192, P-256, P-384")
            }
            KeyError::UnknownAlgorithm => "Unsupported private key type".into(),
            KeyError::Encrypted => {
                "Error loading private key: Password was not given but private key is encrypted".into()
            }
            KeyError::WrongKind { .. } => "Error loading private key: Valid PEM but no BEGIN/END delimiters for a \
                                           private key found. Are you sure this is a private key?"
                .into(),
            KeyError::NotPem => "Error loading private key: Unable to load PEM file. See \
                                 https://cryptography.io/en/latest/faq/#why-can-t-i-import-my-pem-file for more details. \
                                 MalformedFraming"
                .into(),
            other => format!("Error loading private key: {other}"),
        })
    })
}

/// A private or public key to verify with in v2.
pub(super) fn v2_verifying(pem: &str) -> Result<PublicKey, Failure> {
    if ["EC PRIVATE", "RSA PRIVATE", "PRIVATE"].iter().any(|kind| pem.contains(&format!("-----BEGIN {kind} KEY-----")))
    {
        return Ok(v2_private(pem)?.public()?);
    }
    PublicKey::from_pem(pem).map_err(|error| {
        fatal(match error {
            KeyError::RsaSize { bits } => {
                format!("Key file has length {bits} bits. Secure boot v2 only supports RSA-3072.")
            }
            KeyError::UnknownCurve { .. } => "Key file uses incorrect curve. Secure Boot V2 + ECDSA only supports \
                                              NIST192p, NIST256p, NIST384p (aka prime192v1 / secp192r1, prime256v1 / \
                                              secp256r1, secp384r1)."
                .into(),
            KeyError::UnknownAlgorithm => "Unsupported public key for Secure Boot V2.".into(),
            KeyError::NotPem | KeyError::WrongKind { .. } => {
                "Verification key does not appear to be an RSA Private or Public key in PEM format. Unsupported.".into()
            }
            other => format!("Error loading public key: {other}"),
        })
    })
}

/// A private key to sign with in v1.
pub(super) fn v1_private(pem: &str) -> Result<SigningKey, Failure> {
    let key = SigningKey::from_pem(pem).map_err(|error| match error {
        KeyError::UnknownCurve { .. } => fatal("Supports NIST192p, NIST256p and NIST384p keys only."),
        other => bad_v1_private(&other),
    })?;
    match key.scheme() {
        SecureBootScheme::V2EcdsaP256 => Ok(key),
        SecureBootScheme::V2Rsa3072 => Err(fatal(BAD_V1_PRIVATE)),
        _ => Err(fatal(format!("Signing key {V1_CURVE}"))),
    }
}

fn bad_v1_private(error: &KeyError) -> Failure {
    fatal(match error {
        KeyError::Encrypted => format!("Incorrect ECDSA private key specified: {error}."),
        _ => BAD_V1_PRIVATE.into(),
    })
}

/// A public key that comes with a signature made elsewhere, in v1; `whose` names it in the error of a wrong curve.
pub(super) fn v1_public(pem: &str, whose: &str) -> Result<[u8; 64], Failure> {
    let wrong_curve = || fatal(format!("{whose} key {V1_CURVE}"));
    let key = PublicKey::from_pem(pem).map_err(|error| match error {
        KeyError::UnknownCurve { .. } => wrong_curve(),
        _ => fatal(BAD_V1_PUBLIC),
    })?;
    match key.scheme() {
        SecureBootScheme::V2Rsa3072 => Err(fatal(BAD_V1_PUBLIC)),
        _ => key.raw_p256().ok_or_else(wrong_curve),
    }
}

/// A private, public or raw public key to verify with in v1.
pub(super) fn v1_verifying(file: &[u8]) -> Result<[u8; 64], Failure> {
    let pem = String::from_utf8_lossy(file);
    if pem.contains("-----BEGIN EC PRIVATE KEY-----") {
        let key = SigningKey::from_pem(&pem).map_err(|error| match error {
            KeyError::UnknownCurve { .. } => fatal(format!("Public key {V1_CURVE}")),
            other => bad_v1_private(&other),
        })?;
        return key.public()?.raw_p256().ok_or_else(|| fatal(format!("Public key {V1_CURVE}")));
    }
    if pem.contains("-----BEGIN PUBLIC KEY-----") {
        return v1_public(&pem, "Public");
    }
    let raw: &[u8; 64] = file.try_into().map_err(|_| {
        fatal(
            "Verification key does not appear to be an EC key in PEM format or binary EC public key data. Unsupported.",
        )
    })?;
    PublicKey::from_raw_p256(raw)
        .map_err(|_| fatal("Invalid EC key. Point is not on the curve specified."))
        .map(|_| *raw)
}
