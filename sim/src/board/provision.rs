//! `device provision`, `device flash` and `device encrypt`: what a factory script does, as one step.
//!
//! All run the vendor's commands and print them, so a reader sees what was typed and can type it. A document that is about
//! provisioning writes the commands out; one that is about something else has its board secured in a line, and the same line
//! serves every chip of a matrix.

use crate::tools::{self, Failure, Output, Workbench, number};
use dryburn::{
    Chip, SECTOR,
    chip::FlashCipher,
    efuse::security,
    partition::{self, PartitionType, Subtype},
};
use std::fmt::Write as _;

/// Files that a provisioned board's folder holds.
const SIGNING_KEY: &str = "signing_key.pem";
const FLASH_KEY: &str = "flash_key.bin";

/// What is to be switched on.
struct Security {
    flash_encryption: bool,
    secure_boot: bool,
}

/// `device provision plain|fe|sb|fe+sb`: makes both keys in any case, so that the same document can sign and encrypt on every
/// board; then signs, burns keys, encrypts what lies in flash, and switches on.
///
/// # Errors
/// Unknown words, a chip whose provisioning is not the usual one, a command that fails.
pub(super) fn provision(bench: &mut Workbench, words: &[&str]) -> Result<Output, Failure> {
    let security = match words {
        ["plain"] => Security { flash_encryption: false, secure_boot: false },
        ["fe"] => Security { flash_encryption: true, secure_boot: false },
        ["sb"] => Security { flash_encryption: false, secure_boot: true },
        ["fe+sb"] => Security { flash_encryption: true, secure_boot: true },
        _ => return Err(Failure::new("device provision: say `plain`, `fe`, `sb` or `fe+sb`")),
    };
    let (chip, table_offset, flash_size) = match &bench.device {
        Some(device) => (device.chip(), device.config.partition_table_offset(), device.flash.size()),
        None => return Err(Failure::new("no board on the desk")),
    };
    if chip == Chip::Esp32c2 {
        return Err(Failure::new(
            "device provision: the esp32c2 has one key block for both; burn it with `espefuse burn-key`",
        ));
    }
    let mut script = Script { bench, text: String::new() };
    script.keys()?;
    let bootloader = chip.spec().bootloader_offset;
    if security.secure_boot {
        script.sign_bootloader(bootloader)?;
        script.burn_digest(chip)?;
        script.configure(&["SECURE_BOOT=y", "SECURE_BOOT_V2_ENABLED=y"])?;
    }
    if security.flash_encryption {
        script.burn_flash_key(chip)?;
        let partitions = script.encrypted_partitions(table_offset, flash_size)?;
        for address in [bootloader, table_offset] {
            script.encrypt_in_place(address, chip, None)?;
        }
        for entry in partitions {
            // an app is encrypted as far as it goes; all else as a whole, so that what is erased reads as erased
            let whole = (entry.kind != PartitionType::APP).then_some(entry.size);
            script.encrypt_in_place(entry.offset, chip, whole)?;
        }
        script.configure(&["SECURE_FLASH_ENC_ENABLED=y", "SECURE_FLASH_ENCRYPTION_MODE_RELEASE=y"])?;
    }
    if security.secure_boot {
        let bit = if chip == Chip::Esp32 { "ABS_DONE_1" } else { "SECURE_BOOT_EN" };
        script.run(&["espefuse", "burn-efuse", bit, "1"])?;
    }
    if security.flash_encryption {
        // every bit: the count can never be made even again
        let (field, all) = if chip == Chip::Esp32 { ("FLASH_CRYPT_CNT", "127") } else { ("SPI_BOOT_CRYPT_CNT", "7") };
        script.run(&["espefuse", "burn-efuse", field, all])?;
    }
    Ok(Output { text: script.text, status: 0 })
}

/// `device flash ADDRESS FILE`: `esptool write-flash` of the file, encrypted for its address first where the board decrypts.
///
/// # Errors
/// Unknown words, unreadable files, a command that fails.
pub(super) fn flash(bench: &mut Workbench, words: &[&str]) -> Result<Output, Failure> {
    let [address, file] = words else {
        return Err(Failure::new("device flash: say where and what, like `device flash 0x20000 app.bin`"));
    };
    number(address).map_err(|e| Failure::new(format!("device flash: {e}")))?;
    let device = bench.device.as_ref().ok_or_else(|| Failure::new("no board on the desk"))?;
    let (chip, on) = (device.chip(), security::crypt_count(&device.efuses).enabled());
    let mut script = Script { bench, text: String::new() };
    if on {
        let encrypted = format!("{}-encrypted.bin", stem(file));
        script.encrypt(address, file, &encrypted, FLASH_KEY, chip)?;
        script.run(&["esptool", "write-flash", address, &encrypted])?;
    } else {
        script.run(&["esptool", "write-flash", address, file])?;
    }
    Ok(Output { text: script.text, status: 0 })
}

/// `device encrypt ADDRESS FILE OUTPUT [KEY]`: `espsecure encrypt-flash-data` in the way of the board's chip, with the
/// board's flash key or another; the board itself is left alone.
///
/// # Errors
/// Unknown words, unreadable files, a command that fails.
pub(super) fn encrypt(bench: &mut Workbench, words: &[&str]) -> Result<Output, Failure> {
    let (address, file, output, key) = match words {
        [address, file, output] => (address, file, output, FLASH_KEY),
        [address, file, output, key] => (address, file, output, *key),
        _ => {
            return Err(Failure::new(
                "device encrypt: say for where, what and into which file, like `device encrypt 0x20000 app.bin app.enc`",
            ));
        }
    };
    let chip = bench.device.as_ref().ok_or_else(|| Failure::new("no board on the desk"))?.chip();
    let mut script = Script { bench, text: String::new() };
    script.encrypt(address, file, output, key, chip)?;
    Ok(Output { text: script.text, status: 0 })
}

