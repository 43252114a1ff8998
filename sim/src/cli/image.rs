//! `dryburn image`: images to rehearse with.

use crate::tools::{Failure, Workbench, number, size};
use clap::{Subcommand, ValueEnum};
use dryburn::{
    Chip, IdfVersion, Revision,
    image::{
        self, APP_DESCRIPTOR_MAGIC, APP_DESCRIPTOR_SIZE, AppDescriptor, Builder, Damage, Event, HASH_SIZE, HEADER_SIZE,
        Header, Kind, Purpose, Region, Rules, Target, Verified,
    },
    secure_boot::{
        sign::{BlockDamage, damage_block},
        v2,
    },
};
use embedded_storage::nor_flash::{ErrorType, NorFlashErrorKind, ReadNorFlash};
use sha2::{Digest, Sha256};
use std::fmt::Write;

/// Make, show and damage app and bootloader images.
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make a valid image; the same options make the same bytes
    New(New),
    /// Verify an image as the boot code does and show what it is
    Info(Info),
    /// Damage an image in one named way
    Damage(DamageArgs),
}

#[derive(clap::Args)]
struct New {
    /// File to write
    file: String,
    /// Chip; in a scenario, that of the board
    #[arg(long)]
    chip: Option<Chip>,
    /// Make a second-stage bootloader instead of an app
    #[arg(long)]
    bootloader: bool,
    /// Version in the app descriptor
    #[arg(long, default_value = "1.0.0")]
    version: String,
    /// Size of the file, like 200K; rounded up to 16 bytes
    #[arg(long, value_parser = size)]
    size: Option<u64>,
    /// Anti-rollback version in the app descriptor
    #[arg(long, default_value_t = 0, value_name = "N")]
    secure_version: u32,
    /// Minimum chip revision
    #[arg(long, default_value = "v0.0", value_name = "vX.Y")]
    min_revision: Revision,
    /// Maximum chip revision
    #[arg(long, value_name = "vX.Y")]
    max_revision: Option<Revision>,
    /// ESP-IDF version in the descriptor
    #[arg(long, default_value = "6.1", value_name = "X.Y")]
    idf: IdfVersion,
    /// Seed of the content
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Leave the SHA-256 out
    #[arg(long)]
    no_hash: bool,
}

#[derive(clap::Args)]
struct Info {
    /// Image file
    file: String,
    /// Chip that shall run it; taken from the image when left out
    #[arg(long)]
    chip: Option<Chip>,
    /// Treat it as a second-stage bootloader
    #[arg(long)]
    bootloader: bool,
    /// Flash address where it will lie: mapped segments must match it
    #[arg(long, default_value = "0x10000", value_parser = number)]
    address: u64,
}

