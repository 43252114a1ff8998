//! The board of a scenario: a [`Device`] on a [`Workbench`], and the commands that a document may use.
//!
//! A new board is as it leaves `idf.py flash` without an app: bootloader and partition table lie in flash, in plaintext.
//! Both also lie in the scenario's folder as `bootloader.bin` and `partition-table.bin`, so that commands can encrypt and
//! flash them.

mod power_cut;
mod provision;

use crate::{
    app::{
        AppBuild,
        script::{self, Script},
        update,
    },
    cli,
    config::Config,
    device::{Device, PowerCycle, Watch},
    efuse::Efuses,
    flash::Flash,
    rom::Rom,
    scenario::{Board, Bootloader, DeviceSpec, Maker, Scalar},
    tools::{self, Failure, Output, Workbench, number},
    uart,
};
use dryburn::{Chip, IdfVersion, Revision, efuse::security, image, partition};
use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};
use std::path::Path;

/// Makes boards for scenarios.
pub struct BoardMaker;

struct Desk {
    bench: Workbench,
    /// The power cycle since which the board runs; `None` once a tool has had it in download mode.
    cycle: Option<PowerCycle>,
}

impl Maker for BoardMaker {
    fn make(&self, spec: &DeviceSpec, dir: &Path) -> Result<Box<dyn Board>, String> {
        let mut bench = Workbench::confined(dir, spec.seed);
        let device = build(spec, &bench).map_err(|failure| failure.text)?;
        bench.device = Some(device);
        Ok(Box::new(Desk { bench, cycle: None }))
    }
}

impl Board for Desk {
    fn run(&mut self, argv: &[String]) -> Output {
        let result = match argv.split_first() {
            Some((name, words)) if name == "device" => self.device(words),
            Some((name, words)) if name == "dryburn" => cli::on_desk(&mut self.bench, words),
            Some((tool, _)) => {
                // these two talk to the board in download mode
                if tool.starts_with("esptool") || tool.starts_with("espefuse") {
                    self.cycle = None;
                }
                return tools::run(&mut self.bench, argv);
            }
            None => return tools::run(&mut self.bench, argv),
        };
        result.unwrap_or_else(|Failure { text, status }| Output { text: format!("{}\n", text.trim_end()), status })
    }

    fn fork(&self, dir: &Path) -> Box<dyn Board> {
        Box::new(Desk { bench: self.bench.in_folder(dir), cycle: self.cycle.clone() })
    }
}

impl Desk {
    fn device(&mut self, words: &[String]) -> Result<Output, Failure> {
        let mut config = self.bench.device.as_ref().ok_or_else(no_board)?.config.clone();
        self.bench.load_verification_key(&mut config)?;
        let device = self.bench.device.as_mut().ok_or_else(no_board)?;
        device.config = config;
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match words.as_slice() {
            ["provision", words @ ..] => return provision::provision(&mut self.bench, words),
            ["flash", words @ ..] => return provision::flash(&mut self.bench, words),
            ["encrypt", words @ ..] => return provision::encrypt(&mut self.bench, words),
            ["app", words @ ..] => return self.app(words),
            ["ota", words @ ..] => return self.ota(words),
            ["power-cut", words @ ..] => return self.power_cut(words),
            _ => {}
        }
        let device = self.bench.device.as_mut().ok_or_else(no_board)?;
        let (power_on, watch) = match words.as_slice() {
            ["power-on"] => (true, Watch::UntilSettled),
            ["reset"] => (false, Watch::UntilSettled),
            [verb @ ("power-on" | "reset"), "--resets", n] => (*verb == "power-on", resets(n)?),
            _ => {
                return Err(Failure::new(
                    "device: the board can `power-on` and `reset`, both with `--resets N`, `power-cut`, `provision`, `flash` and \
                     `encrypt`; its app can run an `app SCRIPT` and install an update with `ota FILE|URL`",
                ));
            }
        };
        let rom = Rom::of(device.chip(), security::chip_revision(&device.efuses));
        let cycle = if power_on { device.power_on(watch) } else { device.reset(watch) };
        let output = printed(&cycle, rom);
        self.cycle = Some(cycle);
        Ok(output)
    }

