//! `dryburn boot`: a flash image and an eFuse file in, the UART log out.

use crate::{
    device::{Device, PowerCycle, Watch},
    efuse::{Efuses, Format},
    flash::Flash,
    rom::Rom,
    tools::{Failure, Workbench, number},
    uart,
};
use dryburn::{
    Chip, IdfVersion, Revision,
    efuse::{KeyPurpose, security},
};
use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};

/// How the board is given, and what is wanted of it.
#[derive(clap::Args)]
pub struct Args {
    /// Chip, like esp32 or esp32c3; see `dryburn chips`
    #[arg(long)]
    chip: Chip,
    /// Flash image: everything from address 0
    #[arg(long, value_name = "FILE")]
    flash: String,
    /// eFuse file: raw registers, espefuse --virt file, dump, summary --format json, QEMU's file; virgin eFuses when left out
    #[arg(long, value_name = "FILE")]
    efuses: Option<String>,
    /// Silicon revision of the virgin eFuses
    #[arg(long, conflicts_with = "efuses", value_name = "vX.Y")]
    revision: Option<Revision>,
    /// Strapping register, like 0x12
    #[arg(long, value_parser = strap)]
    strap: Option<u32>,
    /// ESP-IDF version that built the bootloader, where the image does not say so
    #[arg(long, value_name = "X.Y")]
    idf: Option<IdfVersion>,
    /// How the bootloader was built: an sdkconfig option without CONFIG_, like SECURE_BOOT_V2_ENABLED=y
    #[arg(long, value_name = "KEY=VALUE")]
    config: Vec<String>,
    /// How the bootloader was built: an sdkconfig file
    #[arg(long, value_name = "FILE")]
    sdkconfig: Option<String>,
    /// Watch this many boots in a row; without it, until a reset loop is recognised
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    resets: Option<u32>,
    /// Write the flash afterwards to this file
    #[arg(long, value_name = "FILE")]
    flash_out: Option<String>,
    /// Write the eFuses afterwards to this file, as raw registers
    #[arg(long, value_name = "FILE")]
    efuses_out: Option<String>,
    /// Seed of the chip's own random numbers
    #[arg(long, default_value_t = 0, value_name = "N")]
    seed: u64,
    /// Print typed events as JSON instead of the UART log
    #[arg(long)]
    json: bool,
}

fn strap(text: &str) -> Result<u32, String> {
    number(text).and_then(|n| n.try_into().map_err(|_| format!("{text} does not fit 32 bits")))
}

/// What the command has to say.
pub struct Report {
    /// The UART log or the JSON.
    pub text: String,
    /// A remark of our own, for stderr.
    pub remark: Option<String>,
    /// Whether an app runs now.
    pub runs_an_app: bool,
}

/// Runs the command.
///
/// # Errors
/// Files that cannot be read or are not what they should be; nothing is written then.
pub fn run(bench: &Workbench, args: &Args) -> Result<Report, Failure> {
    let mut device = board(args, bench)?;
    for file in [&args.flash_out, &args.efuses_out].into_iter().flatten() {
        check_output(bench, file)?;
    }
    let before = device.flash.clone();
    let rom = Rom::of(args.chip, security::chip_revision(&device.efuses));
    let cycle = device.power_on(args.resets.map_or(Watch::UntilSettled, Watch::Boots));
    if let Some(out) = &args.flash_out {
        bench.write(out, &device.flash.to_bytes())?;
    }
    if let Some(out) = &args.efuses_out {
        bench.write(out, &device.efuses.to_bytes(Format::Raw))?;
    }
    let runs_an_app = cycle.runs_an_app();
    if args.json {
        let report = json(args.chip, &cycle, &before.changed_sectors(&device.flash))?;
        return Ok(Report { text: format!("{report:#}\n"), remark: None, runs_an_app });
    }
    let (text, mut remark) = uart::render_cycle(&cycle, rom);
    if let (false, Some(name)) = (runs_an_app, hollow_key(&device.efuses)) {
        let hint = format!(
            "{name} is read-protected and holds zeros here: dumps and --virt files cannot hold such a key; leave the protection out \
             (--no-protect-key, --no-read-protect) to boot with it"
        );
        remark = Some(remark.map_or_else(|| hint.clone(), |remark| format!("{remark}\n--- dryburn: {hint}")));
    }
    Ok(Report { text, remark, runs_an_app })
}

