//! The desk that a command works at: a folder, a board, a source of random numbers.

use super::Failure;
use crate::{config::Config, device::Device, efuse::Efuses};
use dryburn::SecureBootScheme;
use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};
use std::{
    collections::HashMap,
    fs,
    io::{self, Read as _},
    path::{Component, Path, PathBuf},
};

/// Where a command reads and writes files, and which board it talks to.
pub struct Workbench {
    root: PathBuf,
    confined: bool,
    /// The board on the desk, if there is one.
    pub device: Option<Device>,
    /// Source of the random numbers that commands need (flash keys, IVs, padding).
    pub rng: ChaCha20Rng,
    /// How many signing keys of each scheme were made here.
    keys: HashMap<SecureBootScheme, u32>,
}

/// Files larger than this are refused: flash chips end at 128 MB.
const MAX_FILE: u64 = 128 * 1024 * 1024;
/// Files that hold a key, eFuses, a partition table or settings have some KiB. Read into a model each byte takes many, so a
/// larger file of these kinds is refused.
const MAX_SMALL_FILE: u64 = 1024 * 1024;

impl Workbench {
    /// The desk of a scenario: commands see only `folder`, and `seed` decides every random number.
    pub fn confined(folder: &Path, seed: u64) -> Self {
        let rng = ChaCha20Rng::seed_from_u64(seed);
        Self { root: folder.into(), confined: true, device: None, rng, keys: HashMap::new() }
    }