#[derive(clap::Args)]
struct DamageArgs {
    /// Image file, changed in place
    file: String,
    /// What to damage
    what: What,
    /// The value that shall stand there (chip-id, min-revision, max-revision, segment-count, segment-length, load-address,
    /// truncate, block-version), or the number of the signature block (block-signature, block-digest, block-crc, block-magic;
    /// 0 unless given)
    #[arg(value_parser = number)]
    value: Option<u64>,
    /// Make checksum and SHA-256 right again, so that only the named damage is left
    #[arg(long)]
    repair: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum What {
    /// First byte
    Magic,
    /// Chip id
    ChipId,
    /// Minimum revision: major * 100 + minor
    MinRevision,
    /// Maximum revision: major * 100 + minor
    MaxRevision,
    /// Number of segments
    SegmentCount,
    /// Length of segment 0
    SegmentLength,
    /// Load address of segment 0
    LoadAddress,
    /// Checksum byte
    Checksum,
    /// Appended SHA-256
    Hash,
    /// One bit in the middle
    Bit,
    /// Cut the file to this many bytes
    Truncate,
    /// Signature in a block of Secure Boot v2; the block's CRC stays right
    BlockSignature,
    /// Version of signature block 0; its CRC stays right
    BlockVersion,
    /// Image digest in a signature block; the block's CRC stays right
    BlockDigest,
    /// CRC of a signature block
    BlockCrc,
    /// First byte of a signature block
    BlockMagic,
}

/// Runs one `dryburn image` command.
///
/// # Errors
/// Unreadable files, values that do not fit; nothing is written then.
pub fn run(bench: &mut Workbench, args: &Args) -> Result<String, Failure> {
    match &args.command {
        Command::New(new) => make(bench, new),
        Command::Info(info) => show(bench, info),
        Command::Damage(damage) => spoil(bench, damage),
    }
}

fn make(bench: &Workbench, new: &New) -> Result<String, Failure> {
    let board = bench.device.as_ref().map(|device| device.chip());
    let chip = new.chip.or(board).ok_or_else(|| Failure::new("--chip: say which chip the image is for"))?;
    let mut builder = if new.bootloader { Builder::bootloader(chip, new.idf) } else { Builder::app(chip) };
    builder = builder
        .version(&new.version)
        .secure_version(new.secure_version)
        .idf_ver(&format!("v{}", new.idf))
        .seed(new.seed)
        .hash_appended(!new.no_hash)
        .revisions(new.min_revision, new.max_revision.unwrap_or(Revision(u16::MAX)));
    if let Some(size) = new.size {
        if size < image::MIN_SIZE as u64 || size > 16 * 1024 * 1024 {
            return Err(Failure::new(format!("--size {size}: choose {} bytes to 16MB", image::MIN_SIZE)));
        }
        builder = builder.size(size as usize);
    }
    bench.write(&new.file, &builder.build())?;
    Ok(String::new())
}

/// Chips that ESP-IDF knows and dryburn does not model (formats sheet §0). Nothing that is checked of a *bootloader* depends
/// on the chip but its id, so theirs can be looked at all the same.
const NOT_MODELLED: [(u16, &str); 3] = [(0x0019, "esp32h21"), (0x001C, "esp32h4"), (0x0020, "esp32s31")];
/// Whose rules they are held against.
const STAND_IN: Chip = Chip::Esp32c5;

fn show(bench: &Workbench, info: &Info) -> Result<String, Failure> {
    let bytes = bench.read(&info.file)?;
    let header = header(&info.file, &bytes)?;
    let id = header.chip_id();
    let foreign =
        NOT_MODELLED.iter().find(|(other, _)| *other == id).filter(|_| info.bootloader && info.chip.is_none());
    let stand_in = foreign.map(|_| STAND_IN);
    let chip = info.chip.or_else(|| Chip::from_image_chip_id(id)).or(stand_in).ok_or_else(|| {
        Failure::new(format!("{}: chip id {id:#06x} at offset 0xc is no chip's; say --chip", info.file))
    })?;
    let name = foreign.map_or(chip.name(), |(_, name)| name);
    let kind = if info.bootloader { Kind::Bootloader } else { Kind::App };
    let offset = u32::try_from(info.address).map_err(|_| Failure::new("--address: flash addresses have 32 bits"))?;
    let mut text = format!("{} image for {name}, {} segments\n", label(kind), header.segment_count());
    describe(&bytes, kind, &mut text);
    let target = Target {
        chip,
        revision: Revision(u16::MAX - 1).min(header.min_chip_rev_full()),
        block_revision: None,
        ignore_max_revision: true,
        ignore_max_block_revision: true,
        idf: IdfVersion::LATEST,
    };
    let rules = Rules { target: &target, kind, purpose: Purpose::Verify, signature: None };
    let region = Region { offset, size: u32::try_from(bytes.len()).unwrap_or(u32::MAX) };
    let mut stated = bytes.clone();
    if foreign.is_some()
        && let Some(field) = stated.get_mut(12..14)
    {
        field.copy_from_slice(&chip.spec().image_chip_id.to_le_bytes());
    }
    let mut placed = Placed { offset, bytes: &stated };
    let refused = |text: &str, reason: &dyn std::fmt::Display| Failure {
        text: format!("{text}{}: refused: {reason}", info.file),
        status: 1,
    };
    let verdict = image::verify(&mut placed, region, &rules, &mut |event| {
        if let Event::Segment { index, load_addr, length, flash_address, .. } = event {
            let at = flash_address - offset;
            let _ = writeln!(text, "segment {index}: {length:#x} bytes at file offset {at:#x} for {load_addr:#010x}");
        }
    });
    match verdict {
        Ok(verified) => {
            let sums = hash_verdict(&bytes, &verified).map_err(|reason| refused(&text, &reason))?;
            let rest = bytes.len() as u64 - u64::from(verified.length);
            let _ = writeln!(text, "valid: {} bytes, {sums}, {rest} bytes behind it", verified.length);
            Ok(text)
        }
        Err(refusal) => Err(refused(&text, &refusal)),
    }
}

/// What checksum (good by now) and appended SHA-256 say. The boot code passes over that of a bootloader, because flashing tools may have patched
/// the header (formats sheet §1.5); whoever looks at a file wants to know. `hash_appended` is 0 or 1 (formats sheet §1.2).
fn hash_verdict(bytes: &[u8], verified: &Verified) -> Result<&'static str, String> {
    match verified.header.hash_appended() {
        0 => Ok("checksum right, no SHA-256 appended"),
        1 => {
            let end = verified.length as usize;
            let at = end.saturating_sub(HASH_SIZE as usize);
            let digest: [u8; 32] = Sha256::digest(bytes.get(..at).unwrap_or(&[])).into();
            if bytes.get(at..end) == Some(&digest[..]) {
                return Ok("checksum and SHA-256 right");
            }
            Err(format!(
                "SHA-256 differs from the one appended at offset {at:#x}; the boot code does not look, but this is not the \
                 file that was built: build it again, or flash it with the options that it was built with"
            ))
        }
        flag => Err(format!("hash_appended at offset 0x17 is {flag:#x}, expected 0 or 1")),
    }
}

