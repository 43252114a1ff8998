//! The command lines of the vendor's tools, run natively.
//!
//! A command is a list of words; it runs on a [`Workbench`], which is the folder it may touch and the board on the desk,
//! and gives an [`Output`]. The scenario runner and the `dryburn` binary call the same [`run`]. Old and new spellings
//! mean the same: `espsecure.py encrypt_flash_data --flash_crypt_conf` and `espsecure encrypt-flash-data
//! --flash-crypt-conf`.

mod download;
pub mod enc_img;
pub mod espefuse;
pub mod espsecure;
pub mod esptool;
pub mod gen_esp32part;
pub mod openssl;
mod workbench;

pub use workbench::Workbench;

/// What a command printed (stdout and stderr as a terminal shows them) and its exit status.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Output {
    /// The text, each line ended by `\n`.
    pub text: String,
    /// 0 success, 1 "will not boot" or a failed check, 2 bad usage or input.
    pub status: u8,
}

/// Why a command stopped: the text it leaves on the terminal and its exit status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What was wrong, with file, offset, found, expected and what to do.
    pub text: String,
    /// Exit status; 2 unless the tool's convention says otherwise.
    pub status: u8,
}

impl Failure {
    /// A failure with exit status 2, the vendor tools' status for fatal errors and bad usage alike.
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), status: 2 }
    }
}

impl<T: std::error::Error> From<T> for Failure {
    fn from(error: T) -> Self {
        Self::new(error.to_string())
    }
}

/// Runs the vendor tool named by the first word (with or without `.py`), or says that there is no such tool.
pub fn run(bench: &mut Workbench, argv: &[String]) -> Output {
    let Some((tool, args)) = argv.split_first() else {
        return Output { text: "no command\n".into(), status: 2 };
    };
    let result = match tool.strip_suffix(".py").unwrap_or(tool) {
        "esptool" => esptool::run(bench, args),
        "espsecure" => espsecure::run(bench, args),
        "espefuse" => espefuse::run(bench, args),
        "gen_esp32part" => gen_esp32part::run(bench, args),
        "enc-img" | "enc_img" | "esp_enc_img_gen" => enc_img::run(bench, args),
        "openssl" => openssl::run(bench, args),
        other => Err(Failure::new(format!(
            "{other}: not a command that dryburn knows; it runs esptool, espsecure, espefuse, gen_esp32part, enc-img, openssl ecparam, device and dryburn"
        ))),
    };
    match result {
        Ok(text) => Output { text, status: 0 },
        Err(Failure { text, status }) => {
            let newline = if text.ends_with('\n') { "" } else { "\n" };
            Output { text: format!("{text}{newline}"), status }
        }
    }
}

/// Rewrites the old spelling into the new one: the first word that is one of `commands` gets its dashes, and so do the
/// names of long options. Values are left alone, whatever underscores they have.
pub fn modern_spelling(args: &[String], commands: &[&str]) -> Vec<String> {
    let mut command_seen = false;
    let mut rest_is_values = false;
    args.iter()
        .map(|word| {
            rest_is_values |= word == "--";
            if rest_is_values {
                return word.clone();
            }
            let dashed = word.replace('_', "-");
            if word.starts_with("--") {
                return match word.split_once('=') {
                    Some((name, value)) => format!("{}={value}", name.replace('_', "-")),
                    None => dashed,
                };
            }
            if !command_seen && commands.contains(&dashed.as_str()) {
                command_seen = true;
                return dashed;
            }
            word.clone()
        })
        .collect()
}

/// Reads a number as the tools do: `0x…` hexadecimal, `0b…`, `0o…`, else decimal; `_` between digits is allowed.
pub fn number(text: &str) -> Result<u64, String> {
    let t = text.trim().replace('_', "");
    let (digits, radix) = match t.get(..2).map(str::to_ascii_lowercase).as_deref() {
        Some("0x") => (&t[2..], 16),
        Some("0b") => (&t[2..], 2),
        Some("0o") => (&t[2..], 8),
        _ => (t.as_str(), 10),
    };
    u64::from_str_radix(digits, radix).map_err(|_| format!("'{text}' is not a number: write 0x1000 or 4096"))
}

/// Reads a size in bytes: a [`number`], optionally followed by `K`, `KB`, `M` or `MB` (1024 and 1048576).
pub fn size(text: &str) -> Result<u64, String> {
    let upper = text.trim().to_ascii_uppercase();
    let hex = upper.starts_with("0X");
    let bare = upper.strip_suffix('B').filter(|_| !hex).unwrap_or(&upper);
    let (digits, unit) = match bare.strip_suffix('K') {
        Some(d) => (d, 1024),
        None => bare.strip_suffix('M').map_or((bare, 1), |d| (d, 1024 * 1024)),
    };
    number(&digits.to_ascii_lowercase())
        .ok()
        .and_then(|n| n.checked_mul(unit))
        .ok_or_else(|| format!("'{text}' is not a size: write 0x10000, 200K or 4MB"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_command_and_the_names_of_options_are_respelled() {
        let words =
            ["--flash_mode=my_mode", "-k", "flash_key", "write_flash", "erase_flash", "--", "--a_b"].map(String::from);
        let want = ["--flash-mode=my_mode", "-k", "flash_key", "write-flash", "erase_flash", "--", "--a_b"];
        assert_eq!(modern_spelling(&words, &["write-flash", "erase-flash"]), want);
    }

    #[test]
    fn sizes_are_read_as_people_write_them() {
        assert_eq!(size("0x1000"), Ok(4096));
        assert_eq!(size("200K"), Ok(200 * 1024));
        assert_eq!(size("4MB"), Ok(4 * 1024 * 1024));
        assert!(size("4 bananas").is_err());
    }
}
