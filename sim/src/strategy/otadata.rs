//! otadata: entries and pairs of entries as devices leave them, damage and power cuts included.

use dryburn::otadata::{ENTRY_SIZE, Entry, State};
use proptest::{collection::vec, prelude::*};

/// Any state: those that ESP-IDF writes more often than words that it does not.
pub fn state() -> impl Strategy<Value = State> {
    prop_oneof![
        6 => prop::sample::select(&[
            State::New, State::PendingVerify, State::Valid, State::Invalid, State::Aborted, State::Undefined,
        ][..]),
        1 => any::<u32>().prop_map(State::from_word),
    ]
}

/// Any `ota_seq`: small ones, as on devices, and those at the two ends of the range.
pub fn ota_seq() -> impl Strategy<Value = u32> {
    prop_oneof![8 => 1..40_u32, 2 => u32::MAX - 40..=u32::MAX, 1 => Just(0), 1 => any::<u32>()]
}

/// An entry as ESP-IDF writes it.
pub fn written() -> impl Strategy<Value = Entry> {
    (ota_seq(), state()).prop_map(|(ota_seq, state)| Entry::new(ota_seq, state))
}

/// What may be left of `entry` when power is cut while it is programmed: some of its zero bits are still one. Only what
/// lay in an erased sector is thought of.
pub fn torn(entry: Entry) -> impl Strategy<Value = Entry> {
    let whole = entry.to_bytes();
    let prefix = (0..=ENTRY_SIZE).prop_map(move |length| {
        let mut raw = Entry::BLANK.to_bytes();
        raw.iter_mut().zip(whole).take(length).for_each(|(byte, new)| *byte = new);
        raw
    });
    let bits = any::<[u8; ENTRY_SIZE]>().prop_map(move |ones| {
        let mut raw = whole;
        raw.iter_mut().zip(ones).for_each(|(byte, ones)| *byte |= ones);
        raw
    });
    prop_oneof![prefix, bits].prop_map(Entry::from_bytes)
}

/// An entry as it may lie in flash: written, with a wrong CRC, erased, torn, zero, noise (what erased flash decrypts to).
pub fn entry() -> impl Strategy<Value = Entry> {
    let bad_crc = (written(), 0..32_u32).prop_map(|(entry, bit)| {
        let mut raw = entry.to_bytes();
        let [.., a, b, c, d] = &mut raw;
        let crc = u32::from_le_bytes([*a, *b, *c, *d]) ^ 1_u32.wrapping_shl(bit);
        [*a, *b, *c, *d] = crc.to_le_bytes();
        Entry::from_bytes(raw)
    });
    prop_oneof![
        6 => written(),
        2 => bad_crc,
        2 => Just(Entry::BLANK),
        2 => written().prop_flat_map(torn),
        1 => Just(Entry::from_bytes([0; ENTRY_SIZE])),
        1 => any::<[u8; ENTRY_SIZE]>().prop_map(Entry::from_bytes),
    ]
}

/// The two entries of an otadata partition.
pub fn pair() -> impl Strategy<Value = [Entry; 2]> {
    [entry(), entry()]
}

/// A history of updates: for each, the slot that it selects (below `slots`) and the state that it is given.
pub fn updates(slots: u32) -> impl Strategy<Value = Vec<(u32, State)>> {
    vec((0..slots.max(1), state()), 0..20)
}
