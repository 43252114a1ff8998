//! Power that fails while something is written: wrappers around flash and eFuses.
//!
//! A boot or a command line writes through [`PoweredFlash`] and [`PoweredEfuses`], which share one [`Power`]. It counts the
//! writes (one program, one erased sector, one burned block each) and, where it was told to, fails at one of them. From then on each
//! write gives [`PowerLost`], which `?` carries out of whatever was running; [`crate::device::Device::power_on`] is what comes next.
//!
//! | file | concept |
//! |---|---|
//! | `mod.rs` | the wrappers |
//! | `power.rs` | when power fails, and what was written until then |
//! | `tear.rs` | the states in which an interrupted write leaves flash or a block of eFuses |

mod power;
mod tear;

pub use power::{Cut, Operation, Power, PowerLost, Tear, Write};

use crate::{
    efuse::{BurnError, Efuses},
    flash::{Flash, FlashError},
};
use dryburn::{Chip, SECTOR, efuse::Efuse};
use embedded_storage::nor_flash::{
    ErrorType, MultiwriteNorFlash, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash,
};
use std::ops::Deref;

/// Why a write to flash came to nothing, or to not all of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The chip refused it.
    #[error(transparent)]
    Flash(#[from] FlashError),
    /// There is no power.
    #[error(transparent)]
    Power(#[from] PowerLost),
}

impl NorFlashError for Fault {
    fn kind(&self) -> NorFlashErrorKind {
        match self {
            Self::Flash(error) => error.kind(),
            Self::Power(_) => NorFlashErrorKind::Other,
        }
    }
}

/// Flash that can be written only while there is power.
pub struct PoweredFlash<'a> {
    flash: &'a mut Flash,
    power: &'a Power,
}

impl<'a> PoweredFlash<'a> {
    /// This flash, on that supply.
    pub fn new(flash: &'a mut Flash, power: &'a Power) -> Self {
        Self { flash, power }
    }

    /// As [`Flash::program`]; a cut leaves the first bytes programmed.
    ///
    /// # Errors
    /// As there, and [`PowerLost`].
    pub fn program(&mut self, address: u32, data: &[u8]) -> Result<(), Fault> {
        self.flash.check_range(address, data.len() as u64)?;
        if data.is_empty() {
            return Ok(());
        }
        self.write(Operation::Program { address, data: data.into() })
    }

    /// As [`Flash::erase_sector`]; what a cut leaves is no content that anybody wrote.
    ///
    /// # Errors
    /// As there, and [`PowerLost`].
    pub fn erase_sector(&mut self, address: u32) -> Result<(), Fault> {
        self.flash.check_erase(address, address.saturating_add(SECTOR))?;
        self.write(Operation::Erase { address })
    }

    /// A write as it was noted. A burn is none of flash, and does nothing.
    pub(crate) fn execute(&mut self, operation: Operation) -> Result<(), Fault> {
        match operation {
            Operation::Program { address, data } => self.program(address, &data),
            Operation::Erase { address } => self.erase_sector(address),
            Operation::Burn { .. } => Ok(()),
        }
    }

    fn write(&mut self, operation: Operation) -> Result<(), Fault> {
        let states = operation.flash_states();
        match self.power.next(&operation, states)? {
            None => Ok(operation.on_flash(self.flash)?),
            Some(tear) => {
                operation.torn_on_flash(self.flash, tear)?;
                Err(PowerLost.into())
            }
        }
    }
}

impl Deref for PoweredFlash<'_> {
    type Target = Flash;
    fn deref(&self) -> &Flash {
        self.flash
    }
}

impl ErrorType for PoweredFlash<'_> {
    type Error = Fault;
}

impl ReadNorFlash for PoweredFlash<'_> {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Fault> {
        self.power.check()?;
        Ok(self.flash.read(offset, bytes)?)
    }

    fn capacity(&self) -> usize {
        self.flash.size() as usize
    }
}

impl NorFlash for PoweredFlash<'_> {
    const WRITE_SIZE: usize = 1;
    const ERASE_SIZE: usize = SECTOR as usize;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), Fault> {
        self.power.check()?;
        self.flash.check_erase(from, to)?;
        (from..to).step_by(SECTOR as usize).try_for_each(|sector| self.erase_sector(sector))
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Fault> {
        self.program(offset, bytes)
    }
}

impl MultiwriteNorFlash for PoweredFlash<'_> {}

/// eFuses that can be burned only while there is power.
pub struct PoweredEfuses<'a> {
    efuses: &'a mut Efuses,
    power: &'a Power,
}

impl<'a> PoweredEfuses<'a> {
    /// These eFuses, on that supply.
    pub fn new(efuses: &'a mut Efuses, power: &'a Power) -> Self {
        Self { efuses, power }
    }

    /// As [`Efuses::burn`]; a cut leaves any of the new cells burned.
    ///
    /// # Errors
    /// Power fails.
    pub fn burn(&mut self, block: usize, bits: &[u32]) -> Result<(), PowerLost> {
        let operation = Operation::Burn { block, bits: bits.into() };
        match self.power.next(&operation, operation.efuse_states(self.efuses))? {
            None => {
                self.efuses.burn(block, bits);
                Ok(())
            }
            Some(tear) => {
                operation.torn_on_efuses(self.efuses, tear);
                Err(PowerLost)
            }
        }
    }

    /// As [`Efuses::burn_field`].
    ///
    /// # Errors
    /// Power fails; in the result, what is wrong with the burn.
    pub fn burn_field(&mut self, name: &str, value: u64) -> Result<Result<(), BurnError>, PowerLost> {
        match self.efuses.field_bits(name, value) {
            Ok(Some((block, bits))) => self.burn(block, &bits).map(Ok),
            Ok(None) => Ok(Ok(())),
            Err(error) => Ok(Err(error)),
        }
    }

    /// As the vendor's emulator burns; there, power never fails.
    pub(crate) fn burn_without_code(&mut self, block: usize, bits: &[u32]) {
        self.efuses.burn_without_code(block, bits);
    }

    pub(crate) fn note_programmed(&mut self, block: usize, data: &[u32]) {
        self.efuses.note_programmed(block, data);
    }
}

impl Deref for PoweredEfuses<'_> {
    type Target = Efuses;
    fn deref(&self) -> &Efuses {
        self.efuses
    }
}

impl Efuse for PoweredEfuses<'_> {
    fn chip(&self) -> Chip {
        self.efuses.chip()
    }
    fn read_word(&self, block: usize, word: usize) -> u32 {
        self.efuses.read_word(block, word)
    }
}
