//! Text to partitions: fields, keywords, and the offsets and sizes that a row leaves open.

use super::{
    Diagnostic, Options, Partition, Row, Span, TABLE_SECTOR, is_primary,
    number::{self, NotANumber},
    rules::offset_alignment,
    text::{Expanded, expand, lines, strip, variable},
};
use crate::partition::{PartitionType, Subtype, TYPES};
use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};
use core::fmt;

/// A row before its offset and size are settled; they may be anything that fits in 64 bits.
struct Draft {
    name: String,
    kind: PartitionType,
    subtype: Subtype,
    offset: Option<i64>,
    size: i64,
    encrypted: bool,
    readonly: bool,
    row: Row,
}

/// Reads a CSV. The rules of [`verify`](super::verify) are not applied yet; overlap with the row before is an error here
/// already, because offsets that a row leaves open follow from it. So is an offset or size that is negative or needs more than
/// 32 bits: the generator stumbles over these only later, over whichever rule they break first or over the binary format.
pub fn parse(text: &str, options: &Options<'_>) -> Result<Vec<Partition>, Diagnostic> {
    let mut drafts = Vec::new();
    for (index, line) in lines(text).enumerate() {
        let number = index.saturating_add(1);
        let line = expand(line, options.environment);
        if let Some((name, _)) = variable(&line.text).filter(|(n, _)| !n.starts_with(|c: char| c.is_ascii_digit())) {
            // `${NAME}` at this place is no complaint of the generator's; it takes it for a name.
            if !line.text.starts_with("${") {
                let length = name.chars().count().saturating_add(1);
                let place = Diagnostic {
                    line: number,
                    column: 1,
                    length,
                    ..Diagnostic::new(format!("unknown variable '{name}'"))
                };
                return Err(place.help(format!("set {name} in the environment, or write its value")));
            }
        }
        let content = strip(&line.text);
        if !content.is_empty() && !content.starts_with('#') {
            drafts.push(draft(&line, number, options)?);
        }
    }
    settle(drafts, options)
}

/// The place of `part`, a slice of the line.
fn span_of(line: &Expanded, start: usize, part: &str) -> Span {
    let leading = part.len().saturating_sub(part.trim_start_matches(strip_one).len());
    let start = start.saturating_add(leading);
    let stripped = strip(part);
    let column = line.column(start);
    if stripped.is_empty() {
        return Span { column, length: 0 };
    }
    let last = stripped.chars().next_back().map_or(0, char::len_utf8);
    let last = line.column(start.saturating_add(stripped.len()).saturating_sub(last));
    Span { column, length: last.saturating_sub(column).saturating_add(1) }
}

fn strip_one(c: char) -> bool {
    let mut buffer = [0; 4];
    strip(c.encode_utf8(&mut buffer)).is_empty()
}

