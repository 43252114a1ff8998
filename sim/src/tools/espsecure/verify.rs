//! `verify-signature` and `signature-info-v2`.

use super::{Failure, Version, Workbench, fatal, key_file::KeyFile};
use clap::Args;
use dryburn::{
    SecureBootScheme,
    secure_boot::{
        sign::PublicKey,
        v1,
        v2::{MAGIC, MAX_BLOCKS, SECTOR, SignatureBlock},
    },
};
use sha2::{Digest, Sha256, Sha384};
use std::fmt::Write as _;

#[derive(Args)]
pub(super) struct VerifySignature {
    /// Version of secure boot
    #[arg(short, long)]
    version: Version,
    /// Private or public key, PEM text; version 1 also takes 64 raw bytes
    #[arg(short, long)]
    keyfile: Option<String>,
    /// Take files that are no multiple of 4096 bytes (version 2)
    #[arg(long)]
    skip_padding: bool,
    /// Signed file
    datafile: String,
}

pub(super) fn run(bench: &Workbench, job: &VerifySignature, text: &mut String) -> Result<(), Failure> {
    let keyfile = job.keyfile.as_deref().ok_or_else(|| fatal("No key to verify with; give one with --keyfile."))?;
    let (key, data) = (KeyFile::read(bench, keyfile)?, bench.read(&job.datafile)?);
    match job.version {
        Version::V1 => verify_v1(&key.verifying_v1()?, &data, text),
        Version::V2 => verify_v2(&key.verifying_v2()?, &data, job.skip_padding, text),
    }
}

fn verify_v1(key: &[u8; 64], data: &[u8], text: &mut String) -> Result<(), Failure> {
    let Some((content, block)) = v1::SignatureBlock::split(data) else {
        return Err(fatal(format!(
            "The file has {} bytes; a signature alone has {}. Was it signed with sign-data --version 1?",
            data.len(),
            v1::SIGNATURE
        )));
    };
    if block.version() != v1::VERSION {
        return Err(fatal(format!(
            "Signature block has version {}. This version of espsecure only supports version 0.",
            block.version()
        )));
    }
    writeln!(text, "Verifying {} bytes of data...", content.len())?;
    v1::verify(block, &Sha256::digest(content).into(), key).map_err(|_| fatal("Signature is not valid."))?;
    text.push_str("Signature is valid.\n");
    Ok(())
}

fn verify_v2(key: &PublicKey, data: &[u8], any_length: bool, text: &mut String) -> Result<(), Failure> {
    let (content, sector) = split(data, any_length)?;
    let digests = Digests::of(content);
    let mut verified = false;
    for index in 0..MAX_BLOCKS {
        let Some(block) = valid_block(sector, index) else {
            writeln!(text, "Signature block {index} invalid. Skipping.")?;
            continue;
        };
        writeln!(text, "Signature block {index} is valid ({}).", kind(block))?;
        let (found, expected) = (digests.for_block(block), block.image_digest());
        if found != expected {
            return Err(fatal(format!(
                "Signature block image digest does not match the actual image digest {}. Expected {}.",
                python_bytes(found),
                python_bytes(expected)
            )));
        }
        if fits(key.scheme(), block) && key.verify(block, found) {
            let kind = if key.scheme() == SecureBootScheme::V2Rsa3072 { "RSA" } else { "ECDSA" };
            writeln!(text, "Signature block {index} verification successful using the supplied key ({kind}).")?;
            verified = true;
        } else {
            writeln!(text, "Signature block {index} is not signed by the supplied key. Checking the next block...")?;
        }
    }
    if verified {
        return Ok(());
    }
    Err(fatal("Checked all blocks. Signature could not be verified with the provided key."))
}

/// Whether espsecure would look for a signature of a key of `scheme` in `block`: with an RSA key it always does, with an
/// ECDSA key it wants the curve, whatever the block's version.
fn fits(scheme: SecureBootScheme, block: SignatureBlock<'_>) -> bool {
    let curve = |offset: usize| block.0.get(offset).copied();
    match scheme {
        SecureBootScheme::V2EcdsaP192 => block.sha_id() == 0 && curve(36) == Some(1),
        SecureBootScheme::V2EcdsaP256 => block.sha_id() == 0 && curve(36) == Some(2),
        SecureBootScheme::V2EcdsaP384 => block.sha_id() == 1 && curve(52) == Some(3),
        SecureBootScheme::V2Rsa3072 | SecureBootScheme::V1 => true,
    }
}

