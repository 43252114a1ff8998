//! The SPI commands of a flash chip, as a Winbond W25Q32JV answers them, over a [`Flash`] of any modelled size.
//!
//! | command | code | needs WEL | |
//! |---|---|---|---|
//! | JEDEC id | `9F` | | manufacturer `EF`, type `40`, capacity: the exponent of two of the size in bytes |
//! | read, fast read | `03`, `0B` | | wraps from the last byte to the first |
//! | read status | `05`, `35` | | status register 1, 2 |
//! | WREN, WRDI | `06`, `04` | | set and clear WEL |
//! | page program | `02` | yes | wraps inside its 256-byte page; of more than 256 bytes the last 256 count |
//! | erase | `20`, `52`, `D8`, `C7`/`60` | yes | sector 4 KB, block 32 KB and 64 KB, chip |
//! | write status | `01`, `31` | yes | register 1 (and 2 when two bytes are sent), register 2 |
//! | reset | `66` `99` | | clears WEL |
//!
//! Status register 1: bit 0 BUSY, 1 WEL, 2-4 BP0-BP2, 5 TB, 6 SEC, 7 SRP. Status register 2: bit 0 SRL, 1 QE, 3-5 LB1-LB3,
//! 6 CMP. An operation that is carried out clears WEL; one that is refused (protected area, command not complete) is
//! ignored in silence and leaves WEL set, which is how ESP-IDF's driver notices (behaviour sheet §4.3: 0x106).
//!
//! Not modelled: time (BUSY always reads 0), the /WP pin (held high, so SRP locks nothing), 4-byte addresses (beyond 16 MB
//! only the array is reachable), dual and quad transfers, suspend, SFDP.
//!
//! UNVERIFIED: the bits and the protected portions ([`protected`]) are general knowledge of the W25Q…JV family, held
//! against no data sheet and no part; Winbond's own capacity codes of 64 MB and more (20, 21) differ from those here.

use super::Flash;
use dryburn::{PAGE, SECTOR};
use std::ops::Range;

/// BUSY in status register 1: an operation is under way.
pub const SR1_BUSY: u8 = 1 << 0;
/// WEL in status register 1: the next program, erase or write-status command is obeyed.
pub const SR1_WEL: u8 = 1 << 1;
/// BP0 to BP2 in status register 1: how much is protected.
pub const SR1_BP: u8 = 0b111 << 2;
/// TB in status register 1: the protected part lies at the bottom instead of the top.
pub const SR1_TB: u8 = 1 << 5;
/// SEC in status register 1: the protected part is counted in sectors instead of blocks.
pub const SR1_SEC: u8 = 1 << 6;
/// SRL in status register 2: no more status writes until the power cycle.
pub const SR2_SRL: u8 = 1 << 0;
/// QE in status register 2: quad enable.
pub const SR2_QE: u8 = 1 << 1;
/// LB1 to LB3 in status register 2: one-time programmable locks of the security registers.
pub const SR2_LB: u8 = 0b111 << 3;
/// CMP in status register 2: protect everything *but* what BP, TB and SEC name.
pub const SR2_CMP: u8 = 1 << 6;

/// Manufacturer and memory type of [`SpiFlash::jedec_id`]: Winbond, W25Q…JV.
const JEDEC_VENDOR_AND_TYPE: [u8; 2] = [0xEF, 0x40];

const BLOCK_32K: u32 = 32 * 1024;
const BLOCK_64K: u32 = 64 * 1024;

/// A flash chip behind its SPI pins.
#[derive(Clone, Debug)]
pub struct SpiFlash {
    array: Flash,
    sr1: u8,
    sr2: u8,
    reset_armed: bool,
}

impl SpiFlash {
    /// The chip with that array, nothing protected, quad mode enabled as most modules have it.
    pub fn new(array: Flash) -> Self {
        Self { array, sr1: 0, sr2: SR2_QE, reset_armed: false }
    }

    /// The array behind the commands.
    pub fn array(&self) -> &Flash {
        &self.array
    }

    /// Gives the array back.
    pub fn into_array(self) -> Flash {
        self.array
    }

    /// Status registers 1 and 2.
    pub fn status(&self) -> [u8; 2] {
        [self.sr1, self.sr2]
    }

    /// Power off and on: WEL and SRL are forgotten, all else in the status registers is non-volatile.
    pub fn power_cycle(&mut self) {
        self.sr1 &= !SR1_WEL;
        self.sr2 &= !SR2_SRL;
        self.reset_armed = false;
    }

    /// The three bytes that command `9F` gives: manufacturer, memory type, exponent of two of the size in bytes.
    pub fn jedec_id(&self) -> [u8; 3] {
        let [vendor, kind] = JEDEC_VENDOR_AND_TYPE;
        [vendor, kind, self.array.size().trailing_zeros() as u8]
    }

