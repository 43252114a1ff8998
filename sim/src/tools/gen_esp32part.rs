//! Placeholder: being written.
use super::{Failure, Workbench};

/// Runs one gen_esp32part command line.
pub fn run(_bench: &mut Workbench, _args: &[String]) -> Result<String, Failure> {
    Err(Failure::new("gen_esp32part: not modelled yet"))
}
