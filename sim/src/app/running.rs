//! A running app: how it was built, and its view of the device.

use super::{
    Event, Partition, partition,
    release::{Driver, Release},
};
use crate::{
    bootloader::{Bootloader, Build},
    bus::EncryptionUnit,
    config::Config,
    device::{Device, PowerCycle},
    event::{Event as Any, Outcome},
    fault::{Power, PoweredEfuses, PoweredFlash},
    flash::FlashError,
};
use dryburn::{
    IdfVersion, SECTOR,
    image::{self, APP_DESCRIPTOR_MAGIC, APP_DESCRIPTOR_SIZE, AppDescriptor, DESCRIPTOR_OFFSET, Kind, Purpose},
};

/// How an app was built, where it is not as the bootloader.
#[derive(Clone, Debug, Default)]
pub struct AppBuild {
    /// sdkconfig options, like `BOOTLOADER_APP_ROLLBACK_ENABLE=y`; what is not given is as in the bootloader's.
    pub config: Config,
    /// The driver of its flash chip has no call to lift the write protection, as in v4.0-dev-1290 for the chip of the
    /// ESP32-PICO-D4. Only encrypted writes of ESP-IDF 4.0 to 4.3 use it (behaviour sheet §4.4, 6.4).
    pub no_write_protect_call: bool,
    /// What it was patched to write as it is, past the encryption unit (report R5).
    pub raw_writes: RawWrites,
}

/// Which partitions an app writes past the encryption unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RawWrites {
    /// None: the table's flags decide.
    #[default]
    None,
    /// The app slots: the update is ciphertext already.
    Apps,
    /// All, so otadata as well.
    All,
}

/// An app that runs on a device.
pub struct App<'d> {
    /// The board.
    pub device: &'d mut Device,
    unit: EncryptionUnit,
    build: Build,
    config: Config,
    no_write_protect_call: bool,
    raw_writes: RawWrites,
    partitions: Vec<Partition>,
    running: Partition,
    descriptor: Option<AppDescriptor>,
    events: Vec<Any>,
}

impl<'d> App<'d> {
    /// The app that runs on `device` since `cycle`, built as the bootloader was.
    ///
    /// `None` where `cycle` ended without an app, and where the app aborts at once: its own partition is not in the table as
    /// an app reads it (MD5 is mandatory there).
    pub fn started(device: &'d mut Device, cycle: &PowerCycle) -> Option<Self> {
        Self::started_with(device, cycle, &AppBuild::default())
    }

    /// As [`Self::started`], for an app that was built as `build` says.
    ///
    /// The ESP-IDF release is that of the app's descriptor, else that of the bootloader.
    pub fn started_with(device: &'d mut Device, cycle: &PowerCycle, build: &AppBuild) -> Option<Self> {
        let boot = cycle.boots.last()?;
        let Outcome::App { offset, .. } = boot.outcome else { return None };
        let unit = EncryptionUnit::at_reset(&device.efuses);
        let mut config = device.config.clone();
        config.overlay(&build.config);
        let mut sector = [0; SECTOR as usize];
        unit.view(&device.flash).fill(config.partition_table_offset(), &mut sector).ok()?;
        let partitions = partition::load(&sector, unit.is_on());
        let is_app = |p: &&Partition| p.kind == dryburn::partition::PartitionType::APP;
        let holds = |p: &&Partition| p.address <= offset && offset - p.address < p.size;
        let running = partitions.iter().filter(is_app).find(holds)?.clone();
        let descriptor = descriptor(&unit, device, running.address);
        let idf = descriptor.as_ref().and_then(|d| d.idf_ver().parse().ok()).unwrap_or(boot.idf);
        let at = device.chip().spec().bootloader_offset;
        let build_of_app = Build { idf, ..Build::inspect(&unit.view(&device.flash), device.chip(), at, device.idf) };
        Some(Self {
            device,
            unit,
            build: build_of_app,
            config,
            no_write_protect_call: build.no_write_protect_call,
            raw_writes: build.raw_writes,
            partitions,
            running,
            descriptor,
            events: Vec::new(),
        })
    }
}