    /// The desk of a shell user: any path, keys from the operating system's random numbers.
    pub fn shell() -> io::Result<Self> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(io::Error::other)?;
        let rng = ChaCha20Rng::from_seed(seed);
        Ok(Self { root: PathBuf::new(), confined: false, device: None, rng, keys: HashMap::new() })
    }

    /// The same folder and random numbers, with another board.
    pub(crate) fn with_board(&self, device: Device) -> Self {
        Self { device: Some(device), ..self.in_folder(&self.root) }
    }

    /// The same board and random numbers, with the files of another folder.
    pub(crate) fn in_folder(&self, folder: &Path) -> Self {
        let (device, rng, keys) = (self.device.clone(), self.rng.clone(), self.keys.clone());
        Self { root: folder.into(), confined: self.confined, device, rng, keys }
    }

    /// Counts one more signing key of `scheme`, and gives its number.
    pub(crate) fn count_key(&mut self, scheme: SecureBootScheme) -> u32 {
        let count = self.keys.entry(scheme).or_default();
        *count = count.saturating_add(1);
        *count
    }

    /// Whether the desk is that of a scenario, which sees nothing but its folder.
    pub fn is_confined(&self) -> bool {
        self.confined
    }

    /// The eFuses of the board on the desk.
    pub fn efuses_mut(&mut self) -> Option<&mut Efuses> {
        self.device.as_mut().map(|device| &mut device.efuses)
    }

    /// The real path behind `name`; in a scenario, only names inside its folder have one.
    pub fn path(&self, name: &str) -> Result<PathBuf, Failure> {
        let path = Path::new(name);
        let inside = path.components().all(|c| matches!(c, Component::Normal(_) | Component::CurDir));
        if self.confined && !inside {
            return Err(Failure::new(format!("{name}: a scenario's files stay in its folder; use a plain file name")));
        }
        Ok(self.root.join(path))
    }

    /// Reads a whole file: at most the 128 MB of the largest flash chip.
    pub fn read(&self, name: &str) -> Result<Vec<u8>, Failure> {
        self.read_at_most(name, MAX_FILE)
    }

    /// Reads a whole file of a kind that is never large, like keys, eFuses, tables and settings: at most 1 MiB.
    pub fn read_small(&self, name: &str) -> Result<Vec<u8>, Failure> {
        self.read_at_most(name, MAX_SMALL_FILE)
    }

    /// What is no regular file is not opened: that alone may wait for ever. The size may be a lie, or grow meanwhile.
    fn read_at_most(&self, name: &str, most: u64) -> Result<Vec<u8>, Failure> {
        let path = self.path(name)?;
        let fail = |e: io::Error| Failure::new(format!("{name}: {}", reason(&e)));
        let too_large =
            |size| Failure::new(format!("{name}: {size} bytes; files above {most} bytes are not read here"));
        let meta = fs::metadata(&path).map_err(fail)?;
        if !meta.is_file() {
            return Err(Failure::new(format!("{name}: not a regular file")));
        }
        if meta.len() > most {
            return Err(too_large(meta.len()));
        }
        let mut bytes = Vec::with_capacity(meta.len() as usize);
        fs::File::open(&path).and_then(|file| file.take(most + 1).read_to_end(&mut bytes)).map_err(fail)?;
        if bytes.len() as u64 > most {
            return Err(too_large(bytes.len() as u64));
        }
        Ok(bytes)
    }

    /// Reads a whole file as UTF-8 text: at most 1 MiB.
    pub fn read_text(&self, name: &str) -> Result<String, Failure> {
        String::from_utf8(self.read_small(name)?).map_err(|e| {
            Failure::new(format!(
                "{name}: not UTF-8 text (byte {} at offset {:#x})",
                e.as_bytes()[e.utf8_error().valid_up_to()],
                e.utf8_error().valid_up_to()
            ))
        })
    }

    /// Writes a whole file, replacing what was there: in a scenario's folder by a new file, as the old one may be a link
    /// that other cases share.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<(), Failure> {
        let path = self.path(name)?;
        let free = if self.confined { remove(&path) } else { Ok(()) };
        free.and_then(|()| fs::write(path, bytes))
            .map_err(|e| Failure::new(format!("{name}: cannot be written: {}", reason(&e))))
    }

    /// Writes a new file that only its owner may read, where the system knows owners.
    pub fn write_secret(&self, name: &str, bytes: &[u8]) -> Result<(), Failure> {
        let mut options = fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let written = options.open(self.path(name)?).and_then(|mut file| io::Write::write_all(&mut file, bytes));
        written.map_err(|e| Failure::new(format!("{name}: cannot be written: {}", reason(&e))))
    }

    /// Reads the file that the option `SECURE_BOOT_VERIFICATION_KEY` names into `config`, where it was given.
    ///
    /// # Errors
    /// No such file, or not the 64 bytes that `espsecure extract-public-key --version 1` writes.
    pub fn load_verification_key(&self, config: &mut Config) -> Result<(), Failure> {
        let Some(name) = config.get("SECURE_BOOT_VERIFICATION_KEY") else { return Ok(()) };
        let bytes = self.read_small(name)?;
        let key: [u8; 64] = bytes.as_slice().try_into().map_err(|_| {
            Failure::new(format!(
                "{name}: {} bytes; the public key that a Secure Boot v1 bootloader is built with has 64 (espsecure extract-public-key --version 1)",
                bytes.len()
            ))
        })?;
        config.verification_key = Some(key);
        Ok(())
    }

    /// Whether a file of that name exists.
    pub fn exists(&self, name: &str) -> bool {
        self.path(name).is_ok_and(|p| p.exists())
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

/// An operating system error in words that do not depend on the platform's numbers.
fn reason(e: &io::Error) -> String {
    match e.kind() {
        io::ErrorKind::NotFound => "no such file".into(),
        io::ErrorKind::PermissionDenied => "permission denied".into(),
        io::ErrorKind::IsADirectory => "is a folder".into(),
        _ => e.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_scenario_writes_changes_no_file_that_others_share() {
        let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (mine, others) = (first.path().join("a.bin"), second.path().join("a.bin"));
        fs::write(&others, "of the set-up").unwrap();
        fs::hard_link(&others, &mine).unwrap();
        Workbench::confined(first.path(), 0).write("a.bin", b"of a case").unwrap();
        assert_eq!(fs::read(mine).unwrap(), b"of a case");
        assert_eq!(fs::read(others).unwrap(), b"of the set-up");
    }
}
