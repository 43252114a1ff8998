//! The `dryburn` command line: one file per command.
//!
//! Exit status: 0 all as expected, 1 a board does not start an app (or a scenario failed), 2 bad usage or input.

mod boot;
mod chips;

use crate::tools::{self, Failure, Workbench};
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
    /// Boot a flash image with an eFuse file and print what the chip would print
    Boot(boot::Args),
    /// List the chips that dryburn knows
    Chips,
    /// Run an esptool command; the chip is a flash image file: --flash FILE
    #[command(disable_help_flag = true)]
    Esptool(ToolArgs),
    /// Run an espsecure command
    #[command(disable_help_flag = true)]
    Espsecure(ToolArgs),
    /// Run an espefuse command on an eFuse file: --virt --path-efuse-file FILE
    #[command(disable_help_flag = true)]
    Espefuse(ToolArgs),
    /// Convert partition tables as ESP-IDF's gen_esp32part.py does
    #[command(name = "gen_esp32part", alias = "gen-esp32part", disable_help_flag = true)]
    GenEsp32part(ToolArgs),
}

/// Words that are handed to a tool as they are.
#[derive(clap::Args)]
struct ToolArgs {
    /// The tool's own arguments
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<String>,
}

/// Runs the command line of this process; gives its exit status.
pub fn main() -> u8 {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { 2 } else { 0 };
        }
    };
    match cli.command {
        Command::Boot(args) => finish(boot::main(&args)),
        Command::Chips => {
            print(&chips::table());
            0
        }
        Command::Esptool(args) => tool("esptool", args),
        Command::Espsecure(args) => tool("espsecure", args),
        Command::Espefuse(args) => tool("espefuse", args),
        Command::GenEsp32part(args) => tool("gen_esp32part", args),
    }
}

fn tool(name: &str, args: ToolArgs) -> u8 {
    let argv: Vec<String> = std::iter::once(name.to_owned()).chain(args.words).collect();
    match Workbench::shell() {
        Ok(mut bench) => {
            let output = tools::run(&mut bench, &argv);
            if output.status == 0 { print(&output.text) } else { eprint!("{}", output.text) }
            output.status
        }
        Err(error) => finish(Err(Failure::new(format!("no random numbers from the operating system: {error}")))),
    }
}

fn finish(result: Result<u8, Failure>) -> u8 {
    result.unwrap_or_else(|Failure { text, status }| {
        eprintln!("error: {}", text.trim_end());
        status
    })
}

/// Prints to stdout; a reader that has gone away is not an error of ours.
fn print(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}
