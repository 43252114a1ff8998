//! `esp_err_t`: the codes that the update API returns. Behaviour sheet §4.1, 5.1.

/// Why a call failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
pub enum EspError {
    /// Unspecified.
    Fail,
    /// A wrong argument.
    InvalidArg,
    /// The wrong moment.
    InvalidState,
    /// A size that does not fit.
    InvalidSize,
    /// There is no such thing.
    NotFound,
    /// Not for this kind of partition.
    NotSupported,
    /// A partition that is flagged read-only.
    NotAllowed,
    /// The image is for another chip.
    InvalidVersion,
    /// The update would overwrite the running app.
    OtaPartitionConflict,
    /// The image is not good.
    OtaValidateFailed,
    /// The app is older than the secure version in eFuse.
    OtaSmallSecVer,
    /// There is nothing to roll back to.
    OtaRollbackFailed,
    /// The running app has not confirmed itself.
    OtaRollbackInvalidState,
    /// The partition is being updated already.
    OtaAlreadyInProgress,
    /// More redirects than the HTTP client follows.
    HttpMaxRedirect,
    /// The HTTP client got no connection.
    HttpConnect,
    /// The server has nothing newer.
    HttpNotModified,
    /// The server has no such range, or ignores ranges.
    HttpRangeNotSatisfiable,
    /// The flash driver failed.
    FlashOpFail,
    /// The flash driver failed; the code of ESP-IDF 3.
    FlashOpFailIdf3,
    /// The call does not return: an assertion fails and the chip restarts.
    Aborts,
    /// The call does not return: it loops for ever, until a watchdog resets the chip.
    NeverReturns,
}

use EspError as E;

/// Code and name of everything that can be returned.
const CODES: [(EspError, i32, &str); 20] = [
    (E::Fail, -1, "ESP_FAIL"),
    (E::InvalidArg, 0x102, "ESP_ERR_INVALID_ARG"),
    (E::InvalidState, 0x103, "ESP_ERR_INVALID_STATE"),
    (E::InvalidSize, 0x104, "ESP_ERR_INVALID_SIZE"),
    (E::NotFound, 0x105, "ESP_ERR_NOT_FOUND"),
    (E::NotSupported, 0x106, "ESP_ERR_NOT_SUPPORTED"),
    (E::NotAllowed, 0x10D, "ESP_ERR_NOT_ALLOWED"),
    (E::InvalidVersion, 0x10A, "ESP_ERR_INVALID_VERSION"),
    (E::OtaPartitionConflict, 0x1501, "ESP_ERR_OTA_PARTITION_CONFLICT"),
    (E::OtaValidateFailed, 0x1503, "ESP_ERR_OTA_VALIDATE_FAILED"),
    (E::OtaSmallSecVer, 0x1504, "ESP_ERR_OTA_SMALL_SEC_VER"),
    (E::OtaRollbackFailed, 0x1505, "ESP_ERR_OTA_ROLLBACK_FAILED"),
    (E::OtaRollbackInvalidState, 0x1506, "ESP_ERR_OTA_ROLLBACK_INVALID_STATE"),
    (E::OtaAlreadyInProgress, 0x1507, "ESP_ERR_OTA_ALREADY_IN_PROGRESS"),
    (E::FlashOpFail, 0x6001, "ESP_ERR_FLASH_OP_FAIL"),
    (E::HttpMaxRedirect, 0x7001, "ESP_ERR_HTTP_MAX_REDIRECT"),
    (E::HttpConnect, 0x7002, "ESP_ERR_HTTP_CONNECT"),
    (E::HttpNotModified, 0x7009, "ESP_ERR_HTTP_NOT_MODIFIED"),
    (E::HttpRangeNotSatisfiable, 0x700A, "ESP_ERR_HTTP_RANGE_NOT_SATISFIABLE"),
    (E::FlashOpFailIdf3, 0x1_0011, "ESP_ERR_FLASH_OP_FAIL"),
];

impl EspError {
    fn row(self) -> Option<(i32, &'static str)> {
        CODES.iter().find(|(error, ..)| *error == self).map(|(_, code, name)| (*code, *name))
    }

    /// The `esp_err_t`; `None` when the call does not return.
    pub fn code(self) -> Option<i32> {
        self.row().map(|(code, _)| code)
    }

    /// The name, as `esp_err_to_name` gives it; `None` when the call does not return.
    pub fn name(self) -> Option<&'static str> {
        self.row().map(|(_, name)| name)
    }
}

impl std::fmt::Display for EspError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.row(), self) {
            (Some((code, name)), _) => write!(f, "{code:#x} ({code}) {name}"),
            (None, Self::NeverReturns) => f.write_str("does not return: endless loop"),
            (None, _) => f.write_str("does not return: the app aborts"),
        }
    }
}

impl std::error::Error for EspError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_written_as_recorded() {
        assert_eq!(E::OtaValidateFailed.to_string(), "0x1503 (5379) ESP_ERR_OTA_VALIDATE_FAILED");
        assert_eq!(E::Fail.to_string(), "0xffffffff (-1) ESP_FAIL");
        assert_eq!(E::Aborts.code(), None);
    }
}
