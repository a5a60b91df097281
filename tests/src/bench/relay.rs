//! Keyed state, exactly once: what it does in a second, what it costs, how soon its output can be
//! read, and how soon it is back.

mod floor;
pub mod joined;

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clickmill_kafka::{Admin, KafkaConfig, TopicSpec};
use clickmill_sdk_core::wire::Topic;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message as _;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer as _, ThreadedProducer};

use self::joined::CUSTOMERS;
use crate::child::{Folder, built};
use crate::figure::{Figure, Latencies, Style, Work, memory_mb};
use crate::kafka::{Kafka, reads_committed};
use crate::page::now;
use crate::until::PATIENCE;

/// Partitions of the topics.
const PARTITIONS: u32 = 4;
/// Clicks a second while latency is measured, and while the process is killed.
const PACE: u64 = 2_000;
/// How long that rate is kept up before the latency of a broker that is warm is measured.
const WARM_UP: Duration = Duration::from_secs(30);
/// Where `cargo xtask bench` says which process the broker is.
const BROKER_PROCESS: &str = "CLICKMILL_BENCH_BROKER";

/// What is measured, and how long.
#[derive(Clone, Debug)]
pub struct Options {
    /// Clicks to catch up with.
    pub events: usize,
    /// Who made them.
    pub visitors: usize,
    /// Seconds at the fixed rate.
    pub seconds: u64,
}

/// Measures and prints.
pub async fn measure(options: Options, style: Style) {
    let kafka = Kafka::start(PARTITIONS);
    topics(&kafka).await;
    let bench = Bench { options, style, kafka, folder: Folder::new("bench") };
    tokio::task::spawn_blocking(move || bench.run()).await.expect("it ends by itself");
}

async fn topics(kafka: &Kafka) {
    let admin = Admin::new(&KafkaConfig::plain(&kafka.bootstrap), PATIENCE).expect("an admin");
    let spec = |(name, policy): (&str, &str)| TopicSpec {
        name: format!("{}{name}", kafka.prefix),
        partitions: PARTITIONS,
        replication: 1,
        config: [("cleanup.policy".to_owned(), policy.to_owned())].into(),
    };
    let all = [(CUSTOMERS, "compact"), (floor::COPIES, "delete"), (floor::STATES, "compact")];
    admin.create(&all.map(spec)).await.expect("topics");
}

struct Bench {
    options: Options,
    style: Style,
    kafka: Kafka,
    folder: Folder,
}

/// The process that works, and what it says of itself.
struct Worker {
    child: Child,
    told: Arc<Told>,
}

#[derive(Default)]
struct Told {
    is_ready: AtomicBool,
    is_restoring: AtomicBool,
    said: AtomicU64,
}

impl Bench {
    fn run(self) {
        let Options { events, visitors, seconds } = self.options;
        let producer = self.kafka.producer();
        self.customers(&producer, visitors);
        let mut clicks = Clicks::new(visitors);
        clicks.produce(&producer, &self.kafka, events);

        let mut worker = self.start();
        let work = worker.catch_up(events);
        self.print("events_per_s", work.per_second(), "events/s");
        self.print("cpu_s_per_million", work.cpu_s_per_million(0), "s");
        if broker().is_some() {
            self.print("broker_cpu_s_per_million", work.cpu_s_per_million(1), "s");
        }
        self.print("rss_mb", memory_mb(worker.child.id(), "VmHWM"), "MB");

        let span = Duration::from_secs(seconds);
        let enriched = self.kafka.topic(Topic::ClicksEnriched);
        let early = self.latency(&enriched, (&producer, &mut clicks), span);
        self.print("latency_early_p50_ms", early.quantile_ms(0.5), "ms");
        self.print("latency_early_p99_ms", early.quantile_ms(0.99), "ms");
        // Half of one of two cores compiles until then: Java's, in the broker, for what small
        // transactions use.
        clicks.pace(&producer, &self.kafka, WARM_UP);

        let ms = self.crash(&mut worker, (&producer, &mut clicks));
        self.print("crash_restart_ms", ms, "ms");
        self.restore(&mut worker);
        let work = self.catch_up_again(&mut worker, (&producer, &mut clicks));
        let latencies = self.latency(&enriched, (&producer, &mut clicks), span);
        self.print("latency_p50_ms", latencies.quantile_ms(0.5), "ms");
        self.print("latency_p99_ms", latencies.quantile_ms(0.99), "ms");
        self.print("latency_clicks", latencies.count() as f64, "clicks");
        let (written, expected) = (self.written(Topic::ClicksEnriched), clicks.made);
        assert_eq!(written, expected as u64, "each click is enriched once");
        self.print("enriched_clicks", written as f64, "clicks");
        drop(worker);
        self.floor((&producer, &mut clicks), (span, (&work, &latencies)));
    }

