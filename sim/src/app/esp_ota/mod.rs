//! `esp_ota_*` on a running app. This file: handles, from `esp_ota_begin` to `esp_ota_end`; `write`: what goes through
//! them; `select`: otadata and the choice of the next boot. Behaviour sheet §5.2-5.5, ota-api sheet; names are the vendor's without `esp_ota_`.

mod select;
mod write;

pub use select::Restart;

use super::{App, EspError, Event, Partition};
use dryburn::{
    SECTOR,
    image::Kind,
    otadata::State,
    partition::{self, PartitionType, Subtype},
};

/// How much flash `esp_ota_begin` erases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImageSize {
    /// `OTA_SIZE_UNKNOWN` or 0: the whole partition.
    Unknown,
    /// `OTA_WITH_SEQUENTIAL_WRITES`: nothing; each write erases the sectors it enters.
    Sequential,
    /// So many bytes, rounded up to sectors.
    Bytes(u32),
}

/// `esp_ota_handle_t`; 0 is no handle.
pub type Handle = u32;

/// One update under way.
#[derive(Clone, Debug)]
struct Open {
    handle: Handle,
    partition: Partition,
    sequential: bool,
    wrote: u32,
    /// Bytes that wait for a block of 16 to be full, on an encrypted device.
    partial: [u8; 16],
    partial_bytes: usize,
}

/// The update API of one run of an app.
pub struct EspOta<'d> {
    /// The app.
    pub app: App<'d>,
    open: Vec<Open>,
    last_handle: Handle,
}

/// The type of partition that starts with an image: its first byte is checked, and `esp_ota_end` verifies it.
fn image_kind(partition: &Partition) -> Option<Kind> {
    match partition.kind {
        PartitionType::APP => Some(Kind::App),
        PartitionType::BOOTLOADER => Some(Kind::Bootloader),
        _ => None,
    }
}

impl<'d> EspOta<'d> {
    /// The update API of an app that has just started.
    pub fn new(app: App<'d>) -> Self {
        Self { app, open: Vec::new(), last_handle: 0 }
    }

    /// `esp_ota_begin`. The handle is returned beside the verdict, as it may exist even when the call failed; 0 is none.
    ///
    /// # Errors
    /// In this order: 0x102 for no partition, 0x105 for one that is not in the table, 0x102 for one that is no OTA slot,
    /// 0x1501 for the running one, 0x1506 while the running app is PENDING_VERIFY (rollback builds), then whatever erasing
    /// says.
    pub fn begin(&mut self, partition: Option<&Partition>, size: ImageSize) -> (Handle, Result<(), EspError>) {
        let partition = match self.may_begin(partition) {
            Ok(partition) => partition,
            Err(error) => return (0, Err(error)),
        };
        let release = self.app.release();
        let early = if release.handle_before_erase { self.new_handle(&partition, size) } else { 0 };
        let erased = match size {
            ImageSize::Sequential => Ok(()),
            ImageSize::Unknown | ImageSize::Bytes(0) => self.app.partition_erase(&partition, 0, partition.size),
            // the sum wraps as the vendor's does
            ImageSize::Bytes(n) => self.app.partition_erase(&partition, 0, n.wrapping_add(SECTOR - 1) & !(SECTOR - 1)),
        };
        if let Err(error) = erased {
            return (early, Err(error));
        }
        let handle = if early == 0 { self.new_handle(&partition, size) } else { early };
        if release.invalidates_inactive && self.rollback() && partition.ota_slot().is_some() {
            // what it returns is not looked at
            let _ = self.erase_inactive_entry(false);
        }
        (handle, Ok(()))
    }

    fn may_begin(&mut self, partition: Option<&Partition>) -> Result<Partition, EspError> {
        let partition = self.app.registered(partition.ok_or(EspError::InvalidArg)?).ok_or(EspError::NotFound)?.clone();
        let is_app = partition.kind == PartitionType::APP;
        if partition.ota_slot().is_none() && (is_app || !self.app.release().other_types) {
            return Err(EspError::InvalidArg);
        }
        if is_app {
            if partition == *self.app.running() {
                return Err(EspError::OtaPartitionConflict);
            }
            let running = self.app.running().clone();
            if self.rollback() && self.state_of(&running) == Ok(State::PendingVerify) {
                self.app.tell(Event::NotConfirmed);
                return Err(EspError::OtaRollbackInvalidState);
            }
        }
        if self.app.release().one_handle_each && self.open.iter().any(|open| open.partition == partition) {
            self.app.tell(Event::AlreadyOpen { label: partition.label });
            return Err(EspError::OtaAlreadyInProgress);
        }
        Ok(partition)
    }

