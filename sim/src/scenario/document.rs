//! What a scenario is, once it has been read.

use dryburn::{Chip, Revision};
use std::{collections::BTreeMap, fmt, ops::Range};

/// A scenario document. Texts may hold `{key}` for each key of the matrix; [`Cell::fill`] replaces them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// The path as the user gave it.
    pub path: String,
    /// The text of the first `#` heading, or the file's name.
    pub title: String,
    /// Line of the `device` block's opening fence, from 1.
    pub device_line: usize,
    /// The `device` block as written.
    pub device: Device,
    /// The `partitions` block: CSV text, lines ended by `\n`.
    pub partitions: Option<String>,
    /// The cells of the matrix; one without variables when there is no matrix.
    pub cells: Vec<Cell>,
    /// Commands before the first `##` heading.
    pub setup: Vec<Step>,
    /// The `##` sections that hold commands. Empty: the set-up itself is what is tested.
    pub cases: Vec<Case>,
}

/// A `##` section that holds commands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// The heading's text.
    pub title: String,
    /// The heading's line, from 1.
    pub line: usize,
    /// The commands, in order.
    pub steps: Vec<Step>,
}

/// A command, and what it is expected to print.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Line of the `$`, from 1.
    pub line: usize,
    /// The command as written after `$ `, continuation lines joined.
    pub command: String,
    /// The command's words, quotes resolved.
    pub words: Vec<String>,
    /// The expected output; no blank line at its end.
    pub expected: Vec<Expected>,
    /// The expected exit status.
    pub status: u8,
    /// Line of the `? N` that states the status, from 1.
    pub status_line: Option<usize>,
    /// Where the expectation stands in the text.
    pub(super) region: Region,
}

/// One line of expected output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// Its line in the document, from 1.
    pub line: usize,
    /// Its text without trailing spaces; `...` alone stands for any lines, `…` inside for any text.
    pub text: String,
}

/// The bytes of the document that hold a step's expectation, and how its lines are written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Region {
    /// From after the command's newline to after the newline of the last line that is not blank.
    pub range: Range<usize>,
    /// What precedes each line: the indentation of the fence.
    pub indent: usize,
    /// The character and length of the fence that would end the block.
    pub fence: (char, usize),
}

/// A value of the `device` block.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scalar {
    /// A string.
    Text(String),
    /// A whole number, from `i64::MIN` to `u64::MAX`.
    Int(i128),
    /// `true` or `false`.
    Bool(bool),
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Int(int) => write!(f, "{int}"),
            Self::Bool(flag) => write!(f, "{flag}"),
        }
    }
}

/// The `device` block as written, before the matrix is multiplied out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Device {
    /// `chip`, `revision`, `idf`, `flash`, `seed`, `bootloader`, `partition_table_offset`, `strap`.
    pub values: BTreeMap<String, Scalar>,
    /// sdkconfig names without `CONFIG_`.
    pub config: BTreeMap<String, Scalar>,
    /// The axes of the matrix, in the order written.
    pub matrix: Vec<(String, Vec<Scalar>)>,
    /// The cells that are not run.
    pub skips: Vec<Skip>,
}

/// Cells of the matrix that are not run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skip {
    /// Values that a cell must have, all of them; none: every cell.
    pub when: BTreeMap<String, Scalar>,
    /// The reason.
    pub because: String,
}

/// One cell of the matrix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell {
    /// The matrix's variables and their values here, in the order of the axes.
    pub vars: Vec<(String, String)>,
    /// The device here.
    pub spec: DeviceSpec,
    /// Why this cell is not run.
    pub skip: Option<String>,
}

impl Cell {
    /// Replaces `{key}` by the value of each variable.
    pub fn fill(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, from)) = rest.split_once('{') {
            out.push_str(before);
            let hit = self.vars.iter().find_map(|(key, value)| {
                from.strip_prefix(key.as_str())?.strip_prefix('}').map(|after| (value, after))
            });
            rest = match hit {
                Some((value, after)) => {
                    out.push_str(value);
                    after
                }
                None => {
                    out.push('{');
                    from
                }
            };
        }
        out.push_str(rest);
        out
    }

    /// `chip=esp32, size=4K`; empty without a matrix.
    pub fn name(&self) -> String {
        let pairs: Vec<String> = self.vars.iter().map(|(key, value)| format!("{key}={value}")).collect();
        pairs.join(", ")
    }
}

/// The board that a scenario asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceSpec {
    /// The chip.
    pub chip: Chip,
    /// The silicon revision, when stated.
    pub revision: Option<Revision>,
    /// The ESP-IDF version as written (`5.4`, `v5.1.2`), when stated.
    pub idf: Option<String>,
    /// Size of the flash chip in bytes.
    pub flash_size: u32,
    /// Decides every random number.
    pub seed: u64,
    /// sdkconfig names without `CONFIG_`.
    pub config: BTreeMap<String, Scalar>,
    /// Which second-stage bootloader lies in flash.
    pub bootloader: Bootloader,
    /// Offset of the partition table in flash in bytes, when stated.
    pub partition_table_offset: Option<u32>,
    /// The strapping pins, when stated; the maker of the board says what it understands.
    pub strap: Option<String>,
    /// The partition table as CSV text.
    pub partitions: Option<String>,
}

/// Which second-stage bootloader a scenario starts with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Bootloader {
    /// The model's own, made for `idf` and `config`.
    #[default]
    Default,
    /// None: the flash is erased there.
    None,
    /// A file of the scenario's folder.
    File(String),
}
