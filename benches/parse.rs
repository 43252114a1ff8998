//! What is read before anything runs: partition tables, otadata, image headers and the checks of a plain image.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use dryburn::{
    Chip, IdfVersion, Revision,
    image::{self, Builder, Header, Kind, Purpose, Region, Rules, Target},
    otadata::{self, Entry, State},
    partition::{self, PartitionType, Subtype},
};
use dryburn_sim::flash::Flash;
use std::hint::black_box;

const IMAGE: usize = 64 * 1024;

fn parse(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("parse");
    let rows: Vec<_> = (0..16u8)
        .map(|n| {
            let label = format!("ota_{n}");
            let offset = 0x1_0000 + u32::from(n) * 0x1_0000;
            partition::Entry::new(&label, PartitionType(0), Subtype(0x10 + n), offset, 0x1_0000)
        })
        .collect();
    let table = partition::build(&rows, true).expect("16 rows");
    let mut full = [0xFF; partition::TABLE_SIZE];
    full[..table.len()].copy_from_slice(&table);
    assert!(partition::verify(&full, 0x40_0000).is_ok());
    group.bench_function("partition_table/16_rows", |b| b.iter(|| partition::verify(black_box(&full), 0x40_0000)));

    let entries = [Entry::new(1, State::Valid), Entry::new(2, State::New)].map(|entry| entry.to_bytes());
    assert_eq!(otadata::active(&entries.map(Entry::from_bytes)), Some(1));
    group.bench_function("otadata", |b| b.iter(|| otadata::active(&black_box(entries).map(Entry::from_bytes))));

    let app = Builder::app(Chip::Esp32).size(IMAGE).build();
    let header = *app.first_chunk().expect("a header");
    group.bench_function("image_header", |b| {
        b.iter(|| {
            let header = Header::from_bytes(black_box(header));
            (header.magic(), header.segment_count(), header.chip_id(), header.max_chip_rev_full())
        });
    });

    let mut flash = Flash::new(Flash::MIN_SIZE).expect("a legal size");
    flash.program(0x1_0000, &app).expect("inside");
    let target = Target {
        chip: Chip::Esp32,
        revision: Revision(0),
        block_revision: None,
        ignore_max_revision: false,
        ignore_max_block_revision: false,
        idf: IdfVersion::LATEST,
    };
    let rules = Rules { target: &target, kind: Kind::App, purpose: Purpose::Verify, signature: None };
    let region = Region { offset: 0x1_0000, size: 0x2_0000 };
    let mut run = || image::verify(&mut flash, region, &rules, &mut |_| {});
    assert!(run().is_ok());
    group.throughput(Throughput::Bytes(IMAGE as u64));
    group.bench_function("image/64K", |b| b.iter(&mut run));
    group.finish();
}

criterion_group!(benches, parse);
criterion_main!(benches);
