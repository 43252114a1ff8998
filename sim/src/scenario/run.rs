//! Running documents: every case on a copy of its set-up's board and files, as many at once as there are processors.

use super::{
    Board, Case, Cell, Diagnostic, Document, Maker, Status, Step, Summary,
    align::Comparison,
    align::Op,
    bless, load,
    outcome::{CaseResult, DocumentResult, Mismatch, SetupResult, StepRun},
    parse, pattern,
};
use rayon::prelude::*;
use std::{borrow::Cow, panic, path::Path, path::PathBuf, time::Instant};
use tempfile::TempDir;

/// What to run, and how.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Rewrite the expected output in the documents.
    pub bless: bool,
    /// Run only the cases whose name `path: title (key=value, …)` matches this regular expression, or contains it.
    pub filter: Option<String>,
}

/// Who wants to know how far the run is. Called from many threads, in no fixed order.
pub trait Sink: Sync {
    /// So many documents were found.
    fn started(&self, _documents: usize) {}
    /// A document is done.
    fn finished(&self, _result: &DocumentResult) {}
}

/// Nobody wants to know.
impl Sink for () {}

/// Runs the documents that `paths` name: files, and folders with all that is below them.
pub fn run_paths(paths: &[PathBuf], options: &Options, maker: &dyn Maker, sink: &dyn Sink) -> Summary {
    let start = Instant::now();
    let (sources, mut errors) = load::find(paths);
    let filter = Filter::new(options.filter.as_deref());
    sink.started(sources.len());
    let documents: Vec<DocumentResult> = sources
        .par_iter()
        .map(|source| {
            let result = run_source(source, options, &filter, maker);
            sink.finished(&result);
            result
        })
        .filter(|result| !result.diagnostics.is_empty() || !result.cases.is_empty())
        .collect();
    if let Some(text) = options.filter.as_ref().filter(|_| documents.is_empty() && errors.is_empty()) {
        errors.push(format!("no scenario matches the filter '{text}'"));
    }
    Summary { documents, errors, time: start.elapsed() }
}

fn run_source(source: &load::Source, options: &Options, filter: &Filter<'_>, maker: &dyn Maker) -> DocumentResult {
    let malformed = |diagnostics| DocumentResult {
        path: source.label.clone(),
        title: parse::default_title(&source.label),
        diagnostics,
        ..DocumentResult::default()
    };
    let text = match load::read(&source.path, &source.label) {
        Ok(text) => text,
        Err(diagnostic) => return malformed(vec![diagnostic]),
    };
    let document = match parse::parse(&source.label, &text) {
        Ok(document) => document,
        Err(diagnostics) => return malformed(diagnostics),
    };
    let (mut result, runs) = run_document(&document, options.bless, filter, maker);
    if options.bless && result.diagnostics.is_empty() {
        bless::bless(&document, &text, &source.path, &runs, &mut result);
    }
    result
}

/// Which cases are wanted.
struct Filter<'a> {
    text: Option<&'a str>,
    regex: Option<regex::Regex>,
}

impl<'a> Filter<'a> {
    fn new(text: Option<&'a str>) -> Self {
        Self { text, regex: text.and_then(|text| regex::Regex::new(text).ok()) }
    }

    fn wants(&self, name: &str) -> bool {
        let Some(text) = self.text else { return true };
        name.contains(text) || self.regex.as_ref().is_some_and(|regex| regex.is_match(name))
    }
}

/// What a cell's set-up and cases gave.
#[derive(Default)]
struct CellRun {
    diagnostic: Option<Diagnostic>,
    setup: Option<SetupResult>,
    cases: Vec<CaseResult>,
    steps: Vec<StepRun>,
}

