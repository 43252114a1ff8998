//! burn-efuse: named fields (formats sheet §8.5).

use super::{
    super::{Failure, number},
    args::Command,
    fields::{choices, len},
    format::{bits, number as bits_to_number, value},
    mac, purpose,
    session::{Force, Session},
};
use dryburn::{
    Chip,
    efuse::{Field, FieldKind, blocks, read},
};

/// Fields that the tool counts up by itself when no value is given.
const COUNTERS: &[&str] = &[
    "SPI_BOOT_CRYPT_CNT",
    "SECURE_VERSION",
    "BOOTLOADER_ANTI_ROLLBACK_SECURE_VERSION",
    "BOOTLOADER_ANTI_ROLLBACK_SECURE_VERSION_LO",
];

/// Fields with their new values as little-endian bits.
pub(super) fn values(session: &Session, command: &Command) -> Result<Vec<(&'static Field, Vec<u8>)>, Failure> {
    let words = &command.positional;
    if words.is_empty() {
        return Err(Failure::new("burn-efuse: name at least one eFuse field and its new value"));
    }
    if words.len() > 1 && !words.len().is_multiple_of(2) {
        let listed = words.iter().map(|w| format!("'{w}'")).collect::<Vec<_>>().join(", ");
        return Err(Failure::new(format!("The list does not have a valid pair (name value) ({listed})")));
    }
    let mut given: Vec<(&'static Field, Vec<u8>)> = Vec::new();
    for pair in words.chunks(2) {
        let [name, rest @ ..] = pair else { continue };
        let field = find(session, name)?;
        let new = new_value(session, field, rest.first().map(String::as_str))?;
        // named twice: the last value counts
        match given.iter_mut().find(|(f, _)| f.name == field.name) {
            Some(slot) => slot.1 = new,
            None => given.push((field, new)),
        }
    }
    Ok(given)
}

pub(super) fn run(session: &mut Session, command: &Command) -> Result<(), Failure> {
    let wanted = values(session, command)?;
    announce(session, &wanted);
    // --force was seen to change nothing
    let force = Force { hint: false };
    for (field, new) in &wanted {
        let hidden = field.kind == FieldKind::Bytes && !field.read_disable.is_empty();
        if hidden {
            session.say(&format!("    - '{}' (hidden) -> (hidden)", field.name));
        } else {
            let old = bits(session.e, field);
            session.say(&format!("    - '{}' {} -> {}", field.name, value(field, &old), value(field, new)));
        }
        if matches!(field.name, "MAC" | "MAC_EXT") {
            return Err(Failure::new(match session.e.chip() {
                Chip::Esp32 => "Writing Factory MAC address is not supported".into(),
                _ => format!("Burning {} is not supported.", field.name),
            }));
        }
        if field.name == "CUSTOM_MAC" {
            let mut mac = [0; 6];
            mac.iter_mut().zip(new).for_each(|(to, from)| *to = *from);
            mac::stage(session, mac, force)?;
            continue;
        }
        if field.kind == FieldKind::Uint {
            fits(field, new)?;
        }
        purpose::check_block_5(session.e.chip(), field.name, new.first().copied().unwrap_or(0))?;
        if field.name == "ADC_VREF" || field.category == "calibration" {
            return Err(Failure::new(format!("Burning {} is not supported.", field.name)));
        }
        session.stage(field, new, force)?;
    }
    session.say("");
    session.finish(true)?;
    if session.batch { Ok(()) } else { check(session, &wanted) }
}

fn find(session: &Session, name: &str) -> Result<&'static Field, Failure> {
    session.field(name).filter(|field| choices(session).any(|f| f.name == field.name)).ok_or_else(|| {
        let known: Vec<&str> = choices(session).map(|f| f.name).collect();
        let text = format!("Invalid eFuse name '{name}'. Available eFuse names: ['{}']", known.join("', '"));
        Failure::new(text)
    })
}

/// The new value of a field as little-endian bits.
fn new_value(session: &Session, field: &Field, text: Option<&str>) -> Result<Vec<u8>, Failure> {
    let name = field.name;
    let parse = |text: &str| {
        // the vendor's tool falls over here, with status 1
        number(text).map_err(|e| Failure { text: format!("eFuse '{name}': {e}"), status: 1 })
    };
    match (field.kind, text) {
        (FieldKind::Bool, None) => Ok(vec![1]),
        (FieldKind::Bool, Some(text)) => match parse(text)? {
            1 => Ok(vec![1]),
            n => Err(Failure::new(format!(
                "New value is not accepted for eFuse '{name}' (will always burn 0->1), given value={n}"
            ))),
        },
        (FieldKind::Uint, None) if counts(name) => {
            let old = bits_to_number(&bits(session.e, field));
            let next = old | (old + 1); // the lowest bit that is still 0
            Ok(next.to_le_bytes().to_vec())
        }
        // the vendor's tool falls over here, with status 1
        (_, None) if name.starts_with("KEY_PURPOSE_") && !name.ends_with("_H") => {
            Err(Failure { text: format!("New value required for eFuse '{name}' (given None)"), status: 1 })
        }
        (_, None) => Err(Failure::new(format!("New value required for eFuse '{name}' (given None)"))),
        (FieldKind::Uint, Some(text)) => {
            if name.starts_with("KEY_PURPOSE_") && !name.ends_with("_H") {
                return purpose_value(session.e.chip(), text);
            }
            let n = parse(text)?;
            if n == 0 && !counts(name) {
                return Err(Failure::new(format!("New value should not be 0 for '{name}' (given value= {n})")));
            }
            if session.e.chip() == Chip::Esp32 && name.starts_with("SPI_PAD_CONFIG_") {
                return pin(n);
            }
            Ok(n.to_le_bytes().to_vec())
        }
        (FieldKind::Bytes, Some(text)) if field.name.contains("MAC") => {
            Ok(mac::parse(text, field.name == "CUSTOM_MAC")?.to_vec())
        }
        (FieldKind::Bytes, Some(text)) => bytes(session, field, text),
    }
}

