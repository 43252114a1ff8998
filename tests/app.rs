//! The app's side of updates where no recording reaches: what the ota-api and behaviour sheets state of other tables, other
//! releases and misuse.

use dryburn::{
    Chip, IdfVersion,
    image::Builder,
    otadata::{Entry, State},
    partition::{self, PartitionType, Subtype},
};
use dryburn_sim::{
    app::{App, AppBuild, EspError, EspOta, Partition, esp_ota::ImageSize},
    device::{Device, Watch},
    efuse::Efuses,
    event::Event,
    flash::Flash,
    rom::Rom,
    uart,
};

const OTA_0: u32 = 0x2_0000;
const OTA_1: u32 = 0x4_0000;
const OTADATA: u32 = 0xD000;
type Row = (&'static str, u8, u8, u32, u32);
const NVS: Row = ("nvs", 1, 2, 0x9000, 0x4000);
const DATA: Row = ("otadata", 1, 0, OTADATA, 0x2000);
const FACTORY: Row = ("factory", 0, 0, OTA_0, 0x2_0000);
const SLOT_0: Row = ("ota_0", 0, 0x10, OTA_0, 0x2_0000);
const SLOT_1: Row = ("ota_1", 0, 0x11, OTA_1, 0x2_0000);

fn app(idf: IdfVersion) -> Vec<u8> {
    Builder::app(Chip::Esp32c3).idf_ver(&format!("v{idf}")).size(16 * 1024).build()
}

/// An ESP32-C3 with this table, an app in the first app partition, and these entries.
fn board(rows: &[Row], idf: (u8, u8), rollback: bool, entries: &[Entry]) -> Device {
    let idf = IdfVersion::new(idf.0, idf.1);
    let mut flash = Flash::new(0x20_0000).expect("2 MB");
    flash.program(0, &Builder::bootloader(Chip::Esp32c3, idf).flash_size(1).size(8 * 1024).build()).expect("inside");
    let table: Vec<_> = rows
        .iter()
        .map(|(l, k, s, at, size)| partition::Entry::new(l, PartitionType(*k), Subtype(*s), *at, *size))
        .collect();
    flash.program(0x8000, &partition::build(&table, true).expect("few rows")).expect("inside");
    flash.program(OTA_0, &app(idf)).expect("inside");
    for (entry, at) in entries.iter().zip([OTADATA, OTADATA + 0x1000]) {
        flash.program(at, &entry.to_bytes()).expect("inside");
    }
    let mut device = Device::new(flash, Efuses::new(Chip::Esp32c3));
    device.idf = Some(idf);
    if rollback {
        device.config.set("BOOTLOADER_APP_ROLLBACK_ENABLE=y").expect("an option");
    }
    device
}

fn started(device: &mut Device) -> EspOta<'_> {
    let cycle = device.power_on(Watch::UntilSettled);
    EspOta::new(App::started(device, &cycle).expect("an app runs"))
}

fn labelled(ota: &EspOta<'_>, label: &str) -> Partition {
    ota.app.partitions().iter().find(|p| p.label == label).expect(label).clone()
}

/// What the app has logged, without stamps.
fn log(ota: &mut EspOta<'_>) -> String {
    let (idf, chip) = (ota.app.idf(), ota.app.device.chip());
    let rom = Rom::of(chip, dryburn::efuse::security::chip_revision(&ota.app.device.efuses));
    let events: Vec<Event> = ota.app.take_events();
    uart::render_app(&events, idf, rom, &mut 0)
}

#[test]
fn a_write_at_an_offset_of_a_sequential_handle_is_an_assertion() {
    let mut device = board(&[NVS, DATA, SLOT_0, SLOT_1], (5, 3), false, &[]);
    let mut ota = started(&mut device);
    let next = ota.next_update_partition(None).expect("no assertion");
    let (handle, begun) = ota.begin(next.as_ref(), ImageSize::Sequential);
    assert_eq!((handle, begun), (1, Ok(())));
    assert_eq!(ota.write_with_offset(handle, Some(&[0xE9; 16]), 0), Err(EspError::Aborts));
    let recorded = "assert failed: esp_ota_write_with_offset esp_ota_ops.c:326 (it->need_erase == 0 && \"must erase the partition before writing to it\")\n";
    assert_eq!(log(&mut ota), recorded);
}

#[test]
fn without_otadata_every_call_says_so() {
    let mut device = board(&[NVS, FACTORY], (5, 3), false, &[]);
    let mut ota = started(&mut device);
    let line = "E (0) esp_ota_ops: not found otadata\n";
    assert_eq!(ota.boot_partition(), None);
    assert_eq!(log(&mut ota), line);
    assert_eq!(ota.last_invalid_partition(), None);
    assert_eq!(log(&mut ota), line);
    assert_eq!(ota.mark_app_valid_cancel_rollback(), Err(EspError::NotFound));
    assert_eq!(log(&mut ota), line);
    assert_eq!(ota.mark_app_invalid_rollback_and_reboot(), Err(EspError::NotFound));
    assert_eq!(log(&mut ota), line);
    assert!(!ota.rollback_is_possible());
    assert_eq!(log(&mut ota), line);
    assert_eq!(ota.erase_last_boot_app_partition(), Err(EspError::Fail));
    assert_eq!(log(&mut ota), line);
    let factory = labelled(&ota, "factory");
    assert_eq!(ota.set_boot_partition(Some(&factory)), Err(EspError::NotFound));
    assert!(!log(&mut ota).contains("esp_ota_ops"));
}

