//! Any sequence of steps, against a reference of the rules.
//!
//! The reference knows nothing of otadata: which version runs, whether it is confirmed, what it would fall back to, and what
//! was chosen last. After every reset the board must run what the reference says; where power failed, one of two.

use super::board::{Kind, OTADATA, Power, TEARS, boot, entries, on_supply, reset, sign};
use dryburn::{
    Chip,
    boot::Slot,
    image::Builder,
    ota::{BeginError, Erase, PlainImage},
    otadata::{self, Entry, State},
};
use dryburn_sim::{bus::EncryptionUnit, device::Device};
use proptest::{
    collection::vec,
    prelude::*,
    test_runner::{RngAlgorithm, TestRng, TestRunner},
};
use std::collections::BTreeMap;

/// Good apps: their versions are `2.N.0`.
const GOOD: usize = 4;

fn good(n: usize) -> String {
    format!("2.{n}.0")
}

#[derive(Clone, Copy, Debug)]
enum Bad {
    Magic,
    Flipped,
    Short,
    OtherChip,
    /// Unsigned or signed by another key where signatures are asked for; else as `Flipped`.
    NotTrusted(bool),
}

#[derive(Clone, Copy, Debug)]
enum Step {
    /// A good update, chosen.
    Update(usize),
    /// A good update, left at this chunk or verified and not chosen.
    Leave(usize, u8),
    /// A bad one.
    Refused(Bad),
    Confirm,
    /// With the reset that it asks for.
    RollBack,
    Reset,
    /// Power fails during a good update, at the operation of this number.
    Cut(usize, u32, usize),
}

fn step() -> impl Strategy<Value = Step> {
    let n = 0..GOOD;
    let bad = prop_oneof![
        Just(Bad::Magic),
        Just(Bad::Flipped),
        Just(Bad::Short),
        Just(Bad::OtherChip),
        any::<bool>().prop_map(Bad::NotTrusted),
    ];
    prop_oneof![
        4 => n.clone().prop_map(Step::Update),
        1 => (n.clone(), 0..=3_u8).prop_map(|(n, chunks)| Step::Leave(n, chunks)),
        2 => bad.prop_map(Step::Refused),
        4 => Just(Step::Confirm),
        1 => Just(Step::RollBack),
        4 => Just(Step::Reset),
        2 => (n, 0..24_u32, 0..TEARS.len()).prop_map(|(n, at, tear)| Step::Cut(n, at, tear)),
    ]
}

fn kind() -> impl Strategy<Value = Kind> {
    let boards = (any::<bool>(), any::<bool>(), any::<bool>(), 2..=3_u8);
    prop_oneof![
        6 => boards.prop_map(|(encrypted, rollback, factory, slots)| {
            let chip = if slots == 3 { Chip::Esp32 } else { Chip::Esp32c3 };
            Kind { chip, encrypted, signed: false, rollback, factory, slots }
        }),
        1 => any::<bool>().prop_map(|encrypted| Kind { encrypted, ..Kind::SIGNED }),
    ]
}

/// Otadata of a board that comes from production, or from another updater.
fn otadata() -> impl Strategy<Value = [Option<Entry>; 2]> {
    let torn = Entry::from_bytes([0x7F; 32]);
    prop::sample::select(vec![
        [None, None],
        [Some(Entry::BLANK), Some(Entry::BLANK)],
        [Some(Entry::new(1, State::Valid)), None],
        [Some(Entry::new(1, State::Valid)), Some(torn)],
        [Some(torn), Some(torn)],
        [Some(Entry::new(u32::MAX - 1, State::Aborted)), Some(Entry::new(u32::MAX - 3, State::Invalid))],
    ])
}

/// A rule that a mutant of the updater breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mutant {
    /// begin leaves otadata alone, and the choice follows the highest `ota_seq` (ESP-IDF 4.4-5.5).
    HighestSequence,
    /// Confirming concerns the active entry.
    ConfirmsActive,
    /// An update takes the entry of the running app for its own.
    KeepsNothing,
}

struct Bench {
    mutant: Option<Mutant>,
    kind: Kind,
    device: Device,
    running: (Slot, String),
    confirmed: bool,
    /// What runs when the running app does not confirm itself.
    fallback: Option<(Slot, String)>,
    /// What was chosen and has not run yet.
    chosen: Option<(Slot, String)>,
    /// Good images, by slot.
    intact: BTreeMap<u8, String>,
}

impl Bench {
    fn new(kind: Kind, otadata: [Option<Entry>; 2], mutant: Option<Mutant>) -> Self {
        let mut device = kind.board(otadata);
        let running = boot(&mut device);
        Self { mutant, kind, device, running, confirmed: true, fallback: None, chosen: None, intact: BTreeMap::new() }
    }

