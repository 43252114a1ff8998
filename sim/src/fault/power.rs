//! When power fails, and what was written until then.

use crate::flash::journal::Change;
use serde::Serialize;
use std::{
    cell::{Cell, RefCell},
    fmt,
};

/// There is no power, until the power cycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("power failed")]
pub struct PowerLost;

/// One write to memory that keeps its content. Shows no content: it may be a key.
#[derive(Clone, PartialEq, Eq)]
pub enum Operation {
    /// Bytes are programmed into flash.
    Program {
        /// Flash address.
        address: u32,
        /// The bytes.
        data: Vec<u8>,
    },
    /// A sector of flash is erased.
    Erase {
        /// Flash address.
        address: u32,
    },
    /// A block of eFuses is burned.
    Burn {
        /// Block number.
        block: usize,
        /// The bits, as words of the block.
        bits: Vec<u32>,
    },
}

impl From<Change> for Operation {
    fn from(change: Change) -> Self {
        match change {
            Change::Program { address, data } => Self::Program { address, data },
            Change::Erase { address } => Self::Erase { address },
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Program { address, data } => write!(f, "program of {:#x} bytes at {address:#x}", data.len()),
            Self::Erase { address } => write!(f, "erase of the sector at {address:#x}"),
            Self::Burn { block, .. } => write!(f, "burn of BLOCK{block}"),
        }
    }
}

impl fmt::Debug for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// How much of the write is done when power fails in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum Tear {
    /// Nothing.
    None,
    /// A part: the states of the write are numbered from 1, and each number beyond them is the seed of a random one.
    Part(u64),
    /// Everything.
    All,
}

impl fmt::Display for Tear {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Part(n) => write!(f, "{n}"),
            Self::All => f.write_str("all"),
        }
    }
}

/// A moment at which power fails: in one of the writes. Printed as `op 17 tear 3`, it replays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Cut {
    /// Which write, from 1.
    pub op: u64,
    /// How much of it is done.
    pub tear: Tear,
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "op {} tear {}", self.op, self.tear)
    }
}

/// A write that was begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// What it is.
    pub operation: Operation,
    /// In how many numbered states a cut can leave it, beside none and all of it.
    pub states: u64,
}

/// The supply that everything on a board hangs on.
#[derive(Debug, Default)]
pub struct Power {
    cut: Option<Cut>,
    lost: Cell<bool>,
    writes: RefCell<Vec<Write>>,
}

impl Power {
    /// Never fails.
    pub fn steady() -> Self {
        Self::default()
    }

    /// Fails there.
    pub fn failing(cut: Cut) -> Self {
        Self { cut: Some(cut), ..Self::default() }
    }

    /// Whether it has failed.
    pub fn is_lost(&self) -> bool {
        self.lost.get()
    }

    /// The writes that were begun, in order; the last one is the one in which power failed, if it did.
    pub fn into_writes(self) -> Vec<Write> {
        self.writes.into_inner()
    }

    /// The number of writes that were begun.
    pub fn count(&self) -> u64 {
        self.writes.borrow().len() as u64
    }

    /// The write that was begun last.
    pub fn last(&self) -> Option<Write> {
        self.writes.borrow().last().cloned()
    }

    pub(super) fn check(&self) -> Result<(), PowerLost> {
        if self.is_lost() { Err(PowerLost) } else { Ok(()) }
    }

    /// A write begins. None when it will be finished, else how much of it is still done.
    pub(super) fn next(&self, operation: &Operation, states: u64) -> Result<Option<Tear>, PowerLost> {
        self.check()?;
        self.writes.borrow_mut().push(Write { operation: operation.clone(), states });
        let now = self.cut.filter(|cut| cut.op == self.count());
        self.lost.set(now.is_some());
        Ok(now.map(|cut| cut.tear))
    }
}
