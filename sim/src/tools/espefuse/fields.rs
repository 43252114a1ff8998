//! Which fields the vendor's tool shows, what it computes from them, and how it words their values.

use super::{
    format::{bits, hex, hidden, number},
    meanings::word,
    session::Session,
};
use crate::efuse::Efuses;
use dryburn::{
    Chip,
    efuse::{Field, FieldKind, KeyPurpose, read, read_field, security::block_revision},
};

/// How a value is shown.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Shown {
    Bool(bool),
    Number(u64),
    Real(f64),
    Text(String),
}

impl Shown {
    /// As Python prints it.
    pub fn text(&self) -> String {
        match self {
            Self::Bool(true) => "True".into(),
            Self::Bool(false) => "False".into(),
            Self::Number(n) => n.to_string(),
            Self::Real(x) => format!("{x:?}"),
            Self::Text(text) => text.clone(),
        }
    }
}

fn blk(e: &Efuses) -> u16 {
    block_revision(e).map_or(0, |revision| revision.0)
}

/// Whether the chip's calibration was burned, so that its fields are shown.
fn calibrated(session: &Session) -> bool {
    let e = &*session.e;
    match e.chip() {
        Chip::Esp32 => read(e, "BLK3_PART_RESERVE") == 1,
        Chip::Esp32s3 | Chip::Esp32c3 => blk(e) >= 100,
        Chip::Esp32h2 => blk(e) >= 2,
        _ => blk(e) >= 1,
    }
}

/// Whether the tool knows the field in the present state of the eFuses.
pub(super) fn exists(session: &Session, field: &Field) -> bool {
    if session.e.chip() == Chip::Esp32c3 && field.name == "JTAG_SEL_ENABLE" {
        return false; // espefuse 5.6 has no such field
    }
    field.category != "calibration" || field.name == "ADC_VREF" || calibrated(session)
}

/// The fields that can be named on the command line: on the ESP32, custom MAC fields only once MAC_VERSION says that there is
/// a custom MAC.
pub(super) fn choices(session: &Session) -> impl Iterator<Item = &'static Field> {
    let no_mac = session.e.chip() == Chip::Esp32 && read(&*session.e, "MAC_VERSION") != 1;
    let table = session.e.fields().iter();
    table.filter(move |f| exists(session, f) && !(no_mac && matches!(f.name, "CUSTOM_MAC" | "CUSTOM_MAC_CRC")))
}

/// Length in bits: with 3/4 coding the ESP32's blocks 1 to 3 have 24 bytes.
pub(super) fn len(session: &Session, field: &Field) -> u16 {
    if field.len == 256 { u16::try_from(session.block_len(field.block.into()) * 8).unwrap_or(256) } else { field.len }
}

/// The bits of a field at its present length.
pub(super) fn shown_bits(session: &Session, field: &Field) -> Vec<u8> {
    let mut bits = bits(session.e, field);
    bits.truncate(usize::from(len(session, field)).div_ceil(8));
    bits
}

/// The value of a field in the tool's words.
pub(super) fn meaning(session: &Session, field: &Field) -> Shown {
    let shown = plain_meaning(session, field);
    if session.read_protected(field) && (field.kind != FieldKind::Bytes || field.name.contains("MAC")) {
        // nothing can be read, so the tool replaces every 0 of the text
        let zero = bits(session.e, field).iter().all(|b| *b == 0);
        let text = shown.text();
        return Shown::Text(if zero { text.replace('0', "?") } else { text });
    }
    shown
}

