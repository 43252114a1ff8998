//! The seam between the runner and what it runs: a board that takes commands, and who makes it.

use super::DeviceSpec;
use crate::tools::Output;
use std::path::Path;

/// A board on a desk, with the folder that commands read and write.
pub trait Board: Send {
    /// Runs one command, `argv` being its words, and gives what it printed and its exit status.
    fn run(&mut self, argv: &[String]) -> Output;

    /// A copy of the board as it stands, whose commands work in `dir`. The runner has put the files there;
    /// they may be links to those of other boards, so a command that writes replaces a file, never changes it in place.
    fn fork(&self, dir: &Path) -> Box<dyn Board>;
}

/// Makes the board that a document's `device` block describes.
pub trait Maker: Sync {
    /// A factory-new board whose commands work in the empty folder `dir`, or why there can be none (a partition table
    /// that cannot be, a key of `config` that is not modelled).
    fn make(&self, spec: &DeviceSpec, dir: &Path) -> Result<Box<dyn Board>, String>;
}
