//! `esptool`: the commands that write, read and inspect flash, in the spelling of version 5 and of those before it.
//!
//! The chip is the flash of the board on the [`Workbench`], or from a shell a file that stands for it:
//! `esptool --flash chip.bin write-flash 0x10000 app.bin` (add `--flash-chip-size 4MB` to start with an erased chip). A
//! command works on a copy, which replaces the chip only when it succeeds: bad input leaves the chip as it was.
//!
//! What is printed are the essentials of the real tool, always the same for the same input: connection, chip banner,
//! progress, compression and speed figures and deprecation warnings are left out. Serial options (`--port`, `--baud`,
//! `--before`, `--after`) are read and mean nothing; `--no-stub` only changes in which order sectors are erased and programmed.
//! Other differences: usage errors are plain lines instead of boxes, and empty files are refused, since they are always a
//! mistake here.
//!
//! `image-info` and `merge-bin` are held against the real tool's output. What is refused for the sake of burned eFuses, and in
//! which words, was seen by running the tool against a made-up chip (`secured.rs`); no real chip was at hand.
//!
//! Not modelled: ESP8266, `elf2image`, UF2 and hex output, memory access.

mod args;
mod flash_commands;
mod image;
mod image_info;
mod memory_map;
mod merge;
mod params;
mod regions;
mod secured;
mod security_info;
mod write;

use super::{Failure, Workbench};
use crate::device::Device;
use crate::efuse::Efuses;
use crate::flash::{Flash, FlashError};
use args::{Cli, Command};
use clap::Parser;
use dryburn::{Chip, efuse::security};
use std::str::FromStr;

/// The version of the real tool whose output is followed.
const FOLLOWED_VERSION: &str = "5.6.0";

/// A failure in the words of the real tool's fatal errors.
fn fatal(text: impl std::fmt::Display) -> Failure {
    Failure::new(format!("ERROR: A fatal error occurred: {text}"))
}

/// Runs one esptool command line.
///
/// # Errors
/// Bad usage and bad input, with exit status 2; neither files nor the chip have changed then.
pub fn run(bench: &mut Workbench, args: &[String]) -> Result<String, Failure> {
    let words = std::iter::once("esptool".to_string()).chain(args::expand(args));
    let cli = match Cli::try_parse_from(words) {
        Ok(cli) => cli,
        Err(e) if e.exit_code() == 0 => return Ok(e.render().to_string()),
        Err(e) => return Err(Failure::new(e.render().to_string())),
    };
    let chip = match cli.chip.as_str() {
        "auto" => None,
        name => Some(Chip::from_str(name).map_err(|e| Failure::new(format!("--chip {name}: {e}")))?),
    };
    match &cli.command {
        Command::Version => Ok(format!("{FOLLOWED_VERSION}\n")),
        Command::ImageInfo(args) => image_info::run(bench, chip, args),
        Command::MergeBin(args) => merge::run(bench, chip, args),
        Command::WriteFlash(args) => {
            // a tool that is connected knows the chip; a file that stands for one does not tell
            let board = bench.device.as_ref().filter(|_| cli.flash.is_none()).map(Device::chip);
            let chip = chip.or(board);
            let knows_efuses = cli.flash.is_none() || cli.efuses.is_some();
            on_chip(bench, &cli, |bench, efuses, flash| {
                let revision = Some(security::chip_revision(efuses)).filter(|_| knows_efuses);
                write::run(bench, flash, write::Target { chip, revision, stub: !cli.no_stub }, args)
            })
        }
        Command::ReadFlash(args) => {
            if cli.flash.as_ref() == Some(&args.file) {
                return Err(Failure::new(format!("{}: the chip itself; read it to another file", args.file)));
            }
            on_chip(bench, &cli, |bench, _, flash| flash_commands::read(bench, flash, args))
        }
        Command::EraseFlash(args) => {
            on_chip(bench, &cli, |_, efuses, flash| flash_commands::erase_all(efuses, flash, args.force))
        }
        Command::EraseRegion(args) => {
            on_chip(bench, &cli, |_, efuses, flash| flash_commands::erase_region(efuses, flash, args))
        }
        Command::FlashId => on_chip(bench, &cli, |_, _, flash| Ok(flash_commands::flash_id(flash))),
        Command::GetSecurityInfo => on_chip(bench, &cli, |_, efuses, _| security_info::report(efuses)),
    }
}

