//! The command line.

use crate::tools::{modern_spelling, number, size};
use clap::{Args, Parser, Subcommand};

/// Top-level options and the command.
#[derive(Parser, Debug)]
#[command(name = "esptool", about = "Writes, reads and inspects flash", arg_required_else_help = true)]
#[command(disable_version_flag = true)]
pub struct Cli {
    /// Target chip: esp32, esp32s2, …; some commands can do without.
    #[arg(long, short, default_value = "auto")]
    pub chip: String,
    /// Serial port (no meaning here).
    #[arg(long, short)]
    port: Option<String>,
    /// Serial speed (no meaning here).
    #[arg(long, short)]
    baud: Option<String>,
    /// Reset before connecting (no meaning here).
    #[arg(long)]
    before: Option<String>,
    /// Reset afterwards (no meaning here).
    #[arg(long, short)]
    after: Option<String>,
    /// Do not use the flasher stub: all sectors of a file are erased first, not each before it is programmed.
    #[arg(long)]
    pub no_stub: bool,
    /// Number of attempts to connect (no meaning here).
    #[arg(long, allow_hyphen_values = true)]
    connect_attempts: Option<String>,
    /// File that stands for the flash chip.
    #[arg(long, global = true, value_name = "FILE")]
    pub flash: Option<String>,
    /// eFuse file of the chip that --flash stands for: what --encrypt takes the key from.
    #[arg(long, global = true, value_name = "FILE", requires = "flash")]
    pub efuses: Option<String>,
    /// Size of the erased chip to start with when that file does not exist: 4MB.
    #[arg(long, global = true, value_name = "SIZE", value_parser = size)]
    pub flash_chip_size: Option<u64>,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Write files to flash.
    WriteFlash(WriteFlash),
    /// Read flash to a file.
    ReadFlash(ReadFlash),
    /// Erase the whole flash.
    EraseFlash(EraseFlash),
    /// Erase a region of the flash.
    EraseRegion(EraseRegion),
    /// Merge files into one flashable file.
    MergeBin(MergeBin),
    /// Print what is in a firmware image.
    ImageInfo(ImageInfo),
    /// Print the flash chip's identification.
    FlashId,
    /// Print the security eFuses that the ROM reports.
    GetSecurityInfo,
    /// Print the version of the tool whose output is followed.
    Version,
}

/// Flash parameters for the header of the bootloader image.
#[derive(Args, Debug, Clone)]
pub struct Params {
    /// SPI mode: keep, qio, qout, dio, dout (-fm).
    #[arg(long, default_value = "keep", ignore_case = true, value_parser = ["keep", "qio", "qout", "dio", "dout"])]
    pub flash_mode: String,
    /// SPI clock: keep, 80m, 40m, … (-ff).
    #[arg(long, default_value = "keep", ignore_case = true)]
    pub flash_freq: String,
    /// Flash size: keep, detect, 1MB … 128MB (-fs).
    #[arg(long, default_value = "keep", ignore_case = true)]
    pub flash_size: String,
}

/// `write-flash`.
#[derive(Args, Debug)]
pub struct WriteFlash {
    #[command(flatten)]
    pub params: Params,
    /// Pins of the flash (no meaning here).
    #[arg(long)]
    spi_connection: Option<String>,
    /// Erase the whole flash first.
    #[arg(long, short)]
    pub erase_all: bool,
    /// No progress output (there is none).
    #[arg(long, short = 'p')]
    no_progress: bool,
    /// Encrypt the files as the chip does when writing.
    #[arg(long)]
    pub encrypt: bool,
    /// Files to encrypt, beside others that are written as they are.
    #[arg(long, num_args = 1.., value_name = "ADDR FILE")]
    pub encrypt_files: Vec<String>,
    /// Do not look at the flash encryption eFuses.
    #[arg(long)]
    pub ignore_flash_enc_efuse: bool,
    /// Compress the transfer (no meaning here).
    #[arg(long, short = 'z', conflicts_with = "no_compress")]
    compress: bool,
    /// Do not compress the transfer (no meaning here).
    #[arg(long, short = 'u')]
    no_compress: bool,
    /// Verify what was written (always done).
    #[arg(long)]
    verify: bool,
    /// Skip compatibility checks.
    #[arg(long)]
    pub force: bool,
    /// Address and file, once or more.
    #[arg(required = true, value_name = "ADDR FILE")]
    pub addr_file: Vec<String>,
}

