//! Where the updater reads and writes: one seam, [`Medium`], and the adapters onto it.
//!
//! | adapter | for a device | what the user brings |
//! |---|---|---|
//! | [`Plain`] | without flash encryption | any [`NorFlash`] driver |
//! | [`Encrypted`] | with flash encryption | an [`EncryptedFlash`] |
//! | [`Either`] | that finds out at start-up | one of each |
//!
//! Addresses are flash addresses in bytes, of the whole chip. Nobody else implements [`Medium`], so the two rules that the
//! updater relies on hold everywhere: programs are whole 16-byte pieces, erases are whole sectors.

use super::error::{FlashFault, FlashOp};
use crate::{SECTOR, flash_encryption::PIECE};
use core::fmt::Debug;
use embedded_storage::nor_flash::{ErrorType, NorFlash, NorFlashErrorKind, ReadNorFlash};

/// Flash of a device with flash encryption on.
///
/// It is not a [`NorFlash`] and must not pose as one: an erased sector does not read 0xFF through the encryption unit, and a
/// piece of 16 bytes that is programmed twice reads as noise (behaviour sheet §4.2).
pub trait EncryptedFlash {
    /// What the driver reports.
    type Error: Debug;

    /// Size of the flash chip in bytes.
    fn capacity(&self) -> u32;

    /// Reads through the encryption unit, as the CPU does (`esp_flash_read_encrypted`). Any address and length.
    ///
    /// # Errors
    /// What the driver reports.
    fn read(&mut self, address: u32, bytes: &mut [u8]) -> Result<(), Self::Error>;

    /// Reads what lies in flash, without decryption (`esp_flash_read`). Any address and length.
    ///
    /// # Errors
    /// What the driver reports.
    fn read_raw(&mut self, address: u32, bytes: &mut [u8]) -> Result<(), Self::Error>;

    /// Encrypts `bytes` for `address` and programs them (`esp_flash_write_encrypted`). Address and length are multiples
    /// of 16.
    ///
    /// # Errors
    /// What the driver reports.
    fn program(&mut self, address: u32, bytes: &[u8]) -> Result<(), Self::Error>;

    /// Programs `bytes` as they are (`esp_flash_write`). Address and length are multiples of 16.
    ///
    /// # Errors
    /// What the driver reports.
    fn program_raw(&mut self, address: u32, bytes: &[u8]) -> Result<(), Self::Error>;

    /// Erases the sector of 4096 bytes at `address`.
    ///
    /// # Errors
    /// What the driver reports.
    fn erase_sector(&mut self, address: u32) -> Result<(), Self::Error>;
}

impl<F: EncryptedFlash> EncryptedFlash for &mut F {
    type Error = F::Error;
    fn capacity(&self) -> u32 {
        F::capacity(self)
    }
    fn read(&mut self, address: u32, bytes: &mut [u8]) -> Result<(), Self::Error> {
        F::read(self, address, bytes)
    }
    fn read_raw(&mut self, address: u32, bytes: &mut [u8]) -> Result<(), Self::Error> {
        F::read_raw(self, address, bytes)
    }
    fn program(&mut self, address: u32, bytes: &[u8]) -> Result<(), Self::Error> {
        F::program(self, address, bytes)
    }
    fn program_raw(&mut self, address: u32, bytes: &[u8]) -> Result<(), Self::Error> {
        F::program_raw(self, address, bytes)
    }
    fn erase_sector(&mut self, address: u32) -> Result<(), Self::Error> {
        F::erase_sector(self, address)
    }
}

mod sealed {
    pub trait Sealed {}
}

