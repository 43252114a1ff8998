//! What a board does from its next power-on: it is powered on until that changes nothing any more.

use crate::{
    device::{Device, PowerCycle, Watch},
    efuse::Efuses,
    event::Outcome,
    fault::Power,
    flash::Flash,
    rom::Rom,
    uart,
};
use dryburn::{
    boot::Slot,
    efuse::{FieldKind, read, security},
};
use std::fmt;

/// Power-ons after which a board has settled.
const MOST_CYCLES: usize = 4;

/// What a board does from its next power-on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ending {
    /// How the last power-on ends.
    pub verdict: Verdict,
    /// The app that it starts.
    pub app: Option<Started>,
    /// The first power-on still writes something: it takes up what was interrupted.
    pub goes_on: bool,
    /// An app ran at first, and does not any more.
    pub at_first: Option<Started>,
    /// eFuses that an uncut run leaves otherwise. Keys that nobody can read differ only in being there.
    pub differs: Vec<String>,
    /// Where no app runs: whether one does after everything was flashed again as it was before the action.
    pub flashed_anew: Option<bool>,
}

/// An app that was started.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Started {
    /// From where: `factory`, `ota_0`, …
    pub slot: String,
    /// What its descriptor says.
    pub version: String,
}

impl fmt::Display for Started {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.slot, self.version)
    }
}

/// How a power-on ends.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// An app runs.
    Runs,
    /// Every boot ends like the last one; its first line of error, without numbers that depend on keys.
    ResetLoop(String),
    /// The chip goes no further; its last line.
    Stops(String),
}

/// `{:#}` says which app runs.
impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let by_name = f.alternate();
        let named = |app: &Option<Started>| match app.as_ref().filter(|_| by_name) {
            Some(app) => app.to_string(),
            None => "the app".into(),
        };
        if self.at_first.is_some() {
            write!(f, "runs {} at first, then ", named(&self.at_first))?;
        } else if self.goes_on {
            f.write_str("goes on: ")?;
        }
        match &self.verdict {
            Verdict::Runs => write!(f, "runs {}", named(&self.app))?,
            Verdict::ResetLoop(line) => write!(f, "reset loop: {line}")?,
            Verdict::Stops(line) => write!(f, "stops: {line}")?,
        }
        if self.verdict == Verdict::Runs && !self.differs.is_empty() {
            write!(f, ", other than uncut: {}", self.differs.join(", "))?;
        }
        match self.flashed_anew {
            Some(true) => f.write_str("; flashing anew helps"),
            Some(false) => f.write_str("; flashing anew does not help"),
            None => Ok(()),
        }
    }
}

/// The ending of a board, compared with eFuses where there are some, and the board as it has settled.
pub(super) fn of(mut device: Device, whole: Option<&Efuses>) -> (Ending, Device) {
    let (mut verdict, mut app, mut at_first) = (Verdict::Runs, None, None);
    let mut goes_on = false;
    for cycle_number in 0..MOST_CYCLES {
        let before = (device.flash.clone(), device.efuses.clone());
        let power = Power::steady();
        let cycle = device.power_on_with(Watch::UntilSettled, &power);
        goes_on |= cycle_number == 0 && power.count() > 0;
        verdict = of_cycle(&device, &cycle);
        let now = started(&cycle);
        at_first = at_first.or(app).filter(|first| Some(first) != now.as_ref());
        app = now;
        if device.flash == before.0 && device.efuses == before.1 {
            break;
        }
    }
    let differs = whole.map(|whole| differences(&device.efuses, whole)).unwrap_or_default();
    (Ending { verdict, app, goes_on, at_first, differs, flashed_anew: None }, device)
}

fn started(cycle: &PowerCycle) -> Option<Started> {
    match cycle.outcome()? {
        Outcome::App { slot, version, .. } => {
            let slot = match slot {
                Slot::Factory => "factory".into(),
                Slot::Test => "test".into(),
                Slot::Ota(n) => format!("ota_{n}"),
            };
            Some(Started { slot, version: version.clone().unwrap_or_else(|| "no version".into()) })
        }
        _ => None,
    }
}

/// Whether a board with these eFuses runs an app after `flash` was flashed again over UART. Not when download mode is
/// switched off. Secure download mode still writes plaintext (UNVERIFIED for each chip, behaviour sheet §3.4).
pub(super) fn runs_flashed_anew(board: &Device, flash: &Flash, efuses: &Efuses) -> bool {
    let off = ["DIS_DOWNLOAD_MODE", "UART_DOWNLOAD_DIS"];
    if off.iter().any(|name| read(efuses, name) == 1) {
        return false;
    }
    let device = Device { flash: flash.clone(), efuses: efuses.clone(), ..board.clone() };
    of(device, None).0.verdict == Verdict::Runs
}

fn of_cycle(device: &Device, cycle: &PowerCycle) -> Verdict {
    let rom = Rom::of(device.chip(), security::chip_revision(&device.efuses));
    let (Some(boot), Some(outcome)) = (cycle.boots.last(), cycle.outcome()) else { return Verdict::Runs };
    let log = uart::render(boot, rom);
    let error = |line: &&str| line.starts_with("E (");
    match outcome {
        Outcome::App { .. } => Verdict::Runs,
        Outcome::Reset => Verdict::ResetLoop(without_numbers(log.lines().find(error).or(log.lines().last()))),
        // what the ROM says before it names its own source file
        _ => Verdict::Stops(without_numbers(
            log.lines().rev().find(|line| !line.is_empty() && !line.starts_with("ets_main")),
        )),
    }
}

/// A line without its time stamp, and with `0x…` for numbers in hex: they are ciphertext, or depend on it.
fn without_numbers(line: Option<&str>) -> String {
    let line = line.unwrap_or_default();
    let line = match line.split_once(") ") {
        Some((stamp, text)) if stamp.starts_with(['E', 'I', 'W']) => text,
        _ => line,
    };
    let mut out = String::new();
    let mut rest = line;
    while let Some((head, tail)) = rest.split_once("0x") {
        out += head;
        out += "0x…";
        rest = tail.trim_start_matches(|c: char| c.is_ascii_hexdigit());
    }
    out + rest
}

/// Fields that differ, and blocks with coding errors.
fn differences(found: &Efuses, whole: &Efuses) -> Vec<String> {
    let mut out = Vec::new();
    for field in found.fields() {
        let block = usize::from(field.block);
        let value = |e: &Efuses| -> Vec<bool> {
            let bits = usize::from(field.bit)..usize::from(field.bit + field.len);
            bits.map(|bit| e.raw_word(block, bit / 32) >> (bit % 32) & 1 == 1).collect()
        };
        let (a, b) = (value(found), value(whole));
        let is_key = field.kind == FieldKind::Bytes && !field.read_disable.is_empty();
        let hidden = is_key && security::read_protected(whole, field.name);
        let same = if hidden { a.contains(&true) == b.contains(&true) } else { a == b };
        let error = is_key && found.coding_error(block).is_some_and(|error| error.failed);
        if error {
            out.push(format!("{} (coding errors)", field.name));
        } else if !same {
            out.push(field.name.to_owned());
        }
    }
    out
}