    /// Down while half as many clicks come, then up again. The broker is warm by now: a new one compiles
    /// on the cores that the work is measured on.
    fn catch_up_again(
        &self,
        worker: &mut Worker,
        (producer, clicks): (&ThreadedProducer<DefaultProducerContext>, &mut Clicks),
    ) -> Work {
        worker.child.kill().expect("it is killed");
        worker.child.wait().expect("it is gone");
        let events = self.options.events / 2;
        clicks.produce(producer, &self.kafka, events);
        *worker = self.start();
        let work = worker.catch_up(events);
        self.print("warm_events_per_s", work.per_second(), "events/s");
        self.print("warm_cpu_s_per_million", work.cpu_s_per_million(0), "s");
        if broker().is_some() {
            self.print("warm_broker_cpu_s_per_million", work.cpu_s_per_million(1), "s");
        }
        work
    }

    /// What it costs, and how soon it can be read, where clicks are copied and nothing else is done
    /// with them, through the same broker.
    fn floor(
        &self,
        (producer, clicks): (&ThreadedProducer<DefaultProducerContext>, &mut Clicks),
        (span, ours): (Duration, (&Work, &Latencies)),
    ) {
        let standing = floor::Standing::default();
        let copied = || standing.copied.load(Ordering::Acquire);
        let (work, latencies) = std::thread::scope(|scope| {
            let copying = scope.spawn(|| floor::copy(&self.kafka, &standing));
            // Whatever fails here, the copier is not waited for in vain.
            let end = floor::End(&standing);
            let deadline = Instant::now() + PATIENCE * 20;
            let wait_until = |count: u64| {
                while copied() < count {
                    assert!(!copying.is_finished(), "the copier has ended");
                    assert!(Instant::now() < deadline, "the copier does not get there");
                    std::thread::park_timeout(Duration::from_millis(1));
                }
            };
            let all = clicks.made as u64;
            wait_until(all / 10);
            let (work, before) = (Work::begin([std::process::id()]), copied());
            wait_until(all);
            let work = work.done(usize::try_from(all - before).unwrap_or_default());
            let copies = format!("{}{}", self.kafka.prefix, floor::COPIES);
            let latencies = self.latency(&copies, (producer, clicks), span);
            drop(end);
            copying.join().expect("it ends");
            (work, latencies)
        });
        let beside = |name: &str, (ours, floor): (f64, f64), unit: &str| {
            self.print(&format!("floor_{name}"), floor, unit);
            self.print(&format!("ratio_to_floor.{name}"), ours / floor, "");
        };
        let (our_work, our_latencies) = ours;
        let rates = (our_work.per_second(), work.per_second());
        beside("events_per_s", rates, "events/s");
        let cost = |work: &Work| work.cpu_s_per_million(0);
        beside("cpu_s_per_million", (cost(our_work), cost(&work)), "s");
        for (name, quantile) in [("latency_p50_ms", 0.5), ("latency_p99_ms", 0.99)] {
            let of = |latencies: &Latencies| latencies.quantile_ms(quantile);
            beside(name, (of(our_latencies), of(&latencies)), "ms");
        }
    }