fn board(args: &Args, bench: &Workbench) -> Result<Device, Failure> {
    let flash =
        Flash::from_bytes(&bench.read(&args.flash)?).map_err(|e| Failure::new(format!("{}: {e}", args.flash)))?;
    let efuses = match (&args.efuses, args.revision) {
        (Some(file), _) => efuses(bench, file, args.chip)?,
        (None, Some(revision)) => Efuses::with_revision(args.chip, revision)?,
        (None, None) => Efuses::new(args.chip),
    };
    let mut device = Device::new(flash, efuses);
    device.strap = args.strap.unwrap_or(device.strap);
    device.idf = args.idf;
    device.rng = ChaCha20Rng::seed_from_u64(args.seed);
    if let Some(file) = &args.sdkconfig {
        let text = bench.read_text(file)?;
        device.config.read_sdkconfig(&text).map_err(|e| Failure::new(format!("{file}: {e}")))?;
    }
    for option in &args.config {
        device.config.set(option).map_err(|e| Failure::new(format!("--config: {e}")))?;
    }
    let revision = security::chip_revision(&device.efuses);
    device.config.check(args.chip, revision).map_err(|e| Failure::new(e.to_string()))?;
    bench.load_verification_key(&mut device.config)?;
    Ok(device)
}

/// The eFuses in `file`. espefuse takes an empty file for virgin eFuses; here it is more likely a dump that failed.
fn efuses(bench: &Workbench, file: &str, chip: Chip) -> Result<Efuses, Failure> {
    let bytes = bench.read_small(file)?;
    if bytes.is_empty() {
        return Err(Failure::new(format!("{file}: the file is empty; leave --efuses out to boot with virgin eFuses")));
    }
    Efuses::parse(&bytes, Some(chip)).map_err(|e| Failure::new(format!("{file}: {e}")))
}

/// A key that this chip uses and that nobody may read, where the file has zeros for it.
fn hollow_key(efuses: &Efuses) -> Option<String> {
    let encrypts = security::crypt_count(efuses).enabled();
    let xts = [KeyPurpose::XtsAes128Key, KeyPurpose::XtsAes256Key1, KeyPurpose::XtsAes256Key2];
    let used: Vec<(String, usize)> = match efuses.chip() {
        Chip::Esp32 => [("BLOCK1", 1, encrypts), ("BLOCK2", 2, security::secure_boot_v1_enabled(efuses))]
            .into_iter()
            .filter(|(.., used)| *used)
            .map(|(name, number, _)| (name.to_owned(), number))
            .collect(),
        _ if !encrypts => Vec::new(),
        chip @ Chip::Esp32c2 => vec![("BLOCK_KEY0".to_owned(), security::key_block_number(chip, 0))],
        chip => xts
            .into_iter()
            .filter_map(|purpose| security::key_block_with(efuses, purpose))
            .map(|n| (format!("BLOCK_KEY{n}"), security::key_block_number(chip, n)))
            .collect(),
    };
    let hollow = |name: &str, number| {
        security::read_protected(efuses, name) && efuses.raw_block(number).iter().all(|byte| *byte == 0)
    };
    used.into_iter().find(|(name, number)| hollow(name, *number)).map(|(name, _)| name)
}

/// Looks before anything is written whether `file` can be, so that a boot does not leave one of two files behind.
fn check_output(bench: &Workbench, file: &str) -> Result<(), Failure> {
    let path = bench.path(file)?;
    if path.is_dir() {
        return Err(Failure::new(format!("{file}: cannot be written: is a folder")));
    }
    match path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        Some(folder) if !folder.is_dir() => Err(Failure::new(format!("{file}: cannot be written: no such folder"))),
        _ => Ok(()),
    }
}

fn json(chip: Chip, cycle: &PowerCycle, changed: &[u32]) -> Result<serde_json::Value, serde_json::Error> {
    Ok(serde_json::json!({
        "schema_version": 1,
        "chip": chip,
        "boots": serde_json::to_value(&cycle.boots)?,
        "reset_loop": cycle.reset_loop,
        "outcome": cycle.outcome(),
        "flash_sectors_changed": changed,
    }))
}
