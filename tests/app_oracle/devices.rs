//! Boards as those of the recordings. What lay in the slots is told by the logs: the segments of the apps, and which damage
//! the messages name.

use super::Record;
use dryburn::{
    Chip, IdfVersion,
    flash_encryption::FlashCipher,
    image::{APP_DESCRIPTOR_SIZE, AppDescriptor, Builder, DESCRIPTOR_OFFSET, SegmentData},
    otadata::{Entry, State},
    partition::{self, PartitionType, Subtype},
};
use dryburn_sim::{
    bus::EncryptionUnit,
    device::{Device, PowerCycle},
    efuse::Efuses,
    event::Outcome,
    flash::Flash,
};
use sha2::{Digest, Sha256};

/// Project name of the app that runs scripts.
const RUNNER: &str = "otaapp";

/// Load address and size of the segments of the app that runs scripts, by how it was built.
fn runner_segments(variant: &str) -> [(u32, usize); 5] {
    match variant {
        "plain" => [
            (0x3c01_0020, 0x5a38),
            (0x3fc8_9600, 0x1308),
            (0x4038_0000, 0x92a8),
            (0x4200_0020, 0xbe68),
            (0x4038_92a8, 0x2b0),
        ],
        "rb" => [
            (0x3c01_0020, 0x5a88),
            (0x3fc8_9600, 0x1308),
            (0x4038_0000, 0x9258),
            (0x4200_0020, 0xbea8),
            (0x4038_9258, 0x300),
        ],
        _ => [
            (0x3c01_0020, 0x5d78),
            (0x3fc8_9600, 0x1328),
            (0x4038_0000, 0x8f48),
            (0x4200_0020, 0xc3a0),
            (0x4038_8f48, 0x610),
        ],
    }
}

/// The same of the small app that they write.
const SMALL: [(u32, usize); 3] = [(0x3c00_0020, 0x4f30), (0x4039_0000, 0x24), (0x4201_4f84, 0x10)];
/// Checksum of the small app, as the recordings print it.
const SMALL_CHECKSUM: u8 = 0x2b;

/// What lies in a slot at first.
#[derive(Clone, Copy)]
enum Content {
    Erased,
    Runner,
    Small,
    /// The small app with the damage that the case is named after.
    Damaged,
    /// A runner with one bit flipped.
    BrokenRunner,
    /// Every byte the same, unencrypted.
    Filled(u8),
}

pub struct Setup {
    pub device: Device,
    /// What the app was sent.
    pub image: Vec<u8>,
}

/// The board of `record` before its power-on.
pub fn set_up(record: &Record) -> Setup {
    let efuses = Efuses::parse(&hex::decode(&record.efuses).expect("hex"), Some(Chip::Esp32c3)).expect("eFuses");
    let unit = EncryptionUnit::at_reset(&efuses);
    let flash = Flash::new(0x40_0000).expect("4 MB");
    let mut board = Board { flash, unit };

    let idf = IdfVersion::new(5, 3);
    board.encrypted(0, &Builder::bootloader(Chip::Esp32c3, idf).flash_size(2).build());
    let entries: Vec<_> = record
        .partitions
        .iter()
        .map(|(label, kind, subtype, offset, size, flags)| partition::Entry {
            flags: *flags,
            ..partition::Entry::new(label, PartitionType(*kind), Subtype(*subtype), *offset, *size)
        })
        .collect();
    board.encrypted(record.table_offset, &partition::build(&entries, true).expect("a table"));

    let image = sent(record, &efuses);
    let family = record.id.trim_end_matches(&format!("-{}", record.app_variant));
    for (label, kind, _, offset, size, _) in &record.partitions {
        match label.as_str() {
            "otadata" => board.otadata(*offset, record, family),
            "img" => board.flash.program(*offset, &image).expect("inside"),
            _ if *kind == 0 => match at_first(family, label) {
                Content::Erased => {}
                Content::Runner => board.encrypted(*offset, &runner(&record.app_variant)),
                Content::Small => board.encrypted(*offset, &small()),
                Content::Damaged => board.encrypted(*offset, &damaged(small(), family)),
                Content::BrokenRunner => board.encrypted(*offset, &flipped(runner(&record.app_variant), 0x2000)),
                Content::Filled(byte) => board.flash.program(*offset, &vec![byte; *size as usize]).expect("inside"),
            },
            _ => {}
        }
    }
    let mut device = Device::new(board.flash, efuses);
    device.idf = Some(idf);
    device.strap = 0x8;
    let options =
        [("rollback", "BOOTLOADER_APP_ROLLBACK_ENABLE=y"), ("flash_encryption", "SECURE_FLASH_ENC_ENABLED=y")];
    for (key, option) in options {
        if record.config[key] {
            device.config.set(option).expect("an option");
        }
    }
    device.config.set(&format!("PARTITION_TABLE_OFFSET={:#x}", record.table_offset)).expect("an option");
    Setup { device, image }
}

