//! summary and dump (formats sheet §8.7-8.8).

use super::{
    super::{Failure, Workbench},
    Command,
    format::{bits, hex, hidden, number, value},
    session::Session,
};
use dryburn::{
    Chip,
    efuse::{Efuse, Field, FieldKind, KeyPurpose, blocks, chip_revision},
};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// How a value is shown.
enum Shown {
    Bool(bool),
    Number(u64),
    Text(String),
}

/// The meaning of a field's value, in the tool's words.
fn meaning(session: &Session, field: &Field, bits: &[u8]) -> Shown {
    let n = number(bits);
    let text = |t: &str| Shown::Text(t.to_owned());
    match field.name {
        "SPI_BOOT_CRYPT_CNT" => text(if n.count_ones() % 2 == 1 { "Enable" } else { "Disable" }),
        "CODING_SCHEME" => text(match n {
            0 => "NONE (BLK1-3 len=256 bits)",
            1 => "3/4 (BLK1-3 len=192 bits)",
            2 => "REPEAT (BLK1-3 len=128 bits) not supported",
            _ => "NONE (BLK1-3 len=256 bits)",
        }),
        "XPD_SDIO_TIEH" => text(if n == 1 { "3.3V" } else { "1.8V" }),
        "XTS_KEY_LENGTH_256" if session.e.chip() == Chip::Esp32c2 => {
            text(if n == 1 { "256 bits key" } else { "128 bits key" })
        }
        name if name.starts_with("KEY_PURPOSE_") && !name.ends_with("_H") => {
            let purpose = KeyPurpose::from_value(session.e.chip(), n as u8);
            text(purpose.map_or("FORBIDDEN_STATE", KeyPurpose::name))
        }
        "MAC" | "CUSTOM_MAC" => {
            let printed = |order: &[u8]| order.iter().map(|b| format!("{b:02x}")).collect::<Vec<_>>().join(":");
            let reversed: Vec<u8> = bits.iter().rev().copied().collect();
            match (session.e.chip(), field.name) {
                (Chip::Esp32, "CUSTOM_MAC") => {
                    Shown::Text(format!("{} {}", printed(bits), crc_note(session, bits, "CUSTOM_MAC_CRC")))
                }
                (Chip::Esp32, _) => {
                    Shown::Text(format!("{} {}", printed(&reversed), crc_note(session, &reversed, "MAC_CRC")))
                }
                _ => Shown::Text(format!("{} (OK)", printed(&reversed))),
            }
        }
        _ => match field.kind {
            FieldKind::Bool => Shown::Bool(n == 1),
            FieldKind::Uint => Shown::Number(n),
            FieldKind::Bytes if session.read_protected(field) => Shown::Text(hidden(bits.len())),
            FieldKind::Bytes => Shown::Text(bits.iter().map(|b| format!("{b:02x}")).collect::<Vec<_>>().join(" ")),
        },
    }
}

/// CRC-8, polynomial 0x8C reflected, over the MAC in printed order (formats sheet §8.2).
fn crc_note(session: &Session, mac: &[u8], field: &str) -> String {
    let stored = session.field(field).map_or(0, |f| number(&bits(session.e, f)) as u8);
    let crc = mac
        .iter()
        .fold(0_u8, |crc, byte| (0..8).fold(crc ^ byte, |c, _| if c & 1 == 1 { c >> 1 ^ 0x8C } else { c >> 1 }));
    let verdict = if crc == stored { "OK" } else { "invalid" };
    format!("(CRC 0x{stored:02x} {verdict})")
}

/// The fields that summary shows, in table order.
fn shown_fields(session: &Session, command: &Command) -> Vec<&'static Field> {
    let wanted = &command.positional;
    let table = session.e.fields().iter();
    table
        .filter(|f| f.category != "calibration" || f.name == "ADC_VREF")
        .filter(|f| wanted.is_empty() || wanted.iter().any(|name| name == f.name))
        .filter(|f| !command.flag("--active") || bits(session.e, f).iter().any(|b| *b != 0))
        .collect()
}

