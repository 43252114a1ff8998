//! The commands that make signing keys, their public halves and digests.

use super::{
    Failure, Version, Workbench, check_output, fatal,
    key_file::KeyFile,
    rehearsed::{self, Memory},
};
use clap::ValueEnum;
use dryburn::{SecureBootScheme, secure_boot::sign::SigningKey};
use std::{fmt::Write as _, sync::Mutex};

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

impl Scheme {
    /// The core's scheme, and how espsecure calls such a key.
    fn named(self) -> (SecureBootScheme, &'static str) {
        match self {
            Self::Rsa3072 => (SecureBootScheme::V2Rsa3072, "RSA 3072"),
            Self::Ecdsa192 => (SecureBootScheme::V2EcdsaP192, "ECDSA NIST192p"),
            Self::Ecdsa256 => (SecureBootScheme::V2EcdsaP256, "ECDSA NIST256p"),
            Self::Ecdsa384 => (SecureBootScheme::V2EcdsaP384, "ECDSA NIST384p"),
        }
    }
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
    let usual = if version == Version::V1 { Scheme::Ecdsa256 } else { Scheme::Rsa3072 };
    let scheme = scheme.unwrap_or(usual);
    if version == Version::V1 && scheme != usual {
        return Err(fatal("ERROR: V1 only supports ECDSA256."));
    }
    let (scheme, name) = scheme.named();
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

/// A command that makes one file of one key file.
fn derive<T: AsRef<[u8]>>(
    bench: &Workbench,
    keyfile: &str,
    output: &str,
    make: impl FnOnce(KeyFile) -> Result<T, Failure>,
) -> Result<(), Failure> {
    let key = KeyFile::read(bench, keyfile)?;
    check_output(bench, &[keyfile], output)?;
    bench.write(output, make(key)?.as_ref())
}

pub(super) fn extract_public(
    bench: &Workbench,
    version: Version,
    keyfile: &str,
    output: &str,
    text: &mut String,
) -> Result<(), Failure> {
    derive(bench, keyfile, output, |key| {
        let public = key.private(version)?.public()?;
        // v1 wants X and Y, v2 PEM text
        let raw = public.raw_p256().filter(|_| version == Version::V1);
        Ok(raw.map_or_else(|| public.to_pem().as_bytes().to_vec(), Vec::from))
    })?;
    writeln!(text, "\"{keyfile}\" public key extracted to \"{output}\".")?;
    Ok(())
}

pub(super) fn digest_public(bench: &Workbench, keyfile: &str, output: &str, text: &mut String) -> Result<(), Failure> {
    derive(bench, keyfile, output, |key| Ok(key.verifying_v2()?.digest()))?;
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
    let mut cut = "";
    derive(bench, keyfile, output, |key| {
        let digest = key.private(Version::V1)?.bootloader_key()?;
        match bits {
            256 => Ok(digest.to_vec()),
            192 => {
                cut = " (truncated to 192 bits)";
                Ok(digest.iter().copied().take(24).collect())
            }
            _ => Err(fatal(format!(
                "The ESP32 has no secure boot key of {bits} bits; give -l 256, or 192 with 3/4 coding scheme."
            ))),
        }
    })?;
    writeln!(text, "SHA-256 digest of private key \"{keyfile}\"{cut} written to \"{output}\".")?;
    Ok(())
}
