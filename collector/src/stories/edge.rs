//! A collector for one test, and a client for it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use clickmill_catalog::{Builtin, Schemas};
use clickmill_sdk_core::wire::{Receipt, Refusal, Topic};
use clickmill_server::clock::ManualClock;
use clickmill_server::listen::Listeners;
use clickmill_server::metrics::Metrics;
use clickmill_server::shutdown::Shutdown;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper::header::{HOST, HeaderMap};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep};

use crate::collector::Parts;
use crate::config::Config;
use crate::metrics::TABLE;
use crate::refresh::START_WAIT;
use crate::reload::Source;
use crate::run::{RunError, open_registry, run_parts};
use crate::sink::fake::FakeSink;
use crate::testing::{self, NOW_MS, event_id};

/// The page that the site allows.
pub(super) const ORIGIN: &str = "https://shop.example";

/// How long a test waits for something to become true.
const PATIENCE: Duration = Duration::from_secs(10);

/// A running collector.
pub(super) struct Edge {
    pub(super) public: SocketAddr,
    pub(super) admin: SocketAddr,
    pub(super) sink: FakeSink,
    pub(super) clock: ManualClock,
    pub(super) shutdown: Shutdown,
    pub(super) running: JoinHandle<Result<(), RunError>>,
}

/// What a client reads.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) text: String,
}

impl Answer {
    pub(super) fn receipt(&self) -> Receipt {
        assert_eq!(self.status, StatusCode::OK, "{}", self.text);
        serde_json::from_str(&self.text).unwrap()
    }

    pub(super) fn refusal(&self) -> Refusal {
        assert!(!self.status.is_success(), "{}", self.text);
        serde_json::from_str(&self.text).unwrap()
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// Each verdict as `index outcome reason-or-nothing`.
    pub(super) fn verdicts(&self) -> Vec<String> {
        let told: Value = serde_json::from_str(&self.text).unwrap();
        let verdicts = told["verdicts"].as_array().cloned().unwrap_or_default();
        let text = |verdict: &Value, key: &str| verdict[key].as_str().unwrap_or("").to_owned();
        verdicts
            .iter()
            .map(|v| format!("{} {} {}", v["index"], text(v, "outcome"), text(v, "reason")))
            .map(|line| line.trim_end().to_owned())
            .collect()
    }
}

impl Edge {
    /// A collector with one site, as [`site_entry`] has it.
    pub(super) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    /// The same with changes to its configuration.
    pub(super) async fn start_with(change: impl FnOnce(&mut Config)) -> Self {
        let mut config = config();
        change(&mut config);
        config.check().unwrap();
        let listeners = Listeners::loopback().await.unwrap();
        let (public, admin) = (listeners.public_addr().unwrap(), listeners.admin_addr().unwrap());
        let (sink, clock, shutdown) = (FakeSink::new(), ManualClock::at(NOW_MS), Shutdown::new());
        let schemas = Arc::new(Schemas::open(vec![Box::new(Builtin)]).unwrap().0);
        let metrics = Metrics::new(TABLE).unwrap();
        let watch = (&clock.shared(), &metrics);
        let refresh = open_registry(&config, START_WAIT, &schemas, watch).await.unwrap();
        let parts = Parts {
            config,
            sink: Arc::new(sink.clone()),
            schemas,
            refresh,
            clock: clock.shared(),
            metrics,
            source: Source::default(),
        };
        let running = tokio::spawn(run_parts(parts, listeners, shutdown.clone()));
        Self { public, admin, sink, clock, shutdown, running }
    }

    /// Sends a batch from the allowed page.
    pub(super) async fn post(&self, batch: &Value) -> Answer {
        self.send(self.delivery(), batch.to_string()).await
    }

    /// A delivery's head from the allowed page.
    pub(super) fn delivery(&self) -> hyper::http::request::Builder {
        Request::post("/v1/events?k=wk").header("origin", ORIGIN)
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        self.send(Request::get(path).header("origin", ORIGIN), "").await
    }

    pub(super) async fn send(
        &self,
        head: hyper::http::request::Builder,
        body: impl Into<Bytes>,
    ) -> Answer {
        send(self.public, head, body.into()).await
    }

    /// A metric's number, 0 if it is not there yet.
    pub(super) async fn metric(&self, name: &str) -> u64 {
        let shown = send(self.admin, Request::get("/metrics"), Bytes::new()).await.text;
        let line = shown.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.map_or(0, |number| number.parse().unwrap())
    }

    /// The readiness page.
    pub(super) async fn ready(&self) -> Answer {
        send(self.admin, Request::get("/ready"), Bytes::new()).await
    }

    /// The values that became durable in a topic.
    pub(super) fn stored(&self, topic: Topic) -> Vec<Value> {
        let stored = self.sink.stored(topic);
        stored.iter().map(|message| serde_json::from_str(&message.value).unwrap()).collect()
    }

    /// The sequence numbers of the durable records, in order.
    pub(super) fn stored_seqs(&self) -> Vec<u64> {
        self.stored(Topic::ClicksRaw).iter().map(|record| record["seq"].as_u64().unwrap()).collect()
    }
}

/// A configuration with one site and one key, for plain HTTP.
pub(super) fn config() -> Config {
    let mut config = testing::config();
    config.cookie.secure = false;
    config
}

/// Sends one request over a connection of its own.
pub(super) async fn send(
    to: SocketAddr,
    head: hyper::http::request::Builder,
    body: Bytes,
) -> Answer {
    let stream = TcpStream::connect(to).await.unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    // A set ends its tasks when it is dropped: with this future, the connection is gone too.
    let mut driver = JoinSet::new();
    driver.spawn(connection);
    let request = head.header(HOST, "collector").body(Full::new(body)).unwrap();
    let response = sender.send_request(request).await.unwrap();
    let (head, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let text = String::from_utf8(body.to_vec()).unwrap();
    Answer { status: head.status, headers: head.headers, text }
}

/// An event that every rule likes; its number is its place in the queue.
pub(super) fn event(number: u32) -> Value {
    json!({"id": event_id(number), "queue": "q", "seq": number, "type": "product_click",
           "at": NOW_MS, "props": {"sku": format!("sku-{number}")}})
}

/// A batch of the visitor `v1`.
pub(super) fn batch(events: impl IntoIterator<Item = Value>) -> Value {
    batch_of("v1", events)
}

/// A batch of that visitor.
pub(super) fn batch_of(visitor: &str, events: impl IntoIterator<Item = Value>) -> Value {
    let events: Vec<Value> = events.into_iter().collect();
    json!({"sent_at": NOW_MS, "context": {"visitor": visitor}, "events": events})
}

/// Waits until something is so.
pub(super) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds().await {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        sleep(Duration::from_millis(2)).await;
    }
}
