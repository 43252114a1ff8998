//! enc-img: Espressif's `esp_enc_img_gen.py`, which makes and opens pre-encrypted images (formats sheet §9.3).
//!
//! Commands, messages and exit statuses are those of the tool of esp_encrypted_img 2.7.1, found by running it; `enc-img`,
//! `enc_img` and `esp_enc_img_gen(.py)` are the same here, and options may be spelled with dashes. What it lets pass, or
//! crashes on, and this one refuses:
//!
//! | esp_enc_img_gen.py | here |
//! |---|---|
//! | `--generate_rsa_key`, `--generate_ecc_key` overwrite keys that exist | refused: the file may be the only copy of a key |
//! | `encrypt` with an RSA key of another size writes a file that no device reads | refused |
//! | `decrypt` drops bytes behind the end, and passes over a wrong size and over zeros that are none | refused |
//! | crash: a wrong key, a wrong tag, a file cut short, a private EC key or another curve to `encrypt`, a public key to `decrypt`, missing files | an error with status 1 |
//!
//! Nothing is written unless the tag is right.

mod crypt;
mod keys;

use super::{Failure, Workbench};
use clap::{CommandFactory, Parser, Subcommand};
use crypt::Files;

#[derive(Parser)]
#[command(
    name = "enc-img",
    about = "Encrypted Image Tool",
    disable_help_subcommand = true,
    args_conflicts_with_subcommands = false
)]
struct Cli {
    /// Generate ECC keypair and exit: device_hmac_key.bin, device_pub_key.pem
    #[arg(long)]
    generate_ecc_key: bool,
    /// Generate RSA keypair and exit: rsa_priv_key.pem, rsa_pub_key.pem
    #[arg(long)]
    generate_rsa_key: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Encrypt a binary; the key is an RSA-3072 key or a P-256 public key
    Encrypt(Files),
    /// Decrypt an encrypted image; the key is a private key
    Decrypt(Files),
}

/// Runs one command line.
///
/// # Errors
/// [`Failure`] with status 2 for bad usage, 1 for everything else; nothing is written then.
pub fn run(bench: &mut Workbench, args: &[String]) -> Result<String, Failure> {
    let args = super::modern_spelling(args, &["encrypt", "decrypt"]);
    let cli = match Cli::try_parse_from(std::iter::once("enc-img".to_owned()).chain(args)) {
        Ok(cli) => cli,
        Err(usage) if usage.use_stderr() => return Err(Failure::new(usage.to_string())),
        Err(help) => return Ok(help.to_string()),
    };
    let mut text = String::new();
    let result = match cli.command {
        // the tool does this first, and only this
        _ if cli.generate_ecc_key => keys::ecc(bench, &mut text),
        _ if cli.generate_rsa_key => keys::rsa(bench, &mut text),
        Some(Command::Encrypt(files)) => crypt::encrypt(bench, &files, &mut text),
        Some(Command::Decrypt(files)) => crypt::decrypt(bench, &files, &mut text),
        None => Err(Failure { text: Cli::command().render_help().to_string(), status: 1 }),
    };
    match result {
        Ok(()) => Ok(text),
        Err(failure) => Err(Failure { text: text + &failure.text, status: 1 }),
    }
}

fn error(reason: impl std::fmt::Display) -> Failure {
    Failure { text: format!("Error: {reason}"), status: 1 }
}
