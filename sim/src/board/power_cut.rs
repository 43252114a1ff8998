//! `device power-cut`: power fails while the board boots or a command burns eFuses.
//!
//! `--at N` cuts that write and leaves the board so; `--at every-op` tries all cuts on copies and prints what they lead to.

use super::{Desk, printed};
use crate::{
    campaign::{self, Sweep, Tears},
    device::{Device, Watch},
    fault::{Cut, Power, Tear},
    rom::Rom,
    scenario,
    tools::{Failure, Output, espefuse, number},
};
use dryburn::efuse::security;

const USAGE: &str =
    "device power-cut --during power-on|reset|\"espefuse …\" --at N|every-op [--tear none|all|NUMBER] [--limit N]";

/// States of one write that a sweep tries unless told otherwise.
const LIMIT: u64 = 8;

/// What power fails in. An update is to be one more of these.
enum During {
    PowerOn,
    Reset,
    Espefuse(Vec<String>),
}

impl During {
    fn parse(text: &str) -> Result<Self, Failure> {
        let words = scenario::split_words(text).map_err(Failure::new)?;
        match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
            ["power-on"] => Ok(Self::PowerOn),
            ["reset"] => Ok(Self::Reset),
            ["espefuse" | "espefuse.py", rest @ ..] if rest.contains(&"--virt") => {
                Err(Failure::new("power-cut: a --virt file has no power to fail; leave --virt out to use the board"))
            }
            ["espefuse" | "espefuse.py", ..] => Ok(Self::Espefuse(words.into_iter().skip(1).collect())),
            _ => Err(Failure::new(format!(
                "--during \"{text}\": found none of power-on, reset, \"espefuse …\"\n{USAGE}"
            ))),
        }
    }

    /// Runs it on `device`; what it printed.
    fn run(&self, desk: &Desk, device: &mut Device, power: &Power) -> Output {
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

struct Options {
    during: During,
    at: Option<u64>,
    tear: Option<Tears>,
    limit: Option<u64>,
}

fn parse(words: &[&str]) -> Result<Options, Failure> {
    let (mut during, mut at, mut tear, mut limit) = (None, None, None, None);
    let positive = |name: &str, text: &str| match number(text) {
        Ok(n) if n > 0 => Ok(n),
        _ => Err(Failure::new(format!("{name} {text}: write a number from 1\n{USAGE}"))),
    };
    for pair in words.chunks(2) {
        match pair {
            ["--during", text] => during = Some(During::parse(text)?),
            ["--at", "every-op"] => at = Some(None),
            ["--at", text] => at = Some(Some(positive("--at", text)?)),
            ["--tear", "none"] => tear = Some(Tears::None),
            ["--tear", "all"] => tear = Some(Tears::All),
            ["--tear", text] => tear = Some(Tears::Seed(positive("--tear", text)?)),
            ["--limit", text] => limit = Some(positive("--limit", text)?),
            _ => return Err(Failure::new(USAGE)),
        }
    }
    match (during, at) {
        (Some(_), Some(Some(_))) if limit.is_some() => Err(Failure::new("--limit goes with --at every-op")),
        (Some(during), Some(at)) => Ok(Options { during, at, tear, limit }),
        _ => Err(Failure::new(USAGE)),
    }
}

impl Desk {
    pub(super) fn power_cut(&mut self, words: &[&str]) -> Result<Output, Failure> {
        let options = parse(words)?;
        let board = self.bench.device.clone().ok_or_else(|| Failure::new("no board on the desk"))?;
        match options.at {
            Some(op) => self.cut_once(board, &options, op),
            None => self.sweep(&board, &options),
        }
    }

    fn cut_once(&mut self, mut board: Device, options: &Options, op: u64) -> Result<Output, Failure> {
        let tear = match options.tear {
            None | Some(Tears::None) => Tear::None,
            Some(Tears::All) => Tear::All,
            Some(Tears::Seed(n)) => Tear::Part(n),
        };
        let cut = Cut { op, tear };
        let power = Power::failing(cut);
        let Output { mut text, status } = options.during.run(self, &mut board, &power);
        if !power.is_lost() {
            let count = power.count();
            // what stopped a command before its writes comes first
            let why = if status == 0 { String::new() } else { text };
            return Err(Failure::new(format!("{why}--at {op}: found {count} writes; choose 1 to {count}")));
        }
        if let Some(write) = power.last() {
            if !text.ends_with('\n') {
                text.push('\n');
            }
            text += &format!("--- dryburn: {cut}: power failed in the {}\n", write.operation);
        }
        self.bench.device = Some(board);
        Ok(Output { text, status: 0 })
    }

    fn sweep(&self, board: &Device, options: &Options) -> Result<Output, Failure> {
        let action = |device: &mut Device, power: &Power| {
            options.during.run(self, device, power);
        };
        let sweep =
            Sweep { op: None, tears: options.tear.unwrap_or(Tears::None), limit: options.limit.unwrap_or(LIMIT) };
        let campaign = campaign::run(board, &action, &sweep);
        if campaign.writes.is_empty() {
            let Output { text, .. } = options.during.run(self, &mut board.clone(), &Power::steady());
            return Err(Failure::new(format!("{text}--at every-op: nothing is written, so there is nothing to cut")));
        }
        Ok(Output { text: campaign.table(board), status: 0 })
    }
}
