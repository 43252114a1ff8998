//! burn-key: keys into key blocks, with purpose and protections (formats sheet §5.3-5.4).

use super::{
    super::{Failure, Workbench},
    Command,
    format::hidden,
    session::{Force, Session},
};
use dryburn::{
    Chip,
    efuse::{Block, Field, KeyPurpose, blocks, read, security::key_blocks},
};

/// One key on its way into a block.
struct Job {
    /// Block or half block that is written.
    target: &'static str,
    data: Vec<u8>,
    /// Bytes that the target takes.
    size: usize,
    reverse: Option<&'static str>,
    /// Key block number and purpose, on chips that have purposes.
    purpose: Option<(u8, KeyPurpose)>,
    set_length_256: bool,
    read_protect: bool,
    note: Option<&'static str>,
}

pub(super) fn run(session: &mut Session, files: &mut Workbench, command: &Command) -> Result<(), Failure> {
    let chip = session.e.chip();
    let width = if chip == Chip::Esp32 { 2 } else { 3 };
    let words = &command.positional;
    if words.is_empty() || !words.len().is_multiple_of(width) {
        let form = if width == 2 { "BLOCK KEYFILE" } else { "BLOCK KEYFILE KEYPURPOSE" };
        return Err(Failure::new(format!("burn-key: found {} words, expected groups of {form}", words.len())));
    }
    let no_protect = command.flag("--no-protect-key");
    if no_protect && chip != Chip::Esp32 {
        return Err(Failure::new(
            "No such option: --no-protect-key (it is for ESP32; use --no-read-protect and --no-write-protect)",
        ));
    }
    let write_protect = !no_protect && !command.flag("--no-write-protect");
    let read_protect = !no_protect && !command.flag("--no-read-protect");
    let force = Force { on: command.flag("--force-write-always"), hint: true };

    let mut jobs = Vec::new();
    let mut taken: Vec<&str> = Vec::new();
    for group in words.chunks(width) {
        let [name, file, rest @ ..] = group else { continue };
        let (number, block) = find_block(chip, name)?;
        let purpose = rest.first().map(String::as_str);
        // the ESP32 compares names as given, the C2 purposes: its one block takes a flash key and a digest, in its halves
        let once = match (chip, purpose) {
            (Chip::Esp32, _) => name.as_str(),
            (Chip::Esp32c2, Some(purpose)) => purpose,
            _ => block.name,
        };
        if taken.contains(&once) {
            return Err(Failure::new(format!("Found repeated ['{once}'] in the name list.")));
        }
        taken.push(once);
        if let Some(purpose) = purpose {
            check_purpose(chip, purpose)?;
        }
        jobs.push((name, number, block, purpose, file));
    }
    if let (Chip::Esp32c2, [first, second, ..]) = (chip, taken.as_slice()) {
        let digest = |purpose: &str| purpose == "SECURE_BOOT_DIGEST";
        let derived = |purpose: &str| purpose == C2_PURPOSES[2];
        if taken.len() > 2 || !((digest(first) && derived(second)) || (derived(first) && digest(second))) {
            return Err(Failure::new(format!("These keypurposes are incompatible ['{}']", taken.join("', '"))));
        }
    }
    session.say("Sensitive data will be hidden (see --show-sensitive-info)");
    let mut keys = Vec::new();
    for (name, number, block, purpose, file) in jobs {
        let data = files.read(file)?;
        match (chip, purpose) {
            (Chip::Esp32, _) => keys.push(esp32_job(session, name, block, data)),
            (Chip::Esp32c2, Some(purpose)) => keys.push(c2_job(purpose, data)?),
            (_, Some("XTS_AES_256_KEY")) => {
                let found = data.len();
                let Some((first, second)) = data.split_at_checked(32).filter(|_| found == 64) else {
                    return Err(Failure::new(format!(
                        "Incorrect key file size {found}, XTS_AES_256_KEY should be 64 bytes"
                    )));
                };
                if name != block.name {
                    return Err(Failure::new(format!(
                        "XTS_AES_256_KEY into {name}: espefuse 5.6 would put both halves into this one block; call it {}",
                        block.name
                    )));
                }
                let key_block = u8::try_from(number - 4).unwrap_or(0);
                keys.push(job(session, key_block, KeyPurpose::XtsAes256Key1, first.to_vec()));
                let free = free_block(session, key_block, &taken).ok_or_else(|| {
                    Failure::new("no free key block for the second half of the XTS_AES_256_KEY: it needs an empty one with purpose USER")
                })?;
                let second = job(session, free, KeyPurpose::XtsAes256Key2, second.to_vec());
                taken.push(second.target);
                keys.push(second);
            }
            (_, Some(purpose)) => {
                let purpose = KeyPurpose::from_name(chip, purpose).unwrap_or(KeyPurpose::User);
                keys.push(job(session, u8::try_from(number - 4).unwrap_or(0), purpose, data));
            }
            (_, None) => {}
        }
    }
    session.say("Burn keys to blocks:");
    for key in keys {
        burn(session, key, read_protect, write_protect, force)?;
        session.say("");
    }
    if chip == Chip::Esp32 {
        session.say(if no_protect {
            "Key is left unprotected as per --no-protect-key argument.\nBurn keys in eFuse blocks.\n\
             The key block will be left readable and writeable (due to --no-protect-key). \n"
        } else {
            "Burn keys in eFuse blocks.\nThe key block will be read and write protected (no further changes or readback). \n"
        });
    }
    if !write_protect && chip != Chip::Esp32 {
        session.say("Keys will remain writeable (due to --no-write-protect).");
    }
    if !read_protect && chip != Chip::Esp32 {
        session.say("Keys will remain readable (due to --no-read-protect).");
    }
    session.finish(false)
}

