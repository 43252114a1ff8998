//! The words of the first stage. Behaviour sheet §1.

use super::{MODES, Uart};
use crate::rom::{Event, Family, ResetCause};
use dryburn::secure_boot::v2::BlockError;

pub(super) fn line(uart: &mut Uart<'_>, event: &Event) {
    let esp32 = uart.rom.family == Family::Esp32;
    match event {
        Event::Banner { cause, strap } => banner(uart, *cause, *strap),
        Event::WaitingForDownload => uart.raw("waiting for download"),
        Event::InvalidHeader { word } => uart.raw(&format!("invalid header: {word:#010x}")),
        Event::FlashReadError { offset } => uart.raw(&format!("flash read err, {offset:x}")),
        Event::WrongChip { found, .. } if esp32 => uart.raw(&format!("wrong chip id {found:#06x}")),
        Event::WrongChip { expected, found } => {
            uart.raw(&format!("Invalid chip id. Expected {expected} read {found}. Bootloader for wrong chip?"));
        }
        Event::TooManySegments { count } => uart.raw(&format!("Invalid image block count: {count} (max 16)")),
        Event::Pins { pins: [wp, clk_q, d_cs, hd_wp] } => {
            let prefix = if esp32 { "configsip: 0, " } else { "" };
            uart.raw(&format!("{prefix}SPIWP:{wp:#04x}"));
            if esp32 {
                let (low, high) = (|b: &u8| b & 15, |b: &u8| b >> 4);
                uart.raw(&format!(
                    "clk_drv:{:#04x},q_drv:{:#04x},d_drv:{:#04x},cs0_drv:{:#04x},hd_drv:{:#04x},wp_drv:{:#04x}",
                    low(clk_q),
                    high(clk_q),
                    low(d_cs),
                    high(d_cs),
                    low(hd_wp),
                    high(hd_wp)
                ));
            }
        }
        Event::SpiMode { mode, divider, as_number: true } => uart.raw(&format!("mode:{mode}, clock div:{divider}")),
        Event::SpiMode { mode, divider, .. } => {
            let name = MODES.get(usize::from(*mode)).map_or("", |(_, rom)| rom);
            uart.raw(&format!("mode:{name}, clock div:{divider}"));
        }
        Event::SecureBootV2 => uart.raw("secure boot v2 enabled"),
        Event::KeyBlocks { usable } => {
            let list: String = usable.iter().map(|i| format!(" {i}")).collect();
            uart.raw(&format!("Valid secure boot key blocks:{list}"));
        }
        Event::SimpleHashFailed => uart.raw("SHA-256 simple hash comparison failed."),
        Event::StagingTooSmall { kib } => uart.raw(&format!("Bootloader is too large for {kib}KB staging area.")),
        Event::BadBlock if esp32 => uart.raw("Invalid image block, can't verify."),
        Event::BadBlock => uart.raw("Invalid image block, can't boot."),
        Event::SignatureBlock { index, error } => signature_block(uart, *index, error),
        Event::KeyRevoked { digest } => uart.raw(&format!(
            "Aggressive revoke enabled. Revoked key block for purpose ETS_EFUSE_KEY_PURPOSE_SECURE_BOOT_DIGEST{digest}"
        )),
        Event::SecureBootVerdict { passed: true } => uart.raw("secure boot verification succeeded"),
        Event::SecureBootVerdict { passed: false } => uart.raw("secure boot verification failed"),
        Event::Load { address, length, .. } if !esp32 => uart.raw(&format!("load:{address:#010x},len:{length:#x}")),
        Event::Load { address, length, secure: true } => uart.raw(&format!("load:{address:#010x} len:{length:#x}")),
        Event::Load { address, length, .. } => uart.raw(&format!("load:{address:#010x},len:{length}")),
        Event::Straddle { tail, room } => uart.raw(&format!("ho 0 tail {tail} room {room}")),
        Event::BadLength { length } => uart.raw(&format!("cmd len {length}")),
        Event::Checksum { calculated, stored } if esp32 => {
            uart.raw(&format!("csum err:{calculated:#04x}!={stored:#04x}"));
        }
        Event::Checksum { calculated, stored } => {
            uart.raw(&format!("Checksum failure. Calculated {calculated:#04x} stored {stored:#04x}"));
        }
        Event::Hash { calculated, expected } => {
            let hex = |h: &[u8; 32]| h.iter().map(|b| format!("{b:02x}")).collect::<String>();
            uart.raw("SHA-256 comparison failed:");
            uart.raw(&format!("Calculated: {}", hex(calculated)));
            uart.raw(&format!("Expected: {}", hex(expected)));
            uart.raw("Attempting to boot anyway...");
        }
        Event::SecureBootV1Failed if uart.rom.from_revision.0 >= 300 => uart.raw("Secure boot check fail"),
        Event::SecureBootV1Failed => uart.raw("secure boot check fail"),
        Event::Entry { address } => uart.raw(&format!("entry {address:#010x}")),
        Event::GivesUp { file, line } => uart.raw(&format!("{file} {line} ")),
        Event::Basic => {
            uart.raw("Falling back to built-in command interpreter.");
            uart.raw("OK");
            uart.raw(">");
        }
    }
}

