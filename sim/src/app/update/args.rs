//! The options of `device ota`.

use crate::{
    http::Fault,
    tools::{Failure, size},
};
use clap::{Parser, ValueEnum};

/// The running app fetches an update and installs it.
#[derive(Debug, Parser)]
#[command(name = "device ota", no_binary_name = true, disable_version_flag = true)]
pub struct Args {
    /// A file, sent over a transport of the app's own (MQTT, TCP), or a URL: http://localhost/FILE is served from the
    /// scenario's folder
    pub source: String,
    /// Whose updater the app is built on
    #[arg(long, default_value = "esp-idf")]
    pub via: Via,
    /// What is sent
    #[arg(long = "as", default_value = "plain")]
    pub way: As,
    /// Key that opens envelopes: PEM for esp_encrypted_img, 32 bytes for AES-CBC; without it, the HMAC key in eFuse
    #[arg(long)]
    pub key: Option<String>,
    /// CA certificate that the app trusts
    #[arg(long)]
    pub cert: Option<String>,
    /// Bytes that the app takes at a time
    #[arg(long, default_value = "1024", value_parser = size)]
    pub chunk: u64,
    /// The connection is lost at this byte of the file, once; several drops strike one after the other
    #[arg(long, value_parser = size)]
    pub drop_at: Vec<u64>,
    /// Go on where a lost connection left off (esp_https_ota: ota_resumption); dryburn's updater does so by itself, and with
    /// this also after a reset, from what it wrote to a data partition `progress`
    #[arg(long)]
    pub resume: bool,
    /// Fetch in windows of this many bytes (esp_https_ota: partial_http_download)
    #[arg(long, value_parser = size)]
    pub partial: Option<u64>,
    /// What the server does wrong
    #[arg(long)]
    pub server: Vec<Fault>,
    /// Certificate of an https server
    #[arg(long)]
    pub server_cert: Option<String>,
    /// Private key of an https server
    #[arg(long)]
    pub server_key: Option<String>,
    /// Longest silence in milliseconds
    #[arg(long, default_value_t = 5000)]
    pub timeout: u64,
    /// Longest time for one request in milliseconds
    #[arg(long, default_value_t = 60000)]
    pub deadline: u64,
    /// Leave out the example's check that the new version is another one
    #[arg(long)]
    pub any_version: bool,
}

/// Whose updater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Via {
    /// ESP-IDF's API, as its examples use it
    EspIdf,
    /// The core crate's updater
    Dryburn,
}

/// What is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum As {
    /// The app; the device encrypts what it writes
    Plain,
    /// Ciphertext for the slot's address, written as it is; otadata is written as ever
    Raw,
    /// As raw, and otadata is written past the encryption unit, too (report R5)
    RawAll,
    /// The app in a transport encryption
    Envelope,
}

/// Most bytes that an app takes at a time.
const MOST_CHUNK: u64 = 1024 * 1024;

impl Args {
    /// Reads the words behind `device ota`.
    ///
    /// # Errors
    /// Unknown options, values that do not fit.
    pub fn read(words: &[&str]) -> Result<Self, Failure> {
        let args = Self::try_parse_from(words).map_err(|e| Failure::new(e.render().to_string()))?;
        if args.chunk == 0 || args.chunk > MOST_CHUNK {
            return Err(Failure::new(format!("--chunk {}: choose 1 to {MOST_CHUNK} bytes", args.chunk)));
        }
        for (name, millis) in [("timeout", args.timeout), ("deadline", args.deadline)] {
            if !(1..=600_000).contains(&millis) {
                return Err(Failure::new(format!("--{name} {millis}: choose 1 to 600000 milliseconds")));
            }
        }
        if args.via == Via::Dryburn && args.way == As::RawAll {
            return Err(Failure::new(
                "--as raw-all: dryburn's updater writes otadata through the encryption unit; use --as raw",
            ));
        }
        Ok(args)
    }

    /// Bytes that the app takes at a time.
    pub fn chunk(&self) -> usize {
        self.chunk as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_do_not_fit_are_refused_and_say_what_does() {
        let plain = Args::read(&["app.bin"]).expect("a file is enough");
        assert_eq!((plain.via, plain.way, plain.chunk()), (Via::EspIdf, As::Plain, 1024));
        for (words, text) in [
            (&["app.bin", "--chunk", "0"][..], "choose 1 to"),
            (&["app.bin", "--timeout", "0"], "choose 1 to"),
            (&["app.bin", "--server", "explode"], "there are drop-at=N"),
            (&["app.bin", "--as", "raw-all", "--via", "dryburn"], "use --as raw"),
            (&["app.bin", "--via", "nobody"], "esp-idf, dryburn"),
            (&[], "<SOURCE>"),
        ] {
            let failure = Args::read(words).expect_err("refused");
            assert!(failure.text.contains(text) && failure.status == 2, "{words:?}: {}", failure.text);
        }
    }
}
