//! Whole boards: whatever lies in flash and eFuse, a power-on ends, says the same each time, starts only what
//! verification accepts, and writes to otadata alone.

use dryburn::{
    IdfVersion, Revision, SECTOR,
    efuse::security,
    image::{self, Builder, Kind, Purpose, Region, Rules, Target},
    otadata, partition,
};
use dryburn_sim::{
    bus::EncryptionUnit,
    cli,
    device::{Device, Watch},
    efuse::{Efuses, Format},
    event::Outcome,
    flash::Flash,
    rom::{ResetCause, Rom},
    strategy::{
        board::{FLASH_SIZE as FLASH, SLOT_SIZE, SLOTS, damage, encrypt, good_flash},
        efuse, image as images, otadata as entries,
    },
    tools::Workbench,
    uart,
};
use proptest::{collection::vec, prelude::*};

/// eFuses: as they leave the factory, with flash encryption on, or burned at random.
fn efuses() -> impl Strategy<Value = Efuses> {
    let encrypted = (images::chip(), any::<[u32; 8]>()).prop_map(|(chip, key)| {
        let mut efuses = Efuses::new(chip);
        encrypt(&mut efuses, &key);
        efuses
    });
    prop_oneof![
        2 => images::chip().prop_map(Efuses::new),
        2 => encrypted,
        1 => efuse::efuses(),
    ]
}

fn device(efuses: Efuses, idf: IdfVersion, flash: Flash, options: &[&str]) -> Device {
    let mut device = Device::new(flash, efuses);
    device.idf = Some(idf);
    for option in options {
        device.config.set(option).unwrap();
    }
    device
}

/// A board and how it was made: its bytes would bury a failed assertion.
#[derive(Clone)]
struct Board {
    device: Device,
    made_of: String,
}

impl std::fmt::Debug for Board {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.made_of)
    }
}

const ROLLBACK: &[&str] = &["BOOTLOADER_APP_ROLLBACK_ENABLE=y"];

/// Boards of every kind whose bootloader was built without secure boot and flash encryption: healthy, damaged, erased,
/// noise.
fn boards() -> impl Strategy<Value = Board> {
    let options = prop::sample::select(vec![&[][..], ROLLBACK]);
    let fill = prop_oneof![
        8 => vec(damage(), 0..4).prop_map(Ok),
        1 => Just(Err(None)),
        1 => any::<u64>().prop_map(|seed| Err(Some(seed))),
    ];
    (efuses(), images::idf(), entries::pair(), fill, options).prop_map(|(efuses, idf, pair, fill, options)| {
        let made_of = format!("{} of ESP-IDF {idf} {options:?}, otadata {pair:?}, {fill:?}", efuses.chip());
        let flash = match fill {
            Ok(damages) => {
                let mut bytes = good_flash(&efuses, idf, pair).to_bytes();
                damages.iter().for_each(|damage| damage.apply(&mut bytes));
                Flash::from_bytes(&bytes).unwrap()
            }
            Err(None) => Flash::new(FLASH).unwrap(),
            Err(Some(seed)) => Flash::from_bytes(&noise(seed)).unwrap(),
        };
        Board { device: device(efuses, idf, flash, options), made_of }
    })
}

/// A flash full of bytes that mean nothing.
fn noise(seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..FLASH).map(|_| next()).collect()
}

/// The partition table as the CPU reads it.
fn table(device: &Device) -> Vec<partition::Entry> {
    let mut raw = [0; 0xC00];
    let unit = EncryptionUnit::at_reset(&device.efuses);
    unit.view(&device.flash).fill(device.config.partition_table_offset(), &mut raw).unwrap();
    partition::entries(&raw).collect()
}

