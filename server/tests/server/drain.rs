//! The drain at every stage a connection can be in, on a runtime with threads as in production.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use clickmill_server::body::{self, BodyLimits};
use clickmill_server::reply::{self, Body, BoxError};
use clickmill_server::serve::{ConnectionLimits, Drained, Service};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::HeaderValue;
use hyper::{Request, Response, StatusCode};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use crate::harness::{Client, GET, Make, Server, eventually, timed};

/// Shorter than any test's patience, longer than any scheduling delay.
const SHORT_GRACE: Duration = Duration::from_millis(300);

async fn hello(_: Request<Incoming>, _: SocketAddr) -> Response<Body> {
    reply::text(StatusCode::OK, "hello")
}

/// Answers with the length of the body.
async fn measure(request: Request<Incoming>, _: SocketAddr) -> Response<Body> {
    let limits = BodyLimits { bytes_max: 1_000_000, timeout: Duration::from_secs(60) };
    match body::read(request.into_body(), limits).await {
        Ok(bytes) => reply::text(StatusCode::OK, format!("{} bytes", bytes.len())),
        Err(error) => reply::text(StatusCode::BAD_REQUEST, error.to_string()),
    }
}

/// Answers only once it is allowed to.
fn gated(gate: Arc<Semaphore>) -> impl Service {
    move |_: Request<Incoming>, _: SocketAddr| {
        let gate = Arc::clone(&gate);
        async move {
            drop(gate.acquire().await);
            reply::text(StatusCode::OK, "late")
        }
    }
}

/// Streams a piece again and again until the hub is closed.
fn endless(hub: watch::Sender<bool>, piece: Bytes) -> impl Service {
    move |_: Request<Incoming>, _: SocketAddr| {
        let (open, piece) = (hub.subscribe(), piece.clone());
        let stream = futures_stream(open, piece);
        let media_type = HeaderValue::from_static("text/event-stream");
        std::future::ready(reply::stream(media_type, StreamBody::new(stream).boxed_unsync()))
    }
}

fn futures_stream(
    open: watch::Receiver<bool>,
    piece: Bytes,
) -> impl futures_util::Stream<Item = Result<Frame<Bytes>, BoxError>> {
    futures_util::stream::unfold(open, move |open| {
        let piece = piece.clone();
        async move {
            // Pieces come all the time, so that a stalled reader is soon felt.
            tokio::time::sleep(Duration::from_millis(1)).await;
            let is_open = *open.borrow();
            is_open.then(|| (Ok(Frame::data(piece)), open))
        }
    })
}

/// Begins the drain and waits until the listener is gone. Looking by connecting would be let in.
async fn begin(server: &Server) {
    server.shutdown.begin();
    let is_free = || std::net::TcpListener::bind(server.addr).is_ok();
    eventually("the listener is closed", is_free).await;
}

async fn check(server: Server, expected: Drained) {
    assert_eq!(server.drained().await, expected);
}

