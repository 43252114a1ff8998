//! The words of the application about updates. Behaviour sheet §5, ota-api sheet.

use super::Uart;
use crate::app::{Event, event::Level};
use dryburn::image::{self, SignatureEvent};

pub(super) fn lines(uart: &mut Uart<'_>, event: &Event) {
    use Event as E;
    let text = match event {
        // the bootloader has another tag for it
        E::Image(image::Event::Signature(SignatureEvent::BadV1Version { found })) => {
            let tag = uart.since(&[((0, 0), "secure_boot"), ((4, 1), "secure_boot_v1")]);
            let suffix = uart.since(&[((0, 0), ""), ((4, 4), " (image without a signature?)")]);
            let text = format!("image has invalid signature version field {found:#010x}{suffix}");
            return uart.error(tag, &text);
        }
        E::Image(event) => return super::bootloader::image(uart, event),
        E::HttpsOta(event) => return super::https_ota::lines(uart, event),
        E::EncryptedImg(event) => return super::https_ota::encrypted_img(uart, event),
        E::Says { level, tag, text } => {
            return match level {
                Level::Error => uart.error(tag, text),
                Level::Warning => uart.warn(tag, text),
                Level::Info => uart.info(tag, text),
            };
        }
        // the flash driver logs while the cache is off, without a stamp
        E::EncryptedAddressUnaligned => {
            return uart.raw("E spi_flash: flash encrypted write address must be 16 bytes aligned");
        }
        E::EncryptedLengthUnaligned => {
            return uart.raw("E spi_flash: flash encrypted write length must be multiple of 16");
        }
        E::AssertFailed { function, line, expression } => {
            let line = line.map_or(String::new(), |line| format!(":{line}"));
            return uart.raw(&format!("assert failed: {function} esp_ota_ops.c{line} ({expression})"));
        }
        E::RolledBack => {
            let text = uart.since(&[
                ((0, 0), "Rollback to previously worked partition. Restart."),
                ((5, 5), "Rollback to previously worked partition."),
            ]);
            return uart.info(TAG, text);
        }
        E::NoOtadata => "not found otadata".into(),
        E::NotConfirmed => "Running app has not confirmed state (ESP_OTA_IMG_PENDING_VERIFY)".into(),
        E::AlreadyOpen { label } => format!("OTA operation already in progress on partition {label}"),
        E::NoData => "write data is invalid".into(),
        E::NoHandle { with_offset: false } => "not found the handle".into(),
        E::NoHandle { with_offset: true } => "OTA handle not found".into(),
        E::ImageMagic { found } => format!("OTA image has invalid magic byte (expected 0xE9, saw 0x{found:02x})"),
        E::TableMagic { found } => {
            format!("Partition table image has invalid magic word (expected 0x50AA, saw 0x{found:04x})")
        }
        E::OffsetWriteUnaligned => "Size should be 16byte aligned for flash encryption case".into(),
        E::NewImageFailed => "New image failed verification".into(),
        E::SecureVersionTooLow => SECURE_VERSION_TOO_LOW.into(),
        E::OtadataInvalid => "ota data invalid, no current app. Assuming factory".into(),
        E::NoAppPartitions => "invalid partition table, no app partitions".into(),
        E::RollbackImpossible => "Rollback is not possible, do not have any suitable apps in slots".into(),
        E::RunningIsFactory => "Running firmware is factory".into(),
    };
    uart.error(TAG, &text);
}

const TAG: &str = "esp_ota_ops";
const SECURE_VERSION_TOO_LOW: &str = "This a new partition can not be booted due to a secure version is lower than \
                                      stored in efuse. Partition will be erased.";
