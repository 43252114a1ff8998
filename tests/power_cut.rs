//! Power that fails in first-boot enablement: nothing that hardware could not be left with, the same each time, and tables that
//! tell a good order of writes from a bad one.

use dryburn::{
    Chip, IdfVersion, Revision, SECTOR,
    image::Builder,
    otadata::{Entry, State},
    partition::{self, PartitionType, Subtype},
};
use dryburn_sim::{
    campaign::{self, Action, Recorded, Sweep, Tears, Verdict},
    device::{Device, Watch},
    efuse::Efuses,
    event::Event,
    fault::{Cut, Operation, Power, PoweredEfuses, PoweredFlash, Tear},
    flash::Flash,
};
use embedded_storage::nor_flash::NorFlash;
use proptest::prelude::*;
use std::sync::LazyLock;

const TABLE: u32 = 0x8000;
const SLOT: u32 = 0x1_0000;

/// A board with plaintext in flash whose bootloader switches flash encryption on.
fn board(chip: Chip, idf: IdfVersion, release: bool) -> Device {
    let revision = if chip == Chip::Esp32 { Revision::new(3, 0) } else { Revision::new(0, 3) };
    let mut flash = Flash::new(0x10_0000).unwrap();
    let row = |label, kind, subtype, offset, size| {
        partition::Entry::new(label, PartitionType(kind), Subtype(subtype), offset, size)
    };
    let rows = [row("otadata", 1, 0, 0xD000, 0x2000), row("ota_0", 0, 0x10, SLOT, 0x4000)];
    for (at, bytes) in [
        (chip.spec().bootloader_offset, &Builder::bootloader(chip, idf).flash_size(0).size(8 * 1024).build()[..]),
        (TABLE, &partition::build(&rows, true).unwrap()),
        (0xD000, &Entry::new(1, State::Valid).to_bytes()),
        (SLOT, &Builder::app(chip).size(4096).build()),
    ] {
        flash.program(at, bytes).unwrap();
    }
    let mut device = Device::new(flash, Efuses::with_revision(chip, revision).unwrap());
    device.idf = Some(idf);
    device.config.set("SECURE_FLASH_ENC_ENABLED=y").unwrap();
    if release {
        device.config.set("SECURE_FLASH_ENCRYPTION_MODE_RELEASE=y").unwrap();
    }
    device
}

fn boards() -> Vec<Device> {
    let old = "5.3".parse().unwrap();
    [Chip::Esp32, Chip::Esp32c3]
        .into_iter()
        .flat_map(|chip| {
            [(old, false), (IdfVersion::LATEST, false), (IdfVersion::LATEST, true)].map(|(idf, r)| board(chip, idf, r))
        })
        .collect()
}

fn first_boot(device: &mut Device, power: &Power) {
    device.power_on_with(Watch::UntilSettled, power);
}

const fn all(limit: u64) -> Sweep {
    Sweep { op: None, tears: Tears::All, limit }
}

/// The events of a power cycle in one list.
fn events(device: &Device, power: &Power) -> Vec<Event> {
    let mut device = device.clone();
    device.power_on_with(Watch::UntilSettled, power).boots.into_iter().flat_map(|boot| boot.events).collect()
}

