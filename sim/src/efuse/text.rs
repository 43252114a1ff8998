//! eFuses as text: what espefuse prints.
//!
//! | form | recognised by | says the chip |
//! |---|---|---|
//! | token | `EFSR:` at the start of a line | yes |
//! | dump | lines `NAME (…) [n ] dump: words` | ESP32 and C2, by the length of block 0 |
//! | JSON | `{` after any banner | ESP32, by the field FLASH_CRYPT_CNT; C2, by XTS_KEY_LENGTH_256 |
//!
//! What espefuse could not read is zero here. JSON holds fields only: bits outside of them are lost, and it must come from
//! esptool 5 or later, which writes `raw_value`. Sources: formats sheet §8.7-8.8.

use super::{Efuses, error::FileError, place};
use dryburn::{
    Chip,
    efuse::{Field, FieldKind},
};
use serde_json::{Map, Value};

/// Reads one of the text forms; `None` where the bytes are none of them.
pub(super) fn parse(bytes: &[u8], chip: Option<Chip>) -> Option<Result<Efuses, FileError>> {
    let text = std::str::from_utf8(bytes).ok().filter(|t| !t.contains('\0'))?;
    if let Some(line) = text.lines().map(str::trim).find(|l| l.starts_with("EFSR:")) {
        return Some(token(line, chip));
    }
    if text.contains("] dump: ") {
        return Some(dump(text, chip));
    }
    text.find('{').map(|start| json(text.get(start..).unwrap_or(""), chip))
}

fn check_chip(form: &'static str, found: Chip, asked: Option<Chip>) -> Result<Chip, FileError> {
    match asked {
        Some(expected) if expected != found => Err(FileError::OtherChip { form, found: found.spec().title, expected }),
        _ => Ok(found),
    }
}

/// `EFSR:<chip>:<revision>:<block 0>:…:<errors>:<CRC-32>`; blocks are base64url without padding, empty where zero.
fn token(line: &str, chip: Option<Chip>) -> Result<Efuses, FileError> {
    const FORM: &str = "eFuse token";
    let pieces: Vec<&str> = line.split(':').collect();
    let named: Chip = pieces.get(1).copied().unwrap_or("").parse()?;
    let mut e = Efuses::new(check_chip(FORM, named, chip)?);
    let expected = e.blocks.len() + 5;
    if pieces.len() != expected {
        let found = format!("{} pieces", pieces.len());
        return Err(FileError::text(
            FORM,
            found,
            format!("{expected} for {named}: EFSR, chip, revision, blocks, errors, CRC"),
        ));
    }
    let crc_text = pieces.last().copied().unwrap_or("");
    let prefix = line.strip_suffix(crc_text).unwrap_or("");
    if base64url(crc_text).as_deref() != Some(&crc32fast::hash(prefix.as_bytes()).to_le_bytes()[..]) {
        return Err(FileError::text(FORM, "a CRC-32 that does not match", "a token copied in full and unchanged"));
    }
    for (block, piece) in pieces.iter().skip(3).take(e.blocks.len()).enumerate() {
        let place = || format!("{FORM}, block {block}");
        let bytes = base64url(piece).ok_or_else(|| FileError::text(place(), "other characters", "base64url"))?;
        let size = e.words(block) * 4;
        // with 3/4 coding the ESP32 shows 24 bytes of its blocks 1 to 3
        if !(bytes.is_empty() || bytes.len() == size || (named == Chip::Esp32 && block > 0 && bytes.len() == 24)) {
            return Err(FileError::text(place(), format!("{} bytes", bytes.len()), format!("{size} bytes or none")));
        }
        e.set_block(block, &bytes);
    }
    Ok(e)
}

fn base64url(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len() * 3 / 4);
    let (mut bits, mut count) = (0_u32, 0);
    for c in text.trim_end_matches('=').bytes() {
        let six = match c {
            b'A'..=b'Z' => c - b'A',
            b'a'..=b'z' => c - b'a' + 26,
            b'0'..=b'9' => c - b'0' + 52,
            b'-' => 62,
            b'_' => 63,
            _ => return None,
        };
        bits = (bits << 6 | u32::from(six)) & 0xFFFF;
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count & 0xFF) as u8);
        }
    }
    Some(out)
}

