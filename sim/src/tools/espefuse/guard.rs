//! The guard that no vendor tool has: eFuses burn once, and this board knows what lies in its flash.
//!
//! Before bits are burned on a board that starts an app, the burn is rehearsed on a copy: the copy is powered on twice, as
//! what bricks a board may be the eFuses that a first boot burns by itself. Where the copy no longer starts an app, nothing
//! is burned and the log says why; `--force` burns all the same. What a burn costs otherwise is said above the tool's output
//! (`losses.rs`).

use super::{Failure, format::bits, losses};
use crate::{
    device::{Device, PowerCycle, Watch},
    efuse::Efuses,
    rom::Rom,
    uart,
};
use dryburn::efuse::security;
use std::fmt::Write;

/// Lines of the log that are shown.
const SHOWN: usize = 4;

/// Refuses eFuses `after` on a board that would no longer start its app with them; else gives lines about what they cost.
///
/// # Errors
/// Status 2, with the last lines of the boot that fails.
pub(super) fn check(board: &Device, after: &Efuses) -> Result<Vec<String>, Failure> {
    if board.efuses == *after {
        return Ok(Vec::new());
    }
    let mut losses = losses::of_efuses(&board.efuses, after);
    let mut copy = board.clone();
    copy.efuses = after.clone();
    if !board.clone().power_on(Watch::UntilSettled).runs_an_app() {
        // it cannot get worse, but for what the boot burns in vain
        let starts = copy.power_on(Watch::UntilSettled).runs_an_app();
        let burned = burned_by_itself(after, &copy.efuses);
        if !starts && !burned.is_empty() {
            losses.push(format!(
                "with this flash the next power-on burns {} and starts no app: bring the flash in order first",
                burned.join(", ")
            ));
        }
        return Ok(losses);
    }
    for which in ["next", "second next"] {
        let cycle = copy.power_on(Watch::UntilSettled);
        if !cycle.runs_an_app() {
            return Err(Failure::new(refusal(which, after, &copy, &cycle)));
        }
        if which == "next" {
            losses.extend(losses::of_boot(board, after, &cycle, &copy));
        }
    }
    Ok(losses)
}

/// What the board's own boots burned on the way, by field.
fn burned_by_itself(after: &Efuses, board: &Efuses) -> Vec<&'static str> {
    let fields = board.fields().iter();
    fields.filter(|field| bits(after, field) != bits(board, field)).map(|field| field.name).collect()
}

fn refusal(which: &str, after: &Efuses, board: &Device, cycle: &PowerCycle) -> String {
    let rom = Rom::of(board.chip(), security::chip_revision(&board.efuses));
    let (log, remark) = uart::render_cycle(cycle, rom);
    let lines: Vec<&str> = log.lines().filter(|line| !line.is_empty()).collect();
    let mut text =
        format!("nothing was burned: the board starts its app now, and would not at the {which} power-on:\n");
    let burned = burned_by_itself(after, &board.efuses);
    if !burned.is_empty() {
        let _ = writeln!(text, "    (on the way it burns {})", burned.join(", "));
    }
    for line in lines.iter().skip(lines.len().saturating_sub(SHOWN)) {
        let _ = writeln!(text, "    {line}");
    }
    if let Some(remark) = remark {
        let _ = writeln!(text, "    --- {remark}");
    }
    text += "Bring the flash in line with the new eFuses first, or add --force to burn all the same.";
    text
}
