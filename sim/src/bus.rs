//! What the CPU sees of flash: through cache and MMU, and through the encryption unit when it is on.
//!
//! The unit decrypts when an odd number of bits of the crypt counter is burned (formats sheet §4.5, 5.5). Mapping has the
//! granularity of the MMU page (64 KiB, less on some chips), decryption that of the cipher's row, so the page size never
//! shows in what is read; it shows in what may be linked, which the core's image checks. The cache does not show either:
//! a view cannot outlive a change of flash, and its line is longer than the chips' so that the cipher works in bulk.

use crate::{
    efuse::Efuses,
    flash::{Flash, FlashError},
};
use dryburn::{
    efuse::security,
    flash_encryption::{FlashCipher, PIECE},
};
use embedded_storage::nor_flash::{ErrorType, NorFlash, ReadNorFlash};
use std::cell::RefCell;

/// Size in bytes of what is decrypted at once when much is read; divides the size of every flash.
const LINE: usize = 16 * 1024;
/// From this many bytes on, a read is worth a line.
const MUCH: usize = 256;

/// The encryption unit of a board: its cipher when it is on.
#[derive(Default)]
pub struct EncryptionUnit {
    cipher: Option<FlashCipher>,
}

impl EncryptionUnit {
    /// The unit as the eFuses set it up at reset.
    pub fn at_reset(efuses: &Efuses) -> Self {
        let on = security::crypt_count(efuses).enabled();
        Self { cipher: on.then(|| FlashCipher::new(&efuses.flash_key())) }
    }

    /// Whether reads are decrypted.
    pub fn is_on(&self) -> bool {
        self.cipher.is_some()
    }

    /// The CPU's view of `flash`.
    pub fn view<'a>(&'a self, flash: &'a Flash) -> CpuView<'a> {
        CpuView { flash, unit: self, line: RefCell::default() }
    }

    /// Reads `buf.len()` bytes at `address` as the CPU sees them. `line` holds what was decrypted before; who changes flash
    /// empties it.
    ///
    /// # Errors
    /// Beyond the end of flash.
    pub(crate) fn read(&self, flash: &Flash, line: &mut Line, address: u32, buf: &mut [u8]) -> Result<(), FlashError> {
        let Some(cipher) = &self.cipher else { return flash.read(address, buf) };
        flash.check_range(address, buf.len() as u64)?;
        let much = buf.len() >= MUCH;
        let (mut at, mut rest) = (address, buf);
        while !rest.is_empty() {
            let offset = at as usize % LINE;
            let (part, next) = rest.split_at_mut(rest.len().min(LINE - offset));
            line.fill(flash, cipher, at, part, much)?;
            at += part.len() as u32;
            rest = next;
        }
        Ok(())
    }

    /// Programs `data` as `bootloader_flash_write(…, write_encrypted = true)` does: encrypted when the unit is on.
    ///
    /// # Errors
    /// Beyond the end of flash, not aligned to 16 bytes, and whatever `flash` has.
    pub fn program<F>(&self, flash: &mut F, address: u32, data: &[u8]) -> Result<(), F::Error>
    where
        F: NorFlash,
        F::Error: From<FlashError>,
    {
        let mut data = data.to_vec();
        if let Some(cipher) = &self.cipher {
            cipher.encrypt(address, &mut data).map_err(|_| FlashError::NotAligned {
                address,
                length: data.len() as u64,
                size: 16,
            })?;
        }
        flash.write(address, &data)
    }
}

/// Flash as the CPU reads it.
pub struct CpuView<'a> {
    flash: &'a Flash,
    unit: &'a EncryptionUnit,
    line: RefCell<Line>,
}

/// The part of flash that was decrypted last: its address and bytes; no bytes when there is none.
#[derive(Default)]
pub(crate) struct Line {
    address: u32,
    bytes: Vec<u8>,
}

