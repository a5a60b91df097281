//! The producer: every record acknowledged by all in-sync replicas, in order, with its outcome.

mod batch;
mod config;

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::config::FromClientConfigAndContext as _;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Message as _};
use rdkafka::producer::{
    BaseRecord, Producer as _, ProducerContext, PurgeConfig, ThreadedProducer,
};
use tokio::time::Instant;

pub use self::batch::Pending;
use self::batch::{Batch, Ticket};
pub use self::config::{Compression, ProducerConfig};
use crate::context::{Reporter, report_through_reporter};
use crate::{Class, Error, Failure, Headers, KafkaConfig, OnStatistics};

/// One record to be sent. Its bytes are copied when it is handed in.
#[derive(Clone, Copy, Debug, Default)]
pub struct Outgoing<'a> {
    /// The topic, in full.
    pub topic: &'a str,
    /// The key that places the record; without one a partition is chosen at random.
    pub key: Option<&'a [u8]>,
    /// The value; none is a tombstone.
    pub value: Option<&'a [u8]>,
    /// The headers.
    pub headers: Option<&'a Headers>,
    /// A partition of one's own choice instead of the key's.
    pub partition: Option<i32>,
    /// The record's own time in milliseconds since 1970 instead of the moment of sending.
    pub timestamp_ms: Option<i64>,
}

/// Where a record came to lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The partition.
    pub partition: i32,
    /// The offset in it.
    pub offset: i64,
}

/// What became of one record.
pub type Outcome = Result<Position, Failure>;

/// An idempotent producer with a polling thread of its own. Clones share it; when the last one is
/// dropped, records still in the queue are given up: [`flush`](Self::flush) first.
#[derive(Clone)]
pub struct Producer {
    inner: Arc<ThreadedProducer<Context>>,
    message_timeout: Duration,
}

impl Producer {
    /// Makes the producer; does not wait for a broker.
    ///
    /// # Errors
    /// Names the setting or property that is wrong.
    pub fn new(
        kafka: &KafkaConfig,
        config: &ProducerConfig,
        on_statistics: Option<OnStatistics>,
    ) -> Result<Self, Error> {
        let reporter = Reporter::new(on_statistics);
        let mut client = kafka.client()?;
        config.put(&mut client)?;
        let interval_ms = reporter.interval_ms(kafka.statistics_interval_ms);
        client.set("statistics.interval.ms", interval_ms.to_string());
        let inner = ThreadedProducer::from_config_and_context(&client, Context { reporter })
            .map_err(Error::making)?;
        Ok(Self {
            inner: Arc::new(inner),
            message_timeout: Duration::from_millis(config.message_timeout_ms.into()),
        })
    }

    /// Hands records in, in order, without waiting, and returns the handle to their outcomes.
    ///
    /// When the queue is full at one record, the rest of the batch is refused with it, so that
    /// nothing overtakes it.
    pub fn enqueue<'a, R>(&self, records: R) -> Pending
    where
        R: IntoIterator<Item = Outgoing<'a>, IntoIter: ExactSizeIterator>,
    {
        let records = records.into_iter();
        let batch = Batch::new(records.len());
        let mut full = false;
        for (slot, record) in records.enumerate() {
            let ticket = batch.ticket(slot);
            if full {
                ticket.settle(Err(Failure::QUEUE_FULL));
            } else if let Err((failure, ticket)) = self.hand_in(&record, ticket) {
                full = failure.class == Class::QueueFull;
                ticket.settle(Err(failure));
            }
        }
        Pending::new(batch, self.message_timeout)
    }

