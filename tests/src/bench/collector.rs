//! The collector's speed, cost and size, beside a raw librdkafka producer that sends the same
//! records with the same headers to the same broker in the same run.

mod answer;
mod ceiling;
pub mod fairness;
mod idle;
mod load;
mod pace;
mod request;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use clap::ValueEnum;
use clickmill_sdk_core::wire::Topic;

use self::ceiling::{Dress, Prepared};
use self::load::{Load, Serials};
use crate::figure::{Figure, Style, Work, memory_mb};
use crate::world::{Edge, World};

/// Events in a batch as the SDK sends it.
const BATCH: usize = 20;
/// Partitions of the topics.
const PARTITIONS: u32 = 4;
/// Where `cargo xtask bench` says which process the broker is.
const BROKER_PROCESS: &str = "CLICKMILL_BENCH_BROKER";

/// A part of the measurement. They run in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Phase {
    /// Batches of 20 as fast as they are answered.
    Batch20,
    /// The same, packed.
    Batch20Gzip,
    /// Single events as fast as they are answered.
    Batch1,
    /// Single events, packed.
    Batch1Gzip,
    /// Batches of 20 at a fixed rate, timed from the planned moment.
    Latency,
    /// Memory with many idle connections.
    Idle,
    /// The raw producer.
    Ceiling,
}

/// What is measured, and how long.
#[derive(Clone, Debug)]
pub struct Options {
    /// Events that each phase with batches sends; the phases with single events send a fifth.
    pub events: usize,
    /// Seconds at the fixed rate.
    pub seconds: u64,
    /// The phases; all if there is none.
    pub only: BTreeSet<Phase>,
}

impl Options {
    fn wants(&self, phase: Phase) -> bool {
        self.only.is_empty() || self.only.contains(&phase)
    }
}

/// Where the load goes.
#[derive(Clone, Debug)]
struct Site {
    collector: SocketAddr,
    write_key: &'static str,
    serials: Serials,
}

impl Site {
    fn of(edge: &Edge) -> Self {
        let address = edge.collector.url.trim_start_matches("http://").parse();
        Self {
            collector: address.expect("an address without a path"),
            write_key: edge.write_key(),
            serials: Serials::default(),
        }
    }
}

/// Everything that takes part.
#[derive(Debug)]
struct Bench {
    options: Options,
    style: Style,
    edge: Arc<Edge>,
    site: Site,
    broker: Option<u32>,
}

/// Measures and prints.
pub async fn measure(options: Options, style: Style) {
    // As in production, but that all idle connections come in.
    let more = format!("connections.connections_max = {}", 2 * idle::IDLE);
    let edge = World::builder().partitions(PARTITIONS).set(|setup, _| setup.settings = more);
    let edge = edge.edge().await;
    eprintln!("the collector is process {}", edge.collector.process());
    let site = Site::of(&edge);
    let broker = std::env::var(BROKER_PROCESS).ok().and_then(|id| id.parse().ok());
    Bench { options, style, edge: Arc::new(edge), site, broker }.run().await;
}

impl Bench {
    async fn run(self) {
        let events = self.options.events;
        // Not counted: caches, the broker's compiler, the window of copies fills.
        self.warm_up(events / 4).await;
        let batched = self.closed(Phase::Batch20, BATCH, events).await;
        self.closed(Phase::Batch20Gzip, BATCH, events).await;
        self.closed(Phase::Batch1, 1, events / 5).await;
        self.closed(Phase::Batch1Gzip, 1, events / 5).await;
        self.print("rss_mb", memory_mb(self.collector(), "VmHWM"), "MB");
        self.latency().await;
        self.idle().await;
        let (accepted, lying) = (self.site.serials.taken(), self.written(Topic::ClicksRaw).await);
        assert_eq!(lying, accepted, "what was accepted lies in Kafka once");
        self.print("accepted_events", accepted as f64, "events");
        let Some(ceiling) = self.ceiling().await else { return };
        if let Some(batched) = batched {
            let rates = batched.per_second() / ceiling.per_second();
            self.print("batch20.ratio_to_ceiling", rates, "");
            let costs = batched.cpu_s_per_million(0) / ceiling.cpu_s_per_million(0);
            self.print("batch20.cpu_ratio_to_ceiling", costs, "");
        }
    }

    async fn warm_up(&self, events: usize) {
        let site = self.site.clone();
        blocking(move || Load::plain(&site, BATCH, events / BATCH).send()).await;
        blocking({
            let site = self.site.clone();
            move || Load::plain(&site, 1, events / BATCH).send()
        })
        .await;
    }

    /// As many events as that, as fast as they are answered.
    async fn closed(&self, phase: Phase, batch: usize, events: usize) -> Option<Work> {
        if !self.options.wants(phase) {
            return None;
        }
        let (site, requests) = (self.site.clone(), events / batch);
        let load = blocking(move || match phase {
            Phase::Batch20Gzip | Phase::Batch1Gzip => Load::gzip(&site, batch, requests),
            _ => Load::plain(&site, batch, requests),
        })
        .await;
        let bytes = load.body_bytes();
        let work = self.work(self.collector());
        blocking(move || load.send()).await;
        let work = work.done(requests * batch);

        let name = name(phase);
        let print =
            |figure: &str, value, unit| self.print(&format!("{name}.{figure}"), value, unit);
        print("events_per_s", work.per_second(), "events/s");
        print("requests_per_s", work.per_second() / batch as f64, "requests/s");
        print("cpu_s_per_million", work.cpu_s_per_million(0), "s");
        self.print_others(name, &work);
        print("body_bytes", bytes as f64, "bytes");
        print("rss_mb", memory_mb(self.collector(), "VmRSS"), "MB");
        Some(work)
    }

