//! The ESP32-C2: one key block for the flash encryption key and the digest of the secure boot key.
//!
//! The block can be programmed once, so a bootloader with both enables both or none: what they burn is collected in one
//! batch. Behaviour sheet §3.1 and ESP-IDF's source; no log of this is known, so the order of lines is UNVERIFIED.
//! Enablement that fails leaves ESP-IDF's batch open for the next slot; here each slot starts anew.

use super::{
    efuse_driver::{Batch, Event as E},
    flash_encryption::Next,
    security::Event as S,
    stage::Bootloader,
};
use crate::fault::PowerLost;
use dryburn::{
    efuse::{self, security},
    image::Region,
};

/// BLOCK_KEY0.
const BLOCK: usize = 3;
const NAME: &str = "BLOCK_KEY0";
const LOW_HALF: u32 = 1;

/// What the block is used for; the numbers are ESP-IDF's, no eFuse holds them (formats sheet §5.4).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// A flash encryption key of 256 bits, which fills the block.
    FlashKey = 1,
    /// A flash encryption key derived from the lower half.
    DerivedFlashKey = 2,
    /// The first half of a key digest, in the upper half.
    SecureBootV2 = 3,
}

impl Bootloader<'_> {
    /// Whether this bootloader burns both keys together (`SECURE_BOOT_FLASH_ENC_KEYS_BURN_TOGETHER`).
    pub(super) fn burns_together(&self) -> bool {
        self.chip() == dryburn::Chip::Esp32c2 && self.config.secure_boot_v2() && self.config.flash_encryption()
    }

    /// Enables secure boot and flash encryption, or finds them enabled.
    pub(super) fn enable_together(&mut self, app: Region) -> Result<Next, PowerLost> {
        let secure_boot = security::secure_boot_v2_enabled(self.efuses);
        let count = security::crypt_count(self.efuses);
        if secure_boot != (count.value != 0) {
            self.security(S::OnlyTogether);
            return Ok(Next::Refuse);
        }
        let done = secure_boot && count.enabled();
        let mut batch = Batch::new(self.efuses, self.build.idf);
        if !done {
            self.driver(E::BatchBegins);
        }
        self.security(S::SecureBootBegins);
        if secure_boot {
            self.security(S::SecureBootAlreadyOn);
        } else if let Err(code) = self.stage_secure_boot(app, &mut batch) {
            self.security(S::SecureBootFailed { code });
            return Ok(Next::Refuse);
        }
        if done {
            return self.enable_flash_encryption();
        }
        self.security(S::CheckingFlashEncryption);
        if security::crypt_count_write_protected(self.efuses) {
            self.security(S::CountWriteProtected { ones: count.value.count_ones() as u8 });
            return Ok(Next::Refuse);
        }
        if count.value == 0
            && let Err(code) = self.stage_flash_key_and_features(&mut batch)
        {
            self.security(S::FlashKeyFailed { code });
            return Ok(Next::Refuse);
        }
        let burned = self.commit(batch)?;
        self.driver(E::BatchCommitted);
        if !burned {
            self.security(S::TogetherBurnFailed);
            return Ok(Next::Refuse);
        }
        self.security(S::TogetherEnabled);
        self.encrypt_and_enable()
    }

    /// The flash encryption key that the bootloader was built to make: beside a digest there is room for 128 bits only.
    pub(super) fn one_block_flash_key(&self) -> Use {
        let derived = self.config.secure_boot_v2() || self.config.is_set("SECURE_FLASH_ENCRYPTION_AES128_DERIVED");
        if derived { Use::DerivedFlashKey } else { Use::FlashKey }
    }

    /// Stages `bytes`, each use its own half or all of them, with the protections that belong to it.
    pub(super) fn stage_in_one_block(&mut self, batch: &mut Batch, purpose: Use, bytes: &[u8; 32]) {
        self.driver(E::WritingKey { key: 0, purpose: purpose as u8 });
        let mut block = *bytes;
        match purpose {
            Use::FlashKey => {
                batch.stage(self.efuses, "XTS_KEY_LENGTH_256", 1);
                batch.stage_read_protection(self.efuses, NAME);
            }
            Use::DerivedFlashKey => {
                block[16..].fill(0);
                batch.stage(self.efuses, "RD_DIS", LOW_HALF);
            }
            Use::SecureBootV2 => block[..16].fill(0),
        }
        batch.stage_block(BLOCK, &block);
        batch.stage_write_protection(self.efuses, NAME);
    }

    /// A flash encryption key that was burned before: write-protected, and read-protected as far as it goes.
    pub(super) fn one_block_is_sealed(&self) -> bool {
        let whole = efuse::read(self.efuses, "XTS_KEY_LENGTH_256") == 1;
        let hidden = efuse::read(self.efuses, "RD_DIS");
        let needed = if whole { 3 } else { LOW_HALF };
        security::write_protected(self.efuses, NAME) && hidden & needed == needed
    }
}
