//! `get-security-info`: what the ROM tells about eFuses even in secure download mode (serial-protocol sheet §4.5).

use super::Failure;
use crate::efuse::Efuses;
use dryburn::{
    Chip,
    efuse::{KeyPurpose, field, read, security},
};
use std::fmt::Write as _;

/// The flags of the reply, by bit. Which eFuse stands behind the USB flag of chips after the ESP32-S2 is UNVERIFIED.
const FLAGS: [(&str, u32); 11] = [
    ("SECURE_BOOT_EN", 0),
    ("SECURE_BOOT_AGGRESSIVE_REVOKE", 1),
    ("ENABLE_SECURITY_DOWNLOAD", 2),
    ("SECURE_BOOT_KEY_REVOKE0", 3),
    ("SECURE_BOOT_KEY_REVOKE1", 4),
    ("SECURE_BOOT_KEY_REVOKE2", 5),
    ("SOFT_DIS_JTAG", 6),
    ("HARD_DIS_JTAG", 7),
    ("DIS_USB", 8),
    ("DIS_DOWNLOAD_DCACHE", 9),
    ("DIS_DOWNLOAD_ICACHE", 10),
];

/// The report of `get-security-info`.
///
/// # Errors
/// On the ESP32, which does not have the command.
pub fn report(efuses: &Efuses) -> Result<String, Failure> {
    let chip = efuses.chip();
    if chip == Chip::Esp32 {
        return Err(super::fatal("This command (0x14) is not supported in the current download mode"));
    }
    let flags = FLAGS.iter().fold(0_u32, |flags, (name, bit)| flags | u32::from(burned(efuses, name)) << bit);
    let set = |bit: u32| flags >> bit & 1 == 1;
    let mut purposes: Vec<u8> = (0..6).map(|n| security::key_purpose(efuses, n).unwrap_or(0)).collect();
    // a seventh byte without meaning, as seen from the ESP32-C3 and -C6; other chips UNVERIFIED
    purposes.push(match chip {
        Chip::Esp32c3 => 0x0C,
        Chip::Esp32c6 => 0x0D,
        _ => 0,
    });
    let numbers: Vec<String> = purposes.iter().map(u8::to_string).collect();
    let mut out = String::from("\nSecurity Information:\n=====================\n");
    let _ = writeln!(out, "Flags: {flags:#010x} ({flags:#b})");
    let _ = writeln!(out, "Key Purposes: ({})", numbers.join(", "));
    for (n, value) in purposes.iter().take(6).enumerate() {
        let _ = writeln!(out, "  BLOCK_KEY{n} - {}", purpose_name(chip, *value));
    }
    if chip != Chip::Esp32s2 {
        // the ESP32-C3's ROM says 3; other chips UNVERIFIED
        let version = if chip == Chip::Esp32c3 { 3 } else { 0 };
        let _ = writeln!(out, "Chip ID: {}\nAPI Version: {version}", chip.spec().image_chip_id);
    }
    let _ = writeln!(out, "Secure Boot: {}", if set(0) { "Enabled" } else { "Disabled" });
    if set(0) {
        if set(1) {
            out += "Secure Boot Aggressive key revocation: Enabled\n";
        }
        let revoked: Vec<u32> = (0..3).filter(|n| set(n + 3)).collect();
        if !revoked.is_empty() {
            out += "Secure Boot Key Revocation Status:\n";
        }
        for n in revoked {
            let _ = writeln!(out, "        Secure Boot Key{n} is Revoked");
        }
    }
    let count = security::crypt_count(efuses);
    let _ = writeln!(out, "Flash Encryption: {}", if count.enabled() { "Enabled" } else { "Disabled" });
    let _ = writeln!(out, "SPI Boot Crypt Count (SPI_BOOT_CRYPT_CNT): {:#x}", count.value);
    for (bit, line) in [(9, "Dcache in UART download mode: Disabled"), (10, "Icache in UART download mode: Disabled")] {
        if set(bit) {
            let _ = writeln!(out, "{line}");
        }
    }
    if set(7) {
        out += "JTAG: Permanently Disabled\n";
    } else if set(6) {
        out += "JTAG: Software Access Disabled\n";
    }
    if set(8) {
        out += "USB Access: Disabled\n";
    }
    Ok(out)
}

/// A flag's eFuse; SOFT_DIS_JTAG of several bits counts when their number is odd, and most chips call HARD_DIS_JTAG
/// DIS_PAD_JTAG.
fn burned(efuses: &Efuses, name: &str) -> bool {
    let name = match name {
        "HARD_DIS_JTAG" if field(efuses.chip(), name).is_none() => "DIS_PAD_JTAG",
        name => name,
    };
    read(efuses, name).count_ones() % 2 == 1
}

/// The tool's names; it knows the purposes up to SECURE_BOOT_DIGEST2.
fn purpose_name(chip: Chip, value: u8) -> &'static str {
    match KeyPurpose::from_value(chip, value) {
        Some(KeyPurpose::User) => "USER/EMPTY",
        _ if value == 1 => "RESERVED",
        Some(purpose) if value <= KeyPurpose::SecureBootDigest2.value() => purpose.name(),
        _ => "UNKNOWN",
    }
}
