//! Many streams of hints on one connection of HTTP/2.

use std::time::Instant;

use bytes::Bytes;
use clickmill_tests::until::until;
use clickmill_tests::{Page, Stream, World};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper::{Request, Response, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use crate::PATIENCE;

/// What may lie unread in one stream of the client: less than a few hints take.
const STREAM_WINDOW_BYTES: u32 = 8 * 1024;

type Sender = SendRequest<Empty<Bytes>>;

/// One connection, by prior knowledge.
async fn connect(world: &World) -> Sender {
    let socket = TcpStream::connect(world.relay.url.trim_start_matches("http://")).await;
    let (sender, connection) = Builder::new(TokioExecutor::new())
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(1 << 20)
        .handshake(TokioIo::new(socket.expect("a connection")))
        .await
        .expect("HTTP/2");
    // It ends with its senders.
    tokio::spawn(connection);
    sender
}

async fn open(sender: &Sender, world: &World, page: &Page) -> Response<Incoming> {
    let url = format!("{}/v1/hints?token={}", world.relay.url, page.token().await);
    let request = Request::get(url).body(Empty::new()).expect("a request");
    let mut sender = sender.clone();
    sender.ready().await.expect("room for a stream");
    sender.send_request(request).await.expect("an answer")
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_share_a_connection_and_one_that_is_not_read_holds_up_no_other() {
    let world = World::start().await;
    let names: Vec<String> = (0..20).map(|n| format!("p{n}")).collect();
    let stocked: Vec<(&str, i64)> = names.iter().map(|name| (name.as_str(), 100)).collect();
    world.kafka.stock(&stocked);
    let sender = connect(&world).await;
    let (slow, quick) = (world.page(), [world.page(), world.page(), world.page()]);

    let unread = open(&sender, &world, &slow).await;
    let mut streams = Vec::new();
    for page in &quick {
        let response = open(&sender, &world, page).await;
        assert_eq!((response.version(), response.status().as_u16()), (Version::HTTP_2, 200));
        let header = |name: &str| response.headers()[name].to_str().expect("text").to_owned();
        assert_eq!(header("content-type"), "text/event-stream");
        // Neither nginx nor anybody who compresses holds an event back.
        assert_eq!(header("cache-control"), "no-store, no-transform");
        assert_eq!(header("x-accel-buffering"), "no");
        streams.push(Stream::new(response.into_body()));
    }
    let connections = r#"http_connections_open{listener="public""#;
    until("there is one connection", || async {
        (world.relay.metric(connections).await == 1.0).then_some(())
    })
    .await;

    // More than its window, the relay's buffers and its outbox hold.
    let conflated = "clickmill_relay_hints_conflated_total";
    let deadline = Instant::now() + PATIENCE;
    for n in 0.. {
        let views = (0..20).map(|k| slow.views(&format!("p{}", (n + k) % 20))).collect();
        assert_eq!(slow.send(views).await.accepted, 20);
        if world.relay.metric(conflated).await > 0.0 {
            break;
        }
        assert!(Instant::now() < deadline, "no hint made room for a newer one");
    }
    for (page, stream) in quick.iter().zip(&mut streams) {
        for sku in ["p1", "p2"] {
            let event = page.views(sku);
            let clicked = event.id;
            assert_eq!(page.send(vec![event]).await.accepted, 1);
            let (hint, _) = stream.hint(PATIENCE).await.expect("a hint");
            assert_eq!(hint.cause.map(|cause| cause.event), Some(clicked));
        }
    }
    // It reads again, and comes to the newest.
    let last = slow.views("p3");
    let clicked = last.id;
    assert_eq!(slow.send(vec![last]).await.accepted, 1);
    let mut late = Stream::new(unread.into_body());
    loop {
        let (hint, _) = late.hint(PATIENCE).await.expect("a hint");
        if hint.cause.is_some_and(|cause| cause.event == clicked) {
            break;
        }
    }
}
