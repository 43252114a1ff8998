//! Command lines on a confined desk.

use super::Cursor;
use crate::{
    board::BoardMaker,
    scenario::{Bootloader, DeviceSpec, Maker},
    strategy::command::desk,
    tools::{Output, Workbench},
};
use dryburn::{Chip, SECTOR};
use std::{collections::BTreeMap, fs, path::Path};

/// Most commands of one input.
const MOST: usize = 3;

/// A table like that of most products.
const PARTITIONS: &str =
    "nvs, data, nvs, 0x9000, 0x4000\notadata, data, ota, 0xd000, 8K\nota_0, app, ota_0, 0x10000, 64K\n";

/// What came of the commands: their outputs, and every file afterwards.
type Result = (Vec<Output>, BTreeMap<String, Vec<u8>>);

/// One byte for the chip, then lines of words separated by single spaces, at most 3; after a NUL comes the content of the
/// file `input.bin`. The other files are those of [`desk`].
///
/// # Panics
/// When what is asserted does not hold.
pub fn command_line(input: &[u8]) {
    let mut cursor = Cursor(input);
    let chip = cursor.pick(&[Chip::Esp32, Chip::Esp32c3, Chip::Esp32s3, Chip::Esp32c2]);
    let (lines, file) = match cursor.0.iter().position(|byte| *byte == 0) {
        Some(end) => (&cursor.0[..end], &cursor.0[end + 1..]),
        None => (cursor.0, &[][..]),
    };
    let text = String::from_utf8_lossy(lines);
    let words = |line: &str| line.split(' ').map(String::from).collect::<Vec<_>>();
    let commands: Vec<_> = text.lines().map(words).filter(|words| !is_slow(words)).take(MOST).collect();
    if commands.is_empty() {
        return;
    }
    let first = run(chip, &commands, file);
    let again = run(chip, &commands, file);
    assert!(first == again, "the same commands did something else: {commands:?}");
    for (output, words) in first.0.iter().zip(&commands) {
        assert!(output.status <= 2, "{words:?}: {}", output.status);
        assert!(output.status == 0 || !output.text.is_empty(), "{words:?} fails without a word");
    }
}

/// RSA keys take seconds to make.
fn is_slow(words: &[String]) -> bool {
    let has = |part: &str| words.iter().any(|word| word.replace('_', "-").contains(part));
    has("generate-rsa-key") || has("provision") || (has("generate-signing-key") && !has("ecdsa"))
}

fn run(chip: Chip, commands: &[Vec<String>], file: &[u8]) -> Result {
    let outside = tempfile::tempdir().expect("a folder");
    let inside = outside.path().join("desk");
    fs::create_dir(&inside).expect("a folder");
    let spec = DeviceSpec {
        chip,
        revision: None,
        idf: None,
        flash_size: 64 * SECTOR,
        seed: 1,
        config: BTreeMap::new(),
        bootloader: Bootloader::Default,
        partition_table_offset: None,
        strap: None,
        partitions: Some(PARTITIONS.into()),
    };
    let mut board = BoardMaker.make(&spec, &inside).expect("a board");
    desk(&Workbench::confined(&inside, 0)).expect("a desk");
    fs::write(inside.join("input.bin"), file).expect("a file");
    let outputs = commands.iter().map(|words| board.run(words)).collect();
    assert_eq!(fs::read_dir(outside.path()).expect("the folder").count(), 1, "{commands:?} left the folder");
    (outputs, files(&inside))
}

/// Every file in `folder`; a command makes no folders.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).expect("the folder").map(|entry| entry.expect("an entry"));
    let named = |entry: fs::DirEntry| (entry.file_name().to_string_lossy().into_owned(), fs::read(entry.path()));
    entries.map(named).filter_map(|(name, bytes)| Some((name, bytes.ok()?))).collect()
}