fn plain_meaning(session: &Session, field: &Field) -> Shown {
    let chip = session.e.chip();
    let bits = shown_bits(session, field);
    let n = number(&bits);
    if let Some(word) = word(chip, field.name, n).filter(|_| field.kind != FieldKind::Bytes) {
        return Shown::Text(word.into());
    }
    let signed = |bits: u32| {
        let size = n & ((1 << (bits - 1)) - 1);
        if n >> (bits - 1) & 1 == 1 { -(size as i64) } else { size as i64 }
    };
    match field.name {
        name if name.starts_with("KEY_PURPOSE_") && !name.ends_with("_H") => {
            Shown::Text(purpose_name(session, name, n))
        }
        "MAC" | "CUSTOM_MAC" | "MAC_EXT" => Shown::Text(mac(session, field, &bits)),
        "TEMP_CALIB" => Shown::Real(signed(9) as f64 * 0.1),
        "ADC_VREF" => Shown::Number(u64::try_from(1100 + signed(5) * 7).unwrap_or(0)),
        "ADC1_TP_LOW" => Shown::Number(reading(278, n, 7)),
        "ADC1_TP_HIGH" => Shown::Number(reading(3265, n, 9)),
        "ADC2_TP_LOW" => Shown::Number(reading(421, n, 7)),
        "ADC2_TP_HIGH" => Shown::Number(reading(3406, n, 9)),
        name if chip == Chip::Esp32 && name.starts_with("SPI_PAD_CONFIG_") && n >= 30 => Shown::Number(n + 2),
        _ => match field.kind {
            FieldKind::Bool => Shown::Bool(n == 1),
            FieldKind::Uint => Shown::Number(n),
            FieldKind::Bytes => {
                // two RD_DIS bits hide one half each
                let part = bits.len().div_ceil(field.read_disable.len().max(1)).max(1);
                let parts = bits.chunks(part).enumerate().map(|(i, bytes)| {
                    let bit = field.read_disable.get(i).copied();
                    let hides = bit.is_some_and(|bit| session.disabled("RD_DIS", bit));
                    if hides { hidden(bytes.len()) } else { spaced(bytes, " ") }
                });
                Shown::Text(parts.collect::<Vec<_>>().join(" "))
            }
        },
    }
}

/// An ADC reading: four steps per unit of a number in two's complement, from a nominal value.
fn reading(nominal: i64, n: u64, bits: u32) -> u64 {
    let n = n as i64;
    let n = if n >> (bits - 1) & 1 == 1 { n - (1 << bits) } else { n };
    u64::try_from(nominal + n * 4).unwrap_or(0)
}

fn spaced(bytes: &[u8], separator: &str) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect::<Vec<_>>().join(separator)
}

/// The name of a key purpose; the high bit of the P4 from v3.0 on is part of its value.
fn purpose_name(session: &Session, field: &str, low: u64) -> String {
    let chip = session.e.chip();
    let value = (low | u64::from(read(&*session.e, &format!("{field}_H"))) << 4) as u8;
    super::purpose::name_of(chip, value)
}

fn mac(session: &Session, field: &Field, bits: &[u8]) -> String {
    let reversed: Vec<u8> = bits.iter().rev().copied().collect();
    match (session.e.chip(), field.name) {
        (Chip::Esp32, "CUSTOM_MAC") => format!("{} {}", spaced(bits, ":"), crc_note(session, bits, "CUSTOM_MAC_CRC")),
        (Chip::Esp32, _) => format!("{} {}", spaced(&reversed, ":"), crc_note(session, &reversed, "MAC_CRC")),
        (_, "CUSTOM_MAC") => format!("{} (OK)", spaced(bits, ":")),
        _ => format!("{} (OK)", spaced(&reversed, ":")),
    }
}

fn crc_note(session: &Session, mac: &[u8], field: &str) -> String {
    let stored = session.field(field).map_or(0, |f| read_field(&*session.e, f)) as u8;
    let computed = crc8(mac);
    if computed == stored {
        format!("(CRC 0x{stored:02x} OK)")
    } else {
        format!("(CRC 0x{stored:02x} invalid - calculated 0x{computed:02x})")
    }
}

/// CRC-8, polynomial 0x8C reflected, over the MAC in printed order (formats sheet §8.2).
pub(super) fn crc8(mac: &[u8]) -> u8 {
    mac.iter().fold(0_u8, |crc, byte| (0..8).fold(crc ^ byte, |c, _| if c & 1 == 1 { c >> 1 ^ 0x8C } else { c >> 1 }))
}