/// Runs `command` on a copy of the chip and puts the copy in its place when it succeeds.
fn on_chip(
    bench: &mut Workbench,
    cli: &Cli,
    command: impl FnOnce(&Workbench, &Efuses, &mut Flash) -> Result<String, Failure>,
) -> Result<String, Failure> {
    if let Some(name) = &cli.flash {
        let before = load(bench, name, cli.flash_chip_size)?;
        let flash = before.clone().map_or_else(|| erased(name, cli.flash_chip_size), Ok)?;
        let stand_in = Device::new(flash, efuses(bench, cli)?);
        // the board goes back on the desk whatever comes of the command
        let board = bench.device.replace(stand_in);
        let result = on_board(bench, &cli.command, command);
        let after = std::mem::replace(&mut bench.device, board).map(|device| device.flash);
        let text = result?;
        if let Some(after) = after.filter(|after| before.as_ref() != Some(after)) {
            bench.write(name, &after.to_bytes())?;
        }
        return Ok(text);
    }
    on_board(bench, &cli.command, command)
}

fn on_board(
    bench: &mut Workbench,
    name: &Command,
    command: impl FnOnce(&Workbench, &Efuses, &mut Flash) -> Result<String, Failure>,
) -> Result<String, Failure> {
    let no_board = || {
        Failure::new(
            "no board: name the file that stands for the flash chip, as in `esptool --flash chip.bin …` (with `--flash-chip-size 4MB` to start erased)",
        )
    };
    let device = bench.device.as_ref().ok_or_else(no_board)?;
    secured::connect(&device.efuses, name)?;
    let mut flash = device.flash.clone();
    let text = command(bench, &device.efuses, &mut flash)?;
    bench.device.as_mut().ok_or_else(no_board)?.flash = flash;
    Ok(text)
}

/// The eFuses that belong to the chip in a file: the given ones, or virgin ones.
fn efuses(bench: &Workbench, cli: &Cli) -> Result<Efuses, Failure> {
    let chip = Chip::from_str(&cli.chip).ok();
    match &cli.efuses {
        Some(file) => Efuses::parse(&bench.read_small(file)?, chip).map_err(|e| Failure::new(format!("{file}: {e}"))),
        None => Ok(Efuses::new(chip.unwrap_or(Chip::Esp32))),
    }
}

/// The chip in the file, or `None` where there is no such file.
fn load(bench: &Workbench, name: &str, expected: Option<u64>) -> Result<Option<Flash>, Failure> {
    bench.path(name)?;
    if !bench.exists(name) {
        return Ok(None);
    }
    let flash = Flash::from_bytes(&bench.read(name)?).map_err(|e| Failure::new(format!("{name}: {e}")))?;
    match expected.filter(|size| *size != u64::from(flash.size())) {
        Some(size) => Err(Failure::new(format!(
            "{name}: holds a chip of {:#x} bytes, but --flash-chip-size says {size:#x}; drop the option or the file",
            flash.size()
        ))),
        None => Ok(Some(flash)),
    }
}

/// A new chip for the file that does not exist yet.
fn erased(name: &str, size: Option<u64>) -> Result<Flash, Failure> {
    let size = size.ok_or_else(|| {
        Failure::new(format!("{name}: no such file; add --flash-chip-size 4MB to start with an erased chip"))
    })?;
    let narrow = u32::try_from(size).map_err(|_| FlashError::BadSize { size });
    narrow.and_then(Flash::new).map_err(|e| Failure::new(format!("--flash-chip-size: {e}")))
}

/// The chip that a command cannot do without.
fn need_chip(chip: Option<Chip>) -> Result<Chip, Failure> {
    let names = || Chip::ALL.map(Chip::name).join(", ");
    chip.ok_or_else(|| fatal(format!("Specify the --chip argument (choose from {}).", names())))
}

/// A size as the tools write it: `4MB`, `256KB`.
fn size_name(bytes: u32) -> String {
    match bytes >> 20 {
        0 => format!("{}KB", bytes >> 10),
        megabytes => format!("{megabytes}MB"),
    }
}