/// One row. Complaints come in the order of the fields.
fn draft(line: &Expanded, number: usize, options: &Options<'_>) -> Result<Draft, Diagnostic> {
    let mut row = Row { line: number, whole: span_of(line, 0, &line.text), fields: [None; 6] };
    let mut texts = [""; 6];
    let mut start: usize = 0;
    for ((part, text), span) in line.text.split(',').zip(&mut texts).zip(&mut row.fields) {
        *text = strip(part);
        *span = Some(span_of(line, start, part));
        start = start.saturating_add(part.len()).saturating_add(1);
    }
    let [name, kind, subtype, offset, size, flags] = texts;
    let complaint = |field: usize, message: String| {
        let text = format!(
            "Error at line {number}: {message}\nPlease check extra_partition_subtypes.inc file in build/config directory"
        );
        Diagnostic::at(Some(&row), field, text)
    };

    if kind.is_empty() {
        return Err(complaint(1, "Field 'type' can't be left empty.".to_string()).help("app, data or a number"));
    }
    let keywords: Vec<(&str, u8)> = TYPES.iter().map(|(name, kind)| (*name, kind.0)).collect();
    let kind = PartitionType(byte(kind, &keywords).map_err(|e| e.about(|m| complaint(1, m)))?);

    let subtype = if subtype.is_empty() {
        if kind == PartitionType::APP {
            let help = "factory, test, ota_0 to ota_15, or a number";
            return Err(complaint(2, "App partition cannot have an empty subtype".to_string()).help(help));
        }
        Subtype::DATA_UNDEFINED
    } else {
        let keywords: Vec<(&str, u8)> = options.subtypes_of(kind).map(|(name, subtype)| (name, subtype.0)).collect();
        Subtype(byte(subtype, &keywords).map_err(|e| e.about(|m| complaint(2, m)))?)
    };

    let bootloader_offset = || {
        options.primary_bootloader_offset.map(i64::from).ok_or_else(|| {
            let message = "Primary bootloader offset is not defined. Please use --primary-bootloader-offset";
            complaint(3, message.to_string())
        })
    };
    let offset = match (kind, subtype) {
        (PartitionType::BOOTLOADER, Subtype::PRIMARY) => Some(bootloader_offset()?),
        (PartitionType::BOOTLOADER, Subtype::BOOTLOADER_RECOVERY) => {
            let message = "Recovery bootloader offset is not defined. Please use --recovery-bootloader-offset";
            let offset = options.recovery_bootloader_offset.map(i64::from);
            Some(offset.ok_or_else(|| complaint(3, message.to_string()))?)
        }
        (PartitionType::PARTITION_TABLE, Subtype::PRIMARY) => Some(i64::from(options.table_offset)),
        _ if offset.is_empty() => None,
        _ => Some(plain(offset).map_err(|e| e.about(|m| complaint(3, m)))?),
    };
    let size = match kind {
        PartitionType::BOOTLOADER => i64::from(options.table_offset).saturating_sub(bootloader_offset()?),
        PartitionType::PARTITION_TABLE => i64::from(TABLE_SECTOR),
        _ if size.is_empty() => {
            return Err(complaint(4, "Size field can't be empty".to_string()).help("for example 0x10000, 64K or 1M"));
        }
        _ => plain(size).map_err(|e| e.about(|m| complaint(4, m)))?,
    };

    let (mut encrypted, mut readonly) = (false, false);
    for flag in flags.split(':') {
        match flag {
            "encrypted" => encrypted = true,
            "readonly" => readonly = true,
            "" => (),
            other => {
                let message = format!("CSV flag column contains unknown flag '{other}'");
                return Err(complaint(5, message).help("encrypted, readonly or encrypted:readonly"));
            }
        }
    }
    Ok(Draft { name: name.to_string(), kind, subtype, offset, size, encrypted, readonly, row })
}

/// A field that is not what it should be: the generator's message and, where there is more to say, what to do.
struct BadField {
    message: String,
    help: Option<&'static str>,
}

impl BadField {
    fn about(self, complaint: impl FnOnce(String) -> Diagnostic) -> Diagnostic {
        Diagnostic { help: self.help.map(ToString::to_string), ..complaint(self.message) }
    }
}

fn invalid(text: &str) -> BadField {
    let help = if text.contains('$') { "the variable is not set" } else { "write a number such as 0x10000, 64K or 1M" };
    BadField { message: format!("Invalid field value {text}"), help: Some(help) }
}

/// A number without keywords.
fn plain(text: &str) -> Result<i64, BadField> {
    number::parse(text).map_err(|e| match e {
        NotANumber::Text(rest, _) => invalid(rest),
        NotANumber::TooLarge => BadField { help: Some("larger than any flash"), ..invalid(text) },
    })
}

/// A number or keyword of 8 bits.
fn byte(text: &str, keywords: &[(&str, u8)]) -> Result<u8, BadField> {
    let value = match number::parse(text) {
        Ok(n) => Some(n),
        Err(NotANumber::TooLarge) => None,
        Err(NotANumber::Text(rest, _)) if keywords.is_empty() => {
            return Err(BadField {
                help: Some("this type has no keywords; write a number from 0 to 0xfe"),
                ..invalid(rest)
            });
        }
        Err(NotANumber::Text(rest, factor)) => {
            let lower = rest.to_lowercase();
            // Of two extra subtypes with one name, the later counts.
            let Some((_, value)) = keywords.iter().rev().find(|(name, _)| *name == lower) else {
                let known = Known(keywords);
                return Err(BadField {
                    message: format!("Value '{rest}' is not valid. Known keywords: {known}"),
                    help: rest.contains('$').then_some("the variable is not set"),
                });
            };
            i64::from(*value).checked_mul(factor)
        }
    };
    value
        .and_then(|n| u8::try_from(n).ok())
        .ok_or_else(|| BadField { help: Some("write a number from 0 to 0xfe"), ..invalid(text) })
}

