//! Results as JSON: deterministic, no times.
//!
//! `schema_version` rises when a field changes its meaning or goes away; new fields do not raise it.

use crate::scenario::{
    Status, Summary,
    outcome::{CaseResult, DocumentResult, Mismatch},
};
use serde_json::{Map, Value, json};

/// The version of the layout below.
pub const SCHEMA_VERSION: u32 = 1;

/// The summary as indented JSON, ended by a newline.
pub fn render(summary: &Summary) -> String {
    let value = json!({
        "schema_version": SCHEMA_VERSION,
        "passed": summary.count(Status::Passed),
        "failed": summary.count(Status::Failed),
        "skipped": summary.count(Status::Skipped),
        "exit_status": summary.exit_code(),
        "errors": summary.errors,
        "documents": summary.documents.iter().map(document).collect::<Vec<_>>(),
    });
    format!("{value:#}\n")
}

fn document(result: &DocumentResult) -> Value {
    json!({
        "path": result.path,
        "title": result.title,
        "status": document_status(result),
        "blessed": result.blessed,
        "diagnostics": result.diagnostics.iter().map(|d| json!({
            "line": d.line,
            "column": d.column,
            "message": d.title,
            "label": d.label,
            "help": d.help,
        })).collect::<Vec<_>>(),
        "setup": result.setups.iter().map(|setup| json!({
            "cell": cell(&setup.cell),
            "mismatches": setup.mismatches.iter().map(mismatch).collect::<Vec<_>>(),
        })).collect::<Vec<_>>(),
        "cases": result.cases.iter().map(case).collect::<Vec<_>>(),
    })
}

/// `malformed`, `failed`, `passed`, or `skipped` when nothing of it ran.
pub(super) fn document_status(result: &DocumentResult) -> &'static str {
    match result {
        r if !r.diagnostics.is_empty() => "malformed",
        r if r.count(Status::Failed) > 0 => Status::Failed.name(),
        r if r.count(Status::Passed) > 0 => Status::Passed.name(),
        _ => Status::Skipped.name(),
    }
}

fn cell(vars: &[(String, String)]) -> Value {
    Value::Object(vars.iter().map(|(key, value)| (key.clone(), Value::from(value.as_str()))).collect::<Map<_, _>>())
}

fn case(result: &CaseResult) -> Value {
    json!({
        "title": result.title,
        "cell": cell(&result.cell),
        "line": result.line,
        "status": result.status.name(),
        "because": result.because,
        "mismatches": result.mismatches.iter().map(mismatch).collect::<Vec<_>>(),
    })
}

fn mismatch(m: &Mismatch) -> Value {
    json!({
        "line": m.line,
        "command_line": m.command_line,
        "command": m.command,
        "expected": m.expected.iter().map(|(_, text)| text.as_str()).collect::<Vec<_>>(),
        "expected_status": m.expected_status,
        "actual": m.actual,
        "actual_status": m.actual_status,
    })
}
