//! One boot of a board with a 1 MiB app, plain and encrypted; the verification in it; and SHA-256 alone over as many
//! bytes, which no verification can beat.

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use dryburn::{
    Chip, IdfVersion, Revision,
    efuse::security,
    image::{self, Builder, Kind, Purpose, Region, Rules, Target},
    otadata::{Entry, State},
    partition::{self, PartitionType, Subtype},
};
use dryburn_sim::{
    bus::EncryptionUnit,
    device::{Device, Watch},
    efuse::Efuses,
    flash::Flash,
};
use sha2::{Digest, Sha256};
use std::hint::black_box;

const APP: usize = 1024 * 1024;
const SLOT: u32 = 0x1_0000;
const SLOT_SIZE: u32 = 0x18_0000;

/// A board whose otadata chooses the app in the first slot.
fn board(chip: Chip, encrypted: bool) -> Device {
    let mut efuses = Efuses::new(chip);
    if encrypted {
        efuses.burn(security::key_block_number(chip, 0), &[0x0123_4567; 8]);
        let (name, value) = if chip == Chip::Esp32 { ("FLASH_CRYPT_CONFIG", 0xF) } else { ("KEY_PURPOSE_0", 4) };
        efuses.burn_field(name, value).expect("a virgin field");
        efuses.burn_field(security::crypt_count_name(chip), 1).expect("a virgin field");
    }
    let unit = EncryptionUnit::at_reset(&efuses);
    assert_eq!(unit.is_on(), encrypted);
    let row = |label, kind, subtype, offset, size| {
        partition::Entry::new(label, PartitionType(kind), Subtype(subtype), offset, size)
    };
    let rows = [row("otadata", 1, 0, 0xD000, 0x2000), row("ota_0", 0, 0x10, SLOT, SLOT_SIZE)];
    let mut flash = Flash::new(4 * 1024 * 1024).expect("4 MB");
    for (at, bytes) in [
        (chip.spec().bootloader_offset, &Builder::bootloader(chip, IdfVersion::LATEST).flash_size(2).build()[..]),
        (0x8000, &partition::build(&rows, true).expect("two rows")),
        (0xD000, &Entry::new(1, State::Valid).to_bytes()),
        (SLOT, &Builder::app(chip).size(APP).build()),
    ] {
        unit.program(&mut flash, at, bytes).expect("inside");
    }
    Device::new(flash, efuses)
}

fn boot(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("boot");
    group.throughput(Throughput::Bytes(APP as u64)).sample_size(20);
    for chip in [Chip::Esp32, Chip::Esp32c3] {
        for (name, encrypted) in [("plain", false), ("encrypted", true)] {
            let device = board(chip, encrypted);
            assert!(device.clone().power_on(Watch::Boots(1)).runs_an_app(), "{chip} {name}");
            group.bench_function(format!("{chip}/{name}"), |b| {
                b.iter_batched_ref(|| device.clone(), |device| device.power_on(Watch::Boots(1)), BatchSize::SmallInput);
            });
        }
    }
    group.finish();
}

fn verify(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("verify");
    group.throughput(Throughput::Bytes(APP as u64)).sample_size(20);
    let device = board(Chip::Esp32, false);
    let target = Target {
        chip: Chip::Esp32,
        revision: Revision(0),
        block_revision: None,
        ignore_max_revision: false,
        ignore_max_block_revision: false,
        idf: IdfVersion::LATEST,
    };
    let rules = Rules { target: &target, kind: Kind::App, purpose: Purpose::Verify, signature: None };
    let region = Region { offset: SLOT, size: SLOT_SIZE };
    let unit = EncryptionUnit::at_reset(&device.efuses);
    let run = || image::verify(&mut unit.view(&device.flash), region, &rules, &mut |_| {});
    assert!(run().is_ok());
    group.bench_function("image", |b| b.iter(run));
    let app = Builder::app(Chip::Esp32).size(APP).build();
    group.bench_function("sha256", |b| b.iter(|| Sha256::digest(black_box(&app))));
    group.finish();
}

criterion_group!(benches, boot, verify);
criterion_main!(benches);
