//! What the application logs about updates; wording is [`crate::uart`]'s.

use super::{encrypted_img, https_ota};
use dryburn::image;
use serde::Serialize;

/// One thing that the app prints about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "app", rename_all = "snake_case")]
pub enum Event {
    /// The table has no otadata partition.
    NoOtadata,
    /// `esp_ota_begin` while the running app is PENDING_VERIFY.
    NotConfirmed,
    /// `esp_ota_begin` of a partition that has a handle.
    AlreadyOpen {
        /// Its label.
        label: String,
    },
    /// A write of a null pointer.
    NoData,
    /// A write to a handle that there is not.
    NoHandle {
        /// It was `esp_ota_write_with_offset`.
        with_offset: bool,
    },
    /// The first byte of an image is not 0xE9.
    ImageMagic {
        /// What it is.
        found: u8,
    },
    /// The first two bytes of a partition table are not 0x50AA.
    TableMagic {
        /// What they are, little-endian.
        found: u16,
    },
    /// `esp_ota_write_with_offset` on an encrypted device with a length that is not a multiple of 16.
    OffsetWriteUnaligned,
    /// An encrypted write to an address that is not a multiple of 16.
    EncryptedAddressUnaligned,
    /// An encrypted write of a length that is not a multiple of 16.
    EncryptedLengthUnaligned,
    /// `esp_ota_end` did not like the image.
    NewImageFailed,
    /// The app is older than the secure version in eFuse.
    SecureVersionTooLow,
    /// No entry of otadata is valid, though they are not blank.
    OtadataInvalid,
    /// There is no app partition at all.
    NoAppPartitions,
    /// No other app could be started.
    RollbackImpossible,
    /// No entry of otadata is active.
    RunningIsFactory,
    /// The active entry of otadata is INVALID from here on.
    RolledBack,
    /// An assertion fails; the chip restarts.
    AssertFailed {
        /// The function.
        function: &'static str,
        /// Line in `esp_ota_ops.c`, where it is known for this release.
        line: Option<u16>,
        /// What does not hold.
        expression: &'static str,
    },
    /// An image check of the core.
    Image(image::Event),
    /// From `esp_https_ota`.
    HttpsOta(https_ota::Event),
    /// From `esp_encrypted_img`.
    EncryptedImg(encrypted_img::Event),
    /// A line of the app's own.
    Says {
        /// Its log level.
        level: Level,
        /// Its log tag.
        tag: &'static str,
        /// The text.
        text: String,
    },
}

/// Level of a line of the app's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// `ESP_LOGE`.
    Error,
    /// `ESP_LOGW`.
    Warning,
    /// `ESP_LOGI`.
    Info,
}
