//! espefuse: burns and shows eFuses, on the board of the workbench or in a `--virt` file.
//!
//! | file | commands |
//! |---|---|
//! | `mod.rs` | where the eFuses are, and the order in which commands run |
//! | `args.rs` | the command line |
//! | `session.rs`, `burning.rs` | what is staged; the checks before a burn, the burn |
//! | `burn_key.rs`, `key_job.rs`, `purpose.rs`, `key_digest.rs` | burn-key, burn-key-digest |
//! | `burn_efuse.rs` | burn-efuse |
//! | `burn_block.rs` | burn-bit, burn-block-data |
//! | `protect.rs` | read-protect-efuse, write-protect-efuse |
//! | `voltage.rs`, `mac.rs` | set-flash-voltage, burn-custom-mac, get-custom-mac |
//! | `show.rs`, `fields.rs`, `meanings.rs` | summary |
//! | `dump.rs`, `adc.rs`, `check_error.rs` | dump; adc-info; check-error |
//! | `guard.rs`, `losses.rs` | the rehearsal of a burn on the board |
//! | `format.rs` | values as the tool prints them |
//!
//! As in espefuse 5, several commands that burn are burned together at the end, so a refusal burns nothing; commands that only
//! read are run where they stand and, when something burns, once more after all others but before that burn. Nothing asks for
//! confirmation here. Not modelled: the descriptions of fields, `--token`, `--extend-efuse-table`, `execute-scripts`.
//! Behaviour was observed by running espefuse 5.6; sources: formats sheet §5.3-5.4, §7.3, §8.5-8.8.

mod adc;
mod args;
mod burn_block;
mod burn_efuse;
mod burn_key;
mod burning;
mod check_error;
mod dump;
mod fields;
mod format;
mod guard;
mod key_digest;
mod key_job;
mod losses;
mod mac;
mod meanings;
mod protect;
mod purpose;
mod session;
mod show;
mod voltage;

use super::{
    Failure, Workbench,
    download::{Download, no_answer},
};
use crate::{
    efuse::{Efuses, Format},
    fault::{Power, PoweredEfuses},
};
use args::{Command, Kind, Options, check_row, parse};
use dryburn::Chip;
use session::Session;

/// Runs one espefuse command line.
pub fn run(bench: &mut Workbench, args: &[String]) -> Result<String, Failure> {
    run_guarded(bench, args, &Power::steady(), true)
}

/// Runs one espefuse command line on a board whose power may fail while eFuses are burned, without the rehearsal of the burn.
pub fn run_with(bench: &mut Workbench, args: &[String], power: &Power) -> Result<String, Failure> {
    run_guarded(bench, args, power, false)
}

fn run_guarded(bench: &mut Workbench, args: &[String], power: &Power, guarded: bool) -> Result<String, Failure> {
    let (options, commands) = parse(args)?;
    if options.virt {
        let chip = options.chip.ok_or_else(|| Failure::new("espefuse --virt: name the chip with --chip"))?;
        return run_on_file(bench, chip, &options, &commands);
    }
    if options.file.is_some() {
        return Err(Failure::new(
            "espefuse --path-efuse-file goes with --virt: add --virt, or leave it out to use the board",
        ));
    }
    let Some(board) = bench.efuses_mut() else {
        return Err(Failure::new("espefuse: there is no board; add --virt --path-efuse-file FILE to work on a file"));
    };
    if let Some(asked) = options.chip.filter(|asked| *asked != board.chip()) {
        let (asked, found) = (asked.spec().title, board.chip().spec().title);
        return Err(Failure::new(format!(
            "espefuse: the board is an {found}, not an {asked}: change --chip or leave it out"
        )));
    }
    match Download::of(board) {
        Download::Open => {}
        Download::Secure => {
            return Err(Failure::new(
                "\nA fatal error occurred: Secure Download Mode is enabled. The tool can not read eFuses.",
            ));
        }
        Download::Closed => return Err(no_answer(board.chip())),
    }
    let mut efuses = board.clone();
    let result = run_on(&mut efuses, bench, &options, &commands, power);
    let mut losses = Vec::new();
    if guarded
        && !options.force
        && !commands.iter().any(|c| c.flag("--force"))
        && let Some(mut board) = bench.device.clone()
    {
        // without its key a bootloader with Secure Boot v1 starts nothing anyway
        let _ = bench.load_verification_key(&mut board.config);
        losses = guard::check(&board, &efuses)?;
    }
    if let Some(board) = bench.efuses_mut() {
        *board = efuses;
    }
    let losses: String = losses.iter().map(|loss| format!("--- dryburn: {loss}\n")).collect();
    result.map(|text| losses + &text)
}

