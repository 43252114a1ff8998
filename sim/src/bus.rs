//! What the CPU sees of flash: through cache and MMU, and through the encryption unit when it is on.
//!
//! The unit decrypts when an odd number of bits of the crypt counter is burned (formats sheet §4.5, 5.5). Mapping has the
//! granularity of the MMU page (64 KiB, less on some chips), decryption that of the cipher's row, so the page size never
//! shows in what is read; it shows in what may be linked, which the core's image checks.

use crate::{
    efuse::Efuses,
    flash::{Flash, FlashError},
};
use dryburn::{efuse::security, flash_encryption::FlashCipher};
use embedded_storage::nor_flash::{ErrorType, NorFlash, ReadNorFlash};

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
        CpuView { flash, cipher: self.cipher.as_ref() }
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
#[derive(Clone, Copy)]
pub struct CpuView<'a> {
    flash: &'a Flash,
    cipher: Option<&'a FlashCipher>,
}

impl CpuView<'_> {
    /// Reads `buf.len()` bytes at `address`.
    ///
    /// # Errors
    /// Beyond the end of flash.
    pub fn fill(&self, address: u32, buf: &mut [u8]) -> Result<(), FlashError> {
        self.flash.read(address, buf)?;
        let Some(cipher) = self.cipher else { return Ok(()) };
        // whole 16-byte blocks are decrypted in place; ends that stick out are read again as part of their block
        let head = buf.len().min((address.wrapping_neg() & 15) as usize);
        let (head, rest) = buf.split_at_mut(head);
        let (body, tail) = rest.split_at_mut(rest.len() & !15);
        let body_at = address + head.len() as u32;
        let tail_at = body_at + body.len() as u32;
        if !body.is_empty() {
            let length = body.len() as u64;
            cipher.decrypt(body_at, body).map_err(|_| FlashError::NotAligned { address: body_at, length, size: 16 })?;
        }
        for (at, part) in [(address, head), (tail_at, tail)] {
            if !part.is_empty() {
                self.partial(cipher, at, part)?;
            }
        }
        Ok(())
    }

    /// Fills `part`, which lies inside one 16-byte block.
    fn partial(&self, cipher: &FlashCipher, address: u32, part: &mut [u8]) -> Result<(), FlashError> {
        let block_at = address & !15;
        let mut block = [0; 16];
        self.flash.read(block_at, &mut block)?;
        cipher.decrypt(block_at, &mut block).map_err(|_| FlashError::NotAligned {
            address: block_at,
            length: 16,
            size: 16,
        })?;
        let from = (address & 15) as usize;
        for (to, byte) in part.iter_mut().zip(block.iter().skip(from)) {
            *to = *byte;
        }
        Ok(())
    }
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
    }
}
