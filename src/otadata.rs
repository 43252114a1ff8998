//! otadata: which OTA slot the last update chose.
//!
//! Two entries of 32 bytes, at the start of each of the two 4096-byte sectors of the `data, ota` partition. All words are
//! little-endian. Source: formats sheet §3.1-3.4.
//!
//! | offset | size | field |
//! |---|---|---|
//! | 0 | 4 | `ota_seq` |
//! | 4 | 20 | `seq_label` (0xFF in practice, never read) |
//! | 24 | 4 | `ota_state` |
//! | 28 | 4 | `crc` over `ota_seq` only |

use crate::bytes;

/// Size in bytes of one entry.
pub const ENTRY_SIZE: usize = 32;
/// Smallest size in bytes of an otadata partition: two sectors.
pub const PARTITION_SIZE: u32 = 0x2000;

/// What the device is told to make of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub enum State {
    /// Chosen, never started (rollback builds).
    New,
    /// Started once, not confirmed yet.
    PendingVerify,
    /// Confirmed by the app.
    Valid,
    /// Refused by the app.
    Invalid,
    /// Not confirmed before the next reset.
    Aborted,
    /// 0xFFFFFFFF: written by an app without rollback.
    Undefined,
    /// A word that no ESP-IDF writes.
    Other(u32),
}

impl State {
    /// The word in flash.
    pub const fn to_word(self) -> u32 {
        match self {
            Self::New => 0,
            Self::PendingVerify => 1,
            Self::Valid => 2,
            Self::Invalid => 3,
            Self::Aborted => 4,
            Self::Undefined => u32::MAX,
            Self::Other(word) => word,
        }
    }

    /// The meaning of a word from flash.
    pub const fn from_word(word: u32) -> Self {
        match word {
            0 => Self::New,
            1 => Self::PendingVerify,
            2 => Self::Valid,
            3 => Self::Invalid,
            4 => Self::Aborted,
            u32::MAX => Self::Undefined,
            word => Self::Other(word),
        }
    }
}

/// The CRC that an entry with this `ota_seq` must carry.
///
/// CRC-32 (reflected, polynomial 0xEDB88320) over the 4 little-endian bytes, register starting at 0, final XOR
/// 0xFFFFFFFF: the ROM's `crc32_le(0xFFFFFFFF, …)`.
pub fn crc(ota_seq: u32) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(u32::MAX);
    hasher.update(&ota_seq.to_le_bytes());
    hasher.finalize()
}

/// One entry as it lies in flash; a view that never judges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    raw: [u8; ENTRY_SIZE],
}

impl Entry {
    /// An erased entry.
    pub const BLANK: Self = Self { raw: [0xFF; ENTRY_SIZE] };

    /// Takes the 32 bytes at the start of a sector.
    pub const fn from_bytes(raw: [u8; ENTRY_SIZE]) -> Self {
        Self { raw }
    }

    /// An entry as ESP-IDF writes it: label erased, CRC right.
    pub fn new(ota_seq: u32, state: State) -> Self {
        Self::BLANK.with_seq(ota_seq).with_state(state)
    }

    /// The bytes for flash.
    pub const fn to_bytes(self) -> [u8; ENTRY_SIZE] {
        self.raw
    }

    /// The sequence number; the higher one wins.
    pub fn ota_seq(&self) -> u32 {
        bytes::le32(&self.raw, 0).unwrap_or(u32::MAX)
    }

    /// The state of the slot. It is not covered by the CRC.
    pub fn state(&self) -> State {
        State::from_word(bytes::le32(&self.raw, 24).unwrap_or(u32::MAX))
    }

    /// The CRC that lies in flash.
    pub fn stored_crc(&self) -> u32 {
        bytes::le32(&self.raw, 28).unwrap_or(u32::MAX)
    }

    /// Whether the stored CRC is that of `ota_seq`.
    pub fn crc_matches(&self) -> bool {
        self.stored_crc() == crc(self.ota_seq())
    }

    /// ESP-IDF's `ota_select_invalid`: erased sequence number, or a state that says so. The CRC is not looked at.
    pub fn is_invalid(&self) -> bool {
        self.ota_seq() == u32::MAX || matches!(self.state(), State::Invalid | State::Aborted)
    }

    /// ESP-IDF's `ota_select_valid`: may choose a slot.
    pub fn is_valid(&self) -> bool {
        !self.is_invalid() && self.crc_matches()
    }

