//! What choosing and starting a slot comes across.

use super::Slot;

/// One thing worth a log line; which line it is depends on the ESP-IDF version and is not decided here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(tag = "boot", rename_all = "snake_case"))]
pub enum Event {
    /// The otadata partition cannot hold two sectors; the bootloader resets.
    OtadataTooSmall {
        /// Its size in bytes.
        size: u32,
    },
    /// A PENDING_VERIFY entry was not confirmed before this reset and becomes ABORTED.
    MarkedAborted {
        /// otadata sector, 0 or 1.
        sector: u8,
    },
    /// A NEW entry is about to be started for the first time and becomes PENDING_VERIFY.
    MarkedPendingVerify {
        /// otadata sector, 0 or 1.
        sector: u8,
    },
    /// Anti-rollback is on.
    AntiRollback {
        /// The version in eFuse.
        secure_version: u32,
    },
    /// Neither entry of otadata was ever used (anti-rollback builds say so).
    OtadataInitial,
    /// No entry chooses a slot: the factory app starts.
    DefaultingToFactory,
    /// No entry chooses a slot and there is no factory app.
    NoFactoryTryingOta0,
    /// The entries are damaged: the factory app starts.
    OtadataInvalidFallingBackToFactory,
    /// The entries are damaged and there is no factory app: every slot is tried, from the lowest.
    OtadataInvalidTryingAll,
    /// An entry of otadata decides.
    Selected {
        /// otadata sector, 0 or 1.
        sector: u8,
        /// OTA slot.
        slot: u8,
    },
    /// A slot did not start; the next one is tried.
    NotBootable {
        /// The slot.
        slot: Slot,
    },
    /// Only the test app is left.
    FallingBackToTest,
    /// Nothing started; the bootloader resets.
    NothingBootable,
    /// An app passed all checks.
    Loaded {
        /// The slot.
        slot: Slot,
        /// Flash address of the partition.
        offset: u32,
    },
    /// otadata was never used; it now names the slot that loaded.
    OtadataWritten {
        /// The new `ota_seq`.
        ota_seq: u32,
    },
}