/// The header of the image in `file`.
fn header(file: &str, bytes: &[u8]) -> Result<Header, Failure> {
    let raw = bytes.first_chunk().ok_or_else(|| {
        let found = bytes.len();
        Failure::new(format!("{file}: {found} bytes; an image has at least a header of {HEADER_SIZE} bytes"))
    })?;
    Ok(Header::from_bytes(*raw))
}

fn label(kind: Kind) -> &'static str {
    match kind {
        Kind::App => "app",
        Kind::Bootloader => "bootloader",
    }
}

fn describe(bytes: &[u8], kind: Kind, text: &mut String) {
    let raw = bytes.get(image::DESCRIPTOR_OFFSET as usize..).and_then(|b| b.first_chunk::<APP_DESCRIPTOR_SIZE>());
    let descriptor = raw.map(|raw| AppDescriptor::from_bytes(*raw));
    if let Some(d) = descriptor.filter(|d| kind == Kind::App && d.magic_word() == APP_DESCRIPTOR_MAGIC) {
        let _ = writeln!(
            text,
            "{} {}, ESP-IDF {}, secure version {}",
            d.project_name(),
            d.version(),
            d.idf_ver(),
            d.secure_version()
        );
    }
}

fn spoil(bench: &Workbench, args: &DamageArgs) -> Result<String, Failure> {
    let mut bytes = bench.read(&args.file)?;
    header(&args.file, &bytes)?;
    let name = args.what.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
    let value = |most: u64| match args.value {
        Some(value) if value <= most => Ok(value),
        Some(value) => Err(Failure::new(format!("{name} {value:#x} does not fit: at most {most:#x}"))),
        None => Err(Failure::new(format!("{name}: say which value shall stand there, as in `{name} 0x10`"))),
    };
    let index = args.value.unwrap_or(0);
    let damage = match args.what {
        What::Magic => Damage::Magic,
        What::ChipId => Damage::ChipId(value(0xFFFF)? as u16),
        What::MinRevision => Damage::MinRevision(Revision(value(0xFFFF)? as u16)),
        What::MaxRevision => Damage::MaxRevision(Revision(value(0xFFFF)? as u16)),
        What::SegmentCount => Damage::SegmentCount(value(0xFF)? as u8),
        What::SegmentLength => Damage::SegmentLength(value(0xFFFF_FFFF)? as u32),
        What::LoadAddress => Damage::LoadAddress(value(0xFFFF_FFFF)? as u32),
        What::Checksum => Damage::Checksum,
        What::Hash => Damage::Hash,
        What::Bit => Damage::Bit,
        What::Truncate => Damage::Truncate(value(bytes.len() as u64)? as usize),
        What::BlockVersion => {
            return spoil_block(bench, &args.file, bytes, 0, BlockDamage::Version(value(0xFF)? as u8));
        }
        What::BlockSignature => return spoil_block(bench, &args.file, bytes, index, BlockDamage::Signature),
        What::BlockDigest => return spoil_block(bench, &args.file, bytes, index, BlockDamage::Digest),
        What::BlockCrc => return spoil_block(bench, &args.file, bytes, index, BlockDamage::Crc),
        What::BlockMagic => return spoil_block(bench, &args.file, bytes, index, BlockDamage::Magic),
    };
    let before = bytes.clone();
    image::damage(&mut bytes, damage, args.repair);
    if bytes == before {
        return Err(Failure::new(format!(
            "{}: nothing changed: the file is too short or is like that already",
            args.file
        )));
    }
    bench.write(&args.file, &bytes)?;
    Ok(String::new())
}

