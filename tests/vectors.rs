//! The files in `tests/vectors` are what the vendor's tools made: byte for byte those of the shared material, and each has
//! its line in `MANIFEST.md`.

mod shared;

use shared::shared;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

const MANIFEST: &str = "MANIFEST.md";

/// A line of the manifest.
struct Line {
    /// File in `tests/vectors`; a folder where it ends in `/`.
    name: String,
    /// File of the shared vectors that it is a copy of; `None` where it was made for this repository.
    source: Option<String>,
    /// Command that made it.
    command: String,
}

fn vectors() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors")
}

/// The lines of the table `| file | copy of | produced by |`: `same` stands for the same name in the shared vectors, `-` for
/// no copy.
fn manifest() -> Vec<Line> {
    let text = fs::read_to_string(vectors().join(MANIFEST)).unwrap();
    let rows = text.lines().filter_map(|l| l.strip_prefix("| ")?.strip_suffix(" |")).skip(1);
    let lines: Vec<_> = rows
        .map(|row| {
            let [name, source, command] = row.splitn(3, " | ").collect::<Vec<_>>()[..] else {
                panic!("{MANIFEST}: not a line of three columns: {row}");
            };
            let source = match source {
                "-" => None,
                "same" => Some(name.to_owned()),
                other => Some(other.to_owned()),
            };
            Line { name: name.to_owned(), source, command: command.to_owned() }
        })
        .collect();
    assert!(!lines.is_empty(), "{MANIFEST}: no table");
    lines
}

/// Every file below `folder`, as the manifest names it.
fn files(folder: &Path, prefix: &str, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let name = format!("{prefix}{}", entry.file_name().into_string().unwrap());
        match entry.file_type().unwrap().is_dir() {
            true => files(&entry.path(), &format!("{name}/"), found),
            false => drop(found.insert(name)),
        }
    }
}

#[test]
fn every_file_has_its_line() {
    let mut found = BTreeSet::new();
    files(&vectors(), "", &mut found);
    found.remove(MANIFEST);
    let mut listed = BTreeSet::new();
    for line in manifest() {
        assert!(!line.command.trim().is_empty(), "{MANIFEST}: {}: made how?", line.name);
        if line.name.ends_with('/') {
            assert_eq!(line.source, None, "{MANIFEST}: {}: only files are copies", line.name);
            assert!(
                found.contains(&format!("{}README.md", line.name)),
                "{}: no README.md says how it was made",
                line.name
            );
            listed.extend(found.iter().filter(|f| f.starts_with(&line.name)).cloned());
        } else {
            assert!(listed.insert(line.name.clone()), "{MANIFEST}: {}: a second line", line.name);
        }
    }
    let without: Vec<_> = found.difference(&listed).collect();
    assert!(without.is_empty(), "{MANIFEST}: no line for {without:?}");
    let gone: Vec<_> = listed.difference(&found).collect();
    assert!(gone.is_empty(), "{MANIFEST}: no file for {gone:?}");
}

#[test]
fn copies_are_exact() {
    let Some(shared) = shared("vectors") else { return };
    let mut compared = 0;
    for (name, source) in manifest().into_iter().filter_map(|l| Some((l.name, l.source?))) {
        let (ours, theirs) = (fs::read(vectors().join(&name)).unwrap(), fs::read(shared.join(&source)));
        let theirs = theirs.unwrap_or_else(|e| panic!("{name}: {source} of the shared vectors: {e}"));
        assert!(ours == theirs, "{name} is not the shared {source}: copy it again, byte for byte");
        compared += 1;
    }
    assert!(compared > 0, "{MANIFEST} names no copy");
}

#[test]
fn commands_are_those_of_the_shared_manifest() {
    let Some(path) = shared("vectors/MANIFEST.md") else { return };
    let text = fs::read_to_string(path).unwrap();
    let rows = text.lines().filter_map(|l| l.strip_prefix("| ")?.strip_suffix(" |"));
    let produced: BTreeMap<&str, &str> = rows
        .filter_map(|row| match row.splitn(4, " | ").collect::<Vec<_>>()[..] {
            [name, _bytes, _sha, command] => Some((name, command)),
            _ => None,
        })
        .collect();
    for line in manifest() {
        if let Some(source) = &line.source {
            assert_eq!(produced.get(source.as_str()), Some(&line.command.as_str()), "{}", line.name);
        }
    }
}
