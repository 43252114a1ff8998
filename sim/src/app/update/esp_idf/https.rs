//! As `advanced_https_ota` does it, and `pre_encrypted_ota` for envelopes: `esp_https_ota` step by step.

use super::{
    super::{Args, key::Key, transport::Fetched},
    End, Voice, decrypt, is_later,
};
use crate::{
    app::{
        EspError, EspOta,
        https_ota::{Config, Decrypt, HttpsOta, Performed, Release},
    },
    http::HttpError,
    tools::Failure,
};
use dryburn::envelope;

const ADVANCED: Voice = Voice("advanced_https_ota_example");
const PRE_ENCRYPTED: Voice = Voice("pre_encrypted_ota_example");

/// A resumed download is given up when so many connections in a row brought nothing.
const MOST_FRUITLESS: u32 = 3;

/// What one run of the example came to.
enum Attempt {
    Over(End),
    /// The connection was lost with so many bytes in flash; what that comes to if nobody goes on from there.
    Lost(u32, End),
}

pub(super) fn run(ota: &mut EspOta<'_>, args: &Args, fetched: Fetched, key: Option<Key>) -> Result<End, Failure> {
    let idf = ota.app.idf();
    let release = Release::of(idf);
    for (asked, there, name) in [
        (args.resume, release.resumption, "ota_resumption"),
        (args.partial.is_some(), release.partial, "partial_http_download"),
    ] {
        if asked && !there {
            return Err(Failure::new(format!("device ota: esp_https_ota of ESP-IDF {idf} has no {name}")));
        }
    }
    let says = if key.is_some() { PRE_ENCRYPTED } else { ADVANCED };
    let limit = ota.next_update_partition(None).ok().flatten().map_or(0, |partition| partition.size);
    let header = if matches!(key, Some(Key::Img(_))) { envelope::HEADER_SIZE } else { envelope::cbc::HEADER_SIZE };
    let header = if key.is_some() { header as u32 } else { 0 };
    let mut callback = key.map(|key| decrypt::callback(key, limit));
    let mut written = 0;
    let mut fruitless = 0;
    loop {
        let config = Config {
            url: fetched.url.clone(),
            client: fetched.client.clone(),
            has_certificate: args.cert.is_some(),
            buffer_size: args.chunk(),
            bulk_flash_erase: false,
            partial: args.partial.map(|bytes| bytes as u32),
            resume_from: args.resume.then_some(written),
            decrypt: callback.as_mut().map(|callback| callback.as_mut() as &mut dyn Decrypt),
            enc_img_header_size: header,
        };
        match attempt(ota, args, &says, config) {
            Attempt::Lost(now, _) if args.resume && fruitless < MOST_FRUITLESS => {
                fruitless = if now > written { 0 } else { fruitless + 1 };
                written = now;
            }
            Attempt::Lost(_, end) | Attempt::Over(end) => return Ok(end),
        }
    }
}

fn attempt(ota: &mut EspOta<'_>, args: &Args, says: &Voice, config: Config<'_>) -> Attempt {
    let encrypted = config.decrypt.is_some();
    let start = if encrypted { "Starting Pre Encrypted OTA example" } else { "Starting Advanced OTA example" };
    says.info(ota, start);
    let mut update = match HttpsOta::begin(ota, config) {
        Ok(update) => update,
        Err((_, cause)) => {
            says.error(ota, "ESP HTTPS OTA Begin failed");
            return Attempt::Over(End::GaveUp(cause.map(|cause| cause.to_string())));
        }
    };
    if !encrypted {
        let descriptor = match update.get_img_desc(ota) {
            Ok(descriptor) => descriptor,
            Err(EspError::NeverReturns) => return Attempt::Over(stuck(update.failure)),
            Err(_) => {
                let call = if ota.app.idf().since(5, 0) { "get_img_desc" } else { "read_img_desc" };
                says.error(ota, format!("esp_https_ota_{call} failed"));
                return Attempt::Over(gave_up(ota, says, update));
            }
        };
        if !says.accepts(ota, &descriptor, args) || !says.is_recent(ota, &descriptor) {
            says.error(ota, "image header verification failed");
            return Attempt::Over(gave_up(ota, says, update));
        }
    }
    let performed = loop {
        match update.perform(ota) {
            Ok(Performed::InProgress) => {}
            Ok(Performed::Done) => break Ok(()),
            Err(EspError::NeverReturns) => return Attempt::Over(stuck(update.failure)),
            Err(error) => break Err(error),
        }
    };
    let written = update.image_len_read();
    if is_later(ota.app.idf()) && (performed.is_err() || !update.is_complete_data_received()) {
        let lost = matches!(update.failure, Some(HttpError::Incomplete { .. }));
        if !update.is_complete_data_received() {
            says.error(ota, "Complete data was not received.");
        }
        let end = gave_up(ota, says, update);
        return if lost { Attempt::Lost(written, end) } else { Attempt::Over(end) };
    }
    if encrypted && update.decrypt_end(ota).is_err() {
        return Attempt::Over(gave_up(ota, says, update));
    }
    let finished = update.finish(ota);
    let failed = match (performed, finished) {
        (Ok(()), Ok(())) => {
            says.info(ota, "ESP_HTTPS_OTA upgrade successful. Rebooting ...");
            return Attempt::Over(End::Installed);
        }
        (Err(error), _) | (Ok(()), Err(error)) => error,
    };
    if failed == EspError::OtaValidateFailed && is_later(ota.app.idf()) {
        says.error(ota, "Image validation failed, image is corrupted");
    }
    says.error(ota, format!("ESP_HTTPS_OTA upgrade failed {:#x}", failed.code().unwrap_or(-1)));
    Attempt::Over(End::GaveUp(None))
}

fn gave_up(ota: &mut EspOta<'_>, says: &Voice, mut update: HttpsOta<'_>) -> End {
    let cause = update.failure.take();
    update.abort(ota);
    says.error(ota, "ESP_HTTPS_OTA upgrade failed");
    End::GaveUp(cause.map(|cause| cause.to_string()))
}

fn stuck(failure: Option<HttpError>) -> End {
    End::Stuck(failure.map_or_else(|| "nothing arrives".into(), |error| error.to_string()))
}
