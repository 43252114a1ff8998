//! One interleaved run: every job once per round on the same bytes, and the fastest of each job's rounds.
//!
//! Neighbours and clock frequency then disturb all alike, so the ratios hold where the absolute figures move.

use super::{Direction, Job, Scheme};
use dryburn::flash_encryption::Path;
use serde::Serialize;
use std::time::{Duration, Instant};

/// Lengths in bytes that are measured: a sector, what a second-level cache holds, a flash chip.
pub const SIZES: [usize; 3] = [4 * 1024, 64 * 1024, 4 * 1024 * 1024];

/// Shorter data is worked on several times between two looks at the clock.
const SAMPLE: usize = 64 * 1024;

/// One line of the report.
#[derive(Clone, Debug, Serialize)]
pub struct Figure {
    /// Scheme of flash encryption.
    pub scheme: Scheme,
    /// To flash or from flash.
    pub direction: Direction,
    /// Length of the data in bytes, in place.
    pub bytes: usize,
    /// Instructions used: [`Path::name`].
    pub path: &'static str,
    /// Throughput in 10⁹ bytes per second.
    pub gb_per_s: f64,
    /// Times as fast as [`Scheme::plain`].
    pub vs_plain: f64,
    /// Share of [`Scheme::ecb`]'s throughput.
    pub vs_ecb: f64,
}

/// A job with the shortest time that it took for the data.
struct Timed {
    job: Job,
    best: Duration,
}

impl Timed {
    fn new(job: Job) -> Self {
        Self { job, best: Duration::MAX }
    }

    fn sample(&mut self, data: &mut [u8]) {
        let times = (SAMPLE / data.len()).max(1) as u32;
        let start = Instant::now();
        for _ in 0..times {
            (self.job)(std::hint::black_box(&mut *data));
        }
        self.best = self.best.min(start.elapsed() / times);
    }
}

/// What is compared: the paths of this machine beside a plain loop and ECB.
struct Comparison {
    scheme: Scheme,
    direction: Direction,
    bytes: usize,
    plain: Timed,
    ecb: Timed,
    paths: Vec<(Path, Timed)>,
}

/// Measures everything for about `limit`, at least one round.
pub fn measure(limit: Duration) -> Vec<Figure> {
    let start = Instant::now();
    let mut comparisons: Vec<_> = SIZES.into_iter().flat_map(comparisons).collect();
    let mut buffer = vec![0xA5; SIZES.into_iter().max().unwrap_or(0)];
    loop {
        for Comparison { bytes, plain, ecb, paths, .. } in &mut comparisons {
            let data = &mut buffer[..*bytes];
            for timed in [plain, ecb].into_iter().chain(paths.iter_mut().map(|(_, timed)| timed)) {
                timed.sample(data);
            }
        }
        if start.elapsed() >= limit {
            return comparisons.iter().flat_map(Comparison::figures).collect();
        }
    }
}

fn comparisons(bytes: usize) -> impl Iterator<Item = Comparison> {
    Scheme::ALL.into_iter().flat_map(move |scheme| {
        Direction::ALL.into_iter().map(move |direction| Comparison {
            scheme,
            direction,
            bytes,
            plain: Timed::new(scheme.plain(direction)),
            ecb: Timed::new(scheme.ecb(direction)),
            paths: Path::ALL
                .into_iter()
                .filter(|path| path.is_available())
                .map(|path| (path, Timed::new(scheme.job(direction, path))))
                .collect(),
        })
    })
}

impl Comparison {
    fn figures(&self) -> impl Iterator<Item = Figure> {
        self.paths.iter().map(|(path, Timed { best, .. })| Figure {
            scheme: self.scheme,
            direction: self.direction,
            bytes: self.bytes,
            path: path.name(),
            gb_per_s: self.bytes as f64 / best.as_secs_f64() / 1e9,
            vs_plain: self.plain.best.as_secs_f64() / best.as_secs_f64(),
            vs_ecb: self.ecb.best.as_secs_f64() / best.as_secs_f64(),
        })
    }
}