    fn image(&self, n: usize) -> Vec<u8> {
        self.kind.app(&good(n))
    }

    fn bad_image(&self, bad: Bad) -> Vec<u8> {
        let mut image = self.kind.app("6.6.6");
        match bad {
            Bad::Magic => image[0] = 0,
            Bad::Short => image.truncate(8000),
            Bad::OtherChip => {
                let other = Builder::app(Chip::Esp32s3).size(10 * 1024).version("6.6.6").build();
                image = if self.kind.signed { sign(&other, "a") } else { other };
            }
            Bad::NotTrusted(other_key) if self.kind.signed => {
                image = self.kind.unsigned_app("6.6.6");
                if other_key {
                    image = sign(&image, "b");
                }
            }
            Bad::Flipped | Bad::NotTrusted(_) => image[7000] ^= 4,
        }
        image
    }

    /// One update on this supply: whether it was begun, and whether it was chosen. `stop` leaves it after so many chunks.
    fn update(&mut self, image: &[u8], stop: Option<u8>, power: &Power) -> (Option<u8>, bool) {
        let Self { device, running, confirmed, .. } = self;
        on_supply(device, running.0, power, |updater| {
            let slot = updater.next_slot().expect("there are two slots");
            let begun = updater.begin(slot, PlainImage, None, Erase::AsWritten);
            let mut update = match begun {
                Ok(update) => update,
                Err(BeginError::Unconfirmed { .. }) => {
                    assert!(!*confirmed);
                    return (None, false);
                }
                Err(error) => {
                    assert!(power.failed(), "{error:?}");
                    return (Some(slot), false);
                }
            };
            assert!(*confirmed, "an app that is not confirmed began an update");
            for (i, chunk) in image.chunks(4000).enumerate() {
                if stop == Some(i as u8) || update.write(chunk).is_err() {
                    return (Some(slot), false);
                }
            }
            let Ok(ready) = update.finish(&mut |_| {}) else { return (Some(slot), false) };
            (Some(slot), stop.is_none() && ready.set_boot().is_ok())
        })
    }

    /// Writes an entry past the updater.
    fn write(&mut self, sector: usize, entry: Entry) {
        let unit = EncryptionUnit::at_reset(&self.device.efuses);
        let at = OTADATA + sector as u32 * 4096;
        self.device.flash.erase_sector(at).unwrap();
        unit.program(&mut self.device.flash, at, &entry.to_bytes()).unwrap();
    }

    /// What the mutant makes of a choice: `before` lay in otadata when the update began.
    fn choose_as_mutant(&mut self, slot: u8, before: [Entry; 2]) {
        let state = if self.kind.rollback { State::New } else { State::Undefined };
        match self.mutant {
            Some(Mutant::HighestSequence) => {
                before.into_iter().enumerate().for_each(|(sector, entry)| self.write(sector, entry));
                if let Some(update) = otadata::select(&before, slot.into(), self.kind.slots.into(), state, false) {
                    self.write(update.sector, update.entry);
                }
            }
            Some(Mutant::KeepsNothing) => {
                let now = entries(&self.device);
                let new = otadata::active(&now).expect("a choice was made");
                self.write(1 - new, Entry::BLANK);
            }
            _ => {}
        }
    }

    /// What a begun update does to what the reference knows.
    fn begun(&mut self, slot: u8) {
        self.intact.remove(&slot);
        self.chosen = None;
        self.fallback = None;
    }

    /// The board was reset and runs `now`.
    fn restarted(&mut self, now: (Slot, String)) {
        let want = match self.chosen.take() {
            Some(chosen) => {
                self.confirmed = !self.kind.rollback;
                self.fallback = Some(self.running.clone());
                chosen
            }
            None if !self.confirmed => {
                self.confirmed = true;
                self.fallback.take().expect("an app that is not confirmed has a fallback")
            }
            None => self.running.clone(),
        };
        assert_eq!(now, want);
        self.running = now;
    }

