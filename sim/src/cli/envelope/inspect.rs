//! `dryburn envelope inspect`: every field of a header, whatever it says.

use super::{ECIES, RSA, hint};
use crate::tools::{Failure, Workbench};
use dryburn::envelope::{EnvelopeError, HEADER_SIZE, Header, cbc, is_envelope};
use std::{
    cmp::Ordering,
    fmt::{self, Write as _},
};

pub(super) fn run(bench: &Workbench, file: &str) -> Result<String, Failure> {
    let bytes = bench.read(file)?;
    let mut text = String::new();
    if let Some(header) = cbc::Header::at(&bytes).filter(|header| header.magic() == cbc::MAGIC) {
        let body = u64::from(header.size()).next_multiple_of(16);
        row(&mut text, "format", "AES-256-CBC with the IV in a header; only the app's signature proves what is in it");
        row(&mut text, "size", Size(u64::from(header.size())));
        row(&mut text, "IV", Hex(&header.iv()));
        row(&mut text, "zeros", Zeros(&header.reserved(), 8));
        row(&mut text, "file", Length { found: bytes.len(), expected: body + cbc::HEADER_SIZE as u64 });
        return Ok(text);
    }
    let Some(header) = Header::at(&bytes) else {
        let found = bytes.len();
        return Err(Failure::new(format!("{file}: {found} bytes; an envelope has at least a header of {HEADER_SIZE}")));
    };
    if !is_envelope(&bytes) {
        let error = EnvelopeError::BadMagic { found: header.magic() };
        return Err(Failure::new(format!("{file}: {error}{}", hint(&bytes, error))));
    }
    if header.looks_like_ecies() {
        row(&mut text, "format", ECIES);
        row(&mut text, "server", Hex(&header.server_public()));
        row(&mut text, "salt", Hex(&header.salt()));
    } else {
        row(&mut text, "format", RSA);
        let start: Vec<u8> = header.wrapped_key().iter().copied().take(16).collect();
        row(&mut text, "key", format_args!("{}… (384 bytes, wrapped)", Hex(&start)));
    }
    row(&mut text, "IV", Hex(&header.iv()));
    row(&mut text, "size", Size(u64::from(header.size())));
    row(&mut text, "tag", Hex(&header.tag()));
    row(&mut text, "zeros", Zeros(header.reserved(), 424));
    row(&mut text, "file", Length { found: bytes.len(), expected: u64::from(header.size()) + HEADER_SIZE as u64 });
    Ok(text)
}

fn row(text: &mut String, name: &str, value: impl fmt::Display) {
    let _ = writeln!(text, "{name:<7} {value}");
}

struct Hex<'a>(&'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

struct Size(u64);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes ({:#x}) of plaintext", self.0, self.0)
    }
}

/// Bytes that should be zero, and their offset.
struct Zeros<'a>(&'a [u8], usize);

impl fmt::Display for Zeros<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.iter().position(|byte| *byte != 0) {
            None => f.write_str("ok"),
            Some(at) => write!(f, "offset {:#x} holds {:#04x}", self.1 + at, self.0[at]),
        }
    }
}

struct Length {
    found: usize,
    expected: u64,
}

impl fmt::Display for Length {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { found, expected } = *self;
        match (found as u64).cmp(&expected) {
            Ordering::Equal => write!(f, "{found} bytes, complete"),
            Ordering::Less => write!(f, "{found} bytes, expected {expected}: cut short"),
            Ordering::Greater => write!(f, "{found} bytes, expected {expected}: something follows"),
        }
    }
}
