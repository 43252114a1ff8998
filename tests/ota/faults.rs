//! The field's known faults. Each test carries the faulty logic, shows it red on a claim about the device, and shows the
//! updater green on the same claim.

use super::board::{Kind, Power, SLOTS, boot, entries, on_supply, reset};
use dryburn::{
    boot::Slot,
    ota::{
        BeginError, CheckError, Erase, PlainImage,
        choice::{self, Write},
    },
    otadata::{self, Entry, State},
};
use dryburn_sim::device::Device;

fn e(seq: u32, state: State) -> Entry {
    Entry::new(seq, state)
}

/// An entry whose program was cut: its sequence number is there, its CRC is not.
fn torn(seq: u32) -> Entry {
    let mut raw = Entry::BLANK.to_bytes();
    raw[..4].copy_from_slice(&seq.to_le_bytes());
    Entry::from_bytes(raw)
}

fn names(entry: &Entry, slot: u8) -> bool {
    entry.is_valid() && entry.slot(2) == Some(slot.into())
}

/// A board with 1.0.0 in ota_0 and, where given, 0.9.0 in ota_1.
fn board(otadata: [Entry; 2], ota_1: bool) -> Device {
    let mut device = Kind::PLAIN.board(otadata.map(Some));
    if ota_1 {
        device.flash.program(SLOTS[1], &Kind::PLAIN.app("0.9.0")).unwrap();
    }
    device
}

/// Writes entries as ESP-IDF's app does.
fn write(device: &mut Device, sector: usize, entry: Entry) {
    let at = super::board::OTADATA + sector as u32 * 4096;
    device.flash.erase_sector(at).unwrap();
    device.flash.program(at, &entry.to_bytes()).unwrap();
}

/// A whole good update from the app in `running`.
fn update(device: &mut Device, running: Slot, slot: u8, version: &str) {
    on_supply(device, running, &Power::steady(), |updater| {
        let mut update = updater.begin(slot, PlainImage, None, Erase::AsWritten).unwrap();
        update.write(&Kind::PLAIN.app(version)).unwrap();
        update.finish(&mut |_| {}).unwrap().set_boot().unwrap();
    });
}

/// esp-hal at 5711821d: both copies are read with `?`, so a torn one is an error of every call.
#[test]
fn one_torn_otadata_copy_does_not_lock_updates_out() {
    fn esp_hal(entries: &[Entry; 2]) -> Result<u32, &'static str> {
        let mut highest = 0;
        for entry in entries {
            if *entry != Entry::BLANK && !entry.crc_matches() {
                return Err("Invalid");
            }
            highest = highest.max(entry.ota_seq());
        }
        Ok(highest)
    }
    for pair in [[e(1, State::Valid), torn(2)], [torn(2), e(1, State::Valid)], [torn(1), torn(2)]] {
        assert_eq!(esp_hal(&pair), Err("Invalid"), "the faulty logic takes no update");
        let mut device = board(pair, false);
        assert_eq!(boot(&mut device).1, "1.0.0", "the bootloader does not mind");
        update(&mut device, Slot::Ota(0), 1, "2.0.0");
        assert_eq!(reset(&mut device), (Slot::Ota(1), "2.0.0".into()));
    }
}

/// ruuvi.gateway_esp.c #1280: after a fallback, the entry that is kept is that of the highest `ota_seq`, not that of the
/// running app.
#[test]
fn after_a_fallback_the_running_apps_entry_is_kept() {
    // ota_1 is chosen, its image is broken, ota_0 runs
    let pair = [e(3, State::Valid), e(4, State::Undefined)];
    let claim = |device: &Device| entries(device).iter().any(|entry| names(entry, 0));

    let mut device = board(pair, false);
    assert_eq!(boot(&mut device).0, Slot::Ota(0));
    device.flash.program(SLOTS[1], &Kind::PLAIN.app("2.0.0")).unwrap();
    let idf = otadata::select(&pair, 1, 2, State::New, false).unwrap();
    write(&mut device, idf.sector, idf.entry);
    assert!(!claim(&device), "the faulty logic leaves {:?}", entries(&device));
    assert!(entries(&device).iter().all(|entry| entry.slot(2) == Some(1)), "both name the slot that was broken");

    let mut device = board(pair, false);
    assert_eq!(boot(&mut device).0, Slot::Ota(0));
    update(&mut device, Slot::Ota(0), 1, "2.0.0");
    assert!(claim(&device));
    assert_eq!(reset(&mut device).1, "2.0.0");
    assert_eq!(boot(&mut device).1, "1.0.0", "not confirmed: back to the app that was running");
}

