//! espefuse: burns and shows eFuses, on the board of the workbench or in a `--virt` file.
//!
//! | file | commands |
//! |---|---|
//! | `mod.rs` | the command line: options, several commands in a row, where the eFuses are |
//! | `session.rs` | what is staged, the checks before a burn, the burn |
//! | `burn_key.rs` | burn-key |
//! | `burn_efuse.rs` | burn-efuse |
//! | `show.rs` | summary, dump |
//! | `format.rs` | values as the tool prints them |
//!
//! As in espefuse 5, commands in a row are burned together at the end, so a refusal burns nothing. Nothing asks for
//! confirmation here. Not modelled: descriptions of fields, ECDSA keys, and the commands listed in `NOT_MODELLED`.
//! Behaviour was observed by running espefuse 5.6; sources: formats sheet §5.3-5.4, §8.5-8.8.

mod burn_efuse;
mod burn_key;
mod format;
mod session;
mod show;

use super::{Failure, Workbench};
use crate::efuse::{Efuses, Format};
use dryburn::Chip;
use session::Session;

const MODELLED: &[&str] = &["burn-key", "burn-efuse", "summary", "dump"];
/// Commands of the vendor's tool that are answered with a clear refusal.
const NOT_MODELLED: &[&str] = &[
    "burn-bit",
    "burn-block-data",
    "burn-key-digest",
    "burn-custom-mac",
    "set-flash-voltage",
    "read-protect-efuse",
    "write-protect-efuse",
    "get-custom-mac",
    "adc-info",
    "check-error",
    "execute-scripts",
];

/// The options before the first command.
#[derive(Default)]
struct Options {
    chip: Option<Chip>,
    virt: bool,
    file: Option<String>,
}

/// One command with its words; options in modern spelling.
struct Command {
    name: &'static str,
    positional: Vec<String>,
    options: Vec<(String, Option<String>)>,
}

impl Command {
    fn flag(&self, name: &str) -> bool {
        self.options.iter().any(|(option, _)| option == name)
    }
    fn value(&self, name: &str) -> Option<&str> {
        self.options.iter().find(|(option, _)| option == name).and_then(|(_, value)| value.as_deref())
    }
}

/// Runs one espefuse command line.
pub fn run(bench: &mut Workbench, args: &[String]) -> Result<String, Failure> {
    let (options, commands) = parse(args)?;
    if options.virt {
        let chip = options.chip.ok_or_else(|| Failure::new("espefuse --virt: name the chip with --chip"))?;
        return run_on_file(bench, chip, options.file.as_deref(), &commands);
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
    let mut efuses = board.clone();
    let result = run_on(&mut efuses, bench, &commands);
    if let Some(board) = bench.efuses_mut() {
        *board = efuses;
    }
    result
}

/// Works on the vendor's `--virt` file, which is created when absent and cannot hold keys that nobody may read.
fn run_on_file(bench: &mut Workbench, chip: Chip, file: Option<&str>, commands: &[Command]) -> Result<String, Failure> {
    let before = match file {
        Some(name) if bench.exists(name) => bench.read(name)?,
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
    let result = run_on(&mut efuses, bench, commands);
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
fn run_on(efuses: &mut Efuses, files: &mut Workbench, commands: &[Command]) -> Result<String, Failure> {
    let mut session = Session::new(efuses, commands.len() > 1);
    let mut result = Ok(());
    for command in commands {
        session.say(&format!("\n=== Run \"{}\" command ===", command.name));
        result = match command.name {
            "burn-key" => burn_key::run(&mut session, files, command),
            "burn-efuse" => burn_efuse::run(&mut session, command),
            "summary" => show::summary(&mut session, files, command),
            "dump" => show::dump(&mut session, files, command),
            other => Err(Failure::new(format!("espefuse {other}: not modelled yet"))),
        };
        if result.is_err() {
            break;
        }
    }
    if result.is_ok() && session.batch && session.wants_burn {
        result = session.burn_all(false);
    }
    let out = session.out;
    match result {
        Ok(()) => Ok(out),
        Err(Failure { text, status }) => {
            Err(Failure { text: format!("{out}\nA fatal error occurred: {text}\n"), status })
        }
    }
}

fn command_name(word: &str) -> Option<&'static str> {
    let word = word.replace('_', "-");
    MODELLED.iter().chain(NOT_MODELLED).find(|name| **name == word).copied()
}

fn parse(args: &[String]) -> Result<(Options, Vec<Command>), Failure> {
    let mut options = Options::default();
    let mut commands: Vec<Command> = Vec::new();
    let mut words = args.iter();
    while let Some(word) = words.next() {
        if let Some(name) = command_name(word) {
            if NOT_MODELLED.contains(&name) {
                let known = MODELLED.join(", ");
                return Err(Failure::new(format!("espefuse {name}: not modelled yet; modelled are {known}")));
            }
            commands.push(Command { name, positional: Vec::new(), options: Vec::new() });
            continue;
        }
        let is_option = word.len() > 1 && word.starts_with('-') && !word.starts_with("-0");
        if !is_option {
            match commands.last_mut() {
                Some(command) => command.positional.push(word.clone()),
                None => {
                    let known = MODELLED.join(", ");
                    return Err(Failure::new(format!("espefuse: no command '{word}'; modelled are {known}")));
                }
            }
            continue;
        }
        let (name, inline) = word.split_once('=').map_or((word.as_str(), None), |(n, v)| (n, Some(v.to_owned())));
        let name = name.replace('_', "-");
        let mut value = || {
            let value = inline.clone().or_else(|| words.next().cloned());
            value.ok_or_else(|| Failure::new(format!("espefuse {name}: a value has to follow")))
        };
        match commands.last_mut() {
            None => match name.as_str() {
                "--chip" | "-c" => {
                    let chip = value()?;
                    options.chip = if chip == "auto" { None } else { Some(chip.parse()?) };
                }
                "--path-efuse-file" => options.file = Some(value()?),
                "--virt" => options.virt = true,
                "--do-not-confirm" | "--debug" | "-d" | "--postpone" => {}
                "--port" | "-p" | "--baud" | "-b" | "--before" | "--after" | "-a" => drop(value()?),
                _ => return Err(Failure::new(format!("espefuse: option {name} is not modelled"))),
            },
            Some(command) => {
                let (flags, valued): (&[&str], &[&str]) = match command.name {
                    "burn-key" => (
                        &[
                            "--no-protect-key",
                            "--no-read-protect",
                            "--no-write-protect",
                            "--force-write-always",
                            "--show-sensitive-info",
                        ],
                        &[],
                    ),
                    "burn-efuse" => (&["--force"], &[]),
                    "summary" => (&["--active"], &["--format", "--file"]),
                    _ => (&[], &["--format", "--file-name"]),
                };
                if flags.contains(&name.as_str()) {
                    command.options.push((name, None));
                } else if valued.contains(&name.as_str()) {
                    let value = value()?;
                    command.options.push((name, Some(value)));
                } else {
                    return Err(Failure::new(format!("espefuse {}: option {name} is not modelled", command.name)));
                }
            }
        }
    }
    if commands.is_empty() {
        return Err(Failure::new(format!("espefuse: no command; modelled are {}", MODELLED.join(", "))));
    }
    Ok((options, commands))
}

#[cfg(test)]
mod tests;
