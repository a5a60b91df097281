//! Answers that go on for long, on HTTP/1: how they are written, and what comes after them.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use clickmill_server::reply::{self, Body, BoxError};
use clickmill_server::serve::{ConnectionLimits, Service};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::HeaderValue;
use hyper::{Request, Response, StatusCode};
use tokio::io::AsyncReadExt as _;
use tokio::sync::broadcast::{self, Sender};
use tokio::time::timeout;

use crate::harness::{Client, DEADLINE, GET, Make, Server, eventually};

/// What everybody is told; an empty piece ends all answers.
type Hub = Sender<Bytes>;

/// An answer that no socket takes at once.
const LARGE_BYTES: usize = 16 << 20;

/// `/` is answered with what the hub tells from then on, everything else at once.
fn telling(hub: &Hub) -> impl Service + use<> {
    let hub = hub.clone();
    move |request: Request<Incoming>, _: SocketAddr| {
        std::future::ready(match request.uri().path() {
            "/" => told(hub.subscribe()),
            "/large" => reply::text(StatusCode::OK, "x".repeat(LARGE_BYTES)),
            _ => reply::text(StatusCode::OK, "short"),
        })
    }
}

fn told(pieces: broadcast::Receiver<Bytes>) -> Response<Body> {
    let pieces = futures_util::stream::unfold(pieces, |mut pieces| async move {
        let piece = pieces.recv().await.ok().filter(|piece| !piece.is_empty())?;
        Some((Ok::<_, BoxError>(Frame::data(piece)), pieces))
    });
    let media_type = HeaderValue::from_static("text/event-stream");
    reply::stream(media_type, StreamBody::new(pieces).boxed_unsync())
}

fn hub() -> Hub {
    Sender::new(1_000)
}

/// Tells a piece to so many who listen.
async fn tell(hub: &Hub, piece: &'static str, listeners: usize) {
    eventually("they listen", || hub.receiver_count() == listeners).await;
    hub.send(Bytes::from_static(piece.as_bytes())).unwrap();
}

