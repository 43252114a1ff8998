//! Whole boots.

use super::Cursor;
use crate::{
    bus::EncryptionUnit,
    device::{Device, PowerCycle, Watch},
    efuse::Efuses,
    event::Outcome,
    flash::Flash,
    rom::Rom,
    strategy::{
        board::{USED, encrypt, good_flash},
        image::IDF_LINES,
    },
    uart,
};
use dryburn::{
    Chip, SECTOR,
    efuse::security,
    image::{self, Kind, Purpose, Region, Rules, Target},
    otadata::{Entry, State},
    partition,
};

/// Build options, one for each bit of a byte of the input.
const OPTIONS: [&str; 8] = [
    "BOOTLOADER_APP_ROLLBACK_ENABLE=y",
    "BOOTLOADER_APP_ANTI_ROLLBACK=y",
    "SECURE_BOOT_V2_ENABLED=y",
    "SECURE_FLASH_ENC_ENABLED=y",
    "SECURE_FLASH_ENCRYPTION_MODE_RELEASE=y",
    "SECURE_BOOT_V1_ENABLED=y",
    "SECURE_SIGNED_APPS_NO_SECURE_BOOT=y",
    "SECURE_FLASH_SKIP_WRITE_PROTECTION_CACHE=y",
];

/// Most damages of one input, so that an input's length bounds the time.
const MOST_DAMAGES: usize = 64;

/// A board: 8 bytes say which, then come eFuse burns and damages to the flash of a good device.
///
/// # Panics
/// When what is asserted does not hold.
pub fn boot(input: &[u8]) {
    let device = device(input);
    let watch = Watch::Boots(2);
    let (mut first, mut second) = (device.clone(), device.clone());
    let (cycle, again) = (first.power_on(watch), second.power_on(watch));
    assert!((1..=2).contains(&cycle.boots.len()));
    assert!(cycle == again && log(&first, &cycle) == log(&second, &again), "the same board boots in another way");
    assert!(first.flash.changed_sectors(&second.flash).is_empty() && first.efuses == second.efuses);
    for block in 0..12 {
        for word in 0..8 {
            let (before, after) = (device.efuses.raw_word(block, word), first.efuses.raw_word(block, word));
            assert_eq!(before & !after, 0, "block {block} word {word}: a burned bit is gone");
        }
    }
    only_a_verified_app_runs(&first, &cycle);
}

/// An app that runs at the end of `cycle`, which `device` went through, is one that the core crate accepts.
fn only_a_verified_app_runs(device: &Device, cycle: &PowerCycle) {
    let Some(boot) = cycle.boots.last() else { return };
    let Outcome::App { offset, .. } = boot.outcome else { return };
    let efuses = &device.efuses;
    let target = Target {
        chip: device.chip(),
        revision: security::chip_revision(efuses),
        block_revision: security::block_revision(efuses),
        ignore_max_revision: security::wafer_major_disabled(efuses),
        ignore_max_block_revision: security::block_major_disabled(efuses),
        idf: boot.idf,
    };
    let rules = Rules { target: &target, kind: Kind::App, purpose: Purpose::Verify, signature: None };
    let unit = EncryptionUnit::at_reset(efuses);
    let mut view = unit.view(&device.flash);
    let mut table = [0; partition::TABLE_SIZE];
    view.fill(device.config.partition_table_offset(), &mut table).expect("inside the flash");
    let mut verdicts = partition::entries(&table)
        .filter(|entry| entry.kind.0 == 0 && entry.offset == offset)
        .map(|entry| image::verify(&mut view, Region { offset, size: entry.size }, &rules, &mut |_| {}));
    assert!(verdicts.any(|verdict| verdict.is_ok()), "what runs at {offset:#x} is no app that is accepted");
}

/// The log of a power cycle.
fn log(device: &Device, cycle: &PowerCycle) -> (String, Option<String>) {
    let rom = Rom::of(device.chip(), security::chip_revision(&device.efuses));
    uart::render_cycle(cycle, rom)
}

/// The board that `input` describes.
fn device(input: &[u8]) -> Device {
    let mut cursor = Cursor(input);
    let chip = cursor.pick(&Chip::ALL);
    let idf = cursor.pick(&IDF_LINES);
    let [options, security, sequence_a, state_a, sequence_b, state_b] = cursor.array();
    let mut efuses = Efuses::new(chip);
    if security & 1 != 0 {
        encrypt(&mut efuses, &[0x5A5A_1234; 8]);
    }
    for _ in 0..security >> 4 {
        let [block, word] = cursor.array();
        let mut bits = [0; 8];
        bits[usize::from(word) % 8] = u32::from_le_bytes(cursor.array());
        efuses.burn(usize::from(block) % 12, &bits);
    }
    let state = |byte: u8| State::from_word(if byte == 0xFF { u32::MAX } else { byte.into() });
    let entry = |sequence, byte| Entry::new(u32::from(sequence), state(byte));
    let pair = [entry(sequence_a, state_a), entry(sequence_b, state_b)];
    let good = if security & 2 != 0 { Efuses::new(chip) } else { efuses.clone() };
    let mut bytes = good_flash(&good, idf, pair).to_bytes();
    damage(&mut cursor, &mut bytes);
    let flash = Flash::from_bytes(&bytes).expect("the size that it had");
    let mut device = Device::new(flash, efuses);
    device.idf = (security & 4 != 0).then_some(idf);
    for (bit, option) in OPTIONS.iter().enumerate() {
        if options >> bit & 1 != 0 {
            device.config.set(option).expect("an option with a value");
        }
    }
    device
}

/// Damages: an address of 3 bytes and a byte with the kind (2 bits) and a length (6 bits), then the bytes.
fn damage(cursor: &mut Cursor<'_>, flash: &mut [u8]) {
    for _ in 0..MOST_DAMAGES {
        if cursor.0.is_empty() {
            return;
        }
        let [low, middle, high, kind] = cursor.array();
        let at = (u32::from_le_bytes([low, middle, high, 0]) % USED) as usize;
        let sector = at / SECTOR as usize * SECTOR as usize;
        let length = usize::from(kind & 0x3F) + 1;
        match kind >> 6 {
            0 => flash[at..].iter_mut().zip(cursor.take(length)).for_each(|(to, byte)| *to = *byte),
            1 => flash[at..].iter_mut().zip(cursor.take(length)).for_each(|(to, byte)| *to ^= byte),
            2 => flash[sector..][..SECTOR as usize].fill(0xFF),
            _ => flash.copy_within(sector..sector + SECTOR as usize, length * SECTOR as usize),
        }
    }
}
