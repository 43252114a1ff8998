//! The pairs of address and file that `write-flash` and `merge-bin` take.

use super::{Failure, Workbench};
use crate::tools::number;
use dryburn::SECTOR;

/// A file and where it goes.
pub struct Region {
    /// Flash address of the first byte.
    pub address: u32,
    /// Name of the file.
    pub name: String,
    /// Its content; never empty.
    pub data: Vec<u8>,
    /// The chip encrypts it on the way to flash.
    pub encrypt: bool,
}

impl Region {
    /// The address behind the last byte.
    pub fn end(&self) -> u64 {
        u64::from(self.address) + self.data.len() as u64
    }

    /// The sectors that writing the region erases: first address, and the address behind the last.
    pub fn sectors(&self) -> (u64, u64) {
        let sector = u64::from(SECTOR);
        (u64::from(self.address) / sector * sector, self.end().div_ceil(sector) * sector)
    }
}

/// Reads the files of `words`, alternating addresses and file names.
///
/// # Errors
/// An odd word, an address that is no number or beyond 32 bits, a file that is missing or empty.
pub fn read(bench: &Workbench, words: &[String], encrypt: bool) -> Result<Vec<Region>, Failure> {
    let (pairs, odd) = words.as_chunks::<2>();
    if !odd.is_empty() {
        return Err(invalid("Must be pairs of an address and the binary filename to write there."));
    }
    let region = |[address, name]: &[String; 2]| {
        let value = number(address).map_err(|_| invalid(format!("Address \"{address}\" must be a number.")))?;
        let address = u32::try_from(value).map_err(|_| invalid(format!("Address \"{address}\" is beyond 32 bits.")))?;
        let data = bench.read(name)?;
        if data.is_empty() {
            return Err(Failure::new(format!("{name}: the file is empty; there is nothing to write at {address:#x}")));
        }
        Ok(Region { address, name: name.clone(), data, encrypt })
    };
    pairs.iter().map(region).collect()
}

/// Sorts by address and refuses files that share a sector, since writing the second would erase the first.
pub fn sort(mut regions: Vec<Region>) -> Result<Vec<Region>, Failure> {
    regions.sort_by_key(|r| r.address);
    for pair in regions.windows(2) {
        if let [first, second] = pair
            && second.sectors().0 < first.sectors().1
        {
            let (at, name) = (second.address, &second.name);
            return Err(invalid(format!("Detected overlap at address: {at:#x} for file: {name}.")));
        }
    }
    Ok(regions)
}

fn invalid(reason: impl std::fmt::Display) -> Failure {
    Failure::new(format!("Invalid value for '<address> <filename>...': {reason}"))
}