/// Whether the app that runs is the one that takes scripts.
pub fn knows_calls(device: &Device, cycle: &PowerCycle) -> bool {
    let Some(Outcome::App { offset, .. }) = cycle.outcome() else { return false };
    let mut raw = [0; APP_DESCRIPTOR_SIZE];
    let unit = EncryptionUnit::at_reset(&device.efuses);
    unit.view(&device.flash).fill(offset + DESCRIPTOR_OFFSET, &mut raw).expect("inside");
    AppDescriptor::from_bytes(raw).project_name() == RUNNER
}

/// What lies where, by the name of the case.
fn at_first(family: &str, label: &str) -> Content {
    use Content::{BrokenRunner, Damaged, Erased, Filled, Runner, Small};
    let of = |starts: &[&str]| starts.iter().any(|start| family.starts_with(start));
    let dirty = of(&["begin-erase", "x-seq-dirty", "write-past-erased"]);
    // these run ota_1, or go back to it
    let two = of(&["state-", "sameslot", "eraselast", "pending-begin", "raw-plain", "x-set-", "x-reflash", "y-"]);
    match label {
        "factory" => Runner,
        "ota_0" if family == "ota-invalid-other-corrupt" => BrokenRunner,
        "ota_0" => Runner,
        "ota_1" if family == "set-factory" => Small,
        "ota_1" if dirty => Filled(0x5a),
        "ota_1" if family == "set-garbage" => Filled(0xa5),
        "ota_1" if family == "set-zero" => Filled(0),
        "ota_1" if family == "set-erased" => Erased,
        "ota_1" if of(&["set-slots", "crcbad"]) => Small,
        "ota_1" if of(&["set-bad", "set-max"]) => Damaged,
        "ota_1" if two || of(&["seq-", "ota-invalid-other"]) => Runner,
        "ota_2" if of(&["seq-"]) => Small,
        _ => Erased,
    }
}

/// What the app was sent.
fn sent(record: &Record, efuses: &Efuses) -> Vec<u8> {
    let family = record.id.trim_end_matches(&format!("-{}", record.app_variant));
    let mut image = match record.image_len {
        100_000..200_000 => runner(&record.app_variant),
        _ => damaged(small(), family),
    };
    if family == "preencrypted" {
        // with the key of the encrypted boards, also where the board is not encrypted
        let ota_1 = record.partitions.iter().find(|p| p.0 == "ota_1").expect("ota_1").3;
        let key = if record.config["flash_encryption"] { efuses.flash_key() } else { recorded_key() };
        FlashCipher::new(&key).encrypt(ota_1, &mut image).expect("whole blocks");
    }
    // what the recordings show behind a longer image
    let filler = if record.image_len > 200_000 { 0x11 } else { 0x77 };
    image.resize(record.image_len, filler);
    image
}

/// The flash key of the encrypted recordings: bytes 0x10, 0x11, … in the order of a key file.
fn recorded_key() -> dryburn::flash_encryption::FlashKey {
    dryburn::flash_encryption::FlashKey::Xts128(std::array::from_fn(|i| 0x10 + i as u8))
}

struct Board {
    flash: Flash,
    unit: EncryptionUnit,
}

impl Board {
    /// Through the encryption unit, where that is on.
    fn encrypted(&mut self, address: u32, bytes: &[u8]) {
        let mut bytes = bytes.to_vec();
        bytes.resize(bytes.len().next_multiple_of(16), 0xFF);
        self.unit.program(&mut self.flash, address, &bytes).expect("inside");
    }

    fn otadata(&mut self, address: u32, record: &Record, family: &str) {
        let mut content = vec![0xFF; 0x2000];
        if family.starts_with("raw-plain-otadata") {
            // what an updater without encryption leaves: the recorded numbers are what the unit makes of it
            content[..32].copy_from_slice(&Entry::new(2, State::Valid).to_bytes());
            return self.flash.program(address, &content).expect("inside");
        }
        for (sector, text) in record.otadata_before.split("[1]").enumerate() {
            content[sector * 0x1000..][..32].copy_from_slice(&entry(text).to_bytes());
        }
        self.encrypted(address, &content);
    }
}

