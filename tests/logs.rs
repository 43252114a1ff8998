//! UART logs, whole: each snapshot was compared by hand with the behaviour sheet (§0-2) and recorded logs before it was
//! accepted. What must hold in each of them is asserted beside it.

use dryburn::{
    Chip, IdfVersion, Revision,
    efuse::security,
    image::Builder,
    otadata::{Entry, State},
    partition::{self, PartitionType, Subtype},
};
use dryburn_sim::{
    cli,
    device::{Device, PowerCycle, Watch},
    efuse::Efuses,
    event::Outcome,
    flash::Flash,
    rom::Rom,
    tools::Workbench,
    uart,
};

const FACTORY: u32 = 0x1_0000;
const OTA_0: u32 = 0x2_0000;
const OTA_1: u32 = 0x4_0000;

fn row(label: &str, kind: u8, subtype: u8, offset: u32, size: u32) -> partition::Entry {
    partition::Entry::new(label, PartitionType(kind), Subtype(subtype), offset, size)
}

/// A board with two OTA slots, an app in the first, and otadata that chooses it.
fn board(chip: Chip, revision: Revision, idf: IdfVersion) -> Device {
    let mut flash = Flash::new(0x20_0000).expect("2 MB");
    let bootloader = Builder::bootloader(chip, idf).flash_size(1).size(8 * 1024).build();
    let table = [
        row("nvs", 1, 2, 0x9000, 0x4000),
        row("otadata", 1, 0, 0xD000, 0x2000),
        row("phy_init", 1, 1, 0xF000, 0x1000),
        row("ota_0", 0, 0x10, OTA_0, 0x2_0000),
        row("ota_1", 0, 0x11, OTA_1, 0x2_0000),
    ];
    let table = partition::build(&table, true).expect("few rows");
    for (at, bytes) in [
        (chip.spec().bootloader_offset, &bootloader[..]),
        (0x8000, &table),
        (0xD000, &Entry::new(1, State::Valid).to_bytes()),
        (OTA_0, &Builder::app(chip).size(16 * 1024).build()),
    ] {
        flash.program(at, bytes).expect("inside");
    }
    let mut device = Device::new(flash, Efuses::with_revision(chip, revision).expect("a revision"));
    device.idf = Some(idf);
    device
}

fn log(device: &Device, cycle: &PowerCycle) -> String {
    let rom = Rom::of(device.chip(), security::chip_revision(&device.efuses));
    let (text, remark) = uart::render_cycle(cycle, rom);
    text + &remark.map(|remark| format!("--- dryburn: {remark}\n")).unwrap_or_default()
}

fn powered_on(mut device: Device) -> (String, PowerCycle) {
    let cycle = device.power_on(Watch::UntilSettled);
    (log(&device, &cycle), cycle)
}

/// How often a line that contains `text` is there.
fn lines(log: &str, text: &str) -> usize {
    log.lines().filter(|line| line.contains(text)).count()
}

/// Where the first line that contains `text` is.
fn line(log: &str, text: &str) -> usize {
    log.lines().position(|line| line.contains(text)).unwrap_or_else(|| panic!("no '{text}' in\n{log}"))
}

/// What holds in the log of every good boot.
fn check_good(log: &str, cycle: &PowerCycle) {
    assert!(matches!(cycle.outcome(), Some(Outcome::App { offset: OTA_0, .. })), "{log}");
    assert_eq!(cycle.boots.len(), 1, "{log}");
    for once in [
        "rst:0x1 (POWERON",
        "2nd stage bootloader",
        "SPI Speed ",
        "SPI Mode ",
        "SPI Flash Size : 2MB",
        "Enabling RNG early entropy source...",
        "boot: Partition Table:",
        "boot: End of partition table",
        "Loaded app from partition at offset 0x20000",
        "Disabling RNG early entropy source...",
    ] {
        assert_eq!(lines(log, once), 1, "{once}\n{log}");
    }
    assert_eq!(lines(&log.to_lowercase(), "boot: chip revision: "), 1, "{log}");
    assert_eq!(lines(log, "esp_image: segment "), 3, "{log}");
    assert!(!log.lines().any(|l| l.starts_with("E (") || l.starts_with("W (")), "{log}");
    let order = ["rst:", "entry 0x", "Partition Table:", "segment 0:", "segment 2:", "Loaded app", "Disabling RNG"];
    assert!(order.map(|text| line(log, text)).is_sorted(), "{log}");
    // the stamps never run backwards
    let stamp = |l: &str| l.split_once('(')?.1.split_once(')')?.0.parse::<u64>().ok();
    assert!(log.lines().filter(|l| l.starts_with("I (")).map(stamp).is_sorted(), "{log}");
}