    /// Runs a script on the app that runs.
    fn app(&mut self, words: &[&str]) -> Result<Output, Failure> {
        let AppWords { build, image, script } = app_words(words, &self.bench)?;
        let (cycle, text) = match self.running()? {
            Ok(running) => running,
            Err(no_app) => return Ok(no_app),
        };
        let device = self.bench.device.as_mut().ok_or_else(no_board)?;
        let ran = script::run(device, cycle, &build, &script, image.as_deref())?;
        let status = if ran.cycle.runs_an_app() { 0 } else { 1 };
        self.cycle = Some(ran.cycle);
        Ok(Output { text: text + &echo(&ran.text), status })
    }

    /// The app that runs fetches an update.
    fn ota(&mut self, words: &[&str]) -> Result<Output, Failure> {
        let (cycle, text) = match self.running()? {
            Ok(running) => running,
            Err(no_app) => return Ok(no_app),
        };
        let output = update::run(&mut self.bench, &cycle, words)?;
        self.cycle = Some(cycle);
        Ok(Output { text: text + &output.text, status: output.status })
    }

    /// The power cycle since which an app runs. Where none does since the last flashing, the board is powered on first: its
    /// log comes along, or is all there is when that starts no app.
    fn running(&mut self) -> Result<Result<(PowerCycle, String), Output>, Failure> {
        if let Some(cycle) = self.cycle.take().filter(PowerCycle::runs_an_app) {
            return Ok(Ok((cycle, String::new())));
        }
        let device = self.bench.device.as_mut().ok_or_else(no_board)?;
        let rom = Rom::of(device.chip(), security::chip_revision(&device.efuses));
        let cycle = device.power_on(Watch::UntilSettled);
        let output = printed(&cycle, rom);
        Ok(if output.status == 0 { Ok((cycle, output.text)) } else { Err(output) })
    }
}

fn no_board() -> Failure {
    Failure::new("no board on the desk")
}

/// A script's lines as `app$ …`: in a document, a line that starts with `$ ` is a command of its own.
fn echo(transcript: &str) -> String {
    let line = |line: &str| line.strip_prefix("$ ").map_or(line.to_owned(), |call| format!("app$ {call}"));
    transcript.lines().map(|text| line(text) + "\n").collect()
}

struct AppWords {
    build: AppBuild,
    image: Option<Vec<u8>>,
    script: Script,
}

/// Reads the words behind `device app`: options, then a script file or the lines of a script.
fn app_words(words: &[&str], bench: &Workbench) -> Result<AppWords, Failure> {
    let mut build = AppBuild::default();
    let mut image = None;
    let mut rest = words;
    loop {
        rest = match rest {
            ["--config", option, rest @ ..] => {
                build.config.set(option).map_err(|e| Failure::new(format!("--config: {e}")))?;
                rest
            }
            ["--image", file, rest @ ..] => {
                image = Some(bench.read(file)?);
                rest
            }
            ["--no-write-protect-call", rest @ ..] => {
                build.no_write_protect_call = true;
                rest
            }
            [option, ..] if option.starts_with("--") && *option != "---" => {
                return Err(Failure::new(format!(
                    "device app: {option}: the options are --config KEY=VALUE, --image FILE and --no-write-protect-call"
                )));
            }
            _ => break,
        };
    }
    let (name, text) = match rest {
        [] => return Err(Failure::new("device app: say which script, or give its lines")),
        [file] if bench.exists(file) => (*file, bench.read_text(file)?),
        lines => ("device app", lines.join("\n")),
    };
    let script = Script::parse(&text).map_err(|e| Failure::new(format!("{name}: {e}")))?;
    Ok(AppWords { build, image, script })
}

fn resets(text: &str) -> Result<Watch, Failure> {
    match number(text) {
        Ok(n @ 1..=1000) => Ok(Watch::Boots(n as u32)),
        _ => Err(Failure::new(format!("--resets {text}: choose 1 to 1000 boots"))),
    }
}