/// The lines of `espefuse dump`.
fn dump(text: &str, chip: Option<Chip>) -> Result<Efuses, FileError> {
    const FORM: &str = "espefuse dump";
    let mut found: Vec<Option<Vec<u32>>> = Vec::new();
    for (line, content) in (1..).zip(text.lines()) {
        let Some((head, words)) = content.split_once("] dump: ") else { continue };
        let bad = |found: &str, expected: &str| FileError::text(format!("line {line}"), found, expected);
        let block: usize = head
            .rsplit_once('[')
            .and_then(|(_, n)| n.trim().parse().ok())
            .filter(|n| *n < 16)
            .ok_or_else(|| bad("no block number", "[n ] before dump:"))?;
        let words = words.split_whitespace().map(|w| u32::from_str_radix(w, 16).ok()).collect::<Option<Vec<_>>>();
        let words =
            words.filter(|w| w.len() <= 8).ok_or_else(|| bad("something else", "up to 8 words of 8 hex digits"))?;
        if found.len() <= block {
            found.resize(block + 1, None);
        }
        match found.get_mut(block) {
            Some(slot @ None) => *slot = Some(words),
            _ => return Err(bad("a block that was already dumped", "one dump per file")),
        }
    }
    let len = |n: usize| found.get(n).and_then(Option::as_ref).map_or(0, Vec::len);
    let chip = match (len(0), chip) {
        (7, chip) => check_chip(FORM, Chip::Esp32, chip)?,
        (2, chip) => check_chip(FORM, Chip::Esp32c2, chip)?,
        (_, Some(chip)) => chip,
        (_, None) => return Err(FileError::NeedsChip { form: FORM }),
    };
    let mut e = Efuses::new(chip);
    if found.len() != e.blocks.len() {
        let expected = format!("{} for {chip}", e.blocks.len());
        return Err(FileError::text(FORM, format!("{} blocks", found.len()), expected));
    }
    for (block, words) in found.iter().enumerate() {
        let words = words.as_deref().unwrap_or(&[]);
        let short = chip == Chip::Esp32 && block > 0 && words.len() == 6;
        if words.len() != e.words(block) && !short {
            let expected = format!("{} for {chip}", e.words(block));
            return Err(FileError::text(format!("block {block}"), format!("{} words", words.len()), expected));
        }
        for (word, value) in words.iter().enumerate() {
            e.set_word(block, word, *value);
        }
    }
    Ok(e)
}

/// `espefuse summary --format json`: one object of fields.
fn json(text: &str, chip: Option<Chip>) -> Result<Efuses, FileError> {
    const FORM: &str = "espefuse summary in JSON";
    // the object may be followed by more console output
    let fields = match serde_json::Deserializer::from_str(text).into_iter::<Map<String, Value>>().next() {
        Some(Ok(fields)) => fields,
        Some(Err(e)) => {
            let place = format!("{FORM}, line {} from its first brace, column {}", e.line(), e.column());
            return Err(FileError::text(place, "something else", "an object of eFuse fields"));
        }
        None => return Err(FileError::text(FORM, "nothing", "an object of eFuse fields")),
    };
    let chip = if fields.contains_key("FLASH_CRYPT_CNT") {
        check_chip(FORM, Chip::Esp32, chip)?
    } else if fields.contains_key("SPI_BOOT_CRYPT_CNT") {
        match (fields.contains_key("KEY_PURPOSE_0"), chip) {
            (false, chip) => check_chip(FORM, Chip::Esp32c2, chip)?,
            (true, Some(found @ (Chip::Esp32 | Chip::Esp32c2))) => {
                return Err(FileError::OtherChip { form: FORM, found: "a chip with KEY_PURPOSE_0", expected: found });
            }
            (true, chip) => chip.ok_or(FileError::NeedsChip { form: FORM })?,
        }
    } else {
        return Err(FileError::text(FORM, "no flash encryption counter", "FLASH_CRYPT_CNT or SPI_BOOT_CRYPT_CNT"));
    };
    let mut e = Efuses::new(chip);
    for (name, entry) in &fields {
        json_field(&mut e, name, entry)?;
    }
    Ok(e)
}

