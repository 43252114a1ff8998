//! Where the bytes of an update come from.
//!
//! Pieces are as long as asked for, whatever the network made of them, so a run is the same each time.

use super::Args;
use crate::{
    http::{Client, HttpError, Part, Ports, Reply, Settings, check_url},
    tools::{Failure, Workbench},
};
use sha2::{Digest, Sha256};

/// What tells a file from another, as far as is known.
pub(super) type FileName = [u8; 16];

/// What `device ota` was told to fetch.
pub(super) enum Origin {
    /// A file that someone sends.
    Sent,
    /// A URL.
    Server {
        /// It.
        url: String,
    },
}

impl Origin {
    pub fn of(source: &str) -> Result<Self, Failure> {
        if !source.contains("://") {
            return Ok(Self::Sent);
        }
        check_url(source)?;
        Ok(Self::Server { url: source.into() })
    }
}

/// Whether a URL leaves the port to the server that the command starts.
pub(super) fn names_no_port(url: &str) -> bool {
    check_url(url).is_ok_and(|uri| uri.port_u16().is_none())
}

/// Why no more bytes come for now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// The sender's connection is lost, at this byte.
    Lost(u64),
    /// The server, or the way to it.
    Http(HttpError),
    /// A status that is no file.
    Status {
        /// The URL.
        url: String,
        /// The status.
        status: u16,
        /// The one that was hoped for.
        expected: u16,
    },
    /// The rest that the server sends is not the rest that is missing.
    WrongRest {
        /// The URL.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl Cut {
    /// Whether asking again makes sense.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Lost(_) => true,
            Self::Http(error) => matches!(error, HttpError::Incomplete { .. } | HttpError::Stalled { .. }),
            Self::Status { status, .. } => *status >= 500,
            Self::WrongRest { .. } => false,
        }
    }
}

impl std::fmt::Display for Cut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Lost(at) => write!(f, "connection lost after {at} bytes"),
            Self::Http(error) => error.fmt(f),
            Self::Status { url, status, expected } => {
                write!(f, "{url}: the server answers with status {status}, expected {expected}")
            }
            Self::WrongRest { url, reason } => write!(f, "{url}: cannot go on: {reason}"),
        }
    }
}

/// Bytes of an update, from the first to the last.
pub(super) enum Transport {
    /// Sent to the app.
    Sent(Sent),
    /// Fetched by the app.
    Server(Box<Fetched>),
}

/// A file that someone sends.
pub(super) struct Sent {
    name: String,
    bytes: Vec<u8>,
    at: usize,
    drops: Vec<u64>,
}

/// A file that the app fetches.
pub(super) struct Fetched {
    /// Its client.
    pub client: Client,
    /// Where the file lies.
    pub url: String,
    reply: Option<Reply>,
    at: u64,
    /// The first reply was there: what follows is known.
    met: bool,
    total: Option<u64>,
    etag: Option<String>,
}

impl Transport {
    pub fn new(bench: &Workbench, args: &Args, origin: Origin, ports: Ports) -> Result<Self, Failure> {
        match origin {
            Origin::Sent => {
                let mut drops = args.drop_at.clone();
                drops.reverse();
                let (name, bytes) = (args.source.clone(), bench.read(&args.source)?);
                Ok(Self::Sent(Sent { name, bytes, at: 0, drops }))
            }
            Origin::Server { url } => {
                let settings =
                    Settings { stall_millis: args.timeout, total_millis: args.deadline, ports, ..Settings::default() };
                let ca = args.cert.as_ref().map(|file| Ok::<_, Failure>((file, bench.read(file)?))).transpose()?;
                let client = Client::new(settings, ca.as_ref().map(|(file, pem)| (file.as_str(), pem.as_slice())))?;
                let fetched = Fetched { client, url, reply: None, at: 0, met: false, total: None, etag: None };
                Ok(Self::Server(Box::new(fetched)))
            }
        }
    }

    /// Connects, or connects again: the next byte is the one that was missing.
    pub fn connect(&mut self) -> Result<(), Cut> {
        match self {
            Self::Sent(_) => Ok(()),
            Self::Server(fetched) => fetched.connect(),
        }
    }

    /// Lets the next connection begin at byte `at`, as if nothing were known of the file.
    pub fn begin_at(&mut self, at: u64) {
        match self {
            Self::Sent(sent) => sent.at = sent.bytes.len().min(usize::try_from(at).unwrap_or(usize::MAX)),
            Self::Server(fetched) => (fetched.at, fetched.met, fetched.reply) = (at, false, None),
        }
    }