fn find_block(chip: Chip, name: &str) -> Result<(usize, &'static Block), Failure> {
    let keys = blocks(chip).iter().enumerate().filter(|(n, b)| {
        let last = if chip == Chip::Esp32 { 3 } else { 9 };
        !b.read_disable.is_empty() && *n <= last
    });
    let mut known = Vec::new();
    for (number, block) in keys {
        if block.name == name || (chip != Chip::Esp32c2 && block.aliases.contains(&name)) {
            return Ok((number, block));
        }
        known.push(block.name);
        known.extend(block.aliases);
    }
    Err(Failure::new(format!("Invalid value for BLOCK: '{name}' is not one of '{}'.", known.join("', '"))))
}

const C2_PURPOSES: [&str; 4] =
    ["USER", "XTS_AES_128_KEY", "XTS_AES_128_KEY_DERIVED_FROM_128_EFUSE_BITS", "SECURE_BOOT_DIGEST"];

fn check_purpose(chip: Chip, name: &str) -> Result<(), Failure> {
    if name.starts_with("ECDSA_KEY") || name.starts_with("CUSTOM_") {
        return Err(Failure::new(format!("key purpose {name}: not modelled yet")));
    }
    let xts_256 = KeyPurpose::all(chip).any(|p| p == KeyPurpose::XtsAes256Key1);
    let known = match chip {
        Chip::Esp32c2 => C2_PURPOSES.contains(&name),
        _ => KeyPurpose::from_name(chip, name).is_some() || (xts_256 && name == "XTS_AES_256_KEY"),
    };
    if known {
        return Ok(());
    }
    let mut names: Vec<&str> = match chip {
        Chip::Esp32c2 => C2_PURPOSES.to_vec(),
        _ => KeyPurpose::all(chip).map(KeyPurpose::name).collect(),
    };
    if xts_256 {
        names.push("XTS_AES_256_KEY");
    }
    Err(Failure::new(format!("Invalid value for KEYPURPOSE: '{name}' is not one of '{}'.", names.join("', '"))))
}

fn esp32_job(session: &Session, name: &str, block: &'static Block, data: Vec<u8>) -> Job {
    let secret = matches!(name, "flash_encryption" | "secure_boot_v1");
    let size = if read(&*session.e, "CODING_SCHEME") == 1 { 24 } else { 32 };
    Job {
        target: block.name,
        data,
        size,
        reverse: secret.then_some("Reversing the byte order..."),
        purpose: None,
        set_length_256: false,
        read_protect: secret,
        note: None,
    }
}

fn c2_job(purpose: &str, mut data: Vec<u8>) -> Result<Job, Failure> {
    let (target, size) = match purpose {
        "XTS_AES_128_KEY_DERIVED_FROM_128_EFUSE_BITS" => ("BLOCK_KEY0_LOW_128", 16),
        "SECURE_BOOT_DIGEST" => ("BLOCK_KEY0_HI_128", 16),
        _ => ("BLOCK_KEY0", 32),
    };
    let xts = purpose.starts_with("XTS");
    if purpose == "SECURE_BOOT_DIGEST" && !matches!(data.len(), 16 | 32) {
        let found = data.len();
        return Err(Failure::new(format!(
            "Wrong length of this file for SECURE_BOOT_DIGEST. Got {found} (expected 32 or 16)"
        )));
    }
    let mut note = None;
    if purpose == "SECURE_BOOT_DIGEST" && data.len() == 32 {
        data.truncate(16);
        note = Some(
            "        Programming only left-most 128-bits from SHA256 hash of public key to highest 128-bits of BLOCK KEY0",
        );
    }
    Ok(Job {
        target,
        data,
        size,
        reverse: xts.then_some("Reversing byte order for AES-XTS hardware peripheral..."),
        purpose: None,
        set_length_256: purpose == "XTS_AES_128_KEY",
        read_protect: xts,
        note,
    })
}

