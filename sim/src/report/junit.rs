//! Results as JUnit XML: a test suite for each document, a test case for each case.

use super::{console, json::document_status};
use crate::scenario::{
    Status, Summary,
    outcome::{CaseResult, DocumentResult},
};
use quick_junit::{NonSuccessKind, Report, SerializeError, TestCase, TestCaseStatus, TestSuite};

/// The summary as JUnit XML.
///
/// # Errors
///
/// Only if the XML writer fails, which it has no reason to.
pub fn render(summary: &Summary) -> Result<String, SerializeError> {
    let mut report = Report::new("dryburn");
    report.set_time(summary.time);
    if !summary.errors.is_empty() {
        let mut suite = TestSuite::new("dryburn run");
        for error in &summary.errors {
            suite.add_test_case(broken("usage", error));
        }
        report.add_test_suite(suite);
    }
    report.add_test_suites(summary.documents.iter().map(suite));
    report.to_string()
}

fn suite(document: &DocumentResult) -> TestSuite {
    let mut suite = TestSuite::new(document.path.as_str());
    suite.set_time(document.cases.iter().map(|case| case.time).sum());
    for diagnostic in &document.diagnostics {
        suite.add_test_case(broken(document_status(document), &diagnostic.render(false)));
    }
    suite.add_test_cases(document.cases.iter().map(|case| test_case(document, case)));
    suite
}

fn broken(name: &str, text: &str) -> TestCase {
    let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
    status.set_message(text.lines().next().unwrap_or_default()).set_description(text);
    TestCase::new(name, status)
}

fn test_case(document: &DocumentResult, case: &CaseResult) -> TestCase {
    let mut status = match case.status {
        Status::Passed => TestCaseStatus::success(),
        Status::Failed => TestCaseStatus::non_success(NonSuccessKind::Failure),
        Status::Skipped => TestCaseStatus::skipped(),
    };
    if let Some(because) = &case.because {
        status.set_message(because.as_str());
    } else if let Some(mismatch) = case.mismatches.first() {
        status.set_message(format!("{}:{}: not as expected", document.path, mismatch.line));
    }
    if case.status == Status::Failed {
        let setup = document.setups.iter().filter(|setup| setup.cell == case.cell).flat_map(|setup| &setup.mismatches);
        let text: String =
            setup.chain(&case.mismatches).map(|mismatch| console::diff(&document.path, mismatch, false)).collect();
        status.set_description(text);
    }
    let mut test = TestCase::new(console::full_title(case), status);
    test.set_classname(document.path.as_str()).set_time(case.time);
    test
}