fn json_field(e: &mut Efuses, name: &str, entry: &Value) -> Result<(), FileError> {
    let place_of = || format!("field {}", name.chars().take(40).collect::<String>());
    let bad = |found: &str, expected: &str| FileError::text(place_of(), found, expected);
    if entry.get("word").is_some_and(Value::is_null) {
        return Ok(()); // computed from other fields
    }
    let number = |key: &str| {
        let n = entry.get(key).and_then(Value::as_u64).and_then(|n| u16::try_from(n).ok());
        n.ok_or_else(|| bad(&format!("no usable {key}"), "block, word, pos and bit_len as small numbers"))
    };
    let (block, word, pos, len) = (number("block")?, number("word")?, number("pos")?, number("bit_len")?);
    let words = e.words(block.into());
    let bit = u32::from(word) * 32 + u32::from(pos);
    // BLOCK1 of the 6-word chips holds 192 bits
    if words == 0 || len == 0 || bit + u32::from(len) > 32 * 8 {
        return Err(bad(
            &format!("block {block}, bit {bit}, {len} bits"),
            &format!("a place in the blocks of {}", e.chip()),
        ));
    }
    if entry.get("readable") == Some(&Value::Bool(false)) {
        return Ok(());
    }
    let is_bytes = entry.get("efuse_type").and_then(Value::as_str).is_some_and(|t| t.starts_with("bytes"));
    let raw = entry.get("raw_value").and_then(Value::as_str).and_then(|r| r.strip_prefix("0x"));
    let mut value = match (raw, entry.get("value")) {
        (Some(digits), _) => {
            let padded = format!("{}{digits}", if digits.len() % 2 == 1 { "0" } else { "" });
            hex(&padded).ok_or_else(|| bad("a raw_value that is not hexadecimal", "0x and hex digits"))?
        }
        (None, Some(Value::Bool(b))) => vec![u8::from(*b)],
        (None, Some(Value::Number(n))) => {
            let n = n.as_u64().ok_or_else(|| bad("a value below zero or broken", "a whole number"))?;
            n.to_be_bytes().to_vec()
        }
        (None, Some(Value::String(text))) if is_bytes => {
            let digits: String = text.split('(').next().unwrap_or("").replace([' ', ':'], "").replace('?', "0");
            hex(&digits).ok_or_else(|| bad("a value that is not bytes", "bytes in hex"))?
        }
        _ => return Err(bad("no raw_value", "the JSON of esptool 5 or later")),
    };
    if value.len() > 32 {
        return Err(bad("more than 256 bits", "at most 32 bytes"));
    }
    // numbers are written most significant digit first; bytes in memory order, a MAC in printed order
    if !is_bytes || (name.contains("MAC") && raw.is_none()) {
        value.reverse();
    }
    let field = Field {
        name: "",
        aliases: &[],
        block: u8::try_from(block).unwrap_or(u8::MAX),
        bit: u16::try_from(bit).unwrap_or(u16::MAX),
        len,
        write_disable: None,
        read_disable: &[],
        kind: FieldKind::Uint,
        category: "",
    };
    for (word, bits) in place(&field, &value, words).iter().enumerate() {
        let old = e.raw_word(block.into(), word);
        e.set_word(block.into(), word, old | bits);
    }
    Ok(())
}

fn hex(digits: &str) -> Option<Vec<u8>> {
    let nibbles = digits.chars().map(|c| c.to_digit(16)).collect::<Option<Vec<_>>>()?;
    let (pairs, []) = nibbles.as_chunks::<2>() else { return None };
    Some(pairs.iter().map(|[high, low]| (high << 4 | low) as u8).collect())
}
