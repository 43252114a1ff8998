//! One interleaved run: every job once per round on the same bytes, and the fastest of each job's rounds.
//!
//! Neighbours and clock frequency then disturb all alike, so the ratios hold where the absolute figures move.

use super::{Direction, Job, Scheme};
use dryburn::flash_encryption::Path;
use serde::Serialize;
use std::time::{Duration, Instant};

/// Lengths in bytes that are measured: a sector, what a second-level cache holds, a flash chip.
pub const SIZES: [usize; 3] = [4 * 1024, 64 * 1024, 4 * 1024 * 1024];

/// Shorter data is worked on several times between two looks at the clock, so that the caches hold it as in bulk work: what
/// ran before was another job.
const SAMPLE: usize = 512 * 1024;

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

/// Measures everything for about `limit`, at least one round, as on a machine whose fastest path is `fastest`; the crates
/// beside it use all that this machine has.
pub fn measure(limit: Duration, fastest: Path) -> Vec<Figure> {
    let start = Instant::now();
    let mut comparisons: Vec<_> = SIZES.into_iter().flat_map(|bytes| comparisons(bytes, fastest)).collect();
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

fn comparisons(bytes: usize, fastest: Path) -> impl Iterator<Item = Comparison> {
    Scheme::ALL.into_iter().flat_map(move |scheme| {
        Direction::ALL.into_iter().map(move |direction| Comparison {
            scheme,
            direction,
            bytes,
            plain: Timed::new(scheme.plain(direction)),
            ecb: Timed::new(scheme.ecb(direction)),
            paths: Path::ALL
                .into_iter()
                .filter(|path| *path <= fastest && path.is_available())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_round_fills_the_report() {
        let without_avx512 = Path::AesNi.min(Path::fastest());
        let figures = measure(Duration::ZERO, without_avx512);
        let paths = Path::ALL.into_iter().filter(|path| *path <= without_avx512).count();
        assert_eq!(figures.len(), SIZES.len() * Scheme::ALL.len() * Direction::ALL.len() * paths);
        for figure in &figures {
            assert!([figure.gb_per_s, figure.vs_plain, figure.vs_ecb].iter().all(|f| f.is_finite() && *f > 0.0));
            let json = serde_json::to_value(figure).expect("numbers and words");
            let fields: Vec<_> = json.as_object().expect("an object").keys().map(String::as_str).collect();
            assert_eq!(fields, ["bytes", "direction", "gb_per_s", "path", "scheme", "vs_ecb", "vs_plain"]);
        }
    }
}
