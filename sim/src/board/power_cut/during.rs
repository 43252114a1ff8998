//! What power fails in: commands that write on a supply that may fail, and those whose writes are recorded first.

use super::{
    super::{Desk, no_board, printed},
    USAGE,
};
use crate::{
    app::update,
    campaign::{Action as _, Recorded},
    device::{Device, Watch},
    fault::Power,
    rom::Rom,
    scenario,
    tools::{Failure, Output, espefuse, esptool},
};
use dryburn::efuse::security;

/// What `--during` names.
pub(super) enum During {
    Powered(Powered),
    Esptool(Vec<String>),
    Ota(Vec<String>),
}

/// What runs on a supply of its own.
#[derive(Clone)]
pub(super) enum Powered {
    PowerOn,
    Reset,
    Espefuse(Vec<String>),
}

/// An action that can be run again and again.
pub(super) enum Prepared {
    Powered(Powered),
    /// The writes that it made, and what it printed when nothing cut it.
    Recorded {
        action: Recorded,
        output: Output,
    },
}

impl During {
    pub(super) fn parse(text: &str) -> Result<Self, Failure> {
        let words = scenario::split_words(text).map_err(Failure::new)?;
        let no_power = |option: &str| {
            Err(Failure::new(format!(
                "power-cut: a {option} file has no power to fail; leave {option} out to use the board"
            )))
        };
        let names = |option: &str| words.iter().any(|word| word.split('=').next() == Some(option));
        let rest = words.get(1..).unwrap_or_default().to_vec();
        match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
            ["power-on"] => Ok(Self::Powered(Powered::PowerOn)),
            ["reset"] => Ok(Self::Powered(Powered::Reset)),
            ["espefuse" | "espefuse.py", ..] if names("--virt") => no_power("--virt"),
            ["espefuse" | "espefuse.py", ..] => Ok(Self::Powered(Powered::Espefuse(rest))),
            ["esptool" | "esptool.py", ..] if names("--flash") => no_power("--flash"),
            ["esptool" | "esptool.py", ..] => Ok(Self::Esptool(rest)),
            ["ota", ..] => Ok(Self::Ota(rest)),
            _ => Err(Failure::new(format!(
                "--during \"{text}\": found none of power-on, reset, \"espefuse …\", \"esptool …\", \"ota …\"\n{USAGE}"
            ))),
        }
    }

    /// Makes it ready, with what was printed until then; or says why no app runs that could install an update.
    pub(super) fn prepare(self, desk: &mut Desk) -> Result<Result<(Prepared, String), Output>, Failure> {
        match self {
            Self::Powered(powered) => Ok(Ok((Prepared::Powered(powered), String::new()))),
            Self::Esptool(args) => {
                let prepared = record(desk, true, |bench| {
                    let text = esptool::run(bench, &args)?;
                    Ok(Output { text, status: 0 })
                })?;
                Ok(Ok((prepared, String::new())))
            }
            Self::Ota(args) => {
                let (cycle, text) = match desk.running()? {
                    Ok(running) => running,
                    Err(no_app) => return Ok(Err(no_app)),
                };
                let words: Vec<&str> = args.iter().map(String::as_str).collect();
                let prepared = record(desk, false, |bench| update::run(bench, &cycle, &words))?;
                desk.cycle = Some(cycle);
                Ok(Ok((prepared, text)))
            }
        }
    }
}

/// Runs a command on a copy of the board and notes what it writes. One that is refused has written nothing.
fn record(
    desk: &Desk,
    flashes: bool,
    command: impl FnOnce(&mut crate::tools::Workbench) -> Result<Output, Failure>,
) -> Result<Prepared, Failure> {
    let mut device = desk.bench.device.clone().ok_or_else(no_board)?;
    let (flash, efuses) = (device.flash.clone(), device.efuses.clone());
    device.flash.note_changes();
    let mut bench = desk.bench.with_board(device);
    let output = command(&mut bench)?;
    let mut after = bench.device.take().ok_or_else(no_board)?;
    if after.efuses != efuses {
        return Err(Failure::new("power-cut: this burns eFuses as well, and only its writes to flash could be cut"));
    }
    let changes = after.flash.take_changes();
    Ok(Prepared::Recorded { action: Recorded::new(&flash, changes, flashes), output })
}

impl Prepared {
    /// Runs it on `device`; what it printed.
    pub(super) fn run(&self, desk: &Desk, device: &mut Device, power: &Power) -> Output {
        match self {
            Self::Powered(powered) => powered.run(desk, device, power),
            Self::Recorded { action, output } => {
                action.run(device, power);
                // how far it had come in its output is not known
                let text = if power.is_lost() { String::new() } else { output.text.clone() };
                Output { text, status: output.status }
            }
        }
    }
}

impl Powered {
    pub(super) fn run(&self, desk: &Desk, device: &mut Device, power: &Power) -> Output {
        let rom = Rom::of(device.chip(), security::chip_revision(&device.efuses));
        match self {
            Self::PowerOn => printed(&device.power_on_with(Watch::UntilSettled, power), rom),
            Self::Reset => printed(&device.reset_with(Watch::UntilSettled, power), rom),
            Self::Espefuse(args) => {
                let mut bench = desk.bench.with_board(device.clone());
                let result = espefuse::run_with(&mut bench, args, power);
                if let Some(after) = bench.device.take() {
                    *device = after;
                }
                match result {
                    Ok(text) => Output { text, status: 0 },
                    Err(Failure { text, status }) => Output { text, status },
                }
            }
        }
    }
}
