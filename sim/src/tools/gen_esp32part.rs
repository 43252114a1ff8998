//! The command line of ESP-IDF's gen_esp32part.py: partition CSV to binary table and back (formats sheet §2.4).

use super::{Failure, Workbench, modern_spelling, number};
use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use clap::{Parser, ValueEnum};
use dryburn::partition::{
    Entry, PartitionType, SUBTYPES, Subtype, TYPES, build,
    csv::{self, Diagnostic, ExtraSubtype, Options},
};
use std::{env, fs};

/// ESP32 partition table utility
#[derive(Parser)]
#[command(name = "gen_esp32part", no_binary_name = true)]
struct Args {
    /// Flash size that the partitions must fit in
    #[arg(long, value_name = "SIZE", value_parser = ["1MB", "2MB", "4MB", "8MB", "16MB", "32MB", "64MB", "128MB"])]
    flash_size: Option<String>,
    /// No MD5 record in the table
    #[arg(long)]
    disable_md5sum: bool,
    /// Do not apply the rules for partitions
    #[arg(long)]
    no_verify: bool,
    /// Deprecated: the rules are applied anyway
    #[arg(long, short)]
    verify: bool,
    /// Print only warnings and errors
    #[arg(long, short)]
    quiet: bool,
    /// Flash offset of the partition table
    #[arg(long, short, value_parser = offset, default_value = "0x8000", allow_negative_numbers = true)]
    offset: u32,
    /// Flash offset of the bootloader
    #[arg(long, value_parser = offset, value_name = "OFFSET", allow_negative_numbers = true)]
    primary_bootloader_offset: Option<u32>,
    /// Flash offset of the recovery bootloader
    #[arg(long, value_parser = offset, value_name = "OFFSET", allow_negative_numbers = true)]
    recovery_bootloader_offset: Option<u32>,
    /// App partitions must suit secure boot
    #[arg(long, num_args = 0..=1, default_missing_value = "v1", ignore_case = true, value_name = "SCHEME")]
    secure: Option<Scheme>,
    /// Further subtype keywords: "type, name, value"
    #[arg(long, num_args = 1.., value_name = "SUBTYPE")]
    extra_partition_subtypes: Vec<String>,
    /// CSV or binary table; which of the two is told by its content
    input: String,
    /// Where the other form is written; `-` shows a CSV on the terminal
    #[arg(default_value = "-")]
    output: String,
}

#[derive(Clone, Copy, ValueEnum)]
enum Scheme {
    V1,
    V2,
}

/// A flash offset, in bytes.
fn offset(text: &str) -> Result<u32, String> {
    let value = number(text)?;
    u32::try_from(value).map_err(|_| format!("'{text}' is beyond any flash: offsets end at 0xffffffff"))
}

/// Runs one gen_esp32part command line; writes nothing unless all is well.
pub fn run(bench: &mut Workbench, args: &[String]) -> Result<String, Failure> {
    let args = match Args::try_parse_from(modern_spelling(args, &[])) {
        Ok(args) => args,
        Err(e) if !e.use_stderr() => return Ok(e.to_string()),
        Err(e) => return Err(Failure::new(e.to_string())),
    };
    let mut log = Vec::new();
    convert(bench, &args, &mut log).map_err(|failure| Failure { text: joined(&log) + &failure.text, ..failure })
}

/// Lines, each ended.
fn joined(lines: &[String]) -> String {
    lines.iter().flat_map(|line| [line, "\n"]).collect()
}

/// Lines that the tool has printed when it stops are in `log`.
fn convert(bench: &Workbench, args: &Args, log: &mut Vec<String>) -> Result<String, Failure> {
    // Only a shell has an environment; a scenario depends on nothing outside of its folder.
    let shell = !bench.is_confined();
    let environment = |name: &str| if shell { env::var(name).ok() } else { None };
    let options = options(args, &environment)?;
    let status = |log: &mut Vec<String>, text: &str| log.extend((!args.quiet).then(|| text.to_string()));

    let bytes = bench.read_small(&args.input)?;
    let binary = bytes.starts_with(&dryburn::partition::MAGIC.to_le_bytes());
    let (text, partitions) = if binary {
        status(log, "Parsing binary partition input...");
        (String::new(), csv::from_binary(&bytes, &options, log))
    } else {
        let text = csv::decode(&bytes).map_err(|e| Failure::new(format!("{}: {e}", args.input)))?;
        status(log, "Parsing CSV input...");
        let partitions = csv::parse(&text, &options);
        (text, partitions)
    };
    let fail = |diagnostic: Diagnostic| Failure::new(show(&args.input, &text, &diagnostic));
    let partitions = partitions.map_err(fail)?;
    if !args.no_verify {
        status(log, "Verifying table...");
        csv::verify(&partitions, &options, log).map_err(fail)?;
    }
    if let Some(size) = &args.flash_size {
        let megabytes: u64 = size.trim_end_matches("MB").parse()?;
        csv::verify_size_fits(&partitions, megabytes << 20).map_err(fail)?;
    }

    let terminal = args.output == "-";
    if binary {
        let back = csv::to_csv(&partitions, &options);
        if terminal {
            return Ok(joined(log) + &back);
        }
        write(bench, &args.output, back.as_bytes())?;
    } else {
        let entries: Vec<Entry> = partitions.iter().map(csv::Partition::entry).collect();
        let table = build(&entries, options.md5).map_err(|e| {
            Failure::new(format!("{e}\n  {}: at most 94 partitions, 95 with --disable-md5sum", args.input))
        })?;
        if terminal {
            return Err(Failure::new("a binary table is not text for a terminal: name the file to write it to"));
        }
        write(bench, &args.output, &table)?;
    }
    Ok(joined(log))
}

