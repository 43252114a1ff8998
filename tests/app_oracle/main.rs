//! What a real ESP-IDF v5.3 application answered, against the model's: every recorded script is run on a board of the same
//! layout, and everything that it prints is compared, with otadata and the changed flash afterwards.
//!
//! The recordings come without flash images; `devices` makes boards on which the same calls mean the same. Cases in which the
//! model differs stand in `.ci/app-known`, each with its reason: one that is not there fails, and so does one that agrees.

mod devices;
#[path = "../shared/mod.rs"]
mod shared;

use devices::Setup;
use dryburn::otadata::{Entry, State};
use dryburn_sim::{
    app::{
        AppBuild,
        script::{self, Script},
    },
    bus::EncryptionUnit,
    device::{Device, Watch},
    flash::Flash,
    rom::Rom,
    uart,
};
use serde::Deserialize;
use std::{collections::BTreeMap, fs, path::Path};

/// One recorded run.
#[derive(Deserialize)]
struct Record {
    id: String,
    table_offset: u32,
    partitions: Vec<(String, u8, u8, u32, u32, u32)>,
    command: String,
    image_len: usize,
    efuses: String,
    app_variant: String,
    config: BTreeMap<String, bool>,
    otadata_before: String,
    otadata_after: String,
    log: String,
    flash_changes: Vec<(String, String, String)>,
    slots: BTreeMap<String, Slot>,
}

/// What a slot held afterwards, decrypted where it is.
#[derive(Deserialize)]
struct Slot {
    /// Bytes up to the last that is not 0xFF in flash.
    raw_last_non_ff: usize,
    /// How many bytes are those of the image.
    prefix_equals_img: usize,
}

/// The test app of the recordings counts its boots in flash; the model's does not.
const COUNTER: &str = "0x301000";

#[test]
fn recorded_runs() {
    let Some(path) = shared::shared("oracle/app.jsonl") else { return };
    let text = fs::read_to_string(path).expect("app.jsonl");
    let records: Vec<Record> = text.lines().map(|line| serde_json::from_str(line).expect("a record")).collect();
    let mut known = known_cases();
    let (mut agree, mut unknown) = (0, Vec::new());
    for record in &records {
        match compare(record) {
            Ok(()) => agree += 1,
            Err(_) if known.remove(&record.id).is_some() => {}
            Err(difference) => unknown.push(format!("--- {}\n{difference}", record.id)),
        }
    }
    let (differ, all) = (records.len() - agree, records.len());
    println!("app: {agree} of {all} recorded runs agree, {differ} differ, {} of them unknown", unknown.len());
    assert!(unknown.is_empty(), "not in .ci/app-known:\n{}", unknown.join("\n"));
    assert!(known.is_empty(), "agree, or are gone: take them out of .ci/app-known: {known:?}");
    assert!(agree > 200, "{agree} cases agree");
}

/// Id and reason of the cases that differ.
fn known_cases() -> BTreeMap<String, String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(".ci/app-known");
    let text = fs::read_to_string(path).expect(".ci/app-known");
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let (id, reason) = line.split_once(' ').unwrap_or_else(|| panic!("'{line}' has no reason"));
            (id.into(), reason.into())
        })
        .collect()
}

/// Runs the script of `record` and holds everything against it.
fn compare(record: &Record) -> Result<(), String> {
    let Setup { mut device, image } = devices::set_up(record);
    let before = device.flash.clone();
    assert_eq!(otadata(&device, record), record.otadata_before, "{}: the board itself", record.id);

    let rom = Rom::of(device.chip(), dryburn::efuse::security::chip_revision(&device.efuses));
    let cycle = device.power_on(Watch::UntilSettled);
    let (mut text, _) = uart::render_cycle(&cycle, rom);
    // the small app of the recordings knows no calls
    if devices::knows_calls(&device, &cycle) {
        let script = Script::parse(&record.command).expect("a script");
        let ran = script::run(&mut device, cycle, &AppBuild::default(), &script, None);
        text += &ran.map_err(|failure| failure.text)?.text;
    }
    same("log", &comparable(&text), &comparable(&record.log))?;
    same("otadata", &[otadata(&device, record)], std::slice::from_ref(&record.otadata_after))?;
    same("flash", &changes(&before, &device.flash), &recorded_changes(record))?;
    for (label, slot) in &record.slots {
        if let Some(partition) = record.partitions.iter().find(|p| p.0 == *label && p.1 == 0) {
            let found = content(&device, partition.3, partition.4, &image);
            same(label, &[found], &[(slot.raw_last_non_ff, slot.prefix_equals_img)])?;
        }
    }
    Ok(())
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, found: &[T], recorded: &[T]) -> Result<(), String> {
    let longest = found.len().max(recorded.len());
    match (0..longest).find(|i| found.get(*i) != recorded.get(*i)) {
        None => Ok(()),
        Some(i) => {
            let before = i.checked_sub(1).and_then(|i| recorded.get(i));
            let (f, r) = (found.get(i), recorded.get(i));
            Err(format!("{what}, entry {i}, after {before:?}:\n   model    {f:?}\n   recorded {r:?}"))
        }
    }
}