/// `read-flash`.
#[derive(Args, Debug)]
pub struct ReadFlash {
    /// First address.
    #[arg(value_parser = number)]
    pub address: u64,
    /// Number of bytes, or ALL for the rest of the flash.
    pub size: String,
    /// File to write.
    pub file: String,
    /// No meaning here: the size is that of the chip.
    #[arg(long)]
    flash_size: Option<String>,
    /// No progress output (there is none).
    #[arg(long, short = 'p')]
    no_progress: bool,
    /// Pins of the flash (no meaning here).
    #[arg(long)]
    spi_connection: Option<String>,
}

/// `erase-flash`.
#[derive(Args, Debug)]
pub struct EraseFlash {
    /// Skip security checks.
    #[arg(long)]
    pub force: bool,
    /// Pins of the flash (no meaning here).
    #[arg(long)]
    spi_connection: Option<String>,
}

/// `erase-region`.
#[derive(Args, Debug)]
pub struct EraseRegion {
    /// First address, a multiple of 4096.
    #[arg(value_parser = number)]
    pub address: u64,
    /// Number of bytes, a multiple of 4096, or ALL for the rest of the flash.
    pub size: String,
    /// Skip security checks.
    #[arg(long)]
    pub force: bool,
    /// Pins of the flash (no meaning here).
    #[arg(long)]
    spi_connection: Option<String>,
}

/// `merge-bin`.
#[derive(Args, Debug)]
pub struct MergeBin {
    /// File to write.
    #[arg(long, short)]
    pub output: String,
    /// Format of that file; only raw is modelled.
    #[arg(long, short, default_value = "raw", ignore_case = true)]
    pub format: String,
    /// Flash address of the first byte of the file.
    #[arg(long, short, default_value = "0", value_parser = number)]
    pub target_offset: u64,
    /// Fill up with 0xFF to this flash size: 4MB. (The old name was --fill-flash-size.)
    #[arg(long, alias = "fill-flash-size")]
    pub pad_to_size: Option<String>,
    #[command(flatten)]
    pub params: Params,
    /// Address and file, once or more.
    #[arg(required = true, value_name = "ADDR FILE")]
    pub addr_file: Vec<String>,
}

/// `image-info`.
#[derive(Args, Debug)]
pub struct ImageInfo {
    /// The image.
    pub file: String,
    /// Detail of the output in old versions; the full output is always given.
    #[arg(long, short)]
    version: Option<String>,
}

/// The commands, to find the one among the words that come before it.
const COMMANDS: [&str; 9] = [
    "write-flash",
    "read-flash",
    "erase-flash",
    "erase-region",
    "merge-bin",
    "image-info",
    "flash-id",
    "get-security-info",
    "version",
];

/// Rewrites the old spelling into the new one, and the tool's short options of two letters into their long form, which the
/// parser understands. Values are left alone, also those before the command (`--before default_reset`).
pub fn expand(words: &[String]) -> Vec<String> {
    let mut words = modern_spelling(words, &COMMANDS);
    for word in words.iter_mut().take_while(|word| *word != "--") {
        let long = match word.as_str() {
            "-fm" => "--flash-mode",
            "-ff" => "--flash-freq",
            "-fs" => "--flash-size",
            "-sc" => "--spi-connection",
            _ => continue,
        };
        *word = long.into();
    }
    words
}