async fn ask(server: &Server, request: &str) -> Client {
    let mut client = server.connect_accepted().await;
    client.send(request).await;
    client
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_is_written_piece_by_piece_and_its_connection_is_kept() {
    let hub = hub();
    let server = Make::default().server(telling(&hub)).await;
    let mut client = ask(&server, GET).await;
    let head = client.read_until("\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    for header in ["content-type: text/event-stream", "date: ", "transfer-encoding: chunked"] {
        assert!(head.contains(&format!("\r\n{header}")), "{header} is missing: {head}");
    }
    assert!(!head.contains("connection:"), "{head}");
    tell(&hub, "one", 1).await;
    assert_eq!(client.read_until("one\r\n").await, "3\r\none\r\n");
    tell(&hub, "and a longer piece", 1).await;
    assert_eq!(client.read_until("piece\r\n").await, "12\r\nand a longer piece\r\n");
    tell(&hub, "", 1).await;
    assert_eq!(client.read_until("0\r\n\r\n").await, "0\r\n\r\n");
    for _ in 0..2 {
        client.send("GET /short HTTP/1.1\r\nhost: t\r\n\r\n").await;
        assert!(client.read_until("short").await.starts_with("HTTP/1.1 200 OK\r\n"));
        client.send(GET).await;
        client.read_until("\r\n\r\n").await;
        tell(&hub, "", 1).await;
        client.read_until("0\r\n\r\n").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_were_sent_ahead_of_a_streams_end_are_answered_after_it() {
    let hub = hub();
    let server = Make::default().server(telling(&hub)).await;
    let short = "GET /short HTTP/1.1\r\nhost: t\r\n\r\n";
    // Some of it together with the stream's own request, some while it is written.
    let mut client = ask(&server, &format!("{GET}{short}{}", &short[..7])).await;
    client.read_until("\r\n\r\n").await;
    client.send(&short[7..]).await;
    client.send(&short.repeat(50)).await;
    tell(&hub, "one", 1).await;
    assert_eq!(client.read_until("one\r\n").await, "3\r\none\r\n");
    tell(&hub, "", 1).await;
    client.read_until("0\r\n\r\n").await;
    for _ in 0..52 {
        let answer = client.read_until("short").await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_before_a_stream_arrives_whole_however_slowly_it_is_read() {
    let hub = hub();
    let server = Make::default().server(telling(&hub)).await;
    let large = "GET /large HTTP/1.1\r\nhost: t\r\n\r\n";
    let mut client = ask(&server, &format!("{large}{GET}")).await;
    let head = client.read_until("\r\n\r\n").await;
    assert!(head.contains(&format!("content-length: {LARGE_BYTES}\r\n")), "{head}");
    // What no socket takes at once hyper holds, and does not go on to the stream meanwhile: the socket
    // could not be taken back without losing that.
    assert_eq!(hub.receiver_count(), 0);
    let mut body = vec![0; LARGE_BYTES];
    let read = timeout(DEADLINE, client.0.read_exact(&mut body)).await;
    read.expect("the answer comes to its end").unwrap();
    let end = body.iter().position(|byte| *byte != b'x');
    assert_eq!(end, None, "the stream begins in the middle of it");
    let head = client.read_until("\r\n\r\n").await;
    assert!(head.contains("text/event-stream"), "{head}");
    tell(&hub, "one", 1).await;
    assert_eq!(client.read_until("one\r\n").await, "3\r\none\r\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_keeps_no_connection_gets_none_and_an_old_client_no_chunks() {
    let hub = hub();
    let server = Make::default().server(telling(&hub)).await;
    let closing = "GET / HTTP/1.1\r\nhost: t\r\nconnection: te, Close\r\n\r\n";
    for (request, is_chunked) in [(closing, true), ("GET / HTTP/1.0\r\n\r\n", false)] {
        let mut client = ask(&server, request).await;
        let head = client.read_until("\r\n\r\n").await;
        assert!(head.contains("\r\nconnection: close\r\n"), "{head}");
        assert_eq!(head.contains("transfer-encoding"), is_chunked, "{head}");
        tell(&hub, "one", 1).await;
        tell(&hub, "", 1).await;
        let rest = client.read_to_end().await.unwrap();
        assert_eq!(rest, if is_chunked { "3\r\none\r\n0\r\n\r\n" } else { "one" });
    }
    // Where there is no body to be written, or one to be read, it is as with any answer.
    let mut client = ask(&server, "HEAD / HTTP/1.1\r\nhost: t\r\n\r\n").await;
    client.read_until("\r\n\r\n").await;
    client.send("GET / HTTP/1.1\r\nhost: t\r\ncontent-length: 3\r\n\r\nabc").await;
    client.read_until("\r\n\r\n").await;
    tell(&hub, "one", 1).await;
    client.read_until("3\r\none\r\n").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_leaves_an_idle_stream_is_noticed() {
    let hub = hub();
    let server = Make::default().server(telling(&hub)).await;
    let mut client = ask(&server, GET).await;
    client.read_until("\r\n\r\n").await;
    eventually("it listens", || hub.receiver_count() == 1).await;
    drop(client);
    eventually("its body is dropped", || hub.receiver_count() == 0).await;
    let broken = "http_connections_ended_total{listener=\"public\",how=\"broken\"}";
    server.number_becomes(broken, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_takes_nothing_of_a_stream_is_cut() {
    let hub = hub();
    let write_stall_timeout = Duration::from_millis(100);
    let limits = ConnectionLimits { write_stall_timeout, ..ConnectionLimits::default() };
    let server = Make { limits, ..Make::default() }.server(telling(&hub)).await;
    let _client = ask(&server, GET).await;
    eventually("it listens", || hub.receiver_count() == 1).await;
    let piece = Bytes::from(vec![b'x'; 1 << 20]);
    for _ in 0..64 {
        let _ = hub.send(piece.clone());
    }
    eventually("its body is dropped", || hub.receiver_count() == 0).await;
}
