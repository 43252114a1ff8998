//! First-boot enablement of flash encryption: key and features in one batch (`flash_key`), flash in place, crypt counter last.
//! Behaviour sheet §3.2-3.3, security-builds sheet §2 (16-22).

use super::{
    efuse_driver::{Batch, Event as E},
    event::Event,
    security::Event as S,
    stage::{Bootloader, Halt},
};
use crate::fault::PowerLost;
use dryburn::{
    SECTOR,
    efuse::security,
    flash_encryption::FlashCipher,
    image::{Kind, Region},
    partition::{self, Entry},
};

/// ESP-IDF error codes that are printed.
pub(super) const ESP_FAIL: i32 = -1;
pub(super) const INVALID_STATE: i32 = 0x103;
const NOT_FOUND: i32 = 0x105;
const FLASH_OP_FAIL: i32 = 0x6001;
pub(super) const NOT_ENOUGH_KEY_BLOCKS: i32 = 0x1605;

/// What `load_image` does next.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// Start the app.
    HandOver,
    /// Reset the chip: encryption became active.
    Reset,
    /// Give this slot up.
    Refuse,
}

impl Bootloader<'_> {
    pub(super) fn enable_flash_encryption(&mut self) -> Result<Next, PowerLost> {
        self.security(S::CheckingFlashEncryption);
        let count = security::crypt_count(self.efuses);
        let frozen = security::crypt_count_write_protected(self.efuses);
        if count.enabled() {
            let left = if frozen { 0 } else { count.plaintext_flashes_left() };
            self.security(S::FlashEncryptionOn { left });
            return Ok(Next::HandOver);
        }
        if frozen {
            self.security(S::CountWriteProtected { ones: count.value.count_ones() as u8 });
            return Ok(Next::Refuse);
        }
        if count.value == 0
            && let Err(halt) = self.flash_key_and_features()
        {
            let code = halt.code()?;
            self.security(S::FlashKeyFailed { code });
            return Ok(Next::Refuse);
        }
        self.encrypt_and_enable()
    }

    /// The flash in place, then the crypt counter.
    pub(super) fn encrypt_and_enable(&mut self) -> Result<Next, PowerLost> {
        if let Err(halt) = self.encrypt_flash() {
            let code = halt.code()?;
            self.security(S::EncryptingFailed { code });
            return Ok(Next::Refuse);
        }
        if !self.burn_crypt_count()? {
            self.security(S::EnablingFailed { code: ESP_FAIL });
            return Ok(Next::Refuse);
        }
        self.security(S::FlashEncryptionCompleted);
        Ok(Next::Reset)
    }

    pub(super) fn is_release(&self) -> bool {
        self.config.is_set("SECURE_FLASH_ENCRYPTION_MODE_RELEASE")
    }

    fn flash_key_and_features(&mut self) -> Result<(), Halt> {
        self.driver(E::BatchBegins);
        let mut batch = Batch::new(self.efuses, self.build.idf);
        if let Err(code) = self.stage_flash_key_and_features(&mut batch) {
            self.driver(E::BatchCancelled);
            return Err(code.into());
        }
        let burned = self.commit(batch)?;
        self.driver(E::BatchCommitted);
        if !burned {
            self.security(S::FlashKeyBurnFailed);
            return Err(ESP_FAIL.into());
        }
        Ok(())
    }

    /// Encrypts everything in place with the key that is burned; nothing decrypts it before the counter is burned.
    fn encrypt_flash(&mut self) -> Result<(), Halt> {
        let cipher = FlashCipher::new(&self.efuses.flash_key());
        let table_at = self.config.partition_table_offset();
        let base = self.chip().spec().bootloader_offset;
        let region = Region { offset: base, size: table_at.saturating_sub(base) };
        let Ok(length) = self.verified_length(region, Kind::Bootloader) else {
            self.security(S::NoBootloader);
            return Err(NOT_FOUND.into());
        };
        self.encrypt(&cipher, base, length)?;
        if self.config.secure_boot_v1() {
            // IV and digest of the bootloader
            self.encrypt(&cipher, 0, SECTOR)?;
        }
        self.security(S::BootloaderEncrypted);

        let mut table = [0; partition::TABLE_SIZE];
        let read = self.flash.read(table_at, &mut table);
        let verdict = read.ok().and_then(|()| partition::verify(&table, self.build.flash_size).ok());
        let Some(verified) = verdict else {
            self.security(S::TableUnreadable);
            return Err(INVALID_STATE.into());
        };
        self.encrypt(&cipher, table_at, SECTOR)?;
        self.security(S::TableEncrypted);
        let entries: Vec<Entry> = verified.bootloader_entries(&table).collect();
        for (index, entry) in entries.iter().enumerate() {
            if let Some(length) = self.length_to_encrypt(entry) {
                self.security(S::Encrypting { index: index as u8, offset: entry.offset, length });
                self.encrypt(&cipher, entry.offset, length)?;
                self.security(S::EncryptingDone);
            }
        }
        Ok(())
    }

    /// How much of a partition is encrypted: apps only if they are valid, and then only the image.
    fn length_to_encrypt(&mut self, entry: &Entry) -> Option<u32> {
        let region = Region { offset: entry.offset, size: entry.size };
        if entry.kind.0 == 0 {
            let length = self.verified_length(region, Kind::App).ok()?;
            let whole = self.config.is_unset("SECURE_FLASH_ENCRYPT_ONLY_IMAGE_LEN_IN_APP_PART");
            return Some(if whole { entry.size } else { length });
        }
        partition::is_encrypted_with_flash_encryption(entry).then_some(entry.size)
    }

    fn encrypt(&mut self, cipher: &FlashCipher, offset: u32, length: u32) -> Result<(), Halt> {
        let end = offset.saturating_add(length);
        let mut at = offset;
        let mut sector = [0; SECTOR as usize];
        while at < end {
            self.flash.read(at, &mut sector).map_err(|_| FLASH_OP_FAIL)?;
            self.flash.erase_sector(at).map_err(|fault| Halt::of(fault, FLASH_OP_FAIL))?;
            cipher.encrypt(at, &mut sector).map_err(|_| FLASH_OP_FAIL)?;
            self.flash.program(at, &sector).map_err(|fault| Halt::of(fault, FLASH_OP_FAIL))?;
            at = at.saturating_add(SECTOR);
        }
        Ok(())
    }

    fn burn_crypt_count(&mut self) -> Result<bool, PowerLost> {
        let count = security::crypt_count(self.efuses);
        let all = (1u32 << count.bits) - 1;
        let value = if self.is_release() {
            self.security(S::PermanentEncryption);
            all
        } else {
            // the lowest bit that is not burned
            let value = u32::from(count.value);
            value | (value + 1) & all
        };
        let mut batch = Batch::new(self.efuses, self.build.idf);
        batch.stage(self.efuses, security::crypt_count_name(self.chip()), value);
        self.commit(batch)
    }

    pub(super) fn commit(&mut self, batch: Batch) -> Result<bool, PowerLost> {
        let observer = &mut *self.observer;
        batch.commit(self.efuses, &mut |event| observer(crate::event::Event::Bootloader(Event::Efuse(event))))
    }
}
