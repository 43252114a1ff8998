//! `dryburn envelope damage`: what can happen to an envelope on its way.

use crate::tools::{Failure, Workbench, number};
use clap::ValueEnum;
use dryburn::envelope::{HEADER_SIZE, Header, MAGIC, cbc};

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
    /// Zeros of the header
    Zeros,
    /// One bit in the middle of the ciphertext
    Body,
    /// One bit of the last byte
    End,
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
    let is_img = Header::at(&bytes).is_some_and(|header| header.magic() == MAGIC);
    if !is_img && cbc::Header::at(&bytes).is_none_or(|header| header.magic() != cbc::MAGIC) {
        let text = format!("{}: {found} bytes that do not begin like esp_encrypted_img or AES-CBC", args.file);
        return Err(Failure::new(text));
    }
    let of_img = |offset| if is_img { Ok(Some(offset)) } else { Err(Failure::new("an AES-CBC envelope has none")) };
    let of_both = |img, cbc| Some(if is_img { img } else { cbc });
    let header = if is_img { HEADER_SIZE } else { cbc::HEADER_SIZE };
    let value = |most: u64| match args.value {
        Some(value) if (1..=most).contains(&value) => Ok(value as usize),
        Some(value) => Err(Failure::new(format!("{value} does not fit: 1 to {most} bytes"))),
        None => Err(Failure::new("say how many bytes, as in `truncate 1000`")),
    };
    let flipped = match args.what {
        What::Magic => Some(0),
        What::Key => of_img(20)?,
        What::Salt => of_img(68)?,
        What::Iv => of_both(388, 16),
        What::Size => of_both(404, 4),
        What::Tag => of_img(408)?,
        What::Zeros => of_both(424, 8),
        What::Body => Some(header + found.saturating_sub(header) / 2),
        What::End => found.checked_sub(1),
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
