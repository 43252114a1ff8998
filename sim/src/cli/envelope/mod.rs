//! `dryburn envelope`: images that are encrypted for the way to the device.

mod damage;
mod inspect;

use crate::tools::{Failure, Workbench};
use clap::Subcommand;
use dryburn::{
    envelope::{ContentKey, EciesKey, EnvelopeError, OpeningKey, Recipient, cbc, is_envelope, open, seal},
    image,
};
use rand_chacha::rand_core::Rng;
use std::fmt::{self, Write as _};

/// Seal, open and inspect pre-encrypted images.
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Encrypt an image for the way to the device
    Seal(Seal),
    /// Decrypt an envelope; nothing is written unless its tag is right
    Open(Open),
    /// Show an envelope's header; needs no key and judges nothing
    Inspect {
        /// Envelope to read
        file: String,
    },
    /// Damage an envelope in one named way
    Damage(damage::Args),
}

#[derive(clap::Args)]
struct Seal {
    #[command(flatten)]
    key: Key,
    /// Image to read
    input: String,
    /// Envelope to write
    output: String,
}

#[derive(clap::Args)]
struct Open {
    #[command(flatten)]
    key: Key,
    /// AES-CBC: write what nothing proves, to verify the app's signature afterwards
    #[arg(long, conflicts_with_all = ["key", "hmac_key"])]
    unproven: bool,
    /// Envelope to read
    input: String,
    /// Image to write
    output: String,
}

#[derive(clap::Args)]
#[group(required = true, multiple = false)]
struct Key {
    /// esp_encrypted_img: PEM file with an RSA-3072 or P-256 key, public to seal and private to open
    #[arg(long, value_name = "FILE")]
    key: Option<String>,
    /// esp_encrypted_img with ECIES: the 32 bytes of the device's HMAC key, as burned for HMAC_UP
    #[arg(long, value_name = "FILE")]
    hmac_key: Option<String>,
    /// AES-CBC with the IV in a header: the 32 bytes that all devices share
    #[arg(long, value_name = "FILE")]
    cbc_key: Option<String>,
}

/// Runs one `dryburn envelope` command.
///
/// # Errors
/// Status 1 for an envelope that is refused, 2 for unreadable files and keys; nothing is written then.
pub fn run(bench: &mut Workbench, args: &Args) -> Result<String, Failure> {
    match &args.command {
        Command::Seal(job) => make(bench, job),
        Command::Open(job) => take(bench, job),
        Command::Inspect { file } => inspect::run(bench, file),
        Command::Damage(args) => damage::run(bench, args),
    }
}

fn make(bench: &mut Workbench, job: &Seal) -> Result<String, Failure> {
    let plaintext = bench.read(&job.input)?;
    if is_envelope(&plaintext) {
        return Err(Failure::new(format!(
            "{}: is an envelope already; sealed again it would have to be opened twice, which no updater does",
            job.input
        )));
    }
    let (envelope, how) = match &job.key {
        Key { cbc_key: Some(file), .. } => {
            let mut iv = [0; 16];
            bench.rng.fill_bytes(&mut iv);
            (cbc::seal(&plaintext, &ContentKey::new(key_of_32(bench, file)?), iv)?, CBC)
        }
        Key { hmac_key: Some(file), .. } => {
            (seal(&plaintext, &Recipient::ecies(&device(bench, file)?), &mut bench.rng)?, ECIES)
        }
        Key { key, .. } => {
            let file = key.as_deref().unwrap_or_default();
            let recipient = Recipient::from_pem(&pem(bench, file)?).map_err(|e| bad_key(file, &e))?;
            (seal(&plaintext, &recipient, &mut bench.rng)?, if recipient.is_rsa() { RSA } else { ECIES })
        }
    };
    write(bench, &job.output, &[&job.input], &job.key, &envelope)?;
    Ok(format!("{}: {} bytes sealed, {how}\n", job.output, plaintext.len()))
}