    fn run(&mut self, step: Step) {
        let steady = Power::steady();
        match step {
            Step::Update(n) => {
                let (image, before) = (self.image(n), entries(&self.device));
                if let (Some(slot), chosen) = self.update(&image, None, &steady) {
                    assert!(chosen, "a good update is taken");
                    self.choose_as_mutant(slot, before);
                    self.begun(slot);
                    self.intact.insert(slot, good(n));
                    self.chosen = Some((Slot::Ota(slot), good(n)));
                }
            }
            Step::Leave(n, chunks) => {
                let image = self.image(n);
                if let (Some(slot), _) = self.update(&image, Some(chunks), &steady) {
                    self.begun(slot);
                    let whole = usize::from(chunks) >= image.len().div_ceil(4000);
                    let _ = whole.then(|| self.intact.insert(slot, good(n)));
                }
            }
            Step::Refused(bad) => {
                let image = self.bad_image(bad);
                if let (Some(slot), chosen) = self.update(&image, None, &steady) {
                    assert!(!chosen, "{bad:?} was taken");
                    self.begun(slot);
                }
            }
            Step::Confirm if self.mutant == Some(Mutant::ConfirmsActive) => {
                let now = entries(&self.device);
                if let Some(k) = otadata::active(&now) {
                    self.write(k, now[k].with_state(State::Valid));
                }
                self.confirmed = true;
            }
            Step::Confirm => {
                on_supply(&mut self.device, self.running.0, &steady, |updater| updater.confirm().map(drop)).unwrap();
                self.confirmed = true;
            }
            Step::RollBack => self.roll_back(),
            Step::Reset => {
                let now = reset(&mut self.device);
                self.restarted(now);
            }
            Step::Cut(n, at, tear) => {
                let image = self.image(n);
                let power = Power::failing(at, TEARS[tear]);
                let (begun, _) = self.update(&image, None, &power);
                let now = boot(&mut self.device);
                if let Some(slot) = begun {
                    let new = (Slot::Ota(slot), good(n));
                    let before = self.chosen.take();
                    self.begun(slot);
                    // the choice before may not have been taken back yet
                    let runs = [Some(&new), before.as_ref()].into_iter().flatten().find(|app| **app == now);
                    if let Some(app) = runs.filter(|app| **app != self.running) {
                        self.chosen = Some(app.clone());
                        self.intact.insert(slot, app.1.clone());
                    }
                }
                self.restarted(now);
            }
        }
    }

    fn roll_back(&mut self) {
        let steady = Power::steady();
        let result = on_supply(&mut self.device, self.running.0, &steady, |updater| updater.roll_back());
        let now = reset(&mut self.device);
        match result {
            Ok(slot) => {
                assert_eq!(now.0, slot, "the slot that was announced runs");
                assert_ne!(now.0, self.running.0);
                let fallback = self.fallback.take();
                if let Some(want) = self.chosen.take().or(fallback) {
                    assert_eq!(now, want);
                }
                self.running = now;
                let state = on_supply(&mut self.device, self.running.0, &steady, |updater| updater.state()).unwrap();
                self.confirmed = state
                    .is_none_or(|s| !matches!(s, State::New | State::PendingVerify | State::Invalid | State::Aborted));
                if !self.confirmed {
                    // an app that was given up once runs as the last resort: it takes itself on
                    self.run(Step::Confirm);
                }
            }
            Err(_) => self.restarted(now),
        }
    }
}

/// Runs the steps; whatever happened, a good update is then taken and runs.
fn follow(kind: Kind, otadata: [Option<Entry>; 2], steps: Vec<Step>, mutant: Option<Mutant>) {
    let mut bench = Bench::new(kind, otadata, mutant);
    let last = [Step::Reset, Step::Confirm, Step::Update(1), Step::Reset];
    for step in steps.into_iter().chain(last) {
        bench.run(step);
        assert_ne!(bench.running.1, "6.6.6");
    }
    assert_eq!(bench.running.1, good(1));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, max_shrink_iters: 400, ..ProptestConfig::default() })]

    #[test]
    fn any_sequence_of_steps_follows_the_rules(kind in kind(), otadata in otadata(), steps in vec(step(), 1..14)) {
        follow(kind, otadata, steps, None);
    }
}

#[test]
fn the_reference_finds_mutants_out() {
    std::panic::set_hook(Box::new(|_| {}));
    for mutant in [Mutant::HighestSequence, Mutant::ConfirmsActive, Mutant::KeepsNothing] {
        let config =
            ProptestConfig { cases: 512, max_shrink_iters: 0, failure_persistence: None, ..ProptestConfig::default() };
        let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
        let found = runner.run(&(kind(), otadata(), vec(step(), 1..14)), |(kind, otadata, steps)| {
            follow(kind, otadata, steps, Some(mutant));
            Ok(())
        });
        let _ = std::io::Write::write_fmt(&mut std::io::stdout(), format_args!("{mutant:?}: {}\n", found.is_err()));
        if found.is_ok() {
            let _ = std::panic::take_hook();
            panic!("{mutant:?} was not found out");
        }
    }
    let _ = std::panic::take_hook();
}
