//! A reader of one partition, from an offset to its end as it is now, and who tells where that is:
//! what a restore needs.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::config::FromClientConfigAndContext as _;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::util::Timeout;
use rdkafka::{ClientContext, Offset, TopicPartitionList};

use super::{Isolation, Message, ReaderConfig, TopicPartition};
use crate::context::{Reporter, report_through_reporter};
use crate::{Class, Error, KafkaConfig};

/// The longest wait for one record.
const POLL_WAIT: Duration = Duration::from_millis(20);

/// How long Kafka may take to tell where a partition ends.
const ASK_WAIT: Duration = Duration::from_secs(5);

/// Between two looks at whether open transactions have ended.
const SETTLED_LOOK_EVERY: Duration = Duration::from_millis(10);

/// Tells where the partitions of a topic end. Asking blocks; clones ask through the same connections.
#[derive(Clone)]
pub struct Ends {
    clients: Arc<Asking>,
}

struct Asking {
    /// Sees committed records alone.
    committed: BaseConsumer<Context>,
    /// Sees records that are not committed yet.
    raw: BaseConsumer<Context>,
    topic: String,
}

impl Ends {
    /// Makes the clients; asks nobody yet.
    ///
    /// # Errors
    /// Names the setting that is wrong.
    pub fn new(kafka: &KafkaConfig, topic: impl Into<String>) -> Result<Self, Error> {
        let topic = topic.into();
        let asking = |isolation| client(kafka, (&topic, isolation, ReaderConfig::QUEUE_BYTES));
        let (committed, raw) = (asking(Isolation::Committed)?, asking(Isolation::Uncommitted)?);
        Ok(Self { clients: Arc::new(Asking { committed, raw, topic }) })
    }

    /// Looks at the topic anew and reaches every broker that leads a partition of it, so that who asks
    /// later is answered at once. Blocks up to `wait` for each.
    ///
    /// # Errors
    /// When Kafka does not answer in time.
    pub fn connect(&self, wait: Duration) -> Result<(), Error> {
        let Asking { committed, raw, topic } = &*self.clients;
        let failed = |error| Error::doing(format!("reaching {topic}"), &error);
        for client in [raw, committed] {
            let metadata = client.fetch_metadata(Some(topic), wait).map_err(failed)?;
            let partitions = metadata.topics().iter().flat_map(|topic| topic.partitions());
            let firsts: BTreeMap<i32, i32> =
                partitions.map(|partition| (partition.leader(), partition.id())).collect();
            for partition in firsts.into_values() {
                client.fetch_watermarks(topic, partition, wait).map_err(failed)?;
            }
        }
        Ok(())
    }

    /// The first offset of a partition there is, and the one behind the last record, committed or not.
    ///
    /// # Errors
    /// When Kafka does not answer in time.
    pub fn bounds(&self, partition: i32, wait: Duration) -> Result<(i64, i64), Error> {
        self.clients.ask(&self.clients.raw, (partition, wait))
    }

    /// Waits until no transaction that began before `end` is open in a partition. Only then does the
    /// end of the committed records mean that there are no others. Gives up when `is_over` says so.
    ///
    /// # Errors
    /// [`TimedOut`](Class::TimedOut) when one is open for `wait`, or when it gave up.
    pub fn settled(
        &self,
        (partition, end): (i32, i64),
        wait: Duration,
        is_over: &dyn Fn() -> bool,
    ) -> Result<(), Error> {
        let deadline = Instant::now() + wait;
        loop {
            match self.clients.ask(&self.clients.committed, (partition, wait)) {
                Ok((_, settled)) if settled >= end => return Ok(()),
                Ok(_) => {}
                // Its leader has changed, for instance.
                Err(error) if error.class() == Class::Retriable => {}
                Err(error) => return Err(error),
            }
            if Instant::now() >= deadline || is_over() {
                let topic = &self.clients.topic;
                let doing = format!("waiting for the transactions in {topic}[{partition}] to end");
                return Err(Error::timed_out(doing));
            }
            std::thread::park_timeout(SETTLED_LOOK_EVERY);
        }
    }
}

impl Asking {
    fn ask(
        &self,
        client: &BaseConsumer<Context>,
        (partition, wait): (i32, Duration),
    ) -> Result<(i64, i64), Error> {
        ends(client, (&self.topic, partition), wait)
    }
}

/// The first offset of a partition there is, and the one behind the last record that the client sees.
fn ends(
    client: &BaseConsumer<Context>,
    (topic, partition): (&str, i32),
    wait: Duration,
) -> Result<(i64, i64), Error> {
    let doing = || format!("asking for the ends of {topic}[{partition}]");
    let ends = client.fetch_watermarks(topic, partition, wait);
    ends.map_err(|error| Error::doing(doing(), &error))
}

