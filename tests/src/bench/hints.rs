//! Hints on their way: from a click or a server's question to the page, with many streams open, and
//! what an open stream takes.

mod browser;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use clickmill_server::config::Secret;
use clickmill_server::token::{Claims, Signer, SigningKey};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::route;
use crate::figure::{Figure, Latencies, Style, memory_mb};
use crate::http::{Ask, Http};
use crate::kafka::TENANT;
use crate::page::now;
use crate::service::{Relay, SERVER_KEY, SIGNING_KEY};
use crate::until::until;
use crate::world::World;

/// Idle streams: a process here may open 20,000 descriptors.
const IDLE: usize = 18_000;
/// Streams while hints are fanned out.
const MANY: usize = 10_000;
const SOME: usize = 1_000;
/// Hints a second, each for one stream.
const HINTS: u32 = 500;
/// Streams that are opened at the same time.
const OPENERS: usize = 200;
/// Products on sale.
const PRODUCTS: usize = 200;

/// Visitors who said nothing may get hints, and there is room for all streams.
const SETTINGS: &str = r#"
    suggest.consent_default = ["personalization"]
    hints.streams_max = 19000
    connections.connections_max = 19500
"#;

/// Measures and prints.
pub async fn measure(seconds: u64, style: Style) {
    let world = World::builder().partitions(4).relay(SETTINGS).start().await;
    let skus: Vec<String> = (0..PRODUCTS).map(|n| format!("p{n}")).collect();
    let stocked: Vec<(&str, i64)> = skus.iter().map(|sku| (sku.as_str(), 1000)).collect();
    world.kafka.stock(&stocked);
    let print = |name: &str, value: f64, unit| {
        Figure { bench: "hints", name, value, unit }.print(style);
    };
    let span = Duration::from_secs(seconds);

    let before = memory_mb(world.relay.process(), "VmRSS");
    let mut audience = Audience::default();
    audience.grow(&world.relay, IDLE).await;
    sleep(Duration::from_secs(2)).await;
    let idle = memory_mb(world.relay.process(), "VmRSS");
    print("rss_kb_per_stream", (idle - before) * 1024.0 / IDLE as f64, "KiB");
    audience.shrink(&world.relay, 0).await;
    let storm = Instant::now();
    audience.grow(&world.relay, IDLE).await;
    print("storm_s", storm.elapsed().as_secs_f64(), "s");

    for (streams, name) in [(MANY, "fanout10k"), (SOME, "fanout")] {
        audience.shrink(&world.relay, streams).await;
        let asked = audience.fan_out(&world.relay, span).await;
        let heard = audience.latencies();
        for (quantile, share) in [("p50", 0.5), ("p99", 0.99)] {
            print(&format!("{name}_{quantile}_ms"), heard.quantile_ms(share), "ms");
        }
        let unheard = asked.count().saturating_sub(heard.count());
        print(&format!("{name}_unheard"), unheard as f64, "hints");
        if streams == SOME {
            print("decide_p50_ms", asked.quantile_ms(0.5), "ms");
            print("decide_p99_ms", asked.quantile_ms(0.99), "ms");
        }
    }
    audience.shrink(&world.relay, 0).await;

    let decisions = async || {
        let sum = world.relay.metric("clickmill_relay_decide_seconds_sum").await;
        (sum, world.relay.metric("clickmill_relay_decide_seconds_count").await)
    };
    let (sum, count) = decisions().await;
    let clicks = route::run(&world, 2_000, 400, span).await;
    let after = decisions().await;
    print("decision_us", (after.0 - sum) * 1e6 / (after.1 - count).max(1.0), "us");
    print("click_to_hint_p50_ms", clicks.latencies.quantile_ms(0.5), "ms");
    print("click_to_hint_p99_ms", clicks.latencies.quantile_ms(0.99), "ms");

    let heard = browser::measure(&world, PRODUCTS).await;
    for (latencies, name) in
        [(&heard.staying, "browser_click_to_hint"), (&heard.leaving, "browser_navigation_to_hint")]
    {
        for (quantile, share) in [("p50", 0.5), ("p99", 0.99)] {
            print(&format!("{name}_{quantile}_ms"), latencies.quantile_ms(share), "ms");
        }
    }
    print("browser_unheard", heard.unheard as f64, "clicks");
}

/// One stream that is held open, and when its visitor was last asked for, in ns since the start.
struct Held {
    visitor: String,
    asked: Arc<AtomicU64>,
    reading: AbortHandle,
}

/// Many streams of a visitor each.
struct Audience {
    start: Instant,
    held: Vec<Held>,
    heard: Arc<Mutex<Latencies>>,
    tasks: JoinSet<()>,
    signer: Signer,
}

impl Default for Audience {
    fn default() -> Self {
        let key = SigningKey { id: "a".to_owned(), secret: Secret::new(SIGNING_KEY) };
        Self {
            start: Instant::now(),
            held: Vec::new(),
            heard: Arc::default(),
            tasks: JoinSet::new(),
            signer: Signer::new(&[key]).expect("a key of tests"),
        }
    }
}

