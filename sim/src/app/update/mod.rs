//! `device ota`: the running app fetches an update and installs it.
//!
//! | file | what it holds |
//! |---|---|
//! | `args` | the options of the command |
//! | `transport` | where the bytes come from: a file that someone sends, or a server |
//! | `key` | the key that opens envelopes |
//! | `esp_idf` | an app on ESP-IDF: `native` (as `native_ota_example`), `https` (as `advanced_https_ota`) |
//! | `own` | an app on the core's updater |
//! | `stored` | where that app keeps how far it got, over a reset |
//!
//! The board is left with the new slot chosen, or as it was; a reset is another command.

mod args;
mod esp_idf;
mod key;
mod own;
mod stored;
mod transport;

pub use args::Args;

use crate::{
    device::{Device, PowerCycle},
    http::{Fault, Server},
    tools::{Failure, Output, Workbench},
};
use args::Via;
use std::path::Path;
use transport::{Origin, Transport};

/// What an update came to.
struct Installed {
    /// What the app printed.
    text: String,
    /// The new slot starts next.
    done: bool,
}

/// Runs the update on the app that runs since `cycle`. Exit status 1 when it was not installed.
///
/// # Errors
/// No app runs, or the options do not fit together; the board is then as it was.
pub fn run(bench: &mut Workbench, cycle: &PowerCycle, words: &[&str]) -> Result<Output, Failure> {
    let args = Args::read(words)?;
    let key = key::load(bench, &args)?;
    let origin = Origin::of(&args.source)?;
    let (_server, ports) = match &origin {
        Origin::Server { url } if transport::names_no_port(url) => serve(bench, &args)?,
        Origin::Server { .. } => (None, Default::default()),
        Origin::Sent => (None, Default::default()),
    };
    let transport = Transport::new(bench, &args, origin, ports)?;
    let device: &mut Device = bench.device.as_mut().ok_or_else(|| Failure::new("no board on the desk"))?;
    let installed = match args.via {
        Via::EspIdf => esp_idf::update(device, cycle, &args, transport, key)?,
        Via::Dryburn => own::update(device, cycle, &args, transport, key)?,
    };
    let status = if installed.done { 0 } else { 1 };
    Ok(Output { text: installed.text, status })
}

/// The server that hands out the scenario's folder while the command runs.
fn serve(bench: &Workbench, args: &Args) -> Result<(Option<Server>, crate::http::Ports), Failure> {
    let mut faults = args.server.clone();
    faults.extend(args.drop_at.iter().map(|at| Fault::DropAt(*at)));
    let folder = bench.path(".")?;
    let start = |identity| {
        Server::start(Path::new(&folder), faults.clone(), identity)
            .map_err(|e| Failure::new(format!("device ota: no server: {e}")))
    };
    let mut ports = crate::http::Ports::default();
    let server = if args.source.starts_with("https:") {
        let (Some(certificate), Some(key)) = (&args.server_cert, &args.server_key) else {
            return Err(Failure::new(
                "device ota: the server needs a certificate for https: --server-cert cert.pem --server-key key.pem",
            ));
        };
        let (certificates, key) = (bench.read(certificate)?, bench.read(key)?);
        let server = start(Some(crate::http::server::Identity { certificates: &certificates, key: &key }))?;
        ports.https = Some(server.port());
        server
    } else {
        let server = start(None)?;
        ports.http = Some(server.port());
        server
    };
    Ok((Some(server), ports))
}
