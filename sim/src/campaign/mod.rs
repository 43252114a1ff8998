//! Power cuts, exhaustively: at each write of an action, in each state that the write can leave behind, and what the board makes of
//! it afterwards.
//!
//! An action is a closure over a board and the [`Power`] that it runs on: a power-on, a command line, an update. The board is
//! copied for each cut (flash shares its sectors), and the cuts run in parallel.
//!
//! | file | concept |
//! |---|---|
//! | `mod.rs` | the cuts of an action |
//! | `ending.rs` | what a board does from its next power-on |
//! | `table.rs` | the outcomes as a table |

mod ending;
mod table;

pub use ending::{Ending, Verdict};

use crate::{
    device::Device,
    efuse::Efuses,
    fault::{Cut, Operation, Power, Tear, Write},
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

/// All cuts of one action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Campaign {
    /// The writes of the action when power does not fail.
    pub writes: Vec<Write>,
    /// What the board does after an action that nothing cut.
    pub whole: Ending,
    /// The cuts, in order.
    pub cases: Vec<Case>,
}

/// Something that writes to a board.
pub trait Action: Fn(&mut Device, &Power) + Sync {}
impl<T: Fn(&mut Device, &Power) + Sync> Action for T {}

/// The writes of an action on a copy of `board`, and the board after it.
pub fn trace(board: &Device, action: &impl Action) -> (Vec<Write>, Device) {
    let power = Power::steady();
    let mut device = board.clone();
    action(&mut device, &power);
    (power.into_writes(), device)
}

/// Cuts the action and says what each cut leads to.
pub fn run(board: &Device, action: &impl Action, sweep: &Sweep) -> Campaign {
    let (writes, device) = trace(board, action);
    let (whole, settled) = ending::of(device, None);
    let settled_cases = visit(board, action, sweep, |cut, operation, device| {
        let (ending, device) = ending::of(device, Some(&settled.efuses));
        (Case { cut, operation: operation.clone(), ending }, device.efuses)
    });
    // most boards that do not run have the same few eFuses
    let mut dead: Vec<Efuses> = Vec::new();
    for (case, efuses) in &settled_cases {
        if case.ending.verdict != Verdict::Runs && !dead.contains(efuses) {
            dead.push(efuses.clone());
        }
    }
    let revived: Vec<bool> = dead.par_iter().map(|efuses| ending::runs_flashed_anew(board, efuses)).collect();
    let cases = settled_cases.into_iter().map(|(mut case, efuses)| {
        if case.ending.verdict != Verdict::Runs {
            case.ending.flashed_anew = dead.iter().zip(&revived).find(|(e, _)| **e == efuses).map(|(_, runs)| *runs);
        }
        case
    });
    Campaign { writes, whole, cases: cases.collect() }
}

/// Cuts the action, and gives `look` each board as the cut leaves it.
pub fn visit<T: Send>(
    board: &Device,
    action: &impl Action,
    sweep: &Sweep,
    look: impl Fn(Cut, &Operation, Device) -> T + Sync,
) -> Vec<T> {
    let (writes, _) = trace(board, action);
    let count = writes.len() as u64;
    let ops: Vec<u64> = (1..=count).filter(|op| sweep.op.is_none_or(|only| only == *op)).collect();
    let jobs: Vec<(Cut, Operation, Device)> = ops
        .par_iter()
        .flat_map_iter(|op| {
            let op = *op;
            let power = Power::failing(Cut { op, tear: Tear::None });
            let mut device = board.clone();
            action(&mut device, &power);
            // the same boots with the same random numbers lead to the same write
            let write = power.last();
            let tears = write.as_ref().map(|write| tears(sweep, write, op == count)).unwrap_or_default();
            let operation = write.map(|write| write.operation);
            tears.into_iter().filter_map(move |tear| {
                let (mut torn, operation) = (device.clone(), operation.clone()?);
                operation.torn(&mut torn.flash, &mut torn.efuses, tear).ok()?;
                Some((Cut { op, tear }, operation, torn))
            })
        })
        .collect();
    jobs.into_par_iter().map(|(cut, operation, device)| look(cut, &operation, device)).collect()
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
