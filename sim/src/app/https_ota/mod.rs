//! `esp_https_ota`: an update fetched over HTTP(S) and written as it arrives. Behaviour sheet §5.6.
//!
//! `begin`, `get_img_desc`, `perform`, `finish` and `abort` as an app calls them; `connect` is the part that talks to the
//! server. Nothing here was recorded, it is by source: UNVERIFIED. The component checks status codes only, so what a server
//! says in `Content-Range` is not looked at, and a server that falls silent keeps it waiting for ever.

mod connect;
mod event;
mod release;

pub use event::Event;
pub use release::Release;

use super::{
    App, EspError, EspOta, Partition,
    esp_ota::{Handle, ImageSize},
};
use crate::http::{Client, HttpError, Reply};
use dryburn::image::{
    APP_DESCRIPTOR_MAGIC, APP_DESCRIPTOR_SIZE, AppDescriptor, DESCRIPTOR_OFFSET, HEADER_SIZE, Header,
};

/// `esp_https_ota_config_t`, with the `esp_http_client_config_t` in it.
pub struct Config<'c> {
    /// Where the image lies.
    pub url: String,
    /// Time-outs, redirects and trusted CA.
    pub client: Client,
    /// A CA certificate was given (`cert_pem`).
    pub has_certificate: bool,
    /// `buffer_size`; less than the size of the image header is raised to it.
    pub buffer_size: usize,
    /// `bulk_flash_erase`: all at the begin, instead of sector by sector.
    pub bulk_flash_erase: bool,
    /// `partial_http_download`, with `max_http_request_size` in bytes.
    pub partial: Option<u32>,
    /// `ota_resumption`, with `ota_image_bytes_written`.
    pub resume_from: Option<u32>,
    /// `decrypt_cb`.
    pub decrypt: Option<&'c mut dyn Decrypt>,
    /// `enc_img_header_size` in bytes, for partial downloads of an envelope.
    pub enc_img_header_size: u32,
}

/// `decrypt_cb` and what the app calls when all has arrived.
pub trait Decrypt {
    /// Takes bytes as they arrived and gives the plaintext that they make; none when more is needed first.
    ///
    /// # Errors
    /// The envelope is refused.
    fn decrypt(&mut self, app: &mut App<'_>, data: &[u8]) -> Result<Vec<u8>, EspError>;

    /// The envelope is complete: checks its tag.
    ///
    /// # Errors
    /// It is not authentic, or not complete.
    fn end(&mut self, app: &mut App<'_>) -> Result<(), EspError>;
}

/// What one `esp_https_ota_perform` did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Performed {
    /// `ESP_ERR_HTTPS_OTA_IN_PROGRESS`: call it again.
    InProgress,
    /// `ESP_OK`: the server has no more.
    Done,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Begin,
    Resume,
    InProgress,
    Success,
}

/// `esp_https_ota_handle_t`.
pub struct HttpsOta<'c> {
    config: Config<'c>,
    release: &'static Release,
    reply: Reply,
    partition: Partition,
    handle: Handle,
    state: State,
    /// Image header that was read ahead of `perform`.
    header: Vec<u8>,
    /// `binary_file_len`: bytes written.
    written: u32,
    /// `image_length`: of the plaintext, where the server tells a length.
    image_length: Option<u64>,
    /// What ended the download, where it was not the end of the image.
    pub failure: Option<HttpError>,
}

impl<'c> HttpsOta<'c> {
    /// `esp_https_ota_begin`: connects and picks the slot; nothing is erased yet.
    ///
    /// # Errors
    /// 0x102 without a CA certificate unless the app was built to allow that, whatever connecting says, -1 without a slot.
    pub fn begin(ota: &mut EspOta<'_>, config: Config<'c>) -> Result<Self, (EspError, Option<HttpError>)> {
        let release = Release::of(ota.app.idf());
        if !config.has_certificate {
            let allowed = ota.app.is_built_with("ESP_HTTPS_OTA_ALLOW_HTTP") || ota.app.is_built_with("OTA_ALLOW_HTTP");
            ota.app.tell(Event::NoCertificate { allowed }.into());
            if !allowed {
                return Err((EspError::InvalidArg, None));
            }
        }
        if config.decrypt.is_some() && config.resume_from.is_some() {
            return Err((EspError::NotSupported, None));
        }
        let (reply, written, image_length) = connect::first(&mut ota.app, &config, release)?;
        ota.app.tell(Event::Starting.into());
        let Ok(Some(partition)) = ota.next_update_partition(None) else {
            ota.app.tell(Event::NoPassivePartition.into());
            return Err((EspError::Fail, None));
        };
        ota.app.tell(
            Event::WritingTo {
                label: partition.label.clone(),
                subtype: partition.subtype.0,
                offset: partition.address,
            }
            .into(),
        );
        let state = if written > 0 { State::Resume } else { State::Begin };
        Ok(Self {
            config,
            release,
            reply,
            partition,
            handle: 0,
            state,
            header: Vec::new(),
            written,
            image_length,
            failure: None,
        })
    }

