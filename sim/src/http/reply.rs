//! A reply: what its headers say, and its body in pieces.

use super::{ContentRange, HttpError, Settings, error::Stand, range::number};
use std::io::Read;
use ureq::{
    Body, BodyReader,
    http::{Response, header},
};

/// A reply whose body has not been read yet. Only the piece that is being read is in memory.
pub struct Reply {
    url: String,
    hops: Vec<u16>,
    status: u16,
    length: Option<u64>,
    content_range: Option<ContentRange>,
    etag: Option<String>,
    chunked: bool,
    ended: bool,
    body: BodyReader<'static>,
    received: u64,
    failed: Option<HttpError>,
    settings: Settings,
    header_limit: usize,
}

impl std::fmt::Debug for Reply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reply")
            .field("url", &self.url)
            .field("status", &self.status)
            .field("length", &self.length)
            .finish_non_exhaustive()
    }
}

impl Reply {
    pub(super) fn new(
        url: String,
        hops: Vec<u16>,
        response: Response<Body>,
        settings: Settings,
        header_limit: usize,
    ) -> Self {
        let (parts, body) = response.into_parts();
        let text = |name| parts.headers.get(name).and_then(|value| value.to_str().ok());
        Self {
            url,
            hops,
            status: parts.status.as_u16(),
            length: text(header::CONTENT_LENGTH).and_then(number),
            content_range: text(header::CONTENT_RANGE).and_then(ContentRange::parse),
            etag: text(header::ETAG).map(str::to_owned),
            chunked: text(header::TRANSFER_ENCODING).is_some_and(|value| value.eq_ignore_ascii_case("chunked")),
            ended: false,
            body: body.into_reader(),
            received: 0,
            failed: None,
            settings,
            header_limit,
        }
    }

    /// The URL that answered, after redirects.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Statuses of the redirects on the way, in order.
    pub fn hops(&self) -> &[u16] {
        &self.hops
    }

    /// Status code.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// `Content-Length`: bytes of this body, not of the file when only a range of it comes.
    pub fn length(&self) -> Option<u64> {
        self.length
    }

    /// `Content-Range`, where it is there and makes sense.
    pub fn content_range(&self) -> Option<ContentRange> {
        self.content_range
    }

    /// `ETag`: names this version of the file.
    pub fn etag(&self) -> Option<&str> {
        self.etag.as_deref()
    }

    /// Bytes of the body that were read.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Whether the whole body has been read, as far as the headers tell (`esp_http_client_is_complete_data_received`): a body
    /// that only the end of its connection ends is never known to be whole.
    pub fn is_complete(&self) -> bool {
        if self.chunked { self.ended } else { self.length == Some(self.received) }
    }

    /// Fills `buf` as far as the body reaches: less than its length only at the end, or just before a failure, which the
    /// next call then tells. So the pieces are the same however the network cut them. 0 is the end of the body.
    ///
    /// # Errors
    /// The connection closed early, went silent, or took too long.
    pub fn fill(&mut self, buf: &mut [u8]) -> Result<usize, HttpError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let mut filled = 0;
        while let Some(rest) = buf.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.body.read(rest) {
                Ok(0) => {
                    self.ended = true;
                    break;
                }
                Ok(n) => {
                    filled += n;
                    self.received += n as u64;
                }
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                Err(e) => {
                    let error = self.stand().error(ureq::Error::from(e));
                    self.failed = Some(error.clone());
                    if filled == 0 {
                        return Err(error);
                    }
                    break;
                }
            }
        }
        Ok(filled)
    }

    fn stand(&self) -> Stand<'_> {
        Stand {
            url: &self.url,
            stall_millis: self.settings.stall_millis,
            total_millis: self.settings.total_millis,
            header_limit: self.header_limit,
            received: self.received,
            expected: self.length,
        }
    }
}
