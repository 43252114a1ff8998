//! read-protect-efuse and write-protect-efuse: bits of RD_DIS and WR_DIS (formats sheet §8.1-8.4).

use super::{
    super::Failure,
    args::Command,
    fields::{choices, exists, is_secret},
    session::Session,
};
use dryburn::{
    Chip,
    efuse::{Field, security::key_purpose},
};

pub(super) fn read(session: &mut Session, command: &Command) -> Result<(), Failure> {
    check_words(command)?;
    for field in named(session, command)? {
        let name = field.name;
        if session.read_protected(field) {
            session.say(&format!("Efuse {name} is already read protected"));
            continue;
        }
        if must_stay_readable(session, field) {
            return Err(Failure::new(format!("{name} must be readable, stop this operation!")));
        }
        let same: Vec<&str> = group(session, |f| f.read_disable == field.read_disable);
        session.say(&format!("Permanently read-disabling {}", listed(&same)));
        for bit in field.read_disable {
            session.protect("RD_DIS", *bit)?;
        }
    }
    finish(session)
}

pub(super) fn write(session: &mut Session, command: &Command) -> Result<(), Failure> {
    check_words(command)?;
    for field in named(session, command)? {
        if session.write_protected(field) {
            session.say(&format!("Efuse {} is already write protected.", field.name));
            continue;
        }
        let same: Vec<&str> = group(session, |f| f.write_disable == field.write_disable);
        session.say(&format!("Permanently write-disabling {}", listed(&same)));
        if let Some(bit) = field.write_disable {
            session.protect("WR_DIS", bit)?;
        }
    }
    finish(session)
}

fn finish(session: &mut Session) -> Result<(), Failure> {
    session.finish(true)?;
    if !session.batch && session.burned {
        session.say("Successful.");
    }
    Ok(())
}

/// Names given twice; and one name before another command or an option, which espefuse 5.6 takes letter by letter.
fn check_words(command: &Command) -> Result<(), Failure> {
    let letters: Vec<String>;
    let mut words = &command.positional;
    let lone = command.followed && words.len() == 1;
    if lone {
        letters = words.iter().flat_map(|word| word.chars()).map(String::from).collect();
        words = &letters;
    }
    let repeated: Vec<&str> = words
        .iter()
        .enumerate()
        .filter(|(i, word)| words.iter().take(*i).any(|before| before == *word))
        .map(|(_, word)| word.as_str())
        .collect();
    let hint = "espefuse 5.6 takes one name before another command or an option letter by letter; put the name last on the line";
    if !repeated.is_empty() {
        let text = format!("Found repeated ['{}'] in the name list.", repeated.join("', '"));
        return Err(Failure::new(if lone { format!("{text} ({hint})") } else { text }));
    }
    if lone {
        // the vendor's tool falls over here (KeyError), with status 1
        return Err(Failure { text: format!("{}: {hint}", command.name), status: 1 });
    }
    Ok(())
}

/// The fields that are named: those that RD_DIS or WR_DIS can protect.
pub(super) fn named(session: &Session, command: &Command) -> Result<Vec<&'static Field>, Failure> {
    if command.positional.is_empty() {
        return Err(Failure::new(format!("{}: name at least one eFuse field", command.name)));
    }
    let reading = command.name == "read-protect-efuse";
    let can = |f: &Field| if reading { !f.read_disable.is_empty() } else { f.write_disable.is_some() };
    let find = |name: &String| {
        let field = session.field(name).filter(|f| can(f) && choices(session).any(|c| c.name == f.name));
        field.ok_or_else(|| {
            let known: Vec<&str> = choices(session).filter(|f| can(f)).map(|f| f.name).collect();
            Failure::new(format!("Invalid value: '{name}' is not one of '{}'.", known.join("', '")))
        })
    };
    command.positional.iter().map(find).collect()
}

fn group(session: &Session, same: impl Fn(&Field) -> bool) -> Vec<&'static str> {
    session.e.fields().iter().filter(|f| exists(session, f) && same(f)).map(|f| f.name).collect()
}

fn listed(names: &[&str]) -> String {
    format!("eFuse{} {}", if names.len() > 1 { "s" } else { "" }, names.join(", "))
}

/// Key blocks whose purpose says that somebody reads them: a digest that nobody can read bricks the board.
fn must_stay_readable(session: &Session, field: &Field) -> bool {
    let chip = session.e.chip();
    match chip {
        Chip::Esp32 => false,
        Chip::Esp32c2 => field.name == "BLOCK_KEY0",
        _ => field
            .name
            .strip_prefix("BLOCK_KEY")
            .and_then(|n| n.parse().ok())
            .and_then(|n| key_purpose(&*session.e, n))
            .is_some_and(|value| !is_secret(chip, value)),
    }
}
