//! espsecure: keys, signatures, bootloader digests and offline flash encryption.
//!
//! Messages and exit statuses are those of espsecure 5.6, found by running it, without its version line and its frames
//! around usage errors. What it lets pass, or crashes on, and this one refuses:
//!
//! | espsecure | here |
//! |---|---|
//! | `generate-flash-encryption-key` overwrites a key that exists | refused: the file may be the only copy of a burned key |
//! | `generate-flash-encryption-key -l 100` writes 12 bytes | refused: no chip has such a key |
//! | ESP32 data at 0x1000000 and above: address bits spill into their neighbours | refused: matches no chip, and ESP32 flash ends there |
//! | XTS-AES data beyond 32-bit addresses: crash | refused |
//! | ESP32 data to decrypt that is not a multiple of 16: whole pieces are written before the error | nothing is written |
//! | `digest-private-key -l 128` says 192 bits and writes 256 | refused |
//! | `digest-secure-bootloader --iv` shorter than 128 bytes: digest in the wrong place | refused |
//! | `sign-data` may overwrite the public key or signature it was given | refused |
//! | crash: v1 commands with RSA or encrypted keys or no key, `verify-signature` without `--keyfile`, v1 data shorter than a signature, blocks of unknown curves | an error with status 2 |
//! | crash: an ECDSA key and a file that an RSA key signed too; `sign-data --append-signatures` of an empty file | verified, signed |
//!
//! Like espsecure, `verify-signature --version 2` asks only whether *the given key* signed the content: that a block names
//! another key or another scheme, which any chip refuses, is not noticed.
//! Not modelled: HSMs, SDC certificates, EC keys with explicit curve parameters.

mod bootloader;
mod flash;
mod key_file;
mod keys;
mod rehearsed;
mod sign;
mod verify;

use super::{Failure, Workbench};
use clap::{Parser, Subcommand, ValueEnum};
use flash::FlashData;
pub(super) use keys::new_key;

const MODELLED: &[&str] = &[
    "decrypt-flash-data",
    "digest-private-key",
    "digest-rsa-public-key",
    "digest-sbv2-public-key",
    "digest-secure-bootloader",
    "encrypt-flash-data",
    "extract-public-key",
    "generate-flash-encryption-key",
    "generate-signing-key",
    "sign-data",
    "signature-info-v2",
    "verify-signature",
];
/// Commands of espsecure 5.6 that are not here.
const NOT_MODELLED: &[&str] = &["digest-sdc-public-key", "generate-sdc-certificate"];

#[derive(Parser)]
#[command(name = "espsecure", about = "ESP32 secure boot and flash encryption tool", disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// Version of secure boot.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Version {
    /// ESP32: bootloader digest, ECDSA signature appended to apps
    #[value(name = "1")]
    V1,
    /// Signature sector, RSA-3072 or ECDSA
    #[value(name = "2")]
    V2,
}

#[derive(Subcommand)]
enum Command {
    /// Write a new random flash encryption key
    GenerateFlashEncryptionKey {
        /// Key length in bits: 128, 192 (ESP32 with 3/4 coding scheme), 256 or 512
        #[arg(short = 'l', long, default_value = "256", value_parser = super::number)]
        keylen: u64,
        /// Key file to write
        key_file: String,
    },
    /// Encrypt data as flash at an address will hold it
    EncryptFlashData(FlashData),
    /// Decrypt data that was read from flash at an address
    DecryptFlashData(FlashData),
    /// Write a new private key as PEM text
    GenerateSigningKey {
        /// Version of secure boot that it is for
        #[arg(short, long, default_value = "1")]
        version: Version,
        /// What to sign with; version 2 only (version 1 knows ecdsa256)
        #[arg(short, long)]
        scheme: Option<keys::Scheme>,
        /// Key file to write
        keyfile: String,
    },
    /// Append a signature to a file
    SignData(sign::SignData),
    /// Ask whether a key signed a file
    VerifySignature(verify::VerifySignature),
    /// Show which keys signed a file
    SignatureInfoV2 {
        /// Signed file
        datafile: String,
    },
    /// Write the public half of a private key: PEM text, or for version 1 the 64 bytes that a bootloader has built in
    ExtractPublicKey {
        /// Version of secure boot that it is for
        #[arg(short, long, default_value = "1")]
        version: Version,
        /// PEM file with the private key
        #[arg(short, long)]
        keyfile: String,
        /// File to write
        public_keyfile: String,
    },
    /// Write the digest of a public key that eFuse holds
    #[command(alias = "digest-rsa-public-key")]
    DigestSbv2PublicKey {
        /// PEM file with the private or the public key
        #[arg(short, long)]
        keyfile: String,
        /// File to write
        #[arg(short, long)]
        output: String,
    },
    /// Derive the secure boot key of ESP32's re-flashable mode from a signing key
    DigestPrivateKey {
        /// PEM file with the private key
        #[arg(short, long)]
        keyfile: String,
        /// Length of the digest in bits: 256, or 192 with 3/4 coding scheme
        #[arg(short = 'l', long, default_value = "256", value_parser = super::number)]
        keylen: u64,
        /// File to write
        digest_file: String,
    },
    /// Digest a bootloader as the ESP32's secure boot engine does
    DigestSecureBootloader(bootloader::DigestSecureBootloader),
    #[command(external_subcommand)]
    Other(Vec<String>),
}

