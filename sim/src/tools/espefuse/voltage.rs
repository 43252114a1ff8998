//! set-flash-voltage: the internal regulator of the flash, on ESP32, S2 and S3.

use super::{
    super::Failure,
    args::Command,
    session::{Force, Session},
};
use dryburn::{Chip, efuse::read};

pub(super) fn run(session: &mut Session, command: &Command) -> Result<(), Failure> {
    let [voltage] = command.positional.as_slice() else {
        return Err(Failure::new("set-flash-voltage: name one of 1.8V, 3.3V, OFF"));
    };
    let esp32 = session.e.chip() == Chip::Esp32;
    let dot = if esp32 { "." } else { "" };
    let [force, reg, tieh, rail] = if esp32 {
        ["XPD_SDIO_FORCE", "XPD_SDIO_REG", "XPD_SDIO_TIEH", "VDD_SDIO"]
    } else {
        ["VDD_SPI_FORCE", "VDD_SPI_XPD", "VDD_SPI_TIEH", "VDD_SPI"]
    };
    let burned = |name| read(&*session.e, name) != 0;
    let (names, text) = match voltage.as_str() {
        "OFF" => {
            if burned(reg) {
                return Err(Failure::new(format!(
                    "Can't set flash regulator to OFF as {reg} eFuse is already burned{dot}"
                )));
            }
            let text = format!(
                "Disable internal flash voltage regulator ({rail}). SPI flash will need to be powered from an external source.\n\
                 The following eFuse is burned: {force}.\n\
                 It is possible to later re-enable the internal regulatorto 1.8V or 3.3Vby burning an additional eFuse{dot}"
            );
            (vec![force], text)
        }
        "1.8V" => {
            if burned(tieh) {
                return Err(Failure::new(format!(
                    "Can't set regulator to 1.8V is {tieh} eFuse is already burned{dot}"
                )));
            }
            let text = format!(
                "Set internal flash voltage regulator ({rail}) to 1.8V.\nThe following eFuses are burned: {force}, {reg}.\n\
                 It is possible to later increase the voltage to 3.3V (permanently) by burning additional eFuse {tieh}{dot}"
            );
            (vec![force, reg], text)
        }
        "3.3V" => {
            let text = format!(
                "Enable internal flash voltage regulator ({rail}) to 3.3V.\n\
                 The following eFuses are burned: {force}, {reg}, {tieh}."
            );
            (vec![force, reg, tieh], text)
        }
        other => {
            return Err(Failure::new(format!(
                "Invalid value for VOLTAGE: '{other}' is not one of '1.8V', '3.3V', 'OFF'."
            )));
        }
    };
    session.say(&text);
    for name in names {
        if let Some(field) = session.field(name) {
            session.stage(field, &[1], Force { hint: false })?;
        }
    }
    session.say(&format!("{rail} setting complete."));
    session.finish(false)
}
