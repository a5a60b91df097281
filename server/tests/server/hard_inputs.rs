//! What hostile clients send, and that it costs them their connection and nobody else's.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use clickmill_server::body::{self, BodyError, BodyLimits};
use clickmill_server::reply::{self, Body};
use clickmill_server::serve::ConnectionLimits;
use hyper::body::Incoming;
use hyper::{Request, Response, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{sleep, timeout};

use crate::harness::{DEADLINE, GET, Make, Server, timed};

const LIMITS: BodyLimits = BodyLimits { bytes_max: 1_000, timeout: Duration::from_millis(300) };

/// Answers with the path and the length of the body.
async fn take(request: Request<Incoming>, _: SocketAddr) -> Response<Body> {
    let path = request.uri().path().to_owned();
    match body::read(request.into_body(), LIMITS).await {
        Ok(body) => reply::text(StatusCode::OK, format!("{path} {}.", body.len())),
        Err(BodyError::TimedOut(_)) => reply::empty(StatusCode::REQUEST_TIMEOUT),
        Err(error) => reply::text(StatusCode::BAD_REQUEST, error.to_string()),
    }
}

/// All that a server says to these bytes on one connection.
async fn said_to(server: &Server, bytes: &str) -> String {
    let mut client = server.connect().await;
    client.send(bytes).await;
    client.0.shutdown().await.unwrap();
    client.read_to_end().await.unwrap_or_default()
}

async fn serves_others(server: &Server) {
    let mut client = server.connect().await;
    client.send(GET).await;
    client.read_until("/ 0.").await;
}

#[tokio::test]
async fn lengths_that_contradict_each_other_are_refused() {
    let server = Make::default().server(take).await;
    let smuggled = "GET /smuggled HTTP/1.1\r\nhost: t\r\n\r\n";
    for lengths in [
        "content-length: 4\r\ncontent-length: 5",
        "content-length: 4, 5",
        "content-length: +4",
        "content-length: -1",
        "content-length: 4 4",
        "content-length: 99999999999999999999",
        "transfer-encoding: xchunked",
        "transfer-encoding: chunked, identity",
        "transfer-encoding: chunked\r\ntransfer-encoding: identity",
        "transfer-encoding : chunked",
        " transfer-encoding: chunked",
        "x: y\n\ttransfer-encoding: chunked\r\n z: \0",
    ] {
        let head = format!("POST / HTTP/1.1\r\nhost: t\r\n{lengths}\r\n\r\n");
        let said = said_to(&server, &format!("{head}0\r\n\r\n{smuggled}")).await;
        assert!(said.starts_with("HTTP/1.1 400 ") || said.is_empty(), "{lengths}: {said}");
        assert!(!said.contains("/smuggled"), "{lengths}: {said}");
    }
    serves_others(&server).await;
}

#[tokio::test]
async fn a_request_with_both_lengths_is_the_last_of_its_connection() {
    let server = Make::default().server(take).await;
    for lengths in [
        "content-length: 4\r\ntransfer-encoding: chunked",
        "transfer-encoding: chunked\r\ncontent-length: 4",
    ] {
        let head = format!("POST /both HTTP/1.1\r\nhost: t\r\n{lengths}\r\n\r\n");
        let smuggled = "GET /smuggled HTTP/1.1\r\nhost: t\r\n\r\n";
        let said = said_to(&server, &format!("{head}0\r\n\r\n{smuggled}")).await;
        assert!(!said.contains("/smuggled"), "{lengths}: {said}");
    }
}

#[tokio::test]
async fn floods_of_headers_are_refused() {
    let server = Make::default().server(take).await;
    let lines = |count: usize| -> String { (0..count).map(|n| format!("x-{n}: 1\r\n")).collect() };
    let with = |count| format!("GET / HTTP/1.1\r\nhost: t\r\n{}\r\n", lines(count));
    let fits = said_to(&server, &with(99)).await;
    assert!(fits.starts_with("HTTP/1.1 200 "), "{fits}");
    let flood = said_to(&server, &with(100)).await;
    assert!(flood.starts_with("HTTP/1.1 431 "), "{flood}");
    let target = |length: usize| format!("GET /{} HTTP/1.1\r\nhost: t\r\n\r\n", "a".repeat(length));
    let long = said_to(&server, &target(8 * 1_024)).await;
    assert!(long.starts_with("HTTP/1.1 414 "), "{long}");
    let endless = said_to(&server, &target(64 * 1_024)).await;
    assert!(endless.starts_with("HTTP/1.1 4"), "{endless}");
    serves_others(&server).await;
}

#[tokio::test]
async fn a_head_and_a_body_that_trickle_are_ended_in_time() {
    let header_read_timeout = Duration::from_millis(300);
    let limits = ConnectionLimits { header_read_timeout, ..ConnectionLimits::default() };
    let server = Make { limits, ..Make::default() }.server(take).await;
    let body = "POST / HTTP/1.1\r\nhost: t\r\ncontent-length: 100\r\n\r\n";
    for (start, trickle) in [("GET / HTTP/1.1\r\n", "a: b\r\n"), (body, "x")] {
        let mut client = server.connect().await;
        client.send(start).await;
        let (mut read, mut write) = client.0.split();
        let feed = async {
            while write.write_all(trickle.as_bytes()).await.is_ok() {
                sleep(Duration::from_millis(20)).await;
            }
        };
        let mut said = String::new();
        let listen = async {
            let mut bytes = Vec::new();
            let _ = read.read_to_end(&mut bytes).await;
            said = String::from_utf8_lossy(&bytes).into_owned();
        };
        let (took, done) = timed(timeout(DEADLINE, async {
            tokio::select! { () = feed => (), () = listen => () }
        }))
        .await;
        done.expect("a trickle must be ended");
        assert!(took < Duration::from_secs(5), "{took:?}");
        assert!(!said.contains("200 OK"), "{said}");
    }
    serves_others(&server).await;
}

#[tokio::test]
async fn half_closed_connections_are_let_go() {
    let server = Make::default().server(take).await;
    for begun in ["", "GET / HT", "POST / HTTP/1.1\r\nhost: t\r\ncontent-length: 5\r\n\r\nab", GET]
    {
        let said = said_to(&server, begun).await;
        assert!(!said.contains("200 OK") || begun == GET, "{begun:?}: {said}");
    }
    server.number_becomes("http_connections_open{listener=\"public\"}", 0).await;
}

/// A frame of HTTP/2.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
/// `GET / http` of `t`, as HPACK writes it.
const GET_BLOCK: &[u8] = &[0x82, 0x86, 0x84, 0x41, 1, b't'];

/// Sends frames until the server has had enough; what it said, as kind and payload of each frame.
async fn frames_against(
    server: &Server,
    frames: impl Iterator<Item = Vec<u8>>,
) -> Vec<(u8, Vec<u8>)> {
    let (mut read, mut write) = server.connect().await.0.into_split();
    write.write_all(PREFACE).await.unwrap();
    write.write_all(&frame(SETTINGS, 0, 0, &[])).await.unwrap();
    let mut bytes = Vec::new();
    let listen = async {
        let _ = read.read_to_end(&mut bytes).await;
    };
    let feed = async {
        for frame in frames {
            if write.write_all(&frame).await.is_err() {
                break;
            }
        }
        // The server closes; we do not.
        std::future::pending::<()>().await;
    };
    let fought = async {
        tokio::select! { () = listen => (), () = feed => () }
    };
    timeout(DEADLINE, fought).await.expect("the server must close");
    let mut said = Vec::new();
    let mut rest = bytes.as_slice();
    while let Some((&[a, b, c, kind, ..], _)) = rest.split_first_chunk::<9>() {
        let length = u32::from_be_bytes([0, a, b, c]) as usize;
        let payload = rest.get(9..9 + length).unwrap_or_default().to_vec();
        said.push((kind, payload));
        rest = rest.get(9 + length..).unwrap_or_default();
    }
    said
}

#[tokio::test]
async fn a_rapid_reset_is_ended_after_a_few_streams() {
    let asked = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&asked);
    let server = Make::default()
        .server(move |request: Request<Incoming>, peer| {
            count.fetch_add(1, Ordering::SeqCst);
            take(request, peer)
        })
        .await;
    let streams = (0..50_000_u32).map(|n| 2 * n + 1);
    let resets = streams.map(|stream| {
        let opened = frame(HEADERS, END_HEADERS | END_STREAM, stream, GET_BLOCK);
        [opened, frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes())].concat()
    });
    // Many at once, so that resets overtake the server's looking at the streams.
    let bursts =
        resets.collect::<Vec<_>>().chunks(500).map(|some| some.concat()).collect::<Vec<_>>();
    let said = frames_against(&server, bursts.into_iter()).await;
    let farewell = said.iter().find(|(kind, _)| *kind == GOAWAY);
    assert!(
        farewell.is_none_or(|(_, payload)| payload[7] == 0xb),
        "calm is asked for: {farewell:?}"
    );
    let asked = asked.load(Ordering::SeqCst);
    assert!(asked < 5_000, "{asked} requests were worked on");
    server.number_becomes("http_connections_open{listener=\"public\"}", 0).await;
    serves_others(&server).await;
}

#[tokio::test]
async fn a_head_without_end_is_ended() {
    let server = Make::default().server(take).await;
    let filler = [&[0x40, 1, b'a', 0x7f, 0x81, 0x7e][..], &[b'b'; 16_000]].concat();
    let first = frame(HEADERS, END_STREAM, 1, GET_BLOCK);
    let more = std::iter::repeat_with(move || frame(CONTINUATION, 0, 1, &filler)).take(10_000);
    frames_against(&server, std::iter::once(first).chain(more)).await;
    serves_others(&server).await;
}
