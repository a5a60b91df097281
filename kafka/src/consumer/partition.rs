//! A reader of one partition, from an offset to its end as it is now: what a restore needs.

use std::fmt;
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

/// Between two looks at whether open transactions have ended.
const SETTLED_LOOK_EVERY: Duration = Duration::from_millis(10);

/// Reads one partition, committed records only. Polling blocks, so give it a thread of its own.
pub struct PartitionReader {
    inner: BaseConsumer<Context>,
    /// Sees records that are not committed yet.
    raw: BaseConsumer<Context>,
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
        let reading = |isolation| {
            let mut client = kafka.client()?;
            let config =
                ReaderConfig { isolation, queue_bytes_max, ..ReaderConfig::new(at.topic.clone()) };
            config.put(&mut client);
            // A start that is gone is for the caller to know of, not to be jumped over.
            client.set("auto.offset.reset", "error");
            client.set("statistics.interval.ms", "0");
            let context = Context { reporter: Reporter::new(None) };
            BaseConsumer::from_config_and_context(&client, context).map_err(Error::making)
        };
        let (inner, raw) = (reading(Isolation::Committed)?, reading(Isolation::Uncommitted)?);
        Ok(Self { inner, raw, at })
    }

    /// The first offset there is, and the one behind the last record, committed or not.
    ///
    /// # Errors
    /// When Kafka does not answer in time.
    pub fn bounds(&self, wait: Duration) -> Result<(i64, i64), Error> {
        bounds(&self.raw, &self.at, wait)
    }

    /// Hands every committed record from `from` on to `each`, up to `end`. Where transactions that
    /// began before `end` are still open, waits for them to end. Gives up when `is_over` says so.
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
        self.wait_until_settled(end, quiet_max, is_over)?;
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&self.at.topic, self.at.partition, Offset::Offset(from))
            .and_then(|()| self.inner.assign(&list))
            .map_err(|error| Error::doing(doing(), &error))?;
        let mut heard = Instant::now();
        loop {
            match self.inner.poll(POLL_WAIT) {
                Some(Ok(message)) => {
                    heard = Instant::now();
                    let message = Message(message);
                    let next = message.offset() + 1;
                    each(&message);
                    if next >= end {
                        return Ok(());
                    }
                }
                // What follows the last record are markers and what was aborted.
                Some(Err(KafkaError::PartitionEOF(_))) => return Ok(()),
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

    /// Waits until no transaction that began before `end` is open. Only then does the end of the
    /// committed records mean that all were read.
    fn wait_until_settled(
        &self,
        end: i64,
        wait: Duration,
        is_over: &dyn Fn() -> bool,
    ) -> Result<(), Error> {
        let deadline = Instant::now() + wait;
        while bounds(&self.inner, &self.at, wait)?.1 < end {
            if Instant::now() >= deadline || is_over() {
                let doing = format!("waiting for the transactions in {} to end", self.at);
                return Err(Error::timed_out(doing));
            }
            std::thread::park_timeout(SETTLED_LOOK_EVERY);
        }
        Ok(())
    }
}

fn bounds(
    consumer: &BaseConsumer<Context>,
    at: &TopicPartition,
    wait: Duration,
) -> Result<(i64, i64), Error> {
    consumer
        .fetch_watermarks(&at.topic, at.partition, wait)
        .map_err(|error| Error::doing(format!("asking for the ends of {at}"), &error))
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
