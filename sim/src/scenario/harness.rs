//! Scenarios as tests: one for each document, for a test target of your own (`harness = false`).

use super::{Maker, Options, Status, load, parse, run_paths};
use crate::report::console;
use std::path::{Path, PathBuf};

/// A test that runs one document.
pub struct Trial {
    /// The document's path below the root.
    pub name: String,
    /// Every case of the document is skipped.
    pub ignored: bool,
    /// Runs it; the error is the report of what was not as expected.
    pub run: Box<dyn FnOnce() -> Result<(), String> + Send>,
}

/// One test for each document below `root`; one that fails when there are none, so that nothing passes unseen.
pub fn trials(root: &Path, maker: &'static dyn Maker) -> Vec<Trial> {
    let (sources, errors) = load::find(&[root.to_path_buf()]);
    let missing = errors.into_iter().map(|error| Trial {
        name: root.file_name().unwrap_or(root.as_os_str()).to_string_lossy().into_owned(),
        ignored: false,
        run: Box::new(move || Err(error)),
    });
    let documents = sources.into_iter().map(|source| {
        let name = source.path.strip_prefix(root).unwrap_or(&source.path).to_string_lossy().into_owned();
        let skipped = load::read(&source.path, &name)
            .ok()
            .and_then(|text| parse::parse(&name, &text).ok())
            .is_some_and(|document| document.cells.iter().all(|cell| cell.skip.is_some()));
        Trial { name, ignored: skipped, run: Box::new(move || run(source.path, maker)) }
    });
    missing.chain(documents).collect()
}

fn run(path: PathBuf, maker: &'static dyn Maker) -> Result<(), String> {
    let summary = run_paths(&[path], &Options::default(), maker, &());
    let ran = summary.count(Status::Passed).saturating_add(summary.count(Status::Skipped));
    if summary.exit_code() == 0 && ran > 0 { Ok(()) } else { Err(console::render(&summary, false, true)) }
}