    /// Never used, or damaged: erased sequence number or wrong CRC.
    pub fn is_initial(&self) -> bool {
        self.ota_seq() == u32::MAX || !self.crc_matches()
    }

    /// The slot that this entry chooses among `slots` OTA slots, or `None` when there are none.
    pub fn slot(&self, slots: u32) -> Option<u32> {
        self.ota_seq().wrapping_sub(1).checked_rem(slots)
    }

    /// This entry with another state; sequence number, label and CRC stay.
    pub fn with_state(self, state: State) -> Self {
        self.with_word(24, state.to_word())
    }

    /// This entry with another sequence number and its CRC; label and state stay.
    pub fn with_seq(self, ota_seq: u32) -> Self {
        self.with_word(0, ota_seq).with_word(28, crc(ota_seq))
    }

    fn with_word(mut self, offset: usize, word: u32) -> Self {
        for (byte, new) in self.raw.iter_mut().skip(offset).zip(word.to_le_bytes()) {
            *byte = new;
        }
        self
    }
}

/// Which of the two entries decides: the valid one with the higher `ota_seq`, the first on a tie, none if neither is
/// valid.
pub fn active(entries: &[Entry; 2]) -> Option<usize> {
    let [a, b] = entries;
    match (a.is_valid(), b.is_valid()) {
        (true, true) if b.ota_seq() > a.ota_seq() => Some(1),
        (true, _) => Some(0),
        (false, true) => Some(1),
        (false, false) => None,
    }
}

/// What `esp_ota_set_boot_partition` writes: the entry and the sector (0 or 1) it goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Update {
    /// Sector index inside the otadata partition.
    pub sector: usize,
    /// The new entry.
    pub entry: Entry,
}

/// The next otadata write that selects `slot` of `slots` OTA slots.
///
/// `same_sector_rule` is ESP-IDF 6's special case: choosing the slot that is chosen already rewrites its entry in place
/// instead of writing an equal `ota_seq` to the other sector (formats sheet §3.4). `None` when `slot` does not exist or
/// no sequence number is left.
pub fn select(entries: &[Entry; 2], slot: u32, slots: u32, state: State, same_sector_rule: bool) -> Option<Update> {
    if slot >= slots {
        return None;
    }
    let base = slot.checked_add(1)?.checked_rem(slots)?;
    let (sector, ota_seq) = match active(entries) {
        None => (0, slot.checked_add(1)?),
        Some(k) => {
            let current = entries.get(k)?;
            if same_sector_rule && current.slot(slots) == Some(slot) {
                (k, current.ota_seq())
            } else {
                // the smallest base + slots * i that is not below the current sequence number
                let steps = current.ota_seq().saturating_sub(base).div_ceil(slots);
                (1usize.saturating_sub(k), base.checked_add(steps.checked_mul(slots)?)?)
            }
        }
    };
    (ota_seq != u32::MAX)
        .then_some(entries.get(sector)?)
        .map(|old| Update { sector, entry: old.with_seq(ota_seq).with_state(state) })
}

/// As [`select`], with the arithmetic of ESP-IDF's app (`esp_ota_set_boot_partition`), which does not look out for the
/// end of the 32 bits: behind 0xFFFFFFFE it may write 0xFFFFFFFF, an entry that counts as blank, and the choice does not
/// change (ota-api sheet, 11). For a model of that app; an updater wants [`select`].
///
/// `None` when `slot` does not exist, or when the search for a sequence number never ends.
pub fn select_wrapping(
    entries: &[Entry; 2],
    slot: u32,
    slots: u32,
    state: State,
    same_sector_rule: bool,
) -> Option<Update> {
    let update = select(entries, slot, slots, state, same_sector_rule);
    if update.is_some() || slot >= slots {
        return update;
    }
    let active = active(entries)?;
    let sector = 1usize.saturating_sub(active);
    let current = entries.get(active)?.ota_seq();
    // base + slots * i, each time from where the last round left the 32 bits; after `slots` rounds they repeat
    let mut base = slot.checked_add(1)?.checked_rem(slots)?;
    for _ in 0..=slots {
        let steps = current.saturating_sub(base).div_ceil(slots);
        let sum = u64::from(base).saturating_add(u64::from(steps).saturating_mul(u64::from(slots)));
        if let Ok(ota_seq) = u32::try_from(sum) {
            let entry = entries.get(sector)?.with_seq(ota_seq).with_state(state);
            return Some(Update { sector, entry });
        }
        base = sum as u32;
    }
    None
}

#[cfg(test)]
mod tests;
