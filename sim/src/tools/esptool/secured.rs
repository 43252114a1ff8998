//! What esptool refuses on a chip with security features, mostly unless `--force` is given. Order and wording were observed
//! by running esptool 5.6 against a made-up chip that answers with these eFuses (serial-protocol sheet §7, §9).

use super::{Failure, args::Command, fatal, regions::Region};
use crate::efuse::Efuses;
use crate::tools::download::{Download, no_answer};
use dryburn::{
    Chip, Revision,
    chip::FlashCipher,
    efuse::{KeyPurpose, read, read_block, security},
};

/// Whether the chip answers the tool, and takes that command.
pub fn connect(efuses: &Efuses, command: &Command) -> Result<(), Failure> {
    let name = match command {
        Command::WriteFlash(_) | Command::EraseRegion(_) | Command::GetSecurityInfo => None,
        Command::ReadFlash(_) => Some("read-flash"),
        Command::EraseFlash(_) => Some("erase-flash"),
        Command::FlashId => Some("flash-id"),
        Command::MergeBin(_) | Command::ImageInfo(_) | Command::Version => return Ok(()),
    };
    match (Download::of(efuses), name) {
        (Download::Closed, _) => {
            let Failure { text, status } = no_answer(efuses.chip());
            Err(Failure { text: format!("ERROR: {text}"), status })
        }
        (Download::Secure, Some(name)) => {
            Err(fatal(format!("The '{name}' command is not available in Secure Download Mode.")))
        }
        _ => Ok(()),
    }
}

/// Secure boot as the tool finds it: an ESP32 below revision 3 has no version 2.
fn secure_boot(efuses: &Efuses) -> bool {
    let v2 = efuses.chip() != Chip::Esp32 || security::chip_revision(efuses).major() >= 3;
    security::secure_boot_v1_enabled(efuses) || v2 && security::secure_boot_v2_enabled(efuses)
}

/// Whether the tool leaves the flash settings of a bootloader's header alone, and says so.
pub fn keeps_flash_settings(efuses: &Efuses) -> bool {
    secure_boot(efuses) || Download::of(efuses) == Download::Secure
}

/// Whether what was written cannot be read back.
pub fn cannot_verify(efuses: &Efuses) -> bool {
    Download::of(efuses) == Download::Secure
}

/// `erase-flash`, `erase-region` and `write-flash --erase-all`.
pub fn erase(efuses: &Efuses, force: bool) -> Result<(), Failure> {
    let active = secure_boot(efuses) || security::crypt_count(efuses).enabled();
    if active && !force && Download::of(efuses) == Download::Open {
        return Err(fatal(
            "Active security features detected, erasing flash is disabled as a safety measure. Use the force argument to override, please use with caution, otherwise it may brick your device!",
        ));
    }
    Ok(())
}

/// Erasing all at once is a command of the flasher stub. The stub does not run in secure download mode, nor on an ESP32-C3
/// with secure boot; other chips UNVERIFIED.
pub fn erase_all(efuses: &Efuses, force: bool) -> Result<(), Failure> {
    erase(efuses, force)?;
    let chip = efuses.chip();
    if Download::of(efuses) == Download::Secure || chip == Chip::Esp32c3 && secure_boot(efuses) {
        return Err(fatal(format!("{} ROM does not support function erase_flash.", chip.spec().title)));
    }
    Ok(())
}

/// Files for the bootloader's region of an ESP32 with Secure Boot v1.
pub fn write_low(efuses: &Efuses, files: &[Region], force: bool) -> Result<(), Failure> {
    let low = files.iter().any(|file| file.address < 0x8000);
    if low && !force && security::secure_boot_v1_enabled(efuses) && Download::of(efuses) == Download::Open {
        return Err(fatal(
            "Secure Boot V1 detected, writing to flash regions < 0x8000 is disabled to protect the bootloader. Use the force argument to override, please use with caution, otherwise it may brick your device!",
        ));
    }
    Ok(())
}

/// Plaintext for a chip that decrypts.
pub fn write_plaintext(efuses: &Efuses, force: bool) -> Result<(), Failure> {
    if force || !security::crypt_count(efuses).enabled() {
        return Ok(());
    }
    match Download::of(efuses) {
        Download::Secure => Err(fatal(
            "Detected flash encryption and secure download mode enabled.\nFlashing plaintext binary may brick your device! Use the force argument to override the warning.",
        )),
        _ if manual_encrypt_disabled(efuses) => Err(fatal(
            "Detected flash encryption enabled and download manual encrypt disabled.\nData must be encrypted appropriately before flashing.\nFlashing plaintext data may brick your device! Use the force argument to override the warning.",
        )),
        _ => Ok(()),
    }
}

