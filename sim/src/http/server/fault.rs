//! What a hostile or broken server can do.

use crate::tools::{number, size};
use std::str::FromStr;

/// One thing that the server does wrong. Positions are bytes of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Closes the connection before this byte of the file; once. Several of them strike one after the other.
    DropAt(u64),
    /// Sends nothing from this byte of the file on, and keeps the connection open.
    StallAt(u64),
    /// Sends one byte every few milliseconds.
    Drip,
    /// Ignores `Range`: status 200 and the whole file.
    NoRange,
    /// Answers a `Range` with 206 and bytes from another place, and says so in `Content-Range`.
    OtherRange,
    /// Answers a `Range` with 206 and a true `Content-Range`, but the bytes are from the start of the file.
    LyingRange,
    /// Answers a `Range` with 206 and no `Content-Range`.
    UnnamedRange,
    /// No `Content-Length`; the end of the connection is the end of the body.
    NoLength,
    /// States this `Content-Length`, whatever is sent.
    Length(u64),
    /// The body never ends.
    Endless,
    /// Answers with this status and a short page.
    Status(u16),
    /// So many redirects before the file.
    Redirects(u32),
    /// Redirects to this URL.
    RedirectTo(String),
    /// Headers that never end.
    HeaderBomb,
    /// Bytes that are not HTTP.
    Garbage,
    /// Refuses `HEAD` with 405.
    NoHead,
    /// From the second request on, the file is another one (each byte of it changed).
    Changes,
}

/// The names of the faults, for usage texts.
pub const NAMES: &str = "drop-at=N, stall-at=N, drip, no-range, other-range, lying-range, unnamed-range, no-length, length=N, \
endless, status=N, redirects=N, redirect-to=URL, header-bomb, garbage, no-head, changes";

impl FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let unknown = || format!("'{text}' is not a fault of the server; there are {NAMES}");
        match text.split_once('=') {
            Some(("drop-at", n)) => Ok(Self::DropAt(size(n)?)),
            Some(("stall-at", n)) => Ok(Self::StallAt(size(n)?)),
            Some(("length", n)) => Ok(Self::Length(number(n)?)),
            Some(("status", n)) => match number(n)? {
                status @ 200..=599 => Ok(Self::Status(status as u16)),
                _ => Err(format!("status={n}: choose 200 to 599")),
            },
            Some(("redirects", n)) => match number(n)? {
                count @ 1..=100 => Ok(Self::Redirects(count as u32)),
                _ => Err(format!("redirects={n}: choose 1 to 100")),
            },
            Some(("redirect-to", url)) => Ok(Self::RedirectTo(url.into())),
            Some(_) => Err(unknown()),
            None => Ok(match text {
                "drip" => Self::Drip,
                "no-range" => Self::NoRange,
                "other-range" => Self::OtherRange,
                "lying-range" => Self::LyingRange,
                "unnamed-range" => Self::UnnamedRange,
                "no-length" => Self::NoLength,
                "endless" => Self::Endless,
                "header-bomb" => Self::HeaderBomb,
                "garbage" => Self::Garbage,
                "no-head" => Self::NoHead,
                "changes" => Self::Changes,
                _ => return Err(unknown()),
            }),
        }
    }
}
