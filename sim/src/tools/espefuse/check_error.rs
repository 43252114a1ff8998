//! check-error, and the errors that the tool names before any command. Of block 0 only those that a `--virt` file tells of: the copies
//! by which it guards itself are not modelled.

use super::{
    super::Failure,
    format::{bits, hex, number},
    purpose,
    session::Session,
};
use crate::efuse::CodingError;
use dryburn::{
    Chip,
    efuse::{Block, Field, blocks},
};

/// Number, block, errors of each block that has coding errors.
fn errors(session: &Session) -> Vec<(usize, &'static Block, CodingError)> {
    let all = blocks(session.e.chip()).iter().enumerate();
    if session.e.chip() == Chip::Esp32 {
        // the tool does not tell the blocks apart
        let any = all.clone().any(|(n, _)| session.e.coding_error(n).is_some());
        let error = CodingError { count: 0, failed: true };
        return all.skip(1).filter(|_| any).map(|(n, block)| (n, block, error)).collect();
    }
    all.filter_map(|(n, block)| session.e.coding_error(n).map(|error| (n, block, error))).collect()
}

/// The coding errors of one block, as the tool finds them.
pub(super) fn of(session: &Session, block: usize) -> Option<CodingError> {
    errors(session).into_iter().find(|(n, ..)| *n == block).map(|(.., error)| error)
}

/// The lines that name the blocks, and the controller's registers where data was lost.
pub(super) fn announce(session: &mut Session) {
    let chip = session.e.chip();
    let stop = if matches!(chip, Chip::Esp32 | Chip::Esp32c2 | Chip::Esp32c5) { "" } else { "." };
    let found = errors(session);
    for (n, _, CodingError { count, failed }) in &found {
        let failed = if *failed { "True" } else { "False" };
        session.say(&format!("Error(s) in BLOCK{n} [ERRORS:{count} FAIL:{failed}]{stop}"));
    }
    if found.iter().any(|(.., error)| error.failed) {
        session.say("");
        if let (true, Some(block)) = (chip != Chip::Esp32, blocks(chip).first()) {
            let alias = block.aliases.first().unwrap_or(&"");
            let words: String = session.e.repeat_errors().iter().map(|word| format!(" {word:08x}")).collect();
            session.say(&format!("{:<15} ({alias:<16}) [0 ] err__regs: 00000000{words}", block.name));
        }
        for (name, value) in session.e.error_registers() {
            session.say(&format!("{name:<27} {value:#010x}"));
        }
    }
}

/// Names each block with errors and what it gives.
///
/// # Errors
/// There are errors.
pub(super) fn run(session: &mut Session) -> Result<(), Failure> {
    let found = errors(session);
    if found.is_empty() {
        session.say("No errors detected.");
        return Ok(());
    }
    announce(session);
    let mut frozen = false;
    for (n, block, error) in found {
        if n == 0 {
            frozen |= block_0(session);
            continue;
        }
        let name = format!("{} [ERRORS:{} FAIL:{}]", block.name, error.count, u8::from(error.failed));
        let data: Vec<u8> = session.block(n).into_iter().take(session.block_len(n)).rev().collect();
        let protected = block.write_disable.is_some_and(|bit| session.disabled("WR_DIS", bit));
        let access = if protected { "not writable" } else { "writable" };
        frozen |= protected;
        session.say(&format!("BLOCK{n:<2}: {name:<40} = 0x{} ({access})", hex(&data)));
    }
    if frozen {
        session.say("Not all errors can be fixed because some fields are write-protected!");
    }
    Err(Failure::new("Error(s) were detected in eFuses."))
}

/// Names each field of block 0 with errors. Whether one of them is write-protected.
fn block_0(session: &mut Session) -> bool {
    let words = session.e.repeat_errors();
    // WR_DIS, the first word, has no copies
    let wrong = |bit: u16| {
        let word = usize::from(bit / 32).checked_sub(1).and_then(|word| words.get(word));
        word.is_some_and(|word| word >> (bit % 32) & 1 == 1)
    };
    let named = session.e.fields().iter().filter(|field| field.block == 0);
    let found: Vec<&Field> = named.filter(|field| (field.bit..field.bit + field.len).any(wrong)).collect();
    for field in &found {
        let value = number(&bits(session.e, field));
        let shown = match field.name.strip_prefix("KEY_PURPOSE_") {
            Some(_) => purpose::name_of(session.e.chip(), value as u8).to_string(),
            None => value.to_string(),
        };
        let access = if session.write_protected(field) { "not writable" } else { "writable" };
        session.say(&format!("BLOCK0 : {:<40} = {shown:<8} ({access})", field.name));
    }
    found.iter().any(|field| session.write_protected(field))
}