fn take(bench: &mut Workbench, job: &Open) -> Result<String, Failure> {
    let envelope = bench.read(&job.input)?;
    let refused = |error: EnvelopeError| Failure {
        text: format!("{}: refused: {error}{}", job.input, hint(&envelope, error)),
        status: 1,
    };
    let (plaintext, proof) = match &job.key {
        Key { cbc_key: Some(file), .. } => {
            let key = ContentKey::new(key_of_32(bench, file)?);
            let plaintext = open_cbc(&envelope, key).map_err(refused)?;
            if !job.unproven {
                return Err(Failure {
                    text: format!(
                        "{}: AES-CBC proves nothing, so nothing is written: add --unproven, then verify the app's signature",
                        job.input
                    ),
                    status: 1,
                });
            }
            (plaintext, "nothing proves it: verify the app's signature")
        }
        Key { hmac_key: Some(file), .. } => (open(&envelope, device(bench, file)?).map_err(refused)?, TAG),
        Key { key, .. } => {
            let file = key.as_deref().unwrap_or_default();
            let text = pem(bench, file)?;
            let key = OpeningKey::from_pem(&text, &mut bench.rng).map_err(|e| bad_key(file, &e))?;
            (open(&envelope, key).map_err(refused)?, TAG)
        }
    };
    write(bench, &job.output, &[&job.input], &job.key, &plaintext)?;
    let mut text = format!("{}: {} bytes, {proof}\n", job.output, plaintext.len());
    if is_envelope(&plaintext) {
        let _ = writeln!(text, "{}: is an envelope itself: the image was sealed twice; open it again", job.output);
    }
    Ok(text)
}

const RSA: &str = "esp_encrypted_img with RSA-3072";
const ECIES: &str = "esp_encrypted_img with ECIES (P-256)";
const CBC: &str = "AES-CBC; only the app's signature will prove it";
const TAG: &str = "the tag is right";

fn open_cbc(envelope: &[u8], key: ContentKey) -> Result<Vec<u8>, EnvelopeError> {
    let mut opener = cbc::Opener::new(key, u32::MAX);
    let mut plaintext = vec![0; envelope.len().max(16)];
    let made = opener.push(envelope, &mut plaintext)?.plaintext.unproven().len();
    let end = opener.finish()?;
    debug_assert_eq!(end.size() as usize, made);
    plaintext.truncate(made);
    Ok(plaintext)
}

/// What else a file that is no envelope may be.
fn hint(file: &[u8], error: EnvelopeError) -> &'static str {
    if !matches!(error, EnvelopeError::BadMagic { .. } | EnvelopeError::BadCbcMagic { .. }) {
        ""
    } else if is_envelope(file) {
        "; it is an envelope of the other format"
    } else if file.first() == Some(&image::MAGIC) {
        "; it begins like a plain image"
    } else {
        ""
    }
}

fn device(bench: &Workbench, file: &str) -> Result<EciesKey, Failure> {
    let key = key_of_32(bench, file)?;
    EciesKey::from_hmac_key(&key)
        .ok_or_else(|| Failure::new(format!("{file}: leads to no P-256 key; generate another HMAC key")))
}

fn key_of_32(bench: &Workbench, file: &str) -> Result<[u8; 32], Failure> {
    let bytes = bench.read_small(file)?;
    let found = bytes.len();
    bytes.try_into().map_err(|_| Failure::new(format!("{file}: found {found} bytes, expected a key of 32")))
}

/// Reads a key file; bytes that are no text cannot be part of a key and are replaced.
fn pem(bench: &Workbench, file: &str) -> Result<String, Failure> {
    bench.read_small(file).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

fn bad_key(file: &str, error: &dyn fmt::Display) -> Failure {
    Failure::new(format!(
        "{file}: {error}; an envelope takes an RSA-3072 or P-256 key, public to seal and private to open"
    ))
}

/// Writes the output, unless it is one of the files that were read.
fn write(bench: &Workbench, output: &str, inputs: &[&str], key: &Key, bytes: &[u8]) -> Result<(), Failure> {
    let keys = [&key.key, &key.hmac_key, &key.cbc_key].into_iter().flatten().map(String::as_str);
    let target = bench.path(output)?;
    for input in inputs.iter().copied().chain(keys) {
        let source = bench.path(input)?;
        let same_file = || Some(source.canonicalize().ok()? == target.canonicalize().ok()?);
        if source == target || same_file().unwrap_or(false) {
            return Err(Failure::new(format!("{input} would be overwritten; give another name for the output")));
        }
    }
    bench.write(output, bytes)
}
