//! PROXY headers on real connections.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::time::Duration;

use clickmill_server::reply::{self, Body};
use clickmill_server::serve::{ConnectionLimits, Transport};
use hyper::body::Incoming;
use hyper::{Request, Response, StatusCode};
use tokio::io::AsyncWriteExt;

use crate::harness::{Client, GET, Make, timed};
use crate::http2::H2;
use crate::pki::Pair;

const V1: &str = "PROXY TCP4 192.0.2.7 10.0.0.1 5001 443\r\n";

async fn who(_: Request<Incoming>, peer: SocketAddr) -> Response<Body> {
    reply::text(StatusCode::OK, format!("you are {peer}."))
}

fn trusting(networks: &str) -> Transport {
    Transport { tls: None, proxies: Some(serde_json::from_str(networks).unwrap()) }
}

fn with(transport: Transport) -> Make {
    Make { transport, ..Make::default() }
}

fn ended(how: &str) -> String {
    format!("http_connections_ended_total{{listener=\"public\",how=\"{how}\"}}")
}

fn v2() -> Vec<u8> {
    [b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c", &[192, 0, 2, 8, 10, 0, 0, 1, 0x13, 0x89, 1, 0xbb][..]]
        .concat()
}

#[tokio::test]
async fn the_service_hears_of_the_client_and_not_of_the_balancer() {
    let server = with(trusting(r#"["127.0.0.0/8"]"#)).server(who).await;
    let mut client = server.connect().await;
    client.send(&format!("{V1}{GET}")).await;
    client.read_until("you are 192.0.2.7:5001.").await;
    client.send(GET).await;
    client.read_until("you are 192.0.2.7:5001.").await;

    let mut client = server.connect().await;
    client.0.write_all(&v2()).await.unwrap();
    client.send(GET).await;
    client.read_until("you are 192.0.2.8:5001.").await;

    let mut stream = server.connect().await.0;
    stream.write_all(&v2()).await.unwrap();
    assert_eq!(H2::over(stream).await.get().await.unwrap().1, "you are 192.0.2.8:5001.");

    let mut check = server.connect().await;
    let own = check.0.local_addr().unwrap();
    check.send(&format!("PROXY UNKNOWN\r\n{GET}")).await;
    check.read_until(&format!("you are {own}.")).await;
}

#[tokio::test]
async fn tls_may_follow() {
    let pair = Pair::new();
    let transport = Transport { tls: pair.transport().tls, ..trusting(r#"["127.0.0.1"]"#) };
    let server = with(transport).server(who).await;
    for protocol in ["http/1.1", "h2"] {
        let mut stream = server.connect().await.0;
        stream.write_all(V1.as_bytes()).await.unwrap();
        let stream = pair.secure(stream, protocol).await;
        if protocol == "h2" {
            assert_eq!(H2::over(stream).await.get().await.unwrap().1, "you are 192.0.2.7:5001.");
        } else {
            let mut client = Client(stream);
            client.send(GET).await;
            client.read_until("you are 192.0.2.7:5001.").await;
        }
    }
}

#[tokio::test]
async fn who_is_not_trusted_or_sends_no_header_is_turned_away() {
    let stranger = with(trusting(r#"["10.0.0.0/8"]"#)).server(who).await;
    let mut client = stranger.connect().await;
    client.send(&format!("{V1}{GET}")).await;
    assert_eq!(client.read_to_end().await.unwrap_or_default(), "");
    stranger.number_becomes(&ended("proxy"), 1).await;

    let server = with(trusting(r#"["127.0.0.1"]"#)).server(who).await;
    let garbage =
        ["GET / HTTP/1.1\r\n", "PROXY TCP4 x\r\n\r\n", "PROXY \n\n\n\n\n\n", "\r\n\r\nx\r\n"];
    for (count, garbage) in (1..).zip(garbage) {
        let mut client = server.connect().await;
        client.send(&format!("{garbage}{GET}")).await;
        assert_eq!(client.read_to_end().await.unwrap_or_default(), "", "{garbage}");
        server.number_becomes(&ended("proxy"), count).await;
    }
}

#[tokio::test]
async fn a_header_that_does_not_come_ends_the_connection() {
    let handshake_timeout = Duration::from_millis(100);
    let limits = ConnectionLimits { handshake_timeout, ..ConnectionLimits::default() };
    let server = Make { limits, ..with(trusting(r#"["127.0.0.1"]"#)) }.server(who).await;
    let mut slow = server.connect_accepted().await;
    slow.send(&V1[..20]).await;
    let (took, answer) = timed(slow.read_to_end()).await;
    assert_eq!(answer.unwrap_or_default(), "");
    assert!(took >= handshake_timeout / 2, "{took:?}");
    server.number_becomes(&ended("timeout"), 1).await;
}

#[tokio::test]
async fn one_address_has_so_many_connections_and_others_have_theirs() {
    let limits = ConnectionLimits {
        address_connections_max: NonZeroUsize::new(2),
        ..ConnectionLimits::default()
    };
    let server = Make { limits, ..with(trusting(r#"["127.0.0.1"]"#)) }.server(who).await;
    let mut clients = Vec::new();
    for _ in 0..2 {
        let mut client = server.connect().await;
        client.send(&format!("{V1}{GET}")).await;
        client.read_until("you are 192.0.2.7:5001.").await;
        clients.push(client);
    }
    let mut third = server.connect().await;
    third.send(&format!("{V1}{GET}")).await;
    assert_eq!(third.read_to_end().await.unwrap_or_default(), "");
    server.number_becomes(&ended("crowded"), 1).await;
    let mut other = server.connect().await;
    other.0.write_all(&v2()).await.unwrap();
    other.send(GET).await;
    other.read_until("you are 192.0.2.8:5001.").await;
    clients.pop();
    server.number_becomes(&ended("clean"), 1).await;
    let mut again = server.connect().await;
    again.send(&format!("{V1}{GET}")).await;
    again.read_until("you are 192.0.2.7:5001.").await;
}