/// Writes a file; makes its folder, as the tool does.
fn write(bench: &Workbench, name: &str, bytes: &[u8]) -> Result<(), Failure> {
    if let Some(folder) = bench.path(name)?.parent() {
        fs::create_dir_all(folder).map_err(|e| Failure::new(format!("{name}: its folder cannot be made: {e}")))?;
    }
    bench.write(name, bytes)
}

fn options<'a>(args: &Args, environment: csv::Environment<'a>) -> Result<Options<'a>, Failure> {
    if let Some(bootloader) = args.primary_bootloader_offset.filter(|offset| *offset >= args.offset) {
        return Err(Failure::new(format!(
            "Unsupported configuration. Primary bootloader must be below partition table. Check \
             --primary-bootloader-offset={bootloader:#x} and --offset={:#x}",
            args.offset
        )));
    }
    let mut extra_subtypes = Vec::new();
    for text in &args.extra_partition_subtypes {
        let extra = extra_subtype(text, &extra_subtypes).map_err(|e| {
            Failure::new(format!("Error parsing custom subtypes: {e}\n  in --extra-partition-subtypes '{text}'"))
        })?;
        extra_subtypes.push(extra);
    }
    Ok(Options {
        table_offset: args.offset,
        primary_bootloader_offset: args.primary_bootloader_offset,
        recovery_bootloader_offset: args.recovery_bootloader_offset,
        secure: args.secure.map(|scheme| match scheme {
            Scheme::V1 => csv::Secure::V1,
            Scheme::V2 => csv::Secure::V2,
        }),
        md5: !args.disable_md5sum,
        extra_subtypes,
        environment: Some(environment),
    })
}

/// Reads `type, name, value`; the value is hexadecimal with or without `0x`.
fn extra_subtype(text: &str, so_far: &[ExtraSubtype]) -> Result<ExtraSubtype, String> {
    let fields: Vec<&str> = text.split(',').map(str::trim).collect();
    let &[kind, name, value, ..] = fields.as_slice() else {
        return Err("expected 'type, name, value', for example 'data, mine, 0x40'".into());
    };
    let kind = TYPES.iter().find(|(known, _)| *known == kind).map(|(_, kind)| *kind).ok_or("Invalid partition type")?;
    let digits = value.strip_prefix("0x").or_else(|| value.strip_prefix("0X")).unwrap_or(value);
    let subtype = u8::from_str_radix(digits, 16).map_err(|_| format!("'{value}' is not a value from 0x00 to 0xff"))?;
    let subtype = Subtype(subtype);
    let taken = |k: PartitionType, n: &str, s: Subtype| k == kind && (s == subtype || n == name);
    if SUBTYPES.iter().any(|(k, n, s)| taken(*k, n, *s)) || so_far.iter().any(|e| taken(e.kind, &e.name, e.subtype)) {
        return Err("Found duplicate value in partition subtype".into());
    }
    Ok(ExtraSubtype { kind, name: name.into(), subtype })
}

/// The tool's message, and below it the place in the CSV.
fn show(file: &str, text: &str, diagnostic: &Diagnostic) -> String {
    let Diagnostic { line, column, length, message, help } = diagnostic;
    let Some(source) = csv::lines(text).nth(line.wrapping_sub(1)).filter(|_| *line > 0) else {
        let help = help.as_ref().map(|help| format!(": {help}")).unwrap_or_default();
        return format!("{message}\n  {file}{help}\n");
    };
    let byte = |character: usize| source.char_indices().nth(character).map_or(source.len(), |(at, _)| at);
    let first = column.saturating_sub(1);
    let mut mark = AnnotationKind::Primary.span(byte(first)..byte(first.saturating_add(*length)));
    if let Some(help) = help {
        mark = mark.label(help.as_str());
    }
    let snippet = Snippet::source(source).line_start(*line).path(file).annotation(mark);
    let report = [Group::with_level(Level::ERROR).element(snippet)];
    format!("{message}\n{}\n", Renderer::plain().render(&report))
}

#[cfg(test)]
mod tests;
