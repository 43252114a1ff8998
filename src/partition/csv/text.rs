//! Bytes to text, text to lines, variables in lines.

use super::Environment;
use alloc::{string::String, vec::Vec};

/// The bytes of a CSV are not text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Not UTF-8.
    #[error("not UTF-8 text: byte {found:#04x} at offset {offset:#x}; save the CSV as UTF-8")]
    Utf8 {
        /// Offset in the file, in bytes.
        offset: usize,
        /// The byte there.
        found: u8,
    },
    /// The file has a UTF-16 byte order mark, but what follows is not UTF-16.
    #[error("not UTF-16 text, although it begins with a UTF-16 byte order mark; save the CSV as UTF-8")]
    Utf16,
}

/// Decodes a CSV by its byte order mark: UTF-16 in both orders, else UTF-8; the mark is not part of the text.
pub fn decode(bytes: &[u8]) -> Result<String, DecodeError> {
    match bytes {
        [0xFF, 0xFE, rest @ ..] => utf16(rest, u16::from_le_bytes),
        [0xFE, 0xFF, rest @ ..] => utf16(rest, u16::from_be_bytes),
        _ => {
            let (mark, rest) = match bytes.strip_prefix(b"\xEF\xBB\xBF") {
                Some(rest) => (3, rest),
                None => (0, bytes),
            };
            core::str::from_utf8(rest).map(String::from).map_err(|e| DecodeError::Utf8 {
                offset: e.valid_up_to().saturating_add(mark),
                found: rest.get(e.valid_up_to()).copied().unwrap_or_default(),
            })
        }
    }
}

fn utf16(bytes: &[u8], order: fn([u8; 2]) -> u16) -> Result<String, DecodeError> {
    let (units, rest) = bytes.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(DecodeError::Utf16);
    }
    char::decode_utf16(units.iter().map(|unit| order(*unit))).collect::<Result<_, _>>().map_err(|_| DecodeError::Utf16)
}

/// White space at both ends removed, as Python's `strip` does.
pub(super) fn strip(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c))
}

/// The lines of a CSV as [`Diagnostic`](super::Diagnostic) counts them: what Python's `splitlines` takes for a line end is
/// one.
pub fn lines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    core::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let ends = |c: char| {
            matches!(c, '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{1c}'..='\u{1e}' | '\u{85}' | '\u{2028}' | '\u{2029}')
        };
        match rest.char_indices().find(|(_, c)| ends(*c)) {
            None => Some(core::mem::take(&mut rest)),
            Some((at, end)) => {
                let (line, tail) = rest.split_at(at);
                let width = if tail.starts_with("\r\n") { 2 } else { end.len_utf8() };
                rest = tail.get(width..).unwrap_or_default();
                Some(line)
            }
        }
    })
}

/// A line with its variables replaced, and for each of its characters the column (from 1) in the original line.
pub(super) struct Expanded {
    pub text: String,
    columns: Vec<usize>,
}

impl Expanded {
    /// Column in the original line of the character at byte `offset` of the text.
    pub fn column(&self, offset: usize) -> usize {
        let characters = self.text.get(..offset).unwrap_or(&self.text).chars().count();
        self.columns.get(characters).copied().unwrap_or_else(|| self.columns.last().map_or(1, |c| c.saturating_add(1)))
    }

    fn push(&mut self, c: char, column: usize) {
        self.text.push(c);
        self.columns.push(column);
    }
}

/// Replaces `$NAME` and `${NAME}` by their values; a variable that is not known stays as it is.
pub(super) fn expand(line: &str, environment: Option<Environment<'_>>) -> Expanded {
    let mut expanded = Expanded { text: String::with_capacity(line.len()), columns: Vec::new() };
    let mut column: usize = 1;
    let mut rest = line;
    while let Some(c) = rest.chars().next() {
        let variable = if c == '$' { variable(rest) } else { None };
        let value = variable.and_then(|(name, whole)| Some((environment?(name)?, whole)));
        let taken = match value {
            Some((value, whole)) => {
                value.chars().for_each(|v| expanded.push(v, column));
                whole
            }
            None => {
                expanded.push(c, column);
                c.len_utf8()
            }
        };
        let (head, tail) = rest.split_at_checked(taken).unwrap_or((rest, ""));
        column = column.saturating_add(head.chars().count());
        rest = tail;
    }
    expanded
}

/// The name of the variable that `text` begins with, and the bytes that it takes with its `$`.
pub(super) fn variable(text: &str) -> Option<(&str, usize)> {
    let after = text.strip_prefix('$')?;
    if let Some(inner) = after.strip_prefix('{') {
        let (name, _) = inner.split_once('}')?;
        return Some((name, name.len().saturating_add(3)));
    }
    let end = after.find(|c: char| c != '_' && !c.is_ascii_alphanumeric()).unwrap_or(after.len());
    let name = after.get(..end).filter(|name| !name.is_empty())?;
    Some((name, end.saturating_add(1)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{borrow::ToOwned, vec, vec::Vec};

    #[test]
    fn byte_order_marks() {
        assert_eq!(decode(b"a,\xC3\xA4").unwrap(), "a,ä");
        assert_eq!(decode(b"\xEF\xBB\xBFa").unwrap(), "a");
        assert_eq!(decode(b"\xFF\xFEa\0\xE4\0").unwrap(), "aä");
        assert_eq!(decode(b"\xFE\xFF\0a").unwrap(), "a");
        assert_eq!(decode(b"\xEF\xBB\xBFa\xFF"), Err(DecodeError::Utf8 { offset: 4, found: 0xFF }));
        assert_eq!(decode(b"\xFF\xFEa"), Err(DecodeError::Utf16));
        assert_eq!(decode(b"\xFF\xFE\0\xD8"), Err(DecodeError::Utf16));
    }

    #[test]
    fn line_ends() {
        let collect = |text| lines(text).collect::<Vec<_>>();
        assert_eq!(collect("a\r\nb\n\nc"), vec!["a", "b", "", "c"]);
        assert_eq!(collect("a\u{2028}b\r"), vec!["a", "b"]);
        assert_eq!(collect(""), Vec::<&str>::new());
    }

    #[test]
    fn variables_and_columns() {
        let environment = |name: &str| (name == "SIZE").then(|| "0x4000".to_owned());
        let line = expand("ä $SIZE,${SIZE}$NO$ ${SIZE", Some(&environment));
        assert_eq!(line.text, "ä 0x4000,0x4000$NO$ ${SIZE");
        assert_eq!(line.column("ä ".len()), 3);
        assert_eq!(line.column("ä 0x40".len()), 3);
        assert_eq!(line.column("ä 0x4000".len()), 8);
        assert_eq!(line.column("ä 0x4000,0x4000".len()), 16);
        assert_eq!(line.column(line.text.len()), 27);
        assert_eq!(expand("$SIZE", None).text, "$SIZE");
    }
}