fn run_document(
    document: &Document,
    bless: bool,
    filter: &Filter<'_>,
    maker: &dyn Maker,
) -> (DocumentResult, Vec<StepRun>) {
    // Without cases the set-up itself is the case.
    let (setup, cases): (&[Step], Cow<'_, [Case]>) = if document.cases.is_empty() {
        let line = document.setup.first().map_or(1, |step| step.line);
        (&[], Cow::Owned(vec![Case { title: document.title.clone(), line, steps: document.setup.clone() }]))
    } else {
        (&document.setup, Cow::Borrowed(&document.cases))
    };
    let wanted = |cell: &Cell, case: &Case| {
        let name = cell.name();
        let suffix = if name.is_empty() { String::new() } else { format!(" ({name})") };
        filter.wants(&format!("{}: {}{suffix}", document.path, cell.fill(&case.title)))
    };
    // What is blessed must hold in every cell, so a wanted case is blessed in all of them.
    let in_some_cell = |case: &Case| bless && document.cells.iter().any(|cell| wanted(cell, case));
    let runs: Vec<CellRun> = document
        .cells
        .par_iter()
        .enumerate()
        .map(|(number, cell)| {
            let cases: Vec<&Case> = cases.iter().filter(|case| in_some_cell(case) || wanted(cell, case)).collect();
            if cases.is_empty() {
                return CellRun::default();
            }
            let (path, device_line) = (&document.path, document.device_line);
            CellRunner { path, device_line, number, cell, bless, maker }.run(setup, &cases)
        })
        .collect();
    let first = document.cells.first();
    let title = first.map_or_else(|| document.title.clone(), |cell| title_of(document, cell));
    let mut result = DocumentResult { path: document.path.clone(), title, ..DocumentResult::default() };
    let mut steps = Vec::new();
    for run in runs {
        result.diagnostics.extend(run.diagnostic);
        result.setups.extend(run.setup);
        result.cases.extend(run.cases);
        steps.extend(run.steps);
    }
    (result, steps)
}

/// The document's title: filled in where there is one cell, as written where there are many.
fn title_of(document: &Document, cell: &Cell) -> String {
    if document.cells.len() == 1 { cell.fill(&document.title) } else { document.title.clone() }
}

struct CellRunner<'a> {
    path: &'a str,
    device_line: usize,
    number: usize,
    cell: &'a Cell,
    bless: bool,
    maker: &'a dyn Maker,
}

impl CellRunner<'_> {
    fn run(&self, setup: &[Step], cases: &[&Case]) -> CellRun {
        if let Some(because) = &self.cell.skip {
            let skipped = |case: &&Case| self.case(case, Status::Skipped, Some(self.cell.fill(because)));
            return CellRun { cases: cases.iter().map(skipped).collect(), ..CellRun::default() };
        }
        let failed = |because: String| CellRun {
            cases: cases.iter().map(|case| self.case(case, Status::Failed, Some(because.clone()))).collect(),
            ..CellRun::default()
        };
        let folder = match tempfile::tempdir() {
            Ok(folder) => folder,
            Err(e) => return failed(format!("no temporary folder: {}", load::reason(&e))),
        };
        let made = catch(|| self.maker.make(&self.cell.spec, folder.path()));
        let mut board = match made.unwrap_or_else(|| Err(CRASHED.into())) {
            Ok(board) => board,
            Err(message) => {
                let name = self.cell.name();
                let cell = if name.is_empty() { String::new() } else { format!(" for {name}") };
                let title = format!("the board cannot be made{cell}: {}", message.trim_end());
                let help = Some("check the device and partitions blocks".to_string());
                let diagnostic = Diagnostic::whole(self.path, title, help).at_line(self.device_line);
                return CellRun { diagnostic: Some(diagnostic), ..CellRun::default() };
            }
        };
        let (mismatches, mut steps) = self.steps(board.as_mut(), setup);
        let setup = SetupResult { cell: self.cell.vars.clone(), mismatches };
        if !setup.mismatches.is_empty() && !self.bless {
            return CellRun { setup: Some(setup), ..failed("the set-up is not as expected".into()) };
        }
        let forks: Vec<_> = cases.iter().map(|case| (*case, fork(board.as_ref(), folder.path()))).collect();
        let results: Vec<(CaseResult, Vec<StepRun>)> = forks
            .into_par_iter()
            .map(|(case, fork)| match fork {
                Ok((folder, mut board)) => {
                    let start = Instant::now();
                    let (mismatches, steps) = self.steps(board.as_mut(), &case.steps);
                    let status = if mismatches.is_empty() { Status::Passed } else { Status::Failed };
                    drop(folder);
                    (CaseResult { mismatches, time: start.elapsed(), ..self.case(case, status, None) }, steps)
                }
                Err(because) => (self.case(case, Status::Failed, Some(because)), Vec::new()),
            })
            .collect();
        let mut run = CellRun { setup: Some(setup).filter(|s| !s.mismatches.is_empty()), ..CellRun::default() };
        for (case, more) in results {
            run.cases.push(case);
            steps.extend(more);
        }
        run.steps = steps;
        run
    }

    fn case(&self, case: &Case, status: Status, because: Option<String>) -> CaseResult {
        CaseResult {
            title: self.cell.fill(&case.title),
            cell: self.cell.vars.clone(),
            line: case.line,
            status,
            because,
            mismatches: Vec::new(),
            time: Default::default(),
        }
    }

    /// Runs steps one after the other; all of them, so that every difference is seen at once.
    fn steps(&self, board: &mut dyn Board, steps: &[Step]) -> (Vec<Mismatch>, Vec<StepRun>) {
        let (mut mismatches, mut runs) = (Vec::new(), Vec::new());
        for step in steps {
            let argv: Vec<String> = step.words.iter().map(|word| self.cell.fill(word)).collect();
            let output = catch(|| board.run(&argv));
            let status = output.as_ref().map(|output| output.status);
            let text = output.map_or_else(|| CRASHED.to_string(), |output| output.text);
            let actual = output_lines(&text);
            let mismatch = compare(self.cell, step, &actual, status);
            let matches = mismatch.is_none();
            mismatches.extend(mismatch);
            if self.bless {
                runs.push(StepRun { cell: self.number, command_line: step.line, actual, status, matches });
            }
            if status.is_none() {
                break;
            }
        }
        (mismatches, runs)
    }
}

