//! The bounds of connections, and what happens at them.

use std::io;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::time::Duration;

use clickmill_server::reply::{self, Body};
use clickmill_server::serve::{Accept, ConnectionLimits};
use hyper::body::Incoming;
use hyper::{Request, Response, StatusCode};
use tokio::net::{TcpListener, TcpStream};

use crate::harness::{GET, Make, loopback, timed};

async fn hello(_: Request<Incoming>, _: SocketAddr) -> Response<Body> {
    reply::text(StatusCode::OK, "hello")
}

fn with(limits: ConnectionLimits) -> Make {
    Make { limits, ..Make::default() }
}

#[tokio::test]
async fn at_the_cap_a_connection_waits_its_turn() {
    let connections_max = NonZeroUsize::new(2).unwrap();
    let limits = ConnectionLimits { connections_max, ..ConnectionLimits::default() };
    let server = with(limits).server(hello).await;
    let first = server.connect_accepted().await;
    let mut second = server.connect_accepted().await;
    server.number_becomes("http_connections_full_total{listener=\"public\"}", 1).await;
    let mut third = server.connect().await;
    third.send(GET).await;
    second.send(GET).await;
    second.read_until("hello").await;
    assert_eq!(server.number("http_connections_total{listener=\"public\"}"), 2);
    drop(first);
    third.read_until("hello").await;
    assert_eq!(server.number("http_connections_total{listener=\"public\"}"), 3);
    assert_eq!(server.number("http_connections_open{listener=\"public\"}"), 2);
}

#[tokio::test]
async fn a_head_that_does_not_come_ends_the_connection() {
    let header_read_timeout = Duration::from_millis(100);
    let limits = ConnectionLimits { header_read_timeout, ..ConnectionLimits::default() };
    let server = with(limits).server(hello).await;
    let mut slow = server.connect_accepted().await;
    slow.send("GET / HTTP/1.1\r\n").await;
    let (took, answer) = timed(slow.read_to_end()).await;
    assert!(!answer.unwrap().contains("200 OK"));
    assert!(took >= header_read_timeout / 2, "{took:?}");
    let series = "http_connections_ended_total{listener=\"public\",how=\"timeout\"}";
    server.number_becomes(series, 1).await;
}

#[tokio::test]
async fn an_over_long_head_is_refused_with_431() {
    let head_bytes_max = NonZeroUsize::new(1024).unwrap();
    let limits = ConnectionLimits { head_bytes_max, ..ConnectionLimits::default() };
    let server = with(limits).server(hello).await;
    let mut client = server.connect().await;
    client.send(&format!("GET / HTTP/1.1\r\nhost: t\r\nx: {}\r\n\r\n", "a".repeat(1200))).await;
    let answer = client.read_to_end().await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
}

#[tokio::test]
async fn a_peer_that_takes_nothing_is_ended() {
    async fn big(_: Request<Incoming>, _: SocketAddr) -> Response<Body> {
        reply::text(StatusCode::OK, vec![b'x'; 64 << 20])
    }
    let write_stall_timeout = Duration::from_millis(200);
    let limits = ConnectionLimits { write_stall_timeout, ..ConnectionLimits::default() };
    let server = with(limits).server(big).await;
    let mut client = server.connect_accepted().await;
    client.send(GET).await;
    server.number_becomes("http_connections_open{listener=\"public\"}", 0).await;
    let series = "http_connections_ended_total{listener=\"public\",how=\"broken\"}";
    assert_eq!(server.number(series), 1);
    drop(client);
}

#[tokio::test]
async fn a_panic_costs_one_connection() {
    async fn fussy(request: Request<Incoming>, _: SocketAddr) -> Response<Body> {
        assert!(request.uri().path() != "/panic", "asked for");
        reply::text(StatusCode::OK, "hello")
    }
    let server = Make::default().server(fussy).await;
    let mut other = server.connect_accepted().await;
    let mut client = server.connect_accepted().await;
    client.send("GET /panic HTTP/1.1\r\nhost: t\r\n\r\n").await;
    assert_eq!(client.read_to_end().await.unwrap_or_default(), "");
    let series = "http_connections_ended_total{listener=\"public\",how=\"panic\"}";
    server.number_becomes(series, 1).await;
    other.send(GET).await;
    other.read_until("hello").await;
}

#[tokio::test]
async fn a_lack_of_descriptors_is_outlived() {
    /// Has no descriptors left, three times.
    struct Starved {
        listener: TcpListener,
        failures_left: u32,
    }

    impl Accept for Starved {
        async fn accept(&mut self) -> io::Result<(TcpStream, SocketAddr)> {
            if self.failures_left == 0 {
                return self.listener.accept().await;
            }
            self.failures_left -= 1;
            const EMFILE: i32 = 24;
            Err(io::Error::from_raw_os_error(EMFILE))
        }
    }

    let listener = loopback().await;
    let addr = listener.local_addr().unwrap();
    let starved = Starved { listener, failures_left: 3 };
    let server = Make::default().server_on(addr, starved, hello);
    let mut client = server.connect().await;
    client.send(GET).await;
    client.read_until("hello").await;
    assert_eq!(server.number("http_accept_errors_total{listener=\"public\"}"), 3);
}

#[tokio::test]
async fn the_service_hears_who_asks() {
    async fn who(_: Request<Incoming>, peer: SocketAddr) -> Response<Body> {
        reply::text(StatusCode::OK, format!("you are {peer}"))
    }
    let server = Make::default().server(who).await;
    let mut client = server.connect().await;
    let own = client.0.local_addr().unwrap();
    client.send(GET).await;
    client.read_until(&format!("you are {own}")).await;
}
