//! A full update of a 1.5 MiB app, from the first chunk to the boot choice, through the core's updater and the modelled flash: sent
//! as it is, and in each kind of envelope, to boards without and with flash encryption. Beside them what no updater that verifies
//! can beat, SHA-256 over as many bytes, and what each envelope costs once, whatever its size: its key.

use criterion::{
    BatchSize, BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main, measurement::WallTime,
};
use dryburn::{
    Chip, IdfVersion,
    boot::Slot,
    efuse::security,
    envelope::{ContentKey, EciesKey, Header, Opener, OpeningKey, Recipient, Unwrap, cbc, seal},
    image::Builder,
    ota::{Envelope, Erase, PlainImage, Way},
    otadata::{Entry, State},
    partition::{self, PartitionType, Subtype},
    secure_boot::sign::SigningKey,
};
use dryburn_sim::{
    app::dryburn::App,
    bus::EncryptionUnit,
    device::{Device, Watch},
    efuse::Efuses,
    flash::Flash,
};
use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};
use sha2::{Digest, Sha256};
use std::{fs, hint::black_box, path::PathBuf};

const APP: usize = 1536 * 1024;
/// What a download hands over at a time.
const CHUNK: usize = 4096;
const SLOTS: [u32; 2] = [0x1_0000, 0x20_0000];
const SECTOR: usize = 4096;

fn rng() -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(7)
}

/// An RSA-3072 key of the vectors.
fn rsa_pem() -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/keys/rsa3072_a.pem");
    fs::read_to_string(path).expect("a key file")
}

/// The image with a signature sector behind it.
fn signed(mut image: Vec<u8>) -> Vec<u8> {
    image.resize(image.len().next_multiple_of(SECTOR), 0xFF);
    let key = SigningKey::from_pem(&rsa_pem()).expect("a key");
    image.extend(key.sign_v2(&Sha256::digest(&image), &mut rng()).expect("a block"));
    image.resize(image.len().next_multiple_of(SECTOR), 0xFF);
    image
}

/// A board that runs a small app in its first slot, with flash encryption and secure boot as asked for.
fn board(chip: Chip, encrypted: bool, secure: bool) -> Device {
    let mut efuses = Efuses::new(chip);
    if encrypted {
        efuses.burn(security::key_block_number(chip, 0), &[0x0123_4567; 8]);
        let (name, value) = if chip == Chip::Esp32 { ("FLASH_CRYPT_CONFIG", 0xF) } else { ("KEY_PURPOSE_0", 4) };
        efuses.burn_field(name, value).expect("a virgin field");
        efuses.burn_field(security::crypt_count_name(chip), 1).expect("a virgin field");
    }
    if secure {
        let digest = SigningKey::from_pem(&rsa_pem()).expect("a key").public().expect("its public half").digest();
        let (words, _) = digest.as_chunks();
        let words: Vec<u32> = words.iter().map(|word| u32::from_le_bytes(*word)).collect();
        efuses.burn(security::key_block_number(chip, 1), &words);
        efuses.burn_field("KEY_PURPOSE_1", 9).expect("a virgin field");
        efuses.burn_field("SECURE_BOOT_EN", 1).expect("a virgin field");
    }
    let sign = |image| if secure { signed(image) } else { image };
    let unit = EncryptionUnit::at_reset(&efuses);
    let row = |label, kind, subtype, offset, size| {
        partition::Entry::new(label, PartitionType(kind), Subtype(subtype), offset, size)
    };
    let rows = [
        row("otadata", 1, 0, 0xD000, 0x2000),
        row("ota_0", 0, 0x10, SLOTS[0], 0x1C_0000),
        row("ota_1", 0, 0x11, SLOTS[1], 0x1C_0000),
    ];
    let mut flash = Flash::new(4 * 1024 * 1024).expect("4 MB");
    for (at, bytes) in [
        (chip.spec().bootloader_offset, &sign(Builder::bootloader(chip, IdfVersion::LATEST).flash_size(2).build())[..]),
        (0x8000, &partition::build(&rows, true).expect("three rows")),
        (0xD000, &Entry::new(1, State::Valid).to_bytes()),
        (SLOTS[0], &sign(Builder::app(chip).build())),
    ] {
        unit.program(&mut flash, at, bytes).expect("inside");
    }
    let mut device = Device::new(flash, efuses);
    if secure {
        device.config.set("SECURE_BOOT_V2_ENABLED=y").expect("an option");
    }
    device
}