/// The lines that both logs must have, without time stamps. Left out: how the bootloader image was built and loaded (other
/// recordings are held against that), and the start-up of the app's own code, which the model does not run.
fn comparable(log: &str) -> Vec<String> {
    const BUILD: [&str; 9] = [
        "load:",
        "entry ",
        "mode:",
        "I boot: compile time",
        "I boot: ESP-IDF",
        "I boot.esp32c3: SPI",
        "MINI APP",
        "ESP-ROM:",
        "Build:",
    ];
    let mut starting = false;
    let mut lines = Vec::new();
    for line in log.lines() {
        let line = match line.split_once(" (") {
            Some((level @ ("E" | "W" | "I"), rest)) => rest.split_once(") ").map(|(_, text)| format!("{level} {text}")),
            _ => None,
        }
        .unwrap_or_else(|| line.to_owned());
        starting &= !line.starts_with("APP START") && !line.starts_with("rst:");
        if !starting && !line.is_empty() && !BUILD.iter().any(|start| line.starts_with(start)) {
            lines.push(line.clone());
        }
        starting |= line == "I boot: Disabling RNG early entropy source...";
    }
    lines
}

fn read(device: &Device, address: u32, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    EncryptionUnit::at_reset(&device.efuses).view(&device.flash).fill(address, &mut bytes).expect("inside");
    bytes
}

/// otadata in the words of the recordings.
fn otadata(device: &Device, record: &Record) -> String {
    let at = record.partitions.iter().find(|p| p.0 == "otadata").expect("otadata").3;
    let one = |i: u32| {
        let raw = read(device, at + i * dryburn::SECTOR, 32);
        let entry = Entry::from_bytes(raw.try_into().expect("32 bytes"));
        let seq = if entry.ota_seq() == u32::MAX { "blank".into() } else { entry.ota_seq().to_string() };
        let state = match entry.state() {
            State::New => "NEW".into(),
            State::PendingVerify => "PENDING".into(),
            State::Valid => "VALID".into(),
            State::Invalid => "INVALID".into(),
            State::Aborted => "ABORTED".into(),
            State::Undefined => "UNDEF".into(),
            State::Other(word) => format!("{word:#x}"),
        };
        let crc = if entry.crc_matches() { "ok" } else { "bad" };
        format!("[{i}] seq={seq} state={state} crc={crc}")
    };
    format!("{} {}", one(0), one(1))
}

/// Runs of sectors that were erased or otherwise changed, as the recordings note them.
fn changes(before: &Flash, after: &Flash) -> Vec<(String, u32, u32)> {
    let mut runs: Vec<(String, u32, u32)> = Vec::new();
    for at in after.changed_sectors(before) {
        let mut sector = [0; dryburn::SECTOR as usize];
        after.read(at, &mut sector).expect("inside");
        let kind = if sector.iter().all(|b| *b == 0xFF) { "erased" } else { "chg" };
        match runs.last_mut() {
            Some((last, _, end)) if last == kind && *end == at => *end += dryburn::SECTOR,
            _ => runs.push((kind.into(), at, at + dryburn::SECTOR)),
        }
    }
    runs
}

fn recorded_changes(record: &Record) -> Vec<(String, u32, u32)> {
    let number = |text: &String| u32::from_str_radix(text.trim_start_matches("0x"), 16).expect("an address");
    let others = record.flash_changes.iter().filter(|(_, from, _)| from != COUNTER);
    others.map(|(kind, from, to)| (kind.clone(), number(from), number(to))).collect()
}

/// Bytes up to the last that is not 0xFF in flash, and how many of them are those of the image.
fn content(device: &Device, address: u32, size: u32, image: &[u8]) -> (usize, usize) {
    let mut raw = vec![0; size as usize];
    device.flash.read(address, &mut raw).expect("inside");
    let last = raw.iter().rposition(|b| *b != 0xFF).map_or(0, |at| at + 1);
    let plain = read(device, address, size as usize);
    (last, plain.iter().zip(image).take_while(|(a, b)| a == b).count())
}