/// What the tool computes from several fields: name, block, length in bits, category, value; bytes for a MAC.
pub(super) struct Computed {
    pub name: &'static str,
    pub block: u8,
    pub len: u16,
    pub category: &'static str,
    /// Bytes in printed order, or the number.
    pub value: Result<u64, Vec<u8>>,
}

impl Computed {
    pub fn meaning(&self) -> Shown {
        match &self.value {
            Ok(n) => Shown::Number(*n),
            Err(bytes) => Shown::Text(format!("{} (OK)", spaced(bytes, ":"))),
        }
    }

    pub fn raw(&self) -> String {
        match &self.value {
            Ok(n) => format!("0x{n:0width$x}", width = usize::from(self.len).div_ceil(4)),
            Err(bytes) => format!("0x{}", hex(bytes)),
        }
    }
}

pub(super) fn computed(session: &Session) -> Vec<Computed> {
    let e = &*session.e;
    let n = |name: &str| u64::from(read(e, name));
    let number = |name, len, category, value| Computed { name, block: 0, len, category, value: Ok(value) };
    let identity = |name, len, value| number(name, len, "identity", value);
    let sector = |value| number("RECOVERY_BOOTLOADER_FLASH_SECTOR", 12, "config", value);
    let minor = || identity("WAFER_VERSION_MINOR", 4, n("WAFER_VERSION_MINOR_HI") << 3 | n("WAFER_VERSION_MINOR_LO"));
    let eui64 = || {
        let field = |name: &str| session.field(name).map(|f| bits(e, f)).unwrap_or_default();
        let (mut mac, mut ext) = (field("MAC"), field("MAC_EXT"));
        mac.reverse();
        ext.reverse();
        let tail = mac.split_off(mac.len().min(3));
        let value = Err([mac, ext, tail].concat());
        Computed { name: "MAC_EUI64", block: 1, len: 64, category: "MAC", value }
    };
    match e.chip() {
        Chip::Esp32 => vec![
            identity("WAFER_VERSION_MAJOR", 3, u64::from(session.revision().major())),
            identity("PKG_VERSION", 4, n("CHIP_PACKAGE_4BIT") << 3 | n("CHIP_PACKAGE")),
        ],
        Chip::Esp32s2 | Chip::Esp32c3 => vec![minor()],
        Chip::Esp32s3 => vec![minor(), identity("PSRAM_CAPACITY", 3, n("PSRAM_CAP_3") << 2 | n("PSRAM_CAP"))],
        Chip::Esp32c5 => {
            let version =
                n("BOOTLOADER_ANTI_ROLLBACK_SECURE_VERSION_HI") << 3 | n("BOOTLOADER_ANTI_ROLLBACK_SECURE_VERSION_LO");
            vec![
                sector(n("RECOVERY_BOOTLOADER_FLASH_SECTOR_HI") << 9 | n("RECOVERY_BOOTLOADER_FLASH_SECTOR_LO")),
                number("BOOTLOADER_ANTI_ROLLBACK_SECURE_VERSION", 4, "config", version),
                eui64(),
            ]
        }
        Chip::Esp32c6 | Chip::Esp32h2 => vec![eui64()],
        Chip::Esp32p4 => {
            let major = n("WAFER_VERSION_MAJOR_HI") << 2 | n("WAFER_VERSION_MAJOR_LO");
            let mut all = vec![identity("WAFER_VERSION_MAJOR", 3, major)];
            if session.field("RECOVERY_BOOTLOADER_FLASH_SECTOR_0_1").is_some() {
                let part = |name: &str, shift: u32| n(&format!("RECOVERY_BOOTLOADER_FLASH_SECTOR_{name}")) << shift;
                all.push(sector(
                    part("0_1", 0)
                        | part("2_2", 2)
                        | part("3_6", 3)
                        | part("7_7", 7)
                        | part("8_10", 8)
                        | part("11_11", 11),
                ));
            }
            all
        }
        _ => Vec::new(),
    }
}

/// Whether the purpose of a key block says that nobody may read it.
pub(super) fn is_secret(chip: Chip, value: u8) -> bool {
    KeyPurpose::from_value(chip, value).is_some_and(KeyPurpose::is_secret)
}
