//! `dryburn run`.

use super::{Maker, Options, Sink, Summary, outcome::DocumentResult, run_paths};
use crate::report::{console, json, junit};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::{
    fs,
    io::{self, IsTerminal, Write},
    path::PathBuf,
};

/// Runs scenarios: Markdown documents with the commands of a field report and what they print.
///
/// Exit status: 0 all as expected, 1 a scenario failed, 2 bad usage or a document that cannot be run.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct RunArgs {
    /// Documents, or folders with all documents (*.md) below them
    #[arg(required = true, value_name = "PATHS")]
    pub paths: Vec<PathBuf>,
    /// Rewrite the expected output in the documents; wildcards that still match stay
    #[arg(long)]
    pub bless: bool,
    /// Run only cases whose "path: title (key=value)" matches this regular expression or contains this text
    #[arg(long, value_name = "REGEX")]
    pub filter: Option<String>,
    /// Write a JUnit report to this file
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// Print the results as JSON instead of the report
    #[arg(long)]
    pub json: bool,
    /// Print what is not as expected and the totals only
    #[arg(long, short)]
    pub quiet: bool,
}

/// Runs the scenarios, prints the report, and gives the exit status.
pub fn main(args: RunArgs, maker: &dyn Maker) -> u8 {
    let options = Options { bless: args.bless, filter: args.filter.clone() };
    let progress = Progress::new(!args.quiet && !args.json && io::stderr().is_terminal());
    let summary = run_paths(&args.paths, &options, maker, &progress);
    progress.bar.finish_and_clear();
    let junit = args.junit.as_ref().map_or(Ok(()), |path| {
        let failed = |e: io::Error| format!("{}: cannot be written: {}", path.display(), super::load::reason(&e));
        let text = junit::render(&summary).map_err(|e| format!("{}: {e}", path.display()))?;
        fs::write(path, text).map_err(failed)
    });
    let printed = print(&args, &summary);
    if let Err(error) = &junit {
        let _ = writeln!(io::stderr(), "error: {error}");
    }
    if junit.is_err() || printed.is_err() { 2 } else { summary.exit_code() }
}

fn print(args: &RunArgs, summary: &Summary) -> io::Result<()> {
    if args.json {
        for error in &summary.errors {
            let _ = writeln!(io::stderr(), "error: {error}");
        }
        return io::stdout().write_all(json::render(summary).as_bytes());
    }
    let color = io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    io::stdout().write_all(console::render(summary, color, args.quiet).as_bytes())
}

/// A progress bar on stderr.
struct Progress {
    bar: ProgressBar,
}

impl Progress {
    fn new(visible: bool) -> Self {
        let target = if visible { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(None, target);
        if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg}") {
            bar.set_style(style);
        }
        Self { bar }
    }
}

impl Sink for Progress {
    fn started(&self, documents: usize) {
        self.bar.set_length(documents as u64);
    }

    fn finished(&self, result: &DocumentResult) {
        self.bar.set_message(result.path.clone());
        self.bar.inc(1);
    }
}
