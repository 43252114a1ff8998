//! The words that the vendor's tool shows for the values of some fields; values without words are shown as numbers.
//!
//! Taken from the output of `espefuse summary` (5.6) for every value of every field.

use dryburn::Chip::{self, Esp32, Esp32c2, Esp32c3, Esp32c5, Esp32c6, Esp32c61, Esp32h2, Esp32p4, Esp32s2, Esp32s3};

/// Chips, field, value and word.
type Row = (&'static [Chip], &'static str, &'static [(u64, &'static str)]);

#[rustfmt::skip]
const MEANINGS: &[Row] = &[
    (&[Esp32s3], "BLK_VERSION_MAJOR", &[(0, "No calib"), (1, "ADC calib V1")]),
    (&[Esp32c3], "BLK_VERSION_MAJOR", &[(0, "No calibration"), (1, "With calibration")]),
    (&[Esp32s2], "BLK_VERSION_MINOR", &[(0, "No calib"), (1, "ADC calib V1"), (2, "ADC calib V2")]),
    (&[Esp32c2], "BLK_VERSION_MINOR", &[(0, "No calib"), (1, "With calib")]),
    (&[Esp32], "CODING_SCHEME", &[(0, "NONE (BLK1-3 len=256 bits)"), (1, "3/4 (BLK1-3 len=192 bits)"), (2, "REPEAT (BLK1-3 len=128 bits) not supported"), (3, "NONE (BLK1-3 len=256 bits)")]),
    (&[Esp32c3], "DIS_USB_SERIAL_JTAG", &[(0, "Enable"), (1, "Disable")]),
    (&[Esp32s3, Esp32c3], "DIS_USB_SERIAL_JTAG_ROM_PRINT", &[(0, "Enable"), (1, "Disable")]),
    (&[Esp32c3], "ERR_RST_ENABLE", &[(0, "without check"), (1, "with check")]),
    (&[Esp32c3], "FLASH_CAP", &[(0, "None"), (1, "4M"), (2, "2M"), (3, "1M"), (4, "8M")]),
    (&[Esp32s3], "FLASH_CAP", &[(0, "None"), (1, "8M"), (2, "4M")]),
    (&[Esp32s3], "FLASH_ECC_MODE", &[(0, "16to18 byte"), (1, "16to17 byte")]),
    (&[Esp32s3, Esp32c3], "FLASH_TEMP", &[(0, "None"), (1, "105C"), (2, "85C")]),
    (&[Esp32s2, Esp32s3], "FLASH_TYPE", &[(0, "4 data lines"), (1, "8 data lines")]),
    (&[Esp32s3], "FLASH_VENDOR", &[(0, "None"), (1, "XMC"), (2, "GD"), (3, "FM"), (4, "TT"), (5, "BY")]),
    (&[Esp32c3], "FLASH_VENDOR", &[(0, "None"), (1, "XMC"), (2, "GD"), (3, "FM"), (4, "TT"), (5, "ZBIT")]),
    (&[Esp32], "MAC_VERSION", &[(1, "Custom MAC in BLOCK3")]),
    (&[Esp32s2, Esp32s3], "PIN_POWER_SELECTION", &[(0, "VDD3P3_CPU"), (1, "VDD_SPI")]),
    (&[Esp32s3], "PSRAM_CAP", &[(0, "None"), (1, "8M"), (2, "2M"), (3, "16M")]),
    (&[Esp32s3], "PSRAM_TEMP", &[(0, "None"), (1, "105C"), (2, "85C")]),
    (&[Esp32s3], "PSRAM_VENDOR", &[(0, "None"), (1, "AP_3v3"), (2, "AP_1v8")]),
    (&[Esp32s2, Esp32s3, Esp32c2, Esp32c3, Esp32c5, Esp32c6, Esp32c61, Esp32h2, Esp32p4], "SPI_BOOT_CRYPT_CNT", &[(0, "Disable"), (1, "Enable"), (3, "Disable"), (7, "Enable")]),
    (&[Esp32s2], "UART_PRINT_CHANNEL", &[(0, "UART0"), (1, "UART1")]),
    (&[Esp32s2, Esp32s3], "UART_PRINT_CONTROL", &[(0, "Enable"), (1, "Enable when GPIO46 is low at reset"), (2, "Enable when GPIO46 is high at reset"), (3, "Disable")]),
    (&[Esp32c2, Esp32c3, Esp32c5, Esp32c6, Esp32h2], "UART_PRINT_CONTROL", &[(0, "Enable"), (1, "Enable when GPIO8 is low at reset"), (2, "Enable when GPIO8 is high at reset"), (3, "Disable")]),
    (&[Esp32s3], "USB_PHY_SEL", &[(0, "internal PHY is assigned to USB Device while external PHY is assigned to USB OTG"), (1, "internal PHY is assigned to USB OTG while external PHY is assigned to USB Device")]),
    (&[Esp32s2, Esp32s3], "VDD_SPI_TIEH", &[(0, "VDD_SPI connects to 1.8 V LDO"), (1, "VDD_SPI connects to VDD3P3_RTC_IO")]),
    (&[Esp32s2, Esp32s3, Esp32c2, Esp32c3], "WDT_DELAY_SEL", &[(0, "40000"), (1, "80000"), (2, "160000"), (3, "320000")]),
    (&[Esp32], "XPD_SDIO_TIEH", &[(0, "1.8V"), (1, "3.3V")]),
    (&[Esp32c2], "XTS_KEY_LENGTH_256", &[(0, "128 bits key"), (1, "256 bits key")]),
];

/// The word for `value` of a field.
pub(super) fn word(chip: Chip, field: &str, value: u64) -> Option<&'static str> {
    let (.., words) = MEANINGS.iter().find(|(chips, name, _)| *name == field && chips.contains(&chip))?;
    words.iter().find(|(n, _)| *n == value).map(|(_, word)| *word)
}