#[test]
fn a_cut_leaves_what_hardware_could_be_left_with() {
    for board in boards() {
        let before: Vec<Device> = states_before(&board);
        let seen = campaign::visit(&board, &first_boot, &all(24), |cut, operation, after| {
            let before = &before[cut.op as usize - 1];
            let name = format!("{} {cut} {operation}", board.chip());
            match operation {
                Operation::Burn { block, bits } => {
                    assert!(after.flash == before.flash, "{name}: flash changed");
                    let was: Vec<u32> = (0..bits.len()).map(|word| before.efuses.raw_word(*block, word)).collect();
                    if *block == 0 {
                        for (word, (was, bits)) in was.iter().zip(bits).enumerate() {
                            let now = after.efuses.raw_word(0, word);
                            assert_eq!(now & was, *was, "{name}: a bit was cleared");
                            assert_eq!(now & !was & !bits, 0, "{name}: a bit was burned that nobody asked for");
                        }
                    } else {
                        // what is there is a part of what was asked for: the rest of it can still be burned
                        let (mut whole, mut rest) = (before.efuses.clone(), after.efuses.clone());
                        whole.burn(*block, bits);
                        rest.burn(*block, bits);
                        assert!(rest == whole, "{name}: a cell was burned that nobody asked for");
                    }
                    for other in (0..11).filter(|other| other != block) {
                        assert_eq!(
                            after.efuses.raw_block(other),
                            before.efuses.raw_block(other),
                            "{name}: BLOCK{other}"
                        );
                    }
                }
                Operation::Program { address, data } => {
                    assert!(after.efuses == before.efuses, "{name}: eFuses changed");
                    let changed = after.flash.changed_sectors(&before.flash);
                    let mut sectors = *address / SECTOR..(*address + data.len() as u32).div_ceil(SECTOR);
                    assert!(
                        changed.iter().all(|at| sectors.contains(&(at / SECTOR))),
                        "{name}: another sector changed"
                    );
                    let from = sectors.next().unwrap() * SECTOR;
                    let (mut old, mut new) = ([0; SECTOR as usize], [0; SECTOR as usize]);
                    before.flash.read(from, &mut old).unwrap();
                    after.flash.read(from, &mut new).unwrap();
                    for (at, (old, new)) in (from..).zip(old.iter().zip(&new)) {
                        let wanted = at.checked_sub(*address).and_then(|at| data.get(at as usize)).unwrap_or(&0xFF);
                        assert_eq!(new & old, *new, "{name}: a bit was set at {at:#x}");
                        assert_eq!(new | (old & wanted), *new, "{name}: a bit was cleared at {at:#x}");
                    }
                }
                Operation::Erase { address } => {
                    assert!(after.efuses == before.efuses, "{name}: eFuses changed");
                    let changed = after.flash.changed_sectors(&before.flash);
                    assert!(changed.iter().all(|sector| sector == address), "{name}: another sector changed");
                }
            }
        });
        assert!(seen.len() > 150, "{}", seen.len());
    }
}

/// The board before each write: the writes of the whole run, one after the other.
fn states_before(board: &Device) -> Vec<Device> {
    let (writes, _) = campaign::trace(board, &first_boot);
    let mut now = board.clone();
    let mut states = Vec::new();
    for write in writes {
        states.push(now.clone());
        execute(&write.operation, &mut now, &Power::steady());
    }
    states
}

/// One write, on a supply that may fail.
fn execute(operation: &Operation, device: &mut Device, power: &Power) {
    let mut flash = PoweredFlash::new(&mut device.flash, power);
    let _ = match operation {
        Operation::Program { address, data } => flash.program(*address, data).is_ok(),
        Operation::Erase { address } => flash.erase_sector(*address).is_ok(),
        Operation::Burn { block, bits } => PoweredEfuses::new(&mut device.efuses, power).burn(*block, bits).is_ok(),
    };
}

#[test]
fn a_boot_without_power_says_nothing_more() {
    for board in boards() {
        let whole = events(&board, &Power::steady());
        let (writes, _) = campaign::trace(&board, &first_boot);
        for op in 1..=writes.len() as u64 {
            for tear in [Tear::None, Tear::Part(1), Tear::All] {
                let power = Power::failing(Cut { op, tear });
                let told = events(&board, &power);
                assert!(power.is_lost());
                assert_eq!(power.count(), op, "a write followed the cut");
                assert!(
                    whole.starts_with(&told) && told.len() < whole.len(),
                    "{op}: the log is not that of an uncut boot"
                );
            }
        }
    }
}

