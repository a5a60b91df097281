//! The collector's throughput and cost, beside a raw librdkafka producer that sends the same
//! records and headers to the same broker in the same run.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use clickmill_sdk_core::wire::{Event, Receipt, ToJson, Topic};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use tokio::task::JoinSet;

use crate::figure::{Figure, Style, cpu_seconds};
use crate::http::{Ask, Http};
use crate::kafka::Lying;
use crate::page::Page;
use crate::until::PATIENCE;
use crate::world::World;

/// Connections that send one batch after the other.
const CONNECTIONS: usize = 64;

/// Sends `events` in batches of `batch`, then the same records raw, and prints.
pub async fn measure(events: usize, batch: usize, style: Style) {
    let mut world = World::builder().partitions(4).start().await;
    // Nobody else works on the same cores, and nobody else writes to the topics.
    assert!(world.relay.stop().await.success(), "the relay ends");
    let collector = world.collector.process();
    // First one run that is not counted: connections, caches, the broker's own warm-up.
    drive(&world, events / 10, batch).await;

    let (start, cpu) = (Instant::now(), cpu_seconds(collector));
    let sent = drive(&world, events, batch).await;
    let (seconds, cpu) = (start.elapsed().as_secs_f64(), cpu_seconds(collector) - cpu);

    let records = world.kafka.records(Topic::ClicksRaw).await;
    assert!(records.len() >= sent, "{} of {sent} accepted events lie in Kafka", records.len());
    let raw = tokio::task::spawn_blocking(move || produce(&world, &records)).await;
    let (raw_rate, raw_cpu) = raw.expect("the raw producer ends by itself");

    let million = 1e6 / sent as f64;
    let print = |name, value, unit, ceiling| {
        Figure { bench: "collector", name, value, unit, ceiling }.print(style);
    };
    print("events_per_s", sent as f64 / seconds, "events/s", Some(raw_rate));
    print("cpu_s_per_million", cpu * million, "s", Some(raw_cpu));
    print("batch_events", batch as f64, "events", None);
}

/// Every connection sends batch after batch until all events are accepted.
async fn drive(world: &World, events: usize, batch: usize) -> usize {
    let left = Arc::new(AtomicUsize::new(events / batch));
    let mut connections = JoinSet::new();
    for _ in 0..CONNECTIONS {
        let (page, left) = (world.page(), Arc::clone(&left));
        let intake = format!("{}/v1/events?k={}", world.collector.url, world.write_key());
        connections.spawn(connection(page, intake, left, batch));
    }
    connections.join_all().await.into_iter().sum()
}

async fn connection(page: Page, intake: String, left: Arc<AtomicUsize>, batch: usize) -> usize {
    let (http, mut accepted) = (Http::default(), 0);
    let take = |left: usize| left.checked_sub(1);
    while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok() {
        let events: Vec<Event> = (0..batch).map(|n| click(&page, n)).collect();
        let body = page.batch(events).to_json();
        let answer = http.ask(Ask::post(&intake, body)).await.expect("an answer");
        assert_eq!(answer.status, 200, "{}", answer.body);
        let receipt: Receipt = serde_json::from_str(&answer.body).expect("a receipt");
        assert_eq!(receipt.accepted as usize, batch, "{}", answer.body);
        accepted += batch;
    }
    accepted
}

/// A click of usual size.
fn click(page: &Page, n: usize) -> Event {
    let props = format!(
        r#"{{"sku":"SKU-{n:06}","category":"kettles","price_cents":{},"list":"category","position":{}}}"#,
        1999 + n,
        n % 48
    );
    page.event("product_click", &props)
}

/// The ceiling: the same records by librdkafka alone. Events per second, CPU seconds per million.
fn produce(world: &World, records: &[Lying]) -> (f64, f64) {
    let producer = world.kafka.producer();
    let topic = world.kafka.topic(Topic::ClicksEnriched);
    let (start, cpu) = (Instant::now(), cpu_seconds(std::process::id()));
    for record in records {
        send(&producer, &topic, record);
    }
    producer.flush(PATIENCE * 2).expect("all records arrive");
    let seconds = start.elapsed().as_secs_f64();
    let cpu = cpu_seconds(std::process::id()) - cpu;
    (records.len() as f64 / seconds, cpu * 1e6 / records.len() as f64)
}

fn send(producer: &ThreadedProducer<DefaultProducerContext>, topic: &str, record: &Lying) {
    let mut headers = OwnedHeaders::new_with_capacity(record.headers.len());
    for (key, value) in &record.headers {
        headers = headers.insert(Header { key, value: Some(value) });
    }
    let mut outgoing = BaseRecord::to(topic).payload(&record.value).headers(headers);
    if let Some(key) = &record.key {
        outgoing = outgoing.key(key);
    }
    // A full queue empties by itself: wait for it as any producer would.
    while let Err((error, back)) = producer.send(outgoing) {
        let full = error.rdkafka_error_code() == Some(rdkafka::types::RDKafkaErrorCode::QueueFull);
        assert!(full, "{error}");
        producer.poll(Duration::from_millis(1));
        outgoing = back;
    }
}