/// The first line of `log` with `text` without its stamp.
fn text_of<'a>(log: &'a str, text: &str) -> &'a str {
    log.lines().find(|l| l.contains(text)).and_then(|l| l.split_once(") ")).map_or("", |(_, text)| text)
}

/// The releases on both sides of every change of wording or order.
const RELEASES: [(u8, u8); 7] = [(4, 0), (4, 1), (4, 2), (4, 4), (5, 2), (5, 4), (6, 1)];

#[test]
fn good_boots_of_the_esp32() {
    for (major, minor) in RELEASES {
        for revision in [Revision::new(1, 0), Revision::new(3, 0)] {
            let idf = IdfVersion::new(major, minor);
            let (log, cycle) = powered_on(board(Chip::Esp32, revision, idf));
            check_good(&log, &cycle);
            let rom = if revision.major() == 3 {
                "ets Jul 29 2019 12:21:46\n\nrst:"
            } else {
                "ets Jun  8 2016 00:22:57\n\nrst:"
            };
            assert!(log.starts_with(rom), "{log}");
            // up to 4.0 the chip comes first, and the flash set-up last
            let banner = line(&log, "2nd stage bootloader");
            assert_eq!(
                line(&log.to_lowercase(), "boot: chip revision: ") < banner,
                idf == IdfVersion::new(4, 0),
                "{log}"
            );
            assert_eq!(line(&log, "SPI Speed") > line(&log, "Enabling RNG"), idf == IdfVersion::new(4, 0), "{log}");
            let tag =
                if idf.since(4, 1) { "boot.esp32: SPI Speed      : 40MHz" } else { "boot: SPI Speed      : 40MHz" };
            assert_eq!(text_of(&log, "SPI Speed"), tag);
            assert_eq!(lines(&log, "Multicore bootloader"), usize::from(idf.since(4, 4)), "{log}");
            assert_eq!(lines(&log, "efuse block revision"), 0, "the ESP32 has none\n{log}");
            assert_eq!(lines(&log, "min. bootloader chip revision: 0"), usize::from(!idf.since(4, 3)), "{log}");
            assert_eq!(lines(&log, "min. application chip revision: 0"), usize::from(!idf.since(4, 3)), "{log}");
            insta::assert_snapshot!(format!("esp32_rev{}_idf{major}_{minor}", revision.major()), log);
        }
    }
}

/// ESP-IDF builds for the ESP32-C3 since 4.3.
#[test]
fn good_boots_of_the_esp32c3() {
    for (major, minor) in RELEASES.into_iter().filter(|release| *release > (4, 2)) {
        let idf = IdfVersion::new(major, minor);
        let (log, cycle) = powered_on(board(Chip::Esp32c3, Revision::new(0, 3), idf));
        check_good(&log, &cycle);
        assert!(log.starts_with("ESP-ROM:esp32c3-api1-20210207\nBuild:Feb  7 2021\nrst:0x1 (POWERON)"), "{log}");
        assert_eq!(lines(&log, "efuse block revision: v0.0"), usize::from(idf.since(5, 1)), "{log}");
        assert_eq!(lines(&log, "icore bootloader"), 0, "one core\n{log}");
        insta::assert_snapshot!(format!("esp32c3_idf{major}_{minor}"), log);
    }
}

