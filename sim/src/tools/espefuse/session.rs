//! One run of espefuse: values are staged, checked block by block, then burned with the protections last.

use super::{
    super::Failure,
    format::{bits, number, value},
};
use crate::efuse::{Efuses, coding::GROUP_3_4, place};
use dryburn::{
    Chip,
    efuse::{Efuse, Field, FieldKind, blocks, read, read_block},
};

const FORCE_HINT: &str = "(use '--force-write-always' option to ignore it)";

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

/// What a command says about protected or burned targets.
#[derive(Clone, Copy)]
pub(super) struct Force {
    /// Go on regardless.
    pub on: bool,
    /// Mention the option in refusals.
    pub hint: bool,
}

/// Staged values on top of eFuses, and the console output so far.
pub(super) struct Session<'a> {
    pub e: &'a mut Efuses,
    staged: Vec<Vec<u32>>,
    pub out: String,
    /// Several commands: burn once, at the end.
    pub batch: bool,
    pub wants_burn: bool,
    force: Force,
}

impl<'a> Session<'a> {
    pub fn new(e: &'a mut Efuses, batch: bool) -> Self {
        let staged = (0..blocks(e.chip()).len()).map(|n| vec![0; e.words(n)]).collect();
        let force = Force { on: false, hint: false };
        let mut session = Self { e, staged, out: String::new(), batch, wants_burn: false, force };
        session.say("espefuse v5.6.0");
        session
    }

    pub fn say(&mut self, line: &str) {
        self.out.push_str(line);
        self.out.push('\n');
    }

    fn disabled(&self, register: &str, bit: u8) -> bool {
        read(&*self.e, register).checked_shr(bit.into()).unwrap_or(0) & 1 == 1
    }

    pub fn write_protected(&self, field: &Field) -> bool {
        field.write_disable.is_some_and(|bit| self.disabled("WR_DIS", bit))
    }

    pub fn read_protected(&self, field: &Field) -> bool {
        field.read_disable.iter().any(|bit| self.disabled("RD_DIS", *bit))
    }

