//! One run of espefuse: values are staged field by field, then burned (`burning.rs`).

use super::{
    super::Failure,
    format::{bits, value},
};
use crate::{
    efuse::{coding::GROUP_3_4, place},
    fault::PoweredEfuses,
};
use dryburn::{
    Chip, Revision,
    efuse::{Efuse, Field, FieldKind, blocks, chip_revision, read, read_block},
};

const FORCE_HINT: &str = "(use '--force-write-always' option to ignore it)";

/// What a command says about protected or burned targets.
#[derive(Clone, Copy)]
pub(super) struct Force {
    /// Mention the option in refusals.
    pub hint: bool,
}

/// Staged values on top of eFuses, and the console output so far.
pub(super) struct Session<'a> {
    pub e: &'a mut PoweredEfuses<'a>,
    pub(super) staged: Vec<Vec<u32>>,
    pub out: String,
    /// Several commands: burn once, at the end.
    pub batch: bool,
    pub wants_burn: bool,
    /// Something was burned.
    pub burned: bool,
    /// Burn all of block 0 at once.
    pub no_postpone: bool,
    /// The last command of the line that could have --force-write-always has it: that counts for all of them.
    pub forced: bool,
    /// A `--virt` file, not a board.
    pub virt: bool,
    /// Show what is burned as an `EFSW:` token.
    pub show_token: bool,
    force: Force,
}

impl<'a> Session<'a> {
    pub fn new(e: &'a mut PoweredEfuses<'a>, batch: bool) -> Self {
        let staged = (0..blocks(e.chip()).len()).map(|n| vec![0; e.words(n)]).collect();
        let force = Force { hint: false };
        let out = String::from("espefuse v5.6.0\n");
        let (no_postpone, show_token, virt, forced) = (false, false, false, false);
        Self { e, staged, out, batch, wants_burn: false, burned: false, no_postpone, forced, virt, show_token, force }
    }

    pub fn say(&mut self, line: &str) {
        self.out.push_str(line);
        self.out.push('\n');
    }

    pub fn disabled(&self, register: &str, bit: u8) -> bool {
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
        let burned = bits(self.e, field);
        let staged = self.staged_bits(field);
        let new: Vec<u8> = (0..burned.len()).map(|i| new.get(i).copied().unwrap_or(0)).collect();
        self.force = force;
        if self.check_field(field, &burned, &staged, &new)? {
            self.put(field, &new);
        }
        Ok(())
    }

    /// Whether a field is to be burned, with the bits that it has, those that earlier commands staged, and those that it shall
    /// have.
    pub(super) fn check_field(
        &mut self,
        field: &Field,
        burned: &[u8],
        staged: &[u8],
        new: &[u8],
    ) -> Result<bool, Failure> {
        let name = field.name;
        if !burned.iter().zip(new).any(|(old, new)| new & !old != 0) {
            if burned.iter().any(|b| *b != 0) {
                self.say(&format!("        The same value for {name} is already burned. Do not change the eFuse."));
            }
            return Ok(false);
        }
        let old: Vec<u8> = burned.iter().zip(staged).map(|(burned, staged)| burned | staged).collect();
        let clears = old.iter().zip(new).any(|(old, new)| old & !new != 0);
        if clears && !["WR_DIS", "RD_DIS"].contains(&name) {
            let both: Vec<u8> = old.iter().zip(new).map(|(old, new)| old | new).collect();
            let is_key = field.kind == FieldKind::Bytes && !field.read_disable.is_empty();
            let shown = if is_key { "hidden".into() } else { value(field, &both) };
            self.object(&format!("New value contains some bits that cannot be cleared (value will be {shown})"))?;
        }
        if self.read_protected(field) {
            self.object(&read_protected(name))?;
        }
        if self.write_protected(field) {
            self.object(&write_protected(name))?;
        }
        Ok(true)
    }

    /// Refuses, or goes on where that was forced.
    pub(super) fn object(&mut self, text: &str) -> Result<(), Failure> {
        if !self.forced {
            let hint = if self.force.hint { FORCE_HINT } else { "" };
            return Err(Failure::new(format!("        {text}{hint}")));
        }
        self.say(&format!("        {text} Skipped because '--force-write-always' option."));
        Ok(())
    }

    /// Stages bytes of a block, whatever fields they belong to.
    pub fn stage_block(&mut self, n: usize, data: &[u8], force: Force) {
        self.force = force;
        if let Some(block) = self.staged.get_mut(n) {
            for (word, bytes) in block.iter_mut().zip(data.as_chunks::<4>().0) {
                *word |= u32::from_le_bytes(*bytes);
            }
        }
    }

    /// Length of a block in bytes: with 3/4 coding the ESP32's blocks 1 to 3 have 24.
    pub fn block_len(&self, n: usize) -> usize {
        if n > 0 && self.e.chip() == Chip::Esp32 && read(&*self.e, "CODING_SCHEME") == 1 {
            GROUP_3_4 * 4
        } else {
            self.e.words(n) * 4
        }
    }

    /// The staged bits of a field.
    pub(super) fn staged_bits(&self, field: &Field) -> Vec<u8> {
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
            return Err(Failure::new(
                "This eFuse cannot be read-disabled due to the RD_DIS field being already write-disabled",
            ));
        }
        if register == "WR_DIS" && self.write_protected(field) {
            return Err(Failure::new(
                "This eFuse cannot be write-disabled due to the WR_DIS field being already write-disabled",
            ));
        }
        let staged = self.staged.first().is_some_and(|words| {
            let at = usize::from(field.bit) + usize::from(bit);
            words.get(at / 32).is_some_and(|w| w >> (at % 32) & 1 == 1)
        });
        if staged || self.disabled(register, bit) {
            let state = if staged { "prepared for the burn operation." } else { "burned. Do not change the eFuse." };
            self.say(&format!("        The same value for {register} is already {state}"));
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

    /// The silicon revision as the tool has it. Of an ESP32's three bits one is no eFuse: the core takes it as CHIP_VER_REV2 is,
    /// the vendor's emulator as 1, so there a chip is v3.x or v0.x.
    pub fn revision(&self) -> Revision {
        let revision = chip_revision(&*self.e);
        if self.virt && self.e.chip() == Chip::Esp32 && revision.major() < 3 {
            return Revision::new(0, revision.minor());
        }
        revision
    }

    /// A block as software reads it.
    pub fn block(&self, n: usize) -> [u8; 32] {
        read_block(&*self.e, n)
    }
}

pub(super) fn read_protected(name: &str) -> String {
    format!(
        "{name} is read-protected. The written value can not be read, the eFuse/block looks as all 0.\n        \
         Burn in this case may damage an already written value."
    )
}

pub(super) fn write_protected(name: &str) -> String {
    format!("{name} is write-protected. Burn is not possible.")
}
