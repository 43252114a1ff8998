//! The words of `esp_https_ota` and `esp_encrypted_img`. Behaviour sheet §5.6; not recorded: UNVERIFIED.

use super::Uart;
use crate::app::{EspError, encrypted_img, https_ota::Event};

/// An error as `esp_err_to_name` gives it.
fn name(error: EspError) -> &'static str {
    error.name().unwrap_or("UNKNOWN ERROR")
}

pub(super) fn lines(uart: &mut Uart<'_>, event: &Event) {
    use Event as E;
    let tag = "esp_https_ota";
    let code = |error: EspError| error.code().unwrap_or(-1);
    let text = match event {
        E::NoCertificate { allowed: true } => {
            let text = "Continuing with insecure option because CONFIG_ESP_HTTPS_OTA_ALLOW_HTTP is set.";
            // the releases before had no line for it
            return if uart.idf.since(4, 3) {
                uart.warn(tag, text)
            };
        }
        E::NoCertificate { allowed: false } => uart
            .since(&[
                ((0, 0), "Server certificate not found in esp_http_client config"),
                ((4, 4), "No option for server verification is enabled in esp_http_client config."),
            ])
            .into(),
        E::OpenFailed => format!("Failed to open HTTP connection: {}", name(EspError::HttpConnect)),
        E::RedirectionFailed => "URL redirection Failed".into(),
        E::NotEstablished => "Failed to establish HTTP connection".into(),
        E::FileNotFound { status } => format!("File not found({status})"),
        E::ClientError { status } => format!("Client error ({status})"),
        E::ServerError { status } => format!("Server error ({status})"),
        E::NotModified { status } => {
            return uart.info(tag, &format!("OTA image not modified since last request (status code: {status})"));
        }
        E::RangeIncorrect { status } => {
            return uart.info(tag, &format!("Requested range is incorrect (status code: {status})"));
        }
        E::Unauthorized { status } => format!("Reached max_authorization_retries ({status})"),
        E::IncorrectStatus { status } => format!("Received incorrect http status {status}"),
        E::PerformFailed { error } => format!("ESP HTTP client perform failed: {}", code(*error)),
        E::NoLength => "Failed to get image length from http response".into(),
        E::RangeIgnored => {
            uart.warn(tag, "Server ignored the requested Range header");
            return uart.warn(tag, "OTA resumption requires server with range request support.");
        }
        E::FallsBack { error } => {
            uart.error(tag, &format!("OTA resumption failed with err: {}.", code(*error)));
            return uart.info(tag, "Falling back to OTA without resumption and restarting download from beginning");
        }
        E::Starting => return uart.info(tag, "Starting OTA..."),
        E::NoPassivePartition => uart
            .since(&[
                ((0, 0), "Passive OTA partition not found"),
                ((5, 4), "Given staging partition or another suitable Passive OTA partition could not be found"),
            ])
            .into(),
        E::WritingTo { label, subtype, offset } => {
            let text = if uart.idf.since(5, 4) {
                format!("Writing to <{label}> partition at offset {offset:#x}")
            } else {
                format!("Writing to partition subtype {subtype} at offset {offset:#x}")
            };
            return uart.info(tag, &text);
        }
        E::HeadersIncomplete => "Complete headers were not received".into(),
        E::BadDescriptor => "Incorrect app descriptor magic".into(),
        E::BeginFailed { error } => format!("esp_ota_begin failed ({})", name(*error)),
        E::ResumeFailed { error } => format!("esp_ota_resume failed ({})", name(*error)),
        E::DecryptFailed { error } => format!("Decrypt callback failed {}", code(*error)),
        E::HeaderDecryptionFailed => "Decryption of image header failed".into(),
        E::OtherChip { expected, found } if uart.idf.since(6, 1) => {
            let text = format!("mismatch chip ID, expected {expected}, found {found}");
            return uart.error("boot_comm", &text);
        }
        E::OtherChip { expected, found } => format!("Mismatch chip id, expected {expected}, found {found}"),
        // up to 4.2 a decimal number stands behind the 0x
        E::WriteFailed { error } if !uart.idf.since(4, 3) => {
            format!("Error: esp_ota_write failed! err=0x{}", code(*error))
        }
        E::WriteFailed { error } => format!("Error: esp_ota_write failed! err={:#x}", code(*error)),
        E::ConnectionClosed => return uart.info(tag, "Connection closed"),
        E::ClosedEarly => uart.since(&[((0, 0), "Connection closed, errno = 128"), ((5, 0), CLOSED_EARLY)]).into(),
        E::ReadFailed => "data read -1, errno 0".into(),
        E::InvalidState => "Invalid ESP HTTPS OTA State".into(),
        E::SetBootFailed { error } => format!("esp_ota_set_boot_partition failed! err={:#x}", code(*error)),
    };
    uart.error(tag, &text);
}

const CLOSED_EARLY: &str = "Connection closed before complete data was received!";

pub(super) fn encrypted_img(uart: &mut Uart<'_>, event: &encrypted_img::Event) {
    use encrypted_img::Event as E;
    let tag = "esp_encrypted_img";
    match event {
        E::MagicVerified => uart.info(tag, "Magic Verified"),
        E::BadMagic => uart.error(tag, "Magic Verification failed"),
        E::ReadingKey => uart.info(tag, "Reading RSA private key"),
        E::NoGcmKey { rsa } => {
            let text = if *rsa { "Unable to decipher GCM key" } else { "Failed to derive GCM key" };
            uart.error(tag, text);
            uart.error(tag, "Failed to process GCM key");
        }
        E::Incomplete => uart.error(tag, "Invalid operation"),
        E::InvalidAuth => uart.error(tag, "Invalid Auth"),
    }
}
