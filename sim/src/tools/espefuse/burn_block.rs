//! burn-bit and burn-block-data: bits of a block, whatever fields they belong to.

use super::{
    super::{Failure, Workbench},
    args::Command,
    format::hidden,
    session::{Force, Session},
};
use dryburn::{
    Chip,
    efuse::{Block, blocks},
};

pub(super) fn bit(session: &mut Session, command: &Command) -> Result<(), Failure> {
    let [name, numbers @ ..] = command.positional.as_slice() else {
        return Err(Failure::new("burn-bit: name a block and at least one bit number"));
    };
    if numbers.is_empty() {
        return Err(Failure::new("Command `burn-bit` requires the `bit_number` argument."));
    }
    let (n, block) = find(session, name)?;
    let len = session.block_len(n);
    let mut data = vec![0_u8; len];
    for text in numbers {
        let bit: i64 = text.parse().map_err(|_| {
            Failure::new(format!("Invalid value for 'BIT_NUMBER...': '{text}' is not a valid integer."))
        })?;
        let slot = usize::try_from(bit).ok().and_then(|bit| data.get_mut(bit / 8).map(|byte| (byte, bit % 8)));
        let (byte, shift) =
            slot.ok_or_else(|| Failure::new(format!("{name} has bit_number in [0..{}]", len * 8 - 1)))?;
        *byte |= 1 << shift;
    }
    session
        .say(&format!("bit_number:   [{:03}]........................................................[0]", len * 8 - 1));
    let digits: String = data.iter().rev().map(|b| format!("{b:02x}")).collect();
    session.say(&format!("BLOCK {n:<3} : 0x{digits}"));
    let alias = block.aliases.join(" ").chars().take(16).collect::<String>();
    let words: Vec<String> =
        data.as_chunks::<4>().0.iter().map(|w| format!("{:08x}", u32::from_le_bytes(*w))).collect();
    session.say(&format!("{:<15} ({alias:<16}) [{n:<2}] regs_to_write: {}", block.name, words.join(" ")));
    let force = Force { hint: true };
    session.stage_block(n, &data, force);
    session.finish(false)
}

pub(super) fn data(session: &mut Session, files: &mut Workbench, command: &Command) -> Result<(), Failure> {
    let words = &command.positional;
    if words.is_empty() || !words.len().is_multiple_of(2) {
        let found = words.len();
        return Err(Failure::new(format!("burn-block-data: found {found} words, expected pairs of BLOCK DATAFILE")));
    }
    let offset: i64 = match command.value("--offset") {
        Some(text) => text.parse().map_err(|_| {
            Failure::new(format!("Invalid value for '--offset' / '-o': '{text}' is not a valid integer."))
        })?,
        None => 0,
    };
    let mut taken: Vec<&str> = Vec::new();
    let mut jobs = Vec::new();
    for pair in words.chunks(2) {
        let [name, file] = pair else { continue };
        let (n, block) = find(session, name)?;
        if taken.contains(&name.as_str()) {
            return Err(Failure::new(format!("Found repeated ['{name}'] in the name list.")));
        }
        taken.push(name);
        jobs.push((n, block, files.read_small(file)?));
    }
    if offset != 0 && jobs.len() > 1 {
        return Err(Failure::new(
            "The 'offset' option is not applicable when a few blocks are passed. With 'offset', should only one block be used.",
        ));
    }
    let force = Force { hint: true };
    for (n, block, file) in jobs {
        let size = session.block_len(n);
        let before = usize::try_from(offset).unwrap_or(0);
        let found = before.saturating_add(file.len());
        if found > size || (offset == 0 && found != size) {
            return Err(Failure::new(format!(
                "Data does not fit: the block{n} size is {size} bytes, data file is {found} bytes, offset {offset}."
            )));
        }
        let mut data = vec![0; before];
        data.extend(file);
        data.resize(size, 0);
        let shown = if block.read_disable.is_empty() {
            data.iter().map(|b| format!("{b:02x}")).collect::<Vec<_>>().join(" ")
        } else {
            hidden(size)
        };
        session.say(&format!("[{n:02}] {:<20} size={size:02} bytes, offset={offset:02} -> [{shown}]", block.name));
        session.stage_block(n, &data, force);
    }
    session.finish(false)
}

/// A block by name; by its other names, too, except on the ESP32.
fn find(session: &Session, name: &str) -> Result<(usize, &'static Block), Failure> {
    let chip = session.e.chip();
    let others = |b: &Block| if chip == Chip::Esp32 { &[][..] } else { b.aliases };
    let found = blocks(chip).iter().enumerate().find(|(_, b)| b.name == name || others(b).contains(&name));
    found.ok_or_else(|| {
        let mut known: Vec<&str> = Vec::new();
        for block in blocks(chip) {
            known.push(block.name);
            known.extend(others(block));
        }
        Failure::new(format!("Invalid value for BLOCK: '{name}' is not one of '{}'.", known.join("', '")))
    })
}
