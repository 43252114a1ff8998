//! Writing a document as Markdown: what [`super::parse()`] reads back.

use super::document::{Device, Document, Scalar, Step};
use std::fmt::{self, Write};

impl Document {
    /// The document as Markdown, with no prose. [`super::parse()`] of it gives the document back, but for its positions.
    pub fn emit(&self) -> String {
        let mut out = String::new();
        // Writing to a String cannot fail.
        let _ = self.write(&mut out);
        out
    }

    fn write(&self, out: &mut String) -> fmt::Result {
        writeln!(out, "# {}", self.title)?;
        block(out, "device", &self.device.emit())?;
        if let Some(partitions) = &self.partitions {
            block(out, "partitions", partitions)?;
        }
        console(out, &self.setup)?;
        for case in &self.cases {
            writeln!(out, "\n## {}", case.title)?;
            console(out, &case.steps)?;
        }
        Ok(())
    }

    /// Forgets line numbers and byte ranges, so that two readings of the same document compare equal.
    pub fn forget_positions(&mut self) {
        self.device_line = 0;
        for case in &mut self.cases {
            case.line = 0;
        }
        let steps = self.setup.iter_mut().chain(self.cases.iter_mut().flat_map(|case| &mut case.steps));
        for step in steps {
            step.line = 0;
            step.status_line = None;
            step.region = Default::default();
            for expected in &mut step.expected {
                expected.line = 0;
            }
        }
    }
}

impl Device {
    fn emit(&self) -> String {
        let value = |scalar: &Scalar| match scalar {
            Scalar::Text(text) => toml::Value::String(text.clone()).to_string(),
            other => other.to_string(),
        };
        let bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        let key = |key: &String| match !key.is_empty() && key.chars().all(bare) {
            true => key.clone(),
            false => toml::Value::String(key.clone()).to_string(),
        };
        let mut out = String::new();
        for (k, v) in &self.values {
            let _ = writeln!(out, "{} = {}", key(k), value(v));
        }
        for (n, skip) in self.skips.iter().enumerate() {
            let pairs: String = skip.when.iter().map(|(k, v)| format!("{} = {}, ", key(k), value(v))).collect();
            let open = if n == 0 { "skip = [\n" } else { "" };
            let because = toml::Value::String(skip.because.clone());
            let close = if n.saturating_add(1) == self.skips.len() { "]\n" } else { "" };
            let _ = write!(out, "{open}  {{ {pairs}because = {because} }},\n{close}");
        }
        if !self.config.is_empty() {
            out.push_str("\n[config]\n");
        }
        for (k, v) in &self.config {
            let _ = writeln!(out, "{} = {}", key(k), value(v));
        }
        if !self.matrix.is_empty() {
            out.push_str("\n[matrix]\n");
        }
        for (k, values) in &self.matrix {
            let values: Vec<String> = values.iter().map(value).collect();
            let _ = writeln!(out, "{} = [{}]", key(k), values.join(", "));
        }
        out
    }
}

fn console(out: &mut String, steps: &[Step]) -> fmt::Result {
    if steps.is_empty() {
        return Ok(());
    }
    let mut text = String::new();
    for step in steps {
        writeln!(text, "$ {}", step.command)?;
        for expected in &step.expected {
            writeln!(text, "{}", expected.text)?;
        }
        if step.status != 0 {
            writeln!(text, "? {}", step.status)?;
        }
    }
    block(out, "console", &text)
}

/// A fenced block whose fence is longer than any run of backticks in it.
fn block(out: &mut String, language: &str, text: &str) -> fmt::Result {
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.saturating_add(1).max(3));
    let newline = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    writeln!(out, "\n{fence}{language}\n{text}{newline}{fence}")
}
