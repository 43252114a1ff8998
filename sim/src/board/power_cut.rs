//! `device power-cut`: power fails while the board boots, a tool burns eFuses or writes flash, or the app installs an update.
//!
//! `--at N` cuts that write and leaves the board so; `--at every-op` tries all cuts on copies and prints what they lead to.

mod during;

use super::Desk;
use crate::{
    campaign::{self, Sweep, Tears},
    device::Device,
    fault::{Cut, Power, Tear},
    tools::{Failure, Output, number},
};
use during::{During, Prepared};

const USAGE: &str = "device power-cut --during power-on|reset|\"espefuse …\"|\"esptool …\"|\"ota …\" --at N|every-op \
                     [--tear none|all|NUMBER] [--limit N] [--depth 1|2]";

/// States of one write that a sweep tries unless told otherwise.
const LIMIT: u64 = 8;

struct Options {
    at: Option<u64>,
    tear: Option<Tears>,
    limit: Option<u64>,
    /// A second cut, in the power-on that follows the first.
    twice: Option<bool>,
}

fn parse(words: &[&str]) -> Result<(During, Options), Failure> {
    let (mut during, mut at, mut tear, mut limit, mut twice) = (None, None, None, None, None);
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
            ["--depth", text] => match positive("--depth", text)? {
                depth @ 1..=2 => twice = Some(depth == 2),
                _ => return Err(Failure::new(format!("--depth {text}: power fails once or twice\n{USAGE}"))),
            },
            _ => return Err(Failure::new(USAGE)),
        }
    }
    match (during, at) {
        (Some(_), Some(Some(_))) if limit.is_some() => Err(Failure::new("--limit goes with --at every-op")),
        (Some(_), Some(Some(_))) if twice.is_some() => Err(Failure::new(
            "--depth goes with --at every-op; after --at N, a second cut is another command: --during power-on",
        )),
        (Some(during), Some(at)) => Ok((during, Options { at, tear, limit, twice })),
        _ => Err(Failure::new(USAGE)),
    }
}

impl Desk {
    pub(super) fn power_cut(&mut self, words: &[&str]) -> Result<Output, Failure> {
        let (during, options) = parse(words)?;
        let (prepared, before) = match during.prepare(self)? {
            Ok(prepared) => prepared,
            Err(no_app) => return Ok(no_app),
        };
        let board = self.bench.device.clone().ok_or_else(super::no_board)?;
        let output = match options.at {
            Some(op) => self.cut_once(board, &prepared, options.tear, op)?,
            None => self.sweep(&board, &prepared, &options)?,
        };
        Ok(Output { text: before + &output.text, ..output })
    }

    fn cut_once(
        &mut self,
        mut board: Device,
        prepared: &Prepared,
        tear: Option<Tears>,
        op: u64,
    ) -> Result<Output, Failure> {
        let tear = match tear {
            None | Some(Tears::None) => Tear::None,
            Some(Tears::All) => Tear::All,
            Some(Tears::Seed(n)) => Tear::Part(n),
        };
        let cut = Cut { op, tear };
        let power = Power::failing(cut);
        let Output { mut text, status } = prepared.run(self, &mut board, &power);
        if !power.is_lost() {
            let count = power.count();
            // what stopped a command before its writes comes first
            let why = if status == 0 { String::new() } else { text };
            return Err(Failure::new(format!("{why}--at {op}: found {count} writes; choose 1 to {count}")));
        }
        if let Some(write) = power.last() {
            if !text.is_empty() && !text.ends_with('\n') {
                text.push('\n');
            }
            text += &format!("--- dryburn: {cut}: power failed in the {}\n", write.operation);
        }
        self.bench.device = Some(board);
        self.cycle = None;
        Ok(Output { text, status: 0 })
    }

    fn sweep(&self, board: &Device, prepared: &Prepared, options: &Options) -> Result<Output, Failure> {
        let sweep =
            Sweep { op: None, tears: options.tear.unwrap_or(Tears::None), limit: options.limit.unwrap_or(LIMIT) };
        let twice = options.twice == Some(true);
        let result = match prepared {
            Prepared::Recorded { action, .. } => campaign::up_to(board, action, &sweep, twice),
            Prepared::Powered(during) => {
                let action = |device: &mut Device, power: &Power| {
                    during.run(self, device, power);
                };
                campaign::up_to(board, &action, &sweep, twice)
            }
        };
        let campaign = result.map_err(|e| Failure::new(format!("--at every-op: {e}")))?;
        if campaign.writes.is_empty() {
            let Output { text, .. } = prepared.run(self, &mut board.clone(), &Power::steady());
            return Err(Failure::new(format!("{text}--at every-op: nothing is written, so there is nothing to cut")));
        }
        Ok(Output { text: campaign.table(board), status: 0 })
    }
}