const ALL_FINISHED: Drained = Drained { finished: 1, cut: 0 };
const ALL_CUT: Drained = Drained { finished: 0, cut: 1 };

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_connections_end_at_once() {
    let server = Make::default().server(hello).await;
    let mut fresh = server.connect_accepted().await;
    let mut used = server.connect_accepted().await;
    used.send(GET).await;
    used.read_until("hello").await;
    server.shutdown.begin();
    assert_eq!(fresh.read_to_end().await.unwrap(), "");
    assert_eq!(used.read_to_end().await.unwrap(), "");
    let (took, drained) = timed(server.drained()).await;
    assert_eq!(drained, Drained { finished: 2, cut: 0 });
    assert!(took < Duration::from_secs(5), "{took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_in_work_gets_its_answer() {
    let gate = Arc::new(Semaphore::new(0));
    let server = Make::default().server(gated(Arc::clone(&gate))).await;
    let mut client = server.connect_accepted().await;
    client.send(GET).await;
    begin(&server).await;
    gate.add_permits(1);
    let answer = client.read_to_end().await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("late"), "{answer}");
    check(server, ALL_FINISHED).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_on_its_way_arrives() {
    let server = Make::default().server(measure).await;
    let mut client = server.connect_accepted().await;
    client.send("POST / HTTP/1.1\r\nhost: t\r\ncontent-length: 10\r\n\r\n01234").await;
    begin(&server).await;
    client.send("56789").await;
    let answer = client.read_to_end().await.unwrap();
    assert!(answer.ends_with("10 bytes"), "{answer}");
    check(server, ALL_FINISHED).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_on_its_way_is_answered() {
    let server = Make::default().server(hello).await;
    let mut client = server.connect_accepted().await;
    client.send(&GET[..10]).await;
    // Nothing tells from outside that the first half was read; a round trip makes it likely.
    let mut other = server.connect_accepted().await;
    other.send(GET).await;
    other.read_until("hello").await;
    begin(&server).await;
    client.send(&GET[10..]).await;
    let answer = client.read_to_end().await.unwrap();
    assert!(answer.ends_with("hello"), "{answer:?}");
    check(server, Drained { finished: 2, cut: 0 }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_stalls_in_its_body_is_cut_after_the_grace_period() {
    let server = Make { grace: SHORT_GRACE, ..Make::default() }.server(measure).await;
    let mut client = server.connect_accepted().await;
    client.send("POST / HTTP/1.1\r\nhost: t\r\ncontent-length: 10\r\n\r\n01234").await;
    server.shutdown.begin();
    let (took, answer) = timed(client.read_to_end()).await;
    assert!(answer.is_err() || answer.is_ok_and(|text| text.is_empty()));
    assert!(took >= SHORT_GRACE / 2, "{took:?}");
    check(server, ALL_CUT).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_ends_whole_when_its_hub_is_closed_first() {
    let (hub, _) = watch::channel(true);
    let server = Make::default().server(endless(hub.clone(), Bytes::from_static(b"tick\n"))).await;
    let mut client = server.connect_accepted().await;
    client.send(GET).await;
    client.read_until("tick\n").await;
    hub.send_replace(false);
    server.shutdown.begin();
    let rest = client.read_to_end().await.unwrap();
    assert!(rest.ends_with("0\r\n\r\n"), "the chunked body is complete: {rest:?}");
    check(server, ALL_FINISHED).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_whose_hub_stays_open_is_cut_after_the_grace_period() {
    let (hub, _) = watch::channel(true);
    let make = Make { grace: SHORT_GRACE, ..Make::default() };
    let server = make.server(endless(hub.clone(), Bytes::from_static(b"tick\n"))).await;
    let mut client = server.connect_accepted().await;
    client.send(GET).await;
    client.read_until("tick\n").await;
    server.shutdown.begin();
    check(server, ALL_CUT).await;
    assert!(*hub.borrow());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_stalls_in_its_answer_is_cut_and_its_body_dropped() {
    let (hub, _) = watch::channel(true);
    let make = Make { grace: SHORT_GRACE, ..Make::default() };
    let server = make.server(endless(hub.clone(), Bytes::from(vec![b'x'; 1 << 20]))).await;
    let mut client = server.connect_accepted().await;
    client.send(GET).await;
    eventually("the body is being sent", || hub.receiver_count() == 1).await;
    server.shutdown.begin();
    check(server, ALL_CUT).await;
    assert_eq!(hub.receiver_count(), 0);
    drop(client);
}

#[tokio::test]
async fn a_client_that_the_system_let_in_gets_its_answer() {
    let server = Make::default().server(hello).await;
    // Without a single step of the runtime between connecting and the drain.
    let mut client = std::net::TcpStream::connect(server.addr).unwrap();
    std::io::Write::write_all(&mut client, GET.as_bytes()).unwrap();
    server.shutdown.begin();
    client.set_nonblocking(true).unwrap();
    let mut client = Client(TcpStream::from_std(client).unwrap());
    let answer = client.read_to_end().await.unwrap();
    assert!(answer.ends_with("hello"), "{answer:?}");
    check(server, ALL_FINISHED).await;
}

#[tokio::test]
async fn a_request_that_has_arrived_unread_gets_its_answer() {
    let connections_max = NonZeroUsize::MIN;
    let limits = ConnectionLimits { connections_max, ..ConnectionLimits::default() };
    let server = Make { limits, ..Make::default() }.server(hello).await;
    let mut client = server.connect_accepted().await;
    // Without a step of the runtime between the request and the drain, and with no room for more.
    assert_eq!(client.0.try_write(GET.as_bytes()).unwrap(), GET.len());
    server.shutdown.begin();
    let answer = client.read_to_end().await.unwrap();
    assert!(answer.ends_with("hello"), "{answer:?}");
    check(server, ALL_FINISHED).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_load_what_was_worked_on_is_answered() {
    let handled = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&handled);
    let server = Make::default()
        .server(move |_: Request<Incoming>, _: SocketAddr| {
            count.fetch_add(1, Ordering::SeqCst);
            async {
                tokio::task::yield_now().await;
                reply::text(StatusCode::OK, "done")
            }
        })
        .await;
    let mut clients = JoinSet::new();
    for _ in 0..32 {
        let mut client = server.connect_accepted().await;
        clients.spawn(async move {
            let mut answers = 0;
            while client.0.write_all(GET.as_bytes()).await.is_ok()
                && client.is_answered("done").await
            {
                answers += 1;
            }
            answers
        });
    }
    eventually("the load is on", || handled.load(Ordering::SeqCst) > 1_000).await;
    server.shutdown.begin();
    assert_eq!(server.drained().await, Drained { finished: 32, cut: 0 });
    let answered: u64 = clients.join_all().await.into_iter().sum();
    assert_eq!(answered, handled.load(Ordering::SeqCst));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_open_means_nothing_to_wait_for() {
    let server = Make::default().server(hello).await;
    let mut client: Client = server.connect_accepted().await;
    client.send("GET / HTTP/1.1\r\nhost: t\r\nconnection: close\r\n\r\n").await;
    client.read_to_end().await.unwrap();
    server.number_becomes("http_connections_open{listener=\"public\"}", 0).await;
    server.shutdown.begin();
    check(server, Drained { finished: 0, cut: 0 }).await;
}
