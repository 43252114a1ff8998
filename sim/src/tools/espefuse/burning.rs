//! What is staged is checked block by block, then burned: block 0 last, its protections at the very end.

use super::{
    super::Failure,
    check_error,
    format::bits,
    session::{Session, read_protected, write_protected},
};
use crate::efuse::{coding::GROUP_3_4, place};
use dryburn::{
    Chip,
    efuse::{Efuse, Field, blocks, read},
};

/// Fields of block 0 that are burned after everything else of block 0.
const POSTPONED: &[&str] = &[
    "WR_DIS",
    "RD_DIS",
    "FLASH_CRYPT_CNT",
    "UART_DOWNLOAD_DIS",
    "ABS_DONE_1",
    "SPI_BOOT_CRYPT_CNT",
    "DIS_DOWNLOAD_MODE",
    "ENABLE_SECURITY_DOWNLOAD",
    "SECURE_BOOT_EN",
];

/// Burns of a block that goes on to have coding errors, after the first.
const MORE_BURNS: usize = 3;

impl Session<'_> {
    /// Checks all blocks, then burns: blocks from the highest down, block 0 last, its protections at the very end.
    pub fn burn_all(&mut self, checks: bool) -> Result<(), Failure> {
        self.say("\nCheck all blocks for burn...\nidx, BLOCK_NAME,          Conclusion");
        let mut burn = Vec::new();
        for n in 0..self.staged.len() {
            if self.check_block(n)? {
                burn.push(n);
            }
        }
        if burn.is_empty() {
            self.say("Nothing to burn, see messages above.");
            if checks {
                self.say("Checking eFuses...");
            }
            self.say("Successful.");
            return Ok(());
        }
        if self.show_token {
            let blocks = (0..self.staged.len()).map(|n| self.staged_bytes(n, &burn)).collect::<Vec<_>>();
            let token = super::dump::token(self, "EFSW", &blocks);
            self.say(&format!("\neFuse token for burning:\n{token}"));
        }
        self.say(". \nThis is an irreversible operation!");
        self.burned = true;
        for n in burn.iter().rev().filter(|n| **n > 0) {
            let data = self.staged.get(*n).cloned().unwrap_or_default();
            self.program(*n, &data)?;
        }
        self.burn_block0()?;
        self.say("Reading updated eFuses...");
        if checks {
            self.say("Checking eFuses...");
        } else {
            self.say("Successful.");
        }
        Ok(())
    }

    fn staged_bytes(&self, n: usize, burn: &[usize]) -> Vec<u8> {
        let words = self.staged.get(n).filter(|_| burn.contains(&n)).map_or(&[][..], Vec::as_slice);
        let mut bytes: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
        bytes.truncate(self.block_len(n));
        bytes
    }

    /// Whether a block has something to burn, and may be burned.
    fn check_block(&mut self, n: usize) -> Result<bool, Failure> {
        let wanted = self.staged.get(n).cloned().unwrap_or_default();
        if wanted.iter().all(|w| *w == 0) {
            return Ok(false);
        }
        let Some(block) = blocks(self.e.chip()).get(n) else { return Ok(false) };
        let name = block.name;
        if block.read_disable.iter().any(|bit| self.disabled("RD_DIS", *bit)) {
            self.object(&read_protected(name))?;
        }
        if block.write_disable.is_some_and(|bit| self.disabled("WR_DIS", bit)) {
            self.object(&write_protected(name))?;
        }
        let present: Vec<u32> = (0..wanted.len()).map(|w| self.e.read_word(n, w)).collect();
        if present.iter().all(|w| *w == 0) {
            self.say(&format!("[{n:02}] {name:<20} is empty, will burn the new value"));
            return Ok(true);
        }
        if present == wanted {
            self.say(&format!("[{n:02}] {name:<20} is already written the same value, continue with EMPTY_BLOCK"));
            return Ok(false);
        }
        self.say(&format!("[{n:02}] {name:<20} is not empty"));
        if block.read_disable.is_empty() {
            let size = self.block_len(n) / 4;
            let shown = |words: &[u32]| words.iter().take(size).rev().map(|w| format!("{w:08x}")).collect::<String>();
            self.say(&format!("        (written ): 0x{}", shown(&present)));
            self.say(&format!("        (to write): 0x{}", shown(&wanted)));
        }
        if wanted.iter().zip(&present).all(|(wanted, present)| wanted & !present == 0) {
            self.say("        All wr_data bits are set in the written block, continue with EMPTY_BLOCK.");
            return Ok(false);
        }
        let scheme = match self.e.chip() {
            _ if n == 0 => "NONE",
            Chip::Esp32 if read(&*self.e, "CODING_SCHEME") == 1 => "3/4",
            Chip::Esp32 => "NONE",
            _ => "RS",
        };
        self.say(&format!("        (coding scheme = {scheme})"));
        let allowed = match scheme {
            "NONE" => true,
            "3/4" => groups_are_new(&present, &wanted),
            _ => false,
        };
        if !allowed {
            self.object(&format!("Burn into {name} is forbidden ({scheme} coding scheme does not allow this)."))?;
        }
        Ok(true)
    }

    fn program(&mut self, n: usize, data: &[u32]) -> Result<(), Failure> {
        if n == 0
            && self.e.chip() == Chip::Esp32
            && (self.e.raw_word(0, 6) | data.get(6).copied().unwrap_or(0)) & 3 == 2
        {
            return Err(Failure::new("The 2 coding scheme is not supported"));
        }
        self.burn_once(n, data)?;
        for attempt in 0..MORE_BURNS {
            let Some(error) = check_error::of(self, n) else { break };
            let failed = if error.failed { "True" } else { "False" };
            self.say(&format!(
                "Error in BLOCK{n}, re-burn it again (#{attempt}) to fix. fail_bit={failed}, num_errors={}",
                error.count
            ));
            self.burn_once(n, data)?;
        }
        self.e.note_programmed(n, data);
        let now: Vec<u32> = (0..data.len()).map(|w| self.e.read_word(n, w)).collect();
        let how = if now == data { "write block == read block" } else { "all write block bits are set" };
        if now.iter().zip(data).all(|(now, data)| data & !now == 0) {
            self.say(&format!("BURN BLOCK{n:<2} - OK ({how})"));
            return Ok(());
        }
        let Some(block) = blocks(self.e.chip()).get(n) else { return Ok(()) };
        let names = format!("{} (['{}'])", block.name, block.aliases.first().unwrap_or(&block.name));
        if block.read_disable.iter().any(|bit| self.disabled("RD_DIS", *bit)) {
            self.say(&format!("{names} is read-protected. Read back the burn value is not possible."));
            if now.iter().all(|word| *word == 0) {
                return Ok(());
            }
            // of the C2's block the two halves are protected one by one
            let shown: String = now.iter().rev().map(|word| format!("{word:08x}")).collect();
            return Err(Failure::new(format!("The {} is read-protected but not all '0' ({shown})", block.name)));
        }
        if n == 0 {
            return Ok(()); // the tool does not insist on the single bits of block 0
        }
        Err(Failure::new(format!("Burn {names} was not successful.")))
    }

    fn burn_once(&mut self, n: usize, data: &[u32]) -> Result<(), Failure> {
        if self.virt {
            self.e.burn_without_code(n, data);
            return Ok(());
        }
        self.e.burn(n, data).map_err(|lost| Failure::new(format!("BLOCK{n} was being burned: {lost}")))
    }

    fn burn_block0(&mut self) -> Result<(), Failure> {
        let wanted = self.staged.first().cloned().unwrap_or_default();
        if self.no_postpone {
            return if self.adds(&wanted) { self.program(0, &wanted) } else { Ok(()) };
        }
        let postponed: Vec<&'static Field> = POSTPONED.iter().filter_map(|name| self.field(name)).collect();
        let mut now = wanted.clone();
        for field in &postponed {
            for (now, bits) in now.iter_mut().zip(place(field, &[0xFF; 4], 8)) {
                *now &= !bits;
            }
        }
        if self.adds(&now) {
            self.program(0, &now)?;
        }
        self.say("Burn postponed eFuses from BLOCK0.");
        let mut late = vec![0; wanted.len()];
        for field in postponed {
            let (burned, new) = (bits(self.e, field), self.staged_bits(field));
            if self.check_field(field, &burned, &new, &new)? {
                for (late, bits) in late.iter_mut().zip(place(field, &new, 8)) {
                    *late |= bits;
                }
            }
        }
        if self.adds(&late) { self.program(0, &late) } else { Ok(()) }
    }

    fn adds(&self, words: &[u32]) -> bool {
        words.iter().enumerate().any(|(w, bits)| bits & !self.e.read_word(0, w) != 0)
    }
}

/// 3/4 coding: no group of six bytes has both burned bits and other bits to burn.
fn groups_are_new(present: &[u32], wanted: &[u32]) -> bool {
    let bytes = |words: &[u32]| words.iter().flat_map(|w| w.to_le_bytes()).take(24).collect::<Vec<u8>>();
    let (present, wanted) = (bytes(present), bytes(wanted));
    present
        .chunks(GROUP_3_4)
        .zip(wanted.chunks(GROUP_3_4))
        .all(|(present, wanted)| present.iter().all(|b| *b == 0) || wanted.iter().all(|b| *b == 0) || present == wanted)
}
