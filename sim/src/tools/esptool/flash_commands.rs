//! `read-flash`, `erase-flash`, `erase-region`, `flash-id`.

use super::args::{EraseRegion, ReadFlash};
use super::{Failure, Workbench, fatal, secured, size_name};
use crate::efuse::Efuses;
use crate::flash::Flash;
use crate::flash::spi::SpiFlash;
use crate::tools::size;
use dryburn::SECTOR;

/// The range that address and size name, checked against the chip.
fn range(flash: &Flash, address: u64, text: &str) -> Result<(u32, u32), Failure> {
    let end_of_chip = u64::from(flash.size());
    let length = match text.eq_ignore_ascii_case("all") {
        true => end_of_chip.saturating_sub(address),
        false => size(text).map_err(|e| Failure::new(format!("Invalid value for 'SIZE': {e}, or ALL")))?,
    };
    match address.checked_add(length).filter(|end| *end <= end_of_chip && address < end_of_chip) {
        Some(end) => Ok((address as u32, end as u32)),
        None => Err(fatal(format!(
            "{length:#x} bytes at {address:#x} leave the flash, which ends at {end_of_chip:#x}; change address or size"
        ))),
    }
}

/// Reads a range as it lies in flash, without decryption, and writes it to a file.
pub fn read(bench: &Workbench, flash: &Flash, args: &ReadFlash) -> Result<String, Failure> {
    let (from, to) = range(flash, args.address, &args.size)?;
    let mut bytes = vec![0; (to - from) as usize];
    flash.read(from, &mut bytes)?;
    bench.write(&args.file, &bytes)?;
    Ok(format!("Read {} bytes from {from:#010x} to '{}'.\n", bytes.len(), args.file))
}

/// Erases the whole chip.
pub fn erase_all(efuses: &Efuses, flash: &mut Flash, force: bool) -> Result<String, Failure> {
    secured::erase_all(efuses, force)?;
    flash.erase(0, flash.size())?;
    Ok("Flash memory erased successfully.\n".into())
}

/// Erases whole sectors.
pub fn erase_region(efuses: &Efuses, flash: &mut Flash, args: &EraseRegion) -> Result<String, Failure> {
    let (from, to) = range(flash, args.address, &args.size)?;
    if !from.is_multiple_of(SECTOR) {
        return Err(fatal(format!("Offset to erase from must be a multiple of 4096, but is {from:#x}")));
    }
    if !to.is_multiple_of(SECTOR) {
        return Err(fatal(format!("Size of data to erase must be a multiple of 4096, but is {:#x}", to - from)));
    }
    secured::erase(efuses, args.force)?;
    flash.erase(from, to)?;
    Ok(format!("Flash memory region erased successfully: {:#x} bytes at {from:#010x}.\n", to - from))
}

/// What the chip answers to the JEDEC id command.
pub fn flash_id(flash: &Flash) -> String {
    let [vendor, kind, capacity] = SpiFlash::new(flash.clone()).jedec_id();
    let size = size_name(flash.size());
    format!(
        "Flash Memory Information:\n=========================\nManufacturer: {vendor:02x}\nDevice: {kind:02x}{capacity:02x}\nDetected flash size: {size}\n"
    )
}
