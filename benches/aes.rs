//! Flash encryption: each scheme, direction, length and path, beside the same work as a plain loop over the published
//! crates, beside AES-ECB with one key, and beside copying the bytes.
//!
//! Functions run one after another here; `dryburn bench` takes the ratios from one interleaved run.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use dryburn::flash_encryption::Path;
use dryburn_sim::throughput::{Direction, Job, SIZES, Scheme, memcpy};
use std::{hint::black_box, time::Duration};

fn flash_encryption(criterion: &mut Criterion) {
    for scheme in Scheme::ALL {
        for direction in Direction::ALL {
            let mut group = criterion.benchmark_group(format!("aes/{}/{}", scheme.name(), direction.name()));
            group.sample_size(20).warm_up_time(Duration::from_millis(200)).measurement_time(Duration::from_millis(600));
            for bytes in SIZES {
                group.throughput(Throughput::Bytes(bytes as u64));
                let mut jobs: Vec<(&str, Job)> =
                    vec![("plain", scheme.plain(direction)), ("ecb", scheme.ecb(direction)), ("memcpy", memcpy(bytes))];
                let paths = Path::ALL.into_iter().filter(|path| path.is_available());
                jobs.extend(paths.map(|path| (path.name(), scheme.job(direction, path))));
                let mut data = vec![0xA5; bytes];
                for (name, job) in jobs {
                    group.bench_function(BenchmarkId::new(name, bytes), |b| b.iter(|| job(black_box(&mut data))));
                }
            }
            group.finish();
        }
    }
}

criterion_group!(benches, flash_encryption);
criterion_main!(benches);
