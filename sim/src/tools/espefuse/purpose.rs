//! Key purposes as burn-key and burn-efuse take them: those of the chip, and the values that some chips leave to the user.

use super::{
    Failure,
    session::{Force, Session},
};
use dryburn::{
    Chip,
    efuse::{Field, KeyPurpose, security},
};

/// One purpose under the name that was given.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Purpose {
    pub name: String,
    pub value: u8,
    /// Software must not read the key.
    pub secret: bool,
    /// The key lies byte-reversed in its block.
    pub reversed: bool,
}

/// The values without a meaning of the vendor's, and the last of them, which CUSTOM_MAX stands for.
fn custom(chip: Chip) -> (&'static [u8], u8) {
    const HIGH: [u8; 18] = [2, 3, 13, 14, 15, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31];
    const C5: [u8; 17] = [2, 3, 13, 14, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31];
    match chip {
        Chip::Esp32c5 => (&C5, 31),
        Chip::Esp32c6 => (&[2, 3, 12, 13, 14, 15], 15),
        Chip::Esp32p4 => (HIGH.get(2..).unwrap_or(&[]), 31),
        _ => (&[], 0),
    }
}

/// The purpose called `name` on a chip with purposes; not XTS_AES_256_KEY and ECDSA_KEY_P384, which stand for two.
pub(super) fn find(chip: Chip, name: &str) -> Option<Purpose> {
    let known = if name == "ECDSA_KEY_P256" && !custom(chip).0.is_empty() && chip != Chip::Esp32c6 {
        Some(KeyPurpose::EcdsaKey)
    } else {
        KeyPurpose::from_name(chip, name)
    };
    if let Some(purpose) = known {
        return Some(Purpose {
            name: name.into(),
            value: purpose.value_on(chip)?,
            secret: purpose.is_secret(),
            reversed: purpose.is_xts() || name.starts_with("ECDSA_KEY"),
        });
    }
    let number = name.strip_prefix("CUSTOM_").map(|n| n.strip_prefix("DIGEST_").unwrap_or(n))?;
    let (values, last) = custom(chip);
    let value = if number == "MAX" { last } else { number.parse().ok()? };
    let known = values.contains(&value) && (number == "MAX" || number == value.to_string());
    known.then(|| Purpose { name: name.into(), value, secret: false, reversed: false })
}

/// The name that the tool shows for a value.
pub(super) fn name_of(chip: Chip, value: u8) -> String {
    if value == 1 && matches!(chip, Chip::Esp32c5 | Chip::Esp32p4) {
        return "ECDSA_KEY_P256".into();
    }
    match KeyPurpose::from_value(chip, value) {
        Some(purpose) => purpose.name().into(),
        None if custom(chip).0.contains(&value) => format!("CUSTOM_{value}"),
        None => "FORBIDDEN_STATE".into(),
    }
}

/// Whether the value can be named.
pub(super) fn has_value(chip: Chip, value: u8) -> bool {
    KeyPurpose::from_value(chip, value).is_some() || custom(chip).0.contains(&value)
}

/// Some chips' hardware cannot take a flash encryption or ECDSA key from BLOCK_KEY5 (as espefuse 5.6 refuses it).
pub(super) fn check_block_5(chip: Chip, field: &str, value: u8) -> Result<(), Failure> {
    let broken = matches!(chip, Chip::Esp32s3 | Chip::Esp32c3 | Chip::Esp32c6 | Chip::Esp32h2);
    let refused = |purpose: KeyPurpose| purpose.is_xts() || purpose == KeyPurpose::EcdsaKey;
    if field != "KEY_PURPOSE_5" || !broken || !KeyPurpose::from_value(chip, value).is_some_and(refused) {
        return Ok(());
    }
    Err(Failure::new(format!(
        "{field} can not have {} key due to a hardware bug (please see TRM for more details)",
        name_of(chip, value)
    )))
}

/// All names, for refusals.
pub(super) fn names(chip: Chip) -> Vec<String> {
    let mut all: Vec<String> = KeyPurpose::all(chip).map(|p| p.name().to_owned()).collect();
    if KeyPurpose::all(chip).any(|p| p == KeyPurpose::XtsAes256Key1) {
        all.push("XTS_AES_256_KEY".into());
    }
    if matches!(chip, Chip::Esp32c5 | Chip::Esp32p4) {
        all.extend(["ECDSA_KEY_P256".into(), "ECDSA_KEY_P384".into()]);
    }
    for value in custom(chip).0 {
        all.extend([format!("CUSTOM_{value}"), format!("CUSTOM_DIGEST_{value}")]);
    }
    if !custom(chip).0.is_empty() {
        all.extend(["CUSTOM_MAX".into(), "CUSTOM_DIGEST_MAX".into()]);
    }
    all
}

/// Stages the purpose of a key block, and what a purpose brings along.
pub(super) fn set(session: &mut Session, number: u8, purpose: Purpose, force: Force) -> Result<(), Failure> {
    let chip = session.e.chip();
    let name = format!("KEY_PURPOSE_{number}");
    let Some(field) = session.field(&name) else { return Ok(()) };
    let old = security::key_purpose(&*session.e, number).unwrap_or(0);
    let Purpose { name: new, value, .. } = purpose;
    if old == value {
        session.say(&format!("        '{name}' is already '{new}'."));
    } else {
        if session.write_protected(field) {
            return Err(Failure::new(format!(
                "It is not possible to change '{name}' to '{new}' because write protection bit is set."
            )));
        }
        let shown = name_of(chip, old);
        session.say(&format!("        '{name}': '{shown}' -> '{new}'."));
        check_block_5(chip, &name, value)?;
        let high: Option<&Field> = session.field(&format!("{name}_H"));
        if field.len < 8 && value >> field.len != 0 && high.is_none() {
            let (len, last) = (field.len, (1_u32 << field.len) - 1);
            return Err(Failure::new(format!(
                "{value} is too large an unsigned integer for a bitstring of length {len}. The allowed range is [0, {last}]."
            )));
        }
        session.stage(field, &[value], force)?;
        if let Some(high) = high {
            session.stage(high, &[value >> 4], force)?;
        }
    }
    if new == "ECDSA_KEY"
        && let Some(hardware) = session.field("ECDSA_FORCE_USE_HARDWARE_K")
    {
        session.say("        ECDSA_FORCE_USE_HARDWARE_K: 0 -> 1");
        session.stage(hardware, &[1], force)?;
    }
    if !session.write_protected(field)
        && let Some(bit) = field.write_disable
    {
        session.say(&format!("        Disabling write to '{name}'..."));
        session.protect("WR_DIS", bit)?;
    }
    Ok(())
}
