use super::*;
use proptest::prelude::*;
use std::vec::Vec;

fn apply(entries: &mut [Entry; 2], write: Write) {
    match write {
        Write::Blank { sector } => entries[usize::from(sector)] = Entry::BLANK,
        Write::Entry { sector, entry } => entries[usize::from(sector)] = entry,
    }
}

fn sector(write: Write) -> usize {
    match write {
        Write::Blank { sector } | Write::Entry { sector, .. } => usize::from(sector),
    }
}

/// The writes from `entries` to the choice of `target`, each with the entries after it.
fn all_writes(mut entries: [Entry; 2], running: Slot, target: u8, slots: u8) -> Vec<(Write, [Entry; 2])> {
    let mut writes = Vec::new();
    while let Some(write) = release(&entries, running, slots) {
        apply(&mut entries, write);
        writes.push((write, entries));
        assert!(writes.len() <= 3, "no end: {writes:?}");
    }
    let write = select(&entries, running, target, slots, State::New).expect("the target can be chosen");
    apply(&mut entries, write);
    writes.push((write, entries));
    writes
}

fn chosen(entries: &[Entry; 2], slots: u8) -> Option<Slot> {
    let k = otadata::active(entries)?;
    entries[k].slot(u32::from(slots)).map(|slot| Slot::Ota(slot as u8))
}

#[test]
fn a_plain_update_is_the_sheets() {
    let entries = [Entry::new(1, State::Valid), Entry::BLANK];
    let want = Entry::new(2, State::New);
    let writes = all_writes(entries, Slot::Ota(0), 1, 2);
    assert_eq!(writes, [(Write::Entry { sector: 1, entry: want }, [entries[0], want])]);
    // three slots, ota_seq 5 runs slot 1: slot 0 is chosen by 7
    let writes = all_writes([Entry::BLANK, Entry::new(5, State::Valid)], Slot::Ota(1), 0, 3);
    assert!(matches!(writes[..], [(Write::Entry { sector: 0, entry }, _)] if entry.ota_seq() == 7));
    // from the factory app there is nothing to keep
    let writes = all_writes([Entry::BLANK; 2], Slot::Factory, 0, 2);
    assert!(matches!(writes[..], [(Write::Entry { sector: 0, entry }, _)] if entry.ota_seq() == 1));
}

#[test]
fn the_running_apps_entry_is_the_valid_one_then_the_higher_one() {
    let e = Entry::new;
    assert_eq!(entry_of(&[e(1, State::Aborted), e(3, State::Valid)], 0, 2), Some(1));
    assert_eq!(entry_of(&[e(1, State::Valid), e(3, State::Aborted)], 0, 2), Some(0));
    assert_eq!(entry_of(&[e(1, State::Valid), e(1, State::New)], 0, 2), Some(0), "the first on a tie");
    assert_eq!(entry_of(&[e(2, State::Valid), Entry::BLANK], 0, 2), None);
}

#[test]
fn of_two_entries_of_the_running_app_one_goes() {
    let e = |seq| Entry::new(seq, State::Valid);
    // the last number that is not too high; it chooses ota_0 of two, and so does the next but one
    let last = u32::MAX - 64;
    for (entries, expected) in [
        ([e(3), e(1)], 1),
        ([e(1), e(3)], 0),
        ([e(last), e(1)], 1),
        ([e(last + 2), e(1)], 0),
        ([e(1), e(last + 2)], 1),
        ([e(last), e(last + 2)], 1),
    ] {
        assert_eq!(release(&entries, Slot::Ota(0), 2), Some(Write::Blank { sector: expected }), "{entries:?}");
    }
}

#[test]
fn nothing_is_chosen_before_its_time() {
    let e = |seq| Entry::new(seq, State::Valid);
    let chosen = |entries, running, target| select(&entries, running, target, 2, State::New);
    assert_eq!(chosen([e(1), e(2)], Slot::Ota(0), 1), None, "another choice is to be taken back first");
    assert_eq!(chosen([e(1), Entry::BLANK], Slot::Ota(0), 0), None, "it runs");
    assert_eq!(chosen([Entry::BLANK; 2], Slot::Factory, 2), None, "there is no such slot");
    assert!(chosen([e(1), Entry::BLANK], Slot::Ota(0), 1).is_some());
}

#[test]
fn marking_touches_the_running_app_only() {
    // ota_1 is chosen but has not run; the app in ota_0 is still pending
    let entries = [Entry::new(1, State::PendingVerify), Entry::new(2, State::New)];
    let write = mark(&entries, Slot::Ota(0), 2, State::Valid);
    assert_eq!(write, Some(Write::Entry { sector: 0, entry: Entry::new(1, State::Valid) }));
    assert_eq!(mark(&entries, Slot::Factory, 2, State::Valid), None);
    assert_eq!(mark(&[Entry::BLANK; 2], Slot::Ota(0), 2, State::Valid), None);
}

fn any_entry() -> impl Strategy<Value = Entry> {
    let seq = prop_oneof![8 => 0..12_u32, 2 => u32::MAX - 80..=u32::MAX];
    let state = prop::sample::select(
        &[
            State::New,
            State::PendingVerify,
            State::Valid,
            State::Invalid,
            State::Aborted,
            State::Undefined,
            State::Other(5),
        ][..],
    );
    let written = (seq, state).prop_map(|(seq, state)| Entry::new(seq, state));
    prop_oneof![6 => written, 1 => Just(Entry::BLANK), 1 => any::<[u8; 32]>().prop_map(Entry::from_bytes)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4096, ..ProptestConfig::default() })]

    /// From any otadata: at most three writes and the choice, and at no point, cut or not, is there another choice than the
    /// one before, the running app or, at the end, the new one.
    #[test]
    fn any_otadata_leads_to_the_choice_without_a_gap(
        entries in [any_entry(), any_entry()], slots in 2..=16_u8, running in 0..17_u8, target: u8,
    ) {
        let running = if running < slots { Slot::Ota(running) } else { Slot::Factory };
        let target = match running {
            Slot::Ota(r) => (r + 1 + target % (slots - 1)) % slots,
            _ => target % slots,
        };
        let mut before = entries;
        let writes = all_writes(entries, running, target, slots);
        for (i, (write, after)) in writes.iter().enumerate() {
            let mut cut = before;
            cut[sector(*write)] = Entry::BLANK;
            let old = chosen(&before, slots);
            for now in [chosen(&cut, slots), chosen(after, slots)] {
                let taken_back = now.is_none() && (old.is_none() || running == Slot::Factory);
                let new = i + 1 == writes.len() && now == Some(Slot::Ota(target));
                let third = now.is_some() && entries.iter().any(|e| e.is_valid() && now == chosen(&[*e, *e], slots))
                    && running == Slot::Factory;
                prop_assert!(now == old || now == Some(running) || taken_back || new || third, "{now:?} at {i} of {writes:?}");
            }
            before = *after;
        }
        prop_assert_eq!(chosen(&before, slots), Some(Slot::Ota(target)));
        // what the new app falls back to
        let new = otadata::active(&before).unwrap();
        let fallback = before[other(new)];
        match running {
            Slot::Ota(r) => prop_assert!(fallback.is_valid() && names(&fallback, r, slots)),
            _ => prop_assert!(!fallback.is_valid()),
        }
        // and there is always a next time
        prop_assert!(before[new].ota_seq() < u32::MAX - 32);
    }
}
