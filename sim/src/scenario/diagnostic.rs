//! What is wrong with a document, shown the way rustc shows it.

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};
use std::ops::Range;

/// One thing that is wrong with a document, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// The document's path as the user gave it.
    pub path: String,
    /// Line in the document, from 1; 0 when the document as a whole is meant (it could not be read).
    pub line: usize,
    /// Column in characters, from 1; 0 when the document as a whole is meant.
    pub column: usize,
    /// What is wrong.
    pub title: String,
    /// What was found or expected at the place; may be empty.
    pub label: String,
    /// What to do about it.
    pub help: Option<String>,
    excerpt: Option<Box<Excerpt>>,
}

/// The line that is meant, and the bytes within it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Excerpt {
    text: String,
    span: Range<usize>,
}

/// A diagnostic before it knows its document: the span is in bytes of the document's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Flaw {
    pub span: Range<usize>,
    pub title: String,
    pub label: String,
    pub help: Option<String>,
}

impl Flaw {
    pub(super) fn new(span: Range<usize>, title: impl Into<String>, label: impl Into<String>) -> Self {
        Self { span, title: title.into(), label: label.into(), help: None }
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl Diagnostic {
    /// A diagnostic about a document that could not be read at all.
    pub fn whole(path: &str, title: impl Into<String>, help: Option<String>) -> Self {
        Self { path: path.into(), line: 0, column: 0, title: title.into(), label: String::new(), help, excerpt: None }
    }

    /// The same diagnostic, about the line `line`.
    pub(super) fn at_line(self, line: usize) -> Self {
        Self { line, column: 1, ..self }
    }

    /// Places `flaw` in the document `path` whose text is `source`.
    pub(super) fn place(path: &str, source: &str, flaw: Flaw) -> Self {
        let start = floor_boundary(source, flaw.span.start);
        let before = source.get(..start).unwrap_or_default();
        let line_start = before.rfind('\n').map_or(0, |at| at.saturating_add(1));
        let rest = source.get(line_start..).unwrap_or_default();
        let text = rest.split('\n').next().unwrap_or_default().trim_end_matches('\r').to_string();
        let from = start.saturating_sub(line_start).min(text.len());
        let to = floor_boundary(&text, flaw.span.end.saturating_sub(line_start)).max(from);
        Self {
            path: path.into(),
            line: before.matches('\n').count().saturating_add(1),
            column: text.get(..from).unwrap_or_default().chars().count().saturating_add(1),
            title: flaw.title,
            label: flaw.label,
            help: flaw.help,
            excerpt: Some(Box::new(Excerpt { text, span: from..to })),
        }
    }

    /// The diagnostic as rustc would print it, without a final newline; `color` only for terminals.
    pub fn render(&self, color: bool) -> String {
        let title = Level::ERROR.primary_title(&self.title);
        let mut group = match &self.excerpt {
            Some(excerpt) => {
                let label = Some(self.label.as_str()).filter(|label| !label.is_empty());
                let mark = AnnotationKind::Primary.span(excerpt.span.clone()).label(label);
                let snippet = Snippet::source(&excerpt.text).path(&self.path).line_start(self.line).annotation(mark);
                title.element(snippet)
            }
            None if self.line == 0 => Group::with_title(title).element(Origin::path(&self.path)),
            None => {
                let origin = Origin::path(&self.path).line(self.line).char_column(self.column);
                Group::with_title(title).element(origin)
            }
        };
        if let Some(help) = &self.help {
            group = group.element(Level::HELP.message(help));
        }
        let renderer = if color { Renderer::styled() } else { Renderer::plain() };
        renderer.render(&[group])
    }
}

/// The nearest character boundary of `text` at or before `at`.
fn floor_boundary(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at = at.saturating_sub(1);
    }
    at
}
