//! Good inputs to begin with: the vectors and scenarios of the repository.

use super::Target;
use crate::strategy::{command::COMMANDS, envelope::device};
use dryburn::envelope::{ContentKey, Recipient, cbc, seal};
use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// Folders below the repository, what their files end in, and what is put before each.
type Source = (&'static str, &'static str, &'static [&'static [u8]]);

/// Larger files are left out: coverage is found sooner with small ones.
const MOST: u64 = 64 * 1024;

/// Where the seeds of a target come from.
fn sources(target: &str) -> &'static [Source] {
    const IMAGE: &[&[u8]] =
        &[&[0, 13, 0, 0, 99, 0, 0, 0], &[0, 2, 4, 1, 99, 0, 0, 0], &[0, 13, 0x38, 0x20, 99, 0, 0, 0]];
    match target {
        "image" => &[
            ("tests/vectors/image", "bin", IMAGE),
            ("tests/vectors/esptool", "bin", IMAGE),
            ("tests/vectors/sbv2", "bin", IMAGE),
        ],
        "partition_table" => &[("tests/vectors/ptable", "bin", &[&[]])],
        "partition_csv" => &[("tests/vectors/ptable", "csv", &[&[0, 8], &[0x33, 8], &[0x1F, 9]])],
        "otadata" => &[("tests/vectors/otadata", "bin", &[])],
        "signature_block" => &[("tests/vectors/sbv2", "bin", &[]), ("tests/vectors/sbv1", "bin", &[&[0]])],
        "efuse_file" => &[("tests/vectors/efuse", "", &[&[0], &[1], &[3], &[4]])],
        "key_file" => &[("tests/vectors/keys", "pem", &[&[]]), ("tests/vectors/encimg", "pem", &[&[]])],
        "scenario" => &[("scenarios", "md", &[&[]])],
        "envelope" => &[("tests/vectors/encimg", "bin", &[&[0, 17], &[2, 200]])],
        _ => &[],
    }
}

/// The seeds of `target`, each with a name for its file; `repository` is the root of this one.
///
/// # Errors
/// Vectors that cannot be read.
pub fn seeds(target: &Target, repository: &Path) -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut seeds = Vec::new();
    for (folder, extension, prefixes) in sources(target.name) {
        for path in below(&repository.join(folder))? {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if !name.ends_with(extension) || fs::metadata(&path)?.len() > MOST {
                continue;
            }
            let bytes = fs::read(&path)?;
            for (index, whole) in inputs(target.name, prefixes, &bytes).into_iter().enumerate() {
                seeds.push((format!("{name}.{index}"), whole));
            }
        }
    }
    seeds.extend(made(target));
    Ok(seeds)
}

/// The inputs that one file gives.
fn inputs(target: &str, prefixes: &[&[u8]], file: &[u8]) -> Vec<Vec<u8>> {
    let tail = |from: usize| file.get(from..).unwrap_or_default();
    match target {
        // an entry lies at the start of each sector of the partition
        "otadata" => [[2, 1, 0, 0], [3, 0, 2, 1]]
            .iter()
            .map(|head| [&head[..], &file[..file.len().min(32)], &tail(0x1000)[..tail(0x1000).len().min(32)]].concat())
            .collect(),
        // the last sector of a signed file
        "signature_block" if prefixes.is_empty() => {
            [0_u8, 1, 3].iter().map(|repairs| [&[*repairs], tail(file.len().saturating_sub(4096))].concat()).collect()
        }
        _ => prefixes.iter().map(|prefix| [prefix, file].concat()).collect(),
    }
}

/// Seeds that no file holds.
fn made(target: &Target) -> Vec<(String, Vec<u8>)> {
    match target.name {
        // every chip with each ESP-IDF of three, plain and encrypted, with every option alone
        "boot" => (0..10_u8)
            .flat_map(|chip| [5_u8, 7, 13].map(|idf| [chip, idf]))
            .flat_map(|[chip, idf]| [4_u8, 5, 6, 7].map(|security| [chip, idf, chip ^ idf, security]))
            .map(|[chip, idf, option, security]| {
                let input = [chip, idf, 1 << (option % 8), security, 1, 2, 2, 0xFF, 0, 0, 1, 0x40, 1];
                (format!("{chip}-{idf}-{security}"), input.to_vec())
            })
            .collect(),
        // for the keys that the target opens them with
        "envelope" => {
            let plaintext: Vec<u8> = (0..=255).collect();
            let sealed = seal(&plaintext, &Recipient::ecies(&device()), &mut ChaCha20Rng::seed_from_u64(0));
            let cbc = cbc::seal(&plaintext, &ContentKey::new([0x5A; 32]), [7; 16]);
            let named = [("ecies", sealed.expect("an envelope")), ("cbc", cbc.expect("an envelope"))];
            named.map(|(name, envelope)| (name.to_string(), [&[0, 17], &envelope[..]].concat())).to_vec()
        }
        "command_line" => COMMANDS
            .iter()
            .enumerate()
            .flat_map(|(index, command)| {
                (0..2_u8).map(move |chip| {
                    let words = command.split(' ').map(|word| word.split('|').next().unwrap_or_default());
                    let line = words.collect::<Vec<_>>().join(" ");
                    (format!("{index}-{chip}"), [&[chip], line.as_bytes(), b"\ndevice power-on\n\0"].concat())
                })
            })
            .collect(),
        _ => Vec::new(),
    }
}

/// Every file below `folder`, in the order of their names.
fn below(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut entries = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    entries.sort();
    for path in entries {
        if path.is_dir() { found.extend(below(&path)?) } else { found.push(path) }
    }
    Ok(found)
}
