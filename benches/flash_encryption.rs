//! Flash encryption throughput: each scheme, both directions, 64 KiB in place.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use dryburn::flash_encryption::{CryptConfig, FlashCipher, FlashKey};
use std::hint::black_box;

const LEN: usize = 64 * 1024;
const ADDRESS: u32 = 0x1_0000;

fn flash_encryption(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("flash_encryption");
    group.throughput(Throughput::Bytes(LEN as u64));
    let mut data = vec![0xA5; LEN];
    for (name, key) in [
        ("esp32", FlashKey::Esp32 { key: [1; 32], config: CryptConfig::ALL }),
        ("xts128", FlashKey::Xts128([2; 32])),
        ("xts256", FlashKey::Xts256([3; 64])),
    ] {
        let cipher = FlashCipher::new(&key);
        group.bench_function(format!("{name}/encrypt"), |b| b.iter(|| cipher.encrypt(ADDRESS, black_box(&mut data))));
        group.bench_function(format!("{name}/decrypt"), |b| b.iter(|| cipher.decrypt(ADDRESS, black_box(&mut data))));
    }
    group.finish();
}

criterion_group!(benches, flash_encryption);
criterion_main!(benches);
