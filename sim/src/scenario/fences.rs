//! Where the headings and fenced blocks of a Markdown text are.
//!
//! Only what a scenario needs of CommonMark: ATX headings (§4.2) and fenced code blocks (§4.5), both indented by at most
//! three spaces and not inside lists or quotes. All else is prose.

use super::diagnostic::Flaw;

/// One line of the text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line<'a> {
    /// From 1.
    pub number: usize,
    /// Byte offset of its first character.
    pub start: usize,
    /// Without the newline and the carriage return before it.
    pub text: &'a str,
    /// Byte offset of the line after it.
    pub next: usize,
}

impl Line<'_> {
    /// The bytes of the line, without its newline.
    pub(super) fn span(&self) -> std::ops::Range<usize> {
        self.start..self.start.saturating_add(self.text.len())
    }
}

/// A heading or a fenced block.
#[derive(Clone, Debug)]
pub(super) enum Block<'a> {
    Heading { level: usize, title: &'a str, line: Line<'a> },
    Fence(Fence<'a>),
}

/// A fenced block.
#[derive(Clone, Debug)]
pub(super) struct Fence<'a> {
    /// The first word of the info string.
    pub language: &'a str,
    pub open: Line<'a>,
    pub indent: usize,
    pub mark: char,
    pub length: usize,
    /// The lines between, indentation and all.
    pub body: Vec<Line<'a>>,
}

/// Splits `text` into lines; a byte order mark at its start is not part of the first.
pub(super) fn lines(text: &str) -> impl Iterator<Item = Line<'_>> {
    let mut at = 0_usize;
    text.split_inclusive('\n').zip(1..).map(move |(whole, number)| {
        let mut start = at;
        at = at.saturating_add(whole.len());
        let mut line = whole.strip_suffix('\n').unwrap_or(whole);
        line = line.strip_suffix('\r').unwrap_or(line);
        if let Some(rest) = line.strip_prefix('\u{feff}').filter(|_| number == 1) {
            start = start.saturating_add(line.len().saturating_sub(rest.len()));
            line = rest;
        }
        Line { number, start, text: line, next: at }
    })
}

/// Finds the headings and fenced blocks, in order.
pub(super) fn scan(text: &str) -> Result<Vec<Block<'_>>, Flaw> {
    let mut blocks = Vec::new();
    let mut lines = lines(text);
    while let Some(line) = lines.next() {
        if let Some((level, title)) = heading(line.text) {
            blocks.push(Block::Heading { level, title, line });
        } else if let Some(mut fence) = opening(line) {
            let closed = loop {
                match lines.next() {
                    None => break false,
                    Some(line) if closes(line.text, fence.mark, fence.length) => break true,
                    Some(line) => fence.body.push(line),
                }
            };
            if !closed {
                let mark = fence.mark.to_string().repeat(fence.length);
                return Err(Flaw::new(line.span(), "this block never ends", "opened here")
                    .help(format!("end it with a line `{mark}`")));
            }
            blocks.push(Block::Fence(fence));
        }
    }
    Ok(blocks)
}

/// How many of the first three spaces `text` starts with, and the rest; a fourth space makes it indented code.
fn indented(text: &str) -> Option<(usize, &str)> {
    let rest = text.trim_start_matches(' ');
    let indent = text.len().saturating_sub(rest.len());
    (indent <= 3).then_some((indent, rest))
}

fn heading(text: &str) -> Option<(usize, &str)> {
    let (_, rest) = indented(text)?;
    let title = rest.trim_start_matches('#');
    let level = rest.len().saturating_sub(title.len());
    let separated = title.is_empty() || title.starts_with([' ', '\t']);
    if !(1..=6).contains(&level) || !separated {
        return None;
    }
    let title = title.trim();
    // A closing run of # counts only after a space.
    let open = title.trim_end_matches('#');
    let title = if open.is_empty() || open.ends_with([' ', '\t']) { open.trim_end() } else { title };
    Some((level, title))
}

fn opening(line: Line<'_>) -> Option<Fence<'_>> {
    let (indent, rest) = indented(line.text)?;
    let mark = rest.chars().next().filter(|c| matches!(c, '`' | '~'))?;
    let info = rest.trim_start_matches(mark);
    let length = rest.len().saturating_sub(info.len());
    if length < 3 || (mark == '`' && info.contains('`')) {
        return None;
    }
    let language = info.split_whitespace().next().unwrap_or_default();
    Some(Fence { language, open: line, indent, mark, length, body: Vec::new() })
}

/// Whether `text` ends a block that was opened by `length` times `mark`.
pub(super) fn closes(text: &str, mark: char, length: usize) -> bool {
    indented(text).is_some_and(|(_, rest)| {
        let after = rest.trim_start_matches(mark);
        rest.len().saturating_sub(after.len()) >= length && after.trim().is_empty()
    })
}

/// A line of a block without the fence's own indentation, and how many bytes of it that was.
pub(super) fn unindent(text: &str, indent: usize) -> (&str, usize) {
    let cut = text.bytes().take(indent).take_while(|b| *b == b' ').count();
    (text.get(cut..).unwrap_or_default(), cut)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headings_as_commonmark_has_them() {
        assert_eq!(heading("# a"), Some((1, "a")));
        assert_eq!(heading("   ## a b ##  "), Some((2, "a b")));
        assert_eq!(heading("## C#"), Some((2, "C#")));
        assert_eq!(heading("##"), Some((2, "")));
        assert_eq!(heading("    ## code"), None);
        assert_eq!(heading("##a"), None);
        assert_eq!(heading("####### seven"), None);
    }

    #[test]
    fn fences_as_commonmark_has_them() {
        assert!(closes("```", '`', 3));
        assert!(closes("  ````  ", '`', 3));
        assert!(!closes("``", '`', 3));
        assert!(!closes("~~~", '`', 3));
        assert!(!closes("``` x", '`', 3));
        assert!(!closes("    ```", '`', 3));
        let blocks = scan("\u{feff}# t\r\n~~~~console x\r\n```\r\n~~~~\r\n``` a`b\r\n").unwrap();
        assert!(matches!(&blocks[0], Block::Heading { title: "t", line, .. } if line.start == 3));
        let Block::Fence(fence) = &blocks[1] else { panic!("{blocks:?}") };
        assert_eq!((fence.language, fence.length, fence.body.len()), ("console", 4, 1));
        assert_eq!(fence.body[0].text, "```");
        assert_eq!(blocks.len(), 2, "backticks in the info string are no fence");
    }
}