/// The same otadata, inherited from an updater with the fault: the running app gets its entry back first.
#[test]
fn otadata_that_names_the_broken_slot_twice_is_healed() {
    let mut device = board([e(4, State::Undefined), e(4, State::New)], false);
    assert_eq!(boot(&mut device).0, Slot::Ota(0));
    update(&mut device, Slot::Ota(0), 1, "2.0.0");
    assert_eq!(reset(&mut device).1, "2.0.0");
    assert_eq!(boot(&mut device).1, "1.0.0");
}

/// esp-idf #14808: begin leaves otadata alone, so a slot keeps its VALID while it is overwritten.
#[test]
fn no_valid_entry_names_a_slot_that_is_half_overwritten() {
    let pair = [e(3, State::Valid), e(2, State::Valid)];
    let image = Kind::PLAIN.app("2.0.0");
    let claim = |device: &Device| !entries(device).iter().any(|entry| names(entry, 1));

    let mut device = board(pair, true);
    device.flash.erase(SLOTS[1], SLOTS[1] + 0x2000).unwrap();
    device.flash.program(SLOTS[1], &image[..5000]).unwrap();
    assert!(!claim(&device), "the faulty logic leaves a VALID");

    let mut device = board(pair, true);
    on_supply(&mut device, Slot::Ota(0), &Power::steady(), |updater| {
        let mut update = updater.begin(1, PlainImage, None, Erase::AsWritten).unwrap();
        update.write(&image[..5000]).unwrap();
    });
    assert!(claim(&device));
    assert_eq!(reset(&mut device).1, "1.0.0");
    // an earlier choice that has not been started is taken back in the same way
    let mut device = board([e(3, State::Valid), e(4, State::New)], true);
    on_supply(&mut device, Slot::Ota(0), &Power::steady(), |updater| {
        updater.begin(1, PlainImage, None, Erase::First).map(drop).unwrap();
    });
    assert!(claim(&device));
    assert_eq!(reset(&mut device).1, "1.0.0");
}

/// esp-hal #3918: the current slot is taken from otadata; after a fallback the next one is the running app's own.
#[test]
fn the_running_slot_is_not_taken_from_otadata() {
    let pair = [e(1, State::Valid), e(2, State::Valid)];
    let mut device = board(pair, false);
    let (running, _) = boot(&mut device);
    assert_eq!(running, Slot::Ota(0));

    let current = otadata::active(&pair).and_then(|k| pair[k].slot(2)).unwrap();
    let faulty = ((current + 1) % 2) as u8;
    assert_eq!(Slot::Ota(faulty), running, "the faulty logic overwrites the running app");

    on_supply(&mut device, running, &Power::steady(), |updater| {
        assert_eq!(updater.next_slot(), Some(1));
        let error = updater.begin(faulty, PlainImage, None, Erase::First).err();
        assert_eq!(error, Some(BeginError::RunningSlot { slot: 0 }));
    });
}

/// ESP-IDF 4.4-5.5: re-selecting the active slot writes a NEW copy of its entry over the fallback's; two resets later both
/// are gone.
#[test]
fn trap_1_the_running_slot_cannot_be_selected_again() {
    // the active entry is the second; ota_1 runs
    let pair = [e(1, State::Valid), e(2, State::Valid)];
    let mut device = board(pair, true);
    assert_eq!(boot(&mut device), (Slot::Ota(1), "0.9.0".into()));
    let idf = otadata::select(&pair, 1, 2, State::New, false).unwrap();
    assert_eq!((idf.sector, idf.entry), (0, e(2, State::New)));
    let mut faulty = device.clone();
    write(&mut faulty, idf.sector, idf.entry);
    reset(&mut faulty);
    boot(&mut faulty);
    assert!(!entries(&faulty).iter().any(|entry| names(entry, 0)), "the faulty logic has lost the fallback");
    assert_eq!(entries(&faulty)[0].state(), State::Aborted);

    on_supply(&mut device, Slot::Ota(1), &Power::steady(), |updater| {
        let error = updater.check(1, &mut |_| {}).err();
        assert_eq!(error, Some(CheckError::Begin(BeginError::RunningSlot { slot: 1 })));
    });
    assert_eq!(entries(&device), pair);
}

