//! Numbers as the generator reads them: Python's `int(text, 0)` with suffixes `K` and `M`.

/// Why a text is no number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotANumber<'a> {
    /// Not a number; holds what is left when the suffixes are gone: the generator looks that up as a keyword, and
    /// multiplies the keyword's value too.
    Text(&'a str, i64),
    /// A number, but far beyond any flash.
    TooLarge,
}

/// Reads a number; suffixes multiply and may follow each other or a hexadecimal number.
pub(super) fn parse(text: &str) -> Result<i64, NotANumber<'_>> {
    let mut rest = text;
    let mut factor: i64 = 1;
    loop {
        let (shorter, unit) = match rest.strip_suffix(['k', 'K']) {
            Some(shorter) => (shorter, 1024),
            None => match rest.strip_suffix(['m', 'M']) {
                Some(shorter) => (shorter, 1024 * 1024),
                None => break,
            },
        };
        rest = shorter;
        factor = factor.saturating_mul(unit);
    }
    match integer(rest) {
        Some(Some(n)) => n.checked_mul(factor).ok_or(NotANumber::TooLarge),
        Some(None) => Err(NotANumber::TooLarge),
        None => Err(NotANumber::Text(rest, factor)),
    }
}

/// `Some(None)` for a number beyond 64 bits.
fn integer(text: &str) -> Option<Option<i64>> {
    let text = super::text::strip(text);
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let prefix = digits.get(..2).map(str::to_ascii_lowercase);
    let (radix, digits) = match prefix.as_deref() {
        Some("0x") => (16, digits.get(2..)?),
        Some("0o") => (8, digits.get(2..)?),
        Some("0b") => (2, digits.get(2..)?),
        _ => (10, digits),
    };
    // One underscore may stand between two digits, and between the prefix and the first digit.
    let digits = if radix == 10 { digits } else { digits.strip_prefix('_').unwrap_or(digits) };
    let mut value = Some(0_i64);
    for group in digits.split('_') {
        if group.is_empty() {
            return None;
        }
        for c in group.chars() {
            let digit = i64::from(c.to_digit(radix)?);
            value = value.and_then(|v| v.checked_mul(i64::from(radix))?.checked_add(digit));
        }
    }
    // No octal of old: 010 is refused, 000 is zero.
    if radix == 10 && digits.starts_with('0') && value != Some(0) {
        return None;
    }
    Some(value.map(|v| if negative { v.saturating_neg() } else { v }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_as_python_reads_them() {
        for (text, expected) in [
            ("0", 0),
            ("4096", 4096),
            ("0x9000", 0x9000),
            ("0X9_0", 0x90),
            ("0x_9", 9),
            ("0o17", 15),
            ("0b11", 3),
            ("1K", 1024),
            ("1m", 0x10_0000),
            ("0x10K", 0x4000),
            ("1 M", 0x10_0000),
            ("1kk", 0x10_0000),
            ("-0x200000", -0x20_0000),
            ("+5", 5),
            ("00", 0),
            ("1_000", 1000),
        ] {
            assert_eq!(parse(text), Ok(expected), "{text}");
        }
        for text in ["", "010", "0x", "1__0", "_1", "1_", "5G", "ota", "0b2", "- 5", "--5", "0x-5", "1.5", "٣"] {
            assert_eq!(parse(text), Err(NotANumber::Text(text, 1)), "{text}");
        }
        assert_eq!(parse("M"), Err(NotANumber::Text("", 0x10_0000)));
        assert_eq!(parse("99999999999999999999"), Err(NotANumber::TooLarge));
        assert_eq!(parse("9999999999999M"), Err(NotANumber::TooLarge));
    }
}