    /// The table that clicks are joined to.
    fn customers(&self, producer: &ThreadedProducer<DefaultProducerContext>, count: usize) {
        let topic = format!("{}{CUSTOMERS}", self.kafka.prefix);
        for n in 0..count {
            let value = format!(
                r#"{{"segment":"segment-{}","orders":{},"spent_cents":{}}}"#,
                n % 7,
                n % 40,
                n * 31
            );
            send(producer, &topic, (&key(n), &value), None);
        }
        producer.flush(PATIENCE * 4).expect("all customers arrive");
    }

    fn start(&self) -> Worker {
        let mut child = Command::new(built("clickmill-bench-view"))
            .args(["--bootstrap", &self.kafka.bootstrap, "--prefix", &self.kafka.prefix])
            .arg("--state")
            .arg(self.state())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the worker starts");
        let told = Arc::new(Told::default());
        let lines = BufReader::new(child.stdout.take().expect("its output"));
        let listening = Arc::clone(&told);
        std::thread::spawn(move || listening.listen(lines));
        eprintln!("the worker is process {}", child.id());
        Worker { child, told }
    }

    fn state(&self) -> std::path::PathBuf {
        Path::new(self.folder.path()).join("state")
    }

    /// At a fixed rate: from the planned moment of a click until a reader of committed records has
    /// what `topic` says of it.
    fn latency(
        &self,
        topic: &str,
        (producer, clicks): (&ThreadedProducer<DefaultProducerContext>, &mut Clicks),
        span: Duration,
    ) -> Latencies {
        let (reader, end) = (self.reader(topic), Arc::new(AtomicBool::new(false)));
        let is_over = Arc::clone(&end);
        let seen = std::thread::spawn(move || {
            let mut seen = HashMap::new();
            while !is_over.load(Ordering::Acquire) {
                let Some(Ok(message)) = reader.poll(Duration::from_millis(5)) else { continue };
                let number = message.payload().and_then(number);
                seen.entry(number).or_insert_with(Instant::now);
            }
            seen
        });
        let planned = clicks.pace(producer, &self.kafka, span);
        // What was sent last has time to come.
        std::thread::park_timeout(Duration::from_secs(2));
        end.store(true, Ordering::Release);
        let seen = seen.join().expect("the reader ends");
        let mut latencies = Latencies::default();
        for (number, at) in &planned {
            let seen = seen.get(&Some(*number)).expect("every click comes in time");
            latencies.add(seen.saturating_duration_since(*at));
        }
        latencies
    }

    /// Killed under load and started again at once: how long nothing new can be read.
    fn crash(
        &self,
        worker: &mut Worker,
        (producer, clicks): (&ThreadedProducer<DefaultProducerContext>, &mut Clicks),
    ) -> f64 {
        clicks.pace(producer, &self.kafka, Duration::from_secs(2));
        worker.child.kill().expect("it is killed");
        worker.child.wait().expect("it is gone");
        let killed = Instant::now();
        let reader = self.reader(&self.kafka.topic(Topic::ClicksEnriched));
        *worker = self.start();
        // From the kill on.
        let first = clicks.made as u64;
        clicks.pace(producer, &self.kafka, Duration::from_millis(50));
        loop {
            assert!(killed.elapsed() < PATIENCE, "it does not come back");
            let Some(Ok(message)) = reader.poll(Duration::from_millis(1)) else { continue };
            if message.payload().and_then(number).is_some_and(|number| number >= first) {
                return killed.elapsed().as_secs_f64() * 1e3;
            }
        }
    }

    /// Killed, and its disk lost: how fast all states come back from the changelog.
    fn restore(&self, worker: &mut Worker) {
        worker.child.kill().expect("it is killed");
        worker.child.wait().expect("it is gone");
        std::fs::remove_dir_all(self.state()).expect("its states are taken away");
        let records = self.written(Topic::SessionsView);
        *worker = self.start();
        let started = Instant::now();
        worker.wait_until("it restores", |told| told.is_restoring.load(Ordering::Acquire));
        let began = Instant::now();
        worker.wait_until("it is restored", |told| told.is_ready.load(Ordering::Acquire));
        let seconds = began.elapsed().as_secs_f64();
        self.print("restore_ms", seconds * 1e3, "ms");
        self.print("cold_start_ms", started.elapsed().as_secs_f64() * 1e3, "ms");
        self.print("restore_records", records as f64, "records");
        self.print("restore_records_per_s", records as f64 / seconds, "records/s");
        let keys = self.options.visitors as f64;
        self.print("restore_visitors", keys, "visitors");
    }

