//! One request, one answer, with the faults that apply.

use super::Fault;
use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom, Write},
    net::{Shutdown, TcpStream},
    path::{Component, Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// Pause between the bytes of [`Fault::Drip`].
const DRIP: Duration = Duration::from_millis(5);
/// A request longer than this is none.
const MOST_REQUEST: usize = 8 * 1024;
/// Once a fault has the better of a reply, the client has so long to go away.
const LINGER: Duration = Duration::from_secs(10);

/// The folder that is served, and what has happened so far.
pub(super) struct Site {
    folder: PathBuf,
    faults: Vec<Fault>,
    past: Mutex<Past>,
}

#[derive(Default)]
struct Past {
    requests: Vec<String>,
    drops: usize,
    redirects: u32,
}

/// How a reply ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// All of it was sent.
    Whole,
    /// A fault cut it short.
    Short,
}

struct Request {
    method: String,
    path: String,
    range: Option<(u64, Option<u64>)>,
}

impl Site {
    pub fn new(folder: &Path, faults: Vec<Fault>) -> Self {
        Self { folder: folder.into(), faults, past: Mutex::default() }
    }

    pub fn requests(&self) -> Vec<String> {
        self.past().requests.clone()
    }

    fn past(&self) -> std::sync::MutexGuard<'_, Past> {
        self.past.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn has(&self, fault: &Fault) -> bool {
        self.faults.contains(fault)
    }

    /// Reads one request and answers it.
    pub fn answer(&self, stream: &mut (impl Read + Write), socket: &TcpStream) -> io::Result<Ended> {
        let request = read_request(stream)?;
        let nth = {
            let mut past = self.past();
            let range = request.range.map(|(from, to)| match to {
                Some(to) => format!(" bytes={from}-{to}"),
                None => format!(" bytes={from}-"),
            });
            past.requests.push(format!("{} {}{}", request.method, request.path, range.unwrap_or_default()));
            past.requests.len()
        };
        for fault in &self.faults {
            match fault {
                Fault::Garbage => return send(stream, b"\x00\x01\x02 this is no HTTP\r\n\r\n").map(|()| Ended::Short),
                Fault::HeaderBomb => return header_bomb(stream),
                Fault::Status(status) => return page(stream, *status, "text", ""),
                Fault::NoHead if request.method == "HEAD" => return page(stream, 405, "", ""),
                Fault::RedirectTo(url) => return page(stream, 302, "", &format!("Location: {url}\r\n")),
                Fault::Redirects(most) => {
                    let mut past = self.past();
                    if past.redirects < *most {
                        past.redirects += 1;
                        let location = format!("Location: {}\r\n", request.path);
                        drop(past);
                        return page(stream, 302, "", &location);
                    }
                }
                _ => {}
            }
        }
        match self.open(&request.path) {
            Some((file, size)) => self.file(stream, socket, &request, file, size, nth),
            None => page(stream, 404, "no such file", ""),
        }
    }

    /// A file directly in the folder, and its size.
    fn open(&self, path: &str) -> Option<(File, u64)> {
        let name = path.strip_prefix('/')?;
        let mut parts = Path::new(name).components();
        let (Some(Component::Normal(name)), None) = (parts.next(), parts.next()) else { return None };
        let file = File::open(self.folder.join(name)).ok()?;
        let meta = file.metadata().ok()?;
        meta.is_file().then_some((file, meta.len()))
    }

    fn file(
        &self,
        stream: &mut (impl Read + Write),
        socket: &TcpStream,
        request: &Request,
        mut file: File,
        size: u64,
        nth: usize,
    ) -> io::Result<Ended> {
        let range = request.range.filter(|_| !self.has(&Fault::NoRange));
        let (mut from, to) = match range {
            None => (0, size),
            Some((from, to)) => (from, to.map_or(size, |to| to.saturating_add(1).min(size))),
        };
        if range.is_some() && from >= to {
            return page(stream, 416, "", &format!("Content-Range: bytes */{size}\r\n"));
        }
        let asked = from;
        if range.is_some() && (self.has(&Fault::OtherRange) || self.has(&Fault::LyingRange)) {
            from = 0;
        }
        let named = if self.has(&Fault::LyingRange) { asked } else { from };
        let length = to - asked.max(from);
        let mut headers = String::from("Content-Type: application/octet-stream\r\nAccept-Ranges: bytes\r\n");
        if range.is_some() && !self.has(&Fault::UnnamedRange) {
            headers.push_str(&format!("Content-Range: bytes {named}-{}/{size}\r\n", named + length - 1));
        }
        let stated = self.faults.iter().find_map(|fault| match fault {
            Fault::Length(n) => Some(*n),
            _ => None,
        });
        if !self.has(&Fault::NoLength) && !self.has(&Fault::Endless) {
            headers.push_str(&format!("Content-Length: {}\r\n", stated.unwrap_or(length)));
        }
        // before anything is sent: a client that hangs up at once must not overtake the count of drops
        let end = if request.method == "HEAD" { End::Whole(asked) } else { self.end(asked, asked + length) };
        let status = if range.is_some() { "206 Partial Content" } else { "200 OK" };
        send(stream, format!("HTTP/1.1 {status}\r\n{headers}Connection: close\r\n\r\n").as_bytes())?;
        if request.method == "HEAD" {
            return Ok(Ended::Whole);
        }
        file.seek(SeekFrom::Start(from))?;
        let changed = nth > 1 && self.has(&Fault::Changes);
        let count = end.position() - asked;
        self.body(stream, socket, file.take(count), changed)?;
        match end {
            End::Whole(_) if self.has(&Fault::Endless) => loop {
                send(stream, &[0xA5; 4096])?;
            },
            End::Whole(_) => Ok(Ended::Whole),
            End::Drop(_) => Ok(Ended::Short),
            End::Stall(_) => {
                wait_for_the_client_to_go(socket)?;
                Ok(Ended::Short)
            }
        }
    }

