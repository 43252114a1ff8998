//! Recorded power cuts in first-boot enablement (real ROM and bootloader code on an ESP32-C3): what the next power-on said.
//!
//! The recorded keys are random and the recorded boards end in the middle of a line, so boards of the same layout are cut at the
//! same write, and the lines about eFuses, encryption and secure boot are compared as far as both logs go.

mod shared;

use dryburn::{
    Chip, IdfVersion, Revision,
    image::Builder,
    otadata::{Entry, State},
    partition::{self, PartitionType, Subtype},
};
use dryburn_sim::{
    campaign,
    device::{Device, Watch},
    efuse::Efuses,
    fault::{Cut, Operation, Power, Tear, Write},
    flash::Flash,
    rom::Rom,
    tools::{self, Workbench},
    uart,
};
use serde_json::Value;
use std::{fs, path::PathBuf};

const TABLE: u32 = 0xC000;

/// A board laid out like the recorded ones: otadata chooses the second of two good apps.
fn board(case: &Value, folder: &std::path::Path) -> Device {
    let idf: IdfVersion = case["idf"].as_str().unwrap().parse().unwrap();
    let efuses = Efuses::with_revision(Chip::Esp32c3, Revision::new(0, 3)).unwrap();
    let mut device = Device::new(Flash::new(0x40_0000).unwrap(), efuses);
    for (key, value) in case["config"].as_object().unwrap() {
        device.config.set(&format!("{key}={}", value.as_str().unwrap())).unwrap();
    }
    device.idf = Some(idf);
    let row = |label, kind, subtype, offset, size| {
        partition::Entry::new(label, PartitionType(kind), Subtype(subtype), offset, size)
    };
    let rows = [
        row("nvs", 1, 2, 0x1_0000, 0x4000),
        row("otadata", 1, 0, 0x1_4000, 0x2000),
        row("phy_init", 1, 1, 0x1_6000, 0x1000),
        row("ota_0", 0, 0x10, 0x2_0000, 0x10_0000),
        row("ota_1", 0, 0x11, 0x12_0000, 0x10_0000),
    ];
    let app = Builder::app(Chip::Esp32c3).size(0x2400).build();
    let bootloader = Builder::bootloader(Chip::Esp32c3, idf).flash_size(2).size(0x5000).build();
    let mut bench = Workbench::confined(folder, 1);
    let mut signed = |bytes: Vec<u8>| {
        if !device.config.is_set("SECURE_BOOT_V2_ENABLED") {
            return bytes;
        }
        bench.write("plain.bin", &bytes).unwrap();
        let words = "espsecure sign-data --version 2 --keyfile key.pem --output signed.bin plain.bin";
        let out = tools::run(&mut bench, &words.split(' ').map(String::from).collect::<Vec<_>>());
        assert_eq!(out.status, 0, "{}", out.text);
        bench.read("signed.bin").unwrap()
    };
    for (at, bytes) in [
        (0, signed(bootloader)),
        (TABLE, partition::build(&rows, true).unwrap()),
        (0x1_4000, Entry::new(2, State::Undefined).to_bytes().to_vec()),
        (0x2_0000, signed(app.clone())),
        (0x12_0000, signed(app)),
    ] {
        device.flash.program(at, &bytes).unwrap();
    }
    device
}

/// Where the recorded power failed; `went_on` when the ROM still found the bootloader afterwards.
fn cut(id: &str, writes: &[Write], went_on: bool) -> Cut {
    let find = |is: &dyn Fn(&Operation) -> bool| {
        let at = writes.iter().position(|write| is(&write.operation));
        at.unwrap_or_else(|| panic!("{id}: no such write")) as u64 + 1
    };
    let burn = |wanted: usize| find(&|op| matches!(op, Operation::Burn { block, .. } if *block == wanted));
    let erase = |at: u32| find(&|op| matches!(op, Operation::Erase { address } if *address == at));
    // recorded when a sector had changed: it was erased by then
    let change = |at: u32| find(&|op| matches!(op, Operation::Program { address, .. } if *address == at));
    let op = match id.split_once("-cut").unwrap().1.rsplit_once("-v").unwrap().0 {
        "-before-key" | "-before-burn" => 1,
        "-between-burns" => burn(0),
        "-between-passes" => burn(0) + 1,
        // the recorder killed a process: it was late for one of these and early for the others, as what follows shows
        "-after-key" | "-in-bootloader" if went_on => erase(0),
        "-after-key" => change(0x1000),
        "-after-burn" => burn(5),
        "-in-bootloader" | "-recover" => change(0x1000),
        "-after-bootloader" => erase(TABLE),
        "-after-cnt" => return Cut { op: writes.len() as u64, tear: Tear::All },
        "w-bl-sector0" => change(0),
        "w-bl-sector3" => change(0x3000),
        "w-table" | "-in-table" => change(TABLE),
        "w-otadata0" => change(0x1_4000),
        "w-app0-sector1" => change(0x2_1000),
        "w-app1-last" => change(0x12_2000),
        other => panic!("{id}: unknown cut {other}"),
    };
    Cut { op, tear: Tear::None }
}

