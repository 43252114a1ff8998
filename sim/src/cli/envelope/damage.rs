//! `dryburn envelope damage`: what can happen to an `esp_encrypted_img` envelope on its way.

use crate::tools::{Failure, Workbench, number};
use clap::ValueEnum;
use dryburn::envelope::{HEADER_SIZE, Header, MAGIC};

#[derive(clap::Args)]
pub(super) struct Args {
    /// Envelope, changed in place
    file: String,
    /// What to damage
    what: What,
    /// Length in bytes that shall be left (truncate) or come behind the end (append)
    #[arg(value_parser = number)]
    value: Option<u64>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    /// First byte
    Magic,
    /// Wrapped key (RSA), or the server's public key (ECIES)
    Key,
    /// Salt of ECIES; with RSA this is inside the wrapped key
    Salt,
    /// IV
    Iv,
    /// Size of the plaintext: one byte more or less
    Size,
    /// GCM tag
    Tag,
    /// Zeros at the end of the header
    Zeros,
    /// One bit in the middle of the ciphertext
    Body,
    /// Cut the file to this many bytes
    Truncate,
    /// This many bytes more, 0xFF
    Append,
}

/// Bytes that may come behind the end.
const MOST: u64 = 1024 * 1024;

pub(super) fn run(bench: &Workbench, args: &Args) -> Result<String, Failure> {
    let mut bytes = bench.read(&args.file)?;
    let found = bytes.len();
    if Header::at(&bytes).is_none_or(|header| header.magic() != MAGIC) {
        return Err(Failure::new(format!("{}: {found} bytes that do not begin like esp_encrypted_img", args.file)));
    }
    let value = |most: u64| match args.value {
        Some(value) if (1..=most).contains(&value) => Ok(value as usize),
        Some(value) => Err(Failure::new(format!("{value} does not fit: 1 to {most} bytes"))),
        None => Err(Failure::new("say how many bytes, as in `truncate 1000`")),
    };
    let flipped = match args.what {
        What::Magic => Some(0),
        What::Key => Some(20),
        What::Salt => Some(68),
        What::Iv => Some(388),
        What::Size => Some(404),
        What::Tag => Some(408),
        What::Zeros => Some(424),
        What::Body => Some(HEADER_SIZE + found.saturating_sub(HEADER_SIZE) / 2),
        What::Truncate => {
            bytes.truncate(value(found as u64 - 1)?);
            None
        }
        What::Append => {
            bytes.resize(found + value(MOST)?, 0xFF);
            None
        }
    };
    if let Some(byte) = flipped.and_then(|offset| bytes.get_mut(offset)) {
        *byte ^= 1;
    }
    bench.write(&args.file, &bytes)?;
    Ok(String::new())
}
