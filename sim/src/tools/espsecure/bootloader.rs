//! `digest-secure-bootloader`: the file for flash offset 0 of an ESP32 with Secure Boot v1 (formats sheet §6.1).

use super::{Failure, Workbench, check_output, fatal};
use clap::Args;
use dryburn::{
    image::{HEADER_SIZE, Header, MAGIC},
    secure_boot::v1::{self, BootloaderDigest},
};
use rand_chacha::rand_core::Rng;
use sha2::{Digest, Sha256};
use std::fmt::Write as _;

#[derive(Args)]
pub(super) struct DigestSecureBootloader {
    /// File with the secure boot key: 32 bytes, or 24 with 3/4 coding scheme
    #[arg(short, long)]
    keyfile: String,
    /// File to write; without, the image's name with -digest-0x0000.bin instead of its extension
    #[arg(short, long)]
    output: Option<String>,
    /// File with the IV (128 bytes), for tests; without, the IV is random
    #[arg(long)]
    iv: Option<String>,
    /// Bootloader image
    image: String,
}

pub(super) fn run(bench: &mut Workbench, job: &DigestSecureBootloader, text: &mut String) -> Result<(), Failure> {
    let (key, image) = (bench.read_small(&job.keyfile)?, bench.read(&job.image)?);
    let output = job.output.clone().unwrap_or_else(|| default_output(&job.image));
    let inputs = [Some(&job.keyfile), Some(&job.image), job.iv.as_ref()];
    check_output(bench, &inputs.into_iter().flatten().map(String::as_str).collect::<Vec<_>>(), &output)?;
    let iv = iv(bench, job.iv.as_deref(), text)?;

    let Some(header) = image.first_chunk::<HEADER_SIZE>().map(|raw| Header::from_bytes(*raw)) else {
        return Err(fatal(format!(
            "{}: {} bytes are no image; its header alone has {HEADER_SIZE}.",
            job.image,
            image.len()
        )));
    };
    if header.magic() != MAGIC {
        return Err(fatal(format!("Invalid firmware image magic={:#x}", header.magic())));
    }
    let key = engine_key(&key, text)?;

    let mut content = image;
    content.truncate(v1::file_len(content.len(), header.hash_appended() == 1));
    content.resize(content.len().next_multiple_of(v1::PIECE), 0xFF);
    let mut engine = BootloaderDigest::new(&key, &iv);
    engine.update(&content);

    let mut file = iv.to_vec();
    file.extend_from_slice(&engine.finalize());
    file.resize(v1::HEADER, 0xFF);
    file.extend_from_slice(&content);
    bench.write(&output, &file)?;
    writeln!(text, "Digest + image written to \"{output}\"")?;
    Ok(())
}

/// The image's name without extension, and a suffix that says where to flash it.
fn default_output(image: &str) -> String {
    let name = image.rfind('/').map_or(0, |slash| slash + 1);
    // A leading dot begins a hidden file's name, not an extension.
    let stem = match image.rfind('.') {
        Some(dot) if dot > name => &image[..dot],
        _ => image,
    };
    format!("{stem}-digest-0x0000.bin")
}

fn iv(bench: &mut Workbench, file: Option<&str>, text: &mut String) -> Result<[u8; v1::IV], Failure> {
    let mut iv = [0; v1::IV];
    let Some(file) = file else {
        bench.rng.fill_bytes(&mut iv);
        return Ok(iv);
    };
    let bytes = bench.read_small(file)?;
    text.push_str("WARNING: --iv argument is for TESTING PURPOSES ONLY\n");
    let found = bytes.len();
    bytes.first_chunk().copied().ok_or_else(|| fatal(format!("{file}: an IV has {} bytes, not {found}.", v1::IV)))
}

/// espsecure also takes 16 bytes, which it extends by hashing them; no ESP32 has such a key.
fn engine_key(file: &[u8], text: &mut String) -> Result<[u8; 32], Failure> {
    let (key, note) = match file.len() {
        16 => (Sha256::digest(file).into(), "128-bit key (extended)"),
        24 => (v1::engine_key(file)?, "192-bit key (extended)"),
        32 => (v1::engine_key(file)?, "256-bit key"),
        64 => {
            return Err(fatal(
                "Key file contains 64 bytes; the secure boot engine has 32-byte keys (24 with 3/4 coding).",
            ));
        }
        found => {
            return Err(fatal(format!("Key file contains wrong length ({found} bytes), 16, 24, 32 or 64 expected.")));
        }
    };
    writeln!(text, "Using {note}.")?;
    Ok(key)
}
