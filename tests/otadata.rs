//! otadata: entries made by the vendor's formula, no bytes that upset the reader, and updates that a power cut cannot turn
//! into a third choice.

use dryburn::otadata::{self, ENTRY_SIZE, Entry, State, Update, active, select};
use dryburn_sim::strategy::otadata as strategy;
use proptest::prelude::*;
use std::{fs, path::Path};

/// The two entries of an otadata partition.
fn entries(partition: &[u8]) -> [Entry; 2] {
    [0, dryburn::SECTOR as usize].map(|at| Entry::from_bytes(*partition[at..].first_chunk().expect("a whole entry")))
}

/// Slot that the pair chooses.
fn choice(pair: &[Entry; 2], slots: u32) -> Option<u32> {
    active(pair).and_then(|k| pair[k].slot(slots))
}

#[test]
fn partitions_made_by_the_vendors_formula_choose_what_their_names_say() {
    use State::{Aborted, Invalid, New, Undefined, Valid};
    type Row = (&'static str, [Option<(u32, State)>; 2], Option<usize>);
    // file, the entries with a CRC that matches, the entry that decides
    let rows: [Row; 6] = [
        ("blank", [None, None], None),
        ("badcrc_both", [None, None], None),
        ("seq1_undef", [Some((1, Undefined)), None], Some(0)),
        ("seq1_valid_seq2_new", [Some((1, Valid)), Some((2, New))], Some(1)),
        ("seq3_valid_seq2_aborted", [Some((3, Valid)), Some((2, Aborted))], Some(0)),
        ("seq5_invalid_seq4_valid", [Some((5, Invalid)), Some((4, Valid))], Some(1)),
    ];
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/otadata");
    assert_eq!(fs::read_dir(&folder).expect("the vectors").count(), rows.len(), "every vector has its row");
    for (name, want, decides) in rows {
        let bytes = fs::read(folder.join(name).with_extension("bin")).expect(name);
        let pair = entries(&bytes);
        for (sector, (entry, want)) in pair.iter().zip(want).enumerate() {
            assert_eq!(entry.crc_matches(), want.is_some(), "{name}: CRC of entry {sector}");
            if let Some((ota_seq, state)) = want {
                assert_eq!((entry.ota_seq(), entry.state()), (ota_seq, state), "{name}: entry {sector}");
                assert_eq!(Entry::new(ota_seq, state), *entry, "{name}: made again");
            }
        }
        assert_eq!(active(&pair), decides, "{name}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_judged(
        bytes: [[u8; ENTRY_SIZE]; 2], slot: u32, slots: u32, state in strategy::state(), same_sector_rule: bool,
    ) {
        let pair = bytes.map(Entry::from_bytes);
        for (entry, bytes) in pair.iter().zip(bytes) {
            prop_assert_eq!(entry.to_bytes(), bytes);
            prop_assert!(!entry.is_valid() || (entry.crc_matches() && !entry.is_initial()));
            prop_assert_eq!(entry.slot(slots).is_none(), slots == 0);
        }
        let _ = active(&pair);
        if let Some(Update { sector, .. }) = select(&pair, slot, slots, state, same_sector_rule) {
            prop_assert!(sector < 2 && slot < slots);
        }
    }

    #[test]
    fn what_is_emitted_is_parsed(ota_seq: u32, state in strategy::state(), label: [u8; 20]) {
        let entry = Entry::new(ota_seq, state);
        let again = Entry::from_bytes(entry.to_bytes());
        prop_assert_eq!((again.ota_seq(), again.state(), again.crc_matches()), (ota_seq, state, true));
        // the label is nobody's business and stays
        let mut raw = entry.to_bytes();
        raw[4..24].copy_from_slice(&label);
        let labelled = Entry::from_bytes(raw).with_state(State::Valid).with_seq(7);
        prop_assert_eq!(&labelled.to_bytes()[4..24], &label[..]);
        prop_assert_eq!((labelled.ota_seq(), labelled.state(), labelled.crc_matches()), (7, State::Valid, true));
    }

    /// ESP-IDF's words (behaviour sheet §2.3), written down once more: of the valid entries the one with the larger
    /// `ota_seq`, the first on a tie.
    #[test]
    fn the_larger_valid_ota_seq_decides(pair in strategy::pair()) {
        let valid = |e: &Entry| {
            let raw = e.to_bytes();
            let word = |at: usize| u32::from_le_bytes(*raw[at..].first_chunk().expect("4 bytes"));
            word(0) != u32::MAX && ![3, 4].contains(&word(24)) && word(28) == otadata::crc(word(0))
        };
        let want = (0..2).filter(|k| valid(&pair[*k])).max_by_key(|k| (pair[*k].ota_seq(), 1 - k));
        prop_assert_eq!(active(&pair), want);
    }

    #[test]
    fn an_update_selects_its_slot_with_the_next_number(
        pair in strategy::pair(), slots in 1..=16_u32, slot in 0..16_u32, state in strategy::state(), same_sector_rule: bool,
    ) {
        let slot = slot % slots;
        let current = active(&pair).map(|k| pair[k]);
        let Some(Update { sector, entry }) = select(&pair, slot, slots, state, same_sector_rule) else {
            // only near the last number there is none: the next ones would pass 0xFFFFFFFE
            prop_assert!(current.is_some_and(|e| e.ota_seq() >= u32::MAX - slots), "{:?}", current);
            return Ok(());
        };
        prop_assert!(entry.crc_matches() && entry.ota_seq() != u32::MAX && entry.state() == state);
        if let Some(current) = current {
            let step = entry.ota_seq().checked_sub(current.ota_seq());
            prop_assert!(step.is_some_and(|step| step < slots), "{} after {}", entry.ota_seq(), current.ota_seq());
        }
        // ota_seq 0 with an erased CRC counts as valid and maps like 0xFFFFFFFF; ESP-IDF goes on from there just so
        if entry.ota_seq() != 0 {
            prop_assert_eq!(entry.slot(slots), Some(slot));
            let mut after = pair;
            after[sector] = entry;
            if entry.is_valid() {
                prop_assert_eq!(choice(&after, slots), Some(slot));
            }
        }
    }

    /// Power is cut while the update's sector is erased or programmed: what was chosen, or what is to be chosen, starts.
    /// ESP-IDF 6's rewrite in place is the exception: there the only valid entry may be gone, and the other one or none
    /// decides.
    #[test]
    fn a_torn_update_chooses_the_old_or_the_new_slot(
        (pair, torn, update, slots, slot, in_place) in update_and_its_remains(),
    ) {
        let old = choice(&pair, slots);
        let mut after = pair;
        after[update.sector] = torn;
        let now = choice(&after, slots);
        let others = choice(&[after[1 - update.sector], Entry::BLANK], slots);
        if in_place {
            prop_assert!(now == Some(slot) || now == others, "{:?}", now);
        } else {
            prop_assert!(active(&pair) != Some(update.sector), "the sector of the only choice is written");
            prop_assert!(now == old || now == Some(slot), "{:?} was chosen, {} was to be, {:?} is", old, slot, now);
        }
    }

    #[test]
    fn a_history_of_updates_ends_with_its_last_choice(
        slots in 1..=16_u32, first in strategy::pair(), seed in strategy::updates(16), same_sector_rule: bool,
    ) {
        let mut pair = first;
        for (slot, state) in seed {
            let slot = slot % slots;
            let Some(update) = select(&pair, slot, slots, state, same_sector_rule) else { break };
            if update.entry.ota_seq() == 0 {
                break;
            }
            let before = choice(&pair, slots);
            pair[update.sector] = update.entry;
            let refused = matches!(state, State::Invalid | State::Aborted);
            if !refused {
                prop_assert_eq!(choice(&pair, slots), Some(slot));
            } else if !same_sector_rule {
                prop_assert_eq!(choice(&pair, slots), before);
            }
        }
    }
}

/// A pair, what a cut leaves in the sector of an update, that update, the number of slots, the slot, and whether the update
/// is one in place.
fn update_and_its_remains() -> impl Strategy<Value = ([Entry; 2], Entry, Update, u32, u32, bool)> {
    (strategy::pair(), 1..=16_u32, 0..16_u32, strategy::state(), any::<bool>())
        .prop_filter_map("no update", |(pair, slots, slot, state, rule)| {
            let slot = slot % slots;
            let update = select(&pair, slot, slots, state, rule).filter(|u| u.entry.ota_seq() != 0)?;
            let in_place = rule && choice(&pair, slots) == Some(slot);
            Some((pair, update, slots, slot, in_place))
        })
        .prop_flat_map(|(pair, update, slots, slot, in_place)| {
            let remains = prop_oneof![3 => strategy::torn(update.entry), 1 => Just(Entry::BLANK), 1 => noise()];
            (Just(pair), remains, Just(update), Just(slots), Just(slot), Just(in_place))
        })
}

/// Anything whose CRC does not happen to match: what an interrupted erase may leave.
fn noise() -> impl Strategy<Value = Entry> {
    any::<[u8; ENTRY_SIZE]>().prop_map(Entry::from_bytes).prop_filter("a CRC that matches", |e| !e.crc_matches())
}