/// Of a field that is named twice only the value that counts has to fit, so this is found out late.
fn fits(field: &Field, new: &[u8]) -> Result<(), Failure> {
    let (len, n) = (field.len, bits_to_number(new));
    let last = 1_u64.checked_shl(len.into()).map_or(u64::MAX, |n| n - 1);
    if n <= last {
        return Ok(());
    }
    Err(Failure::new(format!(
        "{n} is too large an unsigned integer for a bitstring of length {len}. The allowed range is [0, {last}]."
    )))
}

/// A key purpose by name or in decimal digits.
fn purpose_value(chip: Chip, text: &str) -> Result<Vec<u8>, Failure> {
    let out_of_range = |n: &str| Failure::new(format!("'{n}' can not be set (value out of range)"));
    let value = if !text.is_empty() && text.chars().all(|c| c.is_ascii_digit()) {
        text.parse().ok().filter(|n| purpose::has_value(chip, *n)).ok_or_else(|| out_of_range(text))?
    } else {
        let known = purpose::find(chip, text);
        known.map(|p| p.value).ok_or_else(|| Failure::new(format!("'{text}' unknown name")))?
    };
    if value == 0 { Err(out_of_range("0")) } else { Ok(vec![value]) }
}

/// A pin number of the ESP32's SPI_PAD_CONFIG fields: 30 and 31 stand for the pins 32 and 33.
fn pin(n: u64) -> Result<Vec<u8>, Failure> {
    match n {
        0..=29 => Ok(n.to_le_bytes().to_vec()),
        32 | 33 => Ok((n - 2).to_le_bytes().to_vec()),
        _ => Err(Failure::new("IO pins 30 & 31 cannot be set for SPI flash. 0-29, 32 & 33 only.")),
    }
}

fn counts(name: &str) -> bool {
    COUNTERS.contains(&name)
}

/// Bytes in hex, the last byte in memory first.
fn bytes(session: &Session, field: &Field, text: &str) -> Result<Vec<u8>, Failure> {
    let name = field.name;
    let digits = text.strip_prefix("0x").unwrap_or(text);
    let nibbles = digits.chars().map(|c| c.to_digit(16)).collect::<Option<Vec<u32>>>();
    let nibbles =
        nibbles.ok_or_else(|| Failure::new(format!("eFuse '{name}': the new value is not written in hex digits")))?;
    let expected = usize::from(len(session, field));
    if nibbles.len() * 4 != expected {
        let found = nibbles.len() * 4;
        return Err(Failure::new(format!(
            "The length of eFuse '{name}' ({expected} bits) (given len of the new value= {found} bits)"
        )));
    }
    Ok(nibbles.chunks(2).rev().map(|pair| pair.iter().fold(0, |byte, n| byte << 4 | *n as u8)).collect())
}

/// The list of what will be burned, by block, with a warning where a block can be burned once only.
fn announce(session: &mut Session, wanted: &[(&'static Field, Vec<u8>)]) {
    session.say("The eFuses to burn:");
    let coded = session.e.chip() != Chip::Esp32 || read(&*session.e, "CODING_SCHEME") == 1;
    let mut attention = "";
    for n in 0..blocks(session.e.chip()).len() {
        let names: Vec<&str> = wanted.iter().filter(|(f, _)| usize::from(f.block) == n).map(|(f, _)| f.name).collect();
        if names.is_empty() {
            continue;
        }
        session.say(&format!("  from BLOCK{n}"));
        for name in &names {
            session.say(&format!("     - {name}"));
        }
        let table = session.e.fields().iter();
        let others: Vec<&str> = table
            .filter(|f| usize::from(f.block) == n && f.category != "calibration" && !names.contains(&f.name))
            .map(|f| f.name)
            .collect();
        if coded && n > 0 && !others.is_empty() {
            session.say(
                "    ATTENTION! This BLOCK uses NOT the NONE coding scheme and after 'BURN', these efuses can not be burned in the feature:",
            );
            session.say(&format!("               ['{}']", others.join("', '")));
        }
        if coded && n > 0 {
            attention = " (see 'ATTENTION!' above)";
        }
    }
    session.say(&format!("\nBurning eFuses{attention}:"));
}

/// Reads back: a value that is not what was asked for means that the burn failed (the bits are burned all the same).
fn check(session: &mut Session, wanted: &[(&'static Field, Vec<u8>)]) -> Result<(), Failure> {
    let mut good = true;
    for (field, new) in wanted {
        let now = bits(session.e, field);
        let same = now.iter().enumerate().all(|(i, byte)| new.get(i).copied().unwrap_or(0) == *byte);
        if !same && !session.read_protected(field) {
            let is_key = field.kind == FieldKind::Bytes && !field.read_disable.is_empty();
            let shown = |bits: &[u8]| if is_key { "(hidden)".into() } else { value(field, bits) };
            let (now, new) = (shown(&now), shown(new));
            session.say(&format!("{now} -> {new} Efuse {} failed to burn. Protected?", field.name));
            good = false;
        }
    }
    if !good {
        return Err(Failure::new("The burn was not successful."));
    }
    session.say("Successful.");
    Ok(())
}