/// The shortcut of a sweep (cut before the write, then tear it) leaves what a boot on failing power leaves.
#[test]
fn what_a_sweep_prints_replays() {
    for board in boards() {
        campaign::visit(&board, &first_boot, &all(6), |cut, _, swept| {
            let mut replayed = board.clone();
            first_boot(&mut replayed, &Power::failing(cut));
            assert!(replayed.flash == swept.flash && replayed.efuses == swept.efuses, "{cut}");
            assert!(replayed.rng == swept.rng, "{cut}");
        });
    }
}

/// A board with an app in ota_0 only, whose other slot is then written as a driver does that knows nothing of power: whole sectors
/// erased, then more bytes than a page has.
fn flashing() -> (Device, Recorded, Device) {
    let board = board(Chip::Esp32c3, IdfVersion::LATEST, false);
    let mut after = board.clone();
    after.flash.note_changes();
    after.flash.erase(SLOT, SLOT + 3 * SECTOR).unwrap();
    after.flash.program(SLOT + 100, &[0x5A; 6000]).unwrap();
    after.flash.program(SLOT + 2 * SECTOR, &[0xA5; 3]).unwrap();
    let recorded = Recorded::new(&board.flash, after.flash.take_changes(), false);
    (board, recorded, after)
}

#[test]
fn recorded_writes_are_those_of_the_chip() {
    let (board, recorded, after) = flashing();
    let (writes, device) = campaign::trace(&board, &recorded);
    assert!(device.flash == after.flash && device.flash != board.flash);
    let pages = writes.iter().filter_map(|write| match &write.operation {
        Operation::Program { address, data } => Some((*address, data.len())),
        _ => None,
    });
    let pages: Vec<_> = pages.collect();
    assert_eq!((writes.len(), pages.len()), (3 + 24 + 1, 24 + 1));
    assert_eq!((pages[0], pages[1], pages[24]), ((SLOT + 100, 156), (SLOT + 256, 256), (SLOT + 2 * SECTOR, 3)));
    // nothing more is noted
    let mut quiet = after;
    quiet.flash.erase_sector(SLOT).unwrap();
    assert!(quiet.flash.take_changes().is_empty());
}

/// The shortcut over the snapshots gives what playing all the writes on failing power gives.
#[test]
fn recorded_writes_are_cut_as_a_run_is() {
    let (board, short, _) = flashing();
    let mut flash = board.flash.clone();
    flash.note_changes();
    (0..200).for_each(|n| flash.program(SLOT + n * 256, &[n as u8; 256]).unwrap());
    let long = Recorded::new(&board.flash, flash.take_changes(), false);
    // 200 pages, each with 256 states
    let too_many = campaign::up_to(&board, &long, &all(1000), false).unwrap_err();
    assert!(too_many.cuts > campaign::MOST_CUTS && !too_many.second);
    for recorded in [short, long] {
        let count = campaign::visit(&board, &recorded, &all(3), |cut, _, swept| {
            let mut replayed = board.clone();
            recorded.run(&mut replayed, &Power::failing(cut));
            assert!(replayed.flash == swept.flash, "{cut}");
        });
        assert!(count.len() > 100);
    }
}

#[test]
fn a_campaign_says_the_same_each_time() {
    let board = board(Chip::Esp32c3, IdfVersion::LATEST, false);
    let table = || campaign::run(&board, &first_boot, &all(12)).table(&board);
    assert_eq!(table(), table());
}

