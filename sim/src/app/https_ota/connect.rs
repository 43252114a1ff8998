//! The requests of `esp_https_ota`: which ranges are asked for, and what is made of the answers.

use super::{Config, Event, Release};
use crate::{
    app::{App, EspError},
    http::{HttpError, Part, Reply},
};

/// A resumed download needs so many bytes in flash.
const LEAST_TO_RESUME: u32 = 1024;

type Refused = (EspError, Option<HttpError>);

/// The first request. Gives the reply, the bytes of the image that are in flash already, and the image's length.
pub(super) fn first(
    app: &mut App<'_>,
    config: &Config<'_>,
    release: &Release,
) -> Result<(Reply, u32, Option<u64>), Refused> {
    let mut written = match config.resume_from {
        Some(bytes) if bytes >= LEAST_TO_RESUME && app.flash_encryption() => bytes & !15,
        Some(bytes) if bytes >= LEAST_TO_RESUME => bytes,
        _ => 0,
    };
    let length = match config.partial {
        Some(_) => Some(image_length(app, config, release)?),
        None => None,
    };
    let first = request(app, config, length, written, config.resume_from.is_some());
    let reply = match first {
        Err((error @ EspError::HttpRangeNotSatisfiable, _)) if config.resume_from.is_some() => {
            app.tell(Event::FallsBack { error }.into());
            written = 0;
            request(app, config, length, 0, false)
        }
        other => other,
    };
    let reply = reply.map_err(|(error, cause)| {
        if error != EspError::HttpNotModified {
            app.tell(Event::NotEstablished.into());
        }
        (error, cause)
    })?;
    let plain = |length: u64| length.saturating_sub(config.enc_img_header_size.into());
    let length = length.or_else(|| reply.length()).map(plain);
    Ok((reply, written, length))
}

/// The request for the next window of a partial download.
pub(super) fn next(
    app: &mut App<'_>,
    config: &Config<'_>,
    written: u32,
    image_length: Option<u64>,
) -> Result<Reply, EspError> {
    let header = u64::from(config.enc_img_header_size);
    let length = image_length.map(|length| length.saturating_add(header));
    let from = written.saturating_add(config.enc_img_header_size);
    request(app, config, length, from, false).map_err(|_| {
        app.tell(Event::NotEstablished.into());
        EspError::Fail
    })
}

fn request(
    app: &mut App<'_>,
    config: &Config<'_>,
    length: Option<u64>,
    from: u32,
    resumes: bool,
) -> Result<Reply, Refused> {
    let reply = config.client.get(&config.url, part(config, length, from.into(), resumes));
    let reply = reply.map_err(|error| refused(app, error))?;
    let status = reply.status();
    judge(app, status, Release::of(app.idf()))?;
    if resumes && config.partial.is_none() && status != 206 {
        app.tell(Event::RangeIgnored.into());
        return Err((EspError::HttpRangeNotSatisfiable, None));
    }
    Ok(reply)
}

/// What is asked for: a window of a partial download, or the rest. A resumed download asks for a range even when it begins
/// at 0, to learn whether the server knows ranges.
fn part(config: &Config<'_>, length: Option<u64>, first: u64, resumes: bool) -> Part {
    let left = length.unwrap_or(0).saturating_sub(first);
    match config.partial.map(u64::from).filter(|most| left > *most) {
        Some(most) => Part::Window { first, last: first.saturating_add(most).saturating_sub(1) },
        None if first > 0 || resumes => Part::From(first),
        None => Part::Whole,
    }
}

fn refused(app: &mut App<'_>, error: HttpError) -> Refused {
    let (event, code) = match &error {
        HttpError::Connect { .. } | HttpError::Tls { .. } | HttpError::NoCertificate { .. } => {
            (Some(Event::OpenFailed), EspError::HttpConnect)
        }
        HttpError::TooManyRedirects { .. } => (Some(Event::RedirectionFailed), EspError::HttpMaxRedirect),
        HttpError::BadRedirect { .. } | HttpError::BadUrl { .. } | HttpError::NotLoopback { .. } => {
            (Some(Event::RedirectionFailed), EspError::InvalidArg)
        }
        // esp_http_client_fetch_headers says no more than that it failed
        _ => (None, EspError::Fail),
    };
    if let Some(event) = event {
        app.tell(event.into());
    }
    (code, Some(error))
}

fn judge(app: &mut App<'_>, status: u16, release: &Release) -> Result<(), Refused> {
    let named = release.names_304_and_416;
    let (event, error) = match status {
        304 if named => (Event::NotModified { status }, EspError::HttpNotModified),
        416 if named => (Event::RangeIncorrect { status }, EspError::HttpRangeNotSatisfiable),
        401 => (Event::Unauthorized { status }, EspError::Fail),
        403 | 404 => (Event::FileNotFound { status }, EspError::Fail),
        400..=499 => (Event::ClientError { status }, EspError::Fail),
        500.. => (Event::ServerError { status }, EspError::Fail),
        _ => return Ok(()),
    };
    app.tell(event.into());
    Err((error, None))
}

/// The length of the file, asked for before a partial download.
fn image_length(app: &mut App<'_>, config: &Config<'_>, release: &Release) -> Result<u64, Refused> {
    let perform = |app: &mut App<'_>, reply: Result<Reply, HttpError>| {
        reply.map_err(|cause| {
            let error = EspError::HttpConnect;
            app.tell(Event::PerformFailed { error }.into());
            (error, Some(cause))
        })
    };
    let head = perform(app, config.client.head(&config.url))?;
    let incorrect = |app: &mut App<'_>, status| {
        app.tell(Event::IncorrectStatus { status }.into());
        Err((EspError::Fail, None))
    };
    let length = match head.status() {
        200 => head.length(),
        status if !release.length_without_head => return incorrect(app, status),
        _ => {
            let get = perform(app, config.client.get(&config.url, Part::Window { first: 0, last: 0 }))?;
            match get.status() {
                200 => get.length(),
                206 => get.content_range().and_then(|range| range.total),
                status => return incorrect(app, status),
            }
        }
    };
    length.ok_or_else(|| {
        app.tell(Event::NoLength.into());
        (EspError::Fail, None)
    })
}