    /// The field of that name at the present silicon revision.
    pub fn field(&self, name: &str) -> Option<&'static Field> {
        let table = self.e.fields();
        table.iter().find(|f| f.name == name).or_else(|| table.iter().find(|f| f.aliases.contains(&name)))
    }

    /// Stages a new value (little-endian bits) of a field after the checks that the tool makes.
    pub fn stage(&mut self, field: &Field, new: &[u8], force: Force) -> Result<(), Failure> {
        let mut old = bits(self.e, field);
        for (old, staged) in old.iter_mut().zip(self.staged_bits(field)) {
            *old |= staged;
        }
        let new: Vec<u8> = (0..old.len()).map(|i| new.get(i).copied().unwrap_or(0)).collect();
        let name = field.name;
        let hint = if force.hint { FORCE_HINT } else { "" };
        let adds = old.iter().zip(&new).any(|(old, new)| new & !old != 0);
        let clears = old.iter().zip(&new).any(|(old, new)| old & !new != 0);
        if !adds {
            if old.iter().any(|b| *b != 0) {
                self.say(&format!("        The same value for {name} is already burned. Do not change the eFuse."));
            }
            return Ok(());
        }
        if clears && !["WR_DIS", "RD_DIS"].contains(&name) && !force.on {
            let both: Vec<u8> = old.iter().zip(&new).map(|(old, new)| old | new).collect();
            let is_key = field.kind == FieldKind::Bytes && !field.read_disable.is_empty();
            let shown = if is_key { "hidden".into() } else { value(field, &both) };
            let text = format!("        New value contains some bits that cannot be cleared (value will be {shown})");
            return Err(Failure::new(format!("{text}{hint}")));
        }
        let skipped = " Skipped because '--force-write-always' option.";
        if self.read_protected(field) {
            let text = format!(
                "        {name} is read-protected. The written value can not be read, the eFuse/block looks as all 0.\n        \
                 Burn in this case may damage an already written value."
            );
            if !force.on {
                return Err(Failure::new(format!("{text}{hint}")));
            }
            self.say(&format!("{text}{skipped}"));
        }
        if self.write_protected(field) {
            let text = format!("        {name} is write-protected. Burn is not possible.");
            if !force.on {
                return Err(Failure::new(format!("{text}{hint}")));
            }
            self.say(&format!("{text}{skipped}"));
        }
        self.force = force;
        self.put(field, &new);
        Ok(())
    }

    /// The staged bits of a field.
    fn staged_bits(&self, field: &Field) -> Vec<u8> {
        let mut out = vec![0; usize::from(field.len).div_ceil(8)];
        let Some(words) = self.staged.get(usize::from(field.block)) else { return out };
        for i in 0..usize::from(field.len) {
            let bit = usize::from(field.bit) + i;
            if words.get(bit / 32).is_some_and(|w| w >> (bit % 32) & 1 == 1)
                && let Some(byte) = out.get_mut(i / 8)
            {
                *byte |= 1 << (i % 8);
            }
        }
        out
    }

    fn put(&mut self, field: &Field, new: &[u8]) {
        if let Some(block) = self.staged.get_mut(usize::from(field.block)) {
            for (word, bits) in block.iter_mut().zip(place(field, new, 8)) {
                *word |= bits;
            }
        }
    }

    /// Stages one bit of WR_DIS or RD_DIS.
    pub fn protect(&mut self, register: &str, bit: u8) -> Result<(), Failure> {
        let Some(field) = self.field(register) else { return Ok(()) };
        if register == "RD_DIS" && self.write_protected(field) {
            let text = "This eFuse cannot be read-disabled due to the RD_DIS field being already write-disabled";
            return Err(Failure::new(text));
        }
        let staged = self.staged.first().is_some_and(|words| {
            let at = usize::from(field.bit) + usize::from(bit);
            words.get(at / 32).is_some_and(|w| w >> (at % 32) & 1 == 1)
        });
        if staged || self.disabled(register, bit) {
            self.say(&format!("        The same value for {register} is already burned. Do not change the eFuse."));
            return Ok(());
        }
        self.put(field, &1_u32.checked_shl(bit.into()).unwrap_or(0).to_le_bytes());
        Ok(())
    }

    /// Burns what is staged, or leaves it for the end where several commands stand in a row.
    pub fn finish(&mut self, checks: bool) -> Result<(), Failure> {
        self.wants_burn = true;
        if self.batch {
            self.say("\nBatch mode is enabled, the burn will be done at the end of the command.");
            return Ok(());
        }
        self.burn_all(checks)
    }

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
        self.say(". \nThis is an irreversible operation!");
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

    /// Whether a block has something to burn, and may be burned.
    fn check_block(&mut self, n: usize) -> Result<bool, Failure> {
        let wanted = self.staged.get(n).cloned().unwrap_or_default();
        let present: Vec<u32> = (0..wanted.len()).map(|w| self.e.read_word(n, w)).collect();
        if wanted.iter().zip(&present).all(|(wanted, present)| wanted & !present == 0) {
            return Ok(false);
        }
        let Some(block) = blocks(self.e.chip()).get(n) else { return Ok(false) };
        if present.iter().all(|w| *w == 0) {
            self.say(&format!("[{n:02}] {:<20} is empty, will burn the new value", block.name));
            return Ok(true);
        }
        self.say(&format!("[{n:02}] {:<20} is not empty", block.name));
        let scheme = match self.e.chip() {
            _ if n == 0 => "NONE",
            Chip::Esp32 if read(&*self.e, "CODING_SCHEME") == 1 => "3/4",
            Chip::Esp32 => "NONE",
            _ => "RS",
        };
        if block.read_disable.is_empty() {
            let shown = |words: &[u32]| words.iter().rev().map(|w| format!("{w:08x}")).collect::<String>();
            self.say(&format!("        (written ): 0x{}", shown(&present)));
            self.say(&format!("        (to write): 0x{}", shown(&wanted)));
        }
        self.say(&format!("        (coding scheme = {scheme})"));
        let allowed = match scheme {
            "NONE" => true,
            "3/4" => groups_are_new(&present, &wanted),
            _ => false,
        };
        if allowed || self.force.on {
            return Ok(true);
        }
        let hint = if self.force.hint { FORCE_HINT } else { "" };
        let name = block.name;
        let text = format!("        Burn into {name} is forbidden ({scheme} coding scheme does not allow this).{hint}");
        Err(Failure::new(text))
    }

    fn program(&mut self, n: usize, data: &[u32]) -> Result<(), Failure> {
        self.e.burn(n, data);
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
            return Ok(());
        }
        Err(Failure::new(format!("Burn {names} was not successful.")))
    }

    fn burn_block0(&mut self) -> Result<(), Failure> {
        let wanted = self.staged.first().cloned().unwrap_or_default();
        let mut late = vec![0; wanted.len()];
        let postponed: Vec<&Field> = POSTPONED.iter().filter_map(|name| self.field(name)).collect();
        for field in &postponed {
            for (late, bits) in late.iter_mut().zip(place(field, &[0xFF; 4], 8)) {
                *late |= bits;
            }
        }
        let now: Vec<u32> = wanted.iter().zip(&late).map(|(w, l)| w & !l).collect();
        let late: Vec<u32> = wanted.iter().zip(&late).map(|(w, l)| w & l).collect();
        if self.adds(&now) {
            self.program(0, &now)?;
        }
        self.say("Burn postponed eFuses from BLOCK0.");
        for field in postponed {
            let staged = place(field, &[0xFF; 4], 8).iter().zip(&late).any(|(mask, late)| mask & late != 0);
            if !staged && number(&bits(self.e, field)) != 0 {
                self.say(&format!(
                    "        The same value for {} is already burned. Do not change the eFuse.",
                    field.name
                ));
            }
        }
        if self.adds(&late) { self.program(0, &late) } else { Ok(()) }
    }

    fn adds(&self, words: &[u32]) -> bool {
        words.iter().enumerate().any(|(w, bits)| bits & !self.e.read_word(0, w) != 0)
    }

    /// A block as software reads it.
    pub fn block(&self, n: usize) -> [u8; 32] {
        read_block(&*self.e, n)
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
