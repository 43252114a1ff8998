//! `merge-bin`.

use super::args::MergeBin;
use super::regions;
use super::{Failure, Workbench, fatal, need_chip};
use crate::flash::Flash;
use crate::tools::size;
use dryburn::Chip;

/// Joins the files into one, gaps filled with `0xFF`.
pub fn run(bench: &Workbench, chip: Option<Chip>, args: &MergeBin) -> Result<String, Failure> {
    let chip = need_chip(chip)?;
    if !args.format.eq_ignore_ascii_case("raw") {
        return Err(Failure::new(format!("--format {}: not modelled; only raw is", args.format)));
    }
    if args.params.flash_size.eq_ignore_ascii_case("detect") {
        return Err(Failure::new("--flash-size detect: merge-bin has no chip to ask; write the size, as in 4MB"));
    }
    let pad =
        args.pad_to_size.as_deref().map(size).transpose().map_err(|e| Failure::new(format!("--pad-to-size: {e}")))?;
    let mut files = regions::sort(regions::read(bench, &args.addr_file, false)?)?;
    let start = args.target_offset;
    if let Some(first) = files.first().filter(|f| u64::from(f.address) < start) {
        let at = first.address;
        return Err(fatal(format!(
            "Output data target offset is {start:#x}. Input data offset {at:#x} is before this."
        )));
    }
    let mut text = String::new();
    for file in &mut files {
        text += &args.params.patch(chip, file.address, &mut file.data, None)?;
    }
    // A patched digest may have made a file longer.
    let files = regions::sort(files)?;
    let end = files.last().map_or(start, regions::Region::end).max(pad.unwrap_or(0));
    let largest = u64::from(Flash::MAX_SIZE);
    if end > largest {
        return Err(Failure::new(format!(
            "the merged file would end at flash address {end:#x}; the largest chip ends at {largest:#x}: check addresses and --pad-to-size"
        )));
    }
    let mut merged = vec![0xFF; end.saturating_sub(start) as usize];
    for file in &files {
        let from = (u64::from(file.address) - start) as usize;
        if let Some(target) = merged.get_mut(from..from + file.data.len()) {
            target.copy_from_slice(&file.data);
        }
    }
    bench.write(&args.output, &merged)?;
    let (length, output) = (merged.len(), &args.output);
    Ok(format!("{text}Wrote {length:#x} bytes to file '{output}', ready to flash to offset {start:#x}.\n"))
}
