//! How a bootloader was built: its sdkconfig, and the ESP-IDF release.

use dryburn::{Chip, Revision, SecureBootScheme, chip::FlashCipher};
use std::{collections::BTreeMap, fmt};

/// The sdkconfig options that were given, by name without `CONFIG_`. Options that were not given have ESP-IDF's default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    options: BTreeMap<String, String>,
    /// What lies in the file `SECURE_BOOT_VERIFICATION_KEY`: the P-256 public key that a bootloader with Secure Boot v1
    /// was built with, X then Y, big-endian.
    pub verification_key: Option<[u8; 64]>,
}

/// A text that is not an option.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct BadOption {
    /// Line number (1-based) for a file, `None` for a command line.
    pub line: Option<usize>,
    /// What stands there.
    pub found: String,
}

impl fmt::Display for BadOption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        write!(f, "'{}' is not an option: write KEY=VALUE, like SECURE_BOOT_V2_ENABLED=y", self.found)
    }
}

/// Options that ESP-IDF's Kconfig does not offer for the silicon.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotOffered {
    /// Secure Boot v2 with a scheme that the silicon does not have.
    #[error(
        "SECURE_BOOT_V2_ENABLED: no bootloader with {scheme:?} can be built for {chip} {revision}, which has {known}; \
         set SECURE_SIGNED_APPS_RSA_SCHEME or SECURE_SIGNED_APPS_ECDSA_V2_SCHEME, \
         SECURE_BOOT_ECDSA_KEY_LEN_…_BITS, or the chip's revision"
    )]
    Scheme {
        /// What the options ask for.
        scheme: SecureBootScheme,
        /// The chip.
        chip: Chip,
        /// Its silicon revision.
        revision: Revision,
        /// What it has.
        known: String,
    },
    /// XTS-AES-256 on a chip without such keys.
    #[error("SECURE_FLASH_ENCRYPTION_AES256: {chip} has no XTS-AES-256 keys in eFuse; leave it out")]
    Aes256 {
        /// The chip.
        chip: Chip,
    },
}