fn log(device: &Device, cycle: &dryburn_sim::device::PowerCycle) -> String {
    let rom = Rom::of(device.chip(), security::chip_revision(&device.efuses));
    let (text, remark) = uart::render_cycle(cycle, rom);
    text + &remark.unwrap_or_default()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn the_same_board_boots_the_same_way(board in boards(), most in 1..6_u32) {
        let (mut a, mut b) = (board.device.clone(), board.device);
        let (first, second) = (a.power_on(Watch::Boots(most)), b.power_on(Watch::Boots(most)));
        prop_assert!(!first.boots.is_empty() && first.boots.len() <= most as usize);
        prop_assert_eq!(log(&a, &first), log(&b, &second));
        prop_assert_eq!(first, second);
        prop_assert!(a.flash.changed_sectors(&b.flash).is_empty() && a.efuses == b.efuses);
    }

    /// As above, but the bootloader was built with every security option that the model knows.
    #[test]
    fn a_security_build_ends_as_well(
        board in boards(), secure_boot: bool, encryption: bool, release: bool, anti_rollback: bool,
    ) {
        let mut board = board.device;
        for (wanted, option) in [
            (secure_boot, "SECURE_BOOT_V2_ENABLED=y"),
            (encryption, "SECURE_FLASH_ENC_ENABLED=y"),
            (release, "SECURE_FLASH_ENCRYPTION_MODE_RELEASE=y"),
            (anti_rollback, "BOOTLOADER_APP_ANTI_ROLLBACK=y"),
        ] {
            if wanted {
                board.config.set(option).unwrap();
            }
        }
        let (mut a, mut b) = (board.clone(), board);
        let (first, second) = (a.power_on(Watch::Boots(3)), b.power_on(Watch::Boots(3)));
        prop_assert_eq!(log(&a, &first), log(&b, &second));
        prop_assert!(a.flash.changed_sectors(&b.flash).is_empty() && a.efuses == b.efuses);
    }

    #[test]
    fn only_otadata_is_written(board in boards()) {
        let board = board.device;
        let mut after = board.clone();
        let cycle = after.power_on(Watch::Boots(4));
        let own = table(&board).into_iter().rfind(|e| (e.kind.0, e.subtype.0) == (1, 0));
        let may_change: Vec<u32> = own
            .iter()
            .flat_map(|e| [e.offset, e.offset.saturating_add(SECTOR)])
            .map(|at| at & !(SECTOR - 1))
            .collect();
        for sector in after.flash.changed_sectors(&board.flash) {
            prop_assert!(may_change.contains(&sector), "sector {sector:#x} was written: {}", log(&board, &cycle));
        }
        prop_assert_eq!(&after.efuses, &board.efuses);
        let in_rom = cycle.boots.iter().all(|boot| matches!(boot.outcome, Outcome::RomStuck | Outcome::Download));
        prop_assert!(!in_rom || after.flash.changed_sectors(&board.flash).is_empty(), "the ROM writes nothing");
    }

    #[test]
    fn only_a_verified_app_is_started(board in boards()) {
        let board = board.device;
        let mut after = board.clone();
        let boot = after.boot(ResetCause::PowerOn);
        let Outcome::App { offset, .. } = boot.outcome else { return Ok(()) };
        let target = Target {
            chip: board.chip(),
            revision: security::chip_revision(&board.efuses),
            block_revision: security::block_revision(&board.efuses),
            ignore_max_revision: security::wafer_major_disabled(&board.efuses),
            ignore_max_block_revision: security::block_major_disabled(&board.efuses),
            idf: boot.idf,
        };
        let rules = Rules { target: &target, kind: Kind::App, purpose: Purpose::Verify, signature: None };
        let row = table(&board).into_iter().rfind(|e| e.kind.0 == 0 && e.offset == offset).expect("a partition");
        let unit = EncryptionUnit::at_reset(&board.efuses);
        let region = Region { offset, size: row.size };
        let verdict = image::verify(&mut unit.view(&board.flash), region, &rules, &mut |_| {});
        prop_assert!(verdict.is_ok(), "{:?} was started", verdict);
    }

    /// `dryburn boot --json` has a form for every event.
    #[test]
    fn every_event_has_a_form_in_json(board in boards()) {
        let folder = tempfile::tempdir().expect("a folder");
        let mut bench = Workbench::confined(folder.path(), 0);
        bench.write("flash.bin", &board.device.flash.to_bytes()).expect("a file");
        bench.write("efuses.bin", &board.device.efuses.to_bytes(Format::Raw)).expect("a file");
        let words = format!("boot --chip {} --flash flash.bin --efuses efuses.bin --resets 2 --json", board.device.chip());
        let words: Vec<String> = words.split(' ').map(String::from).collect();
        match cli::on_desk(&mut bench, &words) {
            Ok(output) => {
                let json: serde_json::Value = serde_json::from_str(&output.text).expect("JSON");
                let runs = json["outcome"]["outcome"] == "app";
                prop_assert_eq!(output.status, if runs { 0 } else { 1 });
            }
            Err(failure) => prop_assert!(false, "{}", failure.text),
        }
    }

    /// A healthy board starts the app that otadata chooses, whatever state otadata is in, with and without encryption.
    #[test]
    fn a_good_board_starts_what_otadata_chooses(
        chip in images::chip(), idf in images::idf(), pair in entries::pair(), key: Option<[u32; 8]>,
    ) {
        let mut efuses = Efuses::new(chip);
        if let Some(key) = key {
            encrypt(&mut efuses, &key);
        }
        let flash = good_flash(&efuses, idf, pair);
        let mut board = device(efuses, idf, flash, &[]);
        let cycle = board.power_on(Watch::Boots(2));
        let slot = otadata::active(&pair).and_then(|k| pair[k].slot(2)).unwrap_or(0);
        let text = log(&board, &cycle);
        match cycle.outcome() {
            Some(Outcome::App { offset, version, .. }) => {
                prop_assert_eq!(*offset, SLOTS[slot as usize], "{}", text);
                prop_assert_eq!(version.clone(), Some(format!("1.0.{slot}")));
            }
            other => prop_assert!(false, "{:?}\n{}", other, text),
        }
        let want = format!("Loaded app from partition at offset {:#x}\n", SLOTS[slot as usize]);
        prop_assert_eq!(text.matches("Loaded app from partition").count(), 1);
        prop_assert!(text.contains(&want), "{}", text);
    }
}