fn banner(uart: &mut Uart<'_>, cause: ResetCause, strap: u32) {
    for text in uart.rom.banner {
        uart.raw(text);
    }
    let esp32 = uart.rom.family == Family::Esp32;
    let (code, old, new) = match cause {
        ResetCause::PowerOn => (0x1, "POWERON_RESET", "POWERON"),
        ResetCause::Software => (0x3, "SW_RESET", "RTC_SW_SYS_RST"),
        ResetCause::DeepSleep => (0x5, "DEEPSLEEP_RESET", "DSLEEP"),
        ResetCause::TimerWatchdog => (0x7, "TG0WDT_SYS_RESET", "TG0WDT_SYS_RST"),
        ResetCause::AppRestart => (0xc, "SW_CPU_RESET", "RTC_SW_CPU_RST"),
        ResetCause::RtcWatchdog => (0x10, "RTCWDT_RTC_RESET", "RTCWDT_RTC_RST"),
    };
    let name = if esp32 { old } else { new };
    let mode = match (uart.rom.is_download(strap), esp32) {
        (false, _) => "SPI_FAST_FLASH_BOOT",
        (true, true) => match strap & 3 {
            0 => "DOWNLOAD_BOOT(UART0/UART1/SDIO_FEI_FEO_V2)",
            1 => "DOWNLOAD_BOOT(UART0/UART1/SDIO_FEI_REO_V2)",
            2 => "DOWNLOAD_BOOT(UART0/UART1/SDIO_REI_FEO_V2)",
            _ => "DOWNLOAD_BOOT(UART0/UART1/SDIO_REI_REO_V2)",
        },
        (true, false) => "DOWNLOAD(USB/UART0/1)",
    };
    uart.raw(&format!("rst:{code:#x} ({name}),boot:{strap:#x} ({mode})"));
}

/// The ROM's words about a refused signature block; the second stage calls the ROM, so they appear there as well.
pub(super) fn signature_block(uart: &mut Uart<'_>, index: u8, error: &BlockError) {
    match error {
        // an unused place behind the first block is not worth a line
        BlockError::BadMagic { .. } if index > 0 => {}
        BlockError::BadMagic { found } => uart.raw(&format!(
            "No signature block magic byte found at signature sector (found {found:#x} not 0xe7). Image not V2 signed?"
        )),
        BlockError::BadCrc { stored, computed } if uart.rom.family == Family::Esp32 => {
            uart.raw(&format!("Sig block {index} invalid: Stored CRC {stored:#010x} calculated {computed:#010x}"));
        }
        BlockError::BadCrc { stored, computed } => {
            let (stored, computed) = (stored & 0xFFFF, computed & 0xFFFF);
            uart.raw(&format!(
                "Sig block {index} invalid: Stored CRC ends {stored:#06x} calculated ends {computed:#06x}"
            ));
        }
        BlockError::DigestMismatch => uart.raw(&format!("Sig block {index} invalid: Image digest does not match")),
        BlockError::UntrustedKey => uart.raw(&format!("Sig block {index} signed with untrusted key")),
        _ => {
            uart.raw("Signature Check Failed");
            uart.raw(&format!("Sig block {index} signature verification failed"));
        }
    }
}
