//! ESP-IDF's second stage: the flow. Decisions are the core's ([`dryburn::boot`], [`dryburn::image`],
//! [`dryburn::partition`]); wording is [`crate::uart`]'s. Source: behaviour sheet §2.

mod anti_rollback;
mod build;
pub mod efuse_driver;
pub(crate) mod event;
mod flash_encryption;
mod flash_key;
mod one_key_block;
mod policy;
mod secure_boot;
mod secure_boot_v1;
pub mod security;
mod stage;

pub use build::Build;
pub use event::{Event, Row, TableRefusal};
pub(crate) use policy::app_signature;
pub(crate) use secure_boot_v1::digest as v1_digest;
pub use stage::Bootloader;

use crate::{
    event::{Event as Any, Outcome},
    fault::{Fault, PowerLost},
};
use dryburn::{
    boot::{self, Choice, Options, Slot, Slots},
    image::{self, Header, Kind, Purpose, Region, Target, Verified},
    otadata::{self, Entry},
    partition,
};
use flash_encryption::Next;
use stage::Stop;
use std::cell::RefCell;

/// Size in bytes of the partition table that is read.
const TABLE_SIZE: usize = 0xC00;

impl Bootloader<'_> {
    /// Runs until an app starts or the chip is reset.
    pub fn run(&mut self) -> Outcome {
        match self.stages() {
            Ok(outcome) => outcome,
            Err(Stop::Reset) => Outcome::Reset,
            Err(Stop::PowerLost) => Outcome::PowerLost,
        }
    }

    fn stages(&mut self) -> Result<Outcome, Stop> {
        self.start_up()?;
        let slots = self.partition_table()?;
        let choice = self.choose(&slots)?;
        self.try_slots(&slots, &choice)
    }

    /// Banner, chip check and flash set-up; everything here follows the bootloader's own header.
    fn start_up(&mut self) -> Result<(), Stop> {
        let target = self.target();
        self.tell(Event::Banner {
            idf: self.build.idf_text.clone(),
            compile_time: self.build.compile_time.clone(),
            multicore: event::is_multicore(target.chip).then_some(true),
        });
        let mut raw = [0; image::HEADER_SIZE];
        let at = target.chip.spec().bootloader_offset;
        self.unit.view(self.flash).fill(at, &mut raw).map_err(|_| Stop::Reset)?;
        let header = Header::from_bytes(raw);
        self.tell(Event::ChipRevision { revision: target.revision, block: target.block_revision });
        self.check_own_header(&header, &target)?;
        // the recorded ESP32-C3 leaves the controller's mode bits clear, which reads as SLOW READ
        let mode = if target.chip == dryburn::Chip::Esp32 { header.spi_mode() } else { 5 };
        self.tell(Event::Flash { speed: header.spi_speed(), mode, size: header.spi_size() });
        self.tell(Event::EntropyOn);
        Ok(())
    }

    fn check_own_header(&mut self, header: &Header, target: &Target) -> Result<(), Stop> {
        let observer = &mut *self.observer;
        let mut told = false;
        image::check_chip(header, Kind::Bootloader, target, &mut |e| {
            told |= matches!(e, image::Event::Refused(_));
            observer(Any::Bootloader(Event::Image(e)));
        })
        .map_err(|refusal| {
            if !told {
                self.tell(Event::Image(image::Event::Refused(refusal)));
            }
            Stop::Reset
        })
    }

    fn partition_table(&mut self) -> Result<Slots, Stop> {
        let mut table = [0; TABLE_SIZE];
        let at = self.config.partition_table_offset();
        let read = self.unit.view(self.flash).fill(at, &mut table);
        let verdict = read
            .map_err(|_| partition::TableError::BadMagic { index: 0, found: 0xFFFF })
            .and_then(|()| partition::verify(&table, self.build.flash_size));
        let verified = match verdict {
            Ok(verified) => verified,
            Err(error) => {
                self.tell(Event::Table { error });
                return Err(Stop::Reset);
            }
        };
        let mut slots = Slots::default();
        let mut rows = Vec::new();
        for entry in verified.bootloader_entries(&table) {
            let region = Region { offset: entry.offset, size: entry.size };
            slots.add(entry.kind.0, entry.subtype.0, region);
            rows.push(Row {
                label: printed_label(&entry.to_bytes()),
                kind: entry.kind.0,
                subtype: entry.subtype.0,
                offset: region.offset,
                size: region.size,
            });
        }
        self.tell(Event::TableListed { rows });
        Ok(slots)
    }

    fn choose(&mut self, slots: &Slots) -> Result<Choice, Stop> {
        let entries = match slots.otadata {
            Some(region) if region.offset != 0 => Some(self.otadata(region)?),
            _ => None,
        };
        let anti_rollback = self.config.is_set("BOOTLOADER_APP_ANTI_ROLLBACK").then(|| self.secure_version());
        let options = Options { rollback: self.config.is_set("BOOTLOADER_APP_ROLLBACK_ENABLE"), anti_rollback };
        let view = self.unit.view(self.flash);
        let observer = RefCell::new(&mut *self.observer);
        let tell = |event| (observer.borrow_mut())(Any::Bootloader(event));
        let mut version =
            |slot| anti_rollback::version_of(&view, slots.region(Slot::Ota(slot)), &mut |e| tell(Event::Security(e)));
        let choice = boot::choose(slots, entries, &options, &mut version, &mut |e| tell(Event::Boot(e)));
        for (sector, entry) in choice.rewrite.iter().enumerate() {
            if let (Some(entry), Some(region)) = (entry, slots.otadata) {
                self.write_otadata(region, sector, entry)?;
            }
        }
        if let Some(slot) = choice.raise_secure_version {
            self.raise_secure_version(slots.region(Slot::Ota(slot)))?;
        }
        Ok(choice)
    }

    fn otadata(&mut self, region: Region) -> Result<[Entry; 2], Stop> {
        if region.size < otadata::PARTITION_SIZE {
            self.tell(Event::Boot(boot::Event::OtadataTooSmall { size: region.size }));
            return Err(Stop::Reset);
        }
        let view = self.unit.view(self.flash);
        let entry = |sector: u32| {
            let mut raw = [0; otadata::ENTRY_SIZE];
            view.fill(region.offset.saturating_add(sector * dryburn::SECTOR), &mut raw).map_err(|_| Stop::Reset)?;
            Ok::<_, Stop>(Entry::from_bytes(raw))
        };
        Ok([entry(0)?, entry(1)?])
    }

    /// Erases the sector and writes the 32 bytes, as the bootloader does; a failure is only logged there.
    fn write_otadata(&mut self, region: Region, sector: usize, entry: &Entry) -> Result<(), PowerLost> {
        let at = region.offset.saturating_add(sector as u32 * dryburn::SECTOR);
        let erased = self.flash.erase_sector(at & !(dryburn::SECTOR - 1));
        match erased.and_then(|()| self.unit.program(self.flash, at, &entry.to_bytes())) {
            Err(Fault::Power(lost)) => Err(lost),
            Err(Fault::Flash(_)) | Ok(()) => Ok(()),
        }
    }

    fn try_slots(&mut self, slots: &Slots, choice: &Choice) -> Result<Outcome, Stop> {
        for slot in boot::attempts(choice.start, slots.app_count) {
            let region = slots.region(slot);
            if slot == Slot::Test && !self.secure_version_allows(region) {
                continue;
            }
            let Some(region) = region else { continue };
            if let Some(outcome) = self.try_slot(slots, choice, slot, region)? {
                return Ok(outcome);
            }
            if slot != Slot::Test {
                self.tell(Event::Boot(boot::Event::NotBootable { slot }));
            }
        }
        self.tell(Event::Boot(boot::Event::NothingBootable));
        Err(Stop::Reset)
    }

    /// Verifies and starts the app in one slot; `None` when it is given up.
    fn try_slot(
        &mut self,
        slots: &Slots,
        choice: &Choice,
        slot: Slot,
        region: Region,
    ) -> Result<Option<Outcome>, Stop> {
        if slot != Slot::Test && !self.secure_version_allows(Some(region)) {
            return Ok(None);
        }
        let Ok(verified) = self.verify(region) else { return Ok(None) };
        self.tell(Event::Boot(boot::Event::Loaded { slot, offset: region.offset }));
        if slot == Slot::Test {
            self.tell(Event::Boot(boot::Event::FallingBackToTest));
        }
        if choice.initial_contents
            && let (Some(entry), Some(otadata)) = (boot::first_entry(slot), slots.otadata)
        {
            self.write_otadata(otadata, 0, &entry)?;
            self.tell(Event::Boot(boot::Event::OtadataWritten { ota_seq: entry.ota_seq() }));
            if self.config.is_set("BOOTLOADER_APP_ANTI_ROLLBACK") {
                self.raise_secure_version(Some(region))?;
            }
        }
        let together = self.burns_together();
        if self.config.secure_boot_v2() && !together && self.enable_secure_boot(region)?.is_err() {
            return Ok(None);
        }
        if self.config.secure_boot_v1() && self.prepare_secure_boot_v1()?.is_err() {
            return Ok(None);
        }
        let next = match self.config.flash_encryption() {
            _ if together => self.enable_together(region)?,
            true => self.enable_flash_encryption()?,
            false => Next::HandOver,
        };
        if next == Next::Refuse {
            return Ok(None);
        }
        if self.config.secure_boot_v1() && self.enable_secure_boot_v1()?.is_err() {
            return Err(Stop::Reset);
        }
        if next == Next::Reset {
            self.security(security::Event::ResettingEncrypted);
            return Err(Stop::Reset);
        }
        Ok(Some(self.hand_over(slot, region, &verified)))
    }

    fn verify(&mut self, region: Region) -> Result<Verified, image::Refusal> {
        self.verify_as(region, Kind::App, Purpose::Load(&self.build.loader))
    }

    fn hand_over(&mut self, slot: Slot, region: Region, verified: &Verified) -> Outcome {
        self.tell(Event::EntropyOff);
        let maps = verified.maps;
        let shared = self.efuses.chip().spec().shared_map;
        if shared && maps.drom + maps.irom != 2 {
            return Outcome::Crash { reason: "the app does not have exactly two mapped segments" };
        }
        if !shared && (maps.drom == 0 || maps.irom == 0) {
            return Outcome::Crash { reason: "the app lacks a mapped segment for data or for code" };
        }
        Outcome::App { slot, offset: region.offset, version: self.app_version(region) }
    }

    fn app_version(&self, region: Region) -> Option<String> {
        let mut raw = [0; image::APP_DESCRIPTOR_SIZE];
        let at = region.offset.checked_add(image::DESCRIPTOR_OFFSET)?;
        self.unit.view(self.flash).fill(at, &mut raw).ok()?;
        let descriptor = image::AppDescriptor::from_bytes(raw);
        (descriptor.magic_word() == image::APP_DESCRIPTOR_MAGIC).then(|| descriptor.version().to_owned())
    }
}

/// The label as `%s` prints it: up to the first NUL, running on into the flags when all 16 bytes are used.
fn printed_label(entry: &[u8; 32]) -> String {
    entry.iter().skip(12).take_while(|b| **b != 0).map(|b| char::from(*b)).collect()
}