/// An entry from the words of the recordings.
fn entry(text: &str) -> Entry {
    let value = |key: &str| {
        let (_, rest) = text.split_once(key).expect("a key");
        rest.split_whitespace().next().expect("a value")
    };
    if value("seq=") == "blank" {
        return Entry::BLANK;
    }
    let state = match value("state=") {
        "NEW" => State::New,
        "PENDING" => State::PendingVerify,
        "VALID" => State::Valid,
        "INVALID" => State::Invalid,
        "ABORTED" => State::Aborted,
        "UNDEF" => State::Undefined,
        other => State::from_word(u32::from_str_radix(other.trim_start_matches("0x"), 16).expect("a word")),
    };
    let mut raw = Entry::new(value("seq=").parse().expect("a number"), state).to_bytes();
    if value("crc=") == "bad" {
        raw[28] ^= 1;
    }
    Entry::from_bytes(raw)
}

fn runner(variant: &str) -> Vec<u8> {
    app(RUNNER, &runner_segments(variant))
}

fn small() -> Vec<u8> {
    let mut image = app("minic3", &SMALL);
    // the entry point is the first byte of the code, as the recorded header has it
    image[4..8].copy_from_slice(&0x4039_0000u32.to_le_bytes());
    // of these two words, 0x5a5a5a5a leaves what the recording found where an old app had not been erased
    let code = 24 + 8 + 0x4f30 + 8;
    image[code + 4..code + 8].copy_from_slice(&0x1800_0012u32.to_le_bytes());
    let xor = segments_xor(&image[24..]);
    let filler = 0x1000;
    image[filler] ^= xor ^ SMALL_CHECKSUM;
    let at = image.len() - 33;
    image[at] = SMALL_CHECKSUM;
    rehashed(image)
}

/// Checksum of the small app's segments.
fn segments_xor(mut rest: &[u8]) -> u8 {
    let mut xor = 0xEF;
    for (_, len) in SMALL {
        xor = rest[8..8 + len].iter().fold(xor, |x, b| x ^ b);
        rest = &rest[8 + len..];
    }
    xor
}

fn app(project: &str, segments: &[(u32, usize)]) -> Vec<u8> {
    let named = Builder::app(Chip::Esp32c3).version("1.0").project_name(project).idf_ver("v5.3-rel").build();
    let at = DESCRIPTOR_OFFSET as usize;
    let mut segments: Vec<_> =
        segments.iter().map(|(load_addr, len)| SegmentData { load_addr: *load_addr, data: noise(*len) }).collect();
    segments[0].data[..APP_DESCRIPTOR_SIZE].copy_from_slice(&named[at..at + APP_DESCRIPTOR_SIZE]);
    Builder::app(Chip::Esp32c3).segments(segments).build()
}

fn noise(len: usize) -> Vec<u8> {
    (0..len as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

fn rehashed(mut image: Vec<u8>) -> Vec<u8> {
    let at = image.len() - 32;
    let digest = Sha256::digest(&image[..at]);
    image[at..].copy_from_slice(&digest);
    image
}

fn flipped(mut image: Vec<u8>, at: usize) -> Vec<u8> {
    image[at] ^= 1;
    image
}

/// The damage that the last part of a case's name tells.
fn damaged(mut image: Vec<u8>, family: &str) -> Vec<u8> {
    let mut put = |at: usize, bytes: &[u8]| image[at..at + bytes.len()].copy_from_slice(bytes);
    match family {
        "write-badmagic-img" | "set-badmag" => put(0, &[0xe8]),
        "end-badchip" | "set-badchip" => put(12, &[10]),
        "end-badrev" => put(15, &9999u16.to_le_bytes()),
        "end-maxrev" | "set-maxrev" => put(17, &1u16.to_le_bytes()),
        "end-segn" => put(1, &[35]),
        "end-baddesc" | "set-baddesc" => return flipped(image, DESCRIPTOR_OFFSET as usize),
        "end-dataflip" | "set-badsum" => return flipped(image, 0x800),
        "end-badsha" | "set-badsha" => {
            let last = image.len() - 1;
            return flipped(image, last);
        }
        _ => {}
    }
    image
}