    /// Where the reply for bytes `from..to` of the file ends.
    fn end(&self, from: u64, to: u64) -> End {
        let drops = self.faults.iter().filter_map(|fault| match fault {
            Fault::DropAt(at) => Some(*at),
            _ => None,
        });
        let mut past = self.past();
        if let Some(at) = drops.clone().nth(past.drops)
            && (from..to).contains(&at)
        {
            past.drops += 1;
            return End::Drop(at);
        }
        let stall = self.faults.iter().find_map(|fault| match fault {
            Fault::StallAt(at) if *at < to => Some(*at),
            _ => None,
        });
        stall.map_or(End::Whole(to), |at| End::Stall(at.max(from)))
    }

    fn body(&self, stream: &mut impl Write, socket: &TcpStream, mut file: impl Read, changed: bool) -> io::Result<()> {
        let drip = self.has(&Fault::Drip);
        let mut buf = vec![0; if drip { 1 } else { 16 * 1024 }];
        loop {
            let n = file.read(&mut buf)?;
            let Some(piece) = buf.get_mut(..n).filter(|piece| !piece.is_empty()) else { return Ok(()) };
            if changed {
                piece.iter_mut().for_each(|byte| *byte ^= 0x5A);
            }
            send(stream, piece)?;
            if drip && gone_within(socket, DRIP)? {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
        }
    }
}

/// Where a reply ends, as a position in the file, and why there.
enum End {
    Whole(u64),
    Drop(u64),
    Stall(u64),
}

impl End {
    fn position(&self) -> u64 {
        match self {
            Self::Whole(at) | Self::Drop(at) | Self::Stall(at) => *at,
        }
    }
}

/// Ends a connection so that the client gets everything that was sent: closing with unread bytes in the socket would
/// reset it and lose them.
pub(super) fn hang_up(socket: &TcpStream) -> io::Result<()> {
    socket.shutdown(Shutdown::Write)?;
    wait_for_the_client_to_go(socket)
}

fn wait_for_the_client_to_go(socket: &TcpStream) -> io::Result<()> {
    gone_within(socket, LINGER).map(drop)
}

/// Whether the client goes away within that time.
fn gone_within(mut socket: &TcpStream, time: Duration) -> io::Result<bool> {
    socket.set_read_timeout(Some(time))?;
    let mut buf = [0; 512];
    loop {
        match socket.read(&mut buf) {
            Ok(0) => return Ok(true),
            Ok(_) => {}
            Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => return Ok(false),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return Ok(true),
        }
    }
}

fn read_request(stream: &mut impl Read) -> io::Result<Request> {
    let mut text = Vec::new();
    let mut byte = [0];
    while !text.ends_with(b"\r\n\r\n") {
        if text.len() > MOST_REQUEST || stream.read(&mut byte)? == 0 {
            return Err(io::ErrorKind::InvalidData.into());
        }
        text.extend_from_slice(&byte);
        // a TLS handshake, for example, is no request either
        if !text.first().is_some_and(u8::is_ascii_uppercase) {
            return Err(io::ErrorKind::InvalidData.into());
        }
    }
    let text = String::from_utf8_lossy(&text);
    let mut lines = text.lines();
    let mut words = lines.next().unwrap_or_default().split_whitespace();
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let range = lines
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("range"))
        .and_then(|(_, value)| parse_range(value.trim()));
    Ok(Request { method: method.into(), path: path.split('?').next().unwrap_or_default().into(), range })
}

/// `bytes=FIRST-` or `bytes=FIRST-LAST`.
fn parse_range(text: &str) -> Option<(u64, Option<u64>)> {
    let (from, to) = text.strip_prefix("bytes=")?.split_once('-')?;
    let to = if to.is_empty() { None } else { Some(to.parse().ok()?) };
    Some((from.parse().ok()?, to))
}

fn page(stream: &mut impl Write, status: u16, text: &str, headers: &str) -> io::Result<Ended> {
    let length = text.len();
    let page = format!("HTTP/1.1 {status} -\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n{text}");
    send(stream, page.as_bytes()).map(|()| Ended::Whole)
}

fn header_bomb(stream: &mut impl Write) -> io::Result<Ended> {
    send(stream, b"HTTP/1.1 200 OK\r\n")?;
    loop {
        send(stream, format!("X-Bomb: {}\r\n", "b".repeat(4000)).as_bytes())?;
    }
}

fn send(stream: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    stream.write_all(bytes)?;
    stream.flush()
}
