//! A static file server on a free loopback port, with faults of choice. It lives as long as its value.

mod answer;
mod fault;

pub use fault::{Fault, NAMES as FAULT_NAMES};

use answer::Site;
use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use std::{
    io,
    net::{Ipv4Addr, Shutdown, TcpListener, TcpStream},
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

/// Connections that are served at one time; the client has one.
const MOST_CONNECTIONS: usize = 16;
/// A client that sends no request for so long is let go.
const PATIENCE: Duration = Duration::from_secs(10);

/// Certificate chain and private key of a server, PEM texts.
#[derive(Clone, Copy)]
pub struct Identity<'a> {
    /// The server's certificate first.
    pub certificates: &'a [u8],
    /// PKCS#8, SEC1 or PKCS#1.
    pub key: &'a [u8],
}

/// A running server. Dropping it ends all its connections.
pub struct Server {
    port: u16,
    shared: Arc<Shared>,
    accept: Option<JoinHandle<()>>,
}

struct Shared {
    site: Site,
    tls: Option<Arc<ServerConfig>>,
    stop: AtomicBool,
    open: Mutex<Vec<TcpStream>>,
}

impl Server {
    /// Serves the files directly in `folder`, over TLS when it has an identity.
    ///
    /// # Errors
    /// No loopback port can be had, or the identity is not one.
    pub fn start(folder: &Path, faults: Vec<Fault>, identity: Option<Identity<'_>>) -> io::Result<Self> {
        let tls = identity.map(tls_config).transpose()?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = listener.local_addr()?.port();
        let shared = Arc::new(Shared {
            site: Site::new(folder, faults),
            tls,
            stop: AtomicBool::new(false),
            open: Mutex::default(),
        });
        let accept = thread::spawn({
            let shared = shared.clone();
            move || accept(&listener, &shared)
        });
        Ok(Self { port, shared, accept: Some(accept) })
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The requests that came in so far, like `GET /app.bin bytes=1024-`.
    pub fn requests(&self) -> Vec<String> {
        self.shared.site.requests()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        // wakes the thread that waits for connections
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
        for stream in self.shared.open().iter() {
            let _ = stream.shutdown(Shutdown::Both);
        }
        if let Some(accept) = self.accept.take() {
            let _ = accept.join();
        }
    }
}

impl Shared {
    fn open(&self) -> std::sync::MutexGuard<'_, Vec<TcpStream>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    let mut workers: Vec<JoinHandle<()>> = Vec::new();
    for stream in listener.incoming() {
        if shared.stop.load(Ordering::SeqCst) {
            break;
        }
        workers.retain(|worker| !worker.is_finished());
        let (Ok(stream), true) = (stream, workers.len() < MOST_CONNECTIONS) else { continue };
        let Ok(handle) = stream.try_clone() else { continue };
        shared.open().push(handle);
        let shared = shared.clone();
        workers.push(thread::spawn(move || {
            let peer = stream.peer_addr();
            let _ = serve(&shared, stream);
            shared.open().retain(|open| open.peer_addr().ok() != peer.as_ref().ok().copied());
        }));
    }
    for stream in shared.open().iter() {
        let _ = stream.shutdown(Shutdown::Both);
    }
    for worker in workers {
        let _ = worker.join();
    }
}

fn serve(shared: &Shared, stream: TcpStream) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    let socket = stream.try_clone()?;
    match &shared.tls {
        None => {
            let mut stream = stream;
            shared.site.answer(&mut stream, &socket)?;
        }
        Some(config) => {
            let session = ServerConnection::new(config.clone()).map_err(io::Error::other)?;
            let mut stream = StreamOwned::new(session, stream);
            let ended = shared.site.answer(&mut stream, &socket)?;
            if ended == answer::Ended::Whole {
                stream.conn.send_close_notify();
                io::Write::flush(&mut stream)?;
            }
        }
    }
    answer::hang_up(&socket)
}

fn tls_config(identity: Identity<'_>) -> io::Result<Arc<ServerConfig>> {
    let bad = |e: String| io::Error::new(io::ErrorKind::InvalidData, e);
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(identity.certificates)
        .collect::<Result<_, _>>()
        .map_err(|_| bad("the server's certificate is not PEM".into()))?;
    let key = PrivateKeyDer::from_pem_slice(identity.key).map_err(|_| bad("the server's key is not PEM".into()))?;
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
        .map_err(|e| bad(e.to_string()))?;
    Ok(Arc::new(config))
}