pub(super) fn summary(session: &mut Session, files: &mut Workbench, command: &Command) -> Result<(), Failure> {
    let fields = shown_fields(session, command);
    let text = match command.value("--format").unwrap_or("summary") {
        "summary" => table(session, &fields),
        "json" => as_json(session, &fields)?,
        "value_only" => {
            if command.positional.len() != 1 {
                return Err(Failure::new("The 'value_only' format can be used exactly for one eFuse."));
            }
            let Some(field) = fields.first() else {
                let name = command.positional.first().map_or("", String::as_str);
                return Err(Failure::new(format!("summary: {} has no eFuse field called {name}", session.e.chip())));
            };
            match meaning(session, field, &bits(session.e, field)) {
                Shown::Bool(b) => python_bool(b).to_owned(),
                Shown::Number(n) => n.to_string(),
                Shown::Text(text) => text,
            }
        }
        other => return Err(Failure::new(format!("summary --format {other}: choose summary, json or value_only"))),
    };
    match command.value("--file") {
        Some(name) => {
            files.write(name, text.as_bytes())?;
            session.say(&format!("Saving eFuse values to {name}\n\nDone"));
        }
        None => session.say(text.trim_end_matches('\n')),
    }
    Ok(())
}

fn python_bool(b: bool) -> &'static str {
    if b { "True" } else { "False" }
}

