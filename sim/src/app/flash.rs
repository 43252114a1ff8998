//! The flash driver of the app: what it checks before it writes. Behaviour sheet §4.1, 4.4.

use super::{App, EspError, Event, release::Driver};
use dryburn::SECTOR;

/// Encrypts and programs `data` at flash address `address`: `spi_flash_write_encrypted`, from ESP-IDF 4.4 on
/// `esp_flash_write_encrypted`. Both want address and length in multiples of 16, and refuse them with different codes.
///
/// # Errors
/// As the release has it: a bad address is 0x102, a bad length 0x104, an unlock that fails 0x6001.
pub fn write_encrypted(app: &mut App<'_>, address: u32, data: &[u8]) -> Result<(), EspError> {
    let driver = app.release().driver;
    let new = driver == Driver::EspFlash;
    let inside = u64::from(address) + data.len() as u64 <= u64::from(app.device.flash.size());
    if new && !inside {
        return Err(EspError::InvalidArg);
    }
    if !address.is_multiple_of(16) {
        if new {
            app.tell(Event::EncryptedAddressUnaligned);
        }
        return Err(EspError::InvalidArg);
    }
    if !data.len().is_multiple_of(16) {
        if new {
            app.tell(Event::EncryptedLengthUnaligned);
        }
        return Err(EspError::InvalidSize);
    }
    if driver == Driver::Unlocking && app.unlock_fails() {
        return Err(EspError::FlashOpFail);
    }
    app.program_encrypted(address, data).map_err(|_| EspError::InvalidSize)
}

/// Programs `data` at flash address `address` as it is: `spi_flash_write`, `esp_flash_write`, `esp_partition_write_raw`.
///
/// # Errors
/// Beyond the end of flash: 0x104 up to ESP-IDF 4.3, 0x102 from then on.
pub fn write_raw(app: &mut App<'_>, address: u32, data: &[u8]) -> Result<(), EspError> {
    let beyond = if app.release().driver == Driver::EspFlash { EspError::InvalidArg } else { EspError::InvalidSize };
    app.device.flash.program(address, data).map_err(|_| beyond)
}

/// Erases whole sectors at flash address `address`: `spi_flash_erase_range`, `esp_flash_erase_region`.
///
/// # Errors
/// Not whole sectors, or beyond the end of flash; the codes differ between the two drivers.
pub fn erase(app: &mut App<'_>, address: u32, length: u32) -> Result<(), EspError> {
    let new = app.release().driver == Driver::EspFlash;
    let refusal = if new || !address.is_multiple_of(SECTOR) { EspError::InvalidArg } else { EspError::InvalidSize };
    app.device.flash.erase(address, address.saturating_add(length)).map_err(|_| refusal)
}