    /// Sends records in order; the future yields one outcome for each, in the same order, at the
    /// latest at the deadline. What has no outcome by then is [`Class::TimedOut`] and may still
    /// arrive: use [`enqueue`](Self::enqueue) to learn what became of it.
    ///
    /// The records are handed in before this returns, whether or not the future is awaited.
    pub fn send_all(
        &self,
        records: Vec<Outgoing<'_>>,
        deadline: Instant,
    ) -> impl Future<Output = Vec<Outcome>> + Send + use<> + 'static {
        let mut pending = self.enqueue(records);
        async move { pending.outcomes(deadline).await }
    }

    /// Sends one record; like [`send_all`](Self::send_all).
    pub fn send(
        &self,
        record: Outgoing<'_>,
        deadline: Instant,
    ) -> impl Future<Output = Outcome> + Send + use<> + 'static {
        let mut pending = self.enqueue([record]);
        async move { pending.outcomes(deadline).await.pop().unwrap_or(Err(Failure::DEADLINE)) }
    }

    /// Sends what waits without lingering, and waits until nothing is queued or in flight.
    ///
    /// # Errors
    /// [`Class::TimedOut`] when records are left at the deadline.
    pub async fn flush(&self, deadline: Instant) -> Result<(), Error> {
        // rdkafka's own flush polls in steps of 100 ms; this one ends within two.
        const STEP: Duration = Duration::from_millis(2);
        loop {
            match self.inner.flush(Duration::ZERO) {
                Ok(()) => return Ok(()),
                Err(KafkaError::Flush(RDKafkaErrorCode::OperationTimedOut)) => {}
                Err(error) => return Err(Error::doing("flushing the producer", &error)),
            }
            if Instant::now() >= deadline {
                let left = self.waiting();
                return Err(Error::timed_out(format!("flushing the producer ({left} left)")));
            }
            tokio::time::sleep_until(deadline.min(Instant::now() + STEP)).await;
        }
    }

    /// Gives up everything that is queued or in flight; outcomes follow at once. What was in flight
    /// is [`Class::TimedOut`], what was not sent yet is [`Class::Retriable`].
    pub fn purge(&self) {
        self.inner.purge(PurgeConfig::default().queue().inflight());
    }

    /// Records that are queued, in flight, or whose outcome has not been taken note of; and, for
    /// moments, news of the client itself that has not.
    pub fn waiting(&self) -> u64 {
        u64::try_from(self.inner.in_flight_count()).unwrap_or(0)
    }

    /// How long a record is tried before it fails with [`Class::TimedOut`].
    pub fn message_timeout(&self) -> Duration {
        self.message_timeout
    }

    /// Why this producer can no longer be used, once that is so; a new one must be made.
    pub fn fatal_error(&self) -> Option<String> {
        self.inner.client().fatal_error().map(|(code, reason)| format!("{code}: {reason}"))
    }

    /// Asks the cluster for a topic's partitions: proof that Kafka answers and the topic is there.
    ///
    /// # Errors
    /// [`Class::Refused`] when the topic is missing, [`Class::TimedOut`] or [`Class::Retriable`]
    /// when Kafka does not answer or a partition has no leader.
    pub async fn partitions(&self, topic: &str, wait: Duration) -> Result<u32, Error> {
        let doing = format!("asking for the topic {topic}");
        let (inner, topic) = (Arc::clone(&self.inner), topic.to_owned());
        // librdkafka answers this call only by blocking.
        let asked = tokio::task::spawn_blocking(move || {
            let metadata = inner.client().fetch_metadata(Some(&topic), wait)?;
            Ok(metadata.topics().first().map(|topic| {
                let leaderless = topic.partitions().iter().any(|p| p.leader() < 0);
                (topic.error().map(RDKafkaErrorCode::from), topic.partitions().len(), leaderless)
            }))
        });
        match asked.await {
            Ok(Ok(Some((Some(code), _, _)))) => Err(Error::code(doing, code)),
            Ok(Ok(Some((None, _, true)))) => {
                Err(Error::code(doing, RDKafkaErrorCode::LeaderNotAvailable))
            }
            Ok(Ok(Some((None, count, false)))) if count > 0 => {
                Ok(u32::try_from(count).unwrap_or(u32::MAX))
            }
            Ok(Ok(_)) => Err(Error::code(doing, RDKafkaErrorCode::UnknownTopicOrPartition)),
            Ok(Err(error)) => Err(Error::doing(doing, &error)),
            Err(_) => Err(Error::timed_out(doing)),
        }
    }

    fn hand_in(&self, record: &Outgoing<'_>, ticket: Ticket) -> Result<(), (Failure, Ticket)> {
        let record = BaseRecord::<[u8], [u8], _> {
            topic: record.topic,
            partition: record.partition,
            payload: record.value,
            key: record.key,
            timestamp: record.timestamp_ms,
            headers: record.headers.and_then(Headers::to_native),
            delivery_opaque: Box::new(ticket),
        };
        self.inner
            .send(record)
            .map_err(|(error, record)| (Failure::of(&error), *record.delivery_opaque))
    }
}

