//! The words of the second stage. Behaviour sheet §0.1, 2.

use super::{MODES, Uart, rom::signature_block};
use crate::bootloader::{Event, Row, TableRefusal};
use dryburn::{
    SecureBootScheme,
    boot::{self, Slot},
    image::{self, BadDestination, Kind, Refusal, SegmentUse, SignatureEvent},
};

pub(super) fn lines(uart: &mut Uart<'_>, event: &Event) {
    match event {
        Event::Banner { idf, compile_time, multicore } => {
            uart.info("boot", &format!("ESP-IDF {idf} 2nd stage bootloader"));
            if let Some(time) = compile_time {
                uart.info("boot", &format!("compile time {time}"));
            }
            if multicore.is_some() && uart.idf.since(4, 4) {
                uart.info("boot", "Multicore bootloader");
            }
        }
        Event::ChipRevision { revision, block } => {
            let revision = if uart.idf.since(4, 3) { revision.to_string() } else { revision.major().to_string() };
            // the second line of older releases is an event of the image check
            let label = uart.since(&[((0, 0), "Chip Revision"), ((4, 1), "chip revision")]);
            uart.info("boot", &format!("{label}: {revision}"));
            if let Some(block) = block.filter(|_| uart.idf.since(5, 1)) {
                uart.info("boot", &format!("efuse block revision: {block}"));
            }
        }
        Event::Flash { speed, mode, size } => flash(uart, *speed, *mode, *size),
        Event::EntropyOn => uart.info("boot", "Enabling RNG early entropy source..."),
        Event::Table { error } => table_refused(uart, error),
        Event::TableListed { rows } => table(uart, rows),
        Event::Boot(event) => boot(uart, event),
        Event::Image(event) => image(uart, event),
        Event::Security(event) => super::security::security(uart, event),
        Event::Efuse(event) => super::security::efuse(uart, event),
        Event::EntropyOff => uart.info("boot", "Disabling RNG early entropy source..."),
    }
}

fn flash(uart: &mut Uart<'_>, speed: u8, mode: u8, size: u8) {
    // public logs of 4.1 and 4.1.2 have the chip's tag (the sheet's "boot" is from development versions before it)
    let tag = if uart.idf.since(4, 1) { format!("boot.{}", uart.chip) } else { "boot".into() };
    let speed = match speed {
        0xF => "80MHz",
        0 => "40MHz",
        1 => "26.7MHz",
        _ => "20MHz",
    };
    let label = if uart.chip == dryburn::Chip::Esp32s3 { "Boot SPI Speed : " } else { "SPI Speed      : " };
    let mode = MODES.get(usize::from(mode)).map_or("DIO", |(name, _)| name);
    let size = if size < 8 { 1u32 << size } else { 2 };
    uart.info(&tag, &format!("{label}{speed}"));
    uart.info(&tag, &format!("SPI Mode       : {mode}"));
    uart.info(&tag, &format!("SPI Flash Size : {size}MB"));
}

fn table_refused(uart: &mut Uart<'_>, error: &TableRefusal) {
    let text = match error {
        TableRefusal::OutOfFlash { index, offset, size, flash_size } => {
            format!(
                "partition {index} invalid - offset {offset:#x} size {size:#x} exceeds flash chip size {flash_size:#x}"
            )
        }
        TableRefusal::SecondMd5 { .. } => "Only one MD5 checksum is allowed".into(),
        TableRefusal::Md5Mismatch { .. } => "Incorrect MD5 checksum".into(),
        TableRefusal::BadMagic { index, found } => format!("partition {index} invalid magic number {found:#x}"),
        TableRefusal::NoEnd | TableRefusal::TooShort { .. } => {
            "partition table has no terminating entry, not valid".into()
        }
    };
    uart.error("flash_parts", &text);
    uart.error("boot", "Failed to verify partition table");
    uart.error("boot", "load partition table error!");
}

fn table(uart: &mut Uart<'_>, rows: &[Row]) {
    uart.info("boot", "Partition Table:");
    uart.info("boot", "## Label            Usage          Type ST Offset   Length");
    for (i, row) in rows.iter().enumerate() {
        let Row { label, kind, subtype, offset, size } = row;
        let usage = usage(*kind, *subtype);
        uart.info("boot", &format!("{i:2} {label:<16} {usage:<16} {kind:02x} {subtype:02x} {offset:08x} {size:08x}"));
    }
    uart.info("boot", "End of partition table");
}

/// What the bootloader calls a partition.
fn usage(kind: u8, subtype: u8) -> &'static str {
    match (kind, subtype) {
        (0, 0x00) => "factory app",
        (0, 0x20) => "test app",
        (0, 0x10..=0x1F) => "OTA app",
        (0, 0x30 | 0x31) => "TEE app",
        (0, _) => "Unknown app",
        (1, 0) => "OTA data",
        (1, 1) => "RF data",
        (1, 2) => "WiFi data",
        (1, 4) => "NVS keys",
        (1, 5) => "efuse",
        (1, 0x90) => "TEE OTA data",
        (1, _) => "Unknown data",
        (2, 0) => "primary bootloader",
        (2, 1) => "ota bootloader",
        (2, 2) => "recovery bootloader",
        (3, 0) => "primary partition_table",
        (3, 1) => "ota partition_table",
        _ => "unknown",
    }
}

