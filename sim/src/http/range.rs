//! The `Content-Range` header of a partial reply (RFC 9110 §14.4).

/// `Content-Range: bytes FIRST-LAST/TOTAL`, positions in bytes of the whole file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContentRange {
    /// Position of the first byte in the body.
    pub first: u64,
    /// Position of the last byte in the body.
    pub last: u64,
    /// Length of the whole file; a server may leave it open (`*`).
    pub total: Option<u64>,
}

impl ContentRange {
    /// Reads the header's value. `None` when it is not one, or contradicts itself.
    pub fn parse(text: &str) -> Option<Self> {
        let (range, total) = text.trim().strip_prefix("bytes ")?.trim().split_once('/')?;
        let (first, last) = range.split_once('-')?;
        let (first, last) = (number(first)?, number(last)?);
        let total = match total {
            "*" => None,
            text => Some(number(text)?),
        };
        (first <= last && total.is_none_or(|total| last < total)).then_some(Self { first, last, total })
    }
}

/// Digits only: `+5` and ` 5` are no HTTP numbers.
pub(super) fn number(text: &str) -> Option<u64> {
    (!text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_makes_sense_is_a_range() {
        let range = |first, last, total| Some(ContentRange { first, last, total });
        assert_eq!(ContentRange::parse("bytes 0-9/10"), range(0, 9, Some(10)));
        assert_eq!(ContentRange::parse("bytes 5-9/*"), range(5, 9, None));
        for text in [
            "bytes 9-5/10",
            "bytes 0-10/10",
            "bytes */10",
            "items 0-9/10",
            "bytes 0-+9/10",
            "bytes -9/10",
            "bytes 0-99999999999999999999/*",
            "",
        ] {
            assert_eq!(ContentRange::parse(text), None, "{text}");
        }
    }
}