    /// One transaction, from chip select to its release: the bytes `sent`, then `reply.len()` bytes read back. Where the chip
    /// drives nothing (unknown command, command without an answer) `reply` is `0xFF`.
    pub fn transfer(&mut self, sent: &[u8], reply: &mut [u8]) {
        reply.fill(0xFF);
        let Some((command, rest)) = sent.split_first() else { return };
        let armed = std::mem::take(&mut self.reset_armed);
        match (command, rest) {
            (0x9F, _) => reply.iter_mut().zip(self.jedec_id()).for_each(|(to, from)| *to = from),
            (0x05, _) => reply.fill(self.sr1),
            (0x35, _) => reply.fill(self.sr2),
            (0x03, [a, b, c]) | (0x0B, [a, b, c, _]) => self.read(self.address(*a, *b, *c), reply),
            (0x06, []) => self.sr1 |= SR1_WEL,
            (0x04, []) => self.sr1 &= !SR1_WEL,
            (0x66, []) => self.reset_armed = true,
            (0x99, []) if armed => self.sr1 &= !SR1_WEL,
            // Whatever WEL guards; the guard carries it out.
            (_, rest) if self.sr1 & SR1_WEL != 0 && self.write_command(*command, rest) => self.sr1 &= !SR1_WEL,
            _ => {}
        }
    }

    /// A command that WEL guards; whether it was carried out.
    fn write_command(&mut self, command: u8, rest: &[u8]) -> bool {
        match (command, rest) {
            (0x02, [a, b, c, data @ ..]) if !data.is_empty() => self.page_program(self.address(*a, *b, *c), data),
            (0x20, [a, b, c]) => self.erase(self.address(*a, *b, *c), SECTOR),
            (0x52, [a, b, c]) => self.erase(self.address(*a, *b, *c), BLOCK_32K),
            (0xD8, [a, b, c]) => self.erase(self.address(*a, *b, *c), BLOCK_64K),
            (0xC7 | 0x60, []) => self.erase(0, self.array.size()),
            (0x01, [sr1]) => self.write_status(*sr1, self.sr2),
            (0x01, [sr1, sr2]) => self.write_status(*sr1, *sr2),
            (0x31, [sr2]) => self.write_status(self.sr1, *sr2),
            _ => false,
        }
    }

    /// Three address bytes, most significant first; bits beyond the size are not decoded.
    fn address(&self, a: u8, b: u8, c: u8) -> u32 {
        u32::from_be_bytes([0, a, b, c]) % self.array.size()
    }

    fn read(&self, address: u32, mut reply: &mut [u8]) {
        let mut at = address;
        while !reply.is_empty() {
            let length = reply.len().min((self.array.size() - at) as usize);
            let (piece, rest) = reply.split_at_mut(length);
            if self.array.read(at, piece).is_err() {
                return; // cannot happen: the piece ends at the end of the array
            }
            reply = rest;
            at = 0;
        }
    }

    fn page_program(&mut self, address: u32, data: &[u8]) -> bool {
        let page = address & !(PAGE - 1);
        let mut buffer = [0xFF; PAGE as usize];
        for (n, byte) in data.iter().enumerate() {
            buffer[(address as usize + n) % PAGE as usize] = *byte;
        }
        let touched = data.len().min(PAGE as usize) as u32;
        let first = address - page;
        // In address order the programmed bytes are one run, or two when they wrap.
        let head = touched.min(PAGE - first);
        let runs = [first..first + head, 0..touched - head];
        if self.is_protected(page..page + PAGE) {
            return false;
        }
        runs.into_iter()
            .filter(|run| !run.is_empty())
            .all(|run| self.array.program(page + run.start, &buffer[run.start as usize..run.end as usize]).is_ok())
    }

    fn erase(&mut self, address: u32, unit: u32) -> bool {
        let from = address - address % unit;
        let to = from + unit;
        !self.is_protected(from..to) && self.array.erase(from, to).is_ok()
    }

    fn write_status(&mut self, sr1: u8, sr2: u8) -> bool {
        if self.sr2 & SR2_SRL != 0 {
            return false;
        }
        self.sr1 = (self.sr1 & (SR1_BUSY | SR1_WEL)) | (sr1 & !(SR1_BUSY | SR1_WEL));
        self.sr2 = (sr2 & (SR2_SRL | SR2_QE | SR2_CMP)) | ((self.sr2 | sr2) & SR2_LB);
        true
    }

    fn is_protected(&self, range: Range<u32>) -> bool {
        let guarded = protected(self.sr1, self.sr2, self.array.size());
        let inside = |r: &Range<u32>| range.start < r.end && r.start < range.end;
        guarded.iter().any(inside)
    }
}

/// The protected addresses (at most one range) that the status registers name on a chip of `size` bytes.
///
/// BP counts 1 to 6 in powers of two, of 1/64 of the chip but at least 64 KB (SEC = 0) or of 4 KB up to 32 KB (SEC = 1); 0 is
/// nothing and 7 everything. TB puts the part at the bottom, CMP protects the rest instead. SEC with BP = 6 is taken
/// as 32 KB. UNVERIFIED, see the module.
pub fn protected(sr1: u8, sr2: u8, size: u32) -> Option<Range<u32>> {
    let count = u32::from((sr1 & SR1_BP) >> 2);
    let length = match (count, sr1 & SR1_SEC != 0) {
        (0, _) => 0,
        (7, _) => size,
        (n, true) => (SECTOR << (n - 1)).min(BLOCK_32K),
        (n, false) => ((size / 64).max(BLOCK_64K) << (n - 1)).min(size),
    };
    let bottom = sr1 & SR1_TB != 0;
    let part = if bottom { 0..length } else { size - length..size };
    let range = match (sr2 & SR2_CMP != 0, bottom) {
        (false, _) => part,
        (true, true) => part.end..size,
        (true, false) => 0..part.start,
    };
    Some(range).filter(|r| !r.is_empty())
}

#[cfg(test)]
mod tests;
