//! The floor: a bare program of librdkafka that copies clicks exactly once on one thread, and keeps,
//! computes and joins nothing. What Kafka's transactions and its client take on this machine, it
//! takes, too. While a transaction is committed it copies nothing, so a faster one is thinkable.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clickmill_sdk_core::wire::Topic;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{BorrowedMessage, Message as _};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer as _, ThreadedProducer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use super::PARTITIONS;
use crate::kafka::Kafka;
use crate::until::PATIENCE;

/// Where copies of clicks go, without the prefix.
pub(super) const COPIES: &str = "bench.floor.copies";
/// Where as many records go as a view writes states, half as long as a click; likewise.
pub(super) const STATES: &str = "bench.floor.states";
/// Records of a transaction that is not held up, as in the view.
const RECORDS_MAX: usize = 10_000;

type Producer = ThreadedProducer<DefaultProducerContext>;

/// Where a copier stands.
#[derive(Debug, Default)]
pub(super) struct Standing {
    /// Clicks that are copied and committed.
    pub(super) copied: AtomicU64,
    /// Whether it is to end.
    pub(super) is_over: AtomicBool,
}

/// Ends the copying when it is dropped.
pub(super) struct End<'a>(pub(super) &'a Standing);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.is_over.store(true, Ordering::Release);
    }
}

/// Copies clicks, the first ones included, until it is told to end: whatever is there goes into a
/// transaction, which is committed at once.
pub(super) fn copy(kafka: &Kafka, standing: &Standing) {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", &kafka.bootstrap)
        .set("group.id", format!("{}floor", kafka.prefix))
        .set("enable.auto.commit", "false")
        .set("fetch.wait.max.ms", "20")
        .create()
        .expect("a consumer");
    let clicks = kafka.topic(Topic::ClicksRaw);
    let all = (0..PARTITIONS.cast_signed()).map(|partition| (partition, Offset::Beginning));
    consumer.assign(&list(&clicks, all)).expect("an assignment");
    // Two, as in the view: one alone waits until the broker has ended its last transaction.
    let mut pair = [producer(kafka, 0), producer(kafka, 1)];
    let topics = [COPIES, STATES].map(|topic| format!("{}{topic}", kafka.prefix));
    while !standing.is_over.load(Ordering::Acquire) {
        let mut next = consumer.poll(Duration::from_millis(5));
        if next.is_none() {
            continue;
        }
        let [producer, _] = &pair;
        producer.begin_transaction().expect("a transaction");
        let (mut read_to, mut records) = ([None; PARTITIONS as usize], 0);
        while let Some(message) = next {
            let message = message.expect("a click");
            send_both(producer, &topics, &message);
            let partition = usize::try_from(message.partition()).expect("a number");
            read_to[partition] = Some(Offset::Offset(message.offset() + 1));
            records += 1;
            next = if records < RECORDS_MAX { consumer.poll(Duration::ZERO) } else { None };
        }
        let read_to = (0..).zip(read_to).filter_map(|(partition, next)| Some((partition, next?)));
        let group = consumer.group_metadata().expect("a group");
        producer
            .send_offsets_to_transaction(&list(&clicks, read_to), &group, PATIENCE)
            .expect("offsets");
        // librdkafka's own commit looks every 100 ms whether all is delivered.
        while producer.in_flight_count() > 0 {
            std::thread::park_timeout(Duration::from_micros(200));
        }
        producer.commit_transaction(PATIENCE).expect("a commit");
        standing.copied.fetch_add(records as u64, Ordering::AcqRel);
        pair.swap(0, 1);
    }
}

fn list(topic: &str, offsets: impl Iterator<Item = (i32, Offset)>) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    for (partition, offset) in offsets {
        list.add_partition_offset(topic, partition, offset).expect("an offset");
    }
    list
}

fn producer(kafka: &Kafka, n: usize) -> Producer {
    let producer: Producer = ClientConfig::new()
        .set("bootstrap.servers", &kafka.bootstrap)
        .set("transactional.id", format!("{}floor-{n}", kafka.prefix))
        .set("compression.codec", "lz4")
        .set("linger.ms", "1")
        .set("retry.backoff.ms", "10")
        .create()
        .expect("a producer");
    producer.init_transactions(PATIENCE).expect("transactions");
    producer
}

fn send_both(producer: &Producer, [copies, states]: &[String; 2], message: &BorrowedMessage<'_>) {
    let (key, value) = (message.key().unwrap_or_default(), message.payload().unwrap_or_default());
    let half = value.get(..value.len() / 2).unwrap_or_default();
    let began = Instant::now();
    for (topic, value) in [(copies, value), (states, half)] {
        let mut next = BaseRecord::to(topic).key(key).payload(value);
        next.partition = Some(message.partition());
        while let Err((error, refused)) = producer.send(next) {
            assert!(began.elapsed() < PATIENCE, "a record is taken: {error}");
            next = refused;
            std::thread::park_timeout(Duration::from_millis(1));
        }
    }
}