/// otadata erased, a factory app, apps with signs of decay: the bootloader goes through all of them.
#[test]
fn a_board_without_a_good_app_resets_for_ever() {
    for (name, chip, idf) in [("esp32_idf4_2", Chip::Esp32, (4, 2)), ("esp32c3_idf6_1", Chip::Esp32c3, (6, 1))] {
        let mut device = board(chip, Revision::new(0, 0), IdfVersion::new(idf.0, idf.1));
        let rows = [
            row("otadata", 1, 0, 0xD000, 0x2000),
            row("factory", 0, 0, FACTORY, 0x1_0000),
            row("ota_0", 0, 0x10, OTA_0, 0x2_0000),
            row("ota_1", 0, 0x11, OTA_1, 0x2_0000),
        ];
        device.flash.erase(0x8000, 0x9000).expect("a sector");
        device.flash.program(0x8000, &partition::build(&rows, true).expect("few rows")).expect("inside");
        // the factory app is not there, one bit of ota_0 is cleared, ota_1 is for another chip
        device.flash.program(OTA_0 + 0x1000, &[0; 4]).expect("inside");
        let other = if chip == Chip::Esp32 { Chip::Esp32s3 } else { Chip::Esp32 };
        device.flash.program(OTA_1, &Builder::app(other).size(4096).build()).expect("inside");
        let before = device.flash.clone();
        let cycle = device.power_on(Watch::UntilSettled);
        let log = log(&device, &cycle);
        assert!(cycle.reset_loop && cycle.boots.len() == 1, "{log}");
        assert_eq!(cycle.outcome(), Some(&Outcome::Reset));
        assert!(device.flash.changed_sectors(&before).is_empty(), "a rejected boot writes nothing");
        assert_eq!(lines(&log, "Loaded app"), 0);
        let order = [
            "Checksum failed. Calculated",
            "OTA app partition slot 0 is not bootable",
            "image at 0x10000 has invalid magic byte",
            "Factory app partition is not bootable",
            "mismatch chip ID, expected ",
            "OTA app partition slot 1 is not bootable",
            "No bootable app partitions in the partition table",
        ];
        assert!(order.map(|text| line(&log, text)).is_sorted(), "{log}");
        insta::assert_snapshot!(format!("reset_loop_{name}"), log);
    }
}

#[test]
fn a_rom_that_finds_no_bootloader_is_stuck() {
    for (name, chip, revision, says) in [
        ("esp32_rev1", Chip::Esp32, Revision::new(1, 0), "flash read err, 1000\n"),
        ("esp32_rev3", Chip::Esp32, Revision::new(3, 0), "invalid header: 0xffffffff\n"),
        ("esp32c3", Chip::Esp32c3, Revision::new(0, 3), "invalid header: 0xffffffff\n"),
    ] {
        let mut device = board(chip, revision, IdfVersion::LATEST);
        let at = chip.spec().bootloader_offset;
        device.flash.erase(at, at + 0x4000).expect("sectors");
        let (log, cycle) = powered_on(device);
        assert_eq!(cycle.outcome(), Some(&Outcome::RomStuck), "{log}");
        assert!(log.contains(says) && lines(&log, "bootloader") == 0, "{log}");
        insta::assert_snapshot!(format!("rom_stuck_{name}"), log);
    }
}

#[test]
fn events_as_json() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut bench = Workbench::confined(folder.path(), 0);
    let device = board(Chip::Esp32c3, Revision::new(0, 0), IdfVersion::new(6, 1));
    bench.write("flash.bin", &device.flash.to_bytes()).expect("a file");
    let words = ["boot", "--chip", "esp32c3", "--flash", "flash.bin", "--json"].map(String::from);
    let output = cli::on_desk(&mut bench, &words).expect("good input");
    assert_eq!(output.status, 0);
    let json: serde_json::Value = serde_json::from_str(&output.text).expect("JSON");
    assert_eq!(json["schema_version"], 1);
    assert_eq!(json["outcome"]["outcome"], "app");
    let events = json["boots"][0]["events"].as_array().expect("events");
    let segments = events.iter().filter(|event| event.to_string().contains("\"flash_address\"")).count();
    assert_eq!(segments, 3);
    insta::assert_snapshot!("boot_json", output.text);
}

#[test]
fn the_chips() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut bench = Workbench::confined(folder.path(), 0);
    let output = cli::on_desk(&mut bench, &["chips".to_string()]).expect("no input");
    // a line for each row below the heading; ESP32, ESP32-C5 and ESP32-P4 have two, by revision
    assert_eq!(output.text.lines().count(), Chip::ALL.len() + 4);
    insta::assert_snapshot!("chips", output.text);
}
