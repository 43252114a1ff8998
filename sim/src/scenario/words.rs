//! Splitting a command into words: a shell's quotes and comments, and none of its other powers.

/// What is wrong with a command, at a character of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BadWord {
    /// Index into the characters given.
    pub at: usize,
    pub title: String,
    pub help: &'static str,
}

/// Splits `chars` into words. Single quotes keep everything; double quotes keep everything but `\"`, `\\`; a backslash
/// keeps the next character; `#` at the start of a word begins a comment.
pub(super) fn split(chars: &[char]) -> Result<Vec<String>, BadWord> {
    const QUOTE_IT: &str = "commands are not handed to a shell; quote the character if it is meant literally";
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote: Option<(char, usize)> = None;
    let mut iter = chars.iter().copied().enumerate();
    while let Some((at, c)) = iter.next() {
        let shell = |what: &str| BadWord { at, title: format!("`{c}`: {what} are not supported"), help: QUOTE_IT };
        match (quote, c) {
            (Some((open, _)), c) if c == open => quote = None,
            (Some(('"', _)) | None, '\\') => {
                let Some((_, next)) = iter.next() else {
                    let title = "a backslash with nothing after it".to_string();
                    return Err(BadWord { at, title, help: "write `\\\\` for a backslash" });
                };
                let current = word.get_or_insert_default();
                if quote.is_some() && !matches!(next, '"' | '\\' | '$' | '`') {
                    current.push('\\');
                }
                current.push(next);
            }
            (Some(('"', _)) | None, '$') => return Err(shell("variables")),
            (Some(('"', _)) | None, '`') => return Err(shell("command substitutions")),
            (Some(_), c) => word.get_or_insert_default().push(c),
            (None, '\'' | '"') => {
                quote = Some((c, at));
                word.get_or_insert_default();
            }
            (None, '#') if word.is_none() => break,
            (None, '|') => return Err(shell("pipes")),
            (None, '<' | '>') => return Err(shell("redirects")),
            (None, ';' | '&' | '(' | ')') => return Err(shell("command lists")),
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (None, c) => word.get_or_insert_default().push(c),
        }
    }
    if let Some((c, at)) = quote {
        return Err(BadWord { at, title: format!("the quote `{c}` never ends"), help: "end it on the same line" });
    }
    words.extend(word);
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split_str(text: &str) -> Result<Vec<String>, BadWord> {
        split(&text.chars().collect::<Vec<_>>())
    }

    #[test]
    fn words_split_as_a_shell_would() {
        for (text, words) in [
            ("a  b\tc", vec!["a", "b", "c"]),
            (r#"a "b c"d 'e "f'"#, vec!["a", "b cd", "e \"f"]),
            (r#"a\ b "\"\\\n" '\'"#, vec!["a b", "\"\\\\n", "\\"]),
            ("a '' \"\"", vec!["a", "", ""]),
            ("a b#c # d | e", vec!["a", "b#c"]),
            ("# only", vec![]),
            ("'|' \\$x \"\\$y\"", vec!["|", "$x", "$y"]),
        ] {
            assert_eq!(split_str(text), Ok(words.into_iter().map(String::from).collect()), "{text}");
        }
    }

    #[test]
    fn what_only_a_shell_can_do_is_refused_where_it_stands() {
        for (text, at) in [
            ("a | b", 2),
            ("a > b", 2),
            ("a $B", 2),
            ("a \"$B\"", 3),
            ("a; b", 1),
            ("a 'b", 2),
            ("a \\", 2),
            ("a `b`", 2),
            ("a && b", 2),
        ] {
            assert_eq!(split_str(text).map_err(|e| e.at), Err(at), "{text}");
        }
    }
}