fn manual_encrypt_disabled(efuses: &Efuses) -> bool {
    ["DISABLE_DL_ENCRYPT", "DIS_DOWNLOAD_MANUAL_ENCRYPT"].into_iter().any(|lock| read(efuses, lock) != 0)
}

/// Files that the chip shall encrypt as it writes them; gives the tool's lines. In secure download mode it cannot look at the
/// eFuses, so only the addresses count.
pub fn write_encrypted(efuses: &Efuses, chip: Chip, files: &[Region], ignore_efuses: bool) -> Result<String, Failure> {
    let mut text = String::new();
    if Download::of(efuses) == Download::Open {
        if manual_encrypt_disabled(efuses) {
            return Err(fatal(
                "This chip has encrypt functionality in UART download mode disabled. This is the Flash Encryption configuration for Production mode instead of Development mode.",
            ));
        }
        let config = read(efuses, "FLASH_CRYPT_CONFIG");
        if chip == Chip::Esp32 && config != 0xF && read(efuses, "RD_DIS") & 8 == 0 {
            text += &format!("Unexpected FLASH_CRYPT_CONFIG value: {config:#x}\n");
        }
        if !has_flash_key(efuses) {
            text += "Flash encryption key is not programmed.\n";
        }
    }
    let unit = cipher_unit(chip);
    for file in files.iter().filter(|file| file.encrypt && !file.address.is_multiple_of(unit)) {
        let (name, at) = (&file.name, file.address);
        text += &format!("WARNING: '{name}' (address {at:#x}) is not {unit} byte aligned, can't flash encrypted.\n");
    }
    if text.is_empty() || ignore_efuses {
        return Ok(text);
    }
    let Failure { text: last, status } =
        fatal("Can't perform encrypted flash write, consult Flash Encryption documentation for more information.");
    Err(Failure { text: text + &last, status })
}

/// Bytes that the chip encrypts at once when a tool writes (formats sheet §4.3, §5.2).
pub fn cipher_unit(chip: Chip) -> u32 {
    match chip.spec().flash_cipher {
        FlashCipher::AddressTweakedAes256 => 32,
        FlashCipher::Xts { .. } => 16,
    }
}

fn has_flash_key(efuses: &Efuses) -> bool {
    use KeyPurpose::{XtsAes128Key, XtsAes256Key1, XtsAes256Key2};
    let block = |purpose| security::key_block_with(efuses, purpose).is_some();
    match efuses.chip() {
        Chip::Esp32 => read(efuses, "RD_DIS") & 1 != 0 || read_block(efuses, 1).iter().any(|byte| *byte != 0),
        // one key block without purposes; what the tool looks at is UNVERIFIED
        Chip::Esp32c2 => true,
        _ => block(XtsAes128Key) || block(XtsAes256Key1) && block(XtsAes256Key2),
    }
}

/// Why an image is not for this chip, in the tool's words, which begin with the file name.
pub fn unfit(image: &[u8], name: &str, chip: Chip, revision: Option<Revision>) -> Option<String> {
    let found = super::image::Image::parse(image).ok()?;
    if found.chip != chip {
        return Some(format!("'{name}' is not an {} image", chip.spec().title));
    }
    let header = dryburn::image::Header::from_bytes(*image.first_chunk()?);
    let revision = revision?;
    let (min, max) = (header.min_chip_rev_full(), header.max_chip_rev_full());
    if max.0 == 0 || min.0 == 0 && header.min_chip_rev() != 0 {
        // an image from before the full revisions
        let (min, now) = (u16::from(header.min_chip_rev()), revision.major());
        return (now < min)
            .then(|| format!("'{name}' requires chip revision {min} or higher (this chip is revision {now})"));
    }
    if (min..=max).contains(&revision) {
        return None;
    }
    let wanted = match (min.0, max.0) {
        (_, u16::MAX) => format!("{min} or higher"),
        (0, _) => format!("{max} or lower"),
        _ => format!("in range {min} - {max}"),
    };
    Some(format!("'{name}' requires chip revision {wanted} (this chip is revision {revision})"))
}