    async fn latency(&self) {
        if !self.options.wants(Phase::Latency) {
            return;
        }
        let (site, span) = (self.site.clone(), Duration::from_secs(self.options.seconds));
        let paced = blocking(move || pace::pace(&site, BATCH, span)).await;
        self.print("batch20.p50_ms", paced.answered.quantile_ms(0.5), "ms");
        self.print("batch20.p99_ms", paced.answered.quantile_ms(0.99), "ms");
        self.print("batch20.p999_ms", paced.answered.quantile_ms(0.999), "ms");
        self.print("batch20.sent_late_p99_ms", paced.late.quantile_ms(0.99), "ms");
        self.print("batch20.paced_requests", paced.answered.count() as f64, "requests");
    }

    async fn idle(&self) {
        if !self.options.wants(Phase::Idle) {
            return;
        }
        let lines = idle::hold(&self.site).await;
        let used = memory_mb(self.collector(), "VmRSS");
        let open = self.edge.collector.metric(r#"http_connections_open{listener="public""#).await;
        assert!(open >= lines.len() as f64, "{open} of {} are held", lines.len());
        self.print("rss_mb_10k_idle", used, "MB");
        self.print("idle_connections", lines.len() as f64, "connections");
    }

    /// The raw producer, with headers and then without.
    async fn ceiling(&self) -> Option<Work> {
        if !self.options.wants(Phase::Ceiling) {
            return None;
        }
        let edge = Arc::clone(&self.edge);
        let sample = Arc::new(blocking(move || ceiling::sample(&edge.kafka)).await);
        let average = |part: fn(&Prepared) -> usize| {
            sample.iter().map(part).sum::<usize>() as f64 / sample.len() as f64
        };
        self.print("record_value_bytes", average(Prepared::value_bytes), "bytes");
        self.print("record_header_bytes", average(Prepared::header_bytes), "bytes");
        let dressed = self.raw("ceiling", Dress::Headers, &sample).await;
        self.raw("ceiling_bare", Dress::Bare, &sample).await;
        Some(dressed)
    }

    async fn raw(&self, name: &str, dress: Dress, sample: &Arc<Vec<Prepared>>) -> Work {
        let topic = self.edge.kafka.topic(Topic::ClicksEnriched);
        let producer = Arc::new(self.edge.kafka.producer());
        let produce = |count: usize| {
            let (producer, sample, topic) =
                (Arc::clone(&producer), Arc::clone(sample), topic.clone());
            blocking(move || ceiling::produce(&producer, (&topic, dress), &sample, count))
        };
        let before = self.written(Topic::ClicksEnriched).await;
        produce(self.options.events / 4).await;
        let work = self.work(std::process::id());
        produce(self.options.events).await;
        let work = work.done(self.options.events);
        let written = self.written(Topic::ClicksEnriched).await - before;
        assert_eq!(written as usize, self.options.events / 4 + self.options.events);
        let print =
            |figure: &str, value, unit| self.print(&format!("{name}.{figure}"), value, unit);
        print("events_per_s", work.per_second(), "events/s");
        print("cpu_s_per_million", work.cpu_s_per_million(0), "s");
        if self.broker.is_some() {
            print("broker_cpu_s_per_million", work.cpu_s_per_million(1), "s");
        }
        work
    }

    /// What others than the collector used.
    fn print_others(&self, name: &str, work: &Work) {
        let others = ["broker_cpu_s_per_million", "load_cpu_s_per_million"];
        let known = if self.broker.is_some() { &others[..] } else { &others[1..] };
        for (number, figure) in known.iter().enumerate() {
            let value = work.cpu_s_per_million(number + 1);
            self.print(&format!("{name}.{figure}"), value, "s");
        }
    }

    /// Begins to watch a process, the broker and this one.
    fn work(&self, process: u32) -> Work {
        let watched = std::iter::once(process).chain(self.broker).chain([std::process::id()]);
        Work::begin(watched)
    }

    async fn written(&self, topic: Topic) -> u64 {
        let edge = Arc::clone(&self.edge);
        let ends = blocking(move || edge.kafka.ends(topic)).await;
        ends.into_iter().map(|(_, end)| u64::try_from(end).unwrap_or_default()).sum()
    }

    fn collector(&self) -> u32 {
        self.edge.collector.process()
    }

    fn print(&self, name: &str, value: f64, unit: &str) {
        Figure { bench: "collector", name, value, unit }.print(self.style);
    }
}

fn name(phase: Phase) -> &'static str {
    match phase {
        Phase::Batch20 => "batch20",
        Phase::Batch20Gzip => "batch20_gzip",
        Phase::Batch1 => "batch1",
        Phase::Batch1Gzip => "batch1_gzip",
        Phase::Latency => "latency",
        Phase::Idle => "idle",
        Phase::Ceiling => "ceiling",
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.expect("it ends by itself")
}
