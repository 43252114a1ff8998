//! The updater: receives a new app, verifies it, makes it the bootloader's choice, confirms it or rolls back.
//!
//! For firmware that ships: `no_std`, no allocator, over the flash driver that the firmware has. It knows nothing of
//! networks; hand it chunks of any size as they come.
//!
//! ```text
//! Updater ── begin ──► Update ── write, write, … ── finish ──► Ready ── set_boot ──► (reset)
//!    │  ◄── drop ────────┘                            │
//!    ├── resume(Progress) ──► Update                  └ Err: the slot cannot be started
//!    ├── begin_scattered ──► Scattered ── write_at …
//!    ├── check(slot) ───────────────────────────────► Ready
//!    └── confirm, roll_back: the running app's own fate
//! ```
//!
//! [`Ready`] is the proof that the bootloader will accept the image. It cannot be had without verification, holds on to
//! the updater so that nothing is overwritten behind its back, and is the only thing that can set the boot slot.
//!
//! ```
//! use dryburn::ota::{Erase, Medium, PlainImage, Updater};
//!
//! fn update<'a, M: Medium>(updater: &mut Updater<M>, chunks: impl Iterator<Item = &'a [u8]>) -> Option<()> {
//!     let slot = updater.next_slot()?;
//!     let mut update = updater.begin(slot, PlainImage, None, Erase::AsWritten).ok()?;
//!     for chunk in chunks {
//!         update.write(chunk).ok()?;
//!     }
//!     update.finish(&mut |_| {}).ok()?.set_boot().ok()
//! }
//! ```
//!
//! # Three ways in
//! | way | what is sent | what happens | checked |
//! |---|---|---|---|
//! | [`PlainImage`] | the (signed) app | the device encrypts as it writes, if it encrypts | as the CPU reads it |
//! | [`Ciphertext`] | the app, encrypted on the host for this slot's address with this device's flash key | written as it is; otadata still goes through the encryption unit | read back through the encryption unit |
//! | [`Envelope`] | the app in a transport encryption | opened on the fly, then like a plain image | its tag first, then as the CPU reads it |
//!
//! # What a reset may find
//! The first 16 bytes of the slot are programmed last, after verification (for [`Ciphertext`] before it: only the
//! encryption unit can read what was sent; a refused image loses its first sector). So an image that was not
//! verified is none. While a slot is written, otadata has no valid entry that names it. An entry of
//! otadata is programmed second half first, and is valid only when the last bit of its `ota_seq` is there. At each moment a
//! reset starts the app that runs now or, once `set_boot` got that far, the new one.
//!
//! # What it relies on
//! That the caller says truly which slot is running: by the flash address of its own code (`esp_ota_get_running_partition`
//! asks the MMU), never by otadata, which after a fallback names another slot.
//!
//! # What it costs
//! No heap. An update of 1.5 MiB took this much stack beside the caller's buffer, all states included (x86-64,
//! `tests/ota/memory.rs`; other targets and optimisations differ):
//!
//! | signature that is verified | stack in KiB |
//! |---|---|
//! | none | 4.5 |
//! | RSA-3072 | 7.9 |
//! | ECDSA P-256 | 15.1 |
//! | ECDSA P-384 | 19.4 |
//!
//! Sources: formats sheet §3, §10; behaviour sheet §4, §5; `ota-api` and security-builds sheets.

mod begin;
mod check;
pub mod choice;
mod entries;
mod envelope;
mod error;
mod fate;
mod medium;
mod progress;
mod scattered;
mod sink;
mod source;
mod update;

pub use check::Ready;
pub use error::{
    BeginError, CheckError, FinishError, FlashFault, FlashOp, LayoutError, OtadataError, ResumeError, RollBackError,
    WriteError,
};
pub use fate::Confirmed;
pub use medium::{Either, EitherError, Encrypted, EncryptedFlash, Medium, Plain};
pub use progress::{BadProgress, PROGRESS_SIZE, Progress};
pub use scattered::Scattered;
pub use source::{Ciphertext, Direct, Envelope, Opened, Opener, PlainImage, Proof, Way};
pub use update::Update;

