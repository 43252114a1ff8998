//! `dryburn bench`: how fast flash encryption is on this machine, beside what everyone could write.

use crate::{
    throughput::{Figure, measure},
    tools::Failure,
};
use dryburn::flash_encryption::Path;
use std::{fmt::Write, time::Duration};

/// What follows `dryburn bench`.
#[derive(clap::Args)]
pub struct Args {
    /// A list of objects instead of the table
    #[arg(long)]
    json: bool,
    /// How long to measure, in seconds
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=60))]
    seconds: u64,
}

/// Processor features that the paths look for.
const FEATURES: [&str; 7] = ["aes", "avx", "avx512f", "avx512bw", "avx512vbmi", "vaes", "vpclmulqdq"];

/// Measures and reports.
pub fn run(args: &Args) -> Result<String, Failure> {
    let figures = measure(Duration::from_secs(args.seconds), Path::fastest());
    if args.json {
        let json = serde_json::to_string_pretty(&figures).map_err(|e| Failure::new(e.to_string()))?;
        return Ok(json + "\n");
    }
    Ok(table(&figures))
}

fn table(figures: &[Figure]) -> String {
    let mut out = format!("{}\n", machine());
    let _ = writeln!(
        out,
        "fastest path: {}; one core, data in place, the best of interleaved rounds\n",
        Path::fastest().name()
    );
    let _ = writeln!(out, "scheme  direction    bytes  path       vs plain loop  of AES-ECB     GB/s");
    for f in figures {
        let _ = writeln!(
            out,
            "{:<7} {:<9} {:>8}  {:<9} {:>12.1} x {:>11.2} {:>8.2}",
            f.scheme.name(),
            f.direction.name(),
            f.bytes,
            f.path,
            f.vs_plain,
            f.vs_ecb,
            f.gb_per_s
        );
    }
    out.push_str(
        "\nplain loop: a new key of the crate aes for each 32-byte row (esp32), the crate xts-mode unit by unit (xts).\n\
         AES-ECB: one key for everything, by the crate aes.\n",
    );
    out
}

/// Processor and features, as far as the operating system tells.
fn machine() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = |name: &str| {
        let line = info.lines().find(|line| line.split(':').next().is_some_and(|key| key.trim() == name));
        line.and_then(|line| line.split_once(':')).map_or("", |(_, value)| value.trim())
    };
    let processor = match field("model name") {
        "" => "unknown processor",
        name => name,
    };
    let flags: Vec<_> = field("flags").split_whitespace().filter(|flag| FEATURES.contains(flag)).collect();
    let built = if cfg!(target_feature = "avx512f") { "built for AVX-512" } else { "built for any processor" };
    format!("{processor} ({}; {}), {built}", std::env::consts::ARCH, flags.join(" "))
}
