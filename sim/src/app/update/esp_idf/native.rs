//! As `native_ota_example` does it: the app fetches by itself, and calls `esp_ota_begin`, `esp_ota_write`, `esp_ota_end`,
//! `esp_ota_set_boot_partition`. Patched to write raw, it calls `esp_partition_write_raw` instead of `esp_ota_write`.

use super::{
    super::{
        Args,
        args::As,
        key::Key,
        transport::{Cut, Transport},
    },
    End, Voice, decrypt, is_later, name,
};
use crate::{
    app::{
        EspError, EspOta, Partition,
        esp_ota::{Handle, ImageSize},
        flash,
        https_ota::Decrypt,
    },
    tools::Failure,
};
use dryburn::image::{APP_DESCRIPTOR_SIZE, AppDescriptor, DESCRIPTOR_OFFSET, Kind};

const SAYS: Voice = Voice("native_ota_example");

/// A connection that is lost so often without a byte in between is given up.
const MOST_FRUITLESS: u32 = 3;

/// The image on its way into the slot.
struct Writer {
    handle: Handle,
    partition: Partition,
    /// Written past the encryption unit, so many bytes.
    raw: Option<u32>,
    decrypt: Option<Box<dyn Decrypt>>,
    header_seen: bool,
}

pub(super) fn run(
    ota: &mut EspOta<'_>,
    args: &Args,
    mut transport: Transport,
    key: Option<Key>,
) -> Result<End, Failure> {
    SAYS.info(ota, "Starting OTA example");
    greet(ota);
    if let Err(cut) = transport.connect() {
        SAYS.error(ota, format!("Failed to open HTTP connection: {cut}"));
        return Ok(fatal(ota));
    }
    let Ok(Some(partition)) = ota.next_update_partition(None) else {
        return Ok(fatal(ota));
    };
    let (subtype, offset) = (partition.subtype.0, partition.address);
    SAYS.info(ota, format!("Writing to partition subtype {subtype} at offset {offset:#x}"));
    let raw = matches!(args.way, As::Raw | As::RawAll).then_some(0);
    let decrypt = key.map(|key| decrypt::callback(key, partition.size));
    let mut writer = Writer { handle: 0, partition, raw, decrypt, header_seen: false };
    match receive(ota, args, &mut transport, &mut writer) {
        Ok(total) => SAYS.info(ota, format!("Total Write binary data length: {total}")),
        Err(end) => {
            // the handle stays allocated until the app restarts
            return Ok(end.unwrap_or_else(|| fatal(ota)));
        }
    }
    Ok(if finish(ota, writer) { End::Installed } else { fatal(ota) })
}

fn fatal(ota: &mut EspOta<'_>) -> End {
    SAYS.error(ota, "Exiting task due to fatal error...");
    End::GaveUp(None)
}

fn greet(ota: &mut EspOta<'_>) {
    let running = ota.app.running().clone();
    let configured = ota.boot_partition().map_or(0, |partition| partition.address);
    if configured != running.address {
        SAYS.warn(
            ota,
            format!(
                "Configured OTA boot partition at offset 0x{configured:08x}, but running from offset 0x{:08x}",
                running.address
            ),
        );
        SAYS.warn(
            ota,
            "(This can happen if either the OTA boot data or preferred boot image become corrupted somehow.)",
        );
    }
    let (kind, subtype, offset) = (running.kind.0, running.subtype.0, running.address);
    SAYS.info(ota, format!("Running partition type {kind} subtype {subtype} (offset 0x{offset:08x})"));
}

/// Receives and writes all; gives the bytes received. An error without an [`End`] is the example's "fatal error".
fn receive(
    ota: &mut EspOta<'_>,
    args: &Args,
    transport: &mut Transport,
    writer: &mut Writer,
) -> Result<u64, Option<End>> {
    let mut buf = vec![0; args.chunk()];
    let mut total = 0_u64;
    let mut fruitless = 0;
    loop {
        match transport.fill(&mut buf) {
            Ok(0) => break,
            Ok(n) => {
                fruitless = 0;
                total = total.saturating_add(n as u64);
                writer.take(ota, args, buf.get(..n).unwrap_or(&[]))?;
            }
            Err(cut) if args.resume && cut.is_passing() && fruitless < MOST_FRUITLESS => {
                fruitless += 1;
                SAYS.warn(ota, format!("{cut}; going on at {total}"));
                if let Err(again) = transport.connect()
                    && !again.is_passing()
                {
                    SAYS.error(ota, again.to_string());
                    return Err(None);
                }
            }
            Err(cut @ Cut::Http(crate::http::HttpError::Stalled { .. })) => {
                return Err(Some(End::Stuck(cut.to_string())));
            }
            Err(Cut::Lost(_)) => {
                SAYS.error(ota, "Connection closed, errno = 128");
                break;
            }
            Err(cut) => {
                SAYS.error(ota, cut.to_string());
                break;
            }
        }
    }
    if transport.is_complete() {
        SAYS.info(ota, "Connection closed");
        return Ok(total);
    }
    SAYS.info(ota, format!("Total Write binary data length: {total}"));
    SAYS.error(ota, "Error in receiving complete file");
    Err(None)
}

