//! `image-info`, in the layout of esptool 5.

use super::args::ImageInfo;
use super::{
    Failure, Workbench, fatal,
    image::{Image, detect, le32},
    memory_map, params,
};
use dryburn::Chip;
use sha2::{Digest, Sha256};
use std::fmt::{self, Write as _};

/// Prints what the image holds. A wrong checksum or digest is shown and is no failure, as with the tool.
pub fn run(bench: &Workbench, chip: Option<Chip>, args: &ImageInfo) -> Result<String, Failure> {
    let bytes = bench.read(&args.file)?;
    let stop = |shown: &str, reason: String| {
        let gap = if shown.is_empty() { "" } else { "\n" };
        let hint =
            "is not a whole image of an ESP32-family chip; check that it is the right file and was copied in full";
        Failure::new(format!("{shown}{gap}{}\nHint: '{}' {hint}.", fatal(reason).text, args.file))
    };
    let found = detect(&bytes);
    let chip_shown = match (chip, found) {
        (Some(chip), _) if bytes.first() == Some(&0xE9) => chip,
        (_, Ok(found)) => found,
        (_, Err(reason)) => return Err(stop("", reason)),
    };
    let mut out = format!("Image size: {} bytes\n", bytes.len());
    if chip.is_none() {
        let _ = writeln!(out, "Detected image type: {}", chip_shown.spec().title);
    }
    let image = Image::parse_as(&bytes, chip_shown).map_err(|reason| stop(&out, reason))?;
    // Writing to a String cannot fail.
    let _ = header(&mut out, &image)
        .and_then(|()| extended_header(&mut out, &image))
        .and_then(|()| segments(&mut out, &image))
        .and_then(|()| footer(&mut out, &image))
        .and_then(|()| descriptor(&mut out, &image));
    Ok(out)
}

fn title(out: &mut String, text: &str) -> fmt::Result {
    writeln!(out, "\n{text}\n{}", "=".repeat(text.len()))
}

fn header(out: &mut String, image: &Image) -> fmt::Result {
    title(out, &format!("{} Image Header", image.chip.spec().title))?;
    let [mode, rest] = [image.byte(2), image.byte(3)];
    let entry = le32(image.bytes, 4).unwrap_or_default();
    writeln!(out, "Image version: 1")?;
    match entry {
        0 => writeln!(out, "Entry point not set")?,
        // Filled to eight characters, the 0x among them.
        _ => writeln!(out, "Entry point: {entry:#8x}")?,
    }
    writeln!(out, "Segments: {}", image.segments.len())?;
    match params::flash_size_name(rest >> 4) {
        Some(name) => writeln!(out, "Flash size: {name}")?,
        None => writeln!(out, "WARNING: Invalid flash size ({:#x})", rest & 0xF0)?,
    }
    match params::frequency_name(image.chip, rest & 0x0F) {
        Some(name) => writeln!(out, "Flash freq: {name}")?,
        None => writeln!(out, "WARNING: Invalid flash frequency ({:#x})", rest & 0x0F)?,
    }
    match params::mode_name(mode) {
        Some(name) => writeln!(out, "Flash mode: {}", name.to_uppercase()),
        None => writeln!(out, "WARNING: Invalid flash mode ({mode})"),
    }
}

fn extended_header(out: &mut String, image: &Image) -> fmt::Result {
    title(out, &format!("{} Extended Image Header", image.chip.spec().title))?;
    let wp = image.byte(8);
    writeln!(out, "WP pin: {wp:#x}{}", if wp == 0xEE { " (disabled)" } else { "" })?;
    let [a, b, c] = [image.byte(9), image.byte(10), image.byte(11)];
    writeln!(
        out,
        "Flash pins drive settings: clk_drv: {:#x}, q_drv: {:#x}, d_drv: {:#x}, cs0_drv: {:#x}, hd_drv: {:#x}, wp_drv: {:#x}",
        a & 0xF,
        a >> 4,
        b & 0xF,
        b >> 4,
        c & 0xF,
        c >> 4
    )?;
    let id = image.le16(12);
    let name = Chip::from_image_chip_id(id).map_or("Unknown ID", |chip| chip.spec().title);
    writeln!(out, "Chip ID: {id} ({name})")?;
    let [min, max] = [image.le16(15), image.le16(17)];
    writeln!(out, "Minimal chip revision: v{}.{}, (legacy min_rev = {})", min / 100, min % 100, image.byte(14))?;
    writeln!(out, "Maximal chip revision: v{}.{}", max / 100, max % 100)
}