fn stem(file: &str) -> &str {
    file.strip_suffix(".bin").unwrap_or(file)
}

/// Commands that ran, as they were typed.
struct Script<'a> {
    bench: &'a mut Workbench,
    text: String,
}

impl Script<'_> {
    fn run(&mut self, argv: &[&str]) -> Result<(), Failure> {
        writeln!(self.text, "$ {}", argv.join(" "))?;
        let argv: Vec<String> = argv.iter().map(|word| (*word).to_owned()).collect();
        let Output { text, status } = tools::run(self.bench, &argv);
        if status == 0 { Ok(()) } else { Err(Failure { text: format!("{}{text}", self.text), status }) }
    }

    fn keys(&mut self) -> Result<(), Failure> {
        if !self.bench.exists(SIGNING_KEY) {
            self.run(&["espsecure", "generate-signing-key", "--version", "2", "--scheme", "rsa3072", SIGNING_KEY])?;
        }
        if !self.bench.exists(FLASH_KEY) {
            self.run(&["espsecure", "generate-flash-encryption-key", FLASH_KEY])?;
        }
        Ok(())
    }

    fn sign_bootloader(&mut self, offset: u32) -> Result<(), Failure> {
        let signed = "bootloader-signed.bin";
        let sign = ["espsecure", "sign-data", "--version", "2", "--keyfile", SIGNING_KEY, "--output", signed];
        self.run(&[&sign[..], &["bootloader.bin"]].concat())?;
        self.run(&["esptool", "write-flash", &format!("{offset:#x}"), signed])
    }

    fn burn_digest(&mut self, chip: Chip) -> Result<(), Failure> {
        let digest = "digest.bin";
        self.run(&["espsecure", "digest-sbv2-public-key", "--keyfile", SIGNING_KEY, "--output", digest])?;
        if chip == Chip::Esp32 {
            self.run(&["espefuse", "burn-key", "secure_boot_v2", digest])
        } else {
            self.run(&["espefuse", "burn-key", "BLOCK_KEY0", digest, "SECURE_BOOT_DIGEST0"])
        }
    }

    fn burn_flash_key(&mut self, chip: Chip) -> Result<(), Failure> {
        if chip == Chip::Esp32 {
            self.run(&["espefuse", "burn-key", "flash_encryption", FLASH_KEY])?;
            self.run(&["espefuse", "burn-efuse", "FLASH_CRYPT_CONFIG", "0xf"])
        } else {
            self.run(&["espefuse", "burn-key", "BLOCK_KEY1", FLASH_KEY, "XTS_AES_128_KEY"])
        }
    }

    /// What encryption in place would encrypt: otadata, app partitions, and those with the flag (behaviour sheet §3).
    fn encrypted_partitions(&self, table_offset: u32, flash_size: u32) -> Result<Vec<partition::Entry>, Failure> {
        let device = self.bench.device.as_ref().ok_or_else(|| Failure::new("no board on the desk"))?;
        let mut table = vec![0; partition::TABLE_SIZE];
        device.flash.read(table_offset, &mut table)?;
        let verified = partition::verify(&table, flash_size)?;
        let entries = verified.bootloader_entries(&table);
        let otadata = (PartitionType::DATA, Subtype::DATA_OTA);
        let wanted = entries.filter(|e| {
            e.kind == PartitionType::APP || (e.kind, e.subtype) == otadata || e.flags & partition::FLAG_ENCRYPTED != 0
        });
        Ok(wanted.collect())
    }

    /// Replaces what lies at `address` by its ciphertext: that many bytes, or up to the first erased sector.
    fn encrypt_in_place(&mut self, address: u32, chip: Chip, length: Option<u32>) -> Result<(), Failure> {
        let device = self.bench.device.as_ref().ok_or_else(|| Failure::new("no board on the desk"))?;
        let mut sector = vec![0; SECTOR as usize];
        let whole = length.is_some();
        let mut length = length.unwrap_or(0);
        while !whole
            && device.flash.read(address + length, &mut sector).is_ok()
            && sector.iter().any(|byte| *byte != 0xFF)
        {
            length += SECTOR;
        }
        if length == 0 {
            return Ok(());
        }
        let (address, file) = (format!("{address:#x}"), format!("plain-{address:#x}.bin"));
        self.run(&["esptool", "read-flash", &address, &format!("{length:#x}"), &file])?;
        let encrypted = format!("{}-encrypted.bin", stem(&file));
        self.encrypt(&address, &file, &encrypted, FLASH_KEY, chip)?;
        self.run(&["esptool", "write-flash", &address, &encrypted])
    }

    fn encrypt(&mut self, address: &str, file: &str, output: &str, key: &str, chip: Chip) -> Result<(), Failure> {
        let xts: &[&str] = match chip.spec().flash_cipher {
            FlashCipher::Xts { .. } => &["--aes-xts"],
            FlashCipher::AddressTweakedAes256 => &[],
        };
        let options = ["--keyfile", key, "--address", address, "--output", output, file];
        self.run(&[&["espsecure", "encrypt-flash-data"], xts, &options].concat())
    }

    /// The bootloader that is flashed was built for it.
    fn configure(&mut self, options: &[&str]) -> Result<(), Failure> {
        for option in options {
            writeln!(self.text, "# CONFIG_{option}")?;
            if let Some(device) = &mut self.bench.device {
                device.config.set(option)?;
            }
        }
        Ok(())
    }
}
