//! Placeholder: being written.
use super::{Failure, Workbench};

/// Runs one esptool command line.
pub fn run(_bench: &mut Workbench, _args: &[String]) -> Result<String, Failure> {
    Err(Failure::new("esptool: not modelled yet"))
}
