//! A board that is none, for tests of the runner: it echoes, counts, fails and keeps files.

use super::{Board, DeviceSpec, Maker};
use crate::tools::Output;
use std::{fs, path::Path, path::PathBuf};

/// Makes [`FakeBoard`]s; refuses a document whose `strap` is `"broken"`.
#[derive(Clone, Copy, Debug, Default)]
pub struct FakeMaker;

/// Knows `echo WORDS…` (`\n` in a word starts a new line), `fail N`, `cat FILE`, `write FILE TEXT`, `count` (the state of
/// the board: how often it was asked), `spec` (the device it was made for) and `crash` (panics, as a bug in a model would).
#[derive(Clone, Debug)]
pub struct FakeBoard {
    dir: PathBuf,
    spec: DeviceSpec,
    count: u64,
}

impl Maker for FakeMaker {
    fn make(&self, spec: &DeviceSpec, dir: &Path) -> Result<Box<dyn Board>, String> {
        if spec.strap.as_deref() == Some("broken") {
            return Err("the board does not power on: strap 'broken'".into());
        }
        Ok(Box::new(FakeBoard { dir: dir.into(), spec: spec.clone(), count: 0 }))
    }
}

impl Board for FakeBoard {
    fn run(&mut self, argv: &[String]) -> Output {
        let (text, status) = self.answer(argv);
        Output { text, status }
    }

    fn fork(&self, dir: &Path) -> Box<dyn Board> {
        Box::new(Self { dir: dir.into(), ..self.clone() })
    }
}

impl FakeBoard {
    fn answer(&mut self, argv: &[String]) -> (String, u8) {
        let words: Vec<&str> = argv.iter().map(String::as_str).collect();
        match words.as_slice() {
            ["echo", rest @ ..] => (format!("{}\n", rest.join(" ").replace("\\n", "\n")), 0),
            ["fail", status] => match status.parse() {
                Ok(status) => (format!("error: asked to fail with {status}\n"), status),
                Err(_) => (format!("fail: '{status}' is not an exit status\n"), 2),
            },
            ["cat", file] => match fs::read_to_string(self.dir.join(file)) {
                Ok(text) => (text, 0),
                Err(_) => (format!("{file}: no such file\n"), 2),
            },
            ["write", file, text] => {
                let path = self.dir.join(file);
                // the file may be shared with other cases
                let _ = fs::remove_file(&path);
                match fs::write(path, format!("{text}\n")) {
                    Ok(()) => (String::new(), 0),
                    Err(_) => (format!("{file}: cannot be written\n"), 2),
                }
            }
            ["count"] => {
                self.count = self.count.saturating_add(1);
                (format!("{}\n", self.count), 0)
            }
            ["spec"] => (format!("{:#?}\n", self.spec), 0),
            ["crash"] => std::panic::panic_any("asked to crash"),
            _ => (format!("{}: no such command\n", words.first().copied().unwrap_or_default()), 2),
        }
    }
}
