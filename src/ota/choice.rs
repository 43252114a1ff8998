//! What to write to otadata: pure functions over its two entries.
//!
//! Each function gives *one* write, or none when its goal is reached; the caller carries it out, reads otadata again and
//! asks again. So a power cut between two writes loses nothing: the next call goes on from where it stopped.
//!
//! The rules, and the faults of the field that they keep out:
//!
//! | rule | fault |
//! |---|---|
//! | a damaged entry is a free entry, never an error | esp-hal: one torn entry locks updates out |
//! | the entry of the *running* app is kept, whatever the higher `ota_seq` says | ruuvi #1280, esp-hal #3918 |
//! | before a slot is overwritten, no valid entry names it | esp-idf #14808 |
//! | there is never a second valid entry of the same slot | ESP-IDF 4.4-5.5, re-selecting the active slot |
//! | sequence numbers start again before they run out | ESP-IDF: `ota_seq` 0xFFFFFFFF is written, and means blank |

use crate::{
    boot::Slot,
    otadata::{self, Entry, State},
};

/// One write to otadata. Either begins with the erase of the sector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Write {
    /// Nothing is programmed after the erase.
    Blank {
        /// 0 or 1.
        sector: u8,
    },
    /// The entry is programmed.
    Entry {
        /// 0 or 1.
        sector: u8,
        /// What is programmed.
        entry: Entry,
    },
}

/// From here on sequence numbers start again: enough are left for any step with 16 slots.
const LAST_SEQ: u32 = u32::MAX - 64;

/// The entry that speaks of `slot`: its CRC is right, and the bootloader would choose `slot` by it. Where both do, the one
/// that the bootloader would heed: valid before refused, then the higher `ota_seq`, then the first.
pub fn entry_of(entries: &[Entry; 2], slot: u8, slots: u8) -> Option<usize> {
    let rank = |entry: &Entry| {
        let names = !entry.is_initial() && names(entry, slot, slots);
        names.then(|| (entry.is_valid(), entry.ota_seq()))
    };
    let [a, b] = entries;
    match (rank(a), rank(b)) {
        (a, Some(b)) if a < Some(b) => Some(1),
        (Some(_), _) => Some(0),
        _ => None,
    }
}

/// The next write on the way to an otadata whose only valid entry is that of the running app; for a factory or test app, to
/// one without any. Then every other slot may be overwritten, and whatever happens the running app starts again.
pub fn release(entries: &[Entry; 2], running: Slot, slots: u8) -> Option<Write> {
    let valid = |k: usize| entries.get(k).filter(|entry| entry.is_valid());
    let active = otadata::active(entries);
    let Slot::Ota(running) = running else {
        // the one that does not decide goes first, so that at most one choice is ever made anew
        let k = active.map(|k| valid(other(k)).map_or(k, |_| other(k)))?;
        return Some(Write::Blank { sector: k as u8 });
    };
    let Some(kept) = entry_of(entries, running, slots).filter(|k| valid(*k).is_some()) else {
        let after = active.and_then(valid).map_or(0, Entry::ota_seq);
        let entry = Entry::new(next_seq(after, running, slots).unwrap_or(first_seq(running)), State::Valid);
        return Some(Write::Entry { sector: active.map_or(0, other) as u8, entry });
    };
    let entry = valid(kept)?;
    match valid(other(kept)) {
        // a copy with a low number lies there: the high one goes
        Some(copy) if entry.ota_seq() > LAST_SEQ && names(copy, running, slots) && copy.ota_seq() <= LAST_SEQ => {
            Some(Write::Blank { sector: kept as u8 })
        }
        Some(_) if entry.ota_seq() <= LAST_SEQ => Some(Write::Blank { sector: other(kept) as u8 }),
        None if entry.ota_seq() <= LAST_SEQ => None,
        _ => {
            let sector = other(kept) as u8;
            Some(Write::Entry { sector, entry: entry.with_seq(first_seq(running)) })
        }
    }
}

/// The write that makes `target` the bootloader's choice. `None` while [`release`] still has something to do, or when the
/// bootloader could not choose `target`.
pub fn select(entries: &[Entry; 2], running: Slot, target: u8, slots: u8, state: State) -> Option<Write> {
    if release(entries, running, slots).is_some() || target >= slots || running == Slot::Ota(target) {
        return None;
    }
    let kept = match running {
        Slot::Ota(running) => entry_of(entries, running, slots),
        Slot::Factory | Slot::Test => None,
    };
    let after = kept.and_then(|k| entries.get(k)).map_or(0, Entry::ota_seq);
    let entry = Entry::new(next_seq(after, target, slots)?, state);
    Some(Write::Entry { sector: kept.map_or(0, other) as u8, entry })
}

/// The write that gives the running app's entry another state; `None` when it has it, or when there is no such entry.
///
/// Never the *active* entry as such: that may speak of an app that has yet to run.
pub fn mark(entries: &[Entry; 2], running: Slot, slots: u8, state: State) -> Option<Write> {
    let Slot::Ota(running) = running else { return None };
    let sector = entry_of(entries, running, slots)?;
    let entry = entries.get(sector)?;
    (entry.state() != state).then(|| Write::Entry { sector: sector as u8, entry: entry.with_state(state) })
}

/// Whether a running app of this state may be updated: nothing but its own reset can take it back any more.
pub fn is_confirmed(state: State) -> bool {
    match state {
        State::Valid | State::Undefined | State::Other(_) => true,
        State::New | State::PendingVerify | State::Invalid | State::Aborted => false,
    }
}

fn other(sector: usize) -> usize {
    1usize.saturating_sub(sector)
}

fn names(entry: &Entry, slot: u8, slots: u8) -> bool {
    entry.slot(u32::from(slots)) == Some(u32::from(slot))
}

fn first_seq(slot: u8) -> u32 {
    u32::from(slot).saturating_add(1)
}

/// The smallest sequence number above `after` that chooses `slot`; 0xFFFFFFFF is none.
fn next_seq(after: u32, slot: u8, slots: u8) -> Option<u32> {
    let first = first_seq(slot);
    let rounds = match after.checked_sub(first) {
        None => 0,
        Some(past) => past.checked_div(u32::from(slots))?.checked_add(1)?,
    };
    first.checked_add(rounds.checked_mul(u32::from(slots))?).filter(|seq| *seq != u32::MAX)
}

#[cfg(test)]
mod tests;
