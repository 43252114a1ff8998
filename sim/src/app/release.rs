//! What differs between ESP-IDF releases on the application's side, one row for each release that changed something.
//!
//! ESP-IDF 5.3 on the ESP32-C3 was recorded; all other rows are by source only: UNVERIFIED.

use dryburn::IdfVersion;

/// How the flash driver writes through the encryption unit (behaviour sheet §4.1, 4.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Driver {
    /// ESP-IDF 3: `spi_flash_write_encrypted` unlocks the chip through the ROM's routine, which does not fail.
    Legacy,
    /// 4.0 to 4.3: it unlocks through the driver of the flash chip, which may lack the call: 0x6001.
    Unlocking,
    /// From 4.4 on: `esp_flash_write_encrypted` of its own, which unlocks nothing.
    EspFlash,
}

/// The rules of one release line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Release {
    since: (u8, u8),
    /// How encrypted data is written.
    pub driver: Driver,
    /// A write of no bytes succeeds before the handle is looked at.
    pub empty_write_is_ok: bool,
    /// A sequential write that ends at a sector's end erases the next sector as well.
    pub erases_one_more: bool,
    /// The handle exists before the flash is erased, and stays when that fails. Within the lines 5.3 and 5.4 it came with
    /// 5.3.3 and 5.4.2 (ota-api sheet, 3).
    pub handle_before_erase: bool,
    /// `esp_ota_begin` takes partitions that are not apps, and `esp_ota_end` says when verification failed.
    pub other_types: bool,
    /// `esp_ota_begin` of a rollback build erases the inactive entry of otadata when that names another slot.
    pub invalidates_inactive: bool,
    /// Choosing the slot that is chosen already rewrites its entry, instead of writing the same `ota_seq` to the other one.
    pub same_entry_rewritten: bool,
    /// A partition cannot be opened twice.
    pub one_handle_each: bool,
}

const IDF_3: Release = Release {
    since: (0, 0),
    driver: Driver::Legacy,
    empty_write_is_ok: false,
    erases_one_more: true,
    handle_before_erase: false,
    other_types: false,
    invalidates_inactive: false,
    same_entry_rewritten: false,
    one_handle_each: false,
};
const IDF_4_0: Release = Release { since: (4, 0), driver: Driver::Unlocking, ..IDF_3 };
const IDF_4_4: Release =
    Release { since: (4, 4), driver: Driver::EspFlash, empty_write_is_ok: true, erases_one_more: false, ..IDF_4_0 };
const IDF_5_3: Release = Release { since: (5, 3), handle_before_erase: true, ..IDF_4_4 };
const IDF_5_5: Release = Release { since: (5, 5), other_types: true, invalidates_inactive: true, ..IDF_5_3 };
const IDF_6_0: Release = Release { since: (6, 0), same_entry_rewritten: true, ..IDF_5_5 };
const IDF_MASTER: Release = Release { since: (6, 2), one_handle_each: true, ..IDF_6_0 };

const RELEASES: [Release; 7] = [IDF_3, IDF_4_0, IDF_4_4, IDF_5_3, IDF_5_5, IDF_6_0, IDF_MASTER];

impl Release {
    /// The rules of `idf`.
    pub fn of(idf: IdfVersion) -> &'static Self {
        RELEASES.iter().rfind(|row| idf.since(row.since.0, row.since.1)).unwrap_or(&RELEASES[0])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_ascend_and_each_release_finds_its_own() {
        assert!(RELEASES.map(|row| row.since).is_sorted());
        assert_eq!(Release::of(IdfVersion::new(4, 3)), &IDF_4_0);
        assert_eq!(Release::of(IdfVersion::new(5, 4)), &IDF_5_3);
        assert_eq!(Release::of(IdfVersion::LATEST), &IDF_6_0);
    }
}
