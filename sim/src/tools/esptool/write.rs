//! `write-flash`.

use super::args::WriteFlash;
use super::regions::{self, Region};
use super::{Failure, Workbench, fatal, need_chip, secured};
use crate::device::Device;
use crate::flash::Flash;
use dryburn::flash_encryption::FlashCipher;
use dryburn::{Chip, Revision, SECTOR, efuse};
use std::fmt::Write as _;

/// The chip that is written to, as far as it is known.
#[derive(Clone, Copy)]
pub struct Target {
    /// Named, or found.
    pub chip: Option<Chip>,
    /// Known where eFuses are at hand.
    pub revision: Option<Revision>,
    /// The flasher stub is at work, not the ROM.
    pub stub: bool,
}

/// Erases the sectors of each file, programs it and reads it back. All checks come before the first erase.
pub fn run(bench: &Workbench, flash: &mut Flash, target: Target, args: &WriteFlash) -> Result<String, Failure> {
    if args.encrypt && !args.encrypt_files.is_empty() {
        return Err(fatal("Options --encrypt and --encrypt-files must not be specified at the same time."));
    }
    let device = bench.device.as_ref().ok_or_else(|| fatal("no board to write to"))?;
    let efuses = &device.efuses;
    let chip = target.chip;
    let mut files = regions::read(bench, &args.addr_file, args.encrypt)?;
    files.extend(regions::read(bench, &args.encrypt_files, true)?);
    let mut files = regions::sort(files)?;
    secured::write_low(efuses, &files, args.force)?;
    let mut text = String::new();
    if !args.force && !secured::cannot_verify(efuses) {
        check_images(&files, target, &mut text)?;
    }
    if files.iter().any(|file| file.encrypt) {
        text += &secured::write_encrypted(efuses, need_chip(chip)?, &files, args.ignore_flash_enc_efuse)?;
    } else {
        secured::write_plaintext(efuses, args.force)?;
    }
    let keep_settings = secured::keeps_flash_settings(efuses);
    for file in &mut files {
        check_fits(file, flash)?;
        if !args.params.keep() && !keep_settings {
            text += &args.params.patch(need_chip(chip)?, file.address, &mut file.data, Some(flash.size()))?;
        }
        if file.encrypt {
            pad_to_cipher_unit(file, need_chip(chip)?);
        }
    }
    // A patched digest or the padding may have made a file longer.
    let mut files = regions::sort(files)?;
    for file in &mut files {
        check_fits(file, flash)?;
        if file.encrypt {
            encrypt_as_device(device, file.address, &mut file.data)?;
        }
    }
    if args.erase_all {
        secured::erase_all(efuses, args.force)?;
        flash.erase(0, flash.size())?;
        text += "Flash memory erased successfully.\n";
    }
    for file in &files {
        if keep_settings {
            text += "WARNING: Security features enabled, so not changing any flash settings.\n";
        }
        let cannot_verify = secured::cannot_verify(efuses);
        write_one(file, flash, target.stub && !cannot_verify, cannot_verify, &mut text)?;
    }
    Ok(text)
}

fn write_one(
    file: &Region,
    flash: &mut Flash,
    by_stub: bool,
    cannot_verify: bool,
    text: &mut String,
) -> Result<(), Failure> {
    program(file, flash, by_stub)?;
    let _ = writeln!(text, "Wrote {} bytes at {:#010x}.", file.data.len(), file.address);
    if file.encrypt || cannot_verify {
        text.push_str("Cannot verify written data if encrypted or in secure download mode.\n");
        return Ok(());
    }
    let mut back = vec![0; file.data.len()];
    flash.read(file.address, &mut back)?;
    if back != file.data {
        return Err(fatal("MD5 of file does not match data in flash!"));
    }
    text.push_str("Hash of data verified.\n");
    Ok(())
}

/// The ROM erases all sectors before it programs, the stub as it goes, and no sector that is blank (serial protocol sheet §6).
/// Where in a sector's erase and program the stub's next data comes is UNVERIFIED.
fn program(file: &Region, flash: &mut Flash, by_stub: bool) -> Result<(), Failure> {
    // Within the chip, hence within 32 bits: check_fits; the chip ends with a whole sector.
    let (from, to) = file.sectors();
    if !by_stub {
        flash.erase(from as u32, to as u32)?;
        flash.program(file.address, &file.data)?;
        return Ok(());
    }
    let mut old = [0; SECTOR as usize];
    let (mut at, mut rest) = (file.address, file.data.as_slice());
    while !rest.is_empty() {
        let sector = at - at % SECTOR;
        let (piece, next) = rest.split_at(rest.len().min((sector + SECTOR - at) as usize));
        flash.read(sector, &mut old)?;
        if old != [0xFF; SECTOR as usize] {
            flash.erase_sector(sector)?;
        }
        flash.program(at, piece)?;
        at = at.saturating_add(piece.len() as u32);
        rest = next;
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

/// An image for another chip or revision: refused at the bootloader's offset, mentioned elsewhere.
fn check_images(files: &[Region], target: Target, text: &mut String) -> Result<(), Failure> {
    let Some(chip) = target.chip else { return Ok(()) };
    for file in files {
        match secured::unfit(&file.data, &file.name, chip, target.revision) {
            Some(why) if file.address == chip.spec().bootloader_offset => {
                return Err(fatal(format!("{why}. Use --force to flash anyway.")));
            }
            Some(why) => {
                let _ = writeln!(text, "NOTE: {why}");
            }
            None => {}
        }
    }
    Ok(())
}

/// Encrypted data is filled with `0xFF` to a multiple of the cipher's unit.
fn pad_to_cipher_unit(file: &mut Region, chip: Chip) {
    let length = file.data.len().next_multiple_of(secured::cipher_unit(chip) as usize);
    file.data.resize(length, 0xFF);
}

/// Encrypts as the flash controller does in download mode: with the key that is burned, and only while eFuse allows it.
fn encrypt_as_device(device: &Device, address: u32, data: &mut [u8]) -> Result<(), Failure> {
    // reached in secure download mode, where the tool cannot look; what the ROM writes then is UNVERIFIED
    let locks = ["DISABLE_DL_ENCRYPT", "DIS_DOWNLOAD_MANUAL_ENCRYPT"];
    if let Some(lock) = locks.into_iter().find(|lock| efuse::read(&device.efuses, lock) == 1) {
        return Err(fatal(format!("{lock} is burned: this chip no longer encrypts in download mode")));
    }
    let cipher = FlashCipher::new(&device.efuses.flash_key());
    crate::bulk::encrypt(&cipher, address, data).map_err(|e| fatal(e.to_string()))
}
