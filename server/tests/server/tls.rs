//! TLS: handshakes good and bad, and certificates that change.

use std::net::SocketAddr;
use std::time::Duration;

use clickmill_server::reply::{self, Body};
use clickmill_server::serve::{ConnectionLimits, Transport};
use clickmill_server::tls::Tls;
use hyper::body::Incoming;
use hyper::{Request, Response, StatusCode};

use crate::harness::{Client, GET, Make, Server};
use crate::pki::Pair;

async fn who(_: Request<Incoming>, peer: SocketAddr) -> Response<Body> {
    reply::text(StatusCode::OK, format!("you are {peer}"))
}

fn with(transport: Transport) -> Make {
    Make { transport, ..Make::default() }
}

fn ended(how: &str) -> String {
    format!("http_connections_ended_total{{listener=\"public\",how=\"{how}\"}}")
}

#[tokio::test]
async fn http1_is_spoken_over_tls() {
    let pair = Pair::new();
    let server = with(pair.transport()).server(who).await;
    let stream = server.connect().await.0;
    let own = stream.local_addr().unwrap();
    let mut client = Client(pair.secure(stream, "http/1.1").await);
    for _ in 0..2 {
        client.send(GET).await;
        client.read_until(&format!("you are {own}")).await;
    }
}

/// Whether a client that trusts this certificate alone gets in.
async fn gets_in(server: &Server, pair: &Pair) -> bool {
    match pair.try_secure(server.connect().await.0, "http/1.1").await {
        Ok(stream) => {
            let mut client = Client(stream);
            client.send(GET).await;
            client.read_until("\r\n\r\n").await.starts_with("HTTP/1.1 200")
        }
        Err(_) => false,
    }
}

#[tokio::test]
async fn a_new_certificate_is_for_new_handshakes_and_open_connections_stay() {
    let (mut pair, old) = (Pair::new(), Pair::new());
    std::fs::copy(&old.files.certificate_file, &pair.files.certificate_file).unwrap();
    std::fs::copy(&old.files.key_file, &pair.files.key_file).unwrap();
    let tls = Tls::open(&pair.files).unwrap();
    let transport = Transport { tls: Some(tls.clone()), proxies: None };
    let server = with(transport).server(who).await;
    let mut open = Client(old.secure(server.connect().await.0, "http/1.1").await);
    open.send(GET).await;
    open.read_until("\r\n\r\n").await;

    pair.renew();
    assert!(gets_in(&server, &old).await && !gets_in(&server, &pair).await);
    tls.take(Tls::read(&pair.files).unwrap());
    assert!(gets_in(&server, &pair).await && !gets_in(&server, &old).await);
    open.send(GET).await;
    open.read_until("you are").await;
}

#[tokio::test]
async fn a_bad_file_is_named_and_the_old_certificate_stays() {
    let (pair, other) = (Pair::new(), Pair::new());
    let tls = Tls::open(&pair.files).unwrap();
    let transport = Transport { tls: Some(tls.clone()), proxies: None };
    let server = with(transport).server(who).await;
    let complaint = |change: &dyn Fn(&mut clickmill_server::tls::TlsConfig)| {
        let mut files = pair.files.clone();
        change(&mut files);
        Tls::read(&files).unwrap_err().to_string()
    };
    let missing = complaint(&|files| files.key_file = "nowhere/edge.key".into());
    assert!(missing.starts_with("`listen.tls.key_file`: nowhere/edge.key cannot"), "{missing}");
    let no_key = complaint(&|files| files.key_file.clone_from(&files.certificate_file));
    assert!(no_key.ends_with("edge.pem holds none"), "{no_key}");
    let no_certificate = complaint(&|files| files.certificate_file.clone_from(&files.key_file));
    assert!(no_certificate.contains("`listen.tls.certificate_file`"), "{no_certificate}");
    let mixed = complaint(&|files| files.key_file.clone_from(&other.files.key_file));
    assert!(mixed.starts_with("`listen.tls`: certificate and key cannot be used"), "{mixed}");
    assert!(gets_in(&server, &pair).await);
}

#[tokio::test]
async fn what_is_no_handshake_ends_the_connection() {
    let pair = Pair::new();
    let server = with(pair.transport()).server(who).await;
    for garbage in [GET, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "\u{16}\u{3}\u{1}\0\u{5}hello"] {
        let mut client = server.connect().await;
        client.send(garbage).await;
        let answer = client.read_to_end().await.unwrap_or_default();
        assert!(!answer.contains("you are"), "{answer}");
    }
    server.number_becomes(&ended("handshake"), 3).await;
    assert!(gets_in(&server, &pair).await);
}

#[tokio::test]
async fn a_handshake_that_does_not_go_on_is_ended() {
    let pair = Pair::new();
    let handshake_timeout = Duration::from_millis(100);
    let limits = ConnectionLimits { handshake_timeout, ..ConnectionLimits::default() };
    let server = Make { limits, ..with(pair.transport()) }.server(who).await;
    let mut silent = server.connect_accepted().await;
    let mut halfway = server.connect_accepted().await;
    halfway.send("\u{16}\u{3}\u{1}\0\u{40}").await;
    assert_eq!(silent.read_to_end().await.unwrap_or_default(), "");
    assert_eq!(halfway.read_to_end().await.unwrap_or_default(), "");
    server.number_becomes(&ended("timeout"), 2).await;
}
