//! `encrypt` and `decrypt`.

use super::{Failure, Workbench, error};
use clap::Args;
use dryburn::{
    envelope::{EnvelopeError, Header, OpeningKey, Recipient, UnwrapError, open, seal},
    secure_boot::sign::KeyError,
};
use std::fmt::Write as _;

#[derive(Args)]
pub(super) struct Files {
    /// File to read
    input_file: String,
    /// Key in a PEM file
    key_file: String,
    /// File to write
    output_file: String,
}

pub(super) fn encrypt(bench: &mut Workbench, files: &Files, text: &mut String) -> Result<(), Failure> {
    let recipient = Recipient::from_pem(&pem(bench, files)?);
    let recipient =
        recipient.map_err(|e| bad_key(&files.key_file, &e, "to encrypt", text, "Encrypting image ...\n"))?;
    text.push_str("Encrypting image ...\n");
    let plaintext = bench.read(&files.input_file)?;
    let envelope = seal(&plaintext, &recipient, &mut bench.rng)?;
    write(bench, files, &envelope)?;
    if !recipient.is_rsa() {
        text.push_str("Server ECC-256 keypair generated successfully\nECDH key exchange completed successfully\n");
    }
    text.push_str("Done\n");
    Ok(())
}

pub(super) fn decrypt(bench: &mut Workbench, files: &Files, text: &mut String) -> Result<(), Failure> {
    let pem = pem(bench, files)?;
    let envelope = bench.read(&files.input_file)?;
    let key = OpeningKey::from_pem(&pem, &mut bench.rng);
    let key = key.map_err(|e| bad_key(&files.key_file, &e, "to decrypt", text, "Decrypting image ...\n"))?;
    text.push_str("Decrypting image ...\n");
    let ecies = matches!(key, OpeningKey::Ecies(_));
    let opened = open(&envelope, key);
    // What the tool says before it comes to the tag.
    let magic = !matches!(opened, Err(EnvelopeError::BadMagic { .. }));
    let agreed = ecies && magic && !matches!(opened, Err(EnvelopeError::Unwrap(UnwrapError::NotOnCurve)));
    if let Some(header) = Header::at(&envelope).filter(|_| magic && (agreed || !ecies)) {
        if agreed {
            text.push_str("ECDH key exchange completed successfully\n");
        }
        let _ = writeln!(text, "Magic verified successfully\nBinary size: {}", header.size());
    }
    let plaintext = opened.map_err(|e| match e {
        EnvelopeError::BadMagic { .. } => error("Magic Verification Failed"),
        EnvelopeError::Unwrap(UnwrapError::NotOnCurve) => error("Invalid server public key format"),
        other => error(format!("{}: {other}", files.input_file)),
    })?;
    write(bench, files, &plaintext)?;
    text.push_str("Done\n");
    Ok(())
}

/// The text of the key file; bytes that are no text cannot be part of a key and are replaced.
fn pem(bench: &Workbench, files: &Files) -> Result<String, Failure> {
    bench.read_small(&files.key_file).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

/// The tool has texts for files that hold no key at all, and finds out about the others after its first line.
fn bad_key(file: &str, key: &KeyError, purpose: &str, text: &mut String, begins: &str) -> Failure {
    match key {
        KeyError::NotPem | KeyError::Malformed | KeyError::Encrypted => error("Invalid key file format"),
        KeyError::UnknownAlgorithm => error("Unsupported key type"),
        other => {
            text.push_str(begins);
            error(format!(
                "{file}: {other}; {purpose}, give {}",
                match purpose {
                    "to encrypt" => "an RSA-3072 key or a P-256 public key",
                    _ => "the RSA-3072 or P-256 private key",
                }
            ))
        }
    }
}

fn write(bench: &Workbench, files: &Files, bytes: &[u8]) -> Result<(), Failure> {
    let target = bench.path(&files.output_file)?;
    for input in [&files.input_file, &files.key_file] {
        let source = bench.path(input)?;
        let same_file = || Some(source.canonicalize().ok()? == target.canonicalize().ok()?);
        if source == target || same_file().unwrap_or(false) {
            return Err(error(format!("{input} would be overwritten; give another name for the output")));
        }
    }
    bench.write(&files.output_file, bytes)
}
