//! First-boot enablement of Secure Boot v1 (ESP32): the digest of the bootloader before flash encryption, the eFuse
//! after it. Behaviour sheet §3.5; no recorded logs, so the order of lines is the sheet's.

use super::{
    efuse_driver::Batch,
    flash_encryption::ESP_FAIL,
    security::Event as S,
    stage::{Bootloader, Halt},
};
use crate::fault::PowerLost;
use dryburn::{
    SECTOR,
    efuse::security,
    image::{HASH_SIZE, Region},
    secure_boot::v1::{self, BootloaderDigest},
};
use rand_chacha::rand_core::Rng;

const IMAGE_INVALID: i32 = 0x2002;

impl Bootloader<'_> {
    /// Makes sure of a key in BLOCK2 and writes IV and digest to sector 0.
    ///
    /// # Errors
    /// The bootloader is no valid image, or BLOCK2 cannot be burned; the slot is given up then.
    pub(super) fn prepare_secure_boot_v1(&mut self) -> Result<Result<(), ()>, PowerLost> {
        if security::secure_boot_v1_enabled(&*self.efuses) {
            self.security(S::V1DigestNotNeeded);
            return Ok(Ok(()));
        }
        let Err(halt) = self.write_v1_digest() else { return Ok(Ok(())) };
        let code = halt.code()?;
        self.security(S::V1DigestFailed { code });
        Ok(Err(()))
    }

    fn write_v1_digest(&mut self) -> Result<(), Halt> {
        let base = self.chip().spec().bootloader_offset;
        let region = Region { offset: base, size: self.config.partition_table_offset().saturating_sub(base) };
        let Some(length) = self.image_length(region) else {
            self.security(S::V1BootloaderInvalid { code: IMAGE_INVALID });
            return Err(IMAGE_INVALID.into());
        };
        if self.v1_key_is_unused() {
            self.security(S::V1GeneratingKey);
            let mut key = [0; 32];
            self.rng.fill_bytes(&mut key);
            let mut batch = Batch::new(self.efuses, self.build.idf);
            batch.stage_block(2, &key);
            if !self.commit(batch)? {
                return Err(ESP_FAIL.into());
            }
        } else {
            self.security(S::V1UsingPreloadedKey);
        }
        self.security(S::V1GeneratingDigest);
        let hash = if self.has_appended_hash(base) { HASH_SIZE } else { 0 };
        let mut iv = [0; v1::IV];
        self.rng.fill_bytes(&mut iv);
        let digest = self.v1_digest(&iv, base, length.saturating_sub(hash)).ok_or(IMAGE_INVALID)?;
        let mut sector = [0xFF; 192];
        sector[..v1::IV].copy_from_slice(&iv);
        sector[v1::IV..].copy_from_slice(&digest);
        self.flash.erase_sector(0).map_err(|fault| Halt::of(fault, ESP_FAIL))?;
        self.unit.program(self.flash, 0, &sector).map_err(|fault| Halt::of(fault, ESP_FAIL))?;
        self.security(S::V1DigestDone);
        Ok(())
    }

    fn v1_key_is_unused(&self) -> bool {
        self.efuses.raw_block(2) == [0; 32]
            && !security::write_protected(self.efuses, "BLOCK2")
            && !security::read_protected(self.efuses, "BLOCK2")
    }

    fn has_appended_hash(&self, base: u32) -> bool {
        let mut raw = [0; dryburn::image::HEADER_SIZE];
        self.unit.view(self.flash).fill(base, &mut raw).is_ok()
            && dryburn::image::Header::from_bytes(raw).hash_appended() == 1
    }

    fn v1_digest(&self, iv: &[u8; v1::IV], base: u32, length: u32) -> Option<[u8; v1::DIGEST]> {
        digest(&self.efuses.secure_boot_v1_key(), iv, v1::device_len(length)?, |at, buf| {
            self.unit.view(self.flash).fill(base.saturating_add(at), buf).is_ok()
        })
    }

    /// Protects the key and burns ABS_DONE_0.
    ///
    /// # Errors
    /// The key is protected half, or the eFuse cannot be burned; the bootloader aborts then.
    pub(super) fn enable_secure_boot_v1(&mut self) -> Result<Result<(), ()>, PowerLost> {
        self.security(S::V1Checking);
        if security::secure_boot_v1_enabled(&*self.efuses) {
            self.security(S::V1AlreadyOn);
            return Ok(Ok(()));
        }
        let read = security::read_protected(self.efuses, "BLOCK2");
        let write = security::write_protected(self.efuses, "BLOCK2");
        if read != write {
            self.security(S::V1KeyHalfProtected { read_missing: !read });
            self.security(S::V1Failed { code: ESP_FAIL });
            return Ok(Err(()));
        }
        self.security(S::V1Blowing);
        let mut batch = Batch::new(self.efuses, self.build.idf);
        if !read {
            self.security(S::V1ProtectingKey);
            batch.stage_read_protection(self.efuses, "BLOCK2");
            batch.stage_write_protection(self.efuses, "BLOCK2");
        }
        self.security(S::V1DisablingJtag);
        batch.stage(self.efuses, "JTAG_DISABLE", 1);
        self.security(S::V1DisablingBasic);
        batch.stage(self.efuses, "CONSOLE_DEBUG_DISABLE", 1);
        batch.stage(self.efuses, "ABS_DONE_0", 1);
        if !self.commit(batch)? {
            self.security(S::V1Failed { code: ESP_FAIL });
            return Ok(Err(()));
        }
        self.security(S::V1Enabled);
        Ok(Ok(()))
    }
}

/// The digest of `length` bytes of flash, read in pieces; `None` where they cannot be read.
pub(crate) fn digest(
    key: &[u8; 32],
    iv: &[u8; v1::IV],
    length: u32,
    mut read: impl FnMut(u32, &mut [u8]) -> bool,
) -> Option<[u8; v1::DIGEST]> {
    let mut engine = BootloaderDigest::new(key, iv);
    let mut at = 0;
    let mut buf = [0; SECTOR as usize];
    while at < length {
        let piece = buf.get_mut(..((length - at) as usize).min(SECTOR as usize))?;
        if !read(at, piece) {
            return None;
        }
        engine.update(piece);
        at += piece.len() as u32;
    }
    Some(engine.finalize())
}
