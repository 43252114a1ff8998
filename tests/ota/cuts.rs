//! Power that fails at every flash operation, before it, after it and inside it: the next power-on runs the app before or the
//! new one, and the board takes the next good update.

use super::board::{CutUpdater, Kind, Power, SLOTS, TEARS, boot, entries, on_supply};
use dryburn::{
    boot::Slot,
    ota::{Ciphertext, Erase, PlainImage},
    otadata::{Entry, State},
};
use dryburn_sim::{bus::EncryptionUnit, device::Device};

const NEW: &str = "2.0.0";
const OLD: &str = "1.0.0";

/// Cuts `step` of the app in ota_0 at each of its operations and in each way; gives how many cuts that were.
fn cut_everywhere(device: &Device, may_run: &[&str], step: impl Fn(&mut CutUpdater<'_>) -> bool) -> u32 {
    let steady = Power::steady();
    assert!(on_supply(&mut device.clone(), Slot::Ota(0), &steady, &step), "the step works on steady power");
    for at in 0..steady.ops() {
        for tear in TEARS {
            let mut device = device.clone();
            let power = Power::failing(at, tear);
            assert!(!on_supply(&mut device, Slot::Ota(0), &power, &step), "operation {at} fails");
            let found = entries(&device);
            let (slot, version) = boot(&mut device);
            let what = format!("operation {at} of {}, {tear:?}: {version} in {slot:?} from {found:?}", steady.ops());
            assert!(may_run.contains(&version.as_str()), "{what}");
            next_update(&mut device, slot, &what);
        }
    }
    steady.ops() * TEARS.len() as u32
}

/// Whatever happened: the app that runs can confirm itself and install a new one.
fn next_update(device: &mut Device, running: Slot, what: &str) {
    let kind = Kind { encrypted: EncryptionUnit::at_reset(&device.efuses).is_on(), ..Kind::PLAIN };
    on_supply(device, running, &Power::steady(), |updater| {
        updater.confirm().unwrap_or_else(|e| panic!("{what}: {e}"));
        let slot = updater.next_slot().unwrap();
        let mut update =
            updater.begin(slot, PlainImage, None, Erase::AsWritten).unwrap_or_else(|e| panic!("{what}: {e}"));
        update.write(&kind.app("3.0.0")).unwrap();
        update.finish(&mut |_| {}).unwrap_or_else(|e| panic!("{what}: {e}")).set_boot().unwrap();
    });
    assert_eq!(boot(device).1, "3.0.0", "{what}");
}

fn install(updater: &mut CutUpdater<'_>, image: &[u8]) -> Option<()> {
    let mut update = updater.begin(1, PlainImage, None, Erase::AsWritten).ok()?;
    image.chunks(3000).try_for_each(|chunk| update.write(chunk)).ok()?;
    update.finish(&mut |_| {}).ok()?.set_boot().ok()
}

fn install_raw(updater: &mut CutUpdater<'_>, bytes: &[u8]) -> Option<()> {
    let mut update = updater.begin(1, Ciphertext, None, Erase::AsWritten).ok()?;
    update.write(bytes).ok()?;
    update.finish(&mut |_| {}).ok()?.set_boot().ok()
}

fn kinds() -> [Kind; 2] {
    [Kind::PLAIN, Kind::ENCRYPTED]
}

#[test]
fn an_update_is_all_or_nothing() {
    let first = Entry::new(1, State::Valid);
    let renumbered = Entry::new(u32::MAX - 2, State::Valid);
    let old_ones = [
        [Some(first), None],
        [Some(first), Some(Entry::new(2, State::Valid))],
        [Some(Entry::new(2, State::Aborted)), Some(Entry::new(3, State::Valid))],
        [None, None],
        [Some(Entry::new(2, State::Undefined)), Some(Entry::new(2, State::New))],
        [Some(renumbered), Some(Entry::new(u32::MAX - 1, State::Aborted))],
    ];
    let mut cuts = 0;
    for kind in kinds() {
        for otadata in old_ones {
            let mut device = kind.board(otadata);
            assert_eq!(boot(&mut device), (Slot::Ota(0), OLD.into()), "{otadata:?}");
            let image = kind.app(NEW);
            cuts += cut_everywhere(&device, &[OLD, NEW], |updater| install(updater, &image).is_some());
        }
    }
    println!("{cuts} cuts");
    assert!(cuts > 500);
}

#[test]
fn ciphertext_is_all_or_nothing() {
    let kind = Kind::ENCRYPTED;
    let mut device = kind.board([Some(Entry::new(1, State::Valid)), None]);
    boot(&mut device);
    let mut bytes = kind.app(NEW);
    let cipher = dryburn::flash_encryption::FlashCipher::new(&device.efuses.flash_key());
    cipher.encrypt(SLOTS[1], &mut bytes).unwrap();
    cut_everywhere(&device, &[OLD, NEW], |updater| install_raw(updater, &bytes).is_some());
}

#[test]
fn a_confirmation_is_made_or_the_app_before_runs() {
    for kind in kinds() {
        // ota_0 runs 1.0.0 for the first time, ota_1 holds what was there before
        let mut device = kind.board([Some(Entry::new(3, State::New)), Some(Entry::new(2, State::Valid))]);
        let unit = EncryptionUnit::at_reset(&device.efuses);
        unit.program(&mut device.flash, SLOTS[1], &kind.app("0.9.0")).unwrap();
        assert_eq!(boot(&mut device).1, OLD);
        cut_everywhere(&device, &[OLD, "0.9.0"], |updater| updater.confirm().is_ok());
        cut_everywhere(&device, &["0.9.0"], |updater| updater.roll_back().is_ok());
    }
}

/// Why the half with the state goes first: were it missing when the sequence number and the CRC are there, no reset would
/// ever take the new app back.
#[test]
fn an_entry_whose_state_was_cut_off_is_never_rolled_back() {
    let kind = Kind::PLAIN;
    let mut device = kind.board([Some(Entry::new(1, State::Valid)), None]);
    device.flash.program(SLOTS[1], &kind.app(NEW)).unwrap();
    let mut raw = Entry::new(2, State::New).to_bytes();
    raw[24..28].fill(0xFF);
    device.flash.program(super::board::OTADATA + 0x1000, &raw).unwrap();
    assert_eq!(boot(&mut device).1, NEW);
    assert_eq!(boot(&mut device).1, NEW, "not confirmed, and not rolled back");
}
