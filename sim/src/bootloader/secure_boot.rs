//! First-boot enablement of Secure Boot v2. Behaviour sheet §3.6, security-builds sheet §2 (11-15).

use super::{
    efuse_driver::{Batch, Event as E},
    flash_encryption::{ESP_FAIL, NOT_ENOUGH_KEY_BLOCKS},
    flash_key::DIRECT_BOOT,
    one_key_block::Use,
    security::Event as S,
    stage::Bootloader,
};
use crate::fault::PowerLost;
use dryburn::{
    Chip, SECTOR, SecureBootScheme,
    efuse::{self, KeyPurpose, security},
    image::{Kind, Region},
    secure_boot::{
        ImageDigest, KeyDigest,
        v2::{self, SignatureBlock},
    },
};

const IMAGE_INVALID: i32 = 0x2002;
const PURPOSES: [KeyPurpose; 3] =
    [KeyPurpose::SecureBootDigest0, KeyPurpose::SecureBootDigest1, KeyPurpose::SecureBootDigest2];

impl Bootloader<'_> {
    /// Enables secure boot, or finds it enabled.
    ///
    /// # Errors
    /// ESP-IDF's error code; the slot is given up then.
    pub(super) fn enable_secure_boot(&mut self, app: Region) -> Result<Result<(), ()>, PowerLost> {
        self.security(S::SecureBootBegins);
        if security::secure_boot_v2_enabled(self.efuses) {
            self.security(S::SecureBootAlreadyOn);
            return Ok(Ok(()));
        }
        self.driver(E::BatchBegins);
        let mut batch = Batch::new(self.efuses, self.build.idf);
        let result = self.stage_secure_boot(app, &mut batch);
        if let Err(code) = result {
            self.driver(E::BatchCancelled);
            self.security(S::SecureBootFailed { code });
            return Ok(Err(()));
        }
        let burned = self.commit(batch)?;
        self.driver(E::BatchCommitted);
        if !burned {
            self.security(S::SecureBootBurnFailed);
            self.security(S::SecureBootFailed { code: ESP_FAIL });
            return Ok(Err(()));
        }
        self.security(S::SecureBootEnabled);
        Ok(Ok(()))
    }

    pub(super) fn stage_secure_boot(&mut self, app: Region, batch: &mut Batch) -> Result<(), i32> {
        let base = self.chip().spec().bootloader_offset;
        let region = Region { offset: base, size: self.config.partition_table_offset().saturating_sub(base) };
        if self.verified_length(region, Kind::Bootloader).is_err() {
            self.security(S::BootloaderInvalid { code: IMAGE_INVALID });
            return Err(IMAGE_INVALID);
        }
        let burned: Vec<KeyDigest> = security::secure_boot_digests(self.efuses).into_iter().flatten().collect();
        if burned.is_empty()
            && let Some(block) = self.block_without_digest()
        {
            self.security(S::DigestsPresent);
            let hidden = self.chip() == Chip::Esp32 && security::read_protected(self.efuses, "BLOCK2");
            self.security(if hidden { S::DigestReadProtected { block } } else { S::DigestBlockEmpty { block } });
            return Err(ESP_FAIL);
        }
        let bootloader = if burned.is_empty() {
            self.stage_digests(region, batch)?
        } else {
            self.use_burned_digests(&burned, batch)
        };
        let application = self.key_digests(app);
        self.security(S::DigestsCalculated { valid: application.len() as u8, image_offset: app.offset });
        if application.is_empty() {
            self.security(S::NoApplicationSignature);
            return Err(ESP_FAIL);
        }
        self.security(S::BlocksOnApplication { count: application.len() as u8 });
        self.match_keys(&bootloader, &application)?;
        self.stage_revocations(bootloader.len(), batch);
        self.security(S::BlowingSecureBoot);
        self.stage_secure_boot_features(batch);
        Ok(())
    }

    /// A block that counts as used, as it is protected, and reads as zeros. Without a purpose field that is all that the
    /// bootloader can tell of it.
    fn block_without_digest(&self) -> Option<u8> {
        let (block, name) = match self.chip() {
            Chip::Esp32 => (2, "BLOCK2"),
            Chip::Esp32c2 => (3, "BLOCK_KEY0"),
            _ => return None,
        };
        self.is_used(block.into(), name).then_some(block)
    }

    fn stage_digests(&mut self, region: Region, batch: &mut Batch) -> Result<Vec<KeyDigest>, i32> {
        self.security(S::DigestsAbsent);
        let digests = self.key_digests(region);
        let count = digests.len() as u8;
        self.security(S::DigestsCalculated { valid: count, image_offset: region.offset });
        if digests.is_empty() {
            self.security(S::NoBootloaderSignature);
            return Err(ESP_FAIL);
        }
        self.security(S::BlocksOnBootloader { count });
        self.security(S::BurningKeyDigest);
        let held: Vec<KeyDigest> = digests.iter().map(|digest| KeyDigest::on(self.chip(), *digest)).collect();
        if self.chip() == Chip::Esp32 {
            self.driver(E::WritingKey { key: 1, purpose: 3 });
            batch.stage_block(2, digests.first().unwrap_or(&[0; 32]));
            batch.stage_write_protection(self.efuses, "BLOCK2");
            return Ok(held);
        }
        if self.chip() == Chip::Esp32c2 {
            self.stage_half_digest(&held, batch);
            return Ok(held);
        }
        let free = self.free_key_blocks();
        if free.len() < digests.len() {
            self.driver(E::NoKeyBlock { required: count, left: free.len() as u8 });
            self.security(S::TooManySignatures { count });
            return Err(NOT_ENOUGH_KEY_BLOCKS);
        }
        for ((digest, key), purpose) in digests.iter().zip(free).zip(PURPOSES) {
            self.stage_key(batch, key, purpose, digest);
        }
        Ok(held)
    }

    /// The ESP32-C2's one key block: the digest goes into its upper half.
    fn stage_half_digest(&mut self, held: &[KeyDigest], batch: &mut Batch) {
        let mut block = [0; 32];
        if let Some(half) = held.first() {
            block[16..].copy_from_slice(half.as_ref());
        }
        self.stage_in_one_block(batch, Use::SecureBootV2, &block);
    }

    /// Digests that are burned already are taken in their order, without their places (security-builds sheet §2, 12).
    fn use_burned_digests(&mut self, burned: &[KeyDigest], batch: &mut Batch) -> Vec<KeyDigest> {
        self.security(S::DigestsPresent);
        self.security(S::UsingPreloadedDigest);
        for purpose in PURPOSES {
            if let Some(key) = security::key_block_with(self.efuses, purpose) {
                batch.stage_write_protection(self.efuses, &format!("BLOCK_KEY{key}"));
            }
        }
        match self.chip() {
            Chip::Esp32 => batch.stage_write_protection(self.efuses, "BLOCK2"),
            Chip::Esp32c2 => batch.stage_write_protection(self.efuses, "BLOCK_KEY0"),
            _ => {}
        }
        burned.to_vec()
    }

    /// The digests of the keys whose signature blocks verify, up to the first that does not.
    fn key_digests(&self, region: Region) -> Vec<[u8; 32]> {
        let scheme = self.scheme();
        let Some((sector, digest)) = self.signature_sector(region, scheme) else { return Vec::new() };
        let spec = self.chip().spec_at(efuse::chip_revision(self.efuses));
        (0..spec.key_digests.into())
            .map_while(|index| {
                let block = SignatureBlock::at(&sector, index)?;
                let intact = block.magic() == v2::MAGIC && block.stored_crc() == block.computed_crc();
                let good = intact
                    && block.scheme() == Some(scheme)
                    && block.image_digest() == digest.as_ref()
                    && v2::verify_signature(block, digest.as_ref());
                if good { block.key_digest() } else { None }
            })
            .collect()
    }

    /// The signature sector behind the image in `region`, and the digest of everything before it.
    fn signature_sector(&self, region: Region, scheme: SecureBootScheme) -> Option<([u8; v2::SECTOR], ImageDigest)> {
        let length = self.image_length(region)?;
        let content = length.checked_next_multiple_of(SECTOR)?;
        let view = self.unit.view(self.flash);
        let mut bytes = vec![0; content.min(region.size) as usize];
        view.fill(region.offset, &mut bytes).ok()?;
        let mut sector = [0; v2::SECTOR];
        view.fill(region.offset.checked_add(content)?, &mut sector).ok()?;
        Some((sector, ImageDigest::of(scheme, &bytes)))
    }

    fn match_keys(&mut self, bootloader: &[KeyDigest], application: &[[u8; 32]]) -> Result<(), i32> {
        if application.len() > bootloader.len() {
            let (app, bootloader) = (application.len() as u8, bootloader.len() as u8);
            self.security(S::MoreBlocksOnApplication { app, bootloader });
        }
        let mut matched = false;
        for (b, key) in bootloader.iter().enumerate() {
            if self.is_revoked(b) {
                self.security(S::KeyRevoked { key: b as u8 });
                continue;
            }
            for (a, _) in application.iter().enumerate().filter(|(_, k)| key.is_of(k)) {
                self.security(S::KeysMatch { app: a as u8, bootloader: b as u8 });
                matched = true;
            }
        }
        if !matched {
            self.security(S::NoKeyMatches);
            return Err(ESP_FAIL);
        }
        Ok(())
    }

    fn is_revoked(&self, slot: usize) -> bool {
        dryburn::efuse::read(self.efuses, &format!("SECURE_BOOT_KEY_REVOKE{slot}")) == 1
    }

    fn stage_revocations(&mut self, used: usize, batch: &mut Batch) {
        if self.chip() == Chip::Esp32 || self.chip() == Chip::Esp32c2 {
            return;
        }
        let keep = self.config.is_set("SECURE_BOOT_ALLOW_UNUSED_DIGEST_SLOTS") && self.build.idf.since(5, 5);
        for slot in used..3 {
            let number = slot as u8;
            if keep {
                self.security(S::EmptySlotKept { slot: number });
            } else {
                self.security(S::RevokingEmptySlot { slot: number });
                batch.stage(self.efuses, &format!("SECURE_BOOT_KEY_REVOKE{slot}"), 1);
            }
        }
    }

    fn stage_secure_boot_features(&mut self, batch: &mut Batch) {
        let encryption = self.config.flash_encryption();
        let release = self.config.is_set("SECURE_FLASH_ENCRYPTION_MODE_RELEASE");
        let esp32 = self.chip() == Chip::Esp32;
        let secure_download = !encryption || release;
        if esp32 {
            self.security(S::DisablingJtag);
            batch.stage(self.efuses, "JTAG_DISABLE", 1);
            self.security(S::DisablingBasic);
            batch.stage(self.efuses, "CONSOLE_DEBUG_DISABLE", 1);
            self.security(S::DownloadModeKept);
        } else {
            if secure_download {
                self.security(S::EnablingSecureDownload);
                batch.stage(self.efuses, "ENABLE_SECURITY_DOWNLOAD", 1);
            } else {
                self.security(S::DownloadModeKept);
            }
            self.security(S::DisablingJtag);
            if dryburn::efuse::read(self.efuses, "SOFT_DIS_JTAG") == 7 {
                self.driver(E::BitsNotSet { missing: 3 });
            }
            batch.stage(self.efuses, "SOFT_DIS_JTAG", 7);
            for name in ["HARD_DIS_JTAG", "DIS_PAD_JTAG", "DIS_USB_JTAG"].iter().chain(&DIRECT_BOOT) {
                batch.stage(self.efuses, name, 1);
            }
            if self.config.is_set("SECURE_BOOT_ENABLE_AGGRESSIVE_KEY_REVOKE") {
                batch.stage(self.efuses, "SECURE_BOOT_AGGRESSIVE_REVOKE", 1);
            }
        }
        if self.scheme() == SecureBootScheme::V2EcdsaP384 {
            batch.stage(self.efuses, "SECURE_BOOT_SHA384_EN", 1);
        }
        // flash encryption still has a key to read-protect; it takes care of this lock itself
        let postponed = encryption && !self.burns_together() && !security::crypt_count(self.efuses).enabled();
        if self.config.is_set("SECURE_BOOT_V2_ALLOW_EFUSE_RD_DIS") {
            self.security(S::AllowingReadDisable);
        } else if !postponed {
            self.security(S::PreventingReadDisable);
            batch.stage_write_protection(self.efuses, "RD_DIS");
        }
        batch.stage(self.efuses, if esp32 { "ABS_DONE_1" } else { "SECURE_BOOT_EN" }, 1);
    }
}
