//! Request bodies over a real connection.

use std::net::SocketAddr;
use std::time::Duration;

use clickmill_server::body::{self, BodyError, BodyLimits};
use clickmill_server::reply::{self, Body};
use hyper::body::Incoming;
use hyper::{Request, Response, StatusCode};

use crate::harness::{Make, Server};

const LIMITS: BodyLimits = BodyLimits { bytes_max: 1_000, timeout: Duration::from_millis(500) };

async fn take(request: Request<Incoming>, _: SocketAddr) -> Response<Body> {
    let status = match body::read(request.into_body(), LIMITS).await {
        Ok(_) => StatusCode::OK,
        Err(BodyError::Broken) => StatusCode::BAD_REQUEST,
        Err(BodyError::TimedOut(_)) => StatusCode::REQUEST_TIMEOUT,
        Err(BodyError::TooLarge(_)) => StatusCode::PAYLOAD_TOO_LARGE,
    };
    reply::empty(status)
}

fn post(length: usize) -> String {
    format!("POST / HTTP/1.1\r\nhost: t\r\ncontent-length: {length}\r\n\r\n")
}

async fn answers(server: &Server, request: &str, expected: &str) {
    let mut client = server.connect().await;
    client.send(request).await;
    let answer = client.read_until("\r\n").await;
    assert_eq!(answer, format!("HTTP/1.1 {expected}\r\n"), "{}", &request[..60.min(request.len())]);
}

#[tokio::test]
async fn a_client_reads_why_its_body_was_refused() {
    let server = Make::default().server(take).await;
    let whole = |length: usize| post(length) + &"a".repeat(length);
    answers(&server, &whole(1_000), "200 OK").await;
    answers(&server, &whole(1_001), "413 Payload Too Large").await;
    answers(&server, &whole(200_000), "413 Payload Too Large").await;
    let chunked = "POST / HTTP/1.1\r\nhost: t\r\ntransfer-encoding: chunked\r\n\r\n";
    let long_chunk = format!("{chunked}{:x}\r\n{}\r\n0\r\n\r\n", 1_001, "a".repeat(1_001));
    answers(&server, &long_chunk, "413 Payload Too Large").await;
    let small_chunks = format!("{chunked}2\r\nab\r\n1\r\nc\r\n0\r\n\r\n");
    answers(&server, &small_chunks, "200 OK").await;
    answers(&server, &format!("{chunked}zz\r\n"), "400 Bad Request").await;
    answers(&server, &(post(10) + "abc"), "408 Request Timeout").await;
}

#[tokio::test]
async fn after_a_refusal_that_was_read_to_its_end_the_connection_goes_on() {
    let server = Make::default().server(take).await;
    let mut client = server.connect().await;
    // More than one read takes: a server that did not read on would have to close.
    client.send(&(post(200_000) + &"a".repeat(200_000))).await;
    let refusal = client.read_until("\r\n\r\n").await;
    assert!(refusal.starts_with("HTTP/1.1 413 "), "{refusal}");
    client.send(&(post(3) + "abc")).await;
    let answer = client.read_until("\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}
