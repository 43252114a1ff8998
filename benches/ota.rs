//! A full update of a 1.5 MiB app, from the first chunk to the boot choice, through the core's updater and the modelled flash;
//! and SHA-256 alone over as many bytes, which no updater that verifies can beat.

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use dryburn::{
    Chip, IdfVersion,
    boot::Slot,
    efuse::security,
    image::Builder,
    ota::{Erase, PlainImage},
    otadata::{Entry, State},
    partition::{self, PartitionType, Subtype},
};
use dryburn_sim::{
    app::dryburn::App,
    bus::EncryptionUnit,
    device::{Device, Watch},
    efuse::Efuses,
    flash::Flash,
};
use sha2::{Digest, Sha256};
use std::hint::black_box;

const APP: usize = 1536 * 1024;
/// What a download hands over at a time.
const CHUNK: usize = 4096;
const SLOTS: [u32; 2] = [0x1_0000, 0x20_0000];

/// A board that runs a small app in its first slot.
fn board(chip: Chip, encrypted: bool) -> Device {
    let mut efuses = Efuses::new(chip);
    if encrypted {
        efuses.burn(security::key_block_number(chip, 0), &[0x0123_4567; 8]);
        let (name, value) = if chip == Chip::Esp32 { ("FLASH_CRYPT_CONFIG", 0xF) } else { ("KEY_PURPOSE_0", 4) };
        efuses.burn_field(name, value).expect("a virgin field");
        efuses.burn_field(security::crypt_count_name(chip), 1).expect("a virgin field");
    }
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
        (chip.spec().bootloader_offset, &Builder::bootloader(chip, IdfVersion::LATEST).flash_size(2).build()[..]),
        (0x8000, &partition::build(&rows, true).expect("three rows")),
        (0xD000, &Entry::new(1, State::Valid).to_bytes()),
        (SLOTS[0], &Builder::app(chip).build()),
    ] {
        unit.program(&mut flash, at, bytes).expect("inside");
    }
    Device::new(flash, efuses)
}

fn update(device: &mut Device, image: &[u8]) {
    let cycle = device.power_on(Watch::Boots(1));
    let mut app = App::started(device, &cycle).expect("an app runs");
    assert_eq!(app.running(), Slot::Ota(0));
    let mut updater = app.updater().expect("partitions to update");
    let mut update = updater.begin(1, PlainImage, None, Erase::AsWritten).expect("a free slot");
    for chunk in image.chunks(CHUNK) {
        update.write(chunk).expect("a good image");
    }
    update.finish(&mut |_| {}).expect("a good image").set_boot().expect("a choice");
}

fn ota(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("ota");
    group.throughput(Throughput::Bytes(APP as u64)).sample_size(10);
    for chip in [Chip::Esp32, Chip::Esp32c3] {
        let image = Builder::app(chip).size(APP).version("2.0.0").build();
        for (name, encrypted) in [("plain", false), ("encrypted", true)] {
            let device = board(chip, encrypted);
            group.bench_function(format!("{chip}/{name}"), |b| {
                b.iter_batched_ref(|| device.clone(), |device| update(device, &image), BatchSize::SmallInput);
            });
        }
    }
    let image = vec![0x5A; APP];
    group.bench_function("sha256", |b| b.iter(|| Sha256::digest(black_box(&image))));
    group.finish();
}

criterion_group!(benches, ota);
criterion_main!(benches);
