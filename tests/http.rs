//! The HTTP client against servers that behave, and against servers that do not: time and memory stay bounded, and the
//! error says what happened.

use dryburn_sim::http::{Client, ContentRange, Fault, HttpError, Part, Ports, Server, Settings, server::Identity};
use std::{
    io::{Read, Write},
    net::{Ipv4Addr, TcpListener},
    thread,
    time::Instant,
};

const SIZE: usize = 100_000;
const URL: &str = "http://localhost/app.bin";

fn content() -> Vec<u8> {
    (0..SIZE as u32).map(|i| (i ^ (i >> 8)) as u8).collect()
}

fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(dir.path().join("app.bin"), content()).expect("written");
    dir
}

fn settings(server: &Server) -> Settings {
    let ports = Ports { http: Some(server.port()), https: Some(server.port()) };
    Settings { stall_millis: 5_000, total_millis: 20_000, ports, ..Settings::default() }
}

fn serve(faults: &[&str]) -> (tempfile::TempDir, Server, Client) {
    let dir = folder();
    let faults = faults.iter().map(|text| text.parse().expect("a fault")).collect();
    let server = Server::start(dir.path(), faults, None).expect("a port");
    let client = Client::new(settings(&server), None).expect("no CA to read");
    (dir, server, client)
}

/// The whole body in pieces of 1024 bytes, and the error that ended it.
fn read(reply: &mut dryburn_sim::http::Reply, most: usize) -> (Vec<u8>, Option<HttpError>) {
    let mut all = Vec::new();
    let mut buf = [0; 1024];
    while all.len() < most {
        match reply.fill(&mut buf) {
            Ok(0) => return (all, None),
            Ok(n) => all.extend_from_slice(&buf[..n]),
            Err(e) => return (all, Some(e)),
        }
    }
    (all, None)
}

#[test]
fn a_file_comes_whole_and_in_ranges() {
    let (_dir, server, client) = serve(&[]);
    let mut reply = client.get(URL, Part::Whole).expect("served");
    assert_eq!((reply.status(), reply.length(), reply.content_range()), (200, Some(SIZE as u64), None));
    assert_eq!(read(&mut reply, usize::MAX), (content(), None));
    let mut reply = client.get(URL, Part::Window { first: 5000, last: 5999 }).expect("served");
    let range = ContentRange { first: 5000, last: 5999, total: Some(SIZE as u64) };
    assert_eq!((reply.status(), reply.length(), reply.content_range()), (206, Some(1000), Some(range)));
    assert_eq!(read(&mut reply, usize::MAX).0, content()[5000..6000]);
    let mut reply = client.get(URL, Part::From(99_000)).expect("served");
    assert_eq!(read(&mut reply, usize::MAX).0, content()[99_000..]);
    assert_eq!(client.get(URL, Part::From(SIZE as u64)).expect("served").status(), 416);
    let head = client.head(URL).expect("served");
    assert_eq!((head.status(), head.length()), (200, Some(SIZE as u64)));
    assert_eq!(client.get("http://localhost/none", Part::Whole).expect("served").status(), 404);
    assert_eq!(client.get("http://localhost/../app.bin", Part::Whole).expect("served").status(), 404);
    assert_eq!(server.requests()[1], "GET /app.bin bytes=5000-5999");
}

#[test]
fn a_dropped_connection_gives_all_that_was_sent_and_can_be_resumed() {
    let (_dir, _server, client) = serve(&["drop-at=70000", "drop-at=90000"]);
    let mut all = Vec::new();
    for expected in [70_000, 90_000, SIZE] {
        let mut reply = client.get(URL, Part::From(all.len() as u64)).expect("served");
        let promised = (SIZE - all.len()) as u64;
        let (more, error) = read(&mut reply, usize::MAX);
        all.extend(more);
        assert_eq!(all.len(), expected);
        match error {
            Some(HttpError::Incomplete { expected: stated, .. }) => assert_eq!(stated, Some(promised)),
            Some(other) => panic!("{other}"),
            None => assert_eq!(expected, SIZE),
        }
    }
    assert_eq!(all, content());
}

#[test]
fn a_stall_ends_after_the_silence_that_was_allowed() {
    let (_dir, server, _) = serve(&["stall-at=3000"]);
    let client = Client::new(Settings { stall_millis: 200, ..settings(&server) }, None).expect("no CA");
    let start = Instant::now();
    let (got, error) = read(&mut client.get(URL, Part::Whole).expect("served"), usize::MAX);
    assert_eq!(got, content()[..3000]);
    assert_eq!(error, Some(HttpError::Stalled { url: URL.into(), millis: 200, received: 3000 }));
    assert!(start.elapsed().as_millis() < 5_000, "{:?}", start.elapsed());
}

