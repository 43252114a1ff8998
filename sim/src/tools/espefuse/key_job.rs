//! What a key file becomes on its way into a block: its bytes, their order, purpose and protections.

use super::{super::Failure, key_digest, purpose::Purpose, session::Session};
use dryburn::{
    Chip,
    efuse::{Block, blocks, read},
};

/// One key on its way into a block.
pub(super) struct Job {
    /// Block or half block that is written.
    pub target: &'static str,
    pub data: Vec<u8>,
    /// Bytes that the target takes.
    pub size: usize,
    pub reverse: Option<String>,
    /// Key block number and purpose, on chips that have purposes.
    pub purpose: Option<(u8, Purpose)>,
    pub set_length_256: bool,
    pub read_protect: bool,
    pub note: Option<&'static str>,
}

/// For the ESP32, whose block names say what they hold.
pub(super) fn esp32(session: &Session, name: &str, block: &'static Block, data: Vec<u8>) -> Job {
    let secret = matches!(name, "flash_encryption" | "secure_boot_v1");
    let size = if read(&*session.e, "CODING_SCHEME") == 1 { 24 } else { 32 };
    Job {
        target: block.name,
        data,
        size,
        reverse: secret.then(|| "Reversing the byte order...".into()),
        purpose: None,
        set_length_256: false,
        read_protect: secret,
        note: None,
    }
}

/// For the one block of the C2.
pub(super) fn c2(purpose: &str, mut data: Vec<u8>) -> Result<Job, Failure> {
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
        reverse: xts.then(|| AES_XTS.into()),
        purpose: None,
        set_length_256: purpose == "XTS_AES_128_KEY",
        read_protect: xts,
        note,
    })
}

const AES_XTS: &str = "Reversing byte order for AES-XTS hardware peripheral...";

/// For chips with purposes.
pub(super) fn with_purpose(session: &Session, key_block: u8, purpose: Purpose, data: Vec<u8>) -> Job {
    let chip = session.e.chip();
    let number = usize::from(key_block) + 4;
    let named = matches!(chip, Chip::Esp32c5 | Chip::Esp32c61 | Chip::Esp32h2 | Chip::Esp32p4);
    let text = if named {
        format!("Reversing byte order for {} hardware peripheral...", purpose.name)
    } else {
        AES_XTS.to_owned()
    };
    Job {
        target: blocks(chip).get(number).map_or("", |b| b.name),
        data,
        size: 32,
        reverse: purpose.reversed.then_some(text),
        read_protect: purpose.secret,
        purpose: Some((key_block, purpose)),
        set_length_256: false,
        note: None,
    }
}

/// A P-384 private number as it fills two blocks: 16 zero bytes, then the number.
pub(super) fn p384_number(file: &str, pem: &[u8]) -> Result<Vec<u8>, Failure> {
    let number = key_digest::private_number(file, pem)?;
    if number.len() != 48 {
        // the vendor's tool falls over here
        return Err(Failure { text: "NIST384p private key should be 48 bytes long".into(), status: 1 });
    }
    Ok([vec![0; 16], number].concat())
}