/// By the same road a PENDING app turns its own state into NEW, and begin asks for PENDING only.
#[test]
fn trap_2_an_app_that_is_not_confirmed_cannot_begin_in_any_state() {
    let faulty = |state: State| state != State::PendingVerify;
    assert!(faulty(State::New), "the faulty logic lets it begin");
    for state in [State::New, State::PendingVerify, State::Aborted, State::Invalid] {
        assert!(!choice::is_confirmed(state));
        let mut device = board([e(1, state), e(4, State::Aborted)], true);
        on_supply(&mut device, Slot::Ota(0), &Power::steady(), |updater| {
            let error = updater.begin(1, PlainImage, None, Erase::First).err();
            assert_eq!(error, Some(BeginError::Unconfirmed { state }));
            updater.confirm().unwrap();
            updater.begin(1, PlainImage, None, Erase::First).map(drop).unwrap();
        });
    }
}

/// mark valid and mark invalid act on the active entry, which may be of an app that has yet to run.
#[test]
fn trap_7_confirming_and_rolling_back_concern_the_running_app() {
    let pair = [e(1, State::PendingVerify), e(2, State::New)];
    let active = otadata::active(&pair).unwrap();
    assert_eq!(pair[active].slot(2), Some(1), "the faulty logic confirms ota_1, which never ran");
    let mut device = board(pair, true);
    on_supply(&mut device, Slot::Ota(0), &Power::steady(), |updater| updater.confirm().map(drop).unwrap());
    assert_eq!(entries(&device), [e(1, State::Valid), e(2, State::New)]);
    on_supply(&mut device, Slot::Ota(0), &Power::steady(), |updater| {
        assert_eq!(updater.roll_back(), Ok(Slot::Ota(1)));
    });
    assert_eq!(entries(&device), [e(1, State::Invalid), e(2, State::New)]);
    assert_eq!(reset(&mut device).0, Slot::Ota(1));
}

/// erase_last_boot_app_partition is allowed while PENDING: it erases what a reset would fall back to.
#[test]
fn trap_10_an_app_that_is_not_confirmed_cannot_lose_its_fallback() {
    let mut faulty = board([e(3, State::PendingVerify), e(2, State::Valid)], true);
    faulty.flash.erase(SLOTS[1], SLOTS[1] + 0x1_0000).unwrap();
    write(&mut faulty, 1, Entry::BLANK);
    let again = reset(&mut faulty);
    assert_eq!(
        (again.0, entries(&faulty)[0].state()),
        (Slot::Ota(0), State::Aborted),
        "an app that was given up runs on"
    );

    let mut device = board([e(3, State::PendingVerify), e(2, State::Valid)], true);
    let before = device.flash.clone();
    on_supply(&mut device, Slot::Ota(0), &Power::steady(), |updater| {
        assert!(matches!(updater.begin(1, PlainImage, None, Erase::First), Err(BeginError::Unconfirmed { .. })));
        assert!(matches!(updater.check(1, &mut |_| {}), Err(CheckError::Begin(BeginError::Unconfirmed { .. }))));
    });
    assert!(device.flash == before);
    assert_eq!(reset(&mut device).1, "0.9.0", "not confirmed: the fallback runs");
}

/// The number after 0xFFFFFFFE is written as it comes, and means a blank entry.
#[test]
fn trap_11_sequence_numbers_do_not_run_out() {
    let last = u32::MAX - 1;
    // odd numbers choose ota_0 of two slots, even ones ota_1
    let pair = [e(last - 1, State::Valid), e(last, State::Aborted)];
    let after = last + 1;
    assert!(Entry::new(after, State::New).is_invalid(), "the faulty logic writes an entry that chooses nothing");
    let mut device = board(pair, true);
    assert_eq!(boot(&mut device).0, Slot::Ota(0));
    update(&mut device, Slot::Ota(0), 1, "2.0.0");
    assert_eq!(entries(&device).map(|entry| (entry.ota_seq(), entry.state())), [(2, State::New), (1, State::Valid)]);
    assert_eq!(reset(&mut device).1, "2.0.0");
    assert_eq!(boot(&mut device).1, "1.0.0");
    // the writes on the way: a copy with a low number, then the high one goes, then the choice
    let first = choice::release(&pair, Slot::Ota(0), 2);
    assert_eq!(first, Some(Write::Entry { sector: 1, entry: e(1, State::Valid) }));
}
