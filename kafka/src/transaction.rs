//! A transactional producer: records and a group's offsets become visible together or not at all.
//!
//! Whatever fails in a transaction, the producer is at its end: drop it and make a new one of the
//! same id, whose first step aborts what is left open. librdkafka could abort and go on in many
//! cases, but a request of the old transaction that comes late may hit the next one.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::config::FromClientConfigAndContext as _;
use rdkafka::consumer::ConsumerGroupMetadata;
use rdkafka::message::{DeliveryResult, Message as _};
use rdkafka::producer::{BaseRecord, Producer as _, ProducerContext, ThreadedProducer};
use tracing::warn;

use crate::consumer::offsets;
use crate::context::{Reporter, report_through_reporter};
use crate::{Class, Error, Failure, Headers, KafkaConfig, NextOffset, Outgoing, ProducerConfig};

/// Between two looks at whether everything was delivered. librdkafka's own commit looks every
/// 100 ms, which would be most of what a transaction takes.
const LOOK_EVERY: Duration = Duration::from_micros(200);

/// How long a transaction's records linger, ms. The broker must let a partition into the transaction
/// before anything is sent, which takes as long: what is handed in at once goes in one request, and
/// nothing waits for more (4 ms were most of what a small transaction took).
const LINGER_MS: &str = "1";

/// The first wait before a request is tried again, ms. librdkafka's own 100 ms hold up everything that
/// is handed in meanwhile; the waits grow from here on.
const RETRY_MS: &str = "10";

/// What a record without a mark carries through librdkafka; marks are counted from 1 there.
const UNMARKED: usize = 0;

/// The offset of a mark under which nothing was delivered.
const NOTHING: i64 = -1;

/// What a transactional producer is called, and how long its transactions may take.
#[derive(Clone, Debug)]
pub struct TransactionConfig {
    /// The id that outlives a restart; a second producer of the same id puts the first one out of
    /// action.
    pub id: String,
    /// After so long without an end the broker aborts, ms. What reads the topics waits as long
    /// when a producer dies and none of its id comes back.
    pub timeout_ms: u32,
    /// How many marks there are, see [`TransactionalProducer::marked`].
    pub marks: usize,
    /// How records are sent. How long they linger is not up to it.
    pub producer: ProducerConfig,
}

/// Who a consumer is in its group, as its offsets' transaction must tell.
pub struct GroupMetadata(pub(crate) ConsumerGroupMetadata);

impl fmt::Debug for GroupMetadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GroupMetadata")
    }
}

/// A producer of transactions, one after another.
pub struct TransactionalProducer {
    inner: ThreadedProducer<Context>,
    id: String,
}

impl TransactionalProducer {
    /// Makes the producer and reaches Kafka. Nobody notices: it must [take over](Self::take_over)
    /// before it is of use. Blocks up to `wait`.
    ///
    /// # Errors
    /// Names the setting that is wrong, or says why Kafka did not answer.
    pub fn connect(
        kafka: &KafkaConfig,
        config: &TransactionConfig,
        wait: Duration,
    ) -> Result<Self, Error> {
        let mut client = kafka.client()?;
        config.producer.put(&mut client)?;
        client
            .set("transactional.id", &config.id)
            .set("transaction.timeout.ms", config.timeout_ms.to_string())
            // Within a transaction a record has as long as the transaction.
            .set("message.timeout.ms", config.timeout_ms.to_string())
            .set("statistics.interval.ms", "0")
            .set("linger.ms", LINGER_MS)
            .set("retry.backoff.ms", RETRY_MS);
        let marks = (0..config.marks).map(|_| AtomicI64::new(NOTHING)).collect();
        let is_broken = AtomicBool::new(false);
        let context = Context { reporter: Reporter::new(None), is_broken, marks };
        let inner: ThreadedProducer<Context> =
            ThreadedProducer::from_config_and_context(&client, context).map_err(Error::making)?;
        // A connection first: librdkafka that looks for the coordinator before it has one looks again
        // after 500 ms (seen in its source, and in every other start).
        inner
            .client()
            .fetch_metadata(None, wait)
            .map_err(|error| Error::doing("reaching Kafka", &error))?;
        Ok(Self { inner, id: config.id.clone() })
    }

