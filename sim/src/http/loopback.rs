//! Which hosts may be spoken to: this machine, and no other.
//!
//! Names are not looked up at all: `localhost` is 127.0.0.1, every other name is refused, so nothing that a document, a
//! server or a resolver says can make a request leave the machine.

use super::HttpError;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use ureq::{
    config::Config,
    http::Uri,
    unversioned::{
        resolver::{ResolvedSocketAddrs, Resolver},
        transport::NextTimeout,
    },
};

/// Ports that stand in for 80 and 443 in URLs without a port, so that a document can say `http://localhost/app.bin` while
/// its server listens on whatever port was free.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ports {
    /// For `http`; 80 when there is none.
    pub http: Option<u16>,
    /// For `https`; 443 when there is none.
    pub https: Option<u16>,
}

/// Reads a URL that may be fetched.
///
/// # Errors
/// Not `http` or `https`, a user name in it, or a host other than this machine.
pub fn check_url(url: &str) -> Result<Uri, HttpError> {
    let bad = |reason| HttpError::BadUrl { url: url.into(), reason };
    let uri: Uri = url.parse().map_err(|_| bad("it cannot be parsed"))?;
    match uri.scheme_str() {
        Some("http" | "https") => {}
        Some(_) => return Err(bad("its scheme is neither http nor https")),
        None => return Err(bad("it has no scheme")),
    }
    let authority = uri.authority().ok_or_else(|| bad("it has no host"))?;
    if authority.as_str().contains('@') {
        return Err(bad("it carries a user name"));
    }
    match address(authority.host()) {
        Some(_) => Ok(uri),
        None => Err(HttpError::NotLoopback { url: url.into(), host: authority.host().into() }),
    }
}

/// The address of a host that is this machine.
fn address(host: &str) -> Option<IpAddr> {
    if host.eq_ignore_ascii_case("localhost") {
        return Some(Ipv4Addr::LOCALHOST.into());
    }
    let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
    bare.parse().ok().filter(IpAddr::is_loopback)
}

/// The resolver of the client: asks nobody.
#[derive(Debug)]
pub(super) struct Loopback(pub Ports);

impl Resolver for Loopback {
    fn resolve(&self, uri: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let ip = uri.host().and_then(address).ok_or(ureq::Error::HostNotFound)?;
        let port = uri.port_u16().unwrap_or(match uri.scheme_str() {
            Some("https") => self.0.https.unwrap_or(443),
            _ => self.0.http.unwrap_or(80),
        });
        let mut found = self.empty();
        found.push(SocketAddr::new(ip, port));
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_spoken_to() {
        for url in [
            "http://localhost/a",
            "https://LOCALHOST:8070/a?b",
            "http://127.0.0.1:1/a",
            "http://127.9.9.9/",
            "http://[::1]:80/a",
        ] {
            assert!(check_url(url).is_ok(), "{url}");
        }
        for url in [
            "http://example.com/a",
            "http://localhost.example.com/a",
            "http://10.0.0.1/a",
            "http://169.254.169.254/",
            "http://0.0.0.0/",
            "http://[::ffff:10.0.0.1]/",
            "http://[::]/",
            "http://2130706433/",
            "http://0x7f.1/",
            "http://127.1/",
        ] {
            assert!(matches!(check_url(url), Err(HttpError::NotLoopback { .. })), "{url}: {:?}", check_url(url));
        }
        for url in
            ["ftp://localhost/a", "localhost/a", "/a", "", "http://user@localhost/", "file:///etc/passwd", "http:///a"]
        {
            assert!(matches!(check_url(url), Err(HttpError::BadUrl { .. })), "{url}: {:?}", check_url(url));
        }
    }
}
