//! Every document below `scenarios/` as a test of its own: `cargo test --test scenarios otadata` runs those so named.

use dryburn_sim::scenario::{Maker, harness};
use libtest_mimic::{Arguments, Trial};
use std::{path::Path, process::ExitCode};

/// What makes the boards. `None` until the model's own maker exists.
const MAKER: Option<&'static dyn Maker> = None;

fn main() -> ExitCode {
    let args = Arguments::from_args();
    let Some(maker) = MAKER else {
        eprintln!("skipped: no maker of boards is plugged in yet");
        return ExitCode::SUCCESS;
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let trials = harness::trials(&root, maker)
        .into_iter()
        .map(|t| Trial::test(t.name, move || (t.run)().map_err(Into::into)).with_ignored_flag(t.ignored))
        .collect();
    libtest_mimic::run(&args, trials).exit_code()
}
