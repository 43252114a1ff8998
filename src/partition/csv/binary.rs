//! The generator's way back: a binary table to partitions, and partitions to CSV.

use super::{Diagnostic, Options, Partition};
use crate::partition::{ENTRY_SIZE, Entry, MAGIC, MD5_MAGIC, TYPES, md5_of};
use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};
use core::fmt;

/// Bits of the flags field that have a name.
const KNOWN_FLAGS: u32 = 3;

/// Reads a binary table as the generator does: stricter than the bootloader about the end marker (32 bytes of 0xFF),
/// blind to flash size and number of records; `options.md5` false means that an MD5 record is no record at all. Warnings are
/// added to `log`.
pub fn from_binary(bytes: &[u8], options: &Options<'_>, log: &mut Vec<String>) -> Result<Vec<Partition>, Diagnostic> {
    let mut partitions = Vec::new();
    let mut covered = Vec::new();
    for (index, record) in bytes.chunks(ENTRY_SIZE).enumerate() {
        let place = format!("record {index} at offset {:#x} of the file", index.saturating_mul(ENTRY_SIZE));
        let Some(entry) = Entry::parse(record) else {
            let message = "Partition table length must be a multiple of 32 bytes";
            return Err(Diagnostic::new(message).help(format!("the file has {} bytes", bytes.len())));
        };
        if record.iter().all(|b| *b == 0xFF) {
            return Ok(partitions);
        }
        if options.md5 && entry.magic == MD5_MAGIC {
            let stored = record.get(16..).unwrap_or_default();
            let computed = md5_of(&covered);
            if stored != computed {
                let (computed, parsed) = (Hex(&computed), Hex(stored));
                let message = format!("MD5 checksums don't match! (computed: 0x{computed}, parsed: 0xb'{parsed}')");
                return Err(Diagnostic::new(message).help(place));
            }
            continue;
        }
        if entry.magic != MAGIC {
            let magic = record.get(..2).unwrap_or_default().escape_python();
            let message = format!("Invalid magic bytes (b{magic}) for partition definition");
            return Err(Diagnostic::new(message).help(format!("{place}; expected 50aa, little-endian")));
        }
        covered.extend_from_slice(record);
        partitions.push(partition(&entry, &place, log)?);
    }
    let message = "Partition table is missing an end-of-table marker";
    Err(Diagnostic::new(message).help(format!("32 bytes of 0xff in the first {} bytes", bytes.len())))
}

fn partition(entry: &Entry, place: &str, log: &mut Vec<String>) -> Result<Partition, Diagnostic> {
    let name = entry.label.split(|b| *b == 0).next().unwrap_or_default();
    let Ok(name) = core::str::from_utf8(name) else {
        let message = format!("label b{} is not UTF-8", name.escape_python());
        return Err(Diagnostic::new(message).help(place));
    };
    let unknown = entry.flags & !KNOWN_FLAGS;
    if unknown != 0 {
        log.push(format!("WARNING: Partition definition had unknown flag(s) 0x{unknown:08x}. Newer binary format?"));
    }
    Ok(Partition {
        name: name.to_string(),
        kind: entry.kind,
        subtype: entry.subtype,
        offset: entry.offset,
        size: entry.size,
        encrypted: entry.has_encrypted_flag(),
        readonly: entry.is_readonly(),
        row: None,
    })
}

/// Writes partitions as the generator does: keywords where there are some, else decimal numbers; sizes in whole M or K.
pub fn to_csv(partitions: &[Partition], options: &Options<'_>) -> String {
    let mut text = String::from("# ESP-IDF Partition Table\n# Name, Type, SubType, Offset, Size, Flags\n");
    for p in partitions {
        text.push_str(&row(p, options));
        text.push('\n');
    }
    text
}

/// One row of [`to_csv`], without the line end.
pub(super) fn row(p: &Partition, options: &Options<'_>) -> String {
    let kind = TYPES
        .iter()
        .find(|(_, kind)| *kind == p.kind)
        .map_or_else(|| p.kind.0.to_string(), |(name, _)| name.to_string());
    let subtype = options
        .subtypes_of(p.kind)
        .find(|(_, subtype)| *subtype == p.subtype)
        .map_or_else(|| p.subtype.0.to_string(), |(name, _)| name.to_string());
    let size = match p.size {
        size if size.is_multiple_of(0x10_0000) => format!("{}M", size / 0x10_0000),
        size if size.is_multiple_of(0x400) => format!("{}K", size / 0x400),
        size => format!("0x{size:x}"),
    };
    let flags = match (p.encrypted, p.readonly) {
        (true, true) => "encrypted:readonly",
        (true, false) => "encrypted",
        (false, true) => "readonly",
        (false, false) => "",
    };
    format!("{},{kind},{subtype},0x{:x},{size},{flags}", p.name, p.offset)
}

/// Bytes as lower-case hexadecimal digits.
struct Hex<'a>(&'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

/// Bytes as Python shows them.
trait EscapePython {
    fn escape_python(&self) -> String;
}

impl EscapePython for [u8] {
    fn escape_python(&self) -> String {
        let quote = if self.contains(&b'\'') && !self.contains(&b'"') { '"' } else { '\'' };
        let mut text = String::from(quote);
        for b in self {
            match b {
                b'\t' => text.push_str("\\t"),
                b'\n' => text.push_str("\\n"),
                b'\r' => text.push_str("\\r"),
                b'\\' => text.push_str("\\\\"),
                b'\'' if quote == '\'' => text.push_str("\\'"),
                0x20..=0x7E => text.push(char::from(*b)),
                _ => text.push_str(&format!("\\x{b:02x}")),
            }
        }
        text.push(quote);
        text
    }
}
