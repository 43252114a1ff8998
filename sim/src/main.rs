//! The `dryburn` command.
#![forbid(unsafe_code)]
fn main() {}
