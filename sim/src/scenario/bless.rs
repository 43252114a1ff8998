//! Rewriting what documents expect: `--bless`.
//!
//! Only the lines below a command change, and of those only the ones that do not match: a `...` or a `…` that still
//! matches stays as the author wrote it. A step whose expected line is gone next to a `...` is refused: the `...` would
//! hide that, and the scenario could no longer fail where its author wanted it to.

use super::{
    Cell, Document, Step,
    align::Comparison,
    align::Op,
    console, fences, load,
    outcome::{DocumentResult, Mismatch, Status, StepRun},
    parse,
};
use std::{collections::BTreeMap, fs, path::Path};

/// Rewrites the document at `path`, whose text is `text`, and takes what was blessed out of `result`.
pub(super) fn bless(document: &Document, text: &str, path: &Path, runs: &[StepRun], result: &mut DocumentResult) {
    let mut refused = BTreeMap::new();
    let mut edits = BTreeMap::new();
    let cases = document.cases.iter().flat_map(|case| &case.steps);
    for step in document.setup.iter().chain(cases) {
        let runs: Vec<&StepRun> = runs.iter().filter(|run| run.command_line == step.line).collect();
        if runs.iter().all(|run| run.matches) {
            continue;
        }
        match expectation(document, step, &runs) {
            Ok((lines, status)) => {
                edits.insert(step.line, (step, written(step, &lines, status, text)));
            }
            Err(reason) => {
                refused.insert(step.line, reason);
            }
        }
    }
    if !edits.is_empty()
        && let Err(reason) = write(document, text, path, edits.values())
    {
        refused.extend(edits.keys().map(|line| (*line, reason.clone())));
    }
    edits.retain(|line, _| !refused.contains_key(line));
    result.blessed = edits.len();
    settle(result, &refused, &|mismatch| edits.contains_key(&mismatch.command_line));
}

/// Takes the blessed mismatches out of a result and says why others remain.
fn settle(result: &mut DocumentResult, refused: &BTreeMap<usize, String>, blessed: &dyn Fn(&Mismatch) -> bool) {
    for setup in &mut result.setups {
        setup.mismatches.retain(|mismatch| !blessed(mismatch));
    }
    result.setups.retain(|setup| !setup.mismatches.is_empty());
    let broken: Vec<_> = result.setups.iter().map(|setup| setup.cell.clone()).collect();
    for case in &mut result.cases {
        case.mismatches.retain(|mismatch| !blessed(mismatch));
        if case.status == Status::Failed && case.because.is_none() && case.mismatches.is_empty() {
            case.status = Status::Passed;
        }
        if let Some(mismatch) = case.mismatches.first() {
            case.because = refused.get(&mismatch.command_line).map(|reason| format!("not blessed: {reason}"));
        } else if case.status == Status::Passed && broken.contains(&case.cell) {
            case.status = Status::Failed;
            case.because = Some("the set-up is not as expected, and not blessed".into());
        }
    }
}

/// The lines and the status that a step should expect, if all cells agree on them.
fn expectation(document: &Document, step: &Step, runs: &[&StepRun]) -> Result<(Vec<String>, u8), String> {
    const DIFFER: &str = "the cells of the matrix differ";
    let mut statuses = runs.iter().map(|run| run.status.ok_or("the model failed"));
    let status = statuses.next().unwrap_or(Ok(0))?;
    for other in statuses {
        if other? != status {
            return Err(DIFFER.into());
        }
    }
    // Cells that print the same text agree; so do cells that print the same text but for their own values.
    for unfill in [false, true] {
        let candidates: Result<Vec<_>, String> =
            runs.iter().map(|run| new_lines(document, step, run, unfill)).collect();
        let mut candidates = candidates?.into_iter();
        let Some(first) = candidates.next() else { continue };
        let agree = candidates.all(|lines| lines == first);
        if agree && runs.iter().all(|run| holds(document, &first, run)) {
            return Ok((first, status));
        }
    }
    Err(DIFFER.into())
}

fn cell_of<'d>(document: &'d Document, run: &StepRun) -> Option<&'d Cell> {
    document.cells.get(run.cell)
}

fn comparison(cell: &Cell, lines: &mut dyn Iterator<Item = &str>, run: &StepRun) -> Comparison {
    let filled: Vec<String> = lines.map(|line| cell.fill(line)).collect();
    Comparison::new(filled.iter().map(String::as_str), run.actual.iter().map(String::as_str))
}

fn holds(document: &Document, lines: &[String], run: &StepRun) -> bool {
    cell_of(document, run).is_some_and(|cell| comparison(cell, &mut lines.iter().map(String::as_str), run).matches())
}