fn update<W: Way>(device: &mut Device, way: W, file: &[u8]) {
    let cycle = device.power_on(Watch::Boots(1));
    let mut app = App::started(device, &cycle).expect("an app runs");
    assert_eq!(app.running(), Slot::Ota(0));
    let mut updater = app.updater().expect("partitions to update");
    let mut update = updater.begin(1, way, None, Erase::AsWritten).expect("a free slot");
    for chunk in file.chunks(CHUNK) {
        update.write(chunk).expect("a good image");
    }
    update.finish(&mut |_| {}).expect("a good image").set_boot().expect("a choice");
}

fn row<W: Way>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: String,
    device: &Device,
    way: impl Fn() -> W,
    file: &[u8],
) {
    group.bench_function(name, |b| {
        let fresh = || (device.clone(), Some(way()));
        let install = |(device, way): &mut (Device, Option<W>)| update(device, way.take().expect("fresh"), file);
        b.iter_batched_ref(fresh, install, BatchSize::SmallInput);
    });
}

fn ota(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("ota");
    group.throughput(Throughput::Bytes(APP as u64)).sample_size(10);
    for chip in [Chip::Esp32, Chip::Esp32c3] {
        let image = Builder::app(chip).size(APP).version("2.0.0").build();
        for (flash, encrypted) in [("plain", false), ("encrypted", true)] {
            row(&mut group, format!("{chip}/{flash}"), &board(chip, encrypted, false), || PlainImage, &image);
        }
    }
    let (chip, limit) = (Chip::Esp32c3, 0x1C_0000);
    let image = Builder::app(chip).size(APP).version("2.0.0").build();
    let opening = || OpeningKey::from_pem(&rsa_pem(), rng()).expect("a key");
    let device_key = || EciesKey::from_hmac_key(&[7; 32]).expect("a key");
    let recipient = Recipient::from_pem(&rsa_pem()).expect("a key");
    let rsa = seal(&image, &recipient, &mut rng()).expect("an envelope");
    let ecies = seal(&image, &Recipient::ecies(&device_key()), &mut rng()).expect("an envelope");
    // nothing but a signature proves what comes out of CBC
    let image = signed(Builder::app(chip).size(APP - SECTOR).version("2.0.0").build());
    let content_key = || ContentKey::new([0x5A; 32]);
    let shared = cbc::seal(&image, &content_key(), [3; 16]).expect("an envelope");
    for (flash, encrypted) in [("plain", false), ("encrypted", true)] {
        let device = board(chip, encrypted, false);
        let way = || Envelope(Opener::new(opening(), limit));
        row(&mut group, format!("{chip}/{flash}/envelope-rsa3072"), &device, way, &rsa);
        let way = || Envelope(Opener::new(device_key(), limit));
        row(&mut group, format!("{chip}/{flash}/envelope-ecies"), &device, way, &ecies);
        let device = board(chip, encrypted, true);
        row(&mut group, format!("{chip}/{flash}/signed"), &device, || PlainImage, &image);
        let way = || Envelope(cbc::Opener::new(content_key(), limit));
        row(&mut group, format!("{chip}/{flash}/signed/envelope-cbc"), &device, way, &shared);
    }
    let image = vec![0x5A; APP];
    group.bench_function("sha256", |b| b.iter(|| Sha256::digest(black_box(&image))));
    group.finish();

    let mut group = criterion.benchmark_group("ota/unwrap");
    for (name, file, mut key) in [("rsa3072", &rsa, opening()), ("ecies", &ecies, OpeningKey::Ecies(device_key()))] {
        let wrapped = Header::at(file).expect("a header").wrapped_key();
        group.bench_function(name, |b| b.iter(|| key.unwrap_key(black_box(wrapped)).expect("its key")));
    }
    group.finish();
}

criterion_group!(benches, ota);
criterion_main!(benches);