fn segments(out: &mut String, image: &Image) -> fmt::Result {
    title(out, "Segments Information")?;
    writeln!(out, "Segment   Length   Load addr   File offs  Memory types")?;
    writeln!(out, "-------  -------  ----------  ----------  ------------")?;
    for (n, segment) in image.segments.iter().enumerate() {
        let names = memory_map::names(image.chip, segment.load).join(", ");
        // The tool fills segments up to whole words in memory and prints that length.
        let length = segment.length.next_multiple_of(4);
        writeln!(out, "{n:7}  {length:#07x}  {:#010x}  {:#010x}  {names}", segment.load, segment.header)?;
    }
    Ok(())
}

fn footer(out: &mut String, image: &Image) -> fmt::Result {
    title(out, &format!("{} Image Footer", image.chip.spec().title))?;
    let [stored, computed] = [image.byte(image.checksum_at), image.checksum()];
    match stored == computed {
        true => writeln!(out, "Checksum: {stored:#04x} (valid)")?,
        false => writeln!(out, "Checksum: {stored:#04x} (invalid - calculated {computed:#04x})")?,
    }
    if image.hash_appended() {
        let (body, rest) = image.bytes.split_at_checked(image.hashed_length()).unwrap_or_default();
        let digest: [u8; 32] = Sha256::digest(body).into();
        let verdict = if rest.starts_with(&digest) { "valid" } else { "invalid" };
        writeln!(out, "Validation hash: {} ({verdict})", hex(&digest))?;
    }
    Ok(())
}

/// The app descriptor in the first DROM segment with data; where no segment is in DROM, the bootloader descriptor at the
/// beginning of the last DRAM segment that can hold it (formats sheet §1.6, §1.7). Where all RAM is DRAM to the tool, as on the
/// C6 and the H2, it thus looks past the descriptor of a real bootloader.
fn descriptor(out: &mut String, image: &Image) -> fmt::Result {
    if let Some(data) = image.segments_in("DROM").find(|data| !data.is_empty()) {
        let app = data.get(..256).filter(|app| app.starts_with(&0xABCD_5432_u32.to_le_bytes()));
        return app.map_or(Ok(()), |app| app_descriptor(out, app));
    }
    // As above, the tool fills segments up to whole words.
    let last = image.segments_in("DRAM").rfind(|data| data.len() > 76);
    let Some(data) = last.filter(|data| data.starts_with(&[0x50])) else { return Ok(()) };
    let mut boot = [0; 80];
    boot.iter_mut().zip(data).for_each(|(to, from)| *to = *from);
    title(out, "Bootloader Information")?;
    writeln!(out, "Bootloader version: {}", le32(&boot, 4).unwrap_or_default())?;
    writeln!(out, "ESP-IDF: {}\nCompile time: {}", text(&boot[8..40]), text(&boot[40..64]))
}

fn app_descriptor(out: &mut String, app: &[u8]) -> fmt::Result {
    title(out, "Application Information")?;
    writeln!(out, "Project name: {}\nApp version: {}", text(&app[48..80]), text(&app[16..48]))?;
    writeln!(out, "Compile time: {} {}", text(&app[96..112]), text(&app[80..96]))?;
    writeln!(out, "ELF file SHA256: {}\nESP-IDF: {}", hex(&app[144..176]), text(&app[112..144]))?;
    let [min, max] = [u16::from_le_bytes([app[176], app[177]]), u16::from_le_bytes([app[178], app[179]])];
    writeln!(out, "Minimal eFuse block revision: {}.{}", min / 100, min % 100)?;
    writeln!(out, "Maximal eFuse block revision: {}.{}", max / 100, max % 100)?;
    match app[180] {
        0 => {}
        // The tool prints any power of two; only these are sizes (formats sheet §1.6 accepts 13 to 18).
        1..10 => writeln!(out, "MMU page size: 0 KB")?,
        log2 => writeln!(out, "MMU page size: {} KB", power_of_two(log2 - 10))?,
    }
    writeln!(out, "Secure version: {}", le32(app, 4).unwrap_or_default())
}

/// A text field as the tool shows it, all NULs left out; what is no text, or would steer the terminal, is shown as U+FFFD.
fn text(field: &[u8]) -> String {
    let shown = |c: char| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c };
    String::from_utf8_lossy(field).chars().filter(|c| *c != '\0').map(shown).collect()
}

/// 2 to the power of `exponent`, in decimal.
fn power_of_two(exponent: u8) -> String {
    let mut digits = vec![1];
    for _ in 0..exponent {
        let mut carry = 0;
        for digit in &mut digits {
            let doubled = *digit * 2 + carry;
            (*digit, carry) = (doubled % 10, doubled / 10);
        }
        digits.extend((carry > 0).then_some(carry));
    }
    digits.iter().rev().map(|digit| char::from(b'0' + digit)).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
