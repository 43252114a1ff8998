//! The `console` block: commands, what they print, their exit status.

use super::{
    diagnostic::Flaw,
    document::{Expected, Region, Step},
    fences::{Fence, Line, unindent},
    words,
};
use std::ops::Range;

/// Reads the steps of a block.
pub(super) fn steps(fence: &Fence<'_>) -> Result<Vec<Step>, Flaw> {
    let mut steps = Vec::new();
    let mut lines = fence.body.iter().copied().peekable();
    let Some(first) = lines.peek().copied() else {
        return Err(Flaw::new(fence.open.span(), "a console block without a command", "nothing between the fences")
            .help("write `$ command` and below it what it prints"));
    };
    if !is_command(unindent(first.text, fence.indent).0) {
        return Err(Flaw::new(first.span(), "a console block starts with a command", "this is not a command")
            .help("write `$ command`; for a log without a command use a ```text block"));
    }
    while let Some(line) = lines.next() {
        let command = Command::read(line, &mut lines, fence.indent)?;
        let mut output = Vec::new();
        while let Some(line) = lines.next_if(|line| !is_command(unindent(line.text, fence.indent).0)) {
            output.push(line);
        }
        steps.push(command.step(&output, fence)?);
    }
    Ok(steps)
}

/// Whether a line of a console block (without the fence's indentation) is a command.
pub(super) fn is_command(text: &str) -> bool {
    text.starts_with("$ ") || text.trim_end() == "$"
}

/// A command with the place of each of its characters.
struct Command<'a> {
    line: Line<'a>,
    chars: Vec<(Range<usize>, char)>,
    next: usize,
}

impl<'a> Command<'a> {
    /// Reads the command that starts on `line`, and its continuation lines.
    fn read(
        line: Line<'a>,
        more: &mut std::iter::Peekable<impl Iterator<Item = Line<'a>>>,
        indent: usize,
    ) -> Result<Self, Flaw> {
        let mut command = Self { line, chars: Vec::new(), next: line.next };
        let mut current = line;
        loop {
            let (text, cut) = unindent(current.text, indent);
            let rest = text.get(2..).unwrap_or_default();
            let at = current.start.saturating_add(cut).saturating_add(2);
            command.chars.extend(rest.char_indices().map(|(i, c)| {
                let from = at.saturating_add(i);
                (from..from.saturating_add(c.len_utf8()), c)
            }));
            command.next = current.next;
            let slashes = rest.len().saturating_sub(rest.trim_end_matches('\\').len());
            if slashes % 2 == 0 {
                return Ok(command);
            }
            let slash = command.chars.pop().map_or(current.span(), |(span, _)| span);
            let continues = |line: &Line<'_>| {
                let text = unindent(line.text, indent).0;
                text.starts_with("> ") || text == ">"
            };
            current = more.next_if(continues).ok_or_else(|| {
                Flaw::new(slash, "the command goes on, but the next line does not", "this backslash continues it")
                    .help("start the next line with `> `")
            })?;
        }
    }

    fn step(self, output: &[Line<'_>], fence: &Fence<'_>) -> Result<Step, Flaw> {
        let chars: Vec<char> = self.chars.iter().map(|(_, c)| *c).collect();
        let words = words::split(&chars).map_err(|bad| {
            let span = self.chars.get(bad.at).map_or(self.line.span(), |(span, _)| span.clone());
            Flaw::new(span, bad.title, "").help(bad.help)
        })?;
        if words.is_empty() {
            return Err(Flaw::new(self.line.span(), "a `$` without a command", "").help("write `$ command`"));
        }
        let text = |line: &Line<'_>| unindent(line.text, fence.indent).0.trim_end().to_string();
        let is_blank = |line: &Line<'_>| line.text.trim().is_empty();
        let kept = output.iter().rposition(|line| !is_blank(line)).map_or(0, |last| last.saturating_add(1));
        let output = output.get(..kept).unwrap_or_default();
        let region = Region {
            range: self.next..output.last().map_or(self.next, |line| line.next),
            indent: fence.indent,
            fence: (fence.mark, fence.length),
        };
        let (status_line, output) = match output.split_last() {
            Some((last, rest)) if is_status(&text(last)) => (Some(last), rest),
            _ => (None, output),
        };
        let status = status_line.map_or(Ok(0), |line| read_status(line, &text(line)))?;
        if let Some(line) = output.iter().find(|line| is_status(&text(line)) && read_status(line, &text(line)).is_ok())
        {
            return Err(Flaw::new(line.span(), "the exit status comes last", "more output follows")
                .help("move the `?` line below the output"));
        }
        let kept = output.iter().rposition(|line| !is_blank(line)).map_or(0, |last| last.saturating_add(1));
        let output = output.get(..kept).unwrap_or_default();
        Ok(Step {
            line: self.line.number,
            command: chars.iter().collect::<String>().trim().to_string(),
            words,
            expected: output.iter().map(|line| Expected { line: line.number, text: text(line) }).collect(),
            status,
            status_line: status_line.map(|line| line.number),
            region,
        })
    }
}

/// Whether a line states an exit status, well or badly.
pub(super) fn is_status(text: &str) -> bool {
    text.starts_with("? ") || text == "?"
}

fn read_status(line: &Line<'_>, text: &str) -> Result<u8, Flaw> {
    let value = text.trim_start_matches('?').trim();
    value.parse().map_err(|_| {
        let at = line.text.rfind(value).filter(|_| !value.is_empty()).unwrap_or(0);
        let start = line.start.saturating_add(at);
        let span = if value.is_empty() { line.span() } else { start..start.saturating_add(value.len()) };
        Flaw::new(span, "not an exit status", "expected a number from 0 to 255")
            .help("`? N` as the last line states the exit status; output that starts so is written `… N`")
    })
}