fn printed(cycle: &PowerCycle, rom: &'static Rom) -> Output {
    let (mut text, remark) = uart::render_cycle(cycle, rom);
    text.extend(remark.map(|remark| format!("--- dryburn: {remark}\n")));
    Output { text, status: if cycle.runs_an_app() { 0 } else { 1 } }
}

fn build(spec: &DeviceSpec, bench: &Workbench) -> Result<Device, Failure> {
    let revision = spec.revision.unwrap_or(usual_revision(spec.chip));
    let efuses = Efuses::with_revision(spec.chip, revision)?;
    let mut device = Device::new(Flash::new(spec.flash_size)?, efuses);
    device.config = config(spec)?;
    device.config.check(spec.chip, revision).map_err(|e| Failure::new(e.to_string()))?;
    device.rng = ChaCha20Rng::seed_from_u64(spec.seed);
    device.idf = match &spec.idf {
        Some(text) => Some(text.parse().map_err(|e| Failure::new(format!("idf = \"{text}\": {e}")))?),
        None => None,
    };
    if let Some(text) = &spec.strap {
        let strap = number(text).ok().and_then(|n| u32::try_from(n).ok());
        device.strap =
            strap.ok_or_else(|| Failure::new(format!("strap = \"{text}\": write a number like \"0x12\"")))?;
    }
    let idf = device.idf.unwrap_or(IdfVersion::LATEST);
    let bootloader = match &spec.bootloader {
        Bootloader::Default => Some(made_bootloader(spec, idf)),
        Bootloader::None => None,
        Bootloader::File(name) => Some(bench.read(name)?),
    };
    if let Some(bytes) = bootloader {
        bench.write("bootloader.bin", &bytes)?;
        device.flash.program(spec.chip.spec().bootloader_offset, &bytes)?;
    }
    if let Some(csv) = &spec.partitions {
        let table = table(csv, &device.config)?;
        bench.write("partition-table.bin", &table)?;
        device.flash.program(device.config.partition_table_offset(), &table)?;
    }
    Ok(device)
}

/// A revision that is on sale, so that nothing a scenario does not speak of gets in its way.
fn usual_revision(chip: Chip) -> Revision {
    match chip {
        Chip::Esp32 => Revision::new(3, 0),
        Chip::Esp32c3 => Revision::new(0, 3),
        Chip::Esp32c5 => Revision::new(1, 0),
        _ => Revision::new(0, 0),
    }
}

fn config(spec: &DeviceSpec) -> Result<Config, Failure> {
    let mut config = Config::default();
    if let Some(offset) = spec.partition_table_offset {
        config.set(&format!("PARTITION_TABLE_OFFSET={offset:#x}"))?;
    }
    for (key, value) in &spec.config {
        let value = match value {
            Scalar::Text(text) => text.clone(),
            Scalar::Int(n) => n.to_string(),
            Scalar::Bool(yes) => if *yes { "y" } else { "n" }.into(),
        };
        config.set(&format!("{key}={value}"))?;
    }
    Ok(config)
}

/// The model's bootloader; its header tells the size of the flash chip, as the build system does.
fn made_bootloader(spec: &DeviceSpec, idf: IdfVersion) -> Vec<u8> {
    let code = (spec.flash_size >> 20).checked_ilog2().unwrap_or(0);
    image::Builder::bootloader(spec.chip, idf).flash_size(code as u8).seed(spec.seed).build()
}

fn table(csv: &str, config: &Config) -> Result<Vec<u8>, Failure> {
    let options =
        partition::csv::Options { table_offset: config.partition_table_offset(), ..partition::csv::Options::default() };
    let located = |e: partition::csv::Diagnostic| Failure::new(format!("partitions: {e}"));
    let partitions = partition::csv::parse(csv, &options).map_err(located)?;
    partition::csv::verify(&partitions, &options, &mut Vec::new()).map_err(located)?;
    let entries: Vec<_> = partitions.iter().map(|p| p.entry()).collect();
    Ok(partition::build(&entries, true)?)
}
