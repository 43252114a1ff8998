//! Comparing one line of expected output with one line of actual output.

/// The line that stands for any lines, also none.
pub(super) fn is_any_lines(text: &str) -> bool {
    text.trim() == "..."
}

/// A line as it is compared: without ANSI colours, trailing spaces and the timestamp of a log line.
pub(super) fn normalise(line: &str) -> String {
    let mut line = strip_ansi(line);
    line.truncate(line.trim_end().len());
    if let Some(range) = timestamp(&line) {
        line.replace_range(range, "");
    }
    line
}

/// Removes ANSI escape sequences, and the colours of ESP-IDF's log whose escape character was lost in copying
/// (`[0;32m`, `[0m`).
pub(super) fn strip_ansi(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(c) = rest.chars().next() {
        let after = rest.get(c.len_utf8()..).unwrap_or_default();
        rest = match c {
            '\u{1b}' => after_escape(after),
            '[' if bare_colour(after).is_some() => bare_colour(after).unwrap_or(after),
            _ => {
                out.push(c);
                after
            }
        };
    }
    out
}

/// What follows an escape sequence whose text after ESC is `text`: CSI, OSC, or one character.
fn after_escape(text: &str) -> &str {
    let cut = |at: Option<usize>| at.and_then(|at| text.get(at..)).unwrap_or_default();
    match text.chars().next() {
        Some('[') => cut(text
            .char_indices()
            .skip(1)
            .find(|(_, c)| ('\u{40}'..='\u{7e}').contains(c))
            .map(|(at, c)| at.saturating_add(c.len_utf8()))),
        Some(']') => match (text.find('\u{7}'), text.find("\u{1b}\\")) {
            (Some(bell), terminator) if terminator.is_none_or(|t| bell < t) => cut(Some(bell.saturating_add(1))),
            (_, Some(terminator)) => cut(Some(terminator.saturating_add(2))),
            _ => "",
        },
        Some(c) => cut(Some(c.len_utf8())),
        None => "",
    }
}

/// What follows `0m`, `0;3Nm` or `1;3Nm`.
fn bare_colour(text: &str) -> Option<&str> {
    if let Some(rest) = text.strip_prefix("0m") {
        return Some(rest);
    }
    let rest = text.strip_prefix("0;3").or_else(|| text.strip_prefix("1;3"))?;
    rest.strip_prefix(|c: char| c.is_ascii_digit())?.strip_prefix('m')
}

/// The bytes between the parentheses of `I (123) tag: …`.
fn timestamp(line: &str) -> Option<std::ops::Range<usize>> {
    let rest = line.strip_prefix(['E', 'W', 'I', 'D', 'V'])?.strip_prefix(" (")?;
    let (time, after) = rest.split_once(')')?;
    let is_time = time.chars().all(|c| c.is_ascii_digit() || matches!(c, ' ' | ':' | '.' | '…'));
    (is_time && after.starts_with(' ')).then(|| 3..time.len().saturating_add(3))
}

/// Whether `actual` is what `pattern` expects, `…` standing for any text; both [`normalise`]d.
pub(super) fn matches(pattern: &str, actual: &str) -> bool {
    let mut parts = pattern.split('…');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = actual.strip_prefix(first) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        let Some((_, after)) = rest.split_once(part) else { return false };
        rest = after;
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same(pattern: &str, actual: &str) -> bool {
        matches(&normalise(pattern), &normalise(actual))
    }

    #[test]
    fn an_ellipsis_stands_for_any_text() {
        for (pattern, actual, expected) in [
            ("a", "a", true),
            ("a", "ab", false),
            ("a…", "ab", true),
            ("a…", "a", true),
            ("…b", "aab", true),
            ("…b", "ba", false),
            ("a…b…c", "a1b2c", true),
            ("a…b…c", "a1c2b", false),
            ("a…a", "a", false),
            ("…", "", true),
            ("x……y", "xy", true),
            ("ab…b…b", "abb", false),
        ] {
            assert_eq!(same(pattern, actual), expected, "{pattern} / {actual}");
        }
    }

    #[test]
    fn timestamps_colours_and_trailing_spaces_are_not_compared() {
        for (pattern, actual, expected) in [
            ("I (29) boot: x", "I (1234) boot: x", true),
            ("I (…) boot: x", "I (1234) boot: x", true),
            ("I (  5) boot: x", "I (12:34:56.789) boot: x", true),
            ("I (29) boot: x", "E (29) boot: x", false),
            ("I (29) boot: x", "I (29) boot: y", false),
            ("I (a) boot", "I (b) boot", false),
            ("X (1) boot", "X (2) boot", false),
            ("f(1) x", "f(2) x", false),
            ("\u{1b}[0;31mE (1) a: b\u{1b}[0m", "E (2) a: b", true),
            ("[0;31mE (1) a: b[0m", "E (2) a: b  ", true),
            ("[5m]", "[5m]", true),
            ("\u{1b}]0;title\u{7}x", "x", true),
            ("x\u{1b}[", "x", true),
        ] {
            assert_eq!(same(pattern, actual), expected, "{pattern} / {actual}");
        }
    }
}
