//! Which slot starts, and what happens when it does not: pure functions over what lies in flash.
//!
//! The caller reads the partition table and otadata, calls [`choose`], carries out the writes that the [`Choice`] asks
//! for, and then tries the slots in the order of [`attempts`]. Everything worth a log line goes to the observer as an
//! [`Event`]. Source: formats sheet §3.2-3.3, behaviour sheet §2.3-2.4, security-builds sheet §2.

mod event;

pub use event::Event;

use crate::{
    image::Region,
    otadata::{self, Entry, State},
};

/// Most OTA slots that a partition table can name.
pub const MAX_OTA_SLOTS: usize = 16;

/// A place that an app can be started from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "lowercase"))]
pub enum Slot {
    /// The factory app.
    Factory,
    /// `ota_0` … `ota_15`.
    Ota(u8),
    /// The test app.
    Test,
}

/// The bootable partitions, as the bootloader collects them from the table: the last entry of a kind counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Slots {
    /// App, subtype factory.
    pub factory: Option<Region>,
    /// App, subtype test.
    pub test: Option<Region>,
    /// App, subtypes ota_0 … ota_15.
    pub ota: [Option<Region>; MAX_OTA_SLOTS],
    /// How many OTA entries the table has. Slots are assumed to be dense: with a gap, the last ones are out of reach.
    pub app_count: u8,
    /// Data, subtype ota.
    pub otadata: Option<Region>,
}

impl Slots {
    /// Takes note of one entry of the partition table.
    pub fn add(&mut self, kind: u8, subtype: u8, region: Region) {
        match (kind, subtype) {
            (0x00, 0x00) => self.factory = Some(region),
            (0x00, 0x20) => self.test = Some(region),
            (0x00, 0x10..=0x1F) => {
                if let Some(slot) = self.ota.get_mut(usize::from(subtype & 0x0F)) {
                    *slot = Some(region);
                }
                self.app_count = self.app_count.saturating_add(1);
            }
            (0x01, 0x00) => self.otadata = Some(region),
            _ => {}
        }
    }

    /// Where `slot` lies, if the table has it.
    pub fn region(&self, slot: Slot) -> Option<Region> {
        match slot {
            Slot::Factory => self.factory,
            Slot::Test => self.test,
            Slot::Ota(i) => self.ota.get(usize::from(i)).copied().flatten(),
        }
        .filter(|region| region.size > 0)
    }
}

/// How the bootloader was built, as far as the choice goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// `CONFIG_BOOTLOADER_APP_ROLLBACK_ENABLE`.
    pub rollback: bool,
    /// `CONFIG_BOOTLOADER_APP_ANTI_ROLLBACK`, with the secure version that is burned in eFuse.
    pub anti_rollback: Option<u32>,
}

/// Where to begin, and what to write first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The slot to try first. `Slot::Factory` also means "from the lowest slot upward" where there is no factory app.
    pub start: Slot,
    /// Entries of otadata that must be rewritten before anything is started, by sector.
    pub rewrite: [Option<Entry>; 2],
    /// otadata has never been used: the first slot that loads is written down with [`first_entry`].
    pub initial_contents: bool,
    /// The confirmed app in this slot raises the secure version in eFuse (anti-rollback), before it is verified.
    pub raise_secure_version: Option<u8>,
}

impl Choice {
    const fn of(start: Slot) -> Self {
        Self { start, rewrite: [None, None], initial_contents: false, raise_secure_version: None }
    }
}