/// Damages a signature block in the sector that ends a signed file.
fn spoil_block(
    bench: &Workbench,
    file: &str,
    mut bytes: Vec<u8>,
    index: u64,
    damage: BlockDamage,
) -> Result<String, Failure> {
    let start = bytes.len().saturating_sub(v2::SECTOR);
    let sector = bytes.get_mut(start..).unwrap_or_default();
    let block = usize::try_from(index).unwrap_or(usize::MAX);
    if !damage_block(sector, block, damage) {
        let at = start.saturating_add(block.saturating_mul(v2::BLOCK));
        return Err(Failure::new(format!(
            "{file}: no signature block {index} at offset {at:#x}: it would begin with {:#04x}; sign the file first (espsecure sign-data --version 2)",
            v2::MAGIC
        )));
    }
    bench.write(file, &bytes)?;
    Ok(String::new())
}

/// A file as it will lie in flash, with nothing readable around it.
struct Placed<'a> {
    offset: u32,
    bytes: &'a [u8],
}

impl ErrorType for Placed<'_> {
    type Error = NorFlashErrorKind;
}

impl ReadNorFlash for Placed<'_> {
    const READ_SIZE: usize = 1;
    fn read(&mut self, offset: u32, buf: &mut [u8]) -> Result<(), NorFlashErrorKind> {
        let from = offset.checked_sub(self.offset).ok_or(NorFlashErrorKind::OutOfBounds)? as usize;
        let source = self.bytes.get(from..).and_then(|b| b.get(..buf.len())).ok_or(NorFlashErrorKind::OutOfBounds)?;
        buf.copy_from_slice(source);
        Ok(())
    }
    fn capacity(&self) -> usize {
        self.offset as usize + self.bytes.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(bytes: &[u8]) -> Result<String, Failure> {
        let folder = tempfile::tempdir().unwrap();
        let bench = Workbench::confined(folder.path(), 7);
        bench.write("boot.bin", bytes).unwrap();
        let file = "boot.bin".to_owned();
        show(&bench, &Info { file, chip: None, bootloader: true, address: 0x1000 })
    }

    #[test]
    fn hash_of_a_bootloader_is_looked_at() {
        let vectors = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors/image");
        let good = std::fs::read(format!("{vectors}/esp32_boot.bin")).unwrap();
        assert!(info(&good).unwrap().contains("checksum and SHA-256 right, 0 bytes"));
        let plain = std::fs::read(format!("{vectors}/esp32_boot_nodigest.bin")).unwrap();
        assert!(info(&plain).unwrap().contains("checksum right, no SHA-256 appended, 0 bytes"));

        // the entry point is under the hash alone
        for (offset, said) in
            [(4, "SHA-256 differs from the one appended at offset 0x130"), (23, "0x17 is 0x3, expected")]
        {
            let mut bad = good.clone();
            bad[offset] ^= 2;
            let Failure { text, status } = info(&bad).unwrap_err();
            assert!(text.contains(said), "{text}");
            assert_eq!(status, 1);
        }
    }
}
