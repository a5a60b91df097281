//! The drain of connections over TLS and of HTTP/2, at the stages that differ.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use clickmill_server::reply::{self, Body};
use clickmill_server::serve::{Drained, Service};
use hyper::body::Incoming;
use hyper::{Request, Response, StatusCode};
use tokio::sync::Semaphore;

use crate::harness::{Client, DEADLINE, GET, Make, Server, eventually, timed};
use crate::http2::{H2, get};
use crate::pki::Pair;

async fn hello(_: Request<Incoming>, _: SocketAddr) -> Response<Body> {
    reply::text(StatusCode::OK, "hello")
}

/// A handler that says when it has begun and answers once it may.
#[derive(Clone)]
struct Gate {
    begun: Arc<Semaphore>,
    open: Arc<Semaphore>,
}

impl Gate {
    fn new() -> Self {
        Self { begun: Arc::new(Semaphore::new(0)), open: Arc::new(Semaphore::new(0)) }
    }

    fn service(&self) -> impl Service {
        let gate = self.clone();
        move |_: Request<Incoming>, _: SocketAddr| {
            let gate = gate.clone();
            async move {
                gate.begun.add_permits(1);
                drop(gate.open.acquire().await);
                reply::text(StatusCode::OK, "late")
            }
        }
    }

    async fn has_begun(&self, requests: u32) {
        let begun = self.begun.acquire_many(requests);
        tokio::time::timeout(DEADLINE, begun).await.unwrap().unwrap().forget();
    }
}

async fn begin(server: &Server) {
    server.shutdown.begin();
    let is_free = || std::net::TcpListener::bind(server.addr).is_ok();
    eventually("the listener is closed", is_free).await;
}

fn secure(pair: &Pair) -> Make {
    Make { transport: pair.transport(), ..Make::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_connections_end_at_once() {
    let pair = Pair::new();
    let server = secure(&pair).server(hello).await;
    let mut fresh = server.connect_accepted().await;
    let mut h1 = Client(pair.secure(server.connect().await.0, "http/1.1").await);
    h1.send(GET).await;
    h1.read_until("hello").await;
    let mut h2 = H2::over(pair.secure(server.connect().await.0, "h2").await).await;
    h2.get().await.unwrap();
    server.shutdown.begin();
    assert_eq!(fresh.read_to_end().await.unwrap(), "");
    assert_eq!(h1.read_to_end().await.unwrap(), "");
    h2.connection.await.unwrap().unwrap();
    let (took, drained) = timed(server.drained()).await;
    assert_eq!(drained, Drained { finished: 3, cut: 0 });
    assert!(took < Duration::from_secs(5), "{took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_in_work_get_their_answers() {
    let (pair, gate) = (Pair::new(), Gate::new());
    let server = secure(&pair).server(gate.service()).await;
    let mut h1 = Client(pair.secure(server.connect().await.0, "http/1.1").await);
    h1.send(GET).await;
    let mut h2 = H2::over(pair.secure(server.connect().await.0, "h2").await).await;
    let answers = [h2.ask(get("/")), h2.ask(get("/")), h2.ask(get("/"))].map(tokio::spawn);
    gate.has_begun(4).await;
    begin(&server).await;
    gate.open.add_permits(4);
    let answer = h1.read_to_end().await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("late"), "{answer}");
    for answer in answers {
        assert_eq!(answer.await.unwrap().unwrap(), (StatusCode::OK, "late".to_owned()));
    }
    h2.connection.await.unwrap().unwrap();
    assert_eq!(server.drained().await, Drained { finished: 2, cut: 0 });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_h2_sent_before_it_heard_of_the_drain_is_answered() {
    let gate = Gate::new();
    let server = Make::default().server(gate.service()).await;
    let mut h2 = H2::over(server.connect_accepted().await.0).await;
    let first = tokio::spawn(h2.ask(get("/")));
    gate.has_begun(1).await;
    begin(&server).await;
    // Our client takes no new request once it was told to go away: either it is answered or it was
    // never sent, and both ends agree on which.
    let second = tokio::spawn(h2.ask(get("/")));
    gate.open.add_permits(2);
    assert_eq!(first.await.unwrap().unwrap().1, "late");
    if let Err(error) = second.await.unwrap() {
        assert!(error.is_canceled() || error.is_closed(), "{error:?}");
        assert_eq!(gate.begun.available_permits(), 0, "it never reached the handler");
    }
    assert_eq!(server.drained().await, Drained { finished: 1, cut: 0 });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stuck_request_is_cut_after_the_grace_period_and_dropped() {
    for protocol in ["http/1.1", "h2"] {
        let (pair, gate) = (Pair::new(), Gate::new());
        let grace = Duration::from_millis(300);
        let server = Make { grace, ..secure(&pair) }.server(gate.service()).await;
        let stream = pair.secure(server.connect().await.0, protocol).await;
        let asked = if protocol == "h2" {
            let mut h2 = H2::over(stream).await;
            tokio::spawn(async move { h2.get().await.is_err() })
        } else {
            let mut h1 = Client(stream);
            h1.send(GET).await;
            tokio::spawn(async move { h1.read_to_end().await.map_or(true, |text| text.is_empty()) })
        };
        gate.has_begun(1).await;
        server.shutdown.begin();
        assert_eq!(server.drained().await, Drained { finished: 0, cut: 1 }, "{protocol}");
        assert!(asked.await.unwrap(), "{protocol}");
        // The handler held a clone of the gate; only the service's own and ours are left, or none.
        eventually("the handler is dropped", || Arc::strong_count(&gate.open) == 1).await;
    }
}
