//! `esp_partition_*`: the partition table as the app reads it, and the checks before the flash driver. Behaviour sheet
//! §4.1, 4.2.

use super::{App, EspError, flash};
use dryburn::{
    SECTOR,
    image::Region,
    partition::{self, Entry, PartitionType, Subtype},
};

/// `esp_partition_t`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// Type.
    pub kind: PartitionType,
    /// Subtype.
    pub subtype: Subtype,
    /// Flash address.
    pub address: u32,
    /// Size in bytes.
    pub size: u32,
    /// Label.
    pub label: String,
    /// Written and read through the encryption unit.
    pub encrypted: bool,
    /// Flagged read-only.
    pub readonly: bool,
}

impl Partition {
    fn new(entry: &Entry, encryption: bool) -> Self {
        Self {
            kind: entry.kind,
            subtype: entry.subtype,
            address: entry.offset,
            size: entry.size,
            label: entry.label_text().to_owned(),
            encrypted: encryption && partition::is_encrypted_with_flash_encryption(entry),
            readonly: entry.is_readonly(),
        }
    }

    /// Where it lies.
    pub fn region(&self) -> Region {
        Region { offset: self.address, size: self.size }
    }

    /// The number of the OTA slot, when it is one.
    pub fn ota_slot(&self) -> Option<u8> {
        if self.kind == PartitionType::APP { self.subtype.ota_slot() } else { None }
    }

    /// The checks that reading, writing and erasing have in common: start inside, end inside.
    fn check(&self, offset: u32, length: u64) -> Result<u32, EspError> {
        if offset > self.size {
            return Err(EspError::InvalidArg);
        }
        if u64::from(offset) + length > u64::from(self.size) {
            return Err(EspError::InvalidSize);
        }
        self.address.checked_add(offset).ok_or(EspError::InvalidArg)
    }
}

/// The partitions of the table in `sector`, or none where the app refuses the table.
pub(super) fn load(sector: &[u8], encryption: bool) -> Vec<Partition> {
    let count = partition::verify_as_application(sector).unwrap_or(0);
    sector
        .chunks_exact(partition::ENTRY_SIZE)
        .take(count)
        .filter_map(Entry::parse)
        .map(|entry| Partition::new(&entry, encryption))
        .collect()
}

impl App<'_> {
    /// `esp_partition_find_first` by type and subtype.
    pub fn find_first(&self, kind: PartitionType, subtype: Subtype) -> Option<&Partition> {
        self.partitions().iter().find(|p| p.kind == kind && p.subtype == subtype)
    }

    /// `esp_partition_verify`: the partition of the table that is equal to `partition` in every field.
    pub fn registered(&self, partition: &Partition) -> Option<&Partition> {
        self.partitions().iter().find(|p| *p == partition)
    }

    /// `esp_partition_read`: through the encryption unit where the partition says so.
    ///
    /// # Errors
    /// A range that does not lie in the partition or in flash.
    pub fn partition_read(&self, partition: &Partition, offset: u32, buf: &mut [u8]) -> Result<(), EspError> {
        let address = partition.check(offset, buf.len() as u64)?;
        if partition.encrypted {
            return self.read_mapped(address, buf);
        }
        self.device.flash.read(address, buf).map_err(|_| EspError::InvalidArg)
    }

    /// `esp_partition_write`.
    ///
    /// # Errors
    /// A range that does not lie in the partition, and whatever the flash driver says.
    pub fn partition_write(&mut self, partition: &Partition, offset: u32, data: &[u8]) -> Result<(), EspError> {
        if partition.readonly && self.idf().since(5, 0) {
            return Err(EspError::NotAllowed);
        }
        let address = partition.check(offset, data.len() as u64)?;
        if self.writes_encrypted(partition) {
            flash::write_encrypted(self, address, data)
        } else {
            self.device.flash.program(address, data).map_err(|_| EspError::InvalidArg)
        }
    }

    /// `esp_partition_erase_range`.
    ///
    /// # Errors
    /// A range that does not lie in the partition, or is not made of whole sectors.
    pub fn partition_erase(&mut self, partition: &Partition, offset: u32, length: u32) -> Result<(), EspError> {
        if partition.readonly && self.idf().since(5, 0) {
            return Err(EspError::NotAllowed);
        }
        let address = partition.check(offset, length.into())?;
        if !length.is_multiple_of(SECTOR) {
            return Err(EspError::InvalidSize);
        }
        if !offset.is_multiple_of(SECTOR) {
            return Err(EspError::InvalidArg);
        }
        self.device.flash.erase(address, address.saturating_add(length)).map_err(|_| EspError::InvalidArg)
    }
}
