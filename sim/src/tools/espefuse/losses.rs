//! What a burn would cost a board that still starts its app afterwards: an update that never runs, a rescue that is gone, a
//! door that closes. The guard prints these; it refuses only what leaves the board without an app.

use super::super::download::Download;
use crate::{
    bootloader::Event as Loader,
    device::{Device, PowerCycle, Watch},
    efuse::Efuses,
    event::{Event, Outcome},
};
use dryburn::{
    Chip, SECTOR, boot,
    efuse::{KeyPurpose, read, security},
};

/// Losses that eFuses `after` show by themselves.
pub(super) fn of_efuses(before: &Efuses, after: &Efuses) -> Vec<String> {
    [closed_door(before, after), readable_key(after), aggressive_revoke(before, after)].into_iter().flatten().collect()
}

/// Losses that show in the next power-on with the eFuses `after`: `cycle` is its log, `settled` the board when it is over.
pub(super) fn of_boot(board: &Device, after: &Efuses, cycle: &PowerCycle, settled: &Device) -> Vec<String> {
    let mut found: Vec<String> =
        [never_run(cycle), key_passed_over(&board.efuses, after, &settled.efuses)].into_iter().flatten().collect();
    found.extend(lost_slots(board, after, cycle));
    found
}

fn closed_door(before: &Efuses, after: &Efuses) -> Option<String> {
    if Download::of(before) == Download::of(after) {
        return None;
    }
    match Download::of(after) {
        Download::Open => None,
        Download::Secure => Some(
            "secure download mode: from now on espefuse does not reach this chip, nor can its flash be read; what is not burned \
             by now only firmware can burn"
                .into(),
        ),
        Download::Closed => {
            Some("no download mode: from now on no serial tool reaches this chip, only its own firmware changes it".into())
        }
    }
}

/// Flash encryption with a key that software can read.
fn readable_key(after: &Efuses) -> Option<String> {
    if !security::crypt_count(after).enabled() {
        return None;
    }
    let chip = after.chip();
    let keys: &[KeyPurpose] = &[KeyPurpose::XtsAes128Key, KeyPurpose::XtsAes256Key1, KeyPurpose::XtsAes256Key2];
    let name = match chip {
        Chip::Esp32 => (!security::read_protected(after, "BLOCK1")).then(|| "BLOCK1".to_owned()),
        Chip::Esp32c2 => (!security::read_protected(after, "BLOCK_KEY0")).then(|| "BLOCK_KEY0".to_owned()),
        _ => keys
            .iter()
            .filter_map(|purpose| security::key_block_with(after, *purpose))
            .map(|n| format!("BLOCK_KEY{n}"))
            .find(|name| !security::read_protected(after, name)),
    }?;
    Some(format!("{name} is not read-protected: whoever reaches the chip reads the flash encryption key"))
}

fn aggressive_revoke(before: &Efuses, after: &Efuses) -> Option<String> {
    let on = |e: &Efuses| read(e, "SECURE_BOOT_AGGRESSIVE_REVOKE") != 0;
    let keys = security::secure_boot_digests(after).iter().flatten().count();
    (on(after) && !on(before) && keys < 2).then(|| {
        "aggressive revocation with one key: a single bootloader with a wrong signature revokes it, and then none starts".into()
    })
}

/// An app that otadata says is NEW gets one start; the reset at the end of the first encryption uses it up.
fn never_run(cycle: &PowerCycle) -> Option<String> {
    let events = || cycle.boots.iter().flat_map(|boot| &boot.events);
    let marked = |wanted: boot::Event| events().any(|event| *event == Event::Bootloader(Loader::Boot(wanted)));
    let unrun = (0..2).any(|sector| {
        marked(boot::Event::MarkedPendingVerify { sector }) && marked(boot::Event::MarkedAborted { sector })
    });
    let loaded = events().find_map(|event| match event {
        Event::Bootloader(Loader::Boot(boot::Event::Loaded { offset, .. })) => Some(*offset),
        _ => None,
    })?;
    match cycle.outcome() {
        Some(Outcome::App { offset, .. }) if unrun && *offset != loaded => Some(format!(
            "the update at {loaded:#x} would never run: its entry is NEW, and the reset after the first encryption counts as its \
             one failed start; {offset:#x} runs instead"
        )),
        _ => None,
    }
}

/// A block that this burn fills without giving it a purpose, while a boot burns its key elsewhere.
fn key_passed_over(before: &Efuses, after: &Efuses, settled: &Efuses) -> Option<String> {
    let chip = after.chip();
    let filled = |e: &Efuses, n: u8| {
        let number = security::key_block_number(chip, n);
        e.raw_block(number).iter().any(|word| *word != 0)
    };
    let blocks = || 0..security::key_blocks(chip);
    let orphan = blocks().find(|n| {
        !filled(before, *n) && filled(after, *n) && security::key_purpose(after, *n) == Some(KeyPurpose::User.value())
    })?;
    let taken = blocks().find(|n| !filled(after, *n) && filled(settled, *n))?;
    Some(format!(
        "BLOCK_KEY{orphan} has no purpose: the first boot does not take it for its key and burns one to BLOCK_KEY{taken}"
    ))
}

/// App partitions that start now when they are the only one, and would not with the new eFuses.
fn lost_slots(board: &Device, after: &Efuses, cycle: &PowerCycle) -> Vec<String> {
    let Some(Outcome::App { offset: running, .. }) = cycle.outcome() else { return Vec::new() };
    let rows = cycle.boots.iter().flat_map(|boot| &boot.events).find_map(|event| match event {
        Event::Bootloader(Loader::TableListed { rows }) => Some(rows),
        _ => None,
    });
    let apps: Vec<(u32, u32)> =
        rows.into_iter().flatten().filter(|row| row.kind == 0).map(|row| (row.offset, row.size)).collect();
    let alone = |offset: u32, efuses: &Efuses| {
        let mut copy = board.clone();
        copy.efuses = efuses.clone();
        for (other, size) in apps.iter().filter(|(other, _)| *other != offset) {
            let end = other.saturating_add(*size) & !(SECTOR - 1);
            let _ = copy.flash.erase(*other, end);
        }
        copy.power_on(Watch::UntilSettled).runs_an_app()
    };
    let holds_something = |offset: u32| {
        let mut first = [0xFF; 16];
        board.flash.read(offset, &mut first).is_ok() && first != [0xFF; 16]
    };
    apps.iter()
        .map(|(offset, _)| *offset)
        .filter(|offset| offset != running && holds_something(*offset))
        // most start with either, so the new eFuses are asked first
        .filter(|offset| !alone(*offset, after) && alone(*offset, &board.efuses))
        .map(|offset| {
            format!("the app at {offset:#x} would no longer start: an update that fails could not fall back to it")
        })
        .collect()
}