    /// Puts a former producer of this id out of action, and ends whatever it left open. Blocks up to
    /// `wait`.
    ///
    /// # Errors
    /// Says why Kafka did not answer.
    pub fn take_over(&self, wait: Duration) -> Result<(), Error> {
        self.inner
            .init_transactions(wait)
            .map_err(|error| Error::doing(format!("taking over as {}", self.id), &error))
    }

    /// Begins a transaction; asks nobody.
    ///
    /// # Errors
    /// When one is open, or the producer is at its end.
    pub fn begin(&self) -> Result<(), Error> {
        self.inner
            .begin_transaction()
            .map_err(|error| Error::doing("beginning a transaction", &error))
    }

    /// Hands a record in, under a mark if its offset matters. Waits while the queue is full.
    ///
    /// # Errors
    /// [`Class::TooLarge`] when the record alone is to blame and was left out; everything else
    /// ends the transaction.
    pub fn put(&self, record: &Outgoing<'_>, mark: Option<usize>) -> Result<(), Failure> {
        let mut next = BaseRecord::<[u8], [u8], usize> {
            topic: record.topic,
            partition: record.partition,
            payload: record.value,
            key: record.key,
            timestamp: record.timestamp_ms,
            headers: record.headers.and_then(Headers::to_native),
            delivery_opaque: mark.map_or(UNMARKED, |mark| mark + 1),
        };
        loop {
            let Err((error, refused)) = self.inner.send(next) else { return Ok(()) };
            let failure = Failure::of(&error);
            if failure.class != Class::QueueFull || self.is_broken() {
                return Err(failure);
            }
            next = refused;
            std::thread::park_timeout(LOOK_EVERY);
        }
    }

    /// Waits until every record handed in was acknowledged.
    ///
    /// # Errors
    /// When one was not, or not by the deadline.
    pub fn settle(&self, deadline: Instant) -> Result<(), Error> {
        const DOING: &str = "delivering a transaction's records";
        while self.inner.in_flight_count() > 0 {
            if self.is_broken() || Instant::now() >= deadline {
                return Err(Error::timed_out(DOING));
            }
            std::thread::park_timeout(LOOK_EVERY);
        }
        if self.is_broken() { Err(Error::timed_out(DOING)) } else { Ok(()) }
    }

    /// Adds to the transaction that the group has read up to these offsets. Blocks up to `wait`.
    ///
    /// # Errors
    /// When the coordinator does not take them, for instance because the member was replaced.
    pub fn send_offsets(
        &self,
        next: &[NextOffset],
        group: &GroupMetadata,
        wait: Duration,
    ) -> Result<(), Error> {
        if next.is_empty() {
            return Ok(());
        }
        self.inner
            .send_offsets_to_transaction(&offsets(next)?, &group.0, wait)
            .map_err(|error| Error::doing("sending offsets to a transaction", &error))
    }

    /// Commits: the records become visible, and the offsets hold. Every record must have been
    /// [settled](Self::settle). Blocks up to `wait`.
    ///
    /// # Errors
    /// Whether it was committed is not known then: ask for the group's committed offsets once a
    /// new producer of this id has been made.
    pub fn commit(&self, wait: Duration) -> Result<(), Error> {
        self.inner
            .commit_transaction(wait)
            .map_err(|error| Error::doing("committing a transaction", &error))
    }

    /// The offset of the newest record that was delivered under a mark.
    pub fn marked(&self, mark: usize) -> Option<u64> {
        let offset = self.inner.context().marks.get(mark)?.load(Ordering::Acquire);
        u64::try_from(offset).ok()
    }

    /// Whether a record was given up: the transaction cannot be committed any more.
    pub fn is_broken(&self) -> bool {
        self.inner.context().is_broken.load(Ordering::Acquire)
    }
}

impl fmt::Debug for TransactionalProducer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransactionalProducer").field("broken", &self.is_broken()).finish()
    }
}

struct Context {
    reporter: Reporter,
    is_broken: AtomicBool,
    marks: Box<[AtomicI64]>,
}

impl ClientContext for Context {
    report_through_reporter!();
}

impl ProducerContext for Context {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, mark: usize) {
        match result {
            Ok(message) => {
                let mark = mark.checked_sub(1).and_then(|mark| self.marks.get(mark));
                if let Some(mark) = mark {
                    mark.fetch_max(message.offset(), Ordering::AcqRel);
                }
            }
            Err((error, _)) => {
                if !self.is_broken.swap(true, Ordering::AcqRel) {
                    warn!(%error, "a record of a transaction was given up");
                }
            }
        }
    }
}
