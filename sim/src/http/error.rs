//! Everything that can go wrong on the way, in words.
//!
//! No text names a port or repeats the words of the operating system, so that a log is the same on each run.

use std::io;
use ureq::Timeout;

/// Why a request, or the body of its reply, failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HttpError {
    /// Not a URL that can be fetched.
    #[error("{url}: not a URL to fetch: {reason}; write http://localhost/FILE or https://localhost/FILE")]
    BadUrl {
        /// The text.
        url: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The host is not this machine.
    #[error(
        "{url}: the host '{host}' is not this machine; updates are fetched from localhost, 127.0.0.1 or [::1] only"
    )]
    NotLoopback {
        /// The URL, also one that a redirect named.
        url: String,
        /// Its host.
        host: String,
    },
    /// `https` without a certificate to trust.
    #[error(
        "{url}: no CA certificate to check the server with, and none is trusted by itself; give one with --cert ca.pem"
    )]
    NoCertificate {
        /// The URL.
        url: String,
    },
    /// The CA file holds no certificate.
    #[error("{file}: {reason}; expected a PEM file with the CA's certificate (-----BEGIN CERTIFICATE-----)")]
    BadCertificateFile {
        /// The file.
        file: String,
        /// What was found.
        reason: String,
    },
    /// Nobody took the connection.
    #[error("{url}: no connection: {reason}")]
    Connect {
        /// The URL.
        url: String,
        /// What happened.
        reason: String,
    },
    /// The TLS handshake failed, above all a certificate that does not lead to the CA.
    #[error("{url}: TLS refused: {reason}")]
    Tls {
        /// The URL.
        url: String,
        /// What the TLS library says.
        reason: String,
    },
    /// More redirects than the client follows.
    #[error("{url}: more than {limit} redirects; the last one points to {to}")]
    TooManyRedirects {
        /// The URL that was asked for.
        url: String,
        /// How many are followed.
        limit: u8,
        /// Where the last one points.
        to: String,
    },
    /// A redirect that cannot be followed.
    #[error("{url}: status {status} redirects to '{to}', {reason}")]
    BadRedirect {
        /// The URL that redirects.
        url: String,
        /// Its status.
        status: u16,
        /// The `Location` header.
        to: String,
        /// Why it is not followed.
        reason: &'static str,
    },
    /// The status line and headers are longer than is read.
    #[error("{url}: the reply's headers are longer than {limit} bytes or have too many lines; reading stopped")]
    HeadersTooLarge {
        /// The URL.
        url: String,
        /// Bytes that are read at most.
        limit: usize,
    },
    /// Not HTTP, or HTTP that contradicts itself.
    #[error("{url}: the reply is not proper HTTP: {reason}")]
    Malformed {
        /// The URL.
        url: String,
        /// What is wrong.
        reason: String,
    },
    /// Nothing came for too long.
    #[error("{url}: nothing arrived for {millis} ms, after {received} bytes of the body")]
    Stalled {
        /// The URL.
        url: String,
        /// How long was waited.
        millis: u64,
        /// Bytes of this reply's body that had arrived.
        received: u64,
    },
    /// The whole transfer took too long, however steadily bytes dripped in.
    #[error("{url}: not finished after {millis} ms, with {received} bytes of the body")]
    TooSlow {
        /// The URL.
        url: String,
        /// How long one request may take.
        millis: u64,
        /// Bytes of this reply's body that had arrived.
        received: u64,
    },
    /// The connection ended before the body did.
    #[error("{url}: connection closed after {received} bytes of the body{}", of(.expected))]
    Incomplete {
        /// The URL.
        url: String,
        /// Bytes of this reply's body that had arrived.
        received: u64,
        /// How many `Content-Length` promised.
        expected: Option<u64>,
    },
}

fn of(expected: &Option<u64>) -> String {
    expected.map_or_else(String::new, |n| format!(", {n} were promised"))
}

/// Where a request stood when it failed, for the text of the error.
pub(super) struct Stand<'a> {
    pub url: &'a str,
    pub stall_millis: u64,
    pub total_millis: u64,
    pub header_limit: usize,
    pub received: u64,
    pub expected: Option<u64>,
}

impl Stand<'_> {
    /// Names what the client crate reports.
    pub fn error(&self, error: ureq::Error) -> HttpError {
        let url = self.url.to_owned();
        match error {
            ureq::Error::Timeout(Timeout::PerRead | Timeout::PerWrite | Timeout::Connect | Timeout::Resolve) => {
                HttpError::Stalled { url, millis: self.stall_millis, received: self.received }
            }
            ureq::Error::Timeout(_) => HttpError::TooSlow { url, millis: self.total_millis, received: self.received },
            ureq::Error::LargeResponseHeader(..) => HttpError::HeadersTooLarge { url, limit: self.header_limit },
            ureq::Error::Protocol(e)
                if e.to_string().contains("TooManyHeaders") || e.to_string().contains("too many headers") =>
            {
                HttpError::HeadersTooLarge { url, limit: self.header_limit }
            }
            ureq::Error::Rustls(e) => HttpError::Tls { url, reason: tls_reason(&e) },
            ureq::Error::Tls(reason) => HttpError::Tls { url, reason: reason.into() },
            ureq::Error::Io(e) => self.io(e),
            ureq::Error::ConnectionFailed | ureq::Error::HostNotFound => {
                HttpError::Connect { url, reason: "nobody listens there".into() }
            }
            other => HttpError::Malformed { url, reason: other.to_string() },
        }
    }

    fn io(&self, error: io::Error) -> HttpError {
        let url = self.url.to_owned();
        let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        if let Some(tls) = tls {
            return HttpError::Tls { url, reason: tls_reason(tls) };
        }
        match error.kind() {
            io::ErrorKind::ConnectionRefused => HttpError::Connect { url, reason: "nobody listens there".into() },
            io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => {
                HttpError::Stalled { url, millis: self.stall_millis, received: self.received }
            }
            io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe => {
                HttpError::Incomplete { url, received: self.received, expected: self.expected }
            }
            kind => HttpError::Malformed { url, reason: kind.to_string() },
        }
    }
}

/// What the TLS library says, in words where it has only a name.
fn tls_reason(error: &rustls::Error) -> String {
    use rustls::CertificateError as E;
    match error {
        // a certificate of the same name, but with another key, has a signature that does not fit
        rustls::Error::InvalidCertificate(E::UnknownIssuer | E::BadSignature) => {
            "the server's certificate is not signed by a CA that is trusted here".into()
        }
        other => other.to_string(),
    }
}