    /// The slot that is written.
    pub fn partition(&self) -> &Partition {
        &self.partition
    }

    /// `esp_https_ota_get_image_len_read`: bytes of the image that are written.
    pub fn image_len_read(&self) -> u32 {
        self.written
    }

    /// `esp_https_ota_get_img_desc`: the new app's descriptor, read from the server, or, when the update is resumed, from
    /// flash.
    ///
    /// # Errors
    /// 0x106 when a decrypt callback is set; -1 when the header does not arrive, or holds no descriptor.
    pub fn get_img_desc(&mut self, ota: &mut EspOta<'_>) -> Result<AppDescriptor, EspError> {
        if self.config.decrypt.is_some() {
            return Err(EspError::NotSupported);
        }
        let mut raw = [0; APP_DESCRIPTOR_SIZE];
        if self.state == State::Resume {
            ota.app.partition_read(&self.partition, DESCRIPTOR_OFFSET, &mut raw)?;
        } else {
            if self.header.is_empty() {
                self.read_header(ota)?;
            }
            let from = DESCRIPTOR_OFFSET as usize;
            raw.copy_from_slice(self.header.get(from..from + APP_DESCRIPTOR_SIZE).ok_or(EspError::Fail)?);
        }
        let descriptor = AppDescriptor::from_bytes(raw);
        if self.release.checks_descriptor_magic && descriptor.magic_word() != APP_DESCRIPTOR_MAGIC {
            ota.app.tell(Event::BadDescriptor.into());
            return Err(EspError::Fail);
        }
        Ok(descriptor)
    }

    fn read_header(&mut self, ota: &mut EspOta<'_>) -> Result<(), EspError> {
        let mut header = vec![0; self.release.header_size];
        let mut filled = 0;
        while filled < header.len() {
            match self.reply.fill(header.get_mut(filled..).unwrap_or(&mut [])) {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(error) => {
                    let waits = matches!(error, HttpError::Stalled { .. } | HttpError::TooSlow { .. });
                    self.failure = Some(error);
                    if waits {
                        return Err(EspError::NeverReturns);
                    }
                    break;
                }
            }
        }
        if filled < header.len() {
            ota.app.tell(Event::HeadersIncomplete.into());
            return Err(EspError::Fail);
        }
        self.header = header;
        Ok(())
    }

    /// `esp_https_ota_perform`: one step of reading and writing.
    ///
    /// # Errors
    /// What `esp_ota_begin` and `esp_ota_write` say, 0x10A for an image of another chip, -1 when the connection ends early.
    /// [`EspError::NeverReturns`] when the server falls silent: the component asks again for ever.
    pub fn perform(&mut self, ota: &mut EspOta<'_>) -> Result<Performed, EspError> {
        match self.state {
            State::Begin => self.perform_first(ota),
            State::Resume => {
                let sequential = !self.config.bulk_flash_erase;
                self.handle = ota.resume(&self.partition, sequential, self.written).inspect_err(|error| {
                    ota.app.tell(Event::ResumeFailed { error: *error }.into());
                })?;
                self.state = State::InProgress;
                self.perform_next(ota)
            }
            State::InProgress => self.perform_next(ota),
            State::Success => {
                ota.app.tell(Event::InvalidState.into());
                Err(EspError::Fail)
            }
        }
    }

    fn perform_first(&mut self, ota: &mut EspOta<'_>) -> Result<Performed, EspError> {
        let size = match self.image_length.and_then(|length| u32::try_from(length).ok()) {
            _ if !self.release.sequential => ImageSize::Unknown,
            _ if !self.config.bulk_flash_erase => ImageSize::Sequential,
            Some(length) => ImageSize::Bytes(length),
            None => ImageSize::Unknown,
        };
        let (handle, begun) = ota.begin(Some(&self.partition), size);
        self.handle = handle;
        if let Err(error) = begun {
            ota.app.tell(Event::BeginFailed { error }.into());
            return Err(error);
        }
        self.state = State::InProgress;
        if self.header.is_empty() {
            if !self.release.checks_header {
                return self.perform_next(ota);
            }
            self.read_header(ota)?;
        }
        let header = std::mem::take(&mut self.header);
        let plain = match self.opened(ota, &header) {
            Ok(Some(plain)) => plain,
            Ok(None) | Err(_) => {
                ota.app.tell(Event::HeaderDecryptionFailed.into());
                return Err(EspError::Fail);
            }
        };
        if self.release.checks_header {
            self.check_chip(ota, &plain)?;
        }
        self.write(ota, &plain)
    }