use crate::{
    SECTOR,
    boot::{self, Slot, Slots},
    image::{Region, SignaturePolicy, Target},
    otadata,
};

/// What this device's bootloader will ask of an app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The chip and its eFuses, and the ESP-IDF release of the bootloader.
    pub target: Target,
    /// Whose signature apps must carry, if any.
    pub signature: Option<SignaturePolicy>,
    /// How the bootloader was built: rollback, anti-rollback with the version in eFuse.
    pub boot: boot::Options,
}

/// When sectors of the slot are erased.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Erase {
    /// Each as the data reaches it: no long pause, and nothing is erased for data that never comes.
    #[default]
    AsWritten,
    /// All that the announced size needs, the whole slot where none is, at the begin.
    First,
}

/// The updater of the running app.
pub struct Updater<M> {
    medium: M,
    slots: Slots,
    running: Slot,
    policy: Policy,
    otadata: Region,
}

impl<M: Medium> Updater<M> {
    /// The updater of an app that runs from `running`, on a device with the partitions `slots` (collected with
    /// [`Slots::add`]). Reads and writes nothing yet.
    ///
    /// # Errors
    /// [`LayoutError`] when the partition table is none to update with.
    pub fn new(medium: M, slots: Slots, running: Slot, policy: Policy) -> Result<Self, LayoutError> {
        let otadata = slots.otadata.ok_or(LayoutError::NoOtadata)?;
        if otadata.size < otadata::PARTITION_SIZE {
            return Err(LayoutError::OtadataTooSmall { size: otadata.size });
        }
        let running_region = slots.region(running).ok_or(LayoutError::NoRunningSlot { slot: running })?;
        check_extent(otadata, medium.capacity())?;
        for (slot, region) in (0..).map(Slot::Ota).zip(slots.ota) {
            let Some(region) = region else { continue };
            check_extent(region, medium.capacity())?;
            check_apart(region, otadata)?;
            if slot != running {
                check_apart(region, running_region)?;
            }
        }
        Ok(Self { medium, slots, running, policy, otadata })
    }

    /// The slot that runs.
    pub fn running(&self) -> Slot {
        self.running
    }

    /// The slot that an update should go to: the next after the running one, the first after the last; `None` where the
    /// table has no other.
    pub fn next_slot(&self) -> Option<u8> {
        let count = self.slots.app_count;
        let first = match self.running {
            Slot::Ota(i) => i.saturating_add(1),
            Slot::Factory | Slot::Test => 0,
        };
        (first..count).chain(0..first.min(count)).find(|slot| self.is_target(*slot))
    }

    /// Size in bytes of an OTA slot; `None` where there is none.
    pub fn slot_size(&self, slot: u8) -> Option<u32> {
        self.slots.region(Slot::Ota(slot)).map(|region| region.size)
    }

    /// The flash driver, for what else the app has to read and write.
    pub fn medium(&mut self) -> &mut M {
        &mut self.medium
    }

    /// Gives the flash driver back.
    pub fn into_inner(self) -> M {
        self.medium
    }

    fn is_target(&self, slot: u8) -> bool {
        self.running != Slot::Ota(slot) && self.slots.region(Slot::Ota(slot)).is_some()
    }
}

fn check_extent(region: Region, capacity: u32) -> Result<(), LayoutError> {
    let whole = region.offset.is_multiple_of(SECTOR) && region.size.is_multiple_of(SECTOR);
    let inside = region.offset.checked_add(region.size).is_some_and(|end| end <= capacity);
    if whole && inside {
        return Ok(());
    }
    Err(LayoutError::NotInFlash { offset: region.offset, size: region.size })
}

fn check_apart(a: Region, b: Region) -> Result<(), LayoutError> {
    let end = |r: Region| u64::from(r.offset).saturating_add(u64::from(r.size));
    if end(a) <= u64::from(b.offset) || end(b) <= u64::from(a.offset) {
        return Ok(());
    }
    Err(LayoutError::Overlap { a: a.offset, b: b.offset })
}

#[cfg(test)]
mod tests;
