//! The running app's own fate: confirmed, or rolled back.

use super::{
    Updater, check,
    choice::{self, Write},
    error::{OtadataError, RollBackError},
    medium::{Medium, View},
};
use crate::{
    boot::{self, Slot},
    otadata::{Entry, State},
};

/// What a confirmation came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confirmed {
    /// otadata says VALID now.
    Now,
    /// Nothing was to be done: VALID already, or UNDEFINED without anti-rollback.
    Already,
    /// otadata has no entry of the running app, so no reset will take it back either.
    NoEntry,
}

impl<M: Medium> Updater<M> {
    /// The running app has proved good: no reset takes it back any more. Anti-rollback: the bootloader raises the version in
    /// eFuse at the next start.
    ///
    /// Always the entry of the *running* app; a choice that has yet to be started stays as it is. A power cut leaves what a
    /// reset just before would have left, or the confirmation.
    ///
    /// # Errors
    /// [`OtadataError`].
    pub fn confirm(&mut self) -> Result<Confirmed, OtadataError<M::Error>> {
        let Some(state) = self.state()? else { return Ok(Confirmed::NoEntry) };
        if state == State::Undefined && self.policy.boot.anti_rollback.is_none() {
            return Ok(Confirmed::Already);
        }
        let entries = self.entries()?;
        match choice::mark(&entries, self.running, self.slots.app_count, State::Valid) {
            Some(write) => self.carry_out(write).map(|()| Confirmed::Now),
            None => Ok(Confirmed::Already),
        }
    }

    /// The running app has proved bad: it becomes INVALID, and the next reset starts the slot that is returned. Reset then.
    ///
    /// # Errors
    /// [`RollBackError`]; in particular when no other app would start, which is found out before anything is written.
    pub fn roll_back(&mut self) -> Result<Slot, RollBackError<M::Error>> {
        let running = self.running;
        let state = self.state().map_err(OtadataError::from)?;
        state.ok_or(RollBackError::NoEntry { running })?;
        let mut entries = self.entries().map_err(OtadataError::from)?;
        let write = choice::mark(&entries, running, self.slots.app_count, State::Invalid);
        if let Some(Write::Entry { sector, entry }) = write
            && let Some(old) = entries.get_mut(usize::from(sector))
        {
            *old = entry;
        }
        let next = self.first_to_start(entries).filter(|slot| *slot != running);
        let next = next.ok_or(RollBackError::NothingToRollBackTo)?;
        if let Some(write) = write {
            self.carry_out(write)?;
        }
        Ok(next)
    }

    /// The slot that the bootloader would start with these entries.
    fn first_to_start(&mut self, entries: [Entry; 2]) -> Option<Slot> {
        let Self { slots, medium, policy, .. } = self;
        let mut version = |slot| {
            let region = slots.region(Slot::Ota(slot))?;
            check::secure_version(&mut View { medium: &mut *medium, held_back: None }, region).ok()
        };
        let start = boot::choose(slots, Some(entries), &policy.boot, &mut version, &mut |_| {}).start;
        let count = self.slots.app_count;
        boot::attempts(start, count)
            .find(|slot| self.slots.region(*slot).is_some_and(|region| self.is_bootable(region)))
    }
}