#[test]
fn a_drip_ends_with_the_time_of_the_whole_request() {
    let (_dir, server, _) = serve(&["drip"]);
    let client = Client::new(Settings { total_millis: 500, ..settings(&server) }, None).expect("no CA");
    let start = Instant::now();
    let (got, error) = read(&mut client.get(URL, Part::Whole).expect("served"), usize::MAX);
    assert!(got.len() < 1000, "{}", got.len());
    assert!(matches!(error, Some(HttpError::TooSlow { millis: 500, .. })), "{error:?}");
    assert!(start.elapsed().as_millis() < 5_000, "{:?}", start.elapsed());
}

#[test]
fn an_endless_body_is_read_only_as_far_as_the_caller_wants() {
    let (_dir, _server, client) = serve(&["endless"]);
    let mut reply = client.get(URL, Part::Whole).expect("served");
    assert_eq!(reply.length(), None);
    let (got, error) = read(&mut reply, 1_000_000);
    assert_eq!((got.len() / 1024, error), (977, None));
}

#[test]
fn ten_gigabytes_that_never_come_cost_nothing() {
    let (_dir, _server, client) = serve(&["length=10000000000"]);
    let mut reply = client.get(URL, Part::Whole).expect("served");
    assert_eq!(reply.length(), Some(10_000_000_000));
    let (got, error) = read(&mut reply, usize::MAX);
    assert_eq!(got.len(), SIZE);
    let promised = Some(10_000_000_000);
    assert_eq!(error, Some(HttpError::Incomplete { url: URL.into(), received: SIZE as u64, expected: promised }));
}

#[test]
fn a_body_beyond_its_length_is_cut_there() {
    let (_dir, _server, client) = serve(&["length=1000"]);
    let (got, error) = read(&mut client.get(URL, Part::Whole).expect("served"), usize::MAX);
    assert_eq!((got.as_slice(), error), (&content()[..1000], None));
}

#[test]
fn a_body_without_length_ends_with_its_connection() {
    let (_dir, _server, client) = serve(&["no-length", "drop-at=4000"]);
    let mut reply = client.get(URL, Part::Whole).expect("served");
    assert_eq!(reply.length(), None);
    // nothing on the wire tells this end from a real one: only the image itself can
    assert_eq!(read(&mut reply, usize::MAX).0.len(), 4000);
}

#[test]
fn wrong_ranges_stand_in_the_reply() {
    let at = |faults: &[&str]| {
        let (_dir, _server, client) = serve(faults);
        let mut reply = client.get(URL, Part::From(1000)).expect("served");
        let first = reply.content_range().map(|range| range.first);
        (reply.status(), first, read(&mut reply, 10).0[..4] == content()[1000..1004])
    };
    assert_eq!(at(&[]), (206, Some(1000), true));
    assert_eq!(at(&["no-range"]), (200, None, false));
    assert_eq!(at(&["other-range"]), (206, Some(0), false));
    assert_eq!(at(&["lying-range"]), (206, Some(1000), false));
    assert_eq!(at(&["unnamed-range"]), (206, None, true));
}

#[test]
fn redirects_are_counted_and_stay_on_this_machine() {
    let (_dir, _server, client) = serve(&["redirects=10"]);
    let reply = client.get(URL, Part::Whole).expect("served");
    assert_eq!((reply.status(), reply.hops().len()), (200, 10));
    let (_dir, _server, client) = serve(&["redirects=11"]);
    let error = client.get(URL, Part::Whole).expect_err("one too many");
    assert!(matches!(error, HttpError::TooManyRedirects { limit: 10, .. }), "{error}");
    for (to, text) in [
        ("http://example.com/app.bin", "http://example.com/app.bin: the host 'example.com' is not this machine"),
        ("//example.com/app.bin", "neither an absolute path nor a URL"),
        ("ftp://localhost/app.bin", "its scheme is neither http nor https"),
        ("", "no readable Location header"),
    ] {
        let (_dir, _server, client) = serve(&[&format!("redirect-to={to}")]);
        let error = client.get(URL, Part::Whole).expect_err("not followed").to_string();
        assert!(error.contains(text), "{to}: {error}");
    }
}

#[test]
fn header_bombs_and_garbage_are_refused() {
    let (_dir, _server, client) = serve(&["header-bomb"]);
    let error = client.get(URL, Part::Whole).expect_err("no end of headers");
    assert!(matches!(error, HttpError::HeadersTooLarge { .. }), "{error:?}");
    let (_dir, _server, client) = serve(&["garbage"]);
    let error = client.get(URL, Part::Whole).expect_err("no HTTP");
    assert!(matches!(error, HttpError::Malformed { .. }), "{error:?}");
}

/// A server that sends these bytes to whoever connects, then closes.
fn raw(bytes: &'static [u8]) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let port = listener.local_addr().expect("bound").port();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a client");
        let _ = stream.read(&mut [0; 4096]);
        let _ = stream.write_all(bytes);
    });
    port
}