/// The expectation that one cell would have: what still matches as it was written, what was printed where it does not.
fn new_lines(document: &Document, step: &Step, run: &StepRun, unfill: bool) -> Result<Vec<String>, String> {
    let Some(cell) = cell_of(document, run) else { return Ok(Vec::new()) };
    let ops = comparison(cell, &mut step.expected.iter().map(|e| e.text.as_str()), run).align();
    if let Some(line) = swallowed(&ops).and_then(|at| step.expected.get(at)).map(|e| e.line) {
        return Err(format!("line {line} is gone and the `...` beside it would hide that: edit it by hand"));
    }
    let kept = |at: &usize| step.expected.get(*at).map(|e| e.text.clone());
    let printed = |at: &usize| {
        let line = run.actual.get(*at)?;
        Some(harmless(step, &if unfill { unfilled(cell, line) } else { line.clone() }))
    };
    let lines = ops.iter().filter_map(|op| match op {
        Op::Same(e, _) | Op::Any(e, _) => kept(e),
        Op::Missing(_) => None,
        Op::Extra(a) => printed(a),
    });
    Ok(lines.collect())
}

/// An expected line that is missing beside a `...`, with nothing printed in its place.
fn swallowed(ops: &[Op]) -> Option<usize> {
    let is_change = |op: &Op| matches!(op, Op::Missing(_) | Op::Extra(_));
    let mut after_any = false;
    let mut runs = ops.chunk_by(|a, b| is_change(a) == is_change(b)).peekable();
    while let Some(run) = runs.next() {
        let missing = run.iter().find_map(|op| if let Op::Missing(e) = op { Some(*e) } else { None });
        let replaced = run.iter().any(|op| matches!(op, Op::Extra(_)));
        let before_any = runs.peek().is_some_and(|next| matches!(next.first(), Some(Op::Any(..))));
        if missing.is_some() && !replaced && (after_any || before_any) {
            return missing;
        }
        after_any = matches!(run.last(), Some(Op::Any(..)));
    }
    None
}

/// Replaces the cell's values by `{key}`, longer values first; values of one or two characters would match by chance.
fn unfilled(cell: &Cell, line: &str) -> String {
    let mut vars: Vec<_> = cell.vars.iter().filter(|(_, value)| value.chars().count() > 2).collect();
    vars.sort_by_key(|(_, value)| std::cmp::Reverse(value.len()));
    vars.iter().fold(line.to_string(), |line, (key, value)| line.replace(value.as_str(), &format!("{{{key}}}")))
}

/// A printed line that would be read as a command, a status or the end of the block loses its first character to `…`.
fn harmless(step: &Step, line: &str) -> String {
    let (mark, length) = step.region.fence;
    let in_document = format!("{}{line}", " ".repeat(step.region.indent));
    if !(console::is_command(line) || console::is_status(line) || fences::closes(&in_document, mark, length)) {
        return line.into();
    }
    let trimmed = line.trim_start();
    let mut rest = trimmed.chars();
    rest.next();
    format!("…{}", rest.as_str())
}

/// The text that replaces a step's region.
fn written(step: &Step, lines: &[String], status: u8, text: &str) -> String {
    let before = text.get(..step.region.range.start).unwrap_or_default();
    let newline = if before.ends_with("\r\n") { "\r\n" } else { "\n" };
    let status = (status != 0).then(|| format!("? {status}"));
    let mut out = String::new();
    for line in lines.iter().chain(&status) {
        if !line.is_empty() {
            out.push_str(&" ".repeat(step.region.indent));
            out.push_str(line);
        }
        out.push_str(newline);
    }
    out
}

/// Puts the edits into the document's file, unless that would change anything but the expectations.
fn write<'e>(
    document: &Document,
    text: &str,
    path: &Path,
    edits: impl Iterator<Item = &'e (&'e Step, String)>,
) -> Result<(), String> {
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    for (step, replacement) in edits {
        out.push_str(text.get(at..step.region.range.start).unwrap_or_default());
        out.push_str(replacement);
        at = step.region.range.end;
    }
    out.push_str(text.get(at..).unwrap_or_default());
    let commands = |document: &Document| -> Vec<String> {
        let cases = document.cases.iter().flat_map(|case| &case.steps);
        document.setup.iter().chain(cases).map(|step| step.command.clone()).collect()
    };
    match parse::parse(&document.path, &out) {
        Ok(new) if commands(&new) == commands(document) => {}
        Ok(_) => return Err("the output would be read as commands".into()),
        Err(diagnostics) => {
            let title = diagnostics.first().map(|d| d.title.clone()).unwrap_or_default();
            return Err(format!("with this output the document could not be read: {title}"));
        }
    }
    fs::write(path, out).map_err(|e| format!("the document cannot be written: {}", load::reason(&e)))
}
