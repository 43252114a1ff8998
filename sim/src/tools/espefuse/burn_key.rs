//! burn-key and burn-key-digest: keys and digests into key blocks, with purpose and protections (formats sheet §5.3-5.4, §7.3).

use super::{
    super::{Failure, Workbench},
    args::Command,
    format::hidden,
    key_digest,
    key_job::{self, Job},
    purpose,
    session::{Force, Session},
};
use dryburn::{
    Chip,
    efuse::{Block, blocks, read, security::key_blocks},
};

/// The protections that the options ask for.
struct Protect {
    read: bool,
    write: bool,
    no_protect: bool,
    force: Force,
}

impl Protect {
    fn of(session: &Session, command: &Command) -> Result<Self, Failure> {
        let esp32 = session.e.chip() == Chip::Esp32;
        let no_protect = command.flag("--no-protect-key");
        let other = command.flag("--no-read-protect") || command.flag("--no-write-protect");
        if no_protect && !esp32 {
            return Err(Failure::new(
                "No such option: --no-protect-key (it is for ESP32; use --no-read-protect and --no-write-protect)",
            ));
        }
        if other && esp32 {
            return Err(Failure::new(
                "No such option: --no-read-protect and --no-write-protect are for later chips; use --no-protect-key",
            ));
        }
        Ok(Self {
            read: !no_protect && !command.flag("--no-read-protect"),
            write: !no_protect && !command.flag("--no-write-protect"),
            no_protect,
            force: Force { hint: true },
        })
    }
}

pub(super) fn run(session: &mut Session, files: &mut Workbench, command: &Command) -> Result<(), Failure> {
    let protect = Protect::of(session, command)?;
    keys(session, files, command, &protect, false)
}

/// burn-key-digest: the digest of the public key in a PEM file.
pub(super) fn digest(session: &mut Session, files: &mut Workbench, command: &Command) -> Result<(), Failure> {
    let protect = Protect::of(session, command)?;
    let chip = session.e.chip();
    if !matches!(chip, Chip::Esp32 | Chip::Esp32c2) {
        return keys(session, files, command, &protect, true);
    }
    let [file] = command.positional.as_slice() else {
        return Err(Failure::new("burn-key-digest: name one key file in PEM format"));
    };
    let pem = files.read_small(file)?;
    session.say("Sensitive data will be hidden (see --show-sensitive-info)");
    if chip == Chip::Esp32c2 {
        session.say("Burn keys to blocks:");
        let job = key_job::c2("SECURE_BOOT_DIGEST", key_digest::digest(file, &pem)?.to_vec())?;
        burn(session, job, &protect)?;
        session.say("");
        return finish(session, &protect);
    }
    if read(&*session.e, "CODING_SCHEME") != 0 {
        return Err(Failure::new("burn-key-digest only works with 'None' coding scheme"));
    }
    let revision = session.revision();
    if revision.major() < 3 {
        return Err(Failure::new(format!(
            "Incorrect chip revision for Secure boot v2. Detected: {revision}. Expected: >= v3.0"
        )));
    }
    let digest = key_digest::digest(file, &pem)?;
    session.say(&format!(" - BLOCK2 -> [{}]", hidden(digest.len())));
    let Some(field) = session.field("BLOCK2") else { return Ok(()) };
    session.stage(field, &digest, protect.force)?;
    if let Some(bit) = field.write_disable.filter(|_| protect.write) {
        session.say("Disabling write to eFuse BLOCK2...");
        session.protect("WR_DIS", bit)?;
    }
    session.finish(false)
}

