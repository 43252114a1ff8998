//! Results for people: what is not as expected, a table, and the totals as the last line.

use super::json::document_status;
use crate::scenario::{
    Status, Summary,
    align::Op,
    outcome::{CaseResult, DocumentResult, Mismatch},
};
use std::fmt::{self, Write};

/// Lines shown before and after a difference.
const CONTEXT: usize = 3;
/// A difference is cut off after this many lines.
const MAX_LINES: usize = 200;

/// The report; `color` only for terminals, `quiet` without the table. The last line is [`Summary::totals`].
pub fn render(summary: &Summary, color: bool, quiet: bool) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = write_summary(&mut out, summary, color, quiet);
    out
}

fn write_summary(out: &mut String, summary: &Summary, color: bool, quiet: bool) -> fmt::Result {
    let paint = Paint { color };
    for document in &summary.documents {
        write_document(out, document, paint)?;
    }
    if !quiet && !summary.documents.is_empty() {
        table(out, summary, paint)?;
    }
    for error in &summary.errors {
        writeln!(out, "{}: {}", paint.red("error"), printable(error))?;
    }
    let broken = summary.documents.iter().filter(|d| !d.diagnostics.is_empty()).count();
    if broken > 0 {
        writeln!(out, "{}: {} could not be run as written", paint.red("error"), documents(broken))?;
    }
    let blessed: usize = summary.documents.iter().map(|d| d.blessed).sum();
    if blessed > 0 {
        let changed = summary.documents.iter().filter(|d| d.blessed > 0).count();
        let steps = if blessed == 1 { "step" } else { "steps" };
        writeln!(out, "blessed {blessed} {steps} in {}: read the diff before you commit it", documents(changed))?;
    }
    if !quiet {
        writeln!(out, "{} in {:.2} s", documents(summary.documents.len()), summary.time.as_secs_f64())?;
    }
    writeln!(out, "{}", summary.totals())
}

fn documents(n: usize) -> String {
    format!("{n} document{}", if n == 1 { "" } else { "s" })
}

fn write_document(out: &mut String, document: &DocumentResult, paint: Paint) -> fmt::Result {
    for diagnostic in &document.diagnostics {
        writeln!(out, "{}\n", diagnostic.render(paint.color))?;
    }
    for setup in &document.setups {
        for mismatch in &setup.mismatches {
            let name = format!("{} (set-up){}", document.title, cell_suffix(&setup.cell));
            headline(out, &name, paint)?;
            writeln!(out, "{}", diff(&document.path, mismatch, paint.color))?;
        }
    }
    for case in document.cases.iter().filter(|case| case.status == Status::Failed) {
        let name = format!("{} > {}", document.title, full_title(case));
        if let Some(because) = &case.because {
            headline(out, &name, paint)?;
            writeln!(out, "  {} {}:{}", paint.blue("-->"), printable(&document.path), case.line)?;
            writeln!(out, "   {} {}\n", paint.blue("="), printable(because))?;
        }
        for mismatch in &case.mismatches {
            headline(out, &name, paint)?;
            writeln!(out, "{}", diff(&document.path, mismatch, paint.color))?;
        }
    }
    Ok(())
}

fn headline(out: &mut String, name: &str, paint: Paint) -> fmt::Result {
    writeln!(out, "{}: {}", paint.red("not as expected"), paint.bold(&printable(name)))
}

/// The case's title with its cell of the matrix: `What works (chip=esp32)`.
pub fn full_title(case: &CaseResult) -> String {
    format!("{}{}", case.title, cell_suffix(&case.cell))
}

fn cell_suffix(cell: &[(String, String)]) -> String {
    if cell.is_empty() {
        return String::new();
    }
    let pairs: Vec<String> = cell.iter().map(|(key, value)| format!("{key}={value}")).collect();
    format!(" ({})", pairs.join(", "))
}

/// One row of a difference: line in the document, mark, text.
struct Row<'m> {
    line: Option<usize>,
    mark: char,
    text: &'m str,
}

/// A mismatch as rustc would show it: where, then expected (`-`) against actual (`+`) lines.
pub fn diff(path: &str, mismatch: &Mismatch, color: bool) -> String {
    let mut out = String::new();
    let _ = write_diff(&mut out, path, mismatch, Paint { color });
    out
}