/// The properties above are not empty: the boards end in each of the ways that they speak of.
#[test]
fn the_boards_end_in_every_way() {
    use proptest::{strategy::ValueTree, test_runner::TestRunner};
    let mut runner = TestRunner::deterministic();
    let (mut app, mut reset, mut stuck, mut written, mut encrypted_app) = (0, 0, 0, 0, 0);
    for _ in 0..300 {
        let mut board = boards().new_tree(&mut runner).unwrap().current().device;
        let before = board.flash.clone();
        let encrypted = EncryptionUnit::at_reset(&board.efuses).is_on();
        match board.power_on(Watch::Boots(1)).outcome() {
            Some(Outcome::App { .. }) => {
                app += 1;
                encrypted_app += u32::from(encrypted);
            }
            Some(Outcome::Reset) => reset += 1,
            Some(Outcome::RomStuck) => stuck += 1,
            _ => {}
        }
        written += u32::from(!board.flash.changed_sectors(&before).is_empty());
    }
    let counts = [app, reset, stuck, written, encrypted_app];
    assert!(counts.iter().all(|n| *n >= 3), "app, reset, stuck, written, encrypted app: {counts:?}");
}

/// An app that asks for a newer chip is not started, and the other slot is.
#[test]
fn a_refused_app_leaves_the_other_slot() {
    let efuses = Efuses::with_revision(dryburn::Chip::Esp32, Revision::new(1, 0)).unwrap();
    let mut flash =
        good_flash(&efuses, IdfVersion::LATEST, [otadata::Entry::new(1, otadata::State::Valid), otadata::Entry::BLANK]);
    let newer =
        Builder::app(dryburn::Chip::Esp32).size(4096).revisions(Revision::new(3, 0), Revision(u16::MAX)).build();
    flash.erase(SLOTS[0], SLOTS[0] + SLOT_SIZE).unwrap();
    flash.program(SLOTS[0], &newer).unwrap();
    let mut board = device(efuses, IdfVersion::LATEST, flash, &[]);
    let cycle = board.power_on(Watch::Boots(1));
    assert!(matches!(cycle.outcome(), Some(Outcome::App { offset: 0x2_0000, .. })), "{}", log(&board, &cycle));
}
