//! Writes the seeds of every fuzz target to folders of their names: `cargo run -p dryburn-sim --example fuzz_seeds -- FOLDER`.

use dryburn_sim::hostile::{TARGETS, seeds};
use std::{env, fs, io, path::Path};

fn main() -> io::Result<()> {
    let folder = env::args_os().nth(1).ok_or_else(|| io::Error::other("say which folder to write to"))?;
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for target in &TARGETS {
        let corpus = Path::new(&folder).join(target.name);
        fs::create_dir_all(&corpus)?;
        let seeds = seeds(target, &repository)?;
        for (name, input) in &seeds {
            fs::write(corpus.join(name), input)?;
        }
        println!("{}: {} seeds", target.name, seeds.len());
    }
    Ok(())
}