    /// What the connection tells of the file: its name, its size, and the server's ETag.
    pub fn file_name(&self) -> FileName {
        let (name, etag) = match self {
            Self::Sent(sent) => (&sent.name, None),
            Self::Server(fetched) => (&fetched.url, fetched.etag.as_deref()),
        };
        let text = format!("{name}\n{:?}\n{etag:?}", self.announced());
        let mut names = FileName::default();
        names.iter_mut().zip(Sha256::digest(text)).for_each(|(to, from)| *to = from);
        names
    }

    /// Bytes of the whole file, where that is told.
    pub fn announced(&self) -> Option<u64> {
        match self {
            Self::Sent(sent) => Some(sent.bytes.len() as u64),
            Self::Server(fetched) => fetched.total,
        }
    }

    /// Fills `buf` as far as the file reaches; less than its length only at the end or before a cut. 0 is the end.
    pub fn fill(&mut self, buf: &mut [u8]) -> Result<usize, Cut> {
        match self {
            Self::Sent(sent) => sent.fill(buf),
            Self::Server(fetched) => {
                let Some(reply) = fetched.reply.as_mut() else { return Ok(0) };
                let n = reply.fill(buf).map_err(Cut::Http)?;
                fetched.at = fetched.at.saturating_add(n as u64);
                Ok(n)
            }
        }
    }

    /// Whether everything came, as far as is known.
    pub fn is_complete(&self) -> bool {
        match self {
            Self::Sent(sent) => sent.at == sent.bytes.len(),
            Self::Server(fetched) => fetched.reply.as_ref().is_some_and(Reply::is_complete),
        }
    }
}

impl Sent {
    fn fill(&mut self, buf: &mut [u8]) -> Result<usize, Cut> {
        let mut end = self.bytes.len().min(self.at.saturating_add(buf.len()));
        if let Some(drop) = self.drops.last().copied().filter(|drop| (self.at as u64..=end as u64).contains(drop)) {
            end = drop as usize;
            if end == self.at {
                self.drops.pop();
                return Err(Cut::Lost(drop));
            }
        }
        let piece = self.bytes.get(self.at..end).unwrap_or(&[]);
        buf.iter_mut().zip(piece).for_each(|(to, from)| *to = *from);
        self.at = end;
        Ok(piece.len())
    }
}

impl Fetched {
    fn connect(&mut self) -> Result<(), Cut> {
        let part = if self.at == 0 { Part::Whole } else { Part::From(self.at) };
        let mut reply = self.client.get(&self.url, part).map_err(Cut::Http)?;
        let url = self.url.clone();
        let wrong = |reason: String| Cut::WrongRest { url: url.clone(), reason };
        let met = self.met && self.at > 0;
        match (reply.status(), self.at) {
            (200, 0) => self.total = reply.length(),
            (206, at) if at > 0 => {
                let range =
                    reply.content_range().ok_or_else(|| wrong("the reply does not say which range it holds".into()))?;
                if range.first != at {
                    return Err(wrong(format!("byte {at} was asked for, the reply begins at byte {}", range.first)));
                }
                match (self.total, range.total) {
                    (Some(before), Some(now)) if met && before != now => {
                        return Err(wrong(format!("the file had {before} bytes before, {now} now")));
                    }
                    (_, total) if !met => self.total = total,
                    _ => {}
                }
            }
            // the server knows no ranges: what is there already is read once more and thrown away
            (200, at) => {
                if !met {
                    self.total = reply.length();
                }
                skip(&mut reply, at)?;
            }
            (status, at) => {
                let expected = if at == 0 { 200 } else { 206 };
                return Err(Cut::Status { url: self.url.clone(), status, expected });
            }
        }
        if !met {
            self.etag = reply.etag().map(str::to_owned);
        } else if self.etag.is_some() && reply.etag() != self.etag.as_deref() {
            return Err(wrong("the file was exchanged (another ETag)".into()));
        }
        self.met = true;
        self.reply = Some(reply);
        Ok(())
    }
}

fn skip(reply: &mut Reply, count: u64) -> Result<(), Cut> {
    let mut buf = [0; 4096];
    let mut left = count;
    while left > 0 {
        let n = left.min(buf.len() as u64) as usize;
        match reply.fill(buf.get_mut(..n).unwrap_or(&mut [])).map_err(Cut::Http)? {
            0 => return Ok(()),
            n => left = left.saturating_sub(n as u64),
        }
    }
    Ok(())
}
