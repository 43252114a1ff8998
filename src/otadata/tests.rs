use super::*;

#[test]
fn crc_is_the_roms() {
    for (seq, want) in [
        (0, 0xFFFF_FFFF),
        (1, 0x4743_989A),
        (2, 0x55F6_3774),
        (8, 0x3A4B_D710),
        (100, 0x4BBB_9FAB),
        (0xFFFF_FFFE, 0x99F8_B879),
    ] {
        assert_eq!(crc(seq), want, "ota_seq {seq}");
    }
}

#[test]
fn the_higher_valid_sequence_number_wins_and_the_first_on_a_tie() {
    let e = |seq, state| Entry::new(seq, state);
    assert_eq!(active(&[e(1, State::Valid), e(2, State::New)]), Some(1));
    assert_eq!(active(&[e(2, State::Valid), e(2, State::New)]), Some(0));
    assert_eq!(active(&[e(3, State::Aborted), e(2, State::Valid)]), Some(1));
    assert_eq!(active(&[Entry::BLANK, Entry::BLANK]), None);
}

#[test]
fn initial_is_an_erased_number_or_a_wrong_crc() {
    let erased = Entry::new(u32::MAX, State::Valid);
    assert!(erased.crc_matches() && erased.is_initial() && erased.is_invalid());
    let mut raw = Entry::new(1, State::Valid).to_bytes();
    raw[28] ^= 1;
    assert!(Entry::from_bytes(raw).is_initial() && !Entry::from_bytes(raw).is_invalid());
    assert!(!Entry::new(1, State::Aborted).is_initial());
}

#[test]
fn a_sector_that_starts_with_a_zero_word_counts_as_valid() {
    let mut raw = [0xFF; ENTRY_SIZE];
    raw[..4].fill(0);
    let entry = Entry::from_bytes(raw);
    assert!(entry.is_valid());
    assert_eq!(entry.slot(2), Some(u32::MAX % 2));
}

#[test]
fn next_sequence_number_follows_the_sheets_examples() {
    // two slots, active seq 1 (slot 0), to slot 1: 2; three slots, active seq 5 (slot 1), to slot 0: 7
    let entries = [Entry::new(1, State::Valid), Entry::BLANK];
    let update = select(&entries, 1, 2, State::New, false).expect("slot exists");
    assert_eq!((update.sector, update.entry.ota_seq()), (1, 2));
    let entries = [Entry::BLANK, Entry::new(5, State::Valid)];
    let update = select(&entries, 0, 3, State::New, false).expect("slot exists");
    assert_eq!((update.sector, update.entry.ota_seq()), (0, 7));
}

#[test]
fn choosing_the_same_slot_differs_between_releases() {
    let entries = [Entry::new(3, State::Valid), Entry::new(2, State::Valid)];
    let old = select(&entries, 0, 2, State::Undefined, false).expect("slot exists");
    assert_eq!((old.sector, old.entry.ota_seq()), (1, 3));
    let new = select(&entries, 0, 2, State::Undefined, true).expect("slot exists");
    assert_eq!((new.sector, new.entry.ota_seq()), (0, 3));
}

#[test]
fn there_is_no_update_past_the_last_sequence_number() {
    let entries = [Entry::new(u32::MAX - 1, State::Valid), Entry::BLANK];
    assert_eq!(select(&entries, 0, 2, State::New, false), None);
    assert_eq!(select(&entries, 7, 2, State::New, false), None);
}

#[test]
fn esp_idf_runs_over_the_last_sequence_number() {
    let entries = [Entry::new(u32::MAX - 1, State::Valid), Entry::BLANK];
    let seq =
        |slot, slots| select_wrapping(&entries, slot, slots, State::New, false).map(|u| (u.sector, u.entry.ota_seq()));
    // recorded with three slots: ota_2 and ota_0 both get the blank number
    assert_eq!([seq(0, 3), seq(1, 3), seq(2, 3)], [Some((1, u32::MAX)), Some((1, u32::MAX - 1)), Some((1, u32::MAX))]);
    // four slots: 1 + 4 * i never is 0xFFFFFFFE or more
    assert_eq!(seq(0, 4), None);
    assert_eq!(seq(3, 3), None);
}
