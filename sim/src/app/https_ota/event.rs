//! What `esp_https_ota` logs; wording is [`crate::uart`]'s.

use crate::app::{self, EspError};
use serde::Serialize;

/// One thing that `esp_https_ota` prints about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "https_ota", rename_all = "snake_case")]
pub enum Event {
    /// No CA certificate was given.
    NoCertificate {
        /// The app was built to go on all the same.
        allowed: bool,
    },
    /// `esp_http_client_open` failed.
    OpenFailed,
    /// A redirect that cannot be followed.
    RedirectionFailed,
    /// No reply, or a status that says no.
    NotEstablished,
    /// Status 403 or 404.
    FileNotFound {
        /// The status.
        status: u16,
    },
    /// Another status from 400 on.
    ClientError {
        /// The status.
        status: u16,
    },
    /// A status from 500 on.
    ServerError {
        /// The status.
        status: u16,
    },
    /// Status 304.
    NotModified {
        /// The status.
        status: u16,
    },
    /// Status 416.
    RangeIncorrect {
        /// The status.
        status: u16,
    },
    /// Too many answers 401.
    Unauthorized {
        /// The status.
        status: u16,
    },
    /// HEAD or GET for the length was answered with a status that does not help.
    IncorrectStatus {
        /// The status.
        status: u16,
    },
    /// The request for the length failed.
    PerformFailed {
        /// The code.
        error: EspError,
    },
    /// The reply tells no length.
    NoLength,
    /// A resumed download was answered from the start.
    RangeIgnored,
    /// The download starts from the beginning instead.
    FallsBack {
        /// The code.
        error: EspError,
    },
    /// The connection stands.
    Starting,
    /// There is no slot to write.
    NoPassivePartition,
    /// The slot that is written.
    WritingTo {
        /// Its label.
        label: String,
        /// Its subtype.
        subtype: u8,
        /// Its flash address.
        offset: u32,
    },
    /// The image ends before its header does.
    HeadersIncomplete,
    /// The app descriptor is none.
    BadDescriptor,
    /// `esp_ota_begin` failed.
    BeginFailed {
        /// The code.
        error: EspError,
    },
    /// `esp_ota_resume` failed.
    ResumeFailed {
        /// The code.
        error: EspError,
    },
    /// The decrypt callback failed.
    DecryptFailed {
        /// The code.
        error: EspError,
    },
    /// The decrypt callback made nothing of the first bytes.
    HeaderDecryptionFailed,
    /// The image is for another chip.
    OtherChip {
        /// This chip's id.
        expected: u16,
        /// The image's.
        found: u16,
    },
    /// `esp_ota_write` failed.
    WriteFailed {
        /// The code.
        error: EspError,
    },
    /// The server closed the connection at the end of the image.
    ConnectionClosed,
    /// The connection ended before the image did.
    ClosedEarly,
    /// Reading failed.
    ReadFailed,
    /// `perform` after the end.
    InvalidState,
    /// `esp_ota_set_boot_partition` failed.
    SetBootFailed {
        /// The code.
        error: EspError,
    },
}

impl From<Event> for app::Event {
    fn from(event: Event) -> Self {
        Self::HttpsOta(event)
    }
}
