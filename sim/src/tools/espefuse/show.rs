//! summary (formats sheet §8.8).

use super::{
    super::{Failure, Workbench},
    args::Command,
    check_error,
    fields::{Computed, Shown, computed, exists, len, meaning, shown_bits},
    format::{hex, number, value},
    session::Session,
};
use dryburn::{
    Chip,
    efuse::{FieldKind, read},
};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// One line of the summary.
struct Row {
    name: &'static str,
    block: u8,
    /// First bit; none for what is computed.
    bit: Option<u16>,
    len: u16,
    category: &'static str,
    kind: FieldKind,
    shown: Shown,
    /// As in JSON.
    raw: String,
    /// As in the table; empty for bytes.
    digits: String,
    readable: bool,
    writeable: bool,
    zero: bool,
}

fn rows(session: &Session) -> Vec<Row> {
    let fields = session.e.fields().iter().filter(|f| exists(session, f)).map(|field| {
        let bits = shown_bits(session, field);
        let (raw, digits) = match field.kind {
            FieldKind::Bytes => (format!("0x{}", hex(&bits)), String::new()),
            _ => (
                format!("0x{:0width$x}", number(&bits), width = usize::from(field.len).div_ceil(4)),
                format!("({})", value(field, &bits)),
            ),
        };
        Row {
            name: field.name,
            block: field.block,
            bit: Some(field.bit),
            len: len(session, field),
            category: field.category,
            kind: field.kind,
            shown: meaning(session, field),
            raw,
            digits,
            readable: !session.read_protected(field),
            writeable: !session.write_protected(field),
            zero: bits.iter().all(|b| *b == 0),
        }
    });
    let computed = computed(session);
    let computed = computed.iter().map(|c: &Computed| Row {
        name: c.name,
        block: c.block,
        bit: None,
        len: c.len,
        category: c.category,
        kind: if c.value.is_ok() { FieldKind::Uint } else { FieldKind::Bytes },
        shown: c.meaning(),
        raw: c.raw(),
        digits: match c.value {
            Ok(n) if !c.len.is_multiple_of(4) => format!("(0b{n:0width$b})", width = usize::from(c.len)),
            Ok(_) => format!("({})", c.raw()),
            Err(_) => String::new(),
        },
        readable: true,
        writeable: true,
        zero: c.value.as_ref().map_or_else(|bytes| bytes.iter().all(|b| *b == 0), |n| *n == 0),
    });
    fields.chain(computed).collect()
}