/// Runs one espsecure command line.
///
/// # Errors
/// [`Failure`] with status 2 and espsecure's text for bad usage, bad keys, data that cannot be encrypted and signatures
/// that do not verify; no file is written then.
pub fn run(bench: &mut Workbench, args: &[String]) -> Result<String, Failure> {
    let args = super::modern_spelling(args, &[MODELLED, NOT_MODELLED].concat());
    if let Some(option) = args.iter().find(|a| a.starts_with("--keyfile2") || a.starts_with("--hsm")) {
        return Err(Failure::new(format!("espsecure: option {option} is not modelled")));
    }
    let mut text = String::new();
    if args.iter().find(|word| !word.starts_with('-')).is_some_and(|word| word == "digest-rsa-public-key") {
        text.push_str("DeprecationWarning: The command 'digest-rsa-public-key' is deprecated.\n");
    }
    let cli = match Cli::try_parse_from(std::iter::once("espsecure".to_owned()).chain(args)) {
        Ok(cli) => cli,
        Err(usage) if usage.use_stderr() => return Err(Failure::new(usage.to_string())),
        Err(help) => return Ok(help.to_string()),
    };
    let out = &mut text;
    let result = match cli.command {
        Command::GenerateFlashEncryptionKey { keylen, key_file } => flash::generate_key(bench, keylen, &key_file, out),
        Command::EncryptFlashData(job) => flash::encrypt(bench, &job, out),
        Command::DecryptFlashData(job) => flash::decrypt(bench, &job, out),
        Command::GenerateSigningKey { version, scheme, keyfile } => {
            keys::generate(bench, version, scheme, &keyfile, out)
        }
        Command::SignData(job) => sign::run(bench, &job, out),
        Command::VerifySignature(job) => verify::run(bench, &job, out),
        Command::SignatureInfoV2 { datafile } => verify::info(bench, &datafile, out),
        Command::ExtractPublicKey { version, keyfile, public_keyfile } => {
            keys::extract_public(bench, version, &keyfile, &public_keyfile, out)
        }
        Command::DigestSbv2PublicKey { keyfile, output } => keys::digest_public(bench, &keyfile, &output, out),
        Command::DigestPrivateKey { keyfile, keylen, digest_file } => {
            keys::digest_private(bench, &keyfile, keylen, &digest_file, out)
        }
        Command::DigestSecureBootloader(job) => bootloader::run(bench, &job, out),
        Command::Other(words) => Err(not_modelled(words.first().map_or("", String::as_str))),
    };
    match result {
        Ok(()) => Ok(text),
        Err(failure) => Err(Failure { text: text + &failure.text, ..failure }),
    }
}

fn not_modelled(command: &str) -> Failure {
    Failure::new(if NOT_MODELLED.contains(&command) {
        format!("espsecure {command}: not modelled yet")
    } else {
        format!("espsecure: no such command '{command}'; try espsecure --help")
    })
}

fn fatal(reason: impl std::fmt::Display) -> Failure {
    Failure::new(format!("A fatal error occurred: {reason}"))
}

/// Refuses an output that is one of the inputs.
fn check_output(bench: &Workbench, inputs: &[&str], output: &str) -> Result<(), Failure> {
    let target = bench.path(output)?;
    for input in inputs {
        let source = bench.path(input)?;
        let same_file = || Some(source.canonicalize().ok()? == target.canonicalize().ok()?);
        if source == target || same_file().unwrap_or(false) {
            return Err(fatal(format!("The input \"{input}\" and output \"{output}\" should not be the same!")));
        }
    }
    Ok(())
}
