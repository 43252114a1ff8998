//! Requests: one connection each, redirects followed by hand, so that each hop is checked.

use super::{HttpError, Ports, Reply, check_url, error::Stand, loopback::Loopback};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use std::{sync::Arc, time::Duration};
use ureq::{
    Agent,
    http::{Response, Uri, header},
    tls::{Certificate, RootCerts, TlsConfig, TlsProvider},
    unversioned::transport::DefaultConnector,
};

/// Bounds of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The longest silence, in milliseconds (`timeout_ms` of esp_http_client; 5000 there, too).
    pub stall_millis: u64,
    /// The longest time for one request and its body, in milliseconds. A device has no such bound: a server that drips
    /// keeps it busy for ever.
    pub total_millis: u64,
    /// Redirects that are followed (`max_redirection_count` of esp_http_client; 10 there, too).
    pub max_redirects: u8,
    /// Where URLs without a port lead.
    pub ports: Ports,
}

impl Default for Settings {
    fn default() -> Self {
        Self { stall_millis: 5_000, total_millis: 60_000, max_redirects: 10, ports: Ports::default() }
    }
}

/// What is asked for, in bytes of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// All of it, without a `Range` header.
    Whole,
    /// From this byte on.
    From(u64),
    /// From the first to the last of these, both included.
    Window {
        /// The first.
        first: u64,
        /// The last.
        last: u64,
    },
}

/// Status line and headers of a reply are read up to this length.
const HEADER_LIMIT: usize = 16 * 1024;

/// Fetches from this machine. Each request has a connection of its own.
#[derive(Clone, Debug)]
pub struct Client {
    agent: Agent,
    settings: Settings,
    trusts_a_ca: bool,
}

impl Client {
    /// A client that trusts the CAs in `ca` (file name for errors, PEM text) and no other; without it, `https` is refused.
    ///
    /// # Errors
    /// No certificate in the file.
    pub fn new(settings: Settings, ca: Option<(&str, &[u8])>) -> Result<Self, HttpError> {
        let certificates = ca.map(|(file, pem)| certificates(file, pem)).transpose()?;
        let trusts_a_ca = certificates.is_some();
        let tls = TlsConfig::builder()
            .provider(TlsProvider::Rustls)
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .root_certs(RootCerts::Specific(Arc::new(certificates.unwrap_or_default())))
            .build();
        let config = Agent::config_builder()
            .tls_config(tls)
            .proxy(None)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .http_status_as_error(false)
            .max_response_header_size(HEADER_LIMIT)
            .max_idle_connections(0)
            .timeout_global(Some(Duration::from_millis(settings.total_millis)))
            .timeout_connect(Some(Duration::from_millis(settings.stall_millis)))
            .timeout_per_read(Some(Duration::from_millis(settings.stall_millis)))
            .timeout_per_write(Some(Duration::from_millis(settings.stall_millis)))
            .user_agent("dryburn")
            .build();
        let agent = Agent::with_parts(config, DefaultConnector::default(), Loopback(settings.ports));
        Ok(Self { agent, settings, trusts_a_ca })
    }

    /// The bounds.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Asks for the headers only.
    ///
    /// # Errors
    /// [`HttpError`]; a status that says no is not an error here.
    pub fn head(&self, url: &str) -> Result<Reply, HttpError> {
        self.request("HEAD", url, None)
    }

    /// Asks for a part of the file. What the server makes of it stands in the reply: nothing is checked here.
    ///
    /// # Errors
    /// [`HttpError`]; a status that says no is not an error here.
    pub fn get(&self, url: &str, part: Part) -> Result<Reply, HttpError> {
        let range = match part {
            Part::Whole => None,
            Part::From(first) => Some(format!("bytes={first}-")),
            Part::Window { first, last } => Some(format!("bytes={first}-{last}")),
        };
        self.request("GET", url, range)
    }

    fn request(&self, method: &str, url: &str, range: Option<String>) -> Result<Reply, HttpError> {
        let mut uri = check_url(url)?;
        let mut hops = Vec::new();
        loop {
            let here = uri.to_string();
            if uri.scheme_str() == Some("https") && !self.trusts_a_ca {
                return Err(HttpError::NoCertificate { url: here });
            }
            let response = self.one(method, &uri, range.as_deref()).map_err(|e| self.stand(&here).error(e))?;
            let Some(to) = redirect(&here, &uri, &response)? else {
                return Ok(Reply::new(here, hops, response, self.settings, HEADER_LIMIT));
            };
            hops.push(response.status().as_u16());
            if hops.len() > usize::from(self.settings.max_redirects) {
                return Err(HttpError::TooManyRedirects {
                    url: url.into(),
                    limit: self.settings.max_redirects,
                    to: to.to_string(),
                });
            }
            uri = to;
        }
    }

    fn one(&self, method: &str, uri: &Uri, range: Option<&str>) -> Result<Response<ureq::Body>, ureq::Error> {
        let request = match method {
            "HEAD" => self.agent.head(uri),
            _ => self.agent.get(uri),
        };
        match range {
            Some(range) => request.header(header::RANGE, range).call(),
            None => request.call(),
        }
    }

    fn stand<'a>(&self, url: &'a str) -> Stand<'a> {
        Stand {
            url,
            stall_millis: self.settings.stall_millis,
            total_millis: self.settings.total_millis,
            header_limit: HEADER_LIMIT,
            received: 0,
            expected: None,
        }
    }
}

/// Where a reply redirects to: esp_https_ota follows 301, 302, 303, 307 and 308 (behaviour sheet §5.6).
fn redirect<B>(here: &str, uri: &Uri, response: &Response<B>) -> Result<Option<Uri>, HttpError> {
    let status = response.status();
    if ![301, 302, 303, 307, 308].contains(&status.as_u16()) {
        return Ok(None);
    }
    let to = response.headers().get(header::LOCATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let bad = |reason| HttpError::BadRedirect { url: here.into(), status: status.as_u16(), to: to.into(), reason };
    let target = match to {
        "" => return Err(bad("which is no place to go: it has no readable Location header")),
        path if path.starts_with('/') && !path.starts_with("//") => {
            let authority = uri.authority().map_or("", |a| a.as_str());
            format!("{}://{authority}{path}", uri.scheme_str().unwrap_or("http"))
        }
        absolute if absolute.contains("://") => absolute.into(),
        _ => return Err(bad("neither an absolute path nor a URL")),
    };
    let target = check_url(&target)?;
    if uri.scheme_str() == Some("https") && target.scheme_str() == Some("http") {
        return Err(bad("which would leave TLS"));
    }
    Ok(Some(target))
}

/// The certificates of a PEM file.
fn certificates(file: &str, pem: &[u8]) -> Result<Vec<Certificate<'static>>, HttpError> {
    let bad = |reason: String| HttpError::BadCertificateFile { file: file.into(), reason };
    let found: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|_| bad("its PEM text is damaged".into()))?;
    let mut store = rustls::RootCertStore::empty();
    let (good, bad_ones) = store.add_parsable_certificates(found.iter().cloned());
    if good == 0 {
        return Err(bad(match bad_ones {
            0 => "no certificate in it".into(),
            n => format!("{n} certificates in it, none of which can be parsed"),
        }));
    }
    Ok(found.iter().map(|der| Certificate::from_der(der).to_owned()).collect())
}
