//! What the fuzz targets of `sim/fuzz` know, on every toolchain: their seeds, what they have found, and what property tests
//! make, through the same functions.

use dryburn_sim::{
    hostile::{self, TARGETS, seeds},
    strategy::command,
};
use proptest::{collection::vec, prelude::*};
use std::{
    collections::BTreeSet,
    fs,
    panic::{self, UnwindSafe},
    path::Path,
};

/// Runs a target; what it says where it fails.
fn failure(run: impl FnOnce() + UnwindSafe) -> Option<String> {
    let payload = panic::catch_unwind(run).err()?;
    let text = payload.downcast_ref::<String>().map(String::as_str).or(payload.downcast_ref::<&str>().copied());
    Some(text.unwrap_or("no text").to_string())
}

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn every_seed_passes() {
    for target in TARGETS {
        let seeds = seeds(&target, repository()).expect("the vectors");
        assert!(seeds.len() >= 2, "{}: {} seeds", target.name, seeds.len());
        for (name, input) in &seeds {
            let failed = failure(|| (target.run)(input));
            assert_eq!(failed, None, "{} {name}", target.name);
        }
    }
}

#[test]
fn everything_that_was_found_passes() {
    let folder = repository().join("sim/fuzz/regressions");
    let mut replayed = 0;
    for target in TARGETS {
        let Ok(entries) = fs::read_dir(folder.join(target.name)) else { continue };
        for entry in entries {
            let path = entry.expect("an entry").path();
            let input = fs::read(&path).expect("an input");
            let failed = failure(|| (target.run)(&input));
            assert_eq!(failed, None, "{}", path.display());
            replayed += 1;
        }
    }
    assert!(replayed > 0, "no regressions in {}", folder.display());
}

/// A target that only this side or only the nightly side knows would go unnoticed.
#[test]
fn every_target_is_fuzzed() {
    let named: BTreeSet<String> = TARGETS.iter().map(|target| target.name.to_string()).collect();
    let folder = repository().join("sim/fuzz/fuzz_targets");
    let files = fs::read_dir(folder).expect("the folder").map(|entry| entry.expect("an entry").path());
    let files: BTreeSet<String> = files.filter_map(|path| Some(path.file_stem()?.to_str()?.to_string())).collect();
    assert_eq!(files, named);
    let manifest = fs::read_to_string(repository().join("sim/fuzz/Cargo.toml")).expect("the manifest");
    for name in named {
        assert!(manifest.contains(&format!("path = \"fuzz_targets/{name}.rs\"")), "{name}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn any_command_line_ends_with_a_verdict(lines in vec(command::line(), 1..3), chip in 0..4_u8, file: Vec<u8>) {
        let lines: Vec<String> = lines.iter().map(|words| words.join(" ").replace(['\0', '\n'], "")).collect();
        let input = [&[chip], lines.join("\n").as_bytes(), b"\0", &file].concat();
        hostile::command_line(&input);
    }

    #[test]
    fn any_bytes_are_judged(input in vec(any::<u8>(), 0..300)) {
        for target in TARGETS.iter().filter(|target| target.name != "command_line") {
            (target.run)(&input);
        }
    }
}

/// The command lines are no heap of nonsense: most of the good ones do their work on an ESP32's desk.
#[test]
fn good_command_lines_are_good() {
    use dryburn_sim::tools::{self, Workbench};
    use proptest::{strategy::ValueTree, test_runner::TestRunner};
    let mut runner = TestRunner::deterministic();
    let (mut tried, mut good) = (0, 0);
    while tried < 200 {
        let words = command::good().new_tree(&mut runner).expect("a command line").current();
        if matches!(words[0].as_str(), "dryburn" | "device") || words[0].starts_with("espefuse") {
            continue;
        }
        let folder = tempfile::tempdir().expect("a folder");
        let mut bench = Workbench::confined(folder.path(), 0);
        command::desk(&bench).expect("a desk");
        tried += 1;
        good += usize::from(tools::run(&mut bench, &words).status == 0);
    }
    assert!(good * 3 >= tried, "{good} of {tried}");
}