impl Audience {
    /// Opens streams until there are so many.
    async fn grow(&mut self, relay: &Relay, streams: usize) {
        let address = relay.url.trim_start_matches("http://").to_owned();
        let mut opening = JoinSet::new();
        for n in self.held.len()..streams {
            let visitor = format!("v{n:031}");
            let claims = Claims::new(TENANT, &visitor, now().0 + 3_600_000).expect("claims");
            let token = self.signer.sign("hints", &claims);
            let address = address.clone();
            opening.spawn(async move { (visitor, open(&address, &token).await) });
            if opening.len() >= OPENERS {
                self.hold(opening.join_next().await.expect("an opener").expect("a stream"));
            }
        }
        while let Some(opened) = opening.join_next().await {
            self.hold(opened.expect("a stream"));
        }
        assert_eq!(relay.metric("clickmill_relay_streams_open").await as usize, streams);
    }

    fn hold(&mut self, (visitor, stream): (String, TcpStream)) {
        let asked = Arc::<AtomicU64>::default();
        let reading = read(stream, (self.start, Arc::clone(&asked)), Arc::clone(&self.heard));
        self.held.push(Held { visitor, asked, reading: self.tasks.spawn(reading) });
    }

    /// Leaves streams until there are so many.
    async fn shrink(&mut self, relay: &Relay, streams: usize) {
        self.held.drain(streams..).for_each(|held| held.reading.abort());
        while self.tasks.len() > streams {
            let _ = self.tasks.join_next().await;
        }
        // An idle connection that is gone shows with the next word to it.
        until("the relay has noticed", || async {
            let open = relay.metric("clickmill_relay_streams_open").await;
            (open as usize == streams).then_some(())
        })
        .await;
    }

    /// Has a hint decided for one visitor after another, at a fixed rate; how long the answers take.
    async fn fan_out(&mut self, relay: &Relay, span: Duration) -> Latencies {
        *self.heard.lock().expect("no holder panics") = Latencies::default();
        let (http, url) = (Http::default(), format!("{}/v1/decide", relay.url));
        let (mut ticks, mut asking) = (interval(Duration::from_secs(1) / HINTS), JoinSet::new());
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let (begun, mut asked, mut n) = (Instant::now(), Latencies::default(), 0_usize);
        while begun.elapsed() < span {
            ticks.tick().await;
            let held = &self.held[(n * 7_919) % self.held.len()];
            let body = format!(
                r#"{{"visitor":"{}","slots":["suggested"],"sku":"p{}"}}"#,
                held.visitor,
                n % PRODUCTS
            );
            let ask =
                Ask::post(&url, body).header("authorization", &format!("Bearer {SERVER_KEY}"));
            let (http, mark, start) = (http.clone(), Arc::clone(&held.asked), self.start);
            n += 1;
            asking.spawn(async move {
                let sent = Instant::now();
                let at = u64::try_from((sent - start).as_nanos()).unwrap_or(u64::MAX);
                mark.store(at, Ordering::Release);
                let answer = http.ask(ask).await.expect("an answer");
                assert_eq!(answer.status, 200, "{}", answer.body);
                assert!(answer.body.contains("\"event\":\"suggest\""), "{}", answer.body);
                sent.elapsed()
            });
            while let Some(took) = asking.try_join_next() {
                asked.add(took.expect("an answer"));
            }
        }
        while let Some(took) = asking.join_next().await {
            asked.add(took.expect("an answer"));
        }
        sleep(Duration::from_millis(500)).await;
        asked
    }

    fn latencies(&self) -> Latencies {
        self.heard.lock().expect("no holder panics").clone()
    }
}

/// Opens a stream, up to its first comment.
async fn open(address: &str, token: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    stream.set_nodelay(true).expect("an option of sockets");
    let request = format!("GET /v1/hints?token={token} HTTP/1.1\r\nhost: relay\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("a request goes out");
    let (mut head, mut buffer) = (Vec::new(), [0; 1024]);
    while !head.windows(6).any(|six| six == b": open") {
        let count = stream.read(&mut buffer).await.expect("an answer");
        head.extend_from_slice(&buffer[..count]);
        assert!(count > 0, "{}", String::from_utf8_lossy(&head));
    }
    assert!(head.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&head));
    stream
}

/// Notes how long each hint took since its visitor was asked for.
async fn read(
    mut stream: TcpStream,
    (start, asked): (Instant, Arc<AtomicU64>),
    heard: Arc<Mutex<Latencies>>,
) {
    let mut buffer = [0; 4096];
    loop {
        let count = stream.read(&mut buffer).await.unwrap_or(0);
        if count == 0 {
            return;
        }
        if !buffer[..count].windows(14).any(|bytes| bytes == b"event: suggest") {
            continue;
        }
        let now = u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let took = now.saturating_sub(asked.load(Ordering::Acquire));
        heard.lock().expect("no holder panics").add(Duration::from_nanos(took));
    }
}
