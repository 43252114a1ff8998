//! What came of running scenarios. Everything here is in a fixed order: path, cell, case.

use super::{Diagnostic, align::Op};
use std::time::Duration;

/// How a case ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Status {
    /// All as expected.
    Passed,
    /// Something was not as expected.
    Failed,
    /// Not run; the reason is given.
    Skipped,
}

impl Status {
    /// `passed`, `failed`, `skipped`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }
}

/// A step whose output or exit status was not as expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// Line in the document where expectation and output part, from 1.
    pub line: usize,
    /// Line of the command, from 1.
    pub command_line: usize,
    /// The command, the matrix's values filled in.
    pub command: String,
    /// The expected lines with their line numbers, the matrix's values filled in.
    pub expected: Vec<(usize, String)>,
    /// The expected exit status.
    pub expected_status: u8,
    /// The lines printed, without colours.
    pub actual: Vec<String>,
    /// The exit status; `None` if the model itself failed (which is a bug in dryburn).
    pub actual_status: Option<u8>,
    /// How the two line up.
    pub ops: Vec<Op>,
}

/// A case in one cell of the matrix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaseResult {
    /// The heading, the matrix's values filled in.
    pub title: String,
    /// The cell's variables and values; empty without a matrix.
    pub cell: Vec<(String, String)>,
    /// Line of the heading, from 1.
    pub line: usize,
    /// How it ended.
    pub status: Status,
    /// Why it was skipped, or failed without running.
    pub because: Option<String>,
    /// The steps that were not as expected.
    pub mismatches: Vec<Mismatch>,
    /// How long it took; not part of any deterministic report.
    pub time: Duration,
}

/// The set-up of one cell that was not as expected; its cases count as failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetupResult {
    /// The cell's variables and values.
    pub cell: Vec<(String, String)>,
    /// The steps that were not as expected.
    pub mismatches: Vec<Mismatch>,
}

/// What came of a document.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DocumentResult {
    /// The path as the user gave it.
    pub path: String,
    /// The document's title.
    pub title: String,
    /// Why it could not be run at all.
    pub diagnostics: Vec<Diagnostic>,
    /// Set-ups that were not as expected.
    pub setups: Vec<SetupResult>,
    /// The cases, cell by cell.
    pub cases: Vec<CaseResult>,
    /// How many steps were rewritten by `--bless`.
    pub blessed: usize,
}

/// What came of all documents.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// The documents in the order of their paths.
    pub documents: Vec<DocumentResult>,
    /// What was wrong with the request itself: paths that are not there, folders without documents.
    pub errors: Vec<String>,
    /// How long it all took; not part of any deterministic report.
    pub time: Duration,
}

impl DocumentResult {
    /// How many cases ended so.
    pub fn count(&self, status: Status) -> usize {
        self.cases.iter().filter(|case| case.status == status).count()
    }
}

impl Summary {
    /// How many cases ended so.
    pub fn count(&self, status: Status) -> usize {
        self.documents.iter().map(|document| document.count(status)).sum()
    }

    /// 0 all as expected, 1 a scenario failed, 2 bad usage or a document that could not be run.
    pub fn exit_code(&self) -> u8 {
        let unreadable = self.documents.iter().any(|document| !document.diagnostics.is_empty());
        if unreadable || !self.errors.is_empty() { 2 } else { u8::from(self.count(Status::Failed) > 0) }
    }

    /// The last line of the console report: `N passed, N failed, N skipped`.
    pub fn totals(&self) -> String {
        let [passed, failed, skipped] = [Status::Passed, Status::Failed, Status::Skipped].map(|s| self.count(s));
        format!("{passed} passed, {failed} failed, {skipped} skipped")
    }
}

/// What one step did in one cell, for `--bless`.
pub(super) struct StepRun {
    pub cell: usize,
    /// Line of the command: which step it was.
    pub command_line: usize,
    pub actual: Vec<String>,
    pub status: Option<u8>,
    pub matches: bool,
}
