//! The command line: options, several commands in a row, and which rows of commands espefuse 5.6 cannot take.

use super::super::Failure;
use dryburn::Chip;

/// What a command does to the eFuses.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Burns,
    Reads,
}

/// A command, its options without and with a value.
struct Spec {
    name: &'static str,
    kind: Kind,
    flags: &'static [&'static str],
    valued: &'static [&'static str],
}

const fn spec(name: &'static str, kind: Kind, flags: &'static [&'static str], valued: &'static [&'static str]) -> Spec {
    Spec { name, kind, flags, valued }
}

const FORCE: &str = "--force-write-always";
const TOKEN: &str = "--show-token";
const KEY: &[&str] =
    &["--no-protect-key", "--no-read-protect", "--no-write-protect", FORCE, "--show-sensitive-info", TOKEN];

#[rustfmt::skip]
const COMMANDS: &[Spec] = &[
    spec("read-protect-efuse", Kind::Burns, &[TOKEN], &[]),
    spec("write-protect-efuse", Kind::Burns, &[TOKEN], &[]),
    spec("burn-efuse", Kind::Burns, &["--force", TOKEN], &[]),
    spec("burn-block-data", Kind::Burns, &[FORCE, TOKEN], &["--offset"]),
    spec("burn-bit", Kind::Burns, &[FORCE, TOKEN], &[]),
    spec("burn-key", Kind::Burns, KEY, &[]),
    spec("burn-key-digest", Kind::Burns, KEY, &[]),
    spec("burn-custom-mac", Kind::Burns, &[FORCE, TOKEN], &[]),
    spec("set-flash-voltage", Kind::Burns, &[TOKEN], &[]),
    spec("summary", Kind::Reads, &["--active"], &["--format", "--file"]),
    spec("dump", Kind::Reads, &[], &["--format", "--file-name"]),
    spec("get-custom-mac", Kind::Reads, &[], &[]),
    spec("adc-info", Kind::Reads, &[], &[]),
    spec("check-error", Kind::Reads, &["--recovery"], &[]),
];

/// The options before the first command.
#[derive(Default)]
pub(super) struct Options {
    pub chip: Option<Chip>,
    pub virt: bool,
    pub file: Option<String>,
    pub no_postpone: bool,
    /// Burn even what bricks the board.
    pub force: bool,
}

/// One command with its words; options in modern spelling.
pub(super) struct Command {
    pub name: &'static str,
    pub kind: Kind,
    pub positional: Vec<String>,
    options: Vec<(String, Option<String>)>,
    /// An option stands before the first word.
    options_first: bool,
    /// Options or other commands follow on the line.
    pub followed: bool,
}

impl Command {
    pub fn flag(&self, name: &str) -> bool {
        self.options.iter().any(|(option, _)| option == name)
    }

    pub fn value(&self, name: &str) -> Option<&str> {
        self.options.iter().rev().find(|(option, _)| option == name).and_then(|(_, value)| value.as_deref())
    }

    pub fn forced(&self) -> bool {
        self.flag(FORCE)
    }

    /// Whether --force-write-always is given, to a command that has this option.
    pub fn forcing(&self) -> Option<bool> {
        let spec = COMMANDS.iter().find(|spec| spec.name == self.name)?;
        spec.flags.contains(&FORCE).then(|| self.forced())
    }

    /// Takes any number of words.
    fn is_open_ended(&self, chip: Chip) -> bool {
        match self.name {
            "burn-key-digest" => !matches!(chip, Chip::Esp32 | Chip::Esp32c2),
            "read-protect-efuse"
            | "write-protect-efuse"
            | "burn-efuse"
            | "burn-block-data"
            | "burn-bit"
            | "burn-key"
            | "summary" => true,
            _ => false,
        }
    }
}

pub(super) fn known_commands() -> String {
    COMMANDS.iter().map(|c| c.name).collect::<Vec<_>>().join(", ")
}

fn find(word: &str) -> Option<&'static Spec> {
    let word = word.replace('_', "-");
    COMMANDS.iter().find(|spec| spec.name == word)
}

/// Options and commands of one command line.
pub(super) fn parse(args: &[String]) -> Result<(Options, Vec<Command>), Failure> {
    let mut options = Options::default();
    let mut commands: Vec<(&Spec, Command)> = Vec::new();
    let mut words = args.iter();
    while let Some(word) = words.next() {
        if let Some(spec) = find(word) {
            if let Some((_, before)) = commands.last_mut() {
                before.followed = true;
            }
            let (positional, named) = (Vec::new(), Vec::new());
            let command = Command {
                name: spec.name,
                kind: spec.kind,
                positional,
                options: named,
                options_first: false,
                followed: false,
            };
            commands.push((spec, command));
            continue;
        }
        if !(word.len() > 1 && word.starts_with('-')) {
            match commands.last_mut() {
                Some((_, command)) => command.positional.push(word.clone()),
                None => {
                    let known = known_commands();
                    return Err(Failure::new(format!("espefuse: no command '{word}'; there are {known}")));
                }
            }
            continue;
        }
        let (name, inline) = word.split_once('=').map_or((word.as_str(), None), |(n, v)| (n, Some(v.to_owned())));
        let name = match name.replace('_', "-").as_str() {
            "-o" => "--offset".to_owned(),
            name => name.to_owned(),
        };
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
                "--no-postpone" => options.no_postpone = true,
                "--force" => options.force = true,
                "--postpone" => options.no_postpone = false,
                "--do-not-confirm" | "--debug" | "-d" => {}
                "--port" | "-p" | "--baud" | "-b" | "--before" | "--after" | "-a" => drop(value()?),
                _ => return Err(Failure::new(format!("espefuse: option {name} is not modelled"))),
            },
            Some((spec, command)) => {
                command.options_first |= command.positional.is_empty();
                command.followed |= !command.positional.is_empty();
                if spec.flags.contains(&name.as_str()) {
                    command.options.push((name, None));
                } else if spec.valued.contains(&name.as_str()) {
                    let value = value()?;
                    command.options.push((name, Some(value)));
                } else {
                    return Err(Failure::new(format!("espefuse {}: No such option: {name}", command.name)));
                }
            }
        }
    }
    if commands.is_empty() {
        return Err(Failure::new(format!("espefuse: no command; there are {}", known_commands())));
    }
    let mut commands: Vec<Command> = commands.into_iter().map(|(_, command)| command).collect();
    // commands that read are run again after all that burn
    let reads = commands.iter().any(|c| c.kind == Kind::Reads);
    for command in &mut commands {
        command.followed |= reads && command.kind == Kind::Burns;
    }
    Ok((options, commands))
}

