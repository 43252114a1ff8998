//! An application that updates itself with the core's updater ([`dryburn::ota`]), on the modelled board.
//!
//! What real firmware has to bring is what is here: a flash driver that knows of the encryption unit, the partition table,
//! what the eFuses and the bootloader ask of an app, and the slot that it runs from.

use crate::{
    bootloader::{Build, app_signature},
    bus::{EncryptionUnit, Line},
    device::{Device, PowerCycle},
    event::Outcome,
    flash::{Flash, FlashError},
};
use dryburn::{
    SECTOR,
    boot::{Options, Slot, Slots},
    efuse::security,
    image::{Region, Target},
    ota::{Either, Encrypted, EncryptedFlash, LayoutError, Plain, Policy, Updater},
    partition::{self, ApplicationTableError},
};

/// Flash behind an encryption unit that is on.
pub struct UnitFlash<'a> {
    flash: &'a mut Flash,
    unit: EncryptionUnit,
    line: Line,
}

impl<'a> UnitFlash<'a> {
    /// Its driver.
    pub fn new(flash: &'a mut Flash, unit: EncryptionUnit) -> Self {
        Self { flash, unit, line: Line::default() }
    }
}

impl EncryptedFlash for UnitFlash<'_> {
    type Error = FlashError;

    fn capacity(&self) -> u32 {
        self.flash.size()
    }
    fn read(&mut self, address: u32, bytes: &mut [u8]) -> Result<(), FlashError> {
        self.unit.read(self.flash, &mut self.line, address, bytes)
    }
    fn read_raw(&mut self, address: u32, bytes: &mut [u8]) -> Result<(), FlashError> {
        Flash::read(self.flash, address, bytes)
    }
    fn program(&mut self, address: u32, bytes: &[u8]) -> Result<(), FlashError> {
        self.line.empty();
        self.unit.program(self.flash, address, bytes)
    }
    fn program_raw(&mut self, address: u32, bytes: &[u8]) -> Result<(), FlashError> {
        self.line.empty();
        self.flash.program(address, bytes)
    }
    fn erase_sector(&mut self, address: u32) -> Result<(), FlashError> {
        self.line.empty();
        self.flash.erase_sector(address)
    }
}

/// The board's flash, as the app uses it.
pub type AppFlash<'a> = Either<&'a mut Flash, UnitFlash<'a>>;

/// Why the app cannot update.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppError {
    /// The partition table cannot be read.
    #[error(transparent)]
    Flash(#[from] FlashError),
    /// The partition table is none to an application.
    #[error("partition table: {0}")]
    Table(#[from] ApplicationTableError),
    /// The partitions are none to update with.
    #[error(transparent)]
    Layout(#[from] LayoutError),
}

/// A running application.
pub struct App<'a> {
    device: &'a mut Device,
    running: Slot,
}

impl<'a> App<'a> {
    /// The app that `cycle` started on `device`, if it did.
    pub fn started(device: &'a mut Device, cycle: &PowerCycle) -> Option<Self> {
        match cycle.outcome()? {
            Outcome::App { slot, .. } => Some(Self { device, running: *slot }),
            _ => None,
        }
    }

    /// The slot that it runs from: of its own code, not of otadata.
    pub fn running(&self) -> Slot {
        self.running
    }

    /// The board that it runs on.
    pub fn device(&self) -> &Device {
        self.device
    }

    /// Its updater.
    ///
    /// # Errors
    /// [`AppError`].
    pub fn updater(&mut self) -> Result<Updater<AppFlash<'_>>, AppError> {
        let slots = slots(self.device)?;
        let policy = policy(self.device);
        let unit = EncryptionUnit::at_reset(&self.device.efuses);
        let flash = &mut self.device.flash;
        let flash = if unit.is_on() {
            Either::Encrypted(Encrypted(UnitFlash::new(flash, unit)))
        } else {
            Either::Plain(Plain(flash))
        };
        Ok(Updater::new(flash, slots, self.running, policy)?)
    }
}

/// The partitions of `device`, as its app finds them.
///
/// # Errors
/// The table is none.
pub fn slots(device: &Device) -> Result<Slots, AppError> {
    let unit = EncryptionUnit::at_reset(&device.efuses);
    let mut table = [0; SECTOR as usize];
    unit.view(&device.flash).fill(device.config.partition_table_offset(), &mut table)?;
    let count = partition::verify_as_application(&table)?;
    let mut slots = Slots::default();
    for entry in partition::entries(&table).take(count) {
        slots.add(entry.kind.0, entry.subtype.0, Region { offset: entry.offset, size: entry.size });
    }
    Ok(slots)
}

/// What the bootloader of `device` asks of an app. The app was built with the bootloader's options, as ESP-IDF does it.
pub fn policy(device: &Device) -> Policy {
    let efuses = &device.efuses;
    let unit = EncryptionUnit::at_reset(efuses);
    let offset = device.chip().spec().bootloader_offset;
    let target = Target {
        chip: device.chip(),
        revision: security::chip_revision(efuses),
        block_revision: security::block_revision(efuses),
        ignore_max_revision: security::wafer_major_disabled(efuses),
        ignore_max_block_revision: security::block_major_disabled(efuses),
        idf: Build::inspect(&unit.view(&device.flash), device.chip(), offset, device.idf).idf,
    };
    let anti_rollback = device.config.is_set("BOOTLOADER_APP_ANTI_ROLLBACK");
    let boot = Options {
        rollback: device.config.is_set("BOOTLOADER_APP_ROLLBACK_ENABLE"),
        anti_rollback: anti_rollback.then(|| security::secure_version(efuses)),
    };
    let signature = app_signature(&device.config, efuses, target.idf);
    Policy { target, signature, boot }
}
