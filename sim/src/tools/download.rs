//! What a chip's download mode still lets serial tools do (serial-protocol sheet §9; formats sheet §8.3).

use super::Failure;
use crate::efuse::Efuses;
use dryburn::{
    Chip,
    efuse::{read, security},
};

/// What esptool and espefuse find on the other end of the cable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Download {
    /// Everything works.
    Open,
    /// ENABLE_SECURITY_DOWNLOAD: no reading of memory, registers or flash.
    Secure,
    /// DIS_DOWNLOAD_MODE, on an ESP32 of revision 3 or later UART_DOWNLOAD_DIS: nobody answers.
    Closed,
}

impl Download {
    /// As the eFuses have it.
    pub fn of(efuses: &Efuses) -> Self {
        let burned = |name| read(efuses, name) != 0;
        let obeys_uart_download_dis = efuses.chip() != Chip::Esp32 || security::chip_revision(efuses).major() >= 3;
        if burned("DIS_DOWNLOAD_MODE") || burned("UART_DOWNLOAD_DIS") && obeys_uart_download_dis {
            Self::Closed
        } else if burned("ENABLE_SECURITY_DOWNLOAD") {
            Self::Secure
        } else {
            Self::Open
        }
    }
}

/// How esptool and espefuse end where no chip answers.
pub(super) fn no_answer(chip: Chip) -> Failure {
    Failure::new(format!(
        "A fatal error occurred: Failed to connect to {}: No serial data received.\n\
         For troubleshooting steps visit: https://docs.espressif.com/projects/esptool/en/latest/troubleshooting.html",
        chip.spec().title
    ))
}