/// Rows of commands that espefuse 5.6 takes apart wrongly, so that it refuses or falls over; nothing is burned.
pub(super) fn check_row(chip: Chip, commands: &[Command]) -> Result<(), Failure> {
    for (i, command) in commands.iter().enumerate() {
        let reads = commands.iter().any(|c| c.kind == Kind::Reads);
        let last = i + 1 == commands.len() && !(reads && command.kind == Kind::Burns);
        let name = command.name;
        if name == "set-flash-voltage" && !matches!(chip, Chip::Esp32 | Chip::Esp32s2 | Chip::Esp32s3) {
            return Err(Failure::new(format!("No such command '{name}' for {chip}.")));
        }
        if name == "set-flash-voltage" && chip != Chip::Esp32 && command.flag(TOKEN) {
            return Err(Failure::new(format!("No such option '{TOKEN}'.")));
        }
        let open_before = commands.iter().take(i).any(|c| c.is_open_ended(chip));
        if command.is_open_ended(chip) && command.options_first && (!last || (name == "summary" && open_before)) {
            return Err(Failure::new(format!(
                "{name}: with several commands on a line, espefuse 5.6 takes options only after the other words of {name}"
            )));
        }
        if command.followed && command.positional.len() == 1 && name == "burn-efuse" {
            return Err(Failure::new(
                "burn-efuse: espefuse 5.6 refuses a name without value before another command or an option; write the value",
            ));
        }
    }
    Ok(())
}