/// The lines that both logs must share: without time stamps, and without numbers in hex, which depend on sizes and keys.
fn told(log: &str) -> Vec<String> {
    const TAGS: [&str; 4] = ["flash_encrypt: ", "secure_boot_v2: ", "secure_boot: ", "efuse: "];
    const BOOT: [&str; 7] =
        ["Loaded app", "Checking", "Initialization", "OTA app partition slot", "No bootable", "Resetting", "Disabling"];
    let mut lines: Vec<String> = Vec::new();
    for line in log.lines() {
        let text = line.split_once(") ").map_or(line, |(_, text)| text);
        let boot = text.strip_prefix("boot: ").is_some_and(|text| BOOT.iter().any(|start| text.starts_with(start)));
        if !boot && !TAGS.iter().any(|tag| text.starts_with(tag)) && !text.starts_with("invalid header") {
            continue;
        }
        let pieces: Vec<&str> = text.split("0x").collect();
        let rest = pieces[1..].iter().map(|piece| piece.trim_start_matches(|c: char| c.is_ascii_hexdigit()));
        let text = [pieces[0]].into_iter().chain(rest).collect::<Vec<_>>().join("0x…");
        // the ROM says it again and again
        if !text.starts_with("invalid header") || lines.last() != Some(&text) {
            lines.push(text);
        }
    }
    lines
}

#[test]
fn the_next_power_on_says_what_was_recorded() {
    let Some(path) = shared::shared("oracle/security.jsonl") else { return };
    let folder = tempfile::tempdir().unwrap();
    let key = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/keys/rsa3072_a.pem");
    fs::copy(key, folder.path().join("key.pem")).unwrap();
    let text = fs::read_to_string(path).unwrap();
    let (mut compared, mut differ) = (0, Vec::new());
    for line in text.lines().filter(|line| line.contains("-cut")) {
        let case: Value = serde_json::from_str(line).unwrap();
        let id = case["id"].as_str().unwrap();
        if !id.contains("-cut") {
            continue;
        }
        let board = board(&case, folder.path());
        let (writes, _) = campaign::trace(&board, &|device: &mut Device, power: &Power| {
            device.power_on_with(Watch::UntilSettled, power);
        });
        let recorded = case["reference"].as_str().unwrap();
        let mut after = board.clone();
        let power = Power::failing(cut(id, &writes, !recorded.contains("invalid header")));
        after.power_on_with(Watch::UntilSettled, &power);
        assert!(power.is_lost(), "{id}");
        if id.contains("recover") {
            after.flash = board.flash.clone();
        }
        for recorded in recorded.split("--- power cycle ").skip(1) {
            let cycle = after.power_on(Watch::UntilSettled);
            let ours = told(&uart::render_cycle(&cycle, Rom::of(Chip::Esp32c3, Revision::new(0, 3))).0);
            let mut recorded = told(recorded);
            // the last line may be cut off, and a reset loop goes on for as long as it was watched
            if recorded.len() > ours.len() {
                recorded.truncate(ours.len());
            } else if recorded.len() > 1 {
                recorded.pop();
            }
            assert!(!recorded.is_empty(), "{id}: nothing to compare");
            if !ours.starts_with(&recorded) {
                differ.push(format!("{id}\nours {ours:#?}\nrecorded {recorded:#?}"));
            }
            compared += 1;
        }
    }
    assert!(differ.is_empty(), "{}", differ.join("\n"));
    assert!(compared >= 35, "{compared}");
    println!("{compared} power-ons compared");
}