/// Keywords joined by commas.
struct Known<'a>(&'a [(&'a str, u8)]);

impl fmt::Display for Known<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (name, _)) in self.0.iter().enumerate() {
            write!(f, "{}{name}", if i > 0 { ", " } else { "" })?;
        }
        Ok(())
    }
}

/// `0x…`, for negative numbers `0x-…` as the generator prints them.
fn hex(n: i64) -> String {
    format!("0x{}{:x}", if n < 0 { "-" } else { "" }, n.unsigned_abs())
}

/// Fills in the offsets that rows leave open, turns negative sizes ("up to this offset") into sizes, and refuses a row
/// that begins before the end of the one before it. Primary rows stand outside of this.
fn settle(drafts: Vec<Draft>, options: &Options<'_>) -> Result<Vec<Partition>, Diagnostic> {
    let table_end = i64::from(options.table_offset).saturating_add(i64::from(TABLE_SECTOR));
    let mut cursor = table_end;
    let mut partitions: Vec<Partition> = Vec::with_capacity(drafts.len());
    for draft in drafts {
        let mut offset = draft.offset.unwrap_or(cursor);
        let mut size = draft.size;
        if !is_primary(draft.kind, draft.subtype) {
            if draft.offset.is_some() && offset < cursor {
                return Err(overlap(&draft, offset, cursor, partitions.first(), options));
            }
            if draft.offset.is_none() {
                offset = aligned(offset, offset_alignment(draft.kind));
            }
            if size < 0 {
                size = size.saturating_neg().saturating_sub(offset);
            }
            cursor = offset.saturating_add(size);
        }
        let Draft { name, kind, subtype, encrypted, readonly, row, .. } = draft;
        let misfit = |field: usize, what: &str, value: i64| {
            let message = format!("Partition {name} invalid: {what} {} does not fit in 32 bits", hex(value));
            let help = if value < 0 {
                "a negative size means: up to that offset, which must lie behind the partition's own"
            } else {
                "flash offsets end at 0xffffffff"
            };
            Diagnostic::at(Some(&row), field, message).help(help)
        };
        let offset = u32::try_from(offset).map_err(|_| misfit(3, "Offset", offset))?;
        let size = u32::try_from(size).map_err(|_| misfit(4, "Size", size))?;
        partitions.push(Partition { name, kind, subtype, offset, size, encrypted, readonly, row: Some(row) });
    }
    Ok(partitions)
}

/// The next multiple of `align`, a power of two.
fn aligned(offset: i64, align: u32) -> i64 {
    let mask = i64::from(align).saturating_sub(1);
    offset.saturating_add(mask) & !mask
}

/// The generator words the complaint about its first row, or one just like it, differently.
fn overlap(draft: &Draft, offset: i64, cursor: i64, first: Option<&Partition>, options: &Options<'_>) -> Diagnostic {
    let like_first = first.is_none_or(|f| {
        (&f.name, f.kind, f.subtype, i64::from(f.offset), i64::from(f.size))
            == (&draft.name, draft.kind, draft.subtype, offset, draft.size)
    });
    let rest = if like_first {
        format!(
            "But partition table occupies the whole sector 0x{:x}. Use a free offset {} or higher.",
            options.table_offset,
            hex(cursor)
        )
    } else {
        format!("Previous partition ends {}", hex(cursor))
    };
    let line = draft.row.line;
    let message =
        format!("CSV Error at line {line}: Partitions overlap. Partition sets offset {}. {rest}", hex(offset));
    Diagnostic::at(Some(&draft.row), 3, message).help(format!("{} or higher, or leave the offset empty", hex(cursor)))
}
