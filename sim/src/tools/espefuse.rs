//! Placeholder: being written.
use super::{Failure, Workbench};

/// Runs one espefuse command line.
pub fn run(_bench: &mut Workbench, _args: &[String]) -> Result<String, Failure> {
    Err(Failure::new("espefuse: not modelled yet"))
}
