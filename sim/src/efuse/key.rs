//! The key that the flash encryption unit works with (formats sheet §4.4, §5.3).

use super::Efuses;
use dryburn::{
    Chip,
    efuse::{
        KeyPurpose, read,
        security::{key_block_number, key_block_with},
    },
    flash_encryption::{CryptConfig, FlashKey},
};

fn reversed(mut bytes: [u8; 32]) -> [u8; 32] {
    bytes.reverse();
    bytes
}

impl Efuses {
    /// What the flash encryption unit uses, whatever the read protection. An unburned key is all zeros, as the unit takes
    /// it. Where an XTS-AES-128 key and both halves of an XTS-AES-256 key are burned, the latter wins (UNVERIFIED). A key
    /// in the key manager of C5 and P4 is not modelled: what eFuse holds is used.
    pub fn flash_key(&self) -> FlashKey {
        match self.chip() {
            Chip::Esp32 => self.esp32_key(),
            Chip::Esp32c2 => self.c2_key(),
            _ => self.xts_key(),
        }
    }

    /// The key of the secure boot v1 engine (ESP32, BLOCK2), in file order, whatever the read protection; with 3/4 coding
    /// the 24 bytes are extended by their bytes 8 to 16 (formats sheet §6.2).
    pub fn secure_boot_v1_key(&self) -> [u8; 32] {
        self.turned_around(2)
    }

    fn turned_around(&self, block: usize) -> [u8; 32] {
        let mut key = self.raw_block(block);
        if self.raw_word(0, 6) & 3 == 1 {
            key[..24].reverse();
            key.copy_within(8..16, 24);
        } else {
            key.reverse();
        }
        key
    }

    fn esp32_key(&self) -> FlashKey {
        // CODING_SCHEME and FLASH_CRYPT_CONFIG may be hidden from software; the unit knows them.
        let config = (self.raw_word(0, 5) >> 28) as u8;
        let key = self.turned_around(1);
        FlashKey::Esp32 { key, config: CryptConfig::new(config) }
    }

    fn c2_key(&self) -> FlashKey {
        let block = self.raw_block(3);
        if read(self, "XTS_KEY_LENGTH_256") == 1 {
            return FlashKey::Xts128(reversed(block));
        }
        let mut key = [0; 16];
        key.copy_from_slice(&block[..16]);
        key.reverse();
        FlashKey::xts_derived(key)
    }

    fn xts_key(&self) -> FlashKey {
        let of =
            |purpose| key_block_with(self, purpose).map(|n| reversed(self.raw_block(key_block_number(self.chip(), n))));
        if let (Some(first), Some(second)) = (of(KeyPurpose::XtsAes256Key1), of(KeyPurpose::XtsAes256Key2))
            && KeyPurpose::all(self.chip()).any(|p| p == KeyPurpose::XtsAes256Key1)
        {
            let mut key = [0; 64];
            key[..32].copy_from_slice(&first);
            key[32..].copy_from_slice(&second);
            return FlashKey::Xts256(key);
        }
        FlashKey::Xts128(of(KeyPurpose::XtsAes128Key).unwrap_or_default())
    }
}
