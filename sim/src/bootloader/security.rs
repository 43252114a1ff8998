//! What the second stage prints while it looks after secure boot, flash encryption and anti-rollback.

use serde::Serialize;

/// One such thing. Numbers are those of the printed line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "security", rename_all = "snake_case")]
#[allow(missing_docs, reason = "each variant is one line of the second stage; the words are in `uart::security`")]
pub enum Event {
    SecureBootBegins,
    SecureBootAlreadyOn,
    BootloaderInvalid { code: i32 },
    DigestsPresent,
    DigestsAbsent,
    DigestsCalculated { valid: u8, image_offset: u32 },
    NoBootloaderSignature,
    BlocksOnBootloader { count: u8 },
    BurningKeyDigest,
    TooManySignatures { count: u8 },
    UsingPreloadedDigest,
    KeyRevoked { key: u8 },
    NoApplicationSignature,
    BlocksOnApplication { count: u8 },
    MoreBlocksOnApplication { app: u8, bootloader: u8 },
    KeysMatch { app: u8, bootloader: u8 },
    NoKeyMatches,
    RevokingEmptySlot { slot: u8 },
    EmptySlotKept { slot: u8 },
    BlowingSecureBoot,
    EnablingSecureDownload,
    DownloadModeKept,
    DisablingDownloadMode,
    DisablingJtag,
    JtagKept,
    DisablingBasic,
    PreventingReadDisable,
    AllowingReadDisable,
    SecureBootBurnFailed,
    SecureBootEnabled,
    SecureBootFailed { code: i32 },
    CheckingFlashEncryption,
    FlashEncryptionOn { left: u8 },
    CountWriteProtected { ones: u8 },
    GeneratingKey,
    NotEnoughKeyBlocks,
    UsingPreloadedKey,
    InvalidKeyState,
    SettingCryptConfig,
    CryptConfigDiffers { found: u8 },
    Feature { feature: Feature, burned: bool },
    FlashKeyBurnFailed,
    FlashKeyFailed { code: i32 },
    BootloaderEncrypted,
    NoBootloader,
    TableEncrypted,
    TableUnreadable,
    Encrypting { index: u8, offset: u32, length: u32 },
    EncryptingDone,
    EncryptingFailed { code: i32 },
    PermanentEncryption,
    EnablingFailed { code: i32 },
    FlashEncryptionCompleted,
    ResettingEncrypted,
    AntiRollbackRaised { version: u32 },
    AntiRollbackTooLarge { most: u32, version: u32 },
    NoDescriptor { code: i32 },
}

/// eFuses that flash encryption burns beside the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "named after the log lines")]
pub enum Feature {
    DownloadEncryption,
    DownloadDecryption,
    DownloadCache,
    Jtag,
    Basic,
}
