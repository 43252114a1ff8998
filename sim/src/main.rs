//! The `dryburn` command; see [`dryburn_sim::cli`].
#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    dryburn_sim::cli::main(&dryburn_sim::board::BoardMaker).into()
}
