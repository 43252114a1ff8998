//! dump (formats sheet §8.7).

use super::{
    super::{Failure, Workbench},
    args::Command,
    format::hex,
    session::Session,
};
use dryburn::{
    Chip,
    efuse::{Efuse, blocks},
};

/// The words of each block that dump shows: with 3/4 coding the ESP32's key blocks have six.
fn dumped(session: &Session) -> Vec<Vec<u32>> {
    let e = &*session.e;
    let short = e.chip() == Chip::Esp32 && dryburn::efuse::read(e, "CODING_SCHEME") == 1;
    let len = |n: usize| if short && n > 0 { 6 } else { e.words(n) };
    (0..blocks(e.chip()).len()).map(|n| (0..len(n)).map(|w| e.read_word(n, w)).collect()).collect()
}

pub(super) fn run(session: &mut Session, files: &mut Workbench, command: &Command) -> Result<(), Failure> {
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
            let token = token(session, "EFSR", &bytes);
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

/// `EFSR:<chip>:<revision>:<block 0>:…:<errors>:<CRC-32>`; `EFSW` for what is going to be burned.
pub(super) fn token(session: &Session, kind: &str, blocks: &[Vec<u8>]) -> String {
    let mut out = format!("{kind}:{}:{:03}:", session.e.chip(), session.revision().0);
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
