//! The `dryburn` command line: one file per command.
//!
//! Exit status: 0 all as expected, 1 a board does not start an app (or a scenario failed), 2 bad usage or input.

mod bench;
mod boot;
mod chips;
mod envelope;
mod image;
mod otadata;

use crate::{
    scenario::Maker,
    tools::{self, Failure, Output, Workbench},
    uart,
};
use boot::Report;
use clap::{Parser, Subcommand};
use std::io::Write;

/// Rehearse an ESP32 product's secure updates before a fuse is burned.
#[derive(Parser)]
#[command(name = "dryburn", version, arg_required_else_help = true, after_help = EXIT_STATUS)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXIT_STATUS: &str = "\
Exit status: 0 all as expected, 1 the board starts no app or a scenario failed, 2 bad usage or input.";

#[derive(Subcommand)]
enum Command {
    /// Run scenario documents (Markdown files, or folders of them)
    Run(crate::scenario::cli::RunArgs),
    /// Boot a flash image with an eFuse file and print what the chip would print
    Boot(boot::Args),
    /// Make, show and damage app and bootloader images
    Image(image::Args),
    /// Make and show otadata: which OTA slot the last update chose
    Otadata(otadata::Args),
    /// Seal, open and inspect pre-encrypted images
    Envelope(envelope::Args),
    /// Measure flash encryption on this machine, beside plain loops over published crates
    Bench(bench::Args),
    /// List the chips that dryburn knows
    Chips,
    /// Run an esptool command; the chip is a flash image file: --flash FILE
    #[command(alias = "esptool.py", disable_help_flag = true)]
    Esptool(ToolArgs),
    /// Run an espsecure command
    #[command(alias = "espsecure.py", disable_help_flag = true)]
    Espsecure(ToolArgs),
    /// Run an espefuse command on an eFuse file: --virt --path-efuse-file FILE
    #[command(alias = "espefuse.py", disable_help_flag = true)]
    Espefuse(ToolArgs),
    /// Convert partition tables as ESP-IDF's gen_esp32part.py does
    #[command(name = "gen_esp32part", aliases = ["gen-esp32part", "gen_esp32part.py"], disable_help_flag = true)]
    GenEsp32part(ToolArgs),
    /// Make and open pre-encrypted images as Espressif's esp_enc_img_gen.py does
    #[command(name = "enc-img", aliases = ["enc_img", "esp_enc_img_gen", "esp_enc_img_gen.py"], disable_help_flag = true)]
    EncImg(ToolArgs),
    /// Make keys and certificates as `openssl ecparam -genkey` and `openssl req -x509` do
    #[command(disable_help_flag = true)]
    Openssl(ToolArgs),
}

/// Words that are handed to a tool as they are.
#[derive(clap::Args)]
struct ToolArgs {
    /// The tool's own arguments
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<String>,
}

/// Runs the command line of this process, scenarios on boards of `maker`; gives its exit status.
pub fn main(maker: &dyn Maker) -> u8 {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { 2 } else { 0 };
        }
    };
    match cli.command {
        Command::Run(args) => crate::scenario::cli::main(args, maker),
        Command::Boot(args) => shell(|bench| {
            let report = boot::run(bench, &args)?;
            let _ = std::io::stdout().write_all(&uart::to_bytes(&report.text));
            if let Some(remark) = report.remark {
                eprintln!("--- dryburn: {remark}");
            }
            Ok(if report.runs_an_app { 0 } else { 1 })
        }),
        Command::Image(args) => shell(|bench| printed(image::run(bench, &args)?)),
        Command::Otadata(args) => shell(|bench| printed(otadata::run(bench, &args)?)),
        Command::Envelope(args) => shell(|bench| printed(envelope::run(bench, &args)?)),
        Command::Bench(args) => shell(|_| printed(bench::run(&args)?)),
        Command::Chips => shell(|_| printed(chips::table())),
        Command::Esptool(args) => tool("esptool", args),
        Command::Espsecure(args) => tool("espsecure", args),
        Command::Espefuse(args) => tool("espefuse", args),
        Command::GenEsp32part(args) => tool("gen_esp32part", args),
        Command::EncImg(args) => tool("enc-img", args),
        Command::Openssl(args) => tool("openssl", args),
    }
}

/// The `dryburn` commands that make sense inside a scenario, run on its desk.
pub fn on_desk(bench: &mut Workbench, words: &[String]) -> Result<Output, Failure> {
    let argv = std::iter::once("dryburn").chain(words.iter().map(String::as_str));
    let cli = Cli::try_parse_from(argv).map_err(|e| Failure::new(e.render().to_string()))?;
    let text = match cli.command {
        Command::Boot(args) => {
            let Report { mut text, remark, runs_an_app } = boot::run(bench, &args)?;
            text.extend(remark.map(|remark| format!("--- dryburn: {remark}\n")));
            return Ok(Output { text, status: if runs_an_app { 0 } else { 1 } });
        }
        Command::Image(args) => image::run(bench, &args)?,
        Command::Otadata(args) => otadata::run(bench, &args)?,
        Command::Envelope(args) => envelope::run(bench, &args)?,
        Command::Chips => chips::table(),
        Command::Bench(_) => {
            return Err(Failure::new("dryburn bench: measures this machine, so no document can expect its figures"));
        }
        Command::Run(_) => return Err(Failure::new("dryburn run: a scenario does not run scenarios")),
        Command::Esptool(args) => return Ok(tools::run(bench, &argv_of("esptool", args))),
        Command::Espsecure(args) => return Ok(tools::run(bench, &argv_of("espsecure", args))),
        Command::Espefuse(args) => return Ok(tools::run(bench, &argv_of("espefuse", args))),
        Command::GenEsp32part(args) => return Ok(tools::run(bench, &argv_of("gen_esp32part", args))),
        Command::EncImg(args) => return Ok(tools::run(bench, &argv_of("enc-img", args))),
        Command::Openssl(args) => return Ok(tools::run(bench, &argv_of("openssl", args))),
    };
    Ok(Output { text, status: 0 })
}

fn argv_of(tool: &str, args: ToolArgs) -> Vec<String> {
    std::iter::once(tool.to_owned()).chain(args.words).collect()
}

fn tool(name: &str, args: ToolArgs) -> u8 {
    shell(|bench| {
        let output = tools::run(bench, &argv_of(name, args));
        if output.status == 0 {
            print(&output.text);
        } else {
            eprint!("{}", output.text);
        }
        Ok(output.status)
    })
}

/// Runs a command on the desk of a shell user; gives the exit status.
fn shell(command: impl FnOnce(&mut Workbench) -> Result<u8, Failure>) -> u8 {
    let desk =
        Workbench::shell().map_err(|e| Failure::new(format!("no random numbers from the operating system: {e}")));
    desk.and_then(|mut bench| command(&mut bench)).unwrap_or_else(|Failure { text, status }| {
        eprintln!("error: {}", text.trim_end());
        status
    })
}

fn printed(text: String) -> Result<u8, Failure> {
    print(&text);
    Ok(0)
}

/// Prints to stdout; a reader that has gone away is not an error of ours.
fn print(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}
