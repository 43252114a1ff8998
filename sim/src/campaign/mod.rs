//! Power cuts, exhaustively: at each write of an action, in each state that the write can leave behind, and what the board makes of
//! it afterwards.
//!
//! An action is a closure over a board and the [`Power`] that it runs on (a power-on, a command line), or the writes that an
//! update or a flashing made, [`Recorded`]. The board is copied for each cut (flash shares its sectors), and the cuts run in
//! parallel. A second cut strikes in the power-on that follows the first.
//!
//! | file | concept |
//! |---|---|
//! | `mod.rs` | the cuts of an action |
//! | `action.rs` | what power fails in |
//! | `ending.rs` | what a board does from its next power-on |
//! | `table.rs` | the outcomes as a table |

mod action;
mod ending;
mod table;

pub use action::{Action, Recorded};
pub use ending::{Ending, Started, Verdict};

use crate::{
    device::{Device, Watch},
    efuse::Efuses,
    fault::{Cut, Operation, Power, Tear, Write},
    flash::Flash,
};
use rayon::prelude::*;

/// Which cuts are tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sweep {
    /// Only this write, from 1; else each one.
    pub op: Option<u64>,
    /// The states between nothing and all of a write.
    pub tears: Tears,
    /// At most so many such states of one write, spread over all it has.
    pub limit: u64,
}

/// Which states of an interrupted write are tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tears {
    /// None: power fails between writes only.
    None,
    /// The numbered ones, see [`Tear::Part`].
    All,
    /// The one of that number in each write.
    Seed(u64),
}

/// A cut and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// When power failed.
    pub cut: Cut,
    /// In which write.
    pub operation: Operation,
    /// What the board does from then on.
    pub ending: Ending,
}

/// A second cut, in the power-on after the first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Second {
    /// The first cut, in the action.
    pub first: Cut,
    /// The second, and what came of both.
    pub case: Case,
}

/// Cuts that are tried at once.
pub const MOST_CUTS: u64 = 50_000;

/// More cuts than are tried at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("found {cuts} {}cuts, more than the {MOST_CUTS} that are tried at once; choose fewer states of each write", if *second { "second " } else { "" })]
pub struct TooMany {
    /// So many.
    pub cuts: u64,
    /// Of the second.
    pub second: bool,
}

/// All cuts of one action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Campaign {
    /// The writes of the action when power does not fail.
    pub writes: Vec<Write>,
    /// What the board does after an action that nothing cut.
    pub whole: Ending,
    /// The cuts, in order.
    pub cases: Vec<Case>,
    /// The second cuts, in order, where they were asked for.
    pub second: Option<Vec<Second>>,
}

/// The writes of an action on a copy of `board`, and the board after it.
pub fn trace(board: &Device, action: &impl Action) -> (Vec<Write>, Device) {
    let power = Power::steady();
    let mut device = board.clone();
    action.run(&mut device, &power);
    (power.into_writes(), device)
}

/// How many cuts a sweep of these writes tries.
pub fn cuts(writes: &[Write], sweep: &Sweep) -> u64 {
    let count = writes.len();
    writes.iter().zip(1..).map(|(write, op)| tears(sweep, write, op == count).len() as u64).sum()
}

/// [`run`], or [`run_twice`], unless that is too much.
///
/// # Errors
/// [`TooMany`].
pub fn up_to(board: &Device, action: &impl Action, sweep: &Sweep, twice: bool) -> Result<Campaign, TooMany> {
    let cuts = cuts(&trace(board, action).0, sweep);
    if cuts > MOST_CUTS {
        return Err(TooMany { cuts, second: false });
    }
    if twice { run_twice(board, action, sweep) } else { Ok(run(board, action, sweep)) }
}

/// Cuts the action and says what each cut leads to.
pub fn run(board: &Device, action: &impl Action, sweep: &Sweep) -> Campaign {
    let (writes, whole, yardstick) = uncut(board, action);
    let cases = yardstick.judge(yardstick.cases(board, action, sweep));
    Campaign { writes, whole, cases, second: None }
}

/// As [`run`]; and the power-on that follows each cut is cut as well, in the same states.
///
/// # Errors
/// [`TooMany`].
pub fn run_twice(board: &Device, action: &impl Action, sweep: &Sweep) -> Result<Campaign, TooMany> {
    let boards = visit(board, action, sweep, |cut, _, device| {
        let (writes, _) = trace(&device, &power_on);
        (cut, cuts(&writes, sweep), device)
    });
    let boards: Vec<(Cut, u64, Device)> = boards.into_iter().filter(|(_, cuts, _)| *cuts > 0).collect();
    let cuts = boards.iter().map(|(_, cuts, _)| cuts).sum();
    if cuts > MOST_CUTS {
        return Err(TooMany { cuts, second: true });
    }
    let (writes, whole, yardstick) = uncut(board, action);
    let cases = yardstick.judge(yardstick.cases(board, action, sweep));
    let (firsts, seconds) = boards
        .par_iter()
        .flat_map_iter(|(first, _, device)| {
            yardstick.cases(device, &power_on, sweep).into_iter().map(|case| (*first, case))
        })
        .collect::<(Vec<Cut>, Vec<(Case, Efuses)>)>();
    let seconds = firsts.into_iter().zip(yardstick.judge(seconds));
    let second = seconds.map(|(first, case)| Second { first, case }).collect();
    Ok(Campaign { writes, whole, cases, second: Some(second) })
}