    /// Reads committed records of a topic from the end on.
    fn reader(&self, topic: &str) -> BaseConsumer {
        let consumer: BaseConsumer = reads_committed(&self.kafka.bootstrap)
            .set("fetch.wait.max.ms", "20")
            .create()
            .expect("a consumer");
        assigned_to_the_end(&consumer, topic);
        consumer
    }

    /// Committed records of a topic, counted one by one.
    fn written(&self, topic: Topic) -> u64 {
        let topic = self.kafka.topic(topic);
        let consumer: BaseConsumer = reads_committed(&self.kafka.bootstrap)
            .set("enable.partition.eof", "true")
            .create()
            .expect("a consumer");
        let mut list = rdkafka::TopicPartitionList::new();
        for partition in 0..PARTITIONS.cast_signed() {
            let from = rdkafka::Offset::Beginning;
            list.add_partition_offset(&topic, partition, from).expect("an offset");
        }
        consumer.assign(&list).expect("an assignment");
        let (mut count, mut ends) = (0, 0);
        while ends < PARTITIONS {
            match consumer.poll(Duration::from_millis(100)) {
                Some(Ok(_)) => count += 1,
                Some(Err(KafkaError::PartitionEOF(_))) => ends += 1,
                Some(Err(error)) => panic!("{topic}: {error}"),
                None => {}
            }
        }
        count
    }

    fn print(&self, name: &str, value: f64, unit: &str) {
        Figure { bench: "relay", name, value, unit }.print(self.style);
    }
}

/// The broker's process, where it is known.
fn broker() -> Option<u32> {
    std::env::var(BROKER_PROCESS).ok().and_then(|id| id.parse().ok())
}

impl Worker {
    /// Waits until it has answered so many clicks since its start. Not counted: the first tenth, while
    /// connections open and caches fill.
    fn catch_up(&mut self, events: usize) -> Work {
        self.wait_until("it begins", |told| told.said() > 0);
        self.wait_until("it is warm", |told| told.said() > events as u64 / 10);
        let before = self.told.said();
        let work = Work::begin(std::iter::once(self.child.id()).chain(broker()));
        self.wait_until("it has caught up", |told| told.said() >= events as u64);
        work.done(events - usize::try_from(before).unwrap_or(events))
    }