pub(super) fn run(session: &mut Session, files: &mut Workbench, command: &Command) -> Result<(), Failure> {
    let wanted = &command.positional;
    let mut rows = rows(session);
    rows.retain(|row| wanted.is_empty() || wanted.iter().any(|name| name == row.name));
    rows.retain(|row| !command.flag("--active") || !row.zero);
    let text = match command.value("--format").unwrap_or("summary") {
        "summary" => {
            check_error::announce(session);
            table(session, &rows)
        }
        "json" => as_json(&rows)?,
        "value_only" => {
            if wanted.len() != 1 {
                return Err(Failure::new("The 'value_only' format can be used exactly for one eFuse."));
            }
            rows.first().map(|row| row.shown.text()).unwrap_or_default()
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

fn table(session: &Session, rows: &[Row]) -> String {
    let mut out = String::from(
        "EFUSE_NAME (Block) Description  = [Meaningful Value] [Readable/Writeable] (Hex Value)\n\
         ----------------------------------------------------------------------------------------\n",
    );
    let mut groups: BTreeMap<String, Vec<&Row>> = BTreeMap::new();
    for row in rows {
        let title = row.category.split(' ').map(capital).collect::<Vec<_>>().join(" ");
        groups.entry(title).or_default().push(row);
    }
    for (title, rows) in groups {
        out.push_str(&format!("{title} fuses:\n"));
        for row in rows {
            let meaning = row.shown.text();
            let access = format!("{}/{}", if row.readable { 'R' } else { '-' }, if row.writeable { 'W' } else { '-' });
            let wrap = if meaning.len() > 20 { "\n  " } else { "" };
            let name = format!("{} (BLOCK{})", row.name, row.block);
            if let Some(purpose) = purpose(session, row.name) {
                out.push_str(&format!("{name}\n  Purpose: {purpose}\n  {:<61}{wrap} = {meaning} {access} \n", ""));
                continue;
            }
            out.push_str(&format!("{name:<50} {:<50}{wrap} = {meaning} {access} {}\n", "", row.digits));
        }
        out.push('\n');
    }
    out.push_str(flash_voltage(session));
    out
}

/// The purpose of a key block, on chips that have purposes.
fn purpose(session: &Session, name: &str) -> Option<String> {
    let field = session.field(&format!("KEY_PURPOSE_{}", name.strip_prefix("BLOCK_KEY")?))?;
    Some(meaning(session, field).text())
}

/// The last line of the table on chips with a flash regulator.
fn flash_voltage(session: &Session) -> &'static str {
    let e = &*session.e;
    let on = |name| read(e, name) == 1;
    match e.chip() {
        Chip::Esp32 => match (on("XPD_SDIO_FORCE"), on("XPD_SDIO_REG"), on("XPD_SDIO_TIEH")) {
            (false, ..) => "Flash voltage (VDD_SDIO) determined by GPIO12 on reset (High for 1.8V, Low/NC for 3.3V)",
            (true, false, _) => "Flash voltage (VDD_SDIO) internal regulator disabled by efuse.",
            (true, true, false) => "Flash voltage (VDD_SDIO) set to 1.8V by efuse.",
            (true, true, true) => "Flash voltage (VDD_SDIO) set to 3.3V by efuse.",
        },
        Chip::Esp32s2 | Chip::Esp32s3 => match (on("VDD_SPI_FORCE"), on("VDD_SPI_XPD"), on("VDD_SPI_TIEH")) {
            (false, ..) => {
                "Flash voltage (VDD_SPI) determined by GPIO45 on reset (GPIO45=High: VDD_SPI pin is powered from internal 1.8V LDO\nGPIO45=Low or NC: VDD_SPI pin is powered directly from VDD3P3_RTC_IO via resistor Rspi. Typically this voltage is 3.3 V)."
            }
            (true, false, _) => "Flash voltage (VDD_SPI) internal regulator disabled by efuse.",
            (true, true, false) => "Flash voltage (VDD_SPI) set to 1.8V by efuse.",
            (true, true, true) => "Flash voltage (VDD_SPI) set to 3.3V by efuse.",
        },
        _ => "",
    }
}

fn capital(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map_or(String::new(), |c| c.to_ascii_uppercase().to_string() + &chars.as_str().to_ascii_lowercase())
}

fn as_json(rows: &[Row]) -> Result<String, Failure> {
    let mut all = BTreeMap::new();
    for row in rows {
        let kind = match row.kind {
            FieldKind::Bool => "bool".to_owned(),
            FieldKind::Uint => format!("uint:{}", row.len),
            FieldKind::Bytes => format!("bytes:{}", row.len / 8),
        };
        let shown: Value = match &row.shown {
            Shown::Bool(b) => (*b).into(),
            Shown::Number(n) => (*n).into(),
            Shown::Real(x) => (*x).into(),
            Shown::Text(text) => text.as_str().into(),
        };
        all.insert(
            row.name,
            json!({
                "bit_len": row.len, "block": row.block, "category": row.category, "description": "",
                "efuse_type": kind, "name": row.name, "pos": row.bit.map(|bit| bit % 32), "raw_value": row.raw,
                "readable": row.readable, "value": shown, "word": row.bit.map(|bit| bit / 32),
                "writeable": row.writeable,
            }),
        );
    }
    let mut out = Vec::new();
    let pretty = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    let mut writer = serde_json::Serializer::with_formatter(&mut out, pretty);
    serde::Serialize::serialize(&all, &mut writer)?;
    Ok(String::from_utf8_lossy(&out).into_owned())
}
