//! burn-custom-mac and get-custom-mac.

use super::{
    super::Failure,
    args::Command,
    fields::{crc8, meaning},
    format::{bits, value},
    session::{Force, Session},
};
use dryburn::{Chip, efuse::read};

/// A MAC as `AA:BB:CC:DD:EE:FF`, in printed order.
pub(super) fn parse(text: &str, custom: bool) -> Result<[u8; 6], Failure> {
    if text.split(':').count() != 6 {
        return Err(Failure::new("MAC Address needs to be a 6-byte hexadecimal format separated by colons (:)!"));
    }
    let digits = text.replace(':', "");
    if digits.len() != 12 {
        return Err(Failure::new("MAC Address needs to be a 6-byte hexadecimal number (12 hexadecimal characters)!"));
    }
    let mut mac = [0; 6];
    for (byte, i) in mac.iter_mut().zip((0..12).step_by(2)) {
        let pair = digits.get(i..i + 2).filter(|pair| pair.chars().all(|c| c.is_ascii_hexdigit()));
        *byte = pair.and_then(|pair| u8::from_str_radix(pair, 16).ok()).ok_or_else(|| {
            // the vendor's tool falls over here, with status 1
            Failure { text: format!("{text}: not a MAC address: write six pairs of hex digits"), status: 1 }
        })?;
    }
    if custom && mac[0] & 1 == 1 {
        return Err(Failure::new("Custom MAC must be a unicast MAC!"));
    }
    Ok(mac)
}

pub(super) fn burn(session: &mut Session, command: &Command) -> Result<(), Failure> {
    let [text] = command.positional.as_slice() else {
        return Err(Failure::new("burn-custom-mac: name one MAC address"));
    };
    let mac = parse(text, true)?;
    let force = Force { hint: true };
    stage(session, mac, force)?;
    if session.e.chip() == Chip::Esp32c2
        && let Some(used) = session.field("CUSTOM_MAC_USED")
    {
        session.stage(used, &[1], force)?;
    }
    session.finish(false)?;
    if !session.batch {
        get(session);
        session.say("Successful.");
    }
    Ok(())
}

/// Stages CUSTOM_MAC, on the ESP32 with its version and CRC-8. The flag of the C2 is set by burn-custom-mac alone.
pub(super) fn stage(session: &mut Session, mac: [u8; 6], force: Force) -> Result<(), Failure> {
    let chip = session.e.chip();
    if chip == Chip::Esp32 {
        match read(&*session.e, "MAC_VERSION") {
            0 => set(session, "MAC_VERSION", &[1], force)?,
            1 => {}
            found => return Err(Failure::new(format!("MAC_VERSION = {found}, should be 0 or 1."))),
        }
    }
    set(session, "CUSTOM_MAC", &mac, force)?;
    match chip {
        Chip::Esp32 => set(session, "CUSTOM_MAC_CRC", &[crc8(&mac)], force),
        _ => Ok(()),
    }
}

fn set(session: &mut Session, name: &str, new: &[u8], force: Force) -> Result<(), Failure> {
    let Some(field) = session.field(name) else { return Ok(()) };
    let digits: String = new.iter().rev().map(|b| format!("{b:02x}")).collect();
    let digits = if new.len() == 1 { format!("{:x}", new[0]) } else { digits };
    let old = value(field, &bits(session.e, field));
    session.say(&format!("    - '{name}' {old} -> 0x{digits}"));
    session.stage(field, new, force)
}

pub(super) fn get(session: &mut Session) {
    let version = if session.e.chip() == Chip::Esp32 { Some(read(&*session.e, "MAC_VERSION")) } else { None };
    let Some(field) = session.field("CUSTOM_MAC") else { return };
    let mac = meaning(session, field).text();
    match version {
        Some(0) => session.say("Custom MAC Address is not set in the device."),
        Some(version) => session.say(&format!("Custom MAC Address version {version}: {mac}")),
        None => session.say(&format!("Custom MAC Address: {mac}")),
    }
}
