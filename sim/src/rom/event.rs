//! What the first stage in ROM comes across.

use dryburn::secure_boot::v2::BlockError;
use serde::Serialize;

/// Why the chip starts. The numbers are those that the ROM prints after `rst:` (behaviour sheet §1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ResetCause {
    /// Power was applied.
    PowerOn,
    /// Software asked for a system reset: what the second stage does when it gives up.
    Software,
    /// Wake-up from deep sleep.
    DeepSleep,
    /// The RTC watchdog: what ends a ROM that waits for ever after power-on.
    RtcWatchdog,
    /// The timer-group watchdog: what ends a ROM that waits for ever after a software reset.
    TimerWatchdog,
    /// The app called `esp_restart()`.
    AppRestart,
}

/// One thing that the ROM prints about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "rom", rename_all = "snake_case")]
pub enum Event {
    /// ROM id, reset cause and boot mode.
    Banner {
        /// Why the chip starts.
        cause: ResetCause,
        /// The strapping register.
        strap: u32,
    },
    /// The straps ask for download mode.
    WaitingForDownload,
    /// What lies at the bootloader offset is not an image header.
    InvalidHeader {
        /// The first four bytes, as the CPU reads them, as a little-endian word.
        word: u32,
    },
    /// ESP32 before revision 3: no header at the bootloader offset.
    FlashReadError {
        /// Flash address.
        offset: u32,
    },
    /// The header names another chip.
    WrongChip {
        /// This chip's id.
        expected: u16,
        /// The header's.
        found: u16,
    },
    /// More segments than the ROM takes.
    TooManySegments {
        /// Claimed count.
        count: u8,
    },
    /// Flash pins as the header sets them (bytes 8..12).
    Pins {
        /// Write-protect pin, then clk/q, d/cs, hd/wp drive strengths.
        pins: [u8; 4],
    },
    /// Flash mode and clock divider as the header sets them.
    SpiMode {
        /// Mode code.
        mode: u8,
        /// Divider of the 80 MHz clock.
        divider: u8,
        /// Secure boot v2 of the ESP32 prints the code instead of the name.
        as_number: bool,
    },
    /// Secure boot v2 is on.
    SecureBootV2,
    /// Which secure boot digests may be used.
    KeyBlocks {
        /// Digest indexes.
        usable: Vec<u8>,
    },
    /// The appended SHA-256 differs; with secure boot on, that ends it.
    SimpleHashFailed,
    /// The bootloader does not fit the RAM it is verified in.
    StagingTooSmall {
        /// Size of that RAM in KiB.
        kib: u32,
    },
    /// A segment cannot be verified.
    BadBlock,
    /// A signature block was refused.
    SignatureBlock {
        /// Its index in the signature sector.
        index: u8,
        /// Why.
        error: BlockError,
    },
    /// A key was revoked because a signature by it is wrong.
    KeyRevoked {
        /// Index of its digest.
        digest: u8,
    },
    /// The signature check is over.
    SecureBootVerdict {
        /// Whether the bootloader may run.
        passed: bool,
    },
    /// A segment is copied to RAM.
    Load {
        /// CPU address.
        address: u32,
        /// Length in bytes.
        length: u32,
        /// In the wording of the secure boot loader of the ESP32.
        secure: bool,
    },
    /// The next segment header straddles a 16-byte block (ESP32).
    Straddle {
        /// Bytes of the block that are used.
        tail: u8,
        /// Bytes that are left.
        room: u8,
    },
    /// A segment length that cannot be loaded.
    BadLength {
        /// Length in bytes.
        length: u32,
    },
    /// The XOR checksum differs.
    Checksum {
        /// Calculated.
        calculated: u8,
        /// Stored.
        stored: u8,
    },
    /// The appended SHA-256 differs.
    Hash {
        /// Calculated.
        calculated: [u8; 32],
        /// Stored.
        expected: [u8; 32],
    },
    /// Secure boot v1: the bootloader digest differs.
    SecureBootV1Failed,
    /// The bootloader starts.
    Entry {
        /// CPU address.
        address: u32,
    },
    /// The ROM gives up at a line of its source and waits for a watchdog.
    GivesUp {
        /// ROM source file.
        file: &'static str,
        /// Line number.
        line: u16,
    },
    /// The ROM's BASIC interpreter (ESP32 with CONSOLE_DEBUG_DISABLE not burned).
    Basic,
}
