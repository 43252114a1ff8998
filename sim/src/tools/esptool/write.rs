//! `write-flash`.

use super::args::WriteFlash;
use super::regions::{self, Region};
use super::{Failure, Workbench, fatal, image_info, need_chip};
use crate::flash::Flash;
use dryburn::flash_encryption::FlashCipher;
use dryburn::{Chip, chip, efuse};
use std::fmt::Write as _;

/// Erases the sectors of each file, programs it and reads it back. All checks come before the first erase.
pub fn run(bench: &Workbench, flash: &mut Flash, chip: Option<Chip>, args: &WriteFlash) -> Result<String, Failure> {
    if args.encrypt && !args.encrypt_files.is_empty() {
        return Err(fatal("Options --encrypt and --encrypt-files must not be specified at the same time."));
    }
    let mut files = regions::read(bench, &args.addr_file, args.encrypt)?;
    files.extend(regions::read(bench, &args.encrypt_files, true)?);
    let mut files = regions::sort(files)?;
    let mut text = String::new();
    for file in &mut files {
        check_fits(file, flash)?;
        if !args.force {
            check_chip(file, chip)?;
        }
        if !args.params.keep() {
            text += &args.params.patch(need_chip(chip)?, file.address, &mut file.data, Some(flash.size()))?;
        }
        if file.encrypt {
            pad_to_cipher_unit(file, need_chip(chip)?)?;
        }
    }
    // A patched digest or the padding may have made a file longer.
    let mut files = regions::sort(files)?;
    for file in &mut files {
        check_fits(file, flash)?;
        if file.encrypt {
            encrypt_as_device(bench, file.address, &mut file.data)?;
        }
    }
    if args.erase_all {
        flash.erase(0, flash.size())?;
        text += "Flash memory erased successfully.\n";
    }
    for file in &files {
        write_one(file, flash, &mut text)?;
    }
    Ok(text)
}

fn write_one(file: &Region, flash: &mut Flash, text: &mut String) -> Result<(), Failure> {
    // Within the chip, hence within 32 bits: check_fits; the chip ends with a whole sector.
    let (from, to) = file.sectors();
    flash.erase(from as u32, to as u32)?;
    flash.program(file.address, &file.data)?;
    let _ = writeln!(text, "Wrote {} bytes at {:#010x}.", file.data.len(), file.address);
    if !file.encrypt {
        let mut back = vec![0; file.data.len()];
        flash.read(file.address, &mut back)?;
        if back != file.data {
            return Err(fatal("MD5 of file does not match data in flash!"));
        }
        text.push_str("Hash of data verified.\n");
    }
    Ok(())
}

fn check_fits(file: &Region, flash: &Flash) -> Result<(), Failure> {
    if file.end() > u64::from(flash.size()) {
        return Err(fatal(format!(
            "File '{}' (length {}) at offset {:#x} ends at {:#x} and will not fit in {} bytes of flash. Change the flashing address or use a larger chip.",
            file.name,
            file.data.len(),
            file.address,
            file.end(),
            flash.size()
        )));
    }
    Ok(())
}

/// An image at the bootloader offset must be for the chip that was named.
fn check_chip(file: &Region, chip: Option<Chip>) -> Result<(), Failure> {
    let Some(chip) = chip.filter(|c| c.spec().bootloader_offset == file.address) else { return Ok(()) };
    match image_info::Image::parse(&file.data).ok().map(|image| image.chip) {
        Some(found) if found != chip => Err(fatal(format!(
            "'{}' is an image for {}, not for {}: chip id {:#06x} at offset 0xc, expected {:#06x}. Use the --force argument to flash anyway.",
            file.name,
            found.spec().title,
            chip.spec().title,
            found.spec().image_chip_id,
            chip.spec().image_chip_id
        ))),
        _ => Ok(()),
    }
}

/// Encrypted data starts at, and is filled with `0xFF` to, a multiple of the cipher's unit (formats sheet §4.3, §5.2).
fn pad_to_cipher_unit(file: &mut Region, chip: Chip) -> Result<(), Failure> {
    let unit: u32 = match chip.spec().flash_cipher {
        chip::FlashCipher::AddressTweakedAes256 => 32,
        chip::FlashCipher::Xts { .. } => 16,
    };
    if !file.address.is_multiple_of(unit) {
        return Err(fatal(format!(
            "File '{}' address {:#x} is not {unit} byte aligned, can't flash encrypted",
            file.name, file.address
        )));
    }
    let length = file.data.len().next_multiple_of(unit as usize);
    file.data.resize(length, 0xFF);
    Ok(())
}

/// Encrypts as the flash controller does in download mode: with the key that is burned, and only while eFuse allows it.
fn encrypt_as_device(bench: &Workbench, address: u32, data: &mut [u8]) -> Result<(), Failure> {
    let Some(device) = &bench.device else { return Err(fatal("no board to take the flash encryption key from")) };
    let locks = ["DISABLE_DL_ENCRYPT", "DIS_DOWNLOAD_MANUAL_ENCRYPT"];
    if let Some(lock) = locks.into_iter().find(|lock| efuse::read(&device.efuses, lock) == 1) {
        return Err(fatal(format!("{lock} is burned: this chip no longer encrypts in download mode")));
    }
    let cipher = FlashCipher::new(&device.efuses.flash_key());
    crate::bulk::encrypt(&cipher, address, data).map_err(|e| fatal(e.to_string()))
}