fn write_diff(out: &mut String, path: &str, mismatch: &Mismatch, paint: Paint) -> fmt::Result {
    let last = mismatch.expected.last().map_or(mismatch.command_line, |(line, _)| *line);
    let width = last.max(mismatch.command_line).to_string().len();
    let bar = paint.blue("|");
    let gutter = |line: Option<usize>| line.map_or_else(String::new, |line| line.to_string());
    writeln!(out, "{:width$}{} {}:{}", "", paint.blue("-->"), printable(path), mismatch.line)?;
    writeln!(out, "{:width$} {bar}", "")?;
    let number = format!("{:>width$}", mismatch.command_line);
    writeln!(out, "{} {bar}   $ {}", paint.blue(&number), printable(&mismatch.command))?;
    let rows = rows(mismatch);
    let near = near_changes(&rows);
    let (mut shown, mut gap) = (0_usize, false);
    for (row, near) in rows.iter().zip(near) {
        if !near {
            gap = true;
            continue;
        }
        if shown >= MAX_LINES {
            writeln!(out, "{:width$} {bar} (more lines differ)", "")?;
            break;
        }
        if std::mem::take(&mut gap) {
            writeln!(out, "{}", paint.blue(&".".repeat(width.max(3))))?;
        }
        shown = shown.saturating_add(1);
        let number = format!("{:>width$}", gutter(row.line));
        let text = format!("{} {}", row.mark, printable(row.text));
        let text = match row.mark {
            '-' => paint.red(text.trim_end()),
            '+' => paint.green(text.trim_end()),
            _ => text.trim_end().to_string(),
        };
        let line = format!("{} {bar} {text}", paint.blue(&number));
        writeln!(out, "{}", line.trim_end())?;
    }
    if gap {
        writeln!(out, "{}", paint.blue(&".".repeat(width.max(3))))?;
    }
    writeln!(out, "{:width$} {bar}", "")?;
    let note = match mismatch.actual_status {
        Some(status) if status == mismatch.expected_status => return Ok(()),
        Some(status) => format!("exit status: expected {}, found {status}", mismatch.expected_status),
        None => "the model failed here: the rest of the case was not run".into(),
    };
    writeln!(out, "{:width$} {} {note}", "", paint.blue("="))
}

/// The alignment as rows. What a `...` stands for is shown below it, marked `:`.
fn rows(mismatch: &Mismatch) -> Vec<Row<'_>> {
    let expected =
        |at: usize, mark: char| mismatch.expected.get(at).map(|(line, text)| Row { line: Some(*line), mark, text });
    let actual = |at: usize, mark: char| mismatch.actual.get(at).map(|text| Row { line: None, mark, text });
    let mut rows = Vec::new();
    for op in &mismatch.ops {
        match op {
            Op::Same(e, _) => rows.extend(expected(*e, ' ')),
            Op::Missing(e) => rows.extend(expected(*e, '-')),
            Op::Extra(a) => rows.extend(actual(*a, '+')),
            Op::Any(e, range) => {
                rows.extend(expected(*e, ' '));
                rows.extend(range.clone().filter_map(|a| actual(a, ':')));
            }
        }
    }
    rows
}

/// Which rows stand within [`CONTEXT`] rows of a change.
fn near_changes(rows: &[Row<'_>]) -> Vec<bool> {
    let mut near = vec![false; rows.len()];
    for (at, _) in rows.iter().enumerate().filter(|(_, row)| matches!(row.mark, '-' | '+')) {
        let from = at.saturating_sub(CONTEXT);
        let to = at.saturating_add(CONTEXT).saturating_add(1).min(rows.len());
        near.get_mut(from..to).unwrap_or_default().fill(true);
    }
    near
}

fn table(out: &mut String, summary: &Summary, paint: Paint) -> fmt::Result {
    writeln!(out, "passed  failed  skipped  document")?;
    for document in &summary.documents {
        let [passed, failed, skipped] = [Status::Passed, Status::Failed, Status::Skipped].map(|s| document.count(s));
        let path = printable(&document.path);
        if document_status(document) == "malformed" && document.cases.is_empty() {
            writeln!(out, "{:>6}  {:>6}  {:>7}  {path} ({})", "-", "-", "-", paint.red("malformed"))?;
            continue;
        }
        let failed = format!("{failed:>6}");
        let failed = if document.count(Status::Failed) > 0 { paint.red(&failed) } else { failed };
        writeln!(out, "{passed:>6}  {failed}  {skipped:>7}  {path}")?;
        let mut reasons: Vec<(&str, usize)> = Vec::new();
        for case in document.cases.iter().filter(|case| case.status == Status::Skipped) {
            let because = case.because.as_deref().unwrap_or_default();
            match reasons.iter_mut().find(|(reason, _)| *reason == because) {
                Some((_, n)) => *n = n.saturating_add(1),
                None => reasons.push((because, 1)),
            }
        }
        for (because, n) in reasons {
            writeln!(out, "{:>25}{n} skipped: {}", "", printable(because))?;
        }
    }
    Ok(())
}

/// The text with control characters made visible, so that nothing that was printed can steer the terminal.
fn printable(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\t' => "    ".to_string(),
            c if c.is_control() => c.escape_default().to_string(),
            c => c.to_string(),
        })
        .collect()
}

#[derive(Clone, Copy)]
struct Paint {
    color: bool,
}

impl Paint {
    fn with(self, code: &str, text: &str) -> String {
        if self.color { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.into() }
    }
    fn red(self, text: &str) -> String {
        self.with("1;31", text)
    }
    fn green(self, text: &str) -> String {
        self.with("32", text)
    }
    fn blue(self, text: &str) -> String {
        self.with("1;34", text)
    }
    fn bold(self, text: &str) -> String {
        self.with("1", text)
    }
}