#[test]
fn a_device_with_one_slot_is_offered_the_slot_it_runs_from() {
    let mut device = board(&[NVS, DATA, SLOT_0], (5, 3), true, &[Entry::new(1, State::New)]);
    let mut ota = started(&mut device);
    let next = ota.next_update_partition(None).expect("no assertion");
    assert_eq!(next.as_ref(), Some(ota.app.running()));
    // also while PENDING_VERIFY
    assert_eq!(ota.begin(next.as_ref(), ImageSize::Unknown), (0, Err(EspError::OtaPartitionConflict)));
}

#[test]
fn a_partition_that_is_not_in_the_table_is_not_written() {
    let mut device = board(&[NVS, DATA, SLOT_0, SLOT_1], (5, 3), false, &[]);
    let mut ota = started(&mut device);
    let fake = Partition { size: 0x1000, ..labelled(&ota, "ota_1") };
    assert_eq!(ota.begin(Some(&fake), ImageSize::Sequential), (0, Err(EspError::NotFound)));
    assert_eq!(ota.begin(None, ImageSize::Sequential), (0, Err(EspError::InvalidArg)));
    let nvs = labelled(&ota, "nvs");
    assert_eq!(ota.begin(Some(&nvs), ImageSize::Sequential), (0, Err(EspError::InvalidArg)));
}

/// By source: the failed handle (ota-api sheet, 3), the stale entry of the slot that is overwritten (behaviour sheet §5.2).
#[test]
fn begin_differs_between_releases() {
    let entries = [Entry::new(3, State::Valid), Entry::new(2, State::Valid)];
    for (idf, handle, entry_stays) in [((4, 4), 0, true), ((5, 2), 0, true), ((5, 3), 1, true), ((5, 5), 1, false)] {
        let mut device = board(&[NVS, DATA, SLOT_0, SLOT_1], idf, true, &entries);
        let mut ota = started(&mut device);
        let next = labelled(&ota, "ota_1");
        let too_large = ImageSize::Bytes(next.size + 1);
        assert_eq!(ota.begin(Some(&next), too_large), (handle, Err(EspError::InvalidSize)), "{idf:?}");
        assert_eq!(ota.begin(Some(&next), ImageSize::Sequential), (handle + 1, Ok(())), "{idf:?}");
        let state = ota.state_partition(Some(&next));
        assert_eq!(state == Ok(State::Valid), entry_stays, "{idf:?}: {state:?}");
    }
}

#[test]
fn an_app_older_than_the_secure_version_is_refused_and_erased() {
    let mut device = board(&[NVS, DATA, SLOT_0, SLOT_1], (5, 3), true, &[Entry::new(1, State::Valid)]);
    device.config.set("BOOTLOADER_APP_ANTI_ROLLBACK=y").expect("an option");
    let newer = Builder::app(Chip::Esp32c3).idf_ver("v5.3").secure_version(2).size(16 * 1024).build();
    device.flash.erase(OTA_0, OTA_0 + 0x1_0000).expect("inside");
    device.flash.program(OTA_0, &newer).expect("inside");
    device.flash.program(OTA_1, &app(IdfVersion::new(5, 3))).expect("inside");
    device.efuses.burn_field("SECURE_VERSION", 0b11).expect("a field");
    let mut ota = started(&mut device);
    let old = labelled(&ota, "ota_1");
    assert_eq!(ota.set_boot_partition(Some(&old)), Err(EspError::OtaSmallSecVer));
    assert!(log(&mut ota).contains("esp_ota_ops: This a new partition can not be booted due to a secure version"));
    assert_eq!(ota.partition_description(Some(&old)), Err(EspError::NotFound));
}

/// Behaviour sheet §6.1: the tag exists in apps only, and its suffix dates the release.
#[test]
fn an_unsigned_image_is_named_by_the_apps_own_tag() {
    for (idf, suffix) in [((4, 3), ""), ((4, 4), " (image without a signature?)")] {
        let mut device = board(&[NVS, DATA, SLOT_0, SLOT_1], idf, false, &[Entry::new(1, State::Valid)]);
        device.flash.program(OTA_1, &app(IdfVersion::new(idf.0, idf.1))).expect("inside");
        let cycle = device.power_on(Watch::UntilSettled);
        let mut build = AppBuild::default();
        build.config.set("SECURE_BOOT_V1_ENABLED=y").expect("an option");
        let mut ota = EspOta::new(App::started_with(&mut device, &cycle, &build).expect("an app runs"));
        let next = labelled(&ota, "ota_1");
        assert_eq!(ota.set_boot_partition(Some(&next)), Err(EspError::OtaValidateFailed));
        let log = log(&mut ota);
        let line = format!("secure_boot_v1: image has invalid signature version field 0xffffffff{suffix}");
        assert!(log.lines().any(|found| found.ends_with(&line)), "{log}");
    }
}