/// Works on the vendor's `--virt` file, which is created when absent and cannot hold keys that nobody may read.
fn run_on_file(bench: &mut Workbench, chip: Chip, options: &Options, commands: &[Command]) -> Result<String, Failure> {
    let file = options.file.as_deref();
    let before = match file {
        Some(name) if bench.exists(name) => bench.read_small(name)?,
        _ => Vec::new(),
    };
    let named = |e: crate::efuse::FileError| Failure::new(format!("{}: {e}", file.unwrap_or("")));
    let mut efuses = Efuses::parse(&before, Some(chip)).map_err(named)?;
    let size = efuses.to_bytes(Format::Virt).len();
    if !before.is_empty() && before.len() != size {
        let (name, found) = (file.unwrap_or(""), before.len());
        return Err(Failure::new(format!(
            "{name}: found {found} bytes, expected {size}: not an espefuse --virt file of {chip}"
        )));
    }
    let result = run_on(&mut efuses, bench, options, commands, &Power::steady());
    efuses.forget_protected();
    let after = efuses.to_bytes(Format::Virt);
    if let Some(name) = file
        && after != before
        && (result.is_ok() || !before.is_empty())
    {
        bench.write(name, &after)?;
    }
    result
}

/// Runs the commands on `efuses`; `files` is where key files are read and dumps written.
fn run_on(
    efuses: &mut Efuses,
    files: &mut Workbench,
    options: &Options,
    commands: &[Command],
    power: &Power,
) -> Result<String, Failure> {
    check_row(efuses.chip(), commands)?;
    let burns = commands.iter().filter(|c| c.kind == Kind::Burns).count();
    let mut efuses = PoweredEfuses::new(efuses, power);
    let mut session = Session::new(&mut efuses, burns > 1);
    session.no_postpone = options.no_postpone;
    session.virt = options.virt;
    session.forced = commands.iter().rev().find_map(Command::forcing).unwrap_or(false);
    session.show_token = commands.iter().any(|c| c.flag("--show-token"));
    check_error::announce(&mut session);
    let result = run_all(&mut session, files, commands, burns > 0);
    let out = session.out;
    match result {
        Ok(()) => Ok(out),
        Err(Failure { text, status }) => {
            Err(Failure { text: format!("{out}\nA fatal error occurred: {text}\n"), status })
        }
    }
}

fn run_all(session: &mut Session, files: &mut Workbench, commands: &[Command], some_burn: bool) -> Result<(), Failure> {
    // the words of these are read before any command runs
    for command in commands {
        match (command.name, command.positional.as_slice()) {
            ("burn-efuse", _) => burn_efuse::values(session, command).map(drop)?,
            ("read-protect-efuse" | "write-protect-efuse", _) => protect::named(session, command).map(drop)?,
            ("burn-custom-mac", [mac]) => mac::parse(mac, true).map(drop)?,
            _ => {}
        }
    }
    for command in commands {
        run_one(session, files, command)?;
    }
    if some_burn {
        for command in commands.iter().filter(|c| c.kind == Kind::Reads) {
            run_one(session, files, command)?;
        }
    }
    if session.batch && session.wants_burn { session.burn_all(false) } else { Ok(()) }
}

fn run_one(session: &mut Session, files: &mut Workbench, command: &Command) -> Result<(), Failure> {
    session.say(&format!("\n=== Run \"{}\" command ===", command.name));
    match command.name {
        "burn-key" => burn_key::run(session, files, command),
        "burn-key-digest" => burn_key::digest(session, files, command),
        "burn-efuse" => burn_efuse::run(session, command),
        "burn-bit" => burn_block::bit(session, command),
        "burn-block-data" => burn_block::data(session, files, command),
        "read-protect-efuse" => protect::read(session, command),
        "write-protect-efuse" => protect::write(session, command),
        "set-flash-voltage" => voltage::run(session, command),
        "burn-custom-mac" => mac::burn(session, command),
        "get-custom-mac" => {
            mac::get(session);
            Ok(())
        }
        "adc-info" => adc::info(session),
        "check-error" => check_error::run(session),
        "summary" => show::run(session, files, command),
        _ => dump::run(session, files, command),
    }
}

#[cfg(test)]
mod tests;
