//! What a download takes of the heap, whatever the server sends: the client keeps a piece, never the file.

use dryburn_sim::http::{Client, Part, Ports, Server, Settings};
use peak_alloc::PeakAlloc;

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

/// Buffers of client and server (the server runs in this process, too), headers, names: far below any image.
const MOST: usize = 512 * 1024;

/// Reads up to `most` bytes in pieces of 1024; gives how many came, and the heap that took at its peak.
fn fetch(faults: &[&str], most: u64) -> (u64, usize) {
    let dir = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(dir.path().join("app.bin"), vec![0xE9; 100_000]).expect("written");
    let faults = faults.iter().map(|text| text.parse().expect("a fault")).collect();
    let server = Server::start(dir.path(), faults, None).expect("a port");
    let ports = Ports { http: Some(server.port()), https: None };
    let client = Client::new(Settings { ports, ..Settings::default() }, None).expect("no CA");
    HEAP.reset_peak_usage();
    let before = HEAP.current_usage();
    let mut received = 0;
    if let Ok(mut reply) = client.get("http://localhost/app.bin", Part::Whole) {
        let mut buf = [0; 1024];
        while received < most {
            match reply.fill(&mut buf) {
                Ok(0) | Err(_) => break,
                Ok(n) => received += n as u64,
            }
        }
    }
    (received, HEAP.peak_usage().saturating_sub(before))
}

#[test]
fn no_server_makes_the_client_keep_more_than_a_piece() {
    // one test, as the counter is the process's own
    for (faults, most, expected) in [
        (&["endless"][..], 64 * 1024 * 1024, 64 * 1024 * 1024),
        (&["length=10000000000"], u64::MAX, 100_000),
        (&["no-length"], u64::MAX, 100_000),
        (&["header-bomb"], u64::MAX, 0),
        (&["garbage"], u64::MAX, 0),
        (&["redirects=100"], u64::MAX, 0),
    ] {
        let (received, heap) = fetch(faults, most);
        println!("{faults:?}: {received} bytes received, heap {heap} bytes at most");
        assert!(received.abs_diff(expected) < 1024, "{faults:?}: {received}");
        assert!(heap < MOST, "{faults:?}: {heap}");
    }
}