pub(super) fn info(bench: &Workbench, datafile: &str, text: &mut String) -> Result<(), Failure> {
    let data = bench.read(datafile)?;
    let (content, sector) = split(&data, false)?;
    let digests = Digests::of(content);
    for index in 0..MAX_BLOCKS {
        let Some(block) = valid_block(sector, index) else {
            writeln!(text, "Signature block {index} absent/invalid. Skipping checking next blocks...")?;
            return Ok(());
        };
        writeln!(text, "Signature block {index} is valid ({}).", kind(block))?;
        if digests.for_block(block) != block.image_digest() {
            return Err(fatal(format!("Digest in signature block {index} doesn't match the image digest.")));
        }
        let key: Vec<_> = Sha256::digest(block.key_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
        writeln!(text, "Public key digest for block {index}: {}", key.join(" "))?;
    }
    Ok(())
}

/// Content and signature sector of a signed file.
fn split(data: &[u8], any_length: bool) -> Result<(&[u8], &[u8; SECTOR]), Failure> {
    if !any_length && !data.len().is_multiple_of(SECTOR) {
        return Err(bad_size());
    }
    data.split_last_chunk().ok_or_else(|| {
        if any_length { fatal("Invalid datafile. File too small (must be at least 4096 bytes).") } else { bad_size() }
    })
}

fn bad_size() -> Failure {
    fatal("Invalid datafile. Data size should be non-zero & a multiple of 4096.")
}

/// Block `index` of a signature sector where espsecure calls it valid: magic, a known version, CRC.
pub(super) fn valid_block(sector: &[u8], index: usize) -> Option<SignatureBlock<'_>> {
    SignatureBlock::at(sector, index).filter(|block| {
        block.magic() == MAGIC && [2, 3].contains(&block.version()) && block.stored_crc() == block.computed_crc()
    })
}

pub(super) fn kind(block: SignatureBlock<'_>) -> &'static str {
    if block.version() == 2 { "RSA" } else { "ECDSA" }
}

/// Both digests of a file's content.
struct Digests {
    sha256: [u8; 32],
    sha384: [u8; 48],
}

impl Digests {
    fn of(content: &[u8]) -> Self {
        Self { sha256: Sha256::digest(content).into(), sha384: Sha384::digest(content).into() }
    }

    fn for_block(&self, block: SignatureBlock<'_>) -> &[u8] {
        if block.has_sha384() { &self.sha384 } else { &self.sha256 }
    }
}

/// Bytes as Python shows them, which is how espsecure prints digests in its error.
fn python_bytes(bytes: &[u8]) -> String {
    let quote = if bytes.contains(&b'\'') && !bytes.contains(&b'"') { '"' } else { '\'' };
    let mut text = format!("b{quote}");
    for &byte in bytes {
        match byte {
            b'\t' => text.push_str("\\t"),
            b'\n' => text.push_str("\\n"),
            b'\r' => text.push_str("\\r"),
            b'\\' => text.push_str("\\\\"),
            b'\'' if quote == '\'' => text.push_str("\\'"),
            0x20..0x7F => text.push(char::from(byte)),
            _ => text.push_str(&format!("\\x{byte:02x}")),
        }
    }
    text.push(quote);
    text
}

#[cfg(test)]
mod tests {
    use super::python_bytes;

    #[test]
    fn bytes_are_shown_as_python_shows_them() {
        assert_eq!(python_bytes(b"a\\\x00\xff\t\n\r~\x7f"), r"b'a\\\x00\xff\t\n\r~\x7f'");
        assert_eq!(python_bytes(b"it's"), "b\"it's\"");
        assert_eq!(python_bytes(b"\"it's\""), r#"b'"it\'s"'"#);
    }
}
