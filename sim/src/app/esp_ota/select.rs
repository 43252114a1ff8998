//! otadata from the app's side: what boots next, confirmed, refused, forgotten. Behaviour sheet §5.5, ota-api sheet.

use super::EspOta;
use crate::app::{EspError, Event, Partition};
use dryburn::{
    SECTOR, boot,
    efuse::security,
    image::{APP_DESCRIPTOR_MAGIC, APP_DESCRIPTOR_SIZE, AppDescriptor, DESCRIPTOR_OFFSET, Kind},
    otadata::{self, ENTRY_SIZE, Entry, State},
    partition::{PartitionType, Subtype},
};

/// The app called `esp_restart`: it runs no further. The board goes on with [`crate::device::Device::reset`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Restart;

impl EspOta<'_> {
    fn otadata_partition(&self) -> Option<Partition> {
        self.app.find_first(PartitionType::DATA, Subtype::DATA_OTA).cloned()
    }

    /// otadata and its partition, read through the encryption unit; tells when there is none.
    fn read_otadata(&mut self) -> Option<(Partition, [Entry; 2])> {
        let Some(partition) = self.otadata_partition() else {
            self.app.tell(Event::NoOtadata);
            return None;
        };
        let entry = |sector: u32| {
            let mut raw = [0; ENTRY_SIZE];
            self.app.read_mapped(partition.address.checked_add(sector * SECTOR)?, &mut raw).ok()?;
            Some(Entry::from_bytes(raw))
        };
        let entries = [entry(0)?, entry(1)?];
        Some((partition, entries))
    }

    fn write_entry(&mut self, otadata: &Partition, sector: usize, entry: &Entry) -> Result<(), EspError> {
        let at = sector as u32 * SECTOR;
        self.app.partition_erase(otadata, at, SECTOR)?;
        self.app.partition_write(otadata, at, &entry.to_bytes())
    }

    fn slot_partition(&self, slot: u32) -> Option<&Partition> {
        let slot = u8::try_from(slot).ok().filter(|slot| *slot < 16)?;
        self.app.find_first(PartitionType::APP, Subtype(Subtype::APP_OTA_0.0 + slot))
    }

    /// `esp_ota_get_app_partition_count`: the OTA slots up to the first gap.
    pub fn app_partition_count(&self) -> u32 {
        (0..16).take_while(|slot| self.slot_partition(*slot).is_some()).count() as u32
    }

    /// `esp_ota_get_state_partition`: the state in the first entry that names the slot and whose CRC is right; which entry
    /// is newer does not count.
    ///
    /// # Errors
    /// 0x102 for no partition, 0x106 for one that is no OTA slot, 0x105 when no entry names it.
    pub fn state_partition(&mut self, partition: Option<&Partition>) -> Result<State, EspError> {
        self.state_of(partition.ok_or(EspError::InvalidArg)?)
    }

    pub(super) fn state_of(&mut self, partition: &Partition) -> Result<State, EspError> {
        let slot = u32::from(partition.ota_slot().ok_or(EspError::NotSupported)?);
        let count = self.app_partition_count();
        let (_, entries) = self.read_otadata().ok_or(EspError::NotFound)?;
        let names = |entry: &&Entry| entry.slot(count) == Some(slot) && entry.crc_matches();
        entries.iter().find(names).map(Entry::state).ok_or(EspError::NotFound)
    }

    /// `esp_ota_set_boot_partition`. The image is verified before anything else is looked at; its lines are those of
    /// `esp_ota_end`.
    ///
    /// # Errors
    /// 0x102 for no partition and for one that is no app, 0x1503 for a bad image, 0x105 without otadata, 0x1504 when the app
    /// is older than the secure version in eFuse (anti-rollback builds; its partition is then erased).
    pub fn set_boot_partition(&mut self, partition: Option<&Partition>) -> Result<(), EspError> {
        let partition = partition.ok_or(EspError::InvalidArg)?;
        self.app.verify_image(partition, Kind::App, false).map_err(|_| EspError::OtaValidateFailed)?;
        if partition.kind != PartitionType::APP {
            return Err(EspError::InvalidArg);
        }
        if partition.subtype == Subtype::APP_FACTORY {
            let otadata = self.otadata_partition().ok_or(EspError::NotFound)?;
            return self.app.partition_erase(&otadata, 0, otadata.size);
        }
        if self.anti_rollback() && !self.secure_version_allows(partition)? {
            self.app.tell(Event::SecureVersionTooLow);
            self.app.partition_erase(partition, 0, partition.size)?;
            return Err(EspError::OtaSmallSecVer);
        }
        self.select(partition)
    }

    fn select(&mut self, partition: &Partition) -> Result<(), EspError> {
        let (otadata, entries) = self.read_otadata().ok_or(EspError::NotFound)?;
        let count = self.app_partition_count();
        // the low four bits of whatever subtype it is
        let slot = u32::from(partition.subtype.0 & 0x0F);
        if slot >= count {
            return Err(EspError::InvalidArg);
        }
        let state = if self.rollback() { State::New } else { State::Undefined };
        let same = self.app.release().same_entry_rewritten;
        let update = otadata::select_wrapping(&entries, slot, count, state, same).ok_or(EspError::NeverReturns)?;
        self.write_entry(&otadata, update.sector, &update.entry)
    }

    /// `esp_ota_get_boot_partition`: the slot that otadata chooses, by the rules of the bootloader.
    pub fn boot_partition(&mut self) -> Option<Partition> {
        let (_, entries) = self.read_otadata()?;
        let count = self.app_partition_count();
        if entries.iter().all(Entry::is_invalid) || count == 0 {
            return self.default_boot_partition();
        }
        match otadata::active(&entries).and_then(|k| entries.get(k)) {
            Some(entry) => self.slot_partition(entry.slot(count)?).cloned(),
            None => {
                self.app.tell(Event::OtadataInvalid);
                self.default_boot_partition()
            }
        }
    }

    fn default_boot_partition(&mut self) -> Option<Partition> {
        let subtypes = std::iter::once(Subtype::APP_FACTORY)
            .chain((0..16).map(|i| Subtype(Subtype::APP_OTA_0.0 + i)))
            .chain([Subtype::APP_TEST]);
        let mut found = subtypes.filter_map(|subtype| self.app.find_first(PartitionType::APP, subtype));
        let first = found.next().cloned();
        if first.is_none() {
            self.app.tell(Event::NoAppPartitions);
        }
        first
    }

    /// `esp_ota_get_last_invalid_partition`: the slot of an INVALID or ABORTED entry whose image is good; of two such
    /// entries the older one.
    pub fn last_invalid_partition(&mut self) -> Option<Partition> {
        let (_, entries) = self.read_otadata()?;
        let count = self.app_partition_count();
        let refused = |e: &&Entry| matches!(e.state(), State::Invalid | State::Aborted) && !e.is_initial();
        let entry = entries.iter().filter(refused).min_by_key(|entry| entry.ota_seq())?;
        let partition = self.slot_partition(entry.slot(count)?)?.clone();
        self.app.verify_image(&partition, Kind::App, true).is_ok().then_some(partition)
    }

    /// `esp_ota_check_rollback_is_possible`: whether the inactive entry names a good app, or, where it is not valid, the
    /// factory app is good.
    pub fn rollback_is_possible(&mut self) -> bool {
        let Some((_, entries)) = self.read_otadata() else { return false };
        let count = self.app_partition_count();
        let Some(active) = otadata::active(&entries).filter(|_| count > 0) else { return false };
        let Some(other) = entries.get(1 - active) else { return false };
        let candidate = if other.is_valid() {
            other.slot(count).and_then(|slot| self.slot_partition(slot))
        } else if self.anti_rollback() {
            None
        } else {
            self.app.find_first(PartitionType::APP, Subtype::APP_FACTORY)
        };
        let Some(candidate) = candidate.cloned() else { return false };
        if self.app.verify_image(&candidate, Kind::App, true).is_err() {
            return false;
        }
        !self.anti_rollback() || self.secure_version_allows(&candidate) == Ok(true)
    }

    /// The active entry of otadata and where it lies; tells when there is none.
    fn active_entry(&mut self) -> Result<(Partition, usize, Entry), EspError> {
        let (otadata, entries) = self.read_otadata().ok_or(EspError::NotFound)?;
        let active = otadata::active(&entries).filter(|_| self.app_partition_count() > 0);
        match active.and_then(|k| entries.get(k).map(|entry| (k, *entry))) {
            Some((sector, entry)) => Ok((otadata, sector, entry)),
            None => {
                self.app.tell(Event::RunningIsFactory);
                Err(EspError::Fail)
            }
        }
    }

    /// `esp_ota_mark_app_valid_cancel_rollback`: makes the *active entry* VALID, whichever app runs.
    ///
    /// # Errors
    /// 0x105 without otadata, -1 without an active entry.
    pub fn mark_app_valid_cancel_rollback(&mut self) -> Result<(), EspError> {
        let (otadata, sector, entry) = self.active_entry()?;
        if entry.state() == State::Valid {
            return Ok(());
        }
        self.write_entry(&otadata, sector, &entry.with_state(State::Valid))?;
        if self.anti_rollback() {
            self.app.raise_secure_version();
        }
        Ok(())
    }

    /// `esp_ota_mark_app_invalid_rollback_and_reboot`: makes the *active entry* INVALID, whichever app runs, and restarts.
    ///
    /// # Errors
    /// 0x105 without otadata, -1 without an active entry, 0x1505 when there is nothing to go back to.
    pub fn mark_app_invalid_rollback_and_reboot(&mut self) -> Result<Restart, EspError> {
        let (otadata, sector, entry) = self.active_entry()?;
        if !self.rollback_is_possible() {
            self.app.tell(Event::RollbackImpossible);
            return Err(EspError::OtaRollbackFailed);
        }
        self.write_entry(&otadata, sector, &entry.with_state(State::Invalid))?;
        self.app.tell(Event::RolledBack);
        Ok(Restart)
    }

    /// `esp_ota_erase_last_boot_app_partition`: erases the app that the inactive entry names, and that entry. Nothing asks
    /// whether the running app is confirmed.
    ///
    /// # Errors
    /// -1 without otadata, without an active entry, when the other entry is blank or damaged, and when it names the
    /// running app.
    pub fn erase_last_boot_app_partition(&mut self) -> Result<(), EspError> {
        self.erase_inactive_entry(true)
    }

    pub(super) fn erase_inactive_entry(&mut self, app_too: bool) -> Result<(), EspError> {
        let (otadata, entries) = self.read_otadata().ok_or(EspError::Fail)?;
        let count = self.app_partition_count();
        let active = otadata::active(&entries).ok_or(EspError::Fail)?;
        let inactive = 1 - active;
        let entry = entries.get(inactive).filter(|entry| !entry.is_initial()).ok_or(EspError::Fail)?;
        let slot = entry.slot(count).ok_or(EspError::Fail)?;
        let app = self.slot_partition(slot).filter(|app| *app != self.app.running()).cloned();
        let app = app.ok_or(EspError::Fail)?;
        if app_too {
            self.app.partition_erase(&app, 0, app.size)?;
        }
        self.app.partition_erase(&otadata, inactive as u32 * SECTOR, SECTOR)
    }

    /// `esp_ota_get_partition_description`.
    ///
    /// # Errors
    /// 0x102 for no partition, 0x106 for one that is no app, 0x105 when no descriptor lies there.
    pub fn partition_description(&self, partition: Option<&Partition>) -> Result<AppDescriptor, EspError> {
        let partition = partition.ok_or(EspError::InvalidArg)?;
        if partition.kind != PartitionType::APP {
            return Err(EspError::NotSupported);
        }
        let mut raw = [0; APP_DESCRIPTOR_SIZE];
        self.app.partition_read(partition, DESCRIPTOR_OFFSET, &mut raw)?;
        let descriptor = AppDescriptor::from_bytes(raw);
        if descriptor.magic_word() == APP_DESCRIPTOR_MAGIC { Ok(descriptor) } else { Err(EspError::NotFound) }
    }

    /// Built with `BOOTLOADER_APP_ANTI_ROLLBACK`.
    fn anti_rollback(&self) -> bool {
        self.app.is_built_with("BOOTLOADER_APP_ANTI_ROLLBACK")
    }

    fn secure_version_allows(&self, partition: &Partition) -> Result<bool, EspError> {
        let version = self.partition_description(Some(partition))?.secure_version();
        Ok(boot::secure_version_allows(version, security::secure_version(&self.app.device.efuses)))
    }
}