/// Chooses the slot to start with.
///
/// `entries` is otadata as the CPU reads it, `None` where the table has no otadata partition. `secure_version` tells the
/// anti-rollback version of the app in an OTA slot (`None` when it has no readable descriptor); it is only asked when
/// anti-rollback is on.
pub fn choose(
    slots: &Slots,
    entries: Option<[Entry; 2]>,
    options: &Options,
    secure_version: &mut dyn FnMut(u8) -> Option<u32>,
    observer: &mut dyn FnMut(Event),
) -> Choice {
    let mut choice = Choice::of(Slot::Factory);
    let Some(mut entries) = entries else { return choice };
    if options.rollback {
        for (sector, (entry, rewrite)) in entries.iter_mut().zip(&mut choice.rewrite).enumerate() {
            if entry.state() == State::PendingVerify {
                *entry = entry.with_state(State::Aborted);
                *rewrite = Some(*entry);
                observer(Event::MarkedAborted { sector: sector as u8 });
            }
        }
    }
    let active = match options.anti_rollback {
        None => {
            if entries.iter().all(Entry::is_invalid) || slots.app_count == 0 {
                if slots.factory.is_some() {
                    observer(Event::DefaultingToFactory);
                } else {
                    observer(Event::NoFactoryTryingOta0);
                    choice.start = Slot::Ota(0);
                    choice.initial_contents = entries.iter().all(Entry::is_initial);
                }
                return choice;
            }
            otadata::active(&entries)
        }
        Some(burned) => {
            observer(Event::AntiRollback { secure_version: burned });
            if entries.iter().all(Entry::is_initial) {
                observer(Event::OtadataInitial);
                choice.initial_contents = true;
                return choice;
            }
            let may_run = entries.map(|e| {
                let slot = e.slot(u32::from(slots.app_count)).map(|s| s.min(255) as u8);
                e.is_valid() && slot.and_then(&mut *secure_version).is_some_and(|v| v >= burned)
            });
            match (otadata::active(&entries), may_run) {
                (active, [true, true]) => active,
                (_, [true, false]) => Some(0),
                (_, [false, true]) => Some(1),
                (_, [false, false]) => None,
            }
        }
    };
    let chosen = active.and_then(|k| entries.get(k).map(|e| (k, *e)));
    let slot = chosen.and_then(|(_, e)| e.slot(u32::from(slots.app_count)));
    match (chosen, slot) {
        (Some((sector, entry)), Some(slot)) => {
            let slot = slot.min(255) as u8;
            observer(Event::Selected { sector: sector as u8, slot });
            choice.start = Slot::Ota(slot);
            if options.rollback && entry.state() == State::New {
                if let Some(rewrite) = choice.rewrite.get_mut(sector) {
                    *rewrite = Some(entry.with_state(State::PendingVerify));
                }
                observer(Event::MarkedPendingVerify { sector: sector as u8 });
            }
            if options.anti_rollback.is_some() && entry.state() == State::Valid {
                choice.raise_secure_version = Some(slot);
            }
        }
        _ if slots.factory.is_some() => observer(Event::OtadataInvalidFallingBackToFactory),
        _ => observer(Event::OtadataInvalidTryingAll),
    }
    choice
}

/// The order in which slots are tried: from `start` down to the factory app, then upward from behind `start`, then the
/// test app. A test start tries nothing else.
pub fn attempts(start: Slot, app_count: u8) -> impl Iterator<Item = Slot> {
    let first = match start {
        Slot::Ota(i) => i16::from(i),
        Slot::Factory | Slot::Test => -1,
    };
    let count = i16::from(app_count.min(MAX_OTA_SLOTS as u8));
    let down = (-1..=first).rev();
    let up = first.saturating_add(1)..count;
    let chain = down.chain(up).filter(move |i| *i < count).map(|i| match u8::try_from(i) {
        Ok(i) => Slot::Ota(i),
        Err(_) => Slot::Factory,
    });
    let only_test = start == Slot::Test;
    chain.take_while(move |_| !only_test).chain(core::iter::once(Slot::Test))
}

/// What is written to sector 0 of an otadata that was never used, once `slot` has loaded; nothing for the factory app.
pub fn first_entry(slot: Slot) -> Option<Entry> {
    match slot {
        Slot::Ota(i) => Some(Entry::new(u32::from(i).saturating_add(1), State::Valid)),
        Slot::Factory | Slot::Test => None,
    }
}

/// Anti-rollback: whether an app of version `app` may run on a device whose eFuse says `burned`.
pub fn secure_version_allows(app: u32, burned: u32) -> bool {
    app >= burned
}

#[cfg(test)]
mod tests;