fn job(session: &Session, key_block: u8, purpose: KeyPurpose, data: Vec<u8>) -> Job {
    let number = usize::from(key_block) + 4;
    Job {
        target: blocks(session.e.chip()).get(number).map_or("", |b| b.name),
        data,
        size: 32,
        reverse: purpose.is_xts().then_some("Reversing byte order for AES-XTS hardware peripheral..."),
        purpose: Some((key_block, purpose)),
        set_length_256: false,
        read_protect: purpose.is_secret(),
        note: None,
    }
}

/// The next key block after `first`, from the start again at the end, that is empty, not protected, has purpose USER and is not named on the command line.
fn free_block(session: &Session, first: u8, taken: &[&str]) -> Option<u8> {
    let chip = session.e.chip();
    (first + 1..key_blocks(chip)).chain(0..first).find(|n| {
        let number = usize::from(*n) + 4;
        let name = blocks(chip).get(number).map_or("", |b| b.name);
        let open =
            |name: &str| session.field(name).is_some_and(|f| !session.write_protected(f) && !session.read_protected(f));
        let user = dryburn::efuse::security::key_purpose(&*session.e, *n) == Some(0);
        !taken.contains(&name)
            && user
            && open(name)
            && open(&format!("KEY_PURPOSE_{n}"))
            && session.block(number).iter().all(|b| *b == 0)
    })
}

fn burn(session: &mut Session, key: Job, read_protect: bool, write_protect: bool, force: Force) -> Result<(), Failure> {
    let Some(field) = session.field(key.target) else { return Ok(()) };
    if let Some(note) = key.note {
        session.say(note);
    }
    session.say(&format!(" - {} -> [{}]", key.target, hidden(key.data.len().min(64))));
    let mut data = key.data;
    if let Some(text) = key.reverse {
        session.say(&format!("        {text}"));
        data.reverse();
    }
    if data.len() != key.size {
        let (found, size, bits) = (data.len(), key.size, key.size * 8);
        return Err(Failure::new(format!(
            "Incorrect key file size {found}. Key file must be {size} bytes ({bits} bits) of raw binary key data."
        )));
    }
    session.stage(field, &data, force)?;
    if key.set_length_256
        && let Some(length) = session.field("XTS_KEY_LENGTH_256")
    {
        session.say("        XTS_KEY_LENGTH_256 -> 1");
        session.stage(length, &[1], force)?;
    }
    if let Some((number, purpose)) = key.purpose {
        set_purpose(session, number, purpose, force)?;
    }
    if read_protect && key.read_protect {
        session.say("        Disabling read to key block...");
        for bit in field.read_disable {
            session.protect("RD_DIS", *bit)?;
        }
    }
    if write_protect && let Some(bit) = field.write_disable {
        session.say("        Disabling write to key block...");
        session.protect("WR_DIS", bit)?;
    }
    Ok(())
}

fn set_purpose(session: &mut Session, number: u8, purpose: KeyPurpose, force: Force) -> Result<(), Failure> {
    let chip = session.e.chip();
    let name = format!("KEY_PURPOSE_{number}");
    let Some(field) = session.field(&name) else { return Ok(()) };
    let old = dryburn::efuse::security::key_purpose(&*session.e, number).unwrap_or(0);
    let new = purpose.name();
    let value = purpose.value_on(chip).unwrap_or(0);
    if old == value {
        session.say(&format!("        '{name}' is already '{new}'."));
    } else {
        if session.write_protected(field) {
            return Err(Failure::new(format!(
                "It is not possible to change '{name}' to '{new}' because write protection bit is set."
            )));
        }
        let shown = KeyPurpose::from_value(chip, old).map_or("FORBIDDEN_STATE", KeyPurpose::name);
        session.say(&format!("        '{name}': '{shown}' -> '{new}'."));
        if broken_in_block_5(chip, purpose) && number == 5 {
            return Err(Failure::new(format!(
                "{name} can not have {new} key due to a hardware bug (please see TRM for more details)"
            )));
        }
        session.stage(field, &[value], force)?;
        let high: Option<&Field> = session.field(&format!("{name}_H"));
        if let Some(high) = high {
            session.stage(high, &[value >> 4], force)?;
        }
    }
    if !session.write_protected(field)
        && let Some(bit) = field.write_disable
    {
        session.say(&format!("        Disabling write to '{name}'..."));
        session.protect("WR_DIS", bit)?;
    }
    Ok(())
}

/// Chips whose hardware cannot take a flash encryption key from BLOCK_KEY5 (as espefuse 5.6 refuses it).
fn broken_in_block_5(chip: Chip, purpose: KeyPurpose) -> bool {
    purpose.is_xts() && matches!(chip, Chip::Esp32s3 | Chip::Esp32c3 | Chip::Esp32c6 | Chip::Esp32h2)
}