#[test]
fn replies_that_contradict_themselves_never_panic() {
    for bytes in [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 7\r\n\r\nhello".as_slice(),
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFF\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\nhello",
        b"HTTP/1.1 206 OK\r\nContent-Range: bytes 5-1/3\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 302 Found\r\nLocation: \xff\xfe\r\n\r\n",
        b"HTTP/1.1 999 What\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon here\r\n\r\n",
        b"HTTP/1.1 200",
        b"",
    ] {
        let settings = Settings {
            stall_millis: 2_000,
            ports: Ports { http: Some(raw(bytes)), https: None },
            ..Settings::default()
        };
        let client = Client::new(settings, None).expect("no CA");
        if let Ok(mut reply) = client.get(URL, Part::Whole) {
            let (got, _) = read(&mut reply, 4096);
            assert!(got.len() < 4096);
        }
    }
}

#[test]
fn nobody_listens() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let port = listener.local_addr().expect("bound").port();
    drop(listener);
    let settings = Settings { ports: Ports { http: Some(port), https: None }, ..Settings::default() };
    let error = Client::new(settings, None).expect("no CA").get(URL, Part::Whole).expect_err("nobody there");
    assert_eq!(error.to_string(), "http://localhost/app.bin: no connection: nobody listens there");
}

struct Tls {
    ca: String,
    certificate: String,
    key: String,
}

/// A CA, and a certificate for `name` that it signed.
fn certificate(name: &str) -> Tls {
    let mut params = rcgen::CertificateParams::new(Vec::new()).expect("no names");
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let ca_key = rcgen::KeyPair::generate().expect("a key");
    let ca = params.self_signed(&ca_key).expect("signed");
    let issuer = rcgen::Issuer::new(params, ca_key);
    let key = rcgen::KeyPair::generate().expect("a key");
    let leaf = rcgen::CertificateParams::new(vec![name.to_owned()]).expect("a name");
    let certificate = leaf.signed_by(&key, &issuer).expect("signed");
    Tls { ca: ca.pem(), certificate: certificate.pem(), key: key.serialize_pem() }
}

#[test]
fn https_trusts_the_given_ca_only() {
    let url = "https://localhost/app.bin";
    let dir = folder();
    let tls = certificate("localhost");
    let identity = Identity { certificates: tls.certificate.as_bytes(), key: tls.key.as_bytes() };
    let drop = vec![Fault::DropAt(50_000)];
    let server = Server::start(dir.path(), drop, Some(identity)).expect("a port");
    let client = |ca: Option<&str>| Client::new(settings(&server), ca.map(|pem| ("ca.pem", pem.as_bytes())));

    let trusting = client(Some(&tls.ca)).expect("a certificate");
    let (got, error) = read(&mut trusting.get(url, Part::Whole).expect("served"), usize::MAX);
    assert_eq!(got, content()[..50_000]);
    assert!(matches!(error, Some(HttpError::Incomplete { received: 50_000, .. })), "{error:?}");
    let (rest, error) = read(&mut trusting.get(url, Part::From(50_000)).expect("served"), usize::MAX);
    assert_eq!((rest.as_slice(), error), (&content()[50_000..], None));

    let error = client(None).expect("no CA").get(url, Part::Whole).expect_err("nobody trusted");
    assert_eq!(error, HttpError::NoCertificate { url: url.into() });
    let error =
        client(Some(&certificate("localhost").ca)).expect("a CA").get(url, Part::Whole).expect_err("another CA");
    assert!(matches!(error, HttpError::Tls { .. }), "{error:?}");
    let error = trusting.get("https://127.0.0.1/app.bin", Part::Whole).expect_err("not the name in the certificate");
    assert!(matches!(error, HttpError::Tls { .. }), "{error:?}");
    for (pem, text) in [
        ("", "no certificate in it"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "none of which can be parsed"),
    ] {
        let error = client(Some(pem)).expect_err("no certificate").to_string();
        assert!(error.starts_with("ca.pem: ") && error.contains(text), "{error}");
    }
    let text = tls.key.as_str();
    let error = client(Some(text)).expect_err("a key is no certificate").to_string();
    assert!(!error.contains(text.lines().nth(1).expect("key text")), "{error}");
}

#[test]
fn plain_http_on_a_tls_port_and_the_other_way_round() {
    let dir = folder();
    let tls = certificate("localhost");
    let identity = Identity { certificates: tls.certificate.as_bytes(), key: tls.key.as_bytes() };
    let server = Server::start(dir.path(), Vec::new(), Some(identity)).expect("a port");
    let client = Client::new(settings(&server), Some(("ca.pem", tls.ca.as_bytes()))).expect("a CA");
    client.get(URL, Part::Whole).expect_err("no HTTP");
    let server = Server::start(dir.path(), Vec::new(), None).expect("a port");
    let client = Client::new(settings(&server), Some(("ca.pem", tls.ca.as_bytes()))).expect("a CA");
    let error = client.get("https://localhost/app.bin", Part::Whole).expect_err("no TLS");
    assert!(matches!(error, HttpError::Tls { .. } | HttpError::Incomplete { .. }), "{error:?}");
}

#[test]
fn faults_that_are_none_are_refused() {
    for text in ["drop-at=x", "drop-at", "status=99", "redirects=1000", "explode", ""] {
        let error = text.parse::<Fault>().expect_err("no fault");
        assert!(!error.is_empty());
    }
}