impl fmt::Debug for Producer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Producer").field("waiting", &self.waiting()).finish_non_exhaustive()
    }
}

/// Carries each record's outcome from the polling thread to its batch.
struct Context {
    reporter: Reporter,
}

impl ClientContext for Context {
    report_through_reporter!();
}

impl ProducerContext for Context {
    type DeliveryOpaque = Box<Ticket>;

    fn delivery(&self, result: &DeliveryResult<'_>, ticket: Self::DeliveryOpaque) {
        ticket.settle(match result {
            Ok(message) => {
                Ok(Position { partition: message.partition(), offset: message.offset() })
            }
            Err((error, _)) => Err(Failure::delivering(error)),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A producer that no broker will ever answer.
    fn unreachable(config: &ProducerConfig) -> Producer {
        Producer::new(&KafkaConfig::plain("127.0.0.1:1"), config, None).unwrap()
    }

    fn record(value: &[u8]) -> Outgoing<'_> {
        Outgoing { topic: "t", key: Some(b"k"), value: Some(value), ..Outgoing::default() }
    }

    fn classes(outcomes: &[Outcome]) -> Vec<Option<Class>> {
        outcomes.iter().map(|outcome| outcome.err().map(|failure| failure.class)).collect()
    }

    /// Outcomes and news are taken note of in another thread.
    async fn comes_to_wait_with(producer: &Producer, records: u64) {
        let settled = async {
            while producer.waiting() != records {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), settled).await.unwrap();
    }

    #[tokio::test]
    async fn a_full_queue_refuses_the_rest_of_the_batch_at_once() {
        let config = ProducerConfig { queue_messages_max: 2, ..ProducerConfig::default() };
        let producer = unreachable(&config);
        let mut pending =
            producer.enqueue([record(b"1"), record(b"2"), record(b"3"), record(b"4")]);
        let now = pending.outcomes(Instant::now()).await;
        let (timed_out, full) = (Some(Class::TimedOut), Some(Class::QueueFull));
        assert_eq!(classes(&now), [timed_out, timed_out, full, full]);
        comes_to_wait_with(&producer, 2).await;
    }

    #[tokio::test]
    async fn a_record_too_large_costs_only_itself() {
        let config = ProducerConfig { record_bytes_max: 2_000, ..ProducerConfig::default() };
        let producer = unreachable(&config);
        let large = vec![b'x'; 3_000];
        let sent = producer.send_all(vec![record(&large), record(b"2")], Instant::now());
        assert_eq!(classes(&sent.await), [Some(Class::TooLarge), Some(Class::TimedOut)]);
    }

    #[tokio::test]
    async fn purged_records_get_an_outcome() {
        let producer = unreachable(&ProducerConfig::default());
        let pending = producer.enqueue([record(b"1"), record(b"2")]);
        producer.purge();
        assert_eq!(classes(&pending.settled().await), [Some(Class::Retriable); 2]);
        // The last outcome is told a moment before librdkafka lets go of its record.
        comes_to_wait_with(&producer, 0).await;
    }

    #[tokio::test]
    async fn a_flush_that_cannot_finish_says_so_at_its_deadline() {
        let producer = unreachable(&ProducerConfig::default());
        let _pending = producer.enqueue([record(b"1")]);
        let error = producer.flush(Instant::now() + Duration::from_millis(20)).await.unwrap_err();
        assert_eq!(error.class(), Class::TimedOut);
    }
}
