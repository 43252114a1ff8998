//! The writes that a flash chip has seen, in order, while they were noted.
//!
//! An action that knows nothing of power cuts writes to a chip that notes them; [`crate::campaign::Recorded`] plays them again on
//! power that fails.

use super::{Flash, split};
use dryburn::PAGE;

/// A write as the chip does it.
#[derive(Clone, PartialEq, Eq)]
pub enum Change {
    /// One page-program command.
    Program {
        /// Flash address.
        address: u32,
        /// Bytes, all in one page.
        data: Vec<u8>,
    },
    /// One sector erased.
    Erase {
        /// Flash address of the sector.
        address: u32,
    },
}

/// The writes, where they are noted.
#[derive(Clone, Default)]
pub(super) struct Journal(Option<Vec<Change>>);

impl Journal {
    pub(super) fn programmed(&mut self, address: u32, data: &[u8]) {
        let Some(changes) = &mut self.0 else { return };
        let (mut at, mut rest) = (address, data);
        while !rest.is_empty() {
            let (_, _, length) = split(at, rest.len(), PAGE);
            let (page, next) = rest.split_at(length);
            changes.push(Change::Program { address: at, data: page.into() });
            at = at.saturating_add(length as u32);
            rest = next;
        }
    }

    pub(super) fn erased(&mut self, address: u32) {
        if let Some(changes) = &mut self.0 {
            changes.push(Change::Erase { address });
        }
    }
}

impl Flash {
    /// Begins to note the writes.
    pub fn note_changes(&mut self) {
        self.journal = Journal(Some(Vec::new()));
    }

    /// The writes since [`Flash::note_changes`]; no more are noted.
    pub fn take_changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.journal).0.unwrap_or_default()
    }
}