fn boot(uart: &mut Uart<'_>, event: &boot::Event) {
    use boot::Event as E;
    match event {
        E::OtadataTooSmall { size } => {
            uart.error("boot", &format!("ota_info partition size {size} is too small (minimum 8192 bytes)"));
        }
        // debug level: not printed by a bootloader that is built with the default log level
        E::MarkedAborted { .. } | E::MarkedPendingVerify { .. } | E::Selected { .. } => {}
        E::AntiRollback { secure_version } => {
            uart.info("boot", "Enabled a check secure version of app for anti rollback");
            uart.info("boot", &format!("Secure version (from eFuse) = {secure_version}"));
        }
        E::OtadataInitial => uart.info("boot", "otadata[0..1] in initial state"),
        E::DefaultingToFactory => uart.info("boot", "Defaulting to factory image"),
        E::NoFactoryTryingOta0 => uart.info("boot", "No factory image, trying OTA 0"),
        E::OtadataInvalidFallingBackToFactory => {
            uart.error("boot", "ota data partition invalid, falling back to factory");
        }
        E::OtadataInvalidTryingAll => {
            uart.error("boot", "ota data partition invalid and no factory, will try all partitions");
        }
        E::NotBootable { slot: Slot::Factory } => uart.error("boot", "Factory app partition is not bootable"),
        E::NotBootable { slot: Slot::Test } => uart.error("boot", "Test app partition is not bootable"),
        E::NotBootable { slot: Slot::Ota(i) } => {
            uart.error("boot", &format!("OTA app partition slot {i} is not bootable"));
        }
        E::FallingBackToTest => uart.warn("boot", "Falling back to test app as only bootable partition"),
        E::NothingBootable => uart.error("boot", "No bootable app partitions in the partition table"),
        E::Loaded { offset, .. } => uart.info("boot", &format!("Loaded app from partition at offset {offset:#x}")),
        E::OtadataWritten { ota_seq } => uart.info("boot", &format!("Set actual ota_seq={ota_seq} in otadata[0]")),
    }
}

pub(super) fn image(uart: &mut Uart<'_>, event: &image::Event) {
    use image::Event as E;
    match event {
        E::RevisionStated { kind, chip, minimum } => {
            let kind = match kind {
                Kind::App => "application",
                Kind::Bootloader => "bootloader",
            };
            uart.info("boot_comm", &format!("chip revision: {chip}, min. {kind} chip revision: {minimum}"));
        }
        E::SpiModeOdd { offset, mode } => {
            uart.warn("esp_image", &format!("image at {offset:#x} has invalid SPI mode {mode}"));
        }
        E::SpiSizeOdd { offset, size } => {
            uart.warn("esp_image", &format!("image at {offset:#x} has invalid SPI size {size}"));
        }
        E::Segment { index, flash_address, load_addr, length, action } => {
            let action = match action {
                SegmentUse::Load => "load",
                SegmentUse::Map => "map",
                SegmentUse::Skip => "",
            };
            let text = if uart.idf.since(4, 3) {
                format!(
                    "segment {index}: paddr={flash_address:08x} vaddr={load_addr:08x} size={length:05x}h ({length:6}) {action}"
                )
            } else {
                format!(
                    "segment {index}: paddr={flash_address:#010x} vaddr={load_addr:#010x} size={length:#07x} ({length:6}) {action}"
                )
            };
            uart.info("esp_image", &text);
            uart.spend(u64::from(*length) / 12);
        }
        E::VerifyingSignature => uart.info("esp_image", "Verifying image signature..."),
        E::Signature(event) => signature(uart, event),
        E::Refused(refusal) => refused(uart, refusal),
    }
}

fn signature(uart: &mut Uart<'_>, event: &SignatureEvent) {
    let tag = if uart.idf.since(4, 3) { "secure_boot_v2" } else { "secure_boot" };
    match event {
        SignatureEvent::BadV1Version { found } => {
            let suffix = uart.since(&[((0, 0), ""), ((4, 4), " (image without a signature?)")]);
            // the bootloader's check of v1 has this tag in every release
            uart.error("secure_boot", &format!("image has invalid signature version field {found:#010x}{suffix}"));
        }
        SignatureEvent::NotEnforced if uart.idf.since(4, 3) => {
            uart.info(tag, "Secure boot V2 is not enabled yet and eFuse digest keys are not set");
        }
        SignatureEvent::NotEnforced => uart.info(tag, "Secure Boot EFuse bit(ABS_DONE_1) not yet programmed."),
        SignatureEvent::DigestDiffers => {
            uart.warn(tag, "Public key digest in eFuse BLK2 and the signature block don't match.");
        }
        SignatureEvent::Verifying { scheme: SecureBootScheme::V2Rsa3072 } => {
            uart.info(tag, "Verifying with RSA-PSS...");
        }
        SignatureEvent::Verifying { .. } => uart.info(tag, "Verifying with ECDSA..."),
        SignatureEvent::Block { index, error } => signature_block(uart, *index, error),
        SignatureEvent::NoBlockOfScheme { scheme } => {
            uart.error(tag, "No signature block generated for valid scheme");
            let name = if *scheme == SecureBootScheme::V2Rsa3072 { "RSA" } else { "ECDSA" };
            uart.error(tag, &format!("{name} signing scheme selected but no signature block for the selected scheme"));
        }
        SignatureEvent::Verified if uart.idf.since(4, 3) => uart.info(tag, "Signature verified successfully!"),
        SignatureEvent::Verified => {}
        SignatureEvent::Failed => uart.error(tag, "Secure Boot V2 verification failed."),
    }
}

