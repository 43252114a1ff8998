//! A refusal that points at its place in the CSV.

use alloc::string::{String, ToString};
use core::fmt;

/// A stretch of one line, in characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// First character, counted from 1.
    pub column: usize,
    /// Number of characters; 0 for an empty field.
    pub length: usize,
}

/// Where a partition stands in the CSV.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Row {
    /// Line, counted from 1.
    pub line: usize,
    /// The whole row without white space around it.
    pub whole: Span,
    /// Name, type, subtype, offset, size, flags; `None` where the row ends before the field.
    pub fields: [Option<Span>; 6],
}

/// What the generator says about its input, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Line of the CSV, counted from 1; 0 where the complaint has no place in a CSV.
    pub line: usize,
    /// Column of its first character, counted from 1; 0 where there is no place.
    pub column: usize,
    /// Number of characters that it is about.
    pub length: usize,
    /// The vendor's message; may have several lines.
    pub message: String,
    /// What was expected, or what to do.
    pub help: Option<String>,
}

impl Diagnostic {
    /// A complaint without a place.
    pub(super) fn new(message: impl ToString) -> Self {
        Self { line: 0, column: 0, length: 0, message: message.to_string(), help: None }
    }

    /// A complaint about a field of a row; about the whole row where the field is empty.
    pub(super) fn at(row: Option<&Row>, field: usize, message: impl ToString) -> Self {
        let Some(row) = row else { return Self::new(message) };
        let span = row.fields.get(field).copied().flatten().filter(|s| s.length > 0).unwrap_or(row.whole);
        Self { line: row.line, column: span.column, length: span.length, ..Self::new(message) }
    }

    /// Adds what to do.
    pub(super) fn help(self, help: impl ToString) -> Self {
        Self { help: Some(help.to_string()), ..self }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line > 0 {
            write!(f, "line {}, column {}: ", self.line, self.column)?;
        }
        f.write_str(&self.message)?;
        match &self.help {
            Some(help) => write!(f, " ({help})"),
            None => Ok(()),
        }
    }
}

impl core::error::Error for Diagnostic {}