/// Recorded, or in the sheets: what a cut at each kind of write leads to (behaviour sheet §3.4, security-builds sheet D1, D2).
#[test]
fn cuts_lead_where_the_sheets_say() {
    for board in boards() {
        let chip = board.chip();
        let campaign = campaign::run(&board, &first_boot, &all(24));
        assert_eq!(campaign.whole.verdict, Verdict::Runs);
        let first_flash = campaign.writes.iter().position(|write| !matches!(write.operation, Operation::Burn { .. }));
        let (first_flash, last) = (first_flash.unwrap() as u64 + 1, campaign.writes.len() as u64);
        let bricks = campaign.cases.iter().filter(|case| case.ending.flashed_anew == Some(false));
        let refused = |line: &str| line.starts_with("flash_encrypt: Invalid key state");
        for case in bricks {
            // only the key batch can leave a board that flashing does not help
            assert!(case.cut.op < first_flash, "{chip} {}: {}", case.cut, case.ending);
            assert!(matches!(&case.ending.verdict, Verdict::ResetLoop(line) if refused(line)), "{}", case.ending);
        }
        for case in &campaign.cases {
            let Cut { op, tear } = case.cut;
            let verdict = &case.ending.verdict;
            let what = format!("{chip} {}: {}", case.cut, case.ending);
            if op == first_flash && tear == Tear::None || op == last && tear == Tear::All {
                assert_eq!(*verdict, Verdict::Runs, "{what}");
            } else if op >= first_flash && op < last {
                assert!(matches!(verdict, Verdict::Stops(line) if line == "invalid header: 0x…"), "{what}");
                assert_eq!(case.ending.flashed_anew, Some(true), "{what}");
            } else if op == 1 && chip == Chip::Esp32c3 {
                // a part of a key block is at most lost: the next boot takes another one
                assert_eq!(*verdict, Verdict::Runs, "{what}");
            }
        }
    }
}

/// The second cuts of a campaign are the cuts of the board that the first one leaves.
#[test]
fn second_cuts_are_those_of_the_next_power_on() {
    let board = board(Chip::Esp32c3, IdfVersion::LATEST, false);
    let between = Sweep { op: None, tears: Tears::None, limit: 1 };
    let twice = campaign::run_twice(&board, &first_boot, &between).unwrap();
    assert_eq!(campaign::run(&board, &first_boot, &between).cases, twice.cases);
    let mut second = twice.second.unwrap().into_iter();
    let mut firsts = 0;
    for (first, after) in campaign::visit(&board, &first_boot, &between, |cut, _, after| (cut, after)) {
        let cases = campaign::run(&after, &first_boot, &between).cases;
        firsts += usize::from(!cases.is_empty());
        for case in cases {
            let found = second.next().unwrap();
            let (a, b) = (&found.case, &case);
            assert_eq!((found.first, a.cut, &a.operation), (first, b.cut, &b.operation));
            assert_eq!((&a.ending.verdict, &a.ending.app), (&b.ending.verdict, &b.ending.app), "{first}, {}", case.cut);
        }
    }
    assert!(firsts > 2 && second.next().is_none(), "{firsts}");
}

/// A second cut, in the power-on that goes on after the first: nothing that one cut alone does not lead to.
#[test]
fn two_cuts_lead_where_one_does() {
    for board in [board(Chip::Esp32, IdfVersion::LATEST, false), board(Chip::Esp32c3, IdfVersion::LATEST, false)] {
        let between = Sweep { op: None, tears: Tears::None, limit: 1 };
        let verdicts = |cases: &[campaign::Case]| -> Vec<(Verdict, Option<bool>)> {
            cases.iter().map(|case| (case.ending.verdict.clone(), case.ending.flashed_anew)).collect()
        };
        let once = campaign::run(&board, &first_boot, &between);
        let listed = verdicts(&once.cases);
        let boards = campaign::visit(&board, &first_boot, &between, |cut, _, after| (cut, after));
        let goes_on = once.cases.iter().filter(|case| case.ending.goes_on).map(|case| case.cut);
        let mut nested = 0;
        for cut in goes_on {
            let (_, after) = boards.iter().find(|(at, _)| *at == cut).unwrap();
            let twice = campaign::run(after, &first_boot, &between);
            nested += twice.cases.len();
            for (case, verdict) in twice.cases.iter().zip(verdicts(&twice.cases)) {
                assert!(listed.contains(&verdict), "{} {cut}, then {}: {}", board.chip(), case.cut, case.ending);
            }
        }
        assert!(nested > 25, "{nested}");
    }
}

