//! First-boot enablement of flash encryption: key and features in one batch, flash in place, crypt counter last.
//! Behaviour sheet §3.2-3.3, security-builds sheet §2 (16-22).

use super::{
    Bootloader, Event, Halt,
    efuse_driver::{Batch, Event as E},
    security::{Event as S, Feature},
};
use crate::fault::PowerLost;
use dryburn::{
    Chip, SECTOR,
    efuse::{self, KeyPurpose, security},
    flash_encryption::FlashCipher,
    image::{Kind, Region},
    partition::{self, Entry},
};
use rand_chacha::rand_core::Rng;

/// ESP-IDF error codes that are printed.
pub(super) const ESP_FAIL: i32 = -1;
const INVALID_STATE: i32 = 0x103;
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

    fn is_release(&self) -> bool {
        self.config.is_set("SECURE_FLASH_ENCRYPTION_MODE_RELEASE")
    }

    fn flash_key_and_features(&mut self) -> Result<(), Halt> {
        self.driver(E::BatchBegins);
        let mut batch = Batch::new(self.efuses, self.build.idf);
        if let Err(code) = self.stage_flash_key(&mut batch) {
            self.driver(E::BatchCancelled);
            return Err(code.into());
        }
        self.stage_features(&mut batch);
        if self.config.secure_boot_v2() && !self.config.is_set("SECURE_BOOT_V2_ALLOW_EFUSE_RD_DIS") {
            batch.stage_write_protection(self.efuses, "RD_DIS");
        }
        let burned = self.commit(batch)?;
        self.driver(E::BatchCommitted);
        if !burned {
            self.security(S::FlashKeyBurnFailed);
            return Err(ESP_FAIL.into());
        }
        Ok(())
    }

    fn stage_flash_key(&mut self, batch: &mut Batch) -> Result<(), i32> {
        let blocks = self.flash_key_blocks();
        if blocks.is_empty() {
            self.security(S::GeneratingKey);
            return self.stage_new_flash_key(batch);
        }
        let protected =
            |name: &str| security::write_protected(self.efuses, name) && security::read_protected(self.efuses, name);
        let purpose_frozen = |key: u8| {
            self.chip() == Chip::Esp32 || security::write_protected(self.efuses, &format!("KEY_PURPOSE_{key}"))
        };
        if !blocks.iter().all(|key| protected(&self.key_block_name(*key)) && purpose_frozen(*key)) {
            self.security(S::InvalidKeyState);
            return Err(INVALID_STATE);
        }
        self.security(S::UsingPreloadedKey);
        self.stage_crypt_config(batch);
        Ok(())
    }

    /// Key blocks that hold a flash encryption key already.
    fn flash_key_blocks(&self) -> Vec<u8> {
        if self.chip() == Chip::Esp32 {
            let used = self.efuses.raw_block(1) != [0; 32]
                || security::write_protected(self.efuses, "BLOCK1")
                || security::read_protected(self.efuses, "BLOCK1");
            return if used { vec![0] } else { vec![] };
        }
        let purposes = [KeyPurpose::XtsAes128Key, KeyPurpose::XtsAes256Key1, KeyPurpose::XtsAes256Key2];
        purposes.into_iter().filter_map(|purpose| security::key_block_with(self.efuses, purpose)).collect()
    }

    fn key_block_name(&self, key: u8) -> String {
        if self.chip() == Chip::Esp32 { "BLOCK1".into() } else { format!("BLOCK_KEY{key}") }
    }

    fn stage_new_flash_key(&mut self, batch: &mut Batch) -> Result<(), i32> {
        let mut key = [0; 32];
        self.rng.fill_bytes(&mut key);
        if self.chip() == Chip::Esp32 {
            self.driver(E::WritingKey { key: 0, purpose: 2 });
            batch.stage_block(1, &key);
            batch.stage_read_protection(self.efuses, "BLOCK1");
            batch.stage_write_protection(self.efuses, "BLOCK1");
            self.stage_crypt_config(batch);
            return Ok(());
        }
        let Some(free) = self.free_key_blocks().first().copied() else {
            self.driver(E::NoKeyBlock { required: 1, left: 0 });
            self.security(S::NotEnoughKeyBlocks);
            return Err(NOT_ENOUGH_KEY_BLOCKS);
        };
        self.stage_key(batch, free, KeyPurpose::XtsAes128Key, &key);
        batch.stage_read_protection(self.efuses, &format!("BLOCK_KEY{free}"));
        Ok(())
    }

    /// Stages a key with its purpose, both write-protected, as `esp_efuse_write_key` does.
    pub(super) fn stage_key(&mut self, batch: &mut Batch, key: u8, purpose: KeyPurpose, bytes: &[u8; 32]) {
        let value = purpose.value();
        self.driver(E::WritingKey { key, purpose: value });
        batch.stage_block(security::key_block_number(self.chip(), key), bytes);
        batch.stage_write_protection(self.efuses, &format!("BLOCK_KEY{key}"));
        batch.stage(self.efuses, &format!("KEY_PURPOSE_{key}"), value.into());
        batch.stage_write_protection(self.efuses, &format!("KEY_PURPOSE_{key}"));
    }

    /// Key blocks that nobody has used: empty, without purpose, without protection.
    pub(super) fn free_key_blocks(&self) -> Vec<u8> {
        let chip = self.chip();
        (0..security::key_blocks(chip))
            .filter(|key| {
                let name = format!("BLOCK_KEY{key}");
                efuse::read_block(self.efuses, security::key_block_number(chip, *key)) == [0; 32]
                    && security::key_purpose(self.efuses, *key) == Some(0)
                    && !security::write_protected(self.efuses, &name)
                    && !security::read_protected(self.efuses, &name)
                    && !security::write_protected(self.efuses, &format!("KEY_PURPOSE_{key}"))
            })
            .collect()
    }

    fn stage_crypt_config(&mut self, batch: &mut Batch) {
        if self.chip() != Chip::Esp32 {
            return;
        }
        match efuse::read(self.efuses, "FLASH_CRYPT_CONFIG") {
            0 => {
                self.security(S::SettingCryptConfig);
                batch.stage(self.efuses, "FLASH_CRYPT_CONFIG", 0xF);
            }
            0xF => self.security(S::SettingCryptConfig),
            found => self.security(S::CryptConfigDiffers { found: found as u8 }),
        }
    }

    fn stage_features(&mut self, batch: &mut Batch) {
        let release = self.is_release();
        let esp32 = self.chip() == Chip::Esp32;
        let features: &[(Feature, bool, &[&str])] = &[
            (Feature::DownloadEncryption, release, &["DISABLE_DL_ENCRYPT", "DIS_DOWNLOAD_MANUAL_ENCRYPT"]),
            (Feature::DownloadDecryption, true, &["DISABLE_DL_DECRYPT"]),
            (Feature::DownloadCache, true, &["DISABLE_DL_CACHE", "DIS_DOWNLOAD_ICACHE", "DIS_DOWNLOAD_DCACHE"]),
            (Feature::Jtag, true, &["JTAG_DISABLE", "DIS_PAD_JTAG", "DIS_USB_JTAG"]),
            (Feature::Basic, true, &["CONSOLE_DEBUG_DISABLE"]),
        ];
        for (feature, burned, names) in features {
            if !esp32 && matches!(feature, Feature::DownloadDecryption | Feature::Basic) {
                continue;
            }
            self.security(S::Feature { feature: *feature, burned: *burned });
            for name in names.iter().filter(|_| *burned) {
                batch.stage(self.efuses, name, 1);
            }
        }
        if !esp32 {
            batch.stage(self.efuses, "DIS_DIRECT_BOOT", 1);
        }
        // development mode skips this (security-builds sheet D3)
        if release {
            batch.stage_write_protection(self.efuses, if esp32 { "DIS_CACHE" } else { "DIS_ICACHE" });
        }
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
