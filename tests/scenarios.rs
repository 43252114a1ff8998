//! Every document below `scenarios/` as a test of its own: `cargo test --test scenarios otadata` runs those so named.

use dryburn_sim::{board::BoardMaker, scenario::harness};
use libtest_mimic::{Arguments, Trial};
use std::{path::Path, process::ExitCode};

fn main() -> ExitCode {
    let args = Arguments::from_args();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let trials = harness::trials(&root, &BoardMaker)
        .into_iter()
        .map(|t| Trial::test(t.name, move || (t.run)().map_err(Into::into)).with_ignored_flag(t.ignored))
        .collect();
    libtest_mimic::run(&args, trials).exit_code()
}
