//! Flash drivers over plain arrays.

use crate::{SECTOR, flash_encryption::PIECE, ota::EncryptedFlash};
use embedded_storage::nor_flash::{
    ErrorType, NorFlash, NorFlashErrorKind, ReadNorFlash, check_erase, check_read, check_write,
};
use std::{vec, vec::Vec};

/// Size of either in bytes.
pub const SIZE: usize = 0x4_0000;

/// NOR flash whose reads have a unit of `READ` bytes; counts them, and notes erases.
pub struct Nor<const READ: usize> {
    pub bytes: Vec<u8>,
    pub reads: usize,
    pub erases: Vec<u32>,
}

impl<const READ: usize> Nor<READ> {
    pub fn new() -> Self {
        Self { bytes: vec![0xFF; SIZE], reads: 0, erases: Vec::new() }
    }
}

impl<const READ: usize> ErrorType for Nor<READ> {
    type Error = NorFlashErrorKind;
}

impl<const READ: usize> ReadNorFlash for Nor<READ> {
    const READ_SIZE: usize = READ;
    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), NorFlashErrorKind> {
        check_read(self, offset, bytes.len())?;
        self.reads += 1;
        bytes.copy_from_slice(&self.bytes[offset as usize..][..bytes.len()]);
        Ok(())
    }
    fn capacity(&self) -> usize {
        SIZE
    }
}

impl<const READ: usize> NorFlash for Nor<READ> {
    const WRITE_SIZE: usize = PIECE;
    const ERASE_SIZE: usize = SECTOR as usize;
    fn erase(&mut self, from: u32, to: u32) -> Result<(), NorFlashErrorKind> {
        check_erase(self, from, to)?;
        self.erases.push(from);
        self.bytes[from as usize..to as usize].fill(0xFF);
        Ok(())
    }
    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), NorFlashErrorKind> {
        check_write(self, offset, bytes.len())?;
        self.bytes[offset as usize..].iter_mut().zip(bytes).for_each(|(to, from)| *to &= from);
        Ok(())
    }
}

/// Flash behind a cipher that nobody would ship: each byte XOR the number of its piece.
pub struct Veiled(pub Nor<1>);

/// Applies the cipher, or takes it off.
pub fn veil(address: u32, bytes: &mut [u8]) {
    (address..).zip(bytes).for_each(|(at, byte)| *byte ^= (at / 16) as u8 ^ 0x5A);
}

impl EncryptedFlash for Veiled {
    type Error = NorFlashErrorKind;
    fn capacity(&self) -> u32 {
        SIZE as u32
    }
    fn read(&mut self, address: u32, bytes: &mut [u8]) -> Result<(), NorFlashErrorKind> {
        self.0.read(address, bytes)?;
        veil(address, bytes);
        Ok(())
    }
    fn read_raw(&mut self, address: u32, bytes: &mut [u8]) -> Result<(), NorFlashErrorKind> {
        self.0.read(address, bytes)
    }
    fn program(&mut self, address: u32, bytes: &[u8]) -> Result<(), NorFlashErrorKind> {
        let mut bytes = bytes.to_vec();
        veil(address, &mut bytes);
        self.0.write(address, &bytes)
    }
    fn program_raw(&mut self, address: u32, bytes: &[u8]) -> Result<(), NorFlashErrorKind> {
        self.0.write(address, bytes)
    }
    fn erase_sector(&mut self, address: u32) -> Result<(), NorFlashErrorKind> {
        self.0.erase(address, address + SECTOR)
    }
}
