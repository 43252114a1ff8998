//! The flash encryption key and the eFuses that go with it: made on the chip, or burned before the first boot.
//!
//! Behaviour sheet §3.2-3.3, security-builds sheet §2 (16, 20). Recorded for the ESP32-C3 only: which eFuses the other chips
//! burn, two key blocks for XTS-AES-256 and the ESP32-C2's one block follow ESP-IDF's source, their log lines the sheets;
//! UNVERIFIED on boards.

use super::{
    efuse_driver::{Batch, Event as E},
    flash_encryption::{INVALID_STATE, NOT_ENOUGH_KEY_BLOCKS},
    security::{Event as S, Feature},
    stage::Bootloader,
};
use dryburn::{
    Chip, Revision,
    efuse::{self, KeyPurpose, security},
};
use rand_chacha::rand_core::Rng;

impl Bootloader<'_> {
    pub(super) fn stage_flash_key_and_features(&mut self, batch: &mut Batch) -> Result<(), i32> {
        self.stage_flash_key(batch)?;
        self.stage_features(batch);
        if self.config.secure_boot_v2() && !self.config.is_set("SECURE_BOOT_V2_ALLOW_EFUSE_RD_DIS") {
            batch.stage_write_protection(self.efuses, "RD_DIS");
        }
        Ok(())
    }

    fn stage_flash_key(&mut self, batch: &mut Batch) -> Result<(), i32> {
        let purposes = self.flash_key_purposes();
        let in_the_way = security::key_block_with(self.efuses, KeyPurpose::XtsAes128Key).is_some();
        if purposes.len() == 2 && in_the_way {
            self.security(S::Aes128KeyInUse);
            return Err(INVALID_STATE);
        }
        let blocks = self.flash_key_blocks(purposes);
        if blocks.is_empty() {
            self.security(S::GeneratingKey);
            return self.stage_new_flash_key(purposes, batch);
        }
        if blocks.len() < purposes.len() {
            self.security(S::HalfKeyMissing);
            return Err(INVALID_STATE);
        }
        if !blocks.iter().all(|key| self.is_sealed(*key)) {
            self.security(S::InvalidKeyState);
            return Err(INVALID_STATE);
        }
        self.security(S::UsingPreloadedKey);
        self.stage_crypt_config(batch);
        Ok(())
    }

    /// What the bootloader was built to generate; it looks for no other key (ESP-IDF's source).
    fn flash_key_purposes(&self) -> &'static [KeyPurpose] {
        if self.config.is_set("SECURE_FLASH_ENCRYPTION_AES256") {
            &[KeyPurpose::XtsAes256Key1, KeyPurpose::XtsAes256Key2]
        } else {
            &[KeyPurpose::XtsAes128Key]
        }
    }

    /// Key blocks that hold a flash encryption key already.
    fn flash_key_blocks(&self, purposes: &[KeyPurpose]) -> Vec<u8> {
        let used = match self.chip() {
            Chip::Esp32 => self.is_used(1, "BLOCK1"),
            Chip::Esp32c2 => self.is_used(3, "BLOCK_KEY0"),
            _ => return purposes.iter().filter_map(|p| security::key_block_with(self.efuses, *p)).collect(),
        };
        if used { vec![0] } else { vec![] }
    }

    /// Whether a block without a purpose field holds anything, as far as can be seen.
    pub(super) fn is_used(&self, block: usize, name: &str) -> bool {
        efuse::read_block(self.efuses, block) != [0; 32]
            || security::write_protected(self.efuses, name)
            || security::read_protected(self.efuses, name)
    }

    /// A key that was burned before must be read- and write-protected, and its purpose write-protected.
    fn is_sealed(&self, key: u8) -> bool {
        let name = &match self.chip() {
            Chip::Esp32 => "BLOCK1".into(),
            Chip::Esp32c2 => return self.one_block_is_sealed(),
            _ => format!("BLOCK_KEY{key}"),
        };
        security::write_protected(self.efuses, name)
            && security::read_protected(self.efuses, name)
            && (self.chip() == Chip::Esp32 || security::write_protected(self.efuses, &format!("KEY_PURPOSE_{key}")))
    }

    fn stage_new_flash_key(&mut self, purposes: &[KeyPurpose], batch: &mut Batch) -> Result<(), i32> {
        if self.chip() == Chip::Esp32 {
            let key = self.random_key();
            self.driver(E::WritingKey { key: 0, purpose: 2 });
            batch.stage_block(1, &key);
            batch.stage_read_protection(self.efuses, "BLOCK1");
            batch.stage_write_protection(self.efuses, "BLOCK1");
            self.stage_crypt_config(batch);
            return Ok(());
        }
        if self.chip() == Chip::Esp32c2 {
            let (key, purpose) = (self.random_key(), self.one_block_flash_key());
            self.stage_in_one_block(batch, purpose, &key);
            return Ok(());
        }
        let free = self.free_key_blocks();
        let (required, left) = (purposes.len() as u8, free.len() as u8);
        if left < required {
            self.driver(E::NoKeyBlock { required, left });
            self.security(S::NotEnoughKeyBlocks { required });
            return Err(NOT_ENOUGH_KEY_BLOCKS);
        }
        for (purpose, free) in purposes.iter().zip(free) {
            let key = self.random_key();
            self.stage_key(batch, free, *purpose, &key);
            batch.stage_read_protection(self.efuses, &format!("BLOCK_KEY{free}"));
        }
        Ok(())
    }

    fn random_key(&mut self) -> [u8; 32] {
        let mut key = [0; 32];
        self.rng.fill_bytes(&mut key);
        key
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
                !self.is_used(security::key_block_number(chip, *key), &format!("BLOCK_KEY{key}"))
                    && security::key_purpose(self.efuses, *key) == Some(0)
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
            (Feature::DownloadCache, true, download_cache(self.chip())),
            (Feature::Jtag, true, &["JTAG_DISABLE", "HARD_DIS_JTAG", "DIS_PAD_JTAG", "DIS_USB_JTAG"]),
            (Feature::Basic, true, &["CONSOLE_DEBUG_DISABLE"]),
        ];
        for (feature, burned, names) in features {
            if !esp32 && matches!(feature, Feature::DownloadDecryption | Feature::Basic) || names.is_empty() {
                continue;
            }
            self.security(S::Feature { feature: *feature, burned: *burned });
            for name in names.iter().filter(|_| *burned) {
                batch.stage(self.efuses, name, 1);
            }
        }
        if !esp32 {
            for name in DIRECT_BOOT {
                batch.stage(self.efuses, name, 1);
            }
        }
        if release && self.has_pseudo_rounds() {
            self.security(S::PseudoRounds);
            batch.stage(self.efuses, "XTS_DPA_PSEUDO_LEVEL", 1);
        }
        // development mode skips this (security-builds sheet D3)
        if release {
            batch.stage_write_protection(self.efuses, if esp32 { "DIS_CACHE" } else { "DIS_ICACHE" });
        }
    }

    /// Masking against side channels, which leaves the ciphertext as it is (formats sheet §5.6); the first release with it
    /// is UNVERIFIED, a public log of 5.3 does not have it.
    fn has_pseudo_rounds(&self) -> bool {
        let revision = security::chip_revision(self.efuses);
        let silicon = match self.chip() {
            Chip::Esp32c5 | Chip::Esp32c61 => true,
            Chip::Esp32h2 => revision >= Revision::new(1, 2),
            Chip::Esp32p4 => revision >= Revision::new(3, 0),
            _ => false,
        };
        silicon && self.build.idf.since(5, 4)
    }
}

/// eFuses against booting without an image; each chip has some of them.
pub(super) const DIRECT_BOOT: [&str; 3] = ["DIS_DIRECT_BOOT", "DIS_LEGACY_SPI_BOOT", "DIS_BOOT_REMAP"];

/// eFuses that keep download mode away from decrypted flash; the H2's bootloader burns none and prints nothing.
fn download_cache(chip: Chip) -> &'static [&'static str] {
    match chip {
        Chip::Esp32 => &["DISABLE_DL_CACHE"],
        Chip::Esp32s2 | Chip::Esp32s3 => &["DIS_DOWNLOAD_ICACHE", "DIS_DOWNLOAD_DCACHE"],
        Chip::Esp32c2 | Chip::Esp32c3 | Chip::Esp32c6 => &["DIS_DOWNLOAD_ICACHE"],
        Chip::Esp32c5 | Chip::Esp32c61 | Chip::Esp32p4 => &["SPI_DOWNLOAD_MSPI_DIS"],
        Chip::Esp32h2 => &[],
    }
}
