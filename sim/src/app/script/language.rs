//! The lines of a script, read.

use crate::{app::esp_ota::ImageSize, tools::number};

/// A script, read: sections of lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    sections: Vec<Vec<Line>>,
}

/// A line that is no call.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {number}: '{text}' is no call of the script language: {because}")]
pub struct BadLine {
    /// Line number, from 1 on.
    pub number: usize,
    /// The line.
    pub text: String,
    /// What is wrong with it.
    pub because: String,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// As it was written.
    pub text: String,
    /// What it calls.
    pub call: Call,
}

/// A part of the image that the app has been sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Source {
    pub offset: u32,
    /// Bytes; `None` up to the end.
    pub len: Option<u32>,
}

/// The name of a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Name {
    Null,
    Running,
    Next,
    Fake,
    Label(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Call {
    Info,
    NextFrom(Name),
    Begin(Name, ImageSize),
    WriteImage { source: Source, chunk: u32, first: Option<u8> },
    WriteOffset { source: Source, to: u32 },
    WriteEmpty,
    WriteNull,
    WriteBad,
    WriteOffsetBad,
    End,
    Abort,
    Set(Name),
    State(Name),
    Description(Name),
    Valid,
    Invalid,
    EraseLast,
    LastInvalid,
    WriteEncrypted { source: Source, address: u32 },
    WriteRaw { source: Source, address: u32 },
    EraseRaw { address: u32, len: u32 },
}

impl Script {
    /// Reads a script. Blank lines count for nothing.
    ///
    /// # Errors
    /// The first line that is no call.
    pub fn parse(text: &str) -> Result<Self, BadLine> {
        let mut sections = vec![Vec::new()];
        for (i, text) in text.lines().map(str::trim).enumerate().filter(|(_, text)| !text.is_empty()) {
            if text == "---" {
                sections.push(Vec::new());
                continue;
            }
            let bad = |because| BadLine { number: i + 1, text: text.into(), because };
            let line = Line { text: text.into(), call: call(text).map_err(bad)? };
            if let Some(section) = sections.last_mut() {
                section.push(line);
            }
        }
        Ok(Self { sections })
    }

    pub(super) fn sections(&self) -> &[Vec<Line>] {
        &self.sections
    }
}

fn call(text: &str) -> Result<Call, String> {
    let words: Vec<&str> = text.split_ascii_whitespace().collect();
    Ok(match words.as_slice() {
        ["info"] => Call::Info,
        ["nextfrom", p] => Call::NextFrom(name(p)),
        ["begin", p, size] => Call::Begin(name(p), image_size(size)?),
        ["writeimg", offset, len, chunk, rest @ ..] if rest.len() < 2 => Call::WriteImage {
            source: source(offset, len)?,
            chunk: word(chunk).and_then(|n| if n > 0 { Ok(n) } else { Err("pieces of 0 bytes".into()) })?,
            first: rest.first().map(|text| byte(text)).transpose()?,
        },
        ["writeoff", offset, len, to] => Call::WriteOffset { source: source(offset, len)?, to: word(to)? },
        ["write0"] => Call::WriteEmpty,
        ["writenull"] => Call::WriteNull,
        ["writebad"] => Call::WriteBad,
        ["woffbad"] => Call::WriteOffsetBad,
        ["end"] => Call::End,
        ["abort"] => Call::Abort,
        ["set", p] => Call::Set(name(p)),
        ["state", p] => Call::State(name(p)),
        ["desc", p] => Call::Description(name(p)),
        ["valid"] => Call::Valid,
        ["invalid"] => Call::Invalid,
        ["eraselast"] => Call::EraseLast,
        ["lastinv"] => Call::LastInvalid,
        ["encwrite", offset, len, to] => Call::WriteEncrypted { source: source(offset, len)?, address: word(to)? },
        ["rawwrite", offset, len, to] => Call::WriteRaw { source: source(offset, len)?, address: word(to)? },
        ["rawerase", address, len] => Call::EraseRaw { address: word(address)?, len: word(len)? },
        _ => return Err("unknown call, or not the words it takes".into()),
    })
}

fn name(text: &str) -> Name {
    match text {
        "NULL" => Name::Null,
        "running" => Name::Running,
        "next" => Name::Next,
        "fake" => Name::Fake,
        label => Name::Label(label.into()),
    }
}

fn word(text: &str) -> Result<u32, String> {
    u32::try_from(number(text)?).map_err(|_| format!("'{text}' has more than 32 bits"))
}

fn byte(text: &str) -> Result<u8, String> {
    u8::try_from(number(text)?).map_err(|_| format!("'{text}' is no byte"))
}

fn source(offset: &str, len: &str) -> Result<Source, String> {
    let len = if len == "ALL" { None } else { Some(word(len)?) };
    Ok(Source { offset: word(offset)?, len })
}

fn image_size(text: &str) -> Result<ImageSize, String> {
    Ok(match text {
        "UNKNOWN" => ImageSize::Unknown,
        "SEQ" => ImageSize::Sequential,
        _ => match word(text)? {
            u32::MAX => ImageSize::Unknown,
            0xFFFF_FFFE => ImageSize::Sequential,
            n => ImageSize::Bytes(n),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_line_is_named_before_anything_runs() {
        let script = Script::parse("begin next SEQ\n\n---\nwriteimg 0 ALL 4096 0xe8\n").expect("well-formed");
        assert_eq!(script.sections.len(), 2);
        for (text, number) in [("info\nbegin next\n", 2), ("writeimg 0 1 0", 1), ("writeimg 0 1 1 256", 1), ("?", 1)] {
            assert_eq!(Script::parse(text).expect_err(text).number, number, "{text}");
        }
    }
}
