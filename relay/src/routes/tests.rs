//! Streams over real sockets: what a browser would get.

use std::time::Duration;

use clickmill_sdk_core::wire::{
    Hint, HintId, HintKind, Json, Millis, Slot, Tenant, VisitorId, Why,
};
use clickmill_server::clock::{Clock as _, SystemClock};
use clickmill_server::listen::Listeners;
use clickmill_server::metrics::Metrics;
use clickmill_server::serve::{ConnectionLimits, ConnectionMetrics, Serve, Transport, serve};
use clickmill_server::shutdown::Shutdown;
use clickmill_server::token::{Claims, SigningKey};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::*;
use crate::config::Config;
use crate::hints::admit::PURPOSE;
use crate::hints::hub::{Hub, Said, Subject, Telling};
use crate::metrics::{AskMeters, DeliveryMeters, HubMeters, ReactMeters, TABLE};
use crate::react::{Means, React};
use crate::tables::Tables;
use crate::visitors::Visitors;

const ORIGIN: &str = "https://shop.example";

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(5);

/// The public listener of a relay without Kafka.
struct Relay {
    addr: SocketAddr,
    hub: Arc<Hub>,
    signer: Signer,
    metrics: Metrics,
    shutdown: Shutdown,
    serving: JoinHandle<clickmill_server::serve::Drained>,
}

fn now() -> Millis {
    Millis(SystemClock.now_ms())
}