impl Writer {
    fn take(&mut self, ota: &mut EspOta<'_>, args: &Args, data: &[u8]) -> Result<(), Option<End>> {
        let opened = match self.decrypt.as_mut().map(|decrypt| decrypt.decrypt(&mut ota.app, data)) {
            None => None,
            Some(Ok(plain)) => Some(plain),
            Some(Err(error)) => {
                SAYS.error(ota, format!("Decrypt callback failed {}", error.code().unwrap_or(-1)));
                return Err(None);
            }
        };
        let data = opened.as_deref().unwrap_or(data);
        if data.is_empty() {
            return Ok(());
        }
        if !self.header_seen {
            self.header_seen = true;
            self.first(ota, args, data)?;
        }
        let written = match self.raw {
            None => ota.write(self.handle, Some(data)),
            Some(at) => {
                self.raw = Some(at.saturating_add(data.len() as u32));
                self.write_raw(ota, at, data)
            }
        };
        written.map_err(|error| {
            SAYS.error(ota, format!("esp_ota_write failed ({})", name(error)));
            None
        })
    }

    /// With the first bytes: the version check, where the descriptor is in them and readable, then `esp_ota_begin`.
    fn first(&mut self, ota: &mut EspOta<'_>, args: &Args, data: &[u8]) -> Result<(), Option<End>> {
        let from = DESCRIPTOR_OFFSET as usize;
        let descriptor = data.get(from..).and_then(|rest| rest.first_chunk::<APP_DESCRIPTOR_SIZE>());
        if let Some(raw) = descriptor.filter(|_| self.raw.is_none()) {
            let descriptor = AppDescriptor::from_bytes(*raw);
            SAYS.info(ota, format!("New firmware version: {}", printable(descriptor.version())));
            if !SAYS.accepts(ota, &descriptor, args) {
                return Err(Some(End::GaveUp(None)));
            }
        }
        // raw writes have to find erased flash
        let sequential = is_later(ota.app.idf()) && self.raw.is_none();
        let size = if sequential { ImageSize::Sequential } else { ImageSize::Unknown };
        let (handle, begun) = ota.begin(Some(&self.partition), size);
        self.handle = handle;
        if let Err(error) = begun {
            SAYS.error(ota, format!("esp_ota_begin failed ({})", name(error)));
            return Err(None);
        }
        SAYS.info(ota, "esp_ota_begin succeeded");
        Ok(())
    }

    fn write_raw(&self, ota: &mut EspOta<'_>, at: u32, data: &[u8]) -> Result<(), EspError> {
        let end = u64::from(at).saturating_add(data.len() as u64);
        if end > u64::from(self.partition.size) {
            return Err(EspError::InvalidSize);
        }
        flash::write_raw(&mut ota.app, self.partition.address.saturating_add(at), data)
    }
}

/// What a terminal shows of a version text, which is noise when the image is none.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '.' }).collect()
}

fn finish(ota: &mut EspOta<'_>, mut writer: Writer) -> bool {
    if let Some(Err(error)) = writer.decrypt.as_mut().map(|decrypt| decrypt.end(&mut ota.app)) {
        SAYS.error(ota, format!("esp_encrypted_img_decrypt_end failed {}", error.code().unwrap_or(-1)));
        return false;
    }
    let ended = if writer.raw.is_some() {
        // the patched esp_ota_end keeps its verification
        let verdict = ota.app.verify_image(&writer.partition, Kind::App, false);
        verdict.map_err(|_| EspError::OtaValidateFailed)
    } else {
        ota.end(writer.handle)
    };
    if let Err(error) = ended {
        if error == EspError::OtaValidateFailed {
            SAYS.error(ota, "Image validation failed, image is corrupted");
        }
        SAYS.error(ota, format!("esp_ota_end failed ({})!", name(error)));
        return false;
    }
    if let Err(error) = ota.set_boot_partition(Some(&writer.partition)) {
        SAYS.error(ota, format!("esp_ota_set_boot_partition failed ({})!", name(error)));
        return false;
    }
    SAYS.info(ota, "Prepare to restart system!");
    true
}