/// Flash as the updater uses it: [`Plain`], [`Encrypted`] or [`Either`].
pub trait Medium: sealed::Sealed {
    /// What the driver reports.
    type Error: Debug;
    /// Whether what the CPU reads is decrypted.
    fn is_encrypted(&self) -> bool;
    /// Size of the flash chip in bytes.
    fn capacity(&self) -> u32;
    /// Reads as the CPU does.
    ///
    /// # Errors
    /// What the driver reports.
    fn read(&mut self, address: u32, bytes: &mut [u8]) -> Result<(), Self::Error>;
    /// Reads what lies in flash.
    ///
    /// # Errors
    /// What the driver reports.
    fn read_raw(&mut self, address: u32, bytes: &mut [u8]) -> Result<(), Self::Error>;
    /// Programs so that the CPU then reads `bytes`.
    ///
    /// # Errors
    /// What the driver reports.
    fn program(&mut self, address: u32, bytes: &[u8]) -> Result<(), Self::Error>;
    /// Programs `bytes` as they are.
    ///
    /// # Errors
    /// What the driver reports.
    fn program_raw(&mut self, address: u32, bytes: &[u8]) -> Result<(), Self::Error>;
    /// Erases one sector.
    ///
    /// # Errors
    /// What the driver reports.
    fn erase_sector(&mut self, address: u32) -> Result<(), Self::Error>;
}

/// Flash of a device without flash encryption, over any driver.
///
/// The driver's read and write units may be up to 16 bytes, its erase unit up to 4096; larger ones do not compile.
pub struct Plain<F>(pub F);

impl<F: NorFlash> Plain<F> {
    const UNITS_FIT: () = assert!(
        PIECE.is_multiple_of(F::READ_SIZE)
            && PIECE.is_multiple_of(F::WRITE_SIZE)
            && (SECTOR as usize).is_multiple_of(F::ERASE_SIZE),
        "the flash driver's units are too large: reads and writes of 16 bytes and erases of 4096 bytes must be possible"
    );
}

impl<F> sealed::Sealed for Plain<F> {}

impl<F: NorFlash> Medium for Plain<F> {
    type Error = F::Error;

    fn is_encrypted(&self) -> bool {
        false
    }

    fn capacity(&self) -> u32 {
        u32::try_from(self.0.capacity()).unwrap_or(u32::MAX)
    }

    fn read(&mut self, address: u32, bytes: &mut [u8]) -> Result<(), F::Error> {
        let () = Self::UNITS_FIT;
        if F::READ_SIZE == 1 {
            return self.0.read(address, bytes);
        }
        // ends that stick out of the driver's unit are read as part of a whole piece
        let mut at = address;
        let mut rest = bytes;
        while !rest.is_empty() {
            let into = at as usize % PIECE;
            let body = rest.len() & !PIECE.wrapping_sub(1);
            let (part, tail) = if into == 0 && body > 0 {
                let (part, tail) = rest.split_at_mut(body);
                self.0.read(at, part)?;
                (part, tail)
            } else {
                let mut piece = [0; PIECE];
                self.0.read(at.saturating_sub(into as u32), &mut piece)?;
                let (part, tail) = rest.split_at_mut(PIECE.saturating_sub(into).min(rest.len()));
                part.iter_mut().zip(piece.iter().skip(into)).for_each(|(to, from)| *to = *from);
                (part, tail)
            };
            at = at.saturating_add(part.len() as u32);
            rest = tail;
        }
        Ok(())
    }

    fn read_raw(&mut self, address: u32, bytes: &mut [u8]) -> Result<(), F::Error> {
        self.read(address, bytes)
    }

    fn program(&mut self, address: u32, bytes: &[u8]) -> Result<(), F::Error> {
        self.0.write(address, bytes)
    }

    fn program_raw(&mut self, address: u32, bytes: &[u8]) -> Result<(), F::Error> {
        self.0.write(address, bytes)
    }

    fn erase_sector(&mut self, address: u32) -> Result<(), F::Error> {
        self.0.erase(address, address.saturating_add(SECTOR))
    }
}

/// Flash of a device with flash encryption on.
pub struct Encrypted<F>(pub F);

impl<F> sealed::Sealed for Encrypted<F> {}

impl<F: EncryptedFlash> Medium for Encrypted<F> {
    type Error = F::Error;

