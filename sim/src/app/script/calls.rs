//! The calls of a script, and their results in the form of the recordings.

use super::{
    Console, Ended,
    language::{Call, Line, Name, Source},
};
use crate::{
    app::{EspError, EspOta, Partition, esp_ota::Restart, flash},
    tools::Failure,
};
use std::borrow::Cow;

/// No handle ever has this number.
const NO_HANDLE: u32 = 0xDEAD_BEEF;

pub(super) struct Calls<'a, 'd> {
    pub ota: EspOta<'d>,
    /// What the last `begin` gave.
    pub handle: u32,
    pub image: Option<&'a [u8]>,
    pub console: &'a mut Console,
}

impl Calls<'_, '_> {
    /// Runs one line and prints it with its result.
    pub fn run(&mut self, line: &Line) -> Result<Ended, Failure> {
        self.console.line(&format!("$ {}", line.text));
        let handle = self.handle;
        let result = match &line.call {
            Call::Info => {
                self.info();
                return Ok(Ended::Done);
            }
            Call::NextFrom(name) => {
                let from = self.partition(name)?;
                return Ok(match self.ota.next_update_partition(from.as_ref()) {
                    Ok(next) => {
                        self.console.line(&format!("> {} = {}", line.text, shown(next.as_ref())));
                        Ended::Done
                    }
                    Err(error) => self.print(&line.text, Err(error)),
                });
            }
            Call::LastInvalid => {
                let last = self.ota.last_invalid_partition();
                self.flush();
                self.console.line(&format!("> {} = {}", line.text, shown(last.as_ref())));
                return Ok(Ended::Done);
            }
            Call::Begin(name, size) => {
                let partition = self.partition(name)?;
                let (handle, result) = self.ota.begin(partition.as_ref(), *size);
                self.handle = handle;
                let ended = self.print(&line.text, result);
                self.console.line(&format!("> handle = {handle}"));
                return Ok(ended);
            }
            Call::WriteImage { source, chunk, first } => {
                let mut data = self.bytes(*source)?;
                if let (Some(first), Some(byte)) = (first, data.first_mut()) {
                    *byte = *first;
                }
                let mut accepted = 0;
                let mut result = Ok(());
                for piece in data.chunks(*chunk as usize) {
                    result = self.ota.write(handle, Some(piece));
                    if result.is_err() {
                        break;
                    }
                    accepted += piece.len();
                }
                let ended = self.print(&line.text, result);
                self.console.line(&format!("> accepted = {accepted} bytes"));
                return Ok(ended);
            }
            Call::WriteOffset { source, to } => {
                let data = self.bytes(*source)?;
                self.ota.write_with_offset(handle, Some(&data), *to)
            }
            Call::WriteEmpty => self.ota.write(handle, Some(&[])),
            Call::WriteNull => self.ota.write(handle, None),
            Call::WriteBad => self.ota.write(NO_HANDLE, Some(&[0xE9; 16])),
            Call::WriteOffsetBad => self.ota.write_with_offset(NO_HANDLE, Some(&[0xE9; 16]), 0),
            Call::End => self.ota.end(handle),
            Call::Abort => self.ota.abort(handle),
            Call::Set(name) => {
                let partition = self.partition(name)?;
                self.ota.set_boot_partition(partition.as_ref())
            }
            Call::State(name) => {
                let partition = self.partition(name)?;
                let state = self.ota.state_partition(partition.as_ref());
                let ended = self.print(&line.text, state.map(|_| ()));
                if let Ok(state) = state {
                    self.console.line(&format!("> state = {:#x}", state.to_word()));
                }
                return Ok(ended);
            }
            Call::Description(name) => {
                let partition = self.partition(name)?;
                let found = self.ota.partition_description(partition.as_ref());
                let ended = self.print(&line.text, found.map(|_| ()));
                if let Ok(d) = found {
                    let (version, name, number) = (d.version(), d.project_name(), d.secure_version());
                    self.console.line(&format!("> version={version} name={name} secver={number}"));
                }
                return Ok(ended);
            }
            Call::Valid => self.ota.mark_app_valid_cancel_rollback(),
            Call::Invalid => match self.ota.mark_app_invalid_rollback_and_reboot() {
                Ok(Restart) => {
                    self.flush();
                    return Ok(Ended::Restarted);
                }
                Err(error) => Err(error),
            },
            Call::EraseLast => self.ota.erase_last_boot_app_partition(),
            Call::WriteEncrypted { source, address } => {
                if !self.ota.app.flash_encryption() {
                    let text = "encwrite: flash encryption is off; what is written then is not modelled";
                    return Err(Failure::new(text));
                }
                let data = self.bytes(*source)?;
                flash::write_encrypted(&mut self.ota.app, *address, &data)
            }
            Call::WriteRaw { source, address } => {
                let data = self.bytes(*source)?;
                flash::write_raw(&mut self.ota.app, *address, &data)
            }
            Call::EraseRaw { address, len } => flash::erase(&mut self.ota.app, *address, *len),
        };
        Ok(self.print(&line.text, result))
    }