const CRASHED: &str = "the model failed: this is a bug in dryburn, please report it with this document";

/// Runs `f`; `None` if it panicked, so that one bug in the model does not hide the outcome of all other scenarios.
fn catch<T>(f: impl FnOnce() -> T) -> Option<T> {
    panic::catch_unwind(panic::AssertUnwindSafe(f)).ok()
}

fn fork(board: &dyn Board, files: &Path) -> Result<(TempDir, Box<dyn Board>), String> {
    let shared = tempfile::tempdir().and_then(|to| load::share_folder(files, to.path()).map(|()| to));
    let folder = shared.map_err(|e| format!("the set-up's files cannot be copied: {}", load::reason(&e)))?;
    let board = catch(|| board.fork(folder.path())).ok_or(CRASHED)?;
    Ok((folder, board))
}

/// The lines of an output, without colours, trailing spaces and trailing blank lines.
fn output_lines(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = text.lines().map(|line| pattern::strip_ansi(line).trim_end().to_string()).collect();
    let kept = lines.iter().rposition(|line| !line.is_empty()).map_or(0, |last| last.saturating_add(1));
    lines.truncate(kept);
    lines
}

fn compare(cell: &Cell, step: &Step, actual: &[String], status: Option<u8>) -> Option<Mismatch> {
    let expected: Vec<(usize, String)> = step.expected.iter().map(|e| (e.line, cell.fill(&e.text))).collect();
    let comparison = Comparison::new(expected.iter().map(|e| e.1.as_str()), actual.iter().map(String::as_str));
    if comparison.matches() && status == Some(step.status) {
        return None;
    }
    let ops = comparison.align();
    let line_of = |at: usize| expected.get(at).map(|e| e.0);
    let last = expected.last().map_or(step.line, |e| e.0);
    let mut next = 0;
    let mut line = None;
    for op in &ops {
        match op {
            Op::Same(e, _) | Op::Any(e, _) => next = e.saturating_add(1),
            Op::Missing(e) => line = line.or(line_of(*e)),
            Op::Extra(_) => line = line.or(line_of(next)).or(Some(last)),
        }
    }
    Some(Mismatch {
        line: line.or(step.status_line).unwrap_or(step.line),
        command_line: step.line,
        command: cell.fill(&step.command),
        expected,
        expected_status: step.status,
        actual: actual.to_vec(),
        actual_status: status,
        ops,
    })
}