impl fmt::Debug for Ends {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ends").field("topic", &self.clients.topic).finish_non_exhaustive()
    }
}

/// Reads one partition, committed records only. Polling blocks, so give it a thread of its own.
pub struct PartitionReader {
    inner: BaseConsumer<Context>,
    at: TopicPartition,
}

impl PartitionReader {
    /// Makes the reader; asks nobody yet.
    ///
    /// # Errors
    /// Names the setting that is wrong.
    pub fn new(
        kafka: &KafkaConfig,
        at: TopicPartition,
        queue_bytes_max: u64,
    ) -> Result<Self, Error> {
        let inner = client(kafka, (&at.topic, Isolation::Committed, queue_bytes_max))?;
        Ok(Self { inner, at })
    }

    /// Reads on from there.
    fn go_to(&self, offset: i64) -> Result<(), Error> {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&self.at.topic, self.at.partition, Offset::Offset(offset))
            .and_then(|()| self.inner.assign(&list))
            .map_err(|error| Error::doing(format!("reading {}", self.at), &error))
    }

    /// Whether the partition's leader knows that it is committed up to there.
    fn is_known_to(&self, end: i64) -> Result<bool, Error> {
        match ends(&self.inner, (&self.at.topic, self.at.partition), ASK_WAIT) {
            Ok((_, settled)) => Ok(settled >= end),
            Err(error) if matches!(error.class(), Class::Retriable | Class::TimedOut) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Hands every committed record from `from` on to `each`, up to `end`; transactions that began
    /// before that must have [ended](Ends::settled). Gives up when `is_over` says so.
    ///
    /// # Errors
    /// [`TimedOut`](Class::TimedOut) when nothing comes for `quiet_max`, or when it gave up; other
    /// classes as they come. The reading cannot be taken up again.
    pub fn read(
        &self,
        (from, end): (i64, i64),
        quiet_max: Duration,
        is_over: &dyn Fn() -> bool,
        mut each: impl FnMut(&Message<'_>),
    ) -> Result<(), Error> {
        let doing = || format!("reading {}", self.at);
        if from >= end {
            return Ok(());
        }
        self.go_to(from)?;
        let mut next = from;
        let mut is_confirmed = false;
        let mut heard = Instant::now();
        loop {
            match self.inner.poll(POLL_WAIT) {
                Some(Ok(message)) => {
                    heard = Instant::now();
                    let message = Message(message);
                    next = message.offset() + 1;
                    each(&message);
                    if next >= end {
                        return Ok(());
                    }
                }
                Some(Err(KafkaError::PartitionEOF(_))) if is_confirmed => return Ok(()),
                // A broker that leads the partition since a moment ago may not know yet how far it is
                // committed, and ends it too soon.
                Some(Err(KafkaError::PartitionEOF(_))) => {
                    is_confirmed = self.is_known_to(end)?;
                    // What follows the last record is its transaction's marker, mostly. To read on for
                    // that would take a tenth of a second of each restore.
                    if is_confirmed && end - next <= 1 {
                        return Ok(());
                    }
                    // Or further markers, and what was aborted: once the broker says that it knows, it
                    // is read to its end once more.
                    if !is_confirmed {
                        std::thread::park_timeout(SETTLED_LOOK_EVERY);
                    }
                    self.go_to(next)?;
                }
                Some(Err(error)) => {
                    let error = Error::doing(doing(), &error);
                    match error.class() {
                        Class::Retriable | Class::TimedOut | Class::QueueFull => {}
                        Class::Fatal | Class::Refused | Class::TooLarge => return Err(error),
                    }
                }
                None => {}
            }
            if heard.elapsed() > quiet_max || is_over() {
                return Err(Error::timed_out(doing()));
            }
        }
    }
}

fn client(
    kafka: &KafkaConfig,
    (topic, isolation, queue_bytes_max): (&str, Isolation, u64),
) -> Result<BaseConsumer<Context>, Error> {
    let mut client = kafka.client()?;
    ReaderConfig { isolation, queue_bytes_max, ..ReaderConfig::new(topic) }.put(&mut client);
    // A start that is gone is for the caller to know of, not to be jumped over.
    client.set("auto.offset.reset", "error");
    client.set("statistics.interval.ms", "0");
    let context = Context { reporter: Reporter::new(None) };
    BaseConsumer::from_config_and_context(&client, context).map_err(Error::making)
}

impl fmt::Debug for PartitionReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PartitionReader").field("at", &self.at).finish_non_exhaustive()
    }
}

struct Context {
    reporter: Reporter,
}

impl ClientContext for Context {
    report_through_reporter!();
}

impl ConsumerContext for Context {
    fn main_queue_min_poll_interval(&self) -> Timeout {
        Timeout::After(Duration::from_millis(100))
    }
}