    fn flush(&mut self) {
        self.console.log(&mut self.ota.app);
    }

    /// What the app has logged, then the result of a call.
    fn print(&mut self, text: &str, result: Result<(), EspError>) -> Ended {
        self.flush();
        match result {
            Ok(()) => self.console.line(&format!("> {text} -> 0x0 (0) ESP_OK")),
            Err(EspError::Aborts) => return Ended::Restarted,
            Err(EspError::NeverReturns) => return Ended::Hangs,
            Err(error) => self.console.line(&format!("> {text} -> {error}")),
        }
        Ended::Done
    }

    fn info(&mut self) {
        let running = shown(Some(self.ota.app.running()));
        self.console.line(&format!("> running = {running}"));
        let boot = self.ota.boot_partition();
        self.flush();
        self.console.line(&format!("> boot = {}", shown(boot.as_ref())));
        let next = self.ota.next_update_partition(None).ok().flatten();
        self.console.line(&format!("> next = {}", shown(next.as_ref())));
        let last = self.ota.last_invalid_partition();
        self.flush();
        self.console.line(&format!("> last_invalid = {}", shown(last.as_ref())));
        let count = self.ota.app_partition_count();
        self.console.line(&format!("> app_partition_count = {count}"));
        let possible = u8::from(self.ota.rollback_is_possible());
        self.flush();
        let encryption = u8::from(self.ota.app.flash_encryption());
        self.console.line(&format!("> rollback_possible = {possible} flash_enc = {encryption}"));
    }

    fn partition(&self, name: &Name) -> Result<Option<Partition>, Failure> {
        let next = || self.ota.next_update_partition(None).ok().flatten();
        Ok(match name {
            Name::Null => None,
            Name::Running => Some(self.ota.app.running().clone()),
            Name::Next => next(),
            Name::Fake => next().map(|p| Partition { size: p.size.saturating_sub(0x1000), ..p }),
            Name::Label(label) => {
                let found = self.ota.app.partitions().iter().find(|p| p.label == *label);
                let missing = || Failure::new(format!("device app: the partition table has no '{label}'"));
                Some(found.ok_or_else(missing)?.clone())
            }
        })
    }

    /// A part of what the app has been sent.
    fn bytes(&self, source: Source) -> Result<Vec<u8>, Failure> {
        let all = self.sent()?;
        let from = source.offset as usize;
        let to = source.len.map_or(all.len(), |len| from.saturating_add(len as usize));
        all.get(from..to).map(<[u8]>::to_vec).ok_or_else(|| {
            Failure::new(format!(
                "device app: bytes {from:#x} to {to:#x} are not in the image, which has {:#x}",
                all.len()
            ))
        })
    }

    /// The image file, else the content of the partition `img`.
    fn sent(&self) -> Result<Cow<'_, [u8]>, Failure> {
        if let Some(image) = self.image {
            return Ok(image.into());
        }
        let app = &self.ota.app;
        let missing = || Failure::new("device app: nothing to write: give --image FILE, or have a partition 'img'");
        let img = app.partitions().iter().find(|p| p.label == "img").ok_or_else(missing)?;
        let mut data = vec![0; img.size as usize];
        app.partition_read(img, 0, &mut data).map_err(|error| Failure::new(format!("img: {error}")))?;
        Ok(data.into())
    }
}

/// A partition as the recordings print it.
fn shown(partition: Option<&Partition>) -> String {
    match partition {
        None => "NULL".into(),
        Some(p) => format!(
            "{} type={} subtype={:#x} addr={:#x} size={:#x} enc={}",
            p.label,
            p.kind.0,
            p.subtype.0,
            p.address,
            p.size,
            u8::from(p.encrypted)
        ),
    }
}
