//! A script of API calls, run by an app: `device app`.
//!
//! One call per line, in the language of the recorded runs; each line is echoed after `$ `, what the app logs comes next,
//! and the result after `> `. A line `---` restarts the board, and the next section runs at the next boot.
//!
//! | line | call |
//! |---|---|
//! | `info` | running, boot, next and last invalid partition, and what else can be asked |
//! | `begin P SIZE` | `esp_ota_begin`; SIZE may be `UNKNOWN` or `SEQ` |
//! | `writeimg OFFSET LEN CHUNK [FIRSTBYTE]` | `esp_ota_write` in pieces of CHUNK bytes |
//! | `writeoff OFFSET LEN TO` | `esp_ota_write_with_offset` |
//! | `write0`, `writenull`, `writebad`, `woffbad` | writes of nothing, of a null pointer, to an unknown handle |
//! | `end`, `abort` | `esp_ota_end`, `esp_ota_abort` |
//! | `set P`, `state P`, `desc P`, `nextfrom P` | `esp_ota_set_boot_partition`, `esp_ota_get_state_partition`, `esp_ota_get_partition_description`, `esp_ota_get_next_update_partition` |
//! | `valid`, `invalid` | `esp_ota_mark_app_valid_cancel_rollback`, `esp_ota_mark_app_invalid_rollback_and_reboot` |
//! | `eraselast`, `lastinv` | `esp_ota_erase_last_boot_app_partition`, `esp_ota_get_last_invalid_partition` |
//! | `encwrite OFFSET LEN ADDRESS` | `spi_flash_write_encrypted`, from ESP-IDF 4.4 on `esp_flash_write_encrypted` |
//! | `rawwrite OFFSET LEN ADDRESS`, `rawerase ADDRESS LEN` | `spi_flash_write`, `spi_flash_erase_range` |
//!
//! P is `NULL`, `running`, `next`, a label, or `fake`: the next partition with 0x1000 bytes less than it has. OFFSET and
//! LEN (`ALL`: to its end) are of the image that the app has been sent: a file, else the content of the partition `img`.
//! The last three lines are ours, the others those of the recordings.

mod calls;
mod language;

pub use language::{BadLine, Script};

use super::{App, AppBuild, EspOta};
use crate::{
    device::{Device, PowerCycle, Watch},
    rom::Rom,
    tools::Failure,
    uart,
};
use dryburn::{IdfVersion, efuse::security};

/// What a script printed, and what the board does now.
pub struct Transcript {
    /// UART text of the app and of every boot that the script caused.
    pub text: String,
    /// The last power cycle.
    pub cycle: PowerCycle,
}

/// What a section ended with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    /// Its last line.
    Done,
    /// A restart in its midst.
    Restarted,
    /// A call that never returns.
    Hangs,
}

/// The UART of a running app, and the text it has printed so far.
struct Console {
    text: String,
    idf: IdfVersion,
    rom: &'static Rom,
    micros: u64,
}

impl Console {
    /// A line of the script's own.
    fn line(&mut self, text: &str) {
        self.text.push_str(text);
        self.text.push('\n');
    }

    /// What the app has logged since the last time.
    fn log(&mut self, app: &mut App<'_>) {
        let events = app.take_events();
        self.text += &uart::render_app(&events, self.idf, self.rom, &mut self.micros);
    }
}

/// Runs `script` on the app that runs on `device` since `cycle`. `image` is what the app has been sent.
///
/// # Errors
/// No app runs, or a line asks for a partition or for bytes that there are not.
pub fn run(
    device: &mut Device,
    cycle: PowerCycle,
    build: &AppBuild,
    script: &Script,
    image: Option<&[u8]>,
) -> Result<Transcript, Failure> {
    let rom = Rom::of(device.chip(), security::chip_revision(&device.efuses));
    let mut transcript = Transcript { text: String::new(), cycle };
    let mut sections = script.sections().iter();
    for boot in 0.. {
        let section = sections.next();
        let Some(app) = App::started_with(device, &transcript.cycle, build) else {
            if boot == 0 {
                return Err(Failure::new("device app: no app runs on the board"));
            }
            return Ok(transcript);
        };
        let version = app.descriptor().map_or(String::new(), |d| d.version().to_owned());
        // an app prints its first line about a second after the reset
        let mut console = Console { text: String::new(), idf: app.idf(), rom, micros: 1_000_000 };
        console.line(&format!("APP START boot={boot} version={version}"));
        let mut calls = calls::Calls { ota: EspOta::new(app), handle: 0, image, console: &mut console };
        let mut ended = Ended::Done;
        for line in section.into_iter().flatten() {
            ended = calls.run(line)?;
            if ended != Ended::Done {
                break;
            }
        }
        transcript.text += &console.text;
        match ended {
            Ended::Hangs => {
                transcript.text += "--- dryburn: the call never returns\n";
                return Ok(transcript);
            }
            Ended::Done if sections.len() == 0 => {
                transcript.text += "CASE DONE\n";
                return Ok(transcript);
            }
            Ended::Done | Ended::Restarted => {
                transcript.cycle = device.reset(Watch::UntilSettled);
                let (text, remark) = uart::render_cycle(&transcript.cycle, rom);
                transcript.text += &text;
                transcript.text.extend(remark.map(|remark| format!("--- dryburn: {remark}\n")));
            }
        }
    }
    Ok(transcript)
}