fn table(session: &Session, fields: &[&'static Field]) -> String {
    let mut out = String::from(
        "EFUSE_NAME (Block) Description  = [Meaningful Value] [Readable/Writeable] (Hex Value)\n\
         ----------------------------------------------------------------------------------------\n",
    );
    let mut groups: BTreeMap<String, Vec<&Field>> = BTreeMap::new();
    for field in fields {
        let title = field.category.split(' ').map(capital).collect::<Vec<_>>().join(" ");
        groups.entry(title).or_default().push(field);
    }
    for (title, fields) in groups {
        out.push_str(&format!("{title} fuses:\n"));
        for field in fields {
            let bits = bits(session.e, field);
            let meaning = match meaning(session, field, &bits) {
                Shown::Bool(b) => python_bool(b).to_owned(),
                Shown::Number(n) => n.to_string(),
                Shown::Text(text) => text,
            };
            let access = format!(
                "{}/{}",
                if session.read_protected(field) { '-' } else { 'R' },
                if session.write_protected(field) { '-' } else { 'W' }
            );
            let raw = if field.kind == FieldKind::Bytes { String::new() } else { format!("({})", value(field, &bits)) };
            let wrap = if meaning.len() > 20 { "\n  " } else { "" };
            let name = format!("{} (BLOCK{})", field.name, field.block);
            out.push_str(&format!("{name:<50} {:<50}{wrap} = {meaning} {access} {raw}\n", ""));
        }
        out.push('\n');
    }
    out
}

fn capital(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map_or(String::new(), |c| c.to_ascii_uppercase().to_string() + chars.as_str())
}

fn as_json(session: &Session, fields: &[&'static Field]) -> Result<String, Failure> {
    let mut all = BTreeMap::new();
    for field in fields {
        let bits = bits(session.e, field);
        let kind = match field.kind {
            FieldKind::Bool => "bool".to_owned(),
            FieldKind::Uint => format!("uint:{}", field.len),
            FieldKind::Bytes => format!("bytes:{}", field.len / 8),
        };
        let raw = match field.kind {
            FieldKind::Bytes => format!("0x{}", hex(&bits)),
            _ => format!("0x{:0width$x}", number(&bits), width = usize::from(field.len).div_ceil(4)),
        };
        let meaning = match meaning(session, field, &bits) {
            Shown::Bool(b) => Value::Bool(b),
            Shown::Number(n) => n.into(),
            Shown::Text(text) => text.into(),
        };
        all.insert(
            field.name,
            json!({
                "bit_len": field.len, "block": field.block, "category": field.category, "description": "",
                "efuse_type": kind, "name": field.name, "pos": field.bit % 32, "raw_value": raw,
                "readable": !session.read_protected(field), "value": meaning, "word": field.bit / 32,
                "writeable": !session.write_protected(field),
            }),
        );
    }
    let mut out = Vec::new();
    let pretty = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    let mut writer = serde_json::Serializer::with_formatter(&mut out, pretty);
    serde::Serialize::serialize(&all, &mut writer)?;
    Ok(String::from_utf8_lossy(&out).into_owned())
}

/// The words of each block that dump shows: with 3/4 coding the ESP32's key blocks have six.
fn dumped(session: &Session) -> Vec<Vec<u32>> {
    let e = &*session.e;
    let short = e.chip() == Chip::Esp32 && dryburn::efuse::read(e, "CODING_SCHEME") == 1;
    let len = |n: usize| if short && n > 0 { 6 } else { e.words(n) };
    (0..blocks(e.chip()).len()).map(|n| (0..len(n)).map(|w| e.read_word(n, w)).collect()).collect()
}

pub(super) fn dump(session: &mut Session, files: &mut Workbench, command: &Command) -> Result<(), Failure> {
    let words = dumped(session);
    let bytes: Vec<Vec<u8>> = words.iter().map(|b| b.iter().flat_map(|w| w.to_le_bytes()).collect()).collect();
    match (command.value("--format").unwrap_or("default"), command.value("--file-name")) {
        ("default", None) => {
            for (n, (block, words)) in blocks(session.e.chip()).iter().zip(&words).enumerate() {
                let words = words.iter().map(|w| format!("{w:08x}")).collect::<Vec<_>>().join(" ");
                // the ESP32's block 2 has two other names, cut to the column
                let alias = block.aliases.join(" ").chars().take(16).collect::<String>();
                session.say(&format!("{:<15} ({alias:<16}) [{n:<2}] dump: {words}", block.name));
            }
        }
        ("split" | "joint", None) => {
            for block in &bytes {
                session.say(&hex(block));
            }
        }
        ("joint", Some(name)) => {
            files.write(name, &bytes.concat())?;
            session.say(&format!("Dump eFuse blocks -> {name}"));
        }
        ("split" | "default", Some(name)) => {
            let (stem, extension) = name.rsplit_once('.').map_or((name, String::new()), |(s, e)| (s, format!(".{e}")));
            for (n, block) in bytes.iter().enumerate() {
                let file = format!("{stem}{n}{extension}");
                files.write(&file, block)?;
                session.say(&format!("Dump eFuse block{n} -> {file}"));
            }
        }
        ("token", name) => {
            let token = token(session, &bytes);
            match name {
                Some(name) => {
                    files.write(name, token.as_bytes())?;
                    session.say(&format!("eFuse token dump -> {name}"));
                }
                None => session.say(&token),
            }
        }
        (other, _) => {
            return Err(Failure::new(format!("dump --format {other}: choose default, split, joint or token")));
        }
    }
    Ok(())
}

/// `EFSR:<chip>:<revision>:<block 0>:…:<errors>:<CRC-32>`.
fn token(session: &Session, blocks: &[Vec<u8>]) -> String {
    let mut out = format!("EFSR:{}:{:03}:", session.e.chip(), chip_revision(&*session.e).0);
    for block in blocks {
        if block.iter().any(|b| *b != 0) {
            out.push_str(&base64url(block));
        }
        out.push(':');
    }
    out.push(':');
    let crc = crc32fast::hash(out.as_bytes()).to_le_bytes();
    out.push_str(&base64url(&crc));
    out
}

fn base64url(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let n = (0..3).fold(0_usize, |n, i| n << 8 | usize::from(chunk.get(i).copied().unwrap_or(0)));
        for i in 0..=chunk.len() {
            out.push(char::from(DIGITS[n >> (18 - 6 * i) & 63]));
        }
    }
    out
}
