//! Scenarios: Markdown documents that run.
//!
//! A document is a field report: prose, a device, commands and what they print. [`parse()`] reads one, [`run_paths`] runs
//! many, and [`crate::report`] shows the outcome. The format is on a page in `scenarios/README.md`.
//!
//! | module | question it answers |
//! |---|---|
//! | `fences` | where are the headings and the fenced blocks? |
//! | `device` | which board, and which cells of the matrix? |
//! | `console`, `words` | which commands, and what do they print? |
//! | `parse` | is the document whole? |
//! | [`document`] | what a document is, once read |
//! | [`diagnostic`] | what is wrong with one, and where? |
//! | `pattern`, [`align`] | does the output match, and if not, where not? |
//! | [`board`] | what runs the commands? |
//! | [`outcome`] | what came of it? |
//! | `load` | which files are meant? |
//! | `run`, `bless` | run them; rewrite what they expect |
//! | [`cli`], [`harness`] | the command line and `cargo test` |
//! | [`fake`] | a board for tests of the runner itself |

pub mod align;
mod bless;
pub mod board;
pub mod cli;
mod console;
mod device;
pub mod diagnostic;
pub mod document;
mod emit;
pub mod fake;
mod fences;
pub mod harness;
mod load;
pub mod outcome;
mod parse;
mod pattern;
mod run;
mod words;

pub use board::{Board, Maker};
pub use diagnostic::Diagnostic;
pub use document::{Bootloader, Case, Cell, Device, DeviceSpec, Document, Expected, Scalar, Skip, Step};
pub use outcome::{Status, Summary};
pub use parse::parse;
pub use run::{Options, Sink, run_paths};

/// The largest document that is read, in bytes.
pub const MAX_DOCUMENT: u64 = 1024 * 1024;

/// A command line as words, split as in a console block.
///
/// # Errors
/// A quote that never ends, or what only a shell could do.
pub fn split_words(text: &str) -> Result<Vec<String>, String> {
    let chars: Vec<char> = text.chars().collect();
    words::split(&chars).map_err(|bad| format!("{text}: character {}: {}; {}", bad.at + 1, bad.title, bad.help))
}