fn refused(uart: &mut Uart<'_>, refusal: &Refusal) {
    use Refusal as R;
    let (tag, text) = match refusal {
        R::PartitionTooLarge { size } => ("esp_image", format!("partition size {size:#x} invalid, larger than 16MB")),
        R::ReadFailed { address } => ("esp_image", format!("bootloader_flash_read failed at {address:#010x}")),
        R::BadMagic { offset, .. } => {
            let suffix = uart.since(&[((0, 0), ""), ((4, 3), " (nothing flashed here?)")]);
            ("esp_image", format!("image at {offset:#x} has invalid magic byte{suffix}"))
        }
        R::WrongChip { expected, found } => {
            ("boot_comm", format!("mismatch chip ID, expected {expected}, found {found}"))
        }
        R::RevisionTooLow { required, found } if !uart.idf.since(4, 3) => (
            "boot_comm",
            format!("can't run on lower chip revision, expected {}, found {}", required.major(), found.major()),
        ),
        R::RevisionTooLow { required, found } if !uart.idf.since(5, 5) => {
            ("boot_comm", format!("Image requires chip rev >= {required}, but chip is {found}"))
        }
        R::RevisionTooLow { required, found } => {
            ("boot_comm", format!("chip revision check failed. Required >= {required}, found {found}."))
        }
        R::RevisionTooHigh { required, found } if !uart.idf.since(5, 5) => {
            ("boot_comm", format!("Image requires chip rev <= {required}, but chip is {found}"))
        }
        R::RevisionTooHigh { required, found } => {
            ("boot_comm", format!("chip revision check failed. Required <= {required}, found {found}."))
        }
        R::BlockRevisionTooLow { required, found } => {
            ("boot_comm", format!("Image requires efuse blk rev >= {required}, but chip is {found}"))
        }
        R::BlockRevisionTooHigh { required, found } => {
            ("boot_comm", format!("Image requires efuse blk rev <= {required}, but chip is {found}"))
        }
        R::TooManySegments { offset, count } => {
            ("esp_image", format!("image at {offset:#x} segment count {count} exceeds max 16"))
        }
        R::SegmentLength { length, .. } => ("esp_image", format!("invalid segment length {length:#x}")),
        R::NoRoomForDescriptor { index, length } => {
            ("esp_image", format!("Segment {index}: length {length:#x} is too short for app description"))
        }
        R::NoDescriptor { .. } => ("esp_image", "Failed to fetch app description header!".into()),
        R::Misaligned { index, load_addr, flash_address } => (
            "esp_image",
            format!("Segment {index} load address {load_addr:#010x}, doesn't match data {flash_address:#010x}"),
        ),
        R::Destination { index, start, end, reason } => {
            let reason = match reason {
                BadDestination::Stack => "overlaps bootloader stack",
                BadDestination::Data => "overlaps bootloader data",
                BadDestination::LoaderIram => "overlaps loader IRAM",
                BadDestination::Range => "bad load address range",
            };
            ("esp_image", format!("Segment {index} {start:#010x}-{end:#010x} invalid: {reason}"))
        }
        R::BeyondFlash { flash_address, length, .. } => {
            ("esp_image", format!("bootloader_mmap({flash_address:#x}, {length:#x}) failed"))
        }
        R::Wrapped => ("esp_image", "image offset has wrapped".into()),
        R::Checksum { calculated, read } => {
            ("esp_image", format!("Checksum failed. Calculated {calculated:#x} read {read:#x}"))
        }
        R::TooLong { length, partition } => {
            ("esp_image", format!("Image length {length} doesn't fit in partition length {partition}"))
        }
        R::Hash => ("esp_image", HASH_FAILED.into()),
        R::Signature { hash_matches } => {
            uart.error("esp_image", "Secure boot signature verification failed");
            uart.info("esp_image", "Calculating simple hash to check for corruption...");
            if *hash_matches {
                uart.warn("esp_image", "image valid, signature bad");
            } else {
                uart.error("esp_image", HASH_FAILED);
                uart.warn("esp_image", "image corrupted on flash");
            }
            return;
        }
    };
    uart.error(tag, &text);
}

const HASH_FAILED: &str = "Image hash failed - image is corrupt";