impl App<'_> {
    /// ESP-IDF release that built the app.
    pub fn idf(&self) -> IdfVersion {
        self.build.idf
    }

    /// The rules of that release.
    pub fn release(&self) -> &'static Release {
        Release::of(self.idf())
    }

    /// Whether the app was built with an sdkconfig option.
    pub fn is_built_with(&self, key: &str) -> bool {
        self.config.is_set(key)
    }

    /// The partition table, in its order.
    pub fn partitions(&self) -> &[Partition] {
        &self.partitions
    }

    /// `esp_ota_get_running_partition`: where its code lies, whatever otadata says.
    pub fn running(&self) -> &Partition {
        &self.running
    }

    /// The app's own descriptor, as it was when it started.
    pub fn descriptor(&self) -> Option<&AppDescriptor> {
        self.descriptor.as_ref()
    }

    /// Whether flash encryption is on: `esp_flash_encryption_enabled`.
    pub fn flash_encryption(&self) -> bool {
        self.unit.is_on()
    }

    /// Reads memory-mapped flash: through the encryption unit when that is on.
    ///
    /// # Errors
    /// Beyond the end of flash.
    pub fn read_mapped(&self, address: u32, buf: &mut [u8]) -> Result<(), super::EspError> {
        self.unit.view(&self.device.flash).fill(address, buf).map_err(|_| super::EspError::InvalidArg)
    }

    /// Whether the app's driver encrypts what it writes to `partition`.
    pub(super) fn writes_encrypted(&self, partition: &Partition) -> bool {
        let raw = match self.raw_writes {
            RawWrites::None => false,
            RawWrites::Apps => partition.kind == dryburn::partition::PartitionType::APP,
            RawWrites::All => true,
        };
        partition.encrypted && !raw
    }

    pub(super) fn program_encrypted(&mut self, address: u32, data: &[u8]) -> Result<(), FlashError> {
        self.unit.program(&mut self.device.flash, address, data)
    }

    pub(super) fn unlock_fails(&self) -> bool {
        self.no_write_protect_call
            && self.release().driver == Driver::Unlocking
            && !self.is_built_with("SPI_FLASH_USE_LEGACY_IMPL")
    }

    /// Notes something that the app prints.
    pub fn tell(&mut self, event: Event) {
        self.events.push(Any::App(event));
    }

    /// Everything that was reported since the last call, in order.
    pub fn take_events(&mut self) -> Vec<Any> {
        std::mem::take(&mut self.events)
    }

    /// `esp_image_verify` of the image in `partition`, whose log lines are events unless `silent`.
    ///
    /// # Errors
    /// The core's refusal.
    pub fn verify_image(&mut self, partition: &Partition, kind: Kind, silent: bool) -> Result<(), image::Refusal> {
        let mut told = Vec::new();
        let mut observer = |event| {
            if let Any::Bootloader(crate::bootloader::Event::Image(event)) = event {
                told.push(Any::App(Event::Image(event)));
            }
        };
        let power = Power::steady();
        let verdict = Bootloader {
            flash: &mut PoweredFlash::new(&mut self.device.flash, &power),
            efuses: &mut PoweredEfuses::new(&mut self.device.efuses, &power),
            unit: &self.unit,
            config: &self.config,
            build: &self.build,
            rng: &mut self.device.rng,
            observer: &mut observer,
        }
        .verify_as(partition.region(), kind, Purpose::Verify);
        if !silent {
            self.events.extend(told);
        }
        verdict.map(|_| ())
    }

    /// Raises the secure version in eFuse to that of the running app, as the bootloader does for a confirmed one.
    pub(super) fn raise_secure_version(&mut self) {
        let region = self.running.region();
        let events = &mut self.events;
        let mut observer = |event| events.push(event);
        let power = Power::steady();
        let raised = Bootloader {
            flash: &mut PoweredFlash::new(&mut self.device.flash, &power),
            efuses: &mut PoweredEfuses::new(&mut self.device.efuses, &power),
            unit: &self.unit,
            config: &self.config,
            build: &self.build,
            rng: &mut self.device.rng,
            observer: &mut observer,
        }
        .raise_secure_version(Some(region));
        debug_assert!(raised.is_ok(), "the power is steady");
    }
}

fn descriptor(unit: &EncryptionUnit, device: &Device, address: u32) -> Option<AppDescriptor> {
    let mut raw = [0; APP_DESCRIPTOR_SIZE];
    unit.view(&device.flash).fill(address.checked_add(DESCRIPTOR_OFFSET)?, &mut raw).ok()?;
    let descriptor = AppDescriptor::from_bytes(raw);
    (descriptor.magic_word() == APP_DESCRIPTOR_MAGIC).then_some(descriptor)
}