/// Rule 8: an enablement that burns the crypt counter before it encrypts is told from the real one by its bricks.
#[test]
fn a_counter_that_is_burned_first_bricks() {
    for board in [board(Chip::Esp32, IdfVersion::LATEST, false), board(Chip::Esp32c3, IdfVersion::LATEST, false)] {
        let (writes, _) = campaign::trace(&board, &first_boot);
        let burns = writes.iter().take_while(|write| matches!(write.operation, Operation::Burn { .. })).count();
        let mut order: Vec<Operation> = writes.into_iter().map(|write| write.operation).collect();
        let counter = order.pop().unwrap();
        order.insert(burns, counter);
        let mutant = |device: &mut Device, power: &Power| {
            order.iter().for_each(|operation| execute(operation, device, power));
        };
        let bricked_in_flash = |campaign: &campaign::Campaign| {
            let flash = |case: &&campaign::Case| !matches!(case.operation, Operation::Burn { .. });
            campaign.cases.iter().filter(flash).filter(|case| case.ending.flashed_anew == Some(false)).count()
        };
        assert_eq!(bricked_in_flash(&campaign::run(&board, &first_boot, &all(4))), 0);
        let mutant = campaign::run(&board, &mutant, &all(4));
        assert_eq!(mutant.whole.verdict, Verdict::Runs, "uncut, the mutant works");
        assert!(bricked_in_flash(&mutant) > 50, "{}", mutant.table(&board));
        assert!(mutant.table(&board).contains("flashing anew does not help"));
    }
}

#[test]
fn reads_and_writes_fail_after_a_cut() {
    let power = Power::failing(Cut { op: 2, tear: Tear::Part(3) });
    let mut flash = Flash::new(Flash::MIN_SIZE).unwrap();
    let mut powered = PoweredFlash::new(&mut flash, &power);
    powered.write(0, &[0xF0; 8]).unwrap();
    assert!(powered.write(8, &[0x0F; 8]).is_err());
    assert!(powered.write(16, &[0; 8]).is_err() && NorFlash::erase(&mut powered, 0, 0x1000).is_err());
    assert!(embedded_storage::nor_flash::ReadNorFlash::read(&mut powered, 0, &mut [0; 4]).is_err());
    let mut bytes = [0; 24];
    flash.read(0, &mut bytes).unwrap();
    let want = [[0xF0; 8], [0x0F, 0x0F, 0x0F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF], [0xFF; 8]].concat();
    assert_eq!(bytes[..], want[..]);
}

/// The endings of all numbered cuts of one board.
static ENDINGS: LazyLock<(Device, Vec<campaign::Case>)> = LazyLock::new(|| {
    let board = board(Chip::Esp32c3, IdfVersion::LATEST, true);
    let cases = campaign::run(&board, &first_boot, &all(48)).cases;
    (board, cases)
});

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Random states of a write end as the numbered ones of the same write do.
    #[test]
    fn a_random_cut_ends_like_one_of_the_table(at in any::<prop::sample::Index>(), seed in 10_000u64..) {
        let (board, cases) = &*ENDINGS;
        let op = at.index(cases.last().unwrap().cut.op as usize) as u64 + 1;
        let listed: Vec<&Verdict> =
            cases.iter().filter(|case| case.cut.op == op).map(|case| &case.ending.verdict).collect();
        let sweep = Sweep { op: Some(op), tears: Tears::Seed(seed), limit: 1 };
        for case in campaign::run(board, &first_boot, &sweep).cases {
            let next = cases.iter().filter(|c| c.cut.op == op + 1).map(|c| &c.ending.verdict);
            prop_assert!(listed.iter().copied().chain(next).any(|v| *v == case.ending.verdict), "{} {}", case.cut, case.ending);
        }
    }
}
