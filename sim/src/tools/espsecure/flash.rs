//! Offline flash encryption and its keys (formats sheet §4.3, §5.2).

use super::{Failure, Workbench, fatal};
use crate::bulk;
use clap::Args;
use dryburn::flash_encryption::{BadKeyLength, CryptConfig, FlashCipher, FlashKey, KeyScheme, PIECE};
use rand_chacha::rand_core::Rng;
use std::fmt::Write as _;

/// First address that the ESP32's scheme does not tell from another (formats sheet §4.1).
const ESP32_END: u64 = 0x100_0000;

/// Lengths in bits of the flash encryption keys that chips have.
const KEY_BITS: [u64; 4] = [128, 192, 256, 512];

#[derive(Args)]
pub(super) struct FlashData {
    /// File with the flash encryption key
    #[arg(short, long)]
    keyfile: String,
    /// File to write
    #[arg(short, long)]
    output: String,
    /// Flash address in bytes of the first byte
    #[arg(short, long, value_parser = crate::tools::number)]
    address: u64,
    /// FLASH_CRYPT_CONFIG eFuse of the chip (ESP32 only)
    #[arg(long, default_value = "0xF", value_parser = crate::tools::number)]
    flash_crypt_conf: u64,
    /// Use XTS-AES (all chips but the ESP32)
    #[arg(short = 'x', long)]
    aes_xts: bool,
    /// File to read
    input: String,
}

pub(super) fn generate_key(bench: &mut Workbench, bits: u64, file: &str, text: &mut String) -> Result<(), Failure> {
    if !KEY_BITS.contains(&bits) {
        return Err(fatal(format!("No chip has a flash encryption key of {bits} bits; give -l 128, 192, 256 or 512.")));
    }
    // A name outside a scenario's folder is an error of its own, not a file that does not exist.
    bench.path(file)?;
    if bench.exists(file) {
        return Err(fatal(format!(
            "{file} exists; it may be the only copy of a burned key. Choose another name or delete it."
        )));
    }
    let mut key = vec![0; bits as usize / 8];
    bench.rng.fill_bytes(&mut key);
    bench.write(file, &key)?;
    writeln!(text, "Writing {bits} random bits to key file \"{file}\".")?;
    Ok(())
}

pub(super) fn encrypt(bench: &mut Workbench, job: &FlashData, text: &mut String) -> Result<(), Failure> {
    let (cipher, address, mut data) = prepare(bench, job, text)?;
    let missing = data.len().next_multiple_of(PIECE) - data.len();
    if missing > 0 {
        writeln!(
            text,
            "Note: Padding with {missing} bytes of random data (encrypted data must be multiple of 16 bytes long)."
        )?;
        let mut padding = [0; PIECE];
        bench.rng.fill_bytes(&mut padding[..missing]);
        data.extend_from_slice(&padding[..missing]);
    }
    bulk::encrypt(&cipher, address, &mut data)?;
    bench.write(&job.output, &data)
}

pub(super) fn decrypt(bench: &mut Workbench, job: &FlashData, text: &mut String) -> Result<(), Failure> {
    let (cipher, address, mut data) = prepare(bench, job, text)?;
    if !data.len().is_multiple_of(PIECE) {
        return Err(fatal("Data length is not a multiple of 16 bytes."));
    }
    bulk::decrypt(&cipher, address, &mut data)?;
    bench.write(&job.output, &data)
}

/// Reads key and data and makes every check that both directions share, in espsecure's order.
fn prepare(bench: &Workbench, job: &FlashData, text: &mut String) -> Result<(FlashCipher, u32, Vec<u8>), Failure> {
    let (key_bytes, data) = (bench.read_small(&job.keyfile)?, bench.read(&job.input)?);
    if bench.path(&job.input)? == bench.path(&job.output)? {
        return Err(fatal(format!(
            "The input \"{}\" and output \"{}\" should not be the same!",
            job.input, job.output
        )));
    }
    // The tool looks at the low four bits only, and warns only when the whole number is zero.
    let config = CryptConfig::new((job.flash_crypt_conf & 0xF) as u8);
    let scheme = if job.aes_xts { KeyScheme::Xts } else { KeyScheme::Esp32(config) };
    let key = FlashKey::from_file(&key_bytes, scheme).map_err(bad_key)?;
    let bits = key_bytes.len() * 8;
    writeln!(text, "Using {bits}-bit key{}.", if bits < 256 { " (extended)" } else { "" })?;
    if !job.address.is_multiple_of(PIECE as u64) {
        return Err(fatal(format!("Starting flash address {:#x} must be a multiple of 16.", job.address)));
    }
    if job.aes_xts {
        check_xts_length(data.len())?;
    } else if job.flash_crypt_conf == 0 {
        text.push_str("WARNING: Setting FLASH_CRYPT_CONF to zero is not recommended.\n");
    }
    Ok((FlashCipher::new(&key), flash_address(job, data.len())?, data))
}

fn check_xts_length(len: usize) -> Result<(), Failure> {
    match len {
        0 => Err(fatal("Input data must be longer than 0.")),
        _ if !len.is_multiple_of(PIECE) => Err(fatal(format!("Input data length ({len}) must be a multiple of 16."))),
        _ => Ok(()),
    }
}

/// The address, if all `len` bytes from it on lie where the scheme tells addresses apart.
fn flash_address(job: &FlashData, len: usize) -> Result<u32, Failure> {
    let end = if job.aes_xts { 1 << 32 } else { ESP32_END };
    match u32::try_from(job.address) {
        Ok(address) if job.address.saturating_add(len as u64) <= end => Ok(address),
        _ => Err(fatal(format!(
            "{}: {len} bytes at {:#x} reach beyond {end:#x}, where {} ends; give the address in flash.",
            job.input,
            job.address,
            if job.aes_xts { "the address space" } else { "the ESP32's flash (for other chips use --aes-xts)" }
        ))),
    }
}

/// The tool has one text for lengths that no scheme knows, and one per scheme for the others'.
fn bad_key(error: BadKeyLength) -> Failure {
    let (BadKeyLength::Esp32 { found } | BadKeyLength::Xts { found }) = error;
    if ![16, 24, 32, 64].contains(&found) {
        return fatal(format!("Key file contains wrong length ({found} bytes), 16, 24, 32 or 64 expected."));
    }
    let bits = found * 8;
    fatal(match error {
        BadKeyLength::Esp32 { .. } => format!(
            "ESP32 supports only 192 and 256-bit keys. Provided key is {bits} bits. Use --aes_xts for other chips."
        ),
        BadKeyLength::Xts { .. } => {
            format!("AES_XTS supports only 128, 256, and 512-bit keys. Provided key is {bits} bits.")
        }
    })
}