    fn is_encrypted(&self) -> bool {
        true
    }
    fn capacity(&self) -> u32 {
        self.0.capacity()
    }
    fn read(&mut self, address: u32, bytes: &mut [u8]) -> Result<(), F::Error> {
        self.0.read(address, bytes)
    }
    fn read_raw(&mut self, address: u32, bytes: &mut [u8]) -> Result<(), F::Error> {
        self.0.read_raw(address, bytes)
    }
    fn program(&mut self, address: u32, bytes: &[u8]) -> Result<(), F::Error> {
        self.0.program(address, bytes)
    }
    fn program_raw(&mut self, address: u32, bytes: &[u8]) -> Result<(), F::Error> {
        self.0.program_raw(address, bytes)
    }
    fn erase_sector(&mut self, address: u32) -> Result<(), F::Error> {
        self.0.erase_sector(address)
    }
}

/// Flash of a device that looks into its eFuses first.
pub enum Either<P, E> {
    /// Flash encryption is off.
    Plain(Plain<P>),
    /// Flash encryption is on.
    Encrypted(Encrypted<E>),
}

/// What one of the two drivers reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EitherError<P, E> {
    /// The plain one.
    Plain(P),
    /// The other.
    Encrypted(E),
}

impl<P, E> sealed::Sealed for Either<P, E> {}

/// Calls the same method on the medium that is there.
macro_rules! on_either {
    ($either:expr, $flash:ident => $call:expr) => {
        match $either {
            Either::Plain($flash) => $call.map_err(EitherError::Plain),
            Either::Encrypted($flash) => $call.map_err(EitherError::Encrypted),
        }
    };
}

impl<P: NorFlash, E: EncryptedFlash> Medium for Either<P, E> {
    type Error = EitherError<P::Error, E::Error>;

    fn is_encrypted(&self) -> bool {
        matches!(self, Self::Encrypted(_))
    }
    fn capacity(&self) -> u32 {
        match self {
            Self::Plain(flash) => flash.capacity(),
            Self::Encrypted(flash) => flash.capacity(),
        }
    }
    fn read(&mut self, address: u32, bytes: &mut [u8]) -> Result<(), Self::Error> {
        on_either!(self, flash => flash.read(address, bytes))
    }
    fn read_raw(&mut self, address: u32, bytes: &mut [u8]) -> Result<(), Self::Error> {
        on_either!(self, flash => flash.read_raw(address, bytes))
    }
    fn program(&mut self, address: u32, bytes: &[u8]) -> Result<(), Self::Error> {
        on_either!(self, flash => flash.program(address, bytes))
    }
    fn program_raw(&mut self, address: u32, bytes: &[u8]) -> Result<(), Self::Error> {
        on_either!(self, flash => flash.program_raw(address, bytes))
    }
    fn erase_sector(&mut self, address: u32) -> Result<(), Self::Error> {
        on_either!(self, flash => flash.erase_sector(address))
    }
}

/// Adds what was tried and where to what the driver reports.
pub(super) fn tried<T, E>(result: Result<T, E>, op: FlashOp, address: u32) -> Result<T, FlashFault<E>> {
    result.map_err(|error| FlashFault { op, address, error })
}

/// What the CPU reads, for [`image::verify`](crate::image::verify); reads only. The first piece of the slot may still be
/// in RAM: then it is shown at its place.
pub(super) struct View<'a, M> {
    pub medium: &'a mut M,
    pub held_back: Option<(u32, &'a [u8; PIECE])>,
}

impl<M> ErrorType for View<'_, M> {
    type Error = NorFlashErrorKind;
}

impl<M: Medium> ReadNorFlash for View<'_, M> {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), NorFlashErrorKind> {
        self.medium.read(offset, bytes).map_err(|_| NorFlashErrorKind::Other)?;
        if let Some((at, piece)) = self.held_back {
            let read = bytes.iter_mut().skip(at.saturating_sub(offset) as usize);
            let held = piece.iter().skip(offset.saturating_sub(at) as usize);
            read.zip(held).for_each(|(byte, held)| *byte = *held);
        }
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.medium.capacity() as usize
    }
}