fn signer() -> Signer {
    let key: SigningKey =
        serde_json::from_str(r#"{"id":"a","secret":"0123456789abcdef"}"#).unwrap();
    Signer::new(&[key]).unwrap()
}

impl Relay {
    async fn start(config: &str) -> Self {
        let metrics = Metrics::new(TABLE).unwrap();
        let mut hints: HintsConfig = serde_json::from_str(config).unwrap();
        hints.origins = serde_json::from_str(&format!("[\"{ORIGIN}\"]")).unwrap();
        let hub = Hub::new(hints.limits(), HubMeters::new(&metrics));
        hub.open_partition(0, now().0);
        let visitors = Visitors::default();
        visitors.set_partitions(1);
        let delivery = Arc::new(Delivery {
            hub: Arc::clone(&hub),
            visitors: visitors.clone(),
            react: Arc::new(react(&hub, &metrics)),
            peers: None,
            meters: DeliveryMeters::new(&metrics),
            clock: SystemClock::shared(),
        });
        let listener = Listeners::loopback().await.unwrap().public;
        let (addr, shutdown) = (listener.local_addr().unwrap(), Shutdown::new());
        let serving = tokio::spawn(serve(Serve {
            listener,
            transport: Transport::default(),
            service: Routes {
                ask: Arc::new(Ask {
                    keys: Vec::new(),
                    visitors,
                    peers: None,
                    meters: AskMeters::new(&metrics),
                }),
                path_prefix: String::new(),
                hints,
                signer: signer(),
                render: Arc::new(Render {
                    delivery: Arc::clone(&delivery),
                    meters: AskMeters::of_pages(&metrics),
                }),
                delivery,
                clock: SystemClock::shared(),
                refused: RefusedMeters::new(&metrics),
                jitter: RandomState::new(),
            },
            limits: ConnectionLimits::default(),
            shutdown: shutdown.clone(),
            grace: PATIENCE,
            metrics: ConnectionMetrics::new(&metrics, "public"),
        }));
        Self { addr, hub, signer: signer(), metrics, shutdown, serving }
    }

    fn token(&self, visitor: &str, lifetime_ms: u64) -> String {
        let claims = Claims::new("shop", visitor, now().0 + lifetime_ms).unwrap();
        self.signer.sign(PURPOSE, &claims)
    }

    async fn ask(&self, head: &str) -> Client {
        let mut socket = TcpStream::connect(self.addr).await.unwrap();
        let request = format!("{head}\r\nhost: relay\r\norigin: {ORIGIN}\r\n\r\n");
        socket.write_all(request.as_bytes()).await.unwrap();
        Client { socket, read: String::new() }
    }

    async fn open(&self, visitor: &str, more: &str) -> Client {
        let token = self.token(visitor, 60_000);
        self.ask(&format!("GET /v1/hints?token={token}{more} HTTP/1.1")).await
    }

    fn say(&self, visitor: &str, offset: u64) {
        let hint = Hint {
            id: HintId { source: "clicks".into(), partition: 0, offset, n: 0 },
            kind: HintKind::Suggest,
            epoch: self.hub.epoch(0).unwrap(),
            slot: Some(Slot::parse("suggested").unwrap()),
            content: Json::trusted(r#"{"items":[]}"#.into()),
            why: Why::default(),
            expires_at: now() + 60_000,
            stock_version: None,
            cause: None,
            decided_at: now(),
        };
        self.hub.say(
            &subject(visitor),
            Said { hint, skus: Vec::new(), telling: Telling::First, clicked_at: None },
            (0, now()),
        );
    }

    async fn streams(&self, count: usize) {
        let there = async {
            while self.hub.streams() != count {
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, there).await.expect("the streams open or end in time");
    }
}

fn react(hub: &Arc<Hub>, metrics: &Metrics) -> React {
    let policy = crate::react::Policy::of(&Config::default());
    let means = Means {
        tables: Tables::detached(),
        hub: Arc::clone(hub),
        meters: ReactMeters::new(metrics),
        clock: SystemClock::shared(),
        promoter: None,
    };
    React::new(policy, means)
}

fn subject(visitor: &str) -> Subject {
    Subject::new(&Tenant::parse("shop").unwrap(), &VisitorId::parse(visitor).unwrap())
}

/// One connection, and all that was read of it.
struct Client {
    socket: TcpStream,
    read: String,
}

impl Client {
    /// Reads on until this text has come.
    async fn until(&mut self, text: &str) -> &str {
        let came = timeout(PATIENCE, async {
            while !self.read.contains(text) {
                assert!(self.more().await, "the stream ended before {text:?}: {}", self.read);
            }
        });
        came.await.unwrap_or_else(|_| panic!("{text:?} did not come in time"));
        &self.read
    }

    /// Reads to the end.
    async fn end(mut self) -> String {
        let ended = async { while self.more().await {} };
        timeout(PATIENCE, ended).await.expect("the stream ends in time");
        self.read
    }

    async fn more(&mut self) -> bool {
        let mut buffer = [0; 4096];
        let count = self.socket.read(&mut buffer).await.unwrap();
        self.read.push_str(std::str::from_utf8(&buffer[..count]).unwrap());
        count > 0
    }
}

/// The ids of a stream's events, in their order.
fn ids(read: &str) -> Vec<&str> {
    read.lines().filter_map(|line| line.strip_prefix("id: ")).collect()
}

#[tokio::test]
async fn a_hint_reaches_an_open_stream() {
    let relay = Relay::start("{}").await;
    let mut page = relay.open("v", "").await;
    let head = page.until(": open").await.to_ascii_lowercase();
    for line in [
        "http/1.1 200 ok",
        "content-type: text/event-stream",
        "cache-control: no-store, no-transform",
        "x-accel-buffering: no",
        "access-control-allow-origin: https://shop.example",
        "access-control-allow-credentials: true",
        "vary: origin",
        "retry: ",
    ] {
        assert!(head.contains(line), "{line} is missing in {head}");
    }
    relay.say("v", 7);
    relay.say("w", 8);
    let read = page.until("\"decided_at\":").await;
    assert!(read.contains("id: clicks.0.7.0\nevent: suggest\ndata: {\"epoch\":"), "{read}");
    assert_eq!(ids(read), ["clicks.0.7.0"]);
}

#[tokio::test]
async fn a_stream_is_resumed_by_header_and_by_query() {
    let relay = Relay::start("{}").await;
    for offset in 1..=3 {
        relay.say("v", offset);
    }
    let mut by_query = relay.open("v", "&last_event_id=clicks.0.1.0").await;
    assert_eq!(ids(by_query.until("clicks.0.3.0").await), ["clicks.0.2.0", "clicks.0.3.0"]);
    let token = relay.token("v", 60_000);
    let head = format!("GET /v1/hints?token={token} HTTP/1.1\r\nlast-event-id: clicks.0.2.0");
    let mut by_header = relay.ask(&head).await;
    assert_eq!(ids(by_header.until("clicks.0.3.0").await), ["clicks.0.3.0"]);
    let mut unknown = relay.open("v", "&last_event_id=clicks.0.99.0").await;
    let read = unknown.until("clicks.0.3.0").await;
    assert!(ids(read)[0].starts_with("reset.0.") && ids(read)[1] == "clicks.0.3.0", "{read}");
    assert!(read.contains("event: reset\n"));
    let mut fresh = relay.open("v", "").await;
    assert_eq!(ids(fresh.until("clicks.0.3.0").await), ["clicks.0.3.0"]);
}

#[tokio::test]
async fn a_bad_token_opens_nothing_and_is_counted() {
    let relay = Relay::start("{}").await;
    let other = relay.token("v", 60_000).replace(".v.", ".w.");
    let expired = relay.token("v", 0);
    for (query, reason) in [
        (format!("?token={other}"), "token_forged"),
        (format!("?token={expired}"), "token_expired"),
        (String::new(), "token_missing"),
    ] {
        let head = format!("GET /v1/hints{query} HTTP/1.1\r\nconnection: close");
        let read = relay.ask(&head).await.end().await.to_ascii_lowercase();
        assert!(read.starts_with("http/1.1 401"), "{read}");
        assert!(read.contains("access-control-allow-origin: https://shop.example"), "{read}");
        assert!(read.contains(r#"{"error":"unauthorized","detail":"the token"#), "{read}");
        let counted = format!("clickmill_relay_streams_refused_total{{reason=\"{reason}\"}} 1");
        assert!(relay.metrics.render().contains(&counted), "{counted}");
    }
    assert_eq!(relay.hub.streams(), 0);
}

#[tokio::test]
async fn other_origins_paths_and_methods_get_nothing() {
    let relay = Relay::start("{}").await;
    let token = relay.token("v", 60_000);
    let status = async |head: String| {
        let mut socket = TcpStream::connect(relay.addr).await.unwrap();
        let request = format!("{head}\r\nhost: relay\r\nconnection: close\r\n\r\n");
        socket.write_all(request.as_bytes()).await.unwrap();
        Client { socket, read: String::new() }.end().await
    };
    let evil =
        status(format!("GET /v1/hints?token={token} HTTP/1.1\r\norigin: https://evil.example"))
            .await;
    assert!(evil.starts_with("HTTP/1.1 403") && !evil.contains("access-control-allow-origin"));
    assert!(status("GET / HTTP/1.1".into()).await.starts_with("HTTP/1.1 404"));
    assert!(status("POST /v1/hints HTTP/1.1".into()).await.starts_with("HTTP/1.1 405"));
    let preflight = status(format!("OPTIONS /v1/hints HTTP/1.1\r\norigin: {ORIGIN}")).await;
    assert!(preflight.starts_with("HTTP/1.1 204"), "{preflight}");
    assert!(preflight.contains("access-control-allow-headers: last-event-id"), "{preflight}");
}

#[tokio::test]
async fn an_idle_stream_gets_comments_and_ends_in_its_time() {
    let relay = Relay::start(r#"{"heartbeat":"5ms","lifetime_max":"500ms"}"#).await;
    let token = relay.token("v", 60_000);
    let head = format!("GET /v1/hints?token={token} HTTP/1.1\r\nconnection: close");
    let mut page = relay.ask(&head).await;
    page.until(":\n\n").await;
    let read = page.end().await;
    assert!(read.matches(":\n\n").count() >= 3, "{read}");
    assert!(read.ends_with("0\r\n\r\n") || read.contains("\r\n0\r\n"), "a clean end: {read}");
    relay.streams(0).await;
}

#[tokio::test]
async fn a_stream_ends_with_its_token() {
    let relay = Relay::start("{}").await;
    let token = relay.token("v", 1_500);
    let head = format!("GET /v1/hints?token={token} HTTP/1.1\r\nconnection: close");
    let read = relay.ask(&head).await.end().await;
    assert!(read.contains(": open"), "{read}");
}

#[tokio::test]
async fn a_page_that_goes_away_frees_its_place() {
    let relay = Relay::start(r#"{"heartbeat":"10ms","visitor_streams_max":1}"#).await;
    let mut page = relay.open("v", "").await;
    page.until(": open").await;
    let refused = relay.open("v", "&x=1").await.until("rate_limited").await.to_owned();
    assert!(
        refused.starts_with("HTTP/1.1 429") && refused.contains("retry-after: 30"),
        "{refused}"
    );
    drop(page);
    relay.streams(0).await;
    relay.open("v", "").await.until(": open").await;
}

#[tokio::test]
async fn a_drain_ends_streams_after_what_waits() {
    let relay = Relay::start("{}").await;
    let mut page = relay.open("v", "").await;
    page.until(": open").await;
    relay.say("v", 7);
    relay.hub.drain();
    relay.shutdown.begin();
    assert_eq!(ids(&page.end().await), ["clicks.0.7.0"]);
    let drained = timeout(PATIENCE, relay.serving).await.unwrap().unwrap();
    assert_eq!(drained.cut, 0);
}

#[tokio::test]
async fn a_page_that_reads_nothing_holds_no_more_than_what_may_wait_for_it() {
    const HINTS: u64 = 100_000;
    let relay = Relay::start("{}").await;
    let mut page = relay.open("v", "").await;
    page.until(": open").await;
    for offset in 1..=HINTS {
        relay.say("v", offset);
        if offset % 100 == 0 {
            tokio::task::yield_now().await;
        }
    }
    // What it gets once it reads is what the system's buffers held, and then the newest hint.
    let newest = format!("id: clicks.0.{HINTS}.0\n");
    let (mut came, mut tail, mut buffer) = (0, Vec::new(), vec![0; 64 * 1024]);
    while !tail.windows(newest.len()).any(|bytes| bytes == newest.as_bytes()) {
        let count = timeout(PATIENCE, page.socket.read(&mut buffer)).await.unwrap().unwrap();
        assert!(count > 0, "the stream ended after {came} bytes");
        came += count;
        // Across two reads, too.
        tail.drain(..tail.len().saturating_sub(newest.len()));
        tail.extend_from_slice(&buffer[..count]);
    }
    let all = 300 * HINTS as usize;
    assert!(came < all / 2, "{came} bytes of {all} and more");
    let conflated = relay.metrics.render();
    let conflated = conflated.lines().find_map(|line| {
        line.strip_prefix("clickmill_relay_hints_conflated_total ")?.parse::<u64>().ok()
    });
    assert!(conflated > Some(HINTS / 2), "{conflated:?} hints were dropped for newer ones");
}