impl CpuView<'_> {
    /// Reads `buf.len()` bytes at `address`.
    ///
    /// # Errors
    /// Beyond the end of flash.
    pub fn fill(&self, address: u32, buf: &mut [u8]) -> Result<(), FlashError> {
        self.unit.read(self.flash, &mut self.line.borrow_mut(), address, buf)
    }
}

impl Line {
    /// Forgets what was decrypted: flash is about to change.
    pub(crate) fn empty(&mut self) {
        self.bytes.clear();
    }

    /// Fills `part`, which lies in one line: from the line if it is there or `much` is read, else block by block.
    fn fill(
        &mut self,
        flash: &Flash,
        cipher: &FlashCipher,
        at: u32,
        part: &mut [u8],
        much: bool,
    ) -> Result<(), FlashError> {
        let offset = at as usize % LINE;
        let address = at - offset as u32;
        let there = self.address == address && !self.bytes.is_empty();
        if !there && much {
            let mut bytes = std::mem::take(&mut self.bytes);
            bytes.resize(LINE, 0);
            decrypted(flash, cipher, address, &mut bytes)?;
            *self = Self { address, bytes };
        }
        if there || much {
            part.copy_from_slice(&self.bytes[offset..offset + part.len()]);
            return Ok(());
        }
        let mut blocks = [0; MUCH + 2 * PIECE];
        let into = offset % PIECE;
        let blocks = &mut blocks[..(into + part.len()).next_multiple_of(PIECE)];
        decrypted(flash, cipher, at - into as u32, blocks)?;
        part.copy_from_slice(&blocks[into..into + part.len()]);
        Ok(())
    }
}

/// Reads whole blocks.
fn decrypted(flash: &Flash, cipher: &FlashCipher, address: u32, blocks: &mut [u8]) -> Result<(), FlashError> {
    flash.read(address, blocks)?;
    let length = blocks.len() as u64;
    cipher.decrypt(address, blocks).map_err(|_| FlashError::NotAligned { address, length, size: PIECE as u32 })
}

impl ErrorType for CpuView<'_> {
    type Error = FlashError;
}

impl ReadNorFlash for CpuView<'_> {
    const READ_SIZE: usize = 1;
    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), FlashError> {
        self.fill(offset, bytes)
    }
    fn capacity(&self) -> usize {
        self.flash.size() as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dryburn::flash_encryption::{CryptConfig, FlashKey};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_read_gives_the_bytes_of_the_whole(at in 0u32..0x200, len in 0usize..80) {
            let mut flash = Flash::new(Flash::MIN_SIZE).expect("a legal size");
            let plain: Vec<u8> = (0..1024u32).map(|i| (i * 7) as u8).collect();
            let key = FlashKey::Esp32 { key: [0x3C; 32], config: CryptConfig::ALL };
            let unit = EncryptionUnit { cipher: Some(FlashCipher::new(&key)) };
            unit.program(&mut flash, 0, &plain).expect("aligned");
            let mut buf = vec![0; len];
            unit.view(&flash).fill(at, &mut buf).expect("inside");
            prop_assert_eq!(&buf, &plain[at as usize..][..len]);
        }

        #[test]
        fn what_was_read_before_does_not_show(reads in prop::collection::vec((0usize..0xA000, 0usize..0x5000), 1..8)) {
            let mut flash = Flash::new(Flash::MIN_SIZE).expect("a legal size");
            let plain: Vec<u8> = (0..0x1_0000u32).map(|i| ((i * 7) >> 3) as u8).collect();
            let unit = EncryptionUnit { cipher: Some(FlashCipher::new(&FlashKey::Xts128([0x3C; 32]))) };
            unit.program(&mut flash, 0, &plain).expect("aligned");
            let view = unit.view(&flash);
            for (at, len) in reads {
                let mut buf = vec![0; len];
                view.fill(at as u32, &mut buf).expect("inside");
                prop_assert_eq!(&buf, &plain[at..][..len]);
            }
        }
    }
}
