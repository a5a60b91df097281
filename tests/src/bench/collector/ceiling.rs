//! The ceiling: a process that only produces. The collector's own records, read back beforehand,
//! go through a raw librdkafka producer with the same settings.

use std::thread;
use std::time::Duration;

use clickmill_sdk_core::wire::Topic;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{BorrowedMessage, Header, Headers as _, Message, OwnedHeaders};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::types::RDKafkaErrorCode;

use crate::kafka::Kafka;
use crate::until::PATIENCE;

/// Records of each partition that are read back and sent again and again.
const SAMPLE_OF_PARTITION: usize = 5_000;
/// How long the producer waits when its queue is full.
const QUEUE_FULL_WAIT: Duration = Duration::from_millis(1);

/// One record, ready to be sent.
#[derive(Debug)]
pub(super) struct Prepared {
    written_ms: i64,
    key: Option<Vec<u8>>,
    value: Vec<u8>,
    headers: Vec<(String, Vec<u8>)>,
}

impl Prepared {
    /// The bytes of its value.
    pub(super) fn value_bytes(&self) -> usize {
        self.value.len()
    }

    /// The bytes of its headers, names included.
    pub(super) fn header_bytes(&self) -> usize {
        self.headers.iter().map(|(name, value)| name.len() + value.len()).sum()
    }

    fn read(message: &BorrowedMessage<'_>) -> Self {
        let headers = message.headers().into_iter().flat_map(|headers| headers.iter());
        let pair = |header: Header<'_, &[u8]>| {
            (header.key.to_owned(), header.value.unwrap_or_default().to_vec())
        };
        Self {
            written_ms: message.timestamp().to_millis().unwrap_or_default(),
            key: message.key().map(<[u8]>::to_vec),
            value: message.payload().unwrap_or_default().to_vec(),
            headers: headers.map(pair).collect(),
        }
    }
}

/// Reads some of what the collector wrote, in the order in which it was written: partitions mixed.
///
/// # Panics
/// When there is nothing to read.
pub(super) fn sample(kafka: &Kafka) -> Vec<Prepared> {
    let topic = kafka.topic(Topic::ClicksRaw);
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", &kafka.bootstrap)
        .set("group.id", "nobody")
        .set("enable.auto.commit", "false")
        .create()
        .expect("a consumer");
    let mut sample = Vec::new();
    for (partition, ends) in kafka.ends(Topic::ClicksRaw) {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&topic, partition, Offset::Beginning).expect("an offset");
        consumer.assign(&list).expect("an assignment");
        let count = SAMPLE_OF_PARTITION.min(usize::try_from(ends).unwrap_or_default());
        for _ in 0..count {
            let message = consumer.poll(PATIENCE).expect("a record in time").expect("a record");
            sample.push(Prepared::read(&message));
        }
    }
    assert!(!sample.is_empty(), "the collector wrote something before");
    sample.sort_by_key(|record| record.written_ms);
    sample
}

/// Whether the records have their headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dress {
    Headers,
    Bare,
}

/// Sends `count` records and waits until all are acknowledged; occupies the thread.
///
/// # Panics
/// When a record is refused.
pub(super) fn produce(
    producer: &ThreadedProducer<DefaultProducerContext>,
    (topic, dress): (&str, Dress),
    sample: &[Prepared],
    count: usize,
) {
    for record in sample.iter().cycle().take(count) {
        send(producer, (topic, dress), record);
    }
    producer.flush(PATIENCE).expect("all records arrive");
}

fn send(
    producer: &ThreadedProducer<DefaultProducerContext>,
    (topic, dress): (&str, Dress),
    record: &Prepared,
) {
    let mut outgoing = BaseRecord::<[u8], [u8], ()>::to(topic).payload(&record.value);
    if let Some(key) = &record.key {
        outgoing = outgoing.key(key);
    }
    if dress == Dress::Headers {
        // librdkafka takes headers only as a list of its own making, a new one for each record.
        let empty = OwnedHeaders::new_with_capacity(record.headers.len());
        let headers = record.headers.iter().fold(empty, |headers, (key, value)| {
            headers.insert(Header { key, value: Some(value) })
        });
        outgoing = outgoing.headers(headers);
    }
    while let Err((error, back)) = producer.send(outgoing) {
        let full = error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull);
        assert!(full, "{error}");
        // It empties by itself; the producer has a polling thread of its own.
        thread::park_timeout(QUEUE_FULL_WAIT);
        outgoing = back;
    }
}