fn power_on(device: &mut Device, power: &Power) {
    device.power_on_with(Watch::UntilSettled, power);
}

/// What the endings of cuts are held against.
struct Yardstick<'a> {
    board: &'a Device,
    /// The eFuses that the uncut action leads to.
    efuses: Efuses,
    /// What can be flashed anew.
    flash: Vec<Flash>,
}

/// The writes of an action that nothing cuts, and what it leads to.
fn uncut<'a>(board: &'a Device, action: &impl Action) -> (Vec<Write>, Ending, Yardstick<'a>) {
    let (writes, device) = trace(board, action);
    let flashed = action.flashes().then(|| device.flash.clone());
    let flash = [board.flash.clone()].into_iter().chain(flashed).collect();
    let (ending, settled) = ending::of(device, None);
    (writes, ending, Yardstick { board, efuses: settled.efuses, flash })
}

impl Yardstick<'_> {
    /// The cuts of an action, and the eFuses that each leads to.
    fn cases(&self, from: &Device, action: &impl Action, sweep: &Sweep) -> Vec<(Case, Efuses)> {
        visit(from, action, sweep, |cut, operation, device| {
            let (ending, device) = ending::of(device, Some(&self.efuses));
            (Case { cut, operation: operation.clone(), ending }, device.efuses)
        })
    }

    /// Says of those that do not run whether flashing anew helps. Most of them have the same few eFuses.
    fn judge(&self, cases: Vec<(Case, Efuses)>) -> Vec<Case> {
        let mut dead: Vec<Efuses> = Vec::new();
        for (case, efuses) in &cases {
            if case.ending.verdict != Verdict::Runs && !dead.contains(efuses) {
                dead.push(efuses.clone());
            }
        }
        let helps = |efuses| self.flash.iter().any(|flash| ending::runs_flashed_anew(self.board, flash, efuses));
        let revived: Vec<bool> = dead.par_iter().map(helps).collect();
        let judged = cases.into_iter().map(|(mut case, efuses)| {
            if case.ending.verdict != Verdict::Runs {
                case.ending.flashed_anew =
                    dead.iter().zip(&revived).find(|(e, _)| **e == efuses).map(|(_, runs)| *runs);
            }
            case
        });
        judged.collect()
    }
}

/// Cuts the action, and gives `look` each board as the cut leaves it.
pub fn visit<T: Send>(
    board: &Device,
    action: &impl Action,
    sweep: &Sweep,
    look: impl Fn(Cut, &Operation, Device) -> T + Sync,
) -> Vec<T> {
    let count = trace(board, action).0.len() as u64;
    let ops: Vec<u64> = (1..=count).filter(|op| sweep.op.is_none_or(|only| only == *op)).collect();
    ops.into_par_iter()
        .filter_map(|op| Some((op, action.before(board, op)?)))
        .flat_map(|(op, (device, write))| {
            let tears = tears(sweep, &write, op == count);
            let look = &look;
            tears.into_par_iter().filter_map(move |tear| {
                let mut torn = device.clone();
                write.operation.torn(&mut torn.flash, &mut torn.efuses, tear).ok()?;
                Some(look(Cut { op, tear }, &write.operation, torn))
            })
        })
        .collect()
}

/// The states of one write that are tried. All of a write is nothing of the next one, so only the last has that state.
fn tears(sweep: &Sweep, write: &Write, is_last: bool) -> Vec<Tear> {
    let parts = match sweep.tears {
        Tears::None => Vec::new(),
        Tears::All => spread(write.states, sweep.limit),
        Tears::Seed(_) if write.states == 0 => Vec::new(),
        Tears::Seed(seed) => vec![seed],
    };
    let last = (is_last || sweep.op.is_some()).then_some(Tear::All);
    [Tear::None].into_iter().chain(parts.into_iter().map(Tear::Part)).chain(last).collect()
}

/// States that are always tried first, as they are the shapes of a burn.
const SHAPES: u64 = 4;

/// At most `limit` of the numbers 1 to `states`: the first few, then evenly spread up to the last.
fn spread(states: u64, limit: u64) -> Vec<u64> {
    if states <= limit {
        return (1..=states).collect();
    }
    let first = SHAPES.min(limit);
    let (rest, others) = (states - first, limit - first);
    (1..=first).chain((1..=others).map(|n| first + n * rest / others)).collect()
}

#[cfg(test)]
mod tests {
    use super::spread;

    #[test]
    fn a_limit_keeps_the_first_and_the_last_state() {
        assert_eq!(spread(3, 8), [1, 2, 3]);
        assert_eq!(spread(100, 6), [1, 2, 3, 4, 52, 100]);
        assert_eq!(spread(100, 2), [1, 2]);
        assert!(spread(0, 8).is_empty());
    }
}