    fn new_handle(&mut self, partition: &Partition, size: ImageSize) -> Handle {
        self.last_handle += 1;
        self.open.push(Open {
            handle: self.last_handle,
            partition: partition.clone(),
            sequential: size == ImageSize::Sequential,
            wrote: 0,
            partial: [0; 16],
            partial_bytes: 0,
        });
        self.last_handle
    }

    /// `esp_ota_resume` (ESP-IDF 5.3): a handle that goes on at `offset`; erases nothing unless `sequential`, and then from
    /// the next sector on. By source only: UNVERIFIED.
    ///
    /// # Errors
    /// As [`Self::begin`], without the check of the running app's state.
    pub fn resume(&mut self, partition: &Partition, sequential: bool, offset: u32) -> Result<Handle, EspError> {
        if offset > partition.size {
            return Err(EspError::InvalidArg);
        }
        let partition = self.app.registered(partition).ok_or(EspError::NotFound)?.clone();
        if partition.kind == PartitionType::APP && partition.ota_slot().is_none() {
            return Err(EspError::InvalidArg);
        }
        if partition == *self.app.running() {
            return Err(EspError::OtaPartitionConflict);
        }
        let size = if sequential { ImageSize::Sequential } else { ImageSize::Unknown };
        let handle = self.new_handle(&partition, size);
        if let Some(open) = self.open.last_mut() {
            open.wrote = offset;
        }
        Ok(handle)
    }

    fn find(&self, handle: Handle) -> Option<usize> {
        self.open.iter().position(|open| open.handle == handle)
    }

    /// `esp_ota_abort`: the handle is gone, the flash stays as it is.
    ///
    /// # Errors
    /// 0x105 for an unknown handle.
    pub fn abort(&mut self, handle: Handle) -> Result<(), EspError> {
        let at = self.find(handle).ok_or(EspError::NotFound)?;
        self.open.remove(at);
        Ok(())
    }

    /// `esp_ota_end`: writes what waits, verifies. The handle is gone in every case but that of an unknown one.
    ///
    /// # Errors
    /// 0x105 for an unknown handle, 0x102 when nothing was written to flash, 0x103 when the last block could not be
    /// written, 0x1503 when the image is not good.
    pub fn end(&mut self, handle: Handle) -> Result<(), EspError> {
        let at = self.find(handle).ok_or(EspError::NotFound)?;
        let open = self.open.remove(at);
        if open.wrote == 0 {
            return Err(EspError::InvalidArg);
        }
        if open.partial_bytes > 0 {
            // behind the last bytes lies what the buffer held before: zeros until it was first written, 0xFF afterwards
            let written = self.app.partition_write(&open.partition, open.wrote, &open.partial);
            written.map_err(|_| EspError::InvalidState)?;
        }
        let verdict = match image_kind(&open.partition) {
            Some(kind) => self.app.verify_image(&open.partition, kind, false).is_ok(),
            None if open.partition.kind == PartitionType::PARTITION_TABLE => self.table_is_good(&open.partition),
            None => true,
        };
        if verdict {
            return Ok(());
        }
        if self.app.release().other_types {
            self.app.tell(Event::NewImageFailed);
        }
        Err(EspError::OtaValidateFailed)
    }

    fn table_is_good(&self, partition: &Partition) -> bool {
        let mut table = [0; partition::TABLE_SIZE];
        let read = self.app.read_mapped(partition.address, &mut table);
        read.is_ok() && partition::verify(&table, self.app.device.flash.size()).is_ok()
    }

    /// `esp_ota_get_next_update_partition`: the OTA slot behind `start_from`, by default behind the *running* one, else the
    /// lowest.
    ///
    /// # Errors
    /// A `start_from` that is not in the table is an assertion.
    pub fn next_update_partition(&self, start_from: Option<&Partition>) -> Result<Option<Partition>, EspError> {
        let from = match start_from {
            None => self.app.running(),
            Some(partition) => self.app.registered(partition).ok_or(EspError::Aborts)?,
        };
        let slots = (0..16).filter_map(|i| self.app.find_first(PartitionType::APP, Subtype(Subtype::APP_OTA_0.0 + i)));
        let behind = slots.clone().skip_while(|slot| *slot != from).nth(1);
        Ok(behind.or_else(|| slots.clone().next()).cloned())
    }

    /// Built with `BOOTLOADER_APP_ROLLBACK_ENABLE`.
    fn rollback(&self) -> bool {
        self.app.is_built_with("BOOTLOADER_APP_ROLLBACK_ENABLE")
    }
}