    /// What the decrypt callback makes of `data`, or `data` itself; `None` when it makes nothing yet.
    fn opened(&mut self, ota: &mut EspOta<'_>, data: &[u8]) -> Result<Option<Vec<u8>>, EspError> {
        let Some(decrypt) = self.config.decrypt.as_mut() else { return Ok(Some(data.to_vec())) };
        match decrypt.decrypt(&mut ota.app, data) {
            Ok(plain) if plain.is_empty() => Ok(None),
            Ok(plain) => Ok(Some(plain)),
            Err(error) => {
                ota.app.tell(Event::DecryptFailed { error }.into());
                Err(error)
            }
        }
    }

    fn check_chip(&mut self, ota: &mut EspOta<'_>, image: &[u8]) -> Result<(), EspError> {
        let chip = ota.app.device.chip();
        let expected = chip.spec().image_chip_id;
        let Some(header) = image.first_chunk::<HEADER_SIZE>().map(|raw| Header::from_bytes(*raw)) else {
            return Ok(());
        };
        let found = header.chip_id();
        if found == expected {
            return Ok(());
        }
        ota.app.tell(Event::OtherChip { expected, found }.into());
        Err(EspError::InvalidVersion)
    }

    fn perform_next(&mut self, ota: &mut EspOta<'_>) -> Result<Performed, EspError> {
        let mut buffer = vec![0; self.config.buffer_size.max(self.release.header_size)];
        match self.reply.fill(&mut buffer) {
            Ok(0) if self.reply.is_complete() => {
                if self.release.tells_the_end {
                    ota.app.tell(Event::ConnectionClosed.into());
                }
            }
            Ok(0) | Err(HttpError::Incomplete { .. }) => return Err(self.closed_early(ota)),
            Ok(n) => {
                buffer.truncate(n);
                return match self.opened(ota, &buffer)? {
                    Some(plain) => self.write(ota, &plain),
                    None => Ok(Performed::InProgress),
                };
            }
            Err(error) => {
                // a read that times out is answered with "in progress"
                let waits = matches!(error, HttpError::Stalled { .. } | HttpError::TooSlow { .. });
                self.failure = Some(error);
                if waits {
                    return Err(EspError::NeverReturns);
                }
                ota.app.tell(Event::ReadFailed.into());
                return Err(EspError::Fail);
            }
        }
        let more = self.config.partial.is_some() && self.image_length.is_some_and(|all| all > u64::from(self.written));
        if more {
            self.reply = connect::next(&mut ota.app, &self.config, self.written, self.image_length)?;
            return Ok(Performed::InProgress);
        }
        self.state = State::Success;
        Ok(Performed::Done)
    }

    fn closed_early(&mut self, ota: &mut EspOta<'_>) -> EspError {
        self.failure = Some(HttpError::Incomplete {
            url: self.reply.url().into(),
            received: self.reply.received(),
            expected: self.reply.length(),
        });
        ota.app.tell(Event::ClosedEarly.into());
        EspError::Fail
    }

    fn write(&mut self, ota: &mut EspOta<'_>, plain: &[u8]) -> Result<Performed, EspError> {
        if let Err(error) = ota.write(self.handle, Some(plain)) {
            ota.app.tell(Event::WriteFailed { error }.into());
            return Err(error);
        }
        self.written = self.written.saturating_add(plain.len() as u32);
        Ok(Performed::InProgress)
    }

    /// `esp_https_ota_is_complete_data_received`.
    pub fn is_complete_data_received(&self) -> bool {
        match self.config.partial {
            Some(_) => self.image_length == Some(u64::from(self.written)),
            None => self.reply.is_complete(),
        }
    }

    /// The decrypt callback's end, which the app calls before [`finish`](Self::finish).
    ///
    /// # Errors
    /// The envelope is not authentic, or not complete.
    pub fn decrypt_end(&mut self, ota: &mut EspOta<'_>) -> Result<(), EspError> {
        match self.config.decrypt.as_mut() {
            Some(decrypt) => decrypt.end(&mut ota.app),
            None => Ok(()),
        }
    }

    /// `esp_https_ota_finish`: verifies the image and chooses its slot for the next boot.
    ///
    /// # Errors
    /// What `esp_ota_end` and `esp_ota_set_boot_partition` say.
    pub fn finish(self, ota: &mut EspOta<'_>) -> Result<(), EspError> {
        if matches!(self.state, State::Begin | State::Resume) {
            return Ok(());
        }
        ota.end(self.handle)?;
        if self.state != State::Success {
            return Ok(());
        }
        ota.set_boot_partition(Some(&self.partition)).inspect_err(|error| {
            ota.app.tell(Event::SetBootFailed { error: *error }.into());
        })
    }

    /// `esp_https_ota_abort`: what was written stays in flash.
    pub fn abort(self, ota: &mut EspOta<'_>) {
        if matches!(self.state, State::InProgress | State::Success) {
            // the only error is an unknown handle
            let _ = ota.abort(self.handle);
        }
    }
}