impl Config {
    /// Sets one option from `KEY=VALUE`, with or without `CONFIG_` before the key and quotes around the value.
    ///
    /// # Errors
    /// When there is no `=` or no key.
    pub fn set(&mut self, option: &str) -> Result<(), BadOption> {
        let bad = || BadOption { line: None, found: option.into() };
        let (key, value) = option.split_once('=').ok_or_else(bad)?;
        let key = key.trim();
        let key = key.strip_prefix("CONFIG_").unwrap_or(key);
        if key.is_empty() || !key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            return Err(bad());
        }
        self.options.insert(key.into(), value.trim().trim_matches('"').into());
        Ok(())
    }

    /// Reads an sdkconfig file: `CONFIG_KEY=VALUE` lines, `#` comments (`# CONFIG_KEY is not set` means `n`).
    ///
    /// # Errors
    /// The first line that is neither.
    pub fn read_sdkconfig(&mut self, text: &str) -> Result<(), BadOption> {
        for (i, line) in text.lines().enumerate() {
            let line = line.trim();
            if let Some(key) = line.strip_prefix("# CONFIG_").and_then(|l| l.strip_suffix(" is not set")) {
                self.options.insert(key.into(), "n".into());
            } else if !line.is_empty() && !line.starts_with('#') {
                self.set(line).map_err(|e| BadOption { line: Some(i + 1), ..e })?;
            }
        }
        Ok(())
    }

    /// Takes over every option that `other` gives.
    pub fn overlay(&mut self, other: &Self) {
        self.options.extend(other.options.iter().map(|(key, value)| (key.clone(), value.clone())));
        self.verification_key = other.verification_key.or(self.verification_key);
    }

    /// Whether the option is `y`.
    pub fn is_set(&self, key: &str) -> bool {
        self.options.get(key).is_some_and(|v| v == "y")
    }

    /// Whether the option was given and is not `y`.
    pub fn is_unset(&self, key: &str) -> bool {
        self.options.get(key).is_some_and(|v| v != "y")
    }

    /// The option as a number, decimal or after `0x` hexadecimal, where it was given and is one.
    pub fn number(&self, key: &str) -> Option<u32> {
        let value = self.options.get(key)?;
        let hex = value.strip_prefix("0x").or_else(|| value.strip_prefix("0X"));
        hex.map_or_else(|| value.parse(), |digits| u32::from_str_radix(digits, 16)).ok()
    }

    /// Flash address of the partition table: `PARTITION_TABLE_OFFSET`, 0x8000 unless given.
    pub fn partition_table_offset(&self) -> u32 {
        self.number("PARTITION_TABLE_OFFSET").unwrap_or(0x8000)
    }

    /// The text of an option, where it was given.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.options.get(key).map(String::as_str)
    }

    /// Built with Secure Boot v1. (`SECURE_BOOT_V1_ENABLED`)
    pub fn secure_boot_v1(&self) -> bool {
        self.is_set("SECURE_BOOT_V1_ENABLED")
    }

    /// Built with Secure Boot v2. (`SECURE_BOOT_V2_ENABLED`)
    pub fn secure_boot_v2(&self) -> bool {
        self.is_set("SECURE_BOOT_V2_ENABLED")
    }

    /// The scheme that Secure Boot v2 was built with: RSA where the silicon has it, else ECDSA, unless
    /// `SECURE_SIGNED_APPS_RSA_SCHEME` or `SECURE_SIGNED_APPS_ECDSA_V2_SCHEME` says so; the curve is P-256 unless
    /// `SECURE_BOOT_ECDSA_KEY_LEN_192_BITS` or `SECURE_BOOT_ECDSA_KEY_LEN_384_BITS` is set. (ESP-IDF's Kconfig.)
    pub fn secure_boot_v2_scheme(&self, chip: Chip, revision: Revision) -> SecureBootScheme {
        use SecureBootScheme::{V2EcdsaP192, V2EcdsaP256, V2EcdsaP384, V2Rsa3072};
        let known = chip.spec_at(revision).secure_boot;
        // the first ESP32 knows no v2, but a bootloader for the later ones can lie in its flash
        let rsa_by_default = known.contains(&V2Rsa3072) || !known.contains(&V2EcdsaP256);
        let rsa = if rsa_by_default {
            !self.is_set("SECURE_SIGNED_APPS_ECDSA_V2_SCHEME")
        } else {
            self.is_set("SECURE_SIGNED_APPS_RSA_SCHEME")
        };
        match (rsa, self.is_set("SECURE_BOOT_ECDSA_KEY_LEN_192_BITS")) {
            (true, _) => V2Rsa3072,
            (false, true) => V2EcdsaP192,
            (false, false) if self.is_set("SECURE_BOOT_ECDSA_KEY_LEN_384_BITS") => V2EcdsaP384,
            (false, false) => V2EcdsaP256,
        }
    }

    /// Refuses options that ESP-IDF's Kconfig does not offer for this silicon.
    ///
    /// # Errors
    /// Secure Boot v2 with a scheme that the silicon does not have, XTS-AES-256 keys where it has none.
    pub fn check(&self, chip: Chip, revision: Revision) -> Result<(), NotOffered> {
        let spec = chip.spec_at(revision);
        let scheme = self.secure_boot_v2_scheme(chip, revision);
        let mut known = spec.secure_boot.iter().filter(|known| **known != SecureBootScheme::V1).peekable();
        if self.secure_boot_v2() && known.peek().is_some() && !spec.secure_boot.contains(&scheme) {
            let known: Vec<String> = known.map(|scheme| format!("{scheme:?}")).collect();
            return Err(NotOffered::Scheme { scheme, chip, revision, known: known.join(", ") });
        }
        let offered = match spec.flash_cipher {
            FlashCipher::Xts { aes256, .. } => aes256,
            FlashCipher::AddressTweakedAes256 => false,
        };
        if self.flash_encryption() && self.is_set("SECURE_FLASH_ENCRYPTION_AES256") && !offered {
            return Err(NotOffered::Aes256 { chip });
        }
        Ok(())
    }

    /// Built with flash encryption. (`SECURE_FLASH_ENC_ENABLED`, `FLASH_ENCRYPTION_ENABLED` in ESP-IDF 3)
    pub fn flash_encryption(&self) -> bool {
        self.is_set("SECURE_FLASH_ENC_ENABLED") || self.is_set("FLASH_ENCRYPTION_ENABLED")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kconfig_offers_what_the_silicon_has() {
        use SecureBootScheme::{V2EcdsaP192, V2EcdsaP256, V2EcdsaP384, V2Rsa3072};
        let scheme = |chip, revision, options: &[&str]| {
            let mut config = Config::default();
            for option in [&["SECURE_BOOT_V2_ENABLED=y"], options].concat() {
                config.set(option).expect("an option");
            }
            let scheme = config.secure_boot_v2_scheme(chip, revision);
            config.check(chip, revision).map(|()| scheme).map_err(|error| error.to_string())
        };
        let (first, third) = (Revision(0), Revision::new(3, 0));
        let ecdsa = "SECURE_SIGNED_APPS_ECDSA_V2_SCHEME=y";
        let (p192, p384) = ("SECURE_BOOT_ECDSA_KEY_LEN_192_BITS=y", "SECURE_BOOT_ECDSA_KEY_LEN_384_BITS=y");
        assert_eq!(scheme(Chip::Esp32, first, &[]), Ok(V2Rsa3072));
        assert_eq!(scheme(Chip::Esp32c6, first, &[]), Ok(V2Rsa3072));
        assert_eq!(scheme(Chip::Esp32c6, first, &[ecdsa, p192]), Ok(V2EcdsaP192));
        assert_eq!(scheme(Chip::Esp32c2, first, &[]), Ok(V2EcdsaP256));
        assert_eq!(scheme(Chip::Esp32p4, third, &[ecdsa, p384]), Ok(V2EcdsaP384));
        let refused = scheme(Chip::Esp32p4, first, &[ecdsa, p384]).expect_err("the first P4 has no P-384");
        assert!(refused.contains("which has V2Rsa3072, V2EcdsaP256;"), "{refused}");
        assert!(scheme(Chip::Esp32c3, first, &[ecdsa]).is_err());
        assert!(scheme(Chip::Esp32c61, first, &["SECURE_SIGNED_APPS_RSA_SCHEME=y"]).is_err());
        let keys = ["SECURE_FLASH_ENC_ENABLED=y", "SECURE_FLASH_ENCRYPTION_AES256=y"];
        assert!(scheme(Chip::Esp32s3, first, &keys).is_ok() && scheme(Chip::Esp32c3, first, &keys).is_err());
    }

    #[test]
    fn reads_what_menuconfig_writes() {
        let mut config = Config::default();
        let text = "# comment\nCONFIG_PARTITION_TABLE_OFFSET=0xb000\n# CONFIG_SECURE_BOOT is not set\nCONFIG_X=\"y\"\n";
        config.read_sdkconfig(text).expect("well-formed");
        assert_eq!(config.partition_table_offset(), 0xb000);
        assert!(config.is_set("X") && !config.is_set("SECURE_BOOT"));
        let error = config.read_sdkconfig("CONFIG_A=y\nnonsense\n").expect_err("no option");
        assert_eq!(error.line, Some(2));
    }
}
