//! The states in which an interrupted write leaves flash or a block of eFuses. Behaviour sheet §4.5; what a particular flash
//! chip leaves is UNVERIFIED, and cells that read differently from time to time are not modelled.
//!
//! | write | numbered states |
//! |---|---|
//! | program of n bytes | 1 to n-1: that many bytes are done |
//! | erase | 1: all 0x00 (the pre-program that comes first); 2: part of the old content is pre-programmed; 3: part of the bits is erased already |
//! | burn of n new cells | up to [`FEW`]: each subset but none and all; else the lower half, the upper half, (of a coded block) data without check bytes, check bytes without data, all but each single cell, each single cell |
//!
//! A larger number is the seed of a random state: of a program any number of bytes and of the byte behind them part of the bits, of an
//! erase and of a burn any mixture.

use super::{Operation, Tear};
use crate::{
    efuse::Efuses,
    flash::{Flash, FlashError},
};
use dryburn::SECTOR;
use rand_chacha::{
    ChaCha20Rng,
    rand_core::{Rng, SeedableRng},
};

/// New cells of a burn of which each subset is a state of its own.
const FEW: usize = 4;
/// Numbered states of an erase.
const ERASE_STATES: u64 = 3;
/// Data cells of a coded block; check bytes follow.
const DATA_CELLS: u16 = 256;

impl Operation {
    pub(crate) fn flash_states(&self) -> u64 {
        match self {
            Self::Program { data, .. } => data.len().saturating_sub(1) as u64,
            Self::Erase { .. } => ERASE_STATES,
            Self::Burn { .. } => 0,
        }
    }

    pub(super) fn efuse_states(&self, efuses: &Efuses) -> u64 {
        let Self::Burn { block, bits } = self else { return 0 };
        let cells = efuses.cells_to_burn(*block, bits);
        match cells.len() {
            0 | 1 => 0,
            few @ 2..=FEW => (1 << few) - 2,
            many => Shape::of(&cells).len() as u64 + 2 * many as u64,
        }
    }

    /// Leaves flash and eFuses as a cut in this write does; the state before it is theirs.
    pub(crate) fn torn(&self, flash: &mut Flash, efuses: &mut Efuses, tear: Tear) -> Result<(), FlashError> {
        self.torn_on_flash(flash, tear)?;
        self.torn_on_efuses(efuses, tear);
        Ok(())
    }

    pub(super) fn on_flash(&self, flash: &mut Flash) -> Result<(), FlashError> {
        self.torn_on_flash(flash, Tear::All)
    }

    pub(super) fn torn_on_flash(&self, flash: &mut Flash, tear: Tear) -> Result<(), FlashError> {
        match (self, tear) {
            (Self::Burn { .. }, _) | (_, Tear::None) => Ok(()),
            (Self::Program { address, data }, Tear::All) => flash.program(*address, data),
            (Self::Erase { address }, Tear::All) => flash.erase_sector(*address),
            (Self::Program { address, data }, Tear::Part(n)) => torn_program(flash, *address, data, n),
            (Self::Erase { address }, Tear::Part(n)) => torn_erase(flash, *address, n),
        }
    }

    pub(super) fn torn_on_efuses(&self, efuses: &mut Efuses, tear: Tear) {
        let Self::Burn { block, bits } = self else { return };
        match tear {
            Tear::None => {}
            Tear::All => efuses.burn(*block, bits),
            Tear::Part(n) => {
                let cells = torn_cells(&efuses.cells_to_burn(*block, bits), n);
                efuses.burn_cells(*block, &cells);
            }
        }
    }
}

fn torn_program(flash: &mut Flash, address: u32, data: &[u8], n: u64) -> Result<(), FlashError> {
    let length = data.len() as u64;
    if n < length {
        return flash.program(address, data.get(..n as usize).unwrap_or(data));
    }
    let mut rng = ChaCha20Rng::seed_from_u64(n);
    let done = (rng.next_u64() % length) as usize;
    let mut torn = data.get(..=done).unwrap_or(data).to_vec();
    if let Some(last) = torn.last_mut() {
        *last |= rng.next_u64() as u8;
    }
    flash.program(address, &torn)
}

fn torn_erase(flash: &mut Flash, address: u32, n: u64) -> Result<(), FlashError> {
    let mut old = [0; SECTOR as usize];
    flash.read(address, &mut old)?;
    let mut mask = [0; SECTOR as usize];
    ChaCha20Rng::seed_from_u64(n).fill_bytes(&mut mask);
    // pre-programmed cells are 0, erased ones 1
    let new: [u8; SECTOR as usize] = match n {
        1 => [0; SECTOR as usize],
        2 => std::array::from_fn(|i| old[i] & mask[i]),
        _ => mask,
    };
    flash.erase_sector(address)?;
    flash.program(address, &new)
}

/// Which of the new cells are burned, where they are many.
#[derive(Clone, Copy)]
enum Shape {
    LowerHalf,
    UpperHalf,
    Data,
    Check,
}

impl Shape {
    /// Those that are neither none nor all of the cells.
    fn of(cells: &[u16]) -> &'static [Self] {
        let coded = cells.iter().any(|cell| *cell >= DATA_CELLS) && cells.iter().any(|cell| *cell < DATA_CELLS);
        let all = &[Self::LowerHalf, Self::UpperHalf, Self::Data, Self::Check];
        if coded { all } else { &all[..2] }
    }
}

/// State `n` of a burn of these cells: those of them that are burned.
fn torn_cells(cells: &[u16], n: u64) -> Vec<u16> {
    let many = cells.len() as u64;
    let kept = |keep: &dyn Fn(u64, u16) -> bool| -> Vec<u16> {
        (0..).zip(cells).filter(|(at, cell)| keep(*at, **cell)).map(|(_, cell)| *cell).collect()
    };
    if cells.len() <= FEW && n < (1 << many) - 1 {
        return kept(&|at, _| n >> at & 1 == 1);
    }
    let shapes = Shape::of(cells);
    let shape = n.checked_sub(1).and_then(|n| shapes.get(n as usize)).filter(|_| cells.len() > FEW);
    if let Some(shape) = shape {
        return match shape {
            Shape::LowerHalf => kept(&|at, _| at < many / 2),
            Shape::UpperHalf => kept(&|at, _| at >= many / 2),
            Shape::Data => kept(&|_, cell| cell < DATA_CELLS),
            Shape::Check => kept(&|_, cell| cell >= DATA_CELLS),
        };
    }
    if let Some(single) = n.checked_sub(shapes.len() as u64 + 1).filter(|n| *n < 2 * many && cells.len() > FEW) {
        return kept(&|at, _| if single < many { at != single } else { at == single - many });
    }
    let mut rng = ChaCha20Rng::seed_from_u64(n);
    cells.iter().filter(|_| rng.next_u64() & 1 == 1).copied().collect()
}