    fn wait_until(&mut self, what: &str, holds: impl Fn(&Told) -> bool) {
        let deadline = Instant::now() + PATIENCE * 20;
        while !holds(&self.told) {
            assert!(Instant::now() < deadline, "waited in vain: {what}");
            assert!(self.child.try_wait().expect("its state").is_none(), "the worker has ended");
            std::thread::park_timeout(Duration::from_millis(1));
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Told {
    fn said(&self) -> u64 {
        self.said.load(Ordering::Acquire)
    }

    fn listen(&self, lines: BufReader<ChildStdout>) {
        for line in lines.lines().map_while(Result::ok) {
            let Some((doing, said)) = line.split_once(' ') else { continue };
            self.is_ready.store(doing == "ready", Ordering::Release);
            self.is_restoring.store(doing == "restoring", Ordering::Release);
            self.said.store(said.parse().unwrap_or_default(), Ordering::Release);
        }
    }
}

/// Clicks as a collector writes them: of one visitor after another, each with its own queue.
struct Clicks {
    visitors: usize,
    made: usize,
}

impl Clicks {
    fn new(visitors: usize) -> Self {
        Self { visitors, made: 0 }
    }

    fn produce(
        &mut self,
        producer: &ThreadedProducer<DefaultProducerContext>,
        kafka: &Kafka,
        count: usize,
    ) {
        let topic = kafka.topic(Topic::ClicksRaw);
        for _ in 0..count {
            self.send(producer, &topic);
        }
        producer.flush(PATIENCE * 4).expect("all clicks arrive");
    }

    /// At a fixed rate; returns the planned moment of each click by its number.
    fn pace(
        &mut self,
        producer: &ThreadedProducer<DefaultProducerContext>,
        kafka: &Kafka,
        span: Duration,
    ) -> Vec<(u64, Instant)> {
        let topic = kafka.topic(Topic::ClicksRaw);
        let (start, mut planned) = (Instant::now(), Vec::new());
        let step = Duration::from_secs(1) / u32::try_from(PACE).unwrap_or(1);
        for n in 0..u32::try_from(span.as_millis() as u64 * PACE / 1_000).unwrap_or(u32::MAX) {
            let at = start + step * n;
            let left = at.saturating_duration_since(Instant::now());
            if !left.is_zero() {
                std::thread::park_timeout(left);
            }
            planned.push((self.made as u64, at));
            self.send(producer, &topic);
        }
        planned
    }

    fn send(&mut self, producer: &ThreadedProducer<DefaultProducerContext>, topic: &str) {
        let n = self.made;
        self.made += 1;
        // A visitor clicks again after all others have.
        let (visitor, seq) = ((n * 7_919) % self.visitors, n / self.visitors);
        let at = now().0;
        let value = format!(
            r#"{{"id":"{id}","tenant":"shop","type":"product_view","version":1,"at":{at},"time":{at},"queue":"q-{visitor:08}","seq":{seq},"arrival":{{"write_key":"wk","sent_at":{at},"received_at":{at},"attempt":0,"user_agent":"Mozilla/5.0 (X11; Linux x86_64)"}},"context":{{"visitor":"v{visitor:031}","page":{{"url":"https://shop.example/p/{item}","title":"Product {item}"}},"consent":{{"granted":["analytics","personalization"]}},"locale":"en-GB"}},"props":{{"sku":"SKU-{item}","price_cents":3999,"n":{n}}}}}"#,
            id = id(n),
            item = (visitor + seq) % 5_000,
        );
        send(producer, topic, (&key(visitor), &value), Some(at));
    }
}

/// Gives all partitions of a topic to a consumer, from their ends on.
fn assigned_to_the_end(consumer: &BaseConsumer, topic: &str) {
    let mut list = rdkafka::TopicPartitionList::new();
    for partition in 0..PARTITIONS.cast_signed() {
        let (_, end) = consumer.fetch_watermarks(topic, partition, PATIENCE).expect("the end");
        let from = rdkafka::Offset::Offset(end);
        list.add_partition_offset(topic, partition, from).expect("an offset");
    }
    consumer.assign(&list).expect("an assignment");
}

fn key(visitor: usize) -> String {
    format!("shop:v{visitor:031}")
}

/// A version 7 id that tells the click's number.
fn id(n: usize) -> String {
    format!("019abfe2-1c40-7000-a000-{n:012x}")
}

/// The number of the click that an enriched record is about.
fn number(value: &[u8]) -> Option<u64> {
    // It begins with {"id":" and 36 characters, of which the last twelve are the number.
    let digits = std::str::from_utf8(value.get(7 + 24..7 + 36)?).ok()?;
    u64::from_str_radix(digits, 16).ok()
}

fn send(
    producer: &ThreadedProducer<DefaultProducerContext>,
    topic: &str,
    (key, value): (&str, &str),
    at_ms: Option<u64>,
) {
    let mut record = BaseRecord::to(topic).key(key).payload(value);
    record.timestamp = at_ms.and_then(|ms| i64::try_from(ms).ok());
    let mut next = record;
    loop {
        match producer.send(next) {
            Ok(()) => return,
            Err((error, refused)) => {
                let is_full = error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull);
                assert!(is_full, "a record is taken: {error}");
                next = refused;
                std::thread::park_timeout(Duration::from_millis(1));
            }
        }
    }
}
