//! check-error, and the errors that the tool names before any command. Blocks other than block 0 only: the copies by which block 0
//! guards itself are not modelled.

use super::{super::Failure, format::hex, session::Session};
use crate::efuse::CodingError;
use dryburn::{
    Chip,
    efuse::{Block, blocks},
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
            let words = vec!["00000000"; block.words.into()].join(" ");
            session.say(&format!("{:<15} ({alias:<16}) [0 ] err__regs: {words}", block.name));
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