fn keys(
    session: &mut Session,
    files: &mut Workbench,
    command: &Command,
    protect: &Protect,
    digests: bool,
) -> Result<(), Failure> {
    let chip = session.e.chip();
    let width = if chip == Chip::Esp32 { 2 } else { 3 };
    let words = &command.positional;
    if words.is_empty() || !words.len().is_multiple_of(width) {
        let form = if width == 2 { "BLOCK KEYFILE" } else { "BLOCK KEYFILE KEYPURPOSE" };
        return Err(Failure::new(format!("{}: found {} words, expected groups of {form}", command.name, words.len())));
    }
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
            check_purpose(chip, purpose, digests)?;
        }
        jobs.push((name, number, block, purpose, (file, files.read_small(file)?)));
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
    for (name, number, block, purpose, (file, data)) in jobs {
        let key_block = u8::try_from(number.saturating_sub(4)).unwrap_or(0);
        match (chip, purpose) {
            (Chip::Esp32, _) => keys.push(key_job::esp32(session, name, block, data)),
            (Chip::Esp32c2, Some(purpose)) => keys.push(key_job::c2(purpose, data)?),
            (_, Some(purpose @ ("XTS_AES_256_KEY" | "ECDSA_KEY_P384"))) => {
                let xts = purpose == "XTS_AES_256_KEY";
                let (data, parts) = if xts {
                    (data, ["XTS_AES_256_KEY_1", "XTS_AES_256_KEY_2"])
                } else {
                    (key_job::p384_number(file, &data)?, ["ECDSA_KEY_P384_H", "ECDSA_KEY_P384_L"])
                };
                let found = data.len();
                let Some((first, second)) = data.split_at_checked(32).filter(|_| found == 64) else {
                    return Err(Failure::new(format!("Incorrect key file size {found}, {purpose} should be 64 bytes")));
                };
                if name != block.name {
                    return Err(Failure::new(format!(
                        "{purpose} into {name}: espefuse 5.6 would put both halves into this one block; call it {}",
                        block.name
                    )));
                }
                let [first_name, second_name] = parts.map(|name| purpose::find(chip, name));
                let (Some(first_name), Some(second_name)) = (first_name, second_name) else { continue };
                keys.push(key_job::with_purpose(session, key_block, first_name, first.to_vec()));
                let free = free_block(session, key_block, &taken).ok_or_else(|| {
                    Failure::new(format!(
                        "no free key block for the second half of the {purpose}: it needs an empty one with purpose USER"
                    ))
                })?;
                let second = key_job::with_purpose(session, free, second_name, second.to_vec());
                taken.push(second.target);
                keys.push(second);
            }
            (_, Some(name)) => {
                let Some(purpose) = purpose::find(chip, name) else { continue };
                let data = if digests {
                    key_digest::digest(file, &data)?.to_vec()
                } else if matches!(name, "ECDSA_KEY" | "ECDSA_KEY_P192" | "ECDSA_KEY_P256") {
                    let number = key_digest::private_number(file, &data)?;
                    [vec![0; 32_usize.saturating_sub(number.len())], number].concat()
                } else {
                    data
                };
                keys.push(key_job::with_purpose(session, key_block, purpose, data));
            }
            (_, None) => {}
        }
    }
    session.say("Burn keys to blocks:");
    for key in keys {
        burn(session, key, protect)?;
        session.say("");
    }
    finish(session, protect)
}

fn finish(session: &mut Session, protect: &Protect) -> Result<(), Failure> {
    if session.e.chip() == Chip::Esp32 {
        session.say(if protect.no_protect {
            "Key is left unprotected as per --no-protect-key argument.\nBurn keys in eFuse blocks.\n\
             The key block will be left readable and writeable (due to --no-protect-key). \n"
        } else {
            "Burn keys in eFuse blocks.\nThe key block will be read and write protected (no further changes or readback). \n"
        });
    } else {
        if !protect.write {
            session.say("Keys will remain writeable (due to --no-write-protect).");
        }
        if !protect.read {
            session.say("Keys will remain readable (due to --no-read-protect).");
        }
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

fn check_purpose(chip: Chip, name: &str, digests: bool) -> Result<(), Failure> {
    let names: Vec<String> = match chip {
        Chip::Esp32c2 => C2_PURPOSES.map(str::to_owned).to_vec(),
        _ if digests => (0..3).map(|n| format!("SECURE_BOOT_DIGEST{n}")).collect(),
        _ => purpose::names(chip),
    };
    if names.iter().any(|n| n == name) {
        return Ok(());
    }
    Err(Failure::new(format!("Invalid value for KEYPURPOSE: '{name}' is not one of '{}'.", names.join("', '"))))
}

/// The next key block after `first`, from the start again at the end, that is empty, not protected, has purpose USER and is
/// not named on the command line.
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

fn burn(session: &mut Session, key: Job, protect: &Protect) -> Result<(), Failure> {
    let force = protect.force;
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
        purpose::set(session, number, purpose, force)?;
    }
    if protect.read && key.read_protect {
        session.say("        Disabling read to key block...");
        for bit in field.read_disable {
            session.protect("RD_DIS", *bit)?;
        }
    }
    if protect.write
        && let Some(bit) = field.write_disable
    {
        session.say("        Disabling write to key block...");
        session.protect("WR_DIS", bit)?;
    }
    Ok(())
}
