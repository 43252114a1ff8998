use super::*;
use std::vec::Vec;

const REGION: Option<Region> = Some(Region { offset: 0x1_0000, size: 0x10_0000 });

fn slots(factory: bool, ota: u8) -> Slots {
    let mut slots = Slots { factory: if factory { REGION } else { None }, ..Slots::default() };
    for i in 0..ota {
        slots.add(0, 0x10 + i, Region { offset: 0x2_0000, size: 0x1000 });
    }
    slots
}

fn chosen(slots: &Slots, entries: [Entry; 2], options: Options) -> (Choice, Vec<Event>) {
    let mut events = Vec::new();
    let choice = choose(slots, Some(entries), &options, &mut |_| Some(0), &mut |e| events.push(e));
    (choice, events)
}

#[test]
fn blank_otadata_starts_factory_or_ota_0_and_is_written_down() {
    let blank = [Entry::BLANK; 2];
    let (choice, events) = chosen(&slots(true, 2), blank, Options::default());
    assert_eq!((choice.start, choice.initial_contents), (Slot::Factory, false));
    assert_eq!(events, [Event::DefaultingToFactory]);
    let (choice, events) = chosen(&slots(false, 2), blank, Options::default());
    assert_eq!((choice.start, choice.initial_contents), (Slot::Ota(0), true));
    assert_eq!(events, [Event::NoFactoryTryingOta0]);
    assert_eq!(first_entry(Slot::Ota(0)), Some(Entry::new(1, State::Valid)));
}

#[test]
fn damaged_entries_are_not_blank_entries() {
    let damaged = [Entry::from_bytes([0x5A; 32]); 2];
    let (choice, events) = chosen(&slots(false, 2), damaged, Options::default());
    assert_eq!((choice.start, choice.initial_contents), (Slot::Factory, false));
    assert_eq!(events, [Event::OtadataInvalidTryingAll]);
    let (choice, events) = chosen(&slots(true, 2), damaged, Options::default());
    assert_eq!((choice.start, choice.initial_contents), (Slot::Factory, false));
    assert_eq!(events, [Event::OtadataInvalidFallingBackToFactory]);
}

#[test]
fn rollback_marks_before_it_verifies() {
    let rollback = Options { rollback: true, anti_rollback: None };
    let entries = [Entry::new(1, State::Valid), Entry::new(2, State::New)];
    let (choice, _) = chosen(&slots(false, 2), entries, rollback);
    assert_eq!(choice.start, Slot::Ota(1));
    assert_eq!(choice.rewrite, [None, Some(Entry::new(2, State::PendingVerify))]);
    assert_eq!(choice.raise_secure_version, None);
    let (choice, _) = chosen(&slots(false, 2), [Entry::new(1, State::Valid), Entry::BLANK], rollback);
    assert_eq!((choice.start, choice.raise_secure_version), (Slot::Ota(0), None), "that is anti-rollback's");
    let entries = [Entry::new(1, State::Valid), Entry::new(2, State::PendingVerify)];
    let (choice, _) = chosen(&slots(false, 2), entries, rollback);
    assert_eq!(choice.start, Slot::Ota(0));
    assert_eq!(choice.rewrite, [None, Some(Entry::new(2, State::Aborted))]);
}

#[test]
fn anti_rollback_passes_over_an_old_app() {
    let options = Options { rollback: true, anti_rollback: Some(2) };
    let entries = [Entry::new(1, State::Valid), Entry::new(2, State::Valid)];
    let mut version = |slot| Some(if slot == 1 { 1 } else { 2 });
    let choice = choose(&slots(false, 2), Some(entries), &options, &mut version, &mut |_| {});
    assert_eq!((choice.start, choice.raise_secure_version), (Slot::Ota(0), Some(0)));
    // raised by a confirmed app only
    let entries = [Entry::new(1, State::New), Entry::BLANK];
    let choice = choose(&slots(false, 2), Some(entries), &options, &mut version, &mut |_| {});
    assert_eq!((choice.start, choice.raise_secure_version), (Slot::Ota(0), None));
}

#[test]
fn entries_of_the_table_fill_the_slots_of_their_subtype() {
    let region = |n: u32| Region { offset: n * 0x1_0000, size: 0x1_0000 };
    let mut slots = Slots::default();
    let rows = [(0, 0x00), (0, 0x10), (0, 0x1F), (0, 0x20), (1, 0x00), (0, 0x21), (1, 0x02), (1, 0x10), (2, 0x00)];
    for (n, (kind, subtype)) in (1..).zip(rows) {
        slots.add(kind, subtype, region(n));
    }
    assert_eq!(slots.region(Slot::Factory), Some(region(1)));
    assert_eq!(slots.region(Slot::Ota(0)), Some(region(2)));
    assert_eq!(slots.region(Slot::Ota(15)), Some(region(3)));
    assert_eq!(slots.region(Slot::Test), Some(region(4)));
    assert_eq!(slots.otadata, Some(region(5)));
    assert_eq!(slots.app_count, 2);
    assert_eq!((slots.region(Slot::Ota(1)), slots.region(Slot::Ota(16))), (None, None));
    slots.add(0, 0x11, Region { offset: 0x10_0000, size: 0 });
    assert_eq!(slots.region(Slot::Ota(1)), None, "without a byte there is no slot");
}

#[test]
fn slots_are_tried_down_to_factory_and_then_up() {
    let order = |start, n| attempts(start, n).collect::<Vec<_>>();
    use Slot::{Factory, Ota, Test};
    assert_eq!(order(Ota(1), 3), [Ota(1), Ota(0), Factory, Ota(2), Test]);
    assert_eq!(order(Factory, 2), [Factory, Ota(0), Ota(1), Test]);
    assert_eq!(order(Test, 2), [Test]);
    assert_eq!(order(Ota(5), 3), [Ota(2), Ota(1), Ota(0), Factory, Test], "slots that the table has");
    assert_eq!(order(Ota(3), 3), [Ota(2), Ota(1), Ota(0), Factory, Test]);
}
