//! The floor under latency: a bare program of librdkafka that copies clicks exactly once, and keeps,
//! computes and joins nothing. What Kafka's transactions take on this machine, it takes, too.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clickmill_sdk_core::wire::Topic;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{BorrowedMessage, Message as _};
use rdkafka::producer::{BaseRecord, Producer as _, ThreadedProducer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use super::{PARTITIONS, assigned_to_the_end};
use crate::kafka::Kafka;
use crate::until::PATIENCE;

/// Where copies of clicks go, without the prefix.
pub(super) const COPIES: &str = "bench.floor.copies";
/// Where as many records go as a view writes states, half as long as a click; likewise.
pub(super) const STATES: &str = "bench.floor.states";

type Producer = ThreadedProducer<rdkafka::producer::DefaultProducerContext>;

/// Copies what comes to the topic of clicks from now on until it is told to end: whatever is there goes
/// into a transaction, which is committed at once. Calls `ready` once it reads.
pub(super) fn copy(kafka: &Kafka, is_over: &AtomicBool, ready: impl FnOnce()) {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", &kafka.bootstrap)
        .set("group.id", format!("{}floor", kafka.prefix))
        .set("enable.auto.commit", "false")
        .set("fetch.wait.max.ms", "20")
        .create()
        .expect("a consumer");
    assigned_to_the_end(&consumer, &kafka.topic(Topic::ClicksRaw));
    // Two, as in the view: one alone waits until the broker has ended its last transaction.
    let mut pair = [producer(kafka, 0), producer(kafka, 1)];
    let topics = [COPIES, STATES].map(|topic| format!("{}{topic}", kafka.prefix));
    ready();
    while !is_over.load(Ordering::Acquire) {
        let mut next = consumer.poll(Duration::from_millis(5));
        if next.is_none() {
            continue;
        }
        let producer = &pair[0];
        producer.begin_transaction().expect("a transaction");
        let mut read_to = [None; PARTITIONS as usize];
        while let Some(message) = next {
            let message = message.expect("a click");
            send_both(producer, &topics, &message);
            let partition = usize::try_from(message.partition()).expect("a number");
            read_to[partition] = Some(message.offset() + 1);
            next = consumer.poll(Duration::ZERO);
        }
        let mut offsets = TopicPartitionList::new();
        for (partition, offset) in (0..).zip(read_to) {
            let Some(offset) = offset else { continue };
            let topic = kafka.topic(Topic::ClicksRaw);
            offsets
                .add_partition_offset(&topic, partition, Offset::Offset(offset))
                .expect("an offset");
        }
        let group = consumer.group_metadata().expect("a group");
        producer.send_offsets_to_transaction(&offsets, &group, PATIENCE).expect("offsets");
        // librdkafka's own commit looks every 100 ms whether all is delivered.
        while producer.in_flight_count() > 0 {
            std::thread::park_timeout(Duration::from_micros(200));
        }
        producer.commit_transaction(PATIENCE).expect("a commit");
        pair.swap(0, 1);
    }
}

fn producer(kafka: &Kafka, n: usize) -> Producer {
    let producer: Producer = ClientConfig::new()
        .set("bootstrap.servers", &kafka.bootstrap)
        .set("transactional.id", format!("{}floor-{n}", kafka.prefix))
        .set("linger.ms", "1")
        .set("retry.backoff.ms", "10")
        .create()
        .expect("a producer");
    producer.init_transactions(PATIENCE).expect("transactions");
    producer
}

fn send_both(producer: &Producer, [copies, states]: &[String; 2], message: &BorrowedMessage<'_>) {
    let (key, value) = (message.key().unwrap_or_default(), message.payload().unwrap_or_default());
    let began = Instant::now();
    for (topic, value) in [(copies, value), (states, &value[..value.len() / 2])] {
        let mut record = BaseRecord::to(topic).key(key).payload(value);
        record.partition = Some(message.partition());
        let mut next = record;
        while let Err((error, refused)) = producer.send(next) {
            assert!(began.elapsed() < PATIENCE, "a record is taken: {error}");
            next = refused;
            std::thread::park_timeout(Duration::from_millis(1));
        }
    }
}
