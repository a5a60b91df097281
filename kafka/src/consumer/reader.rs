//! A reader of one whole topic: from a chosen start to its end as it was, then on as it grows.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use rdkafka::config::FromClientConfigAndContext as _;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::topic_partition_list::TopicPartitionListElem;
use rdkafka::util::Timeout;
use rdkafka::{ClientContext, Offset, TopicPartitionList};

use super::{Message, ReaderConfig, StartAt};
use crate::context::{Reporter, report_through_reporter};
use crate::{Error, KafkaConfig};

/// Reads every partition of one topic, without a group and without commits. Polling blocks, so give
/// it a thread of its own.
///
/// One topic only, because librdkafka reports the end of a partition without its topic.
pub struct Reader {
    inner: BaseConsumer<Context>,
    topic: String,
    partitions: Vec<i32>,
    /// For each partition whose end at opening has not been reached yet: that end.
    ends: BTreeMap<i32, i64>,
    told: bool,
}

/// What [`Reader::poll`] found.
#[derive(Debug)]
pub enum Step<'a> {
    /// Every record that was there when the reader was opened has been returned. Comes once.
    CaughtUp,
    /// Nothing new for now.
    Idle,
    /// The next record.
    Message(Message<'a>),
}

impl Reader {
    /// Opens the topic and notes where it ends now. Blocks up to `wait`.
    ///
    /// # Errors
    /// [`Refused`](crate::Class::Refused) when the topic is missing;
    /// [`TimedOut`](crate::Class::TimedOut) or [`Retriable`](crate::Class::Retriable) when Kafka
    /// does not answer.
    pub fn open(kafka: &KafkaConfig, config: &ReaderConfig, wait: Duration) -> Result<Self, Error> {
        let deadline = Instant::now() + wait;
        let topic = config.topic.clone();
        let mut client = kafka.client()?;
        config.put(&mut client);
        let context = Context { reporter: Reporter::new(None) };
        let inner =
            BaseConsumer::from_config_and_context(&client, context).map_err(Error::making)?;

        let mut ends = BTreeMap::new();
        let mut assignment = TopicPartitionList::new();
        let partitions = partitions(&inner, &topic, deadline)?;
        for partition in partitions.iter().copied() {
            let failed =
                |error| Error::doing(format!("finding the end of {topic}[{partition}]"), &error);
            let left = deadline.saturating_duration_since(Instant::now());
            let (low, high) = inner.fetch_watermarks(&topic, partition, left).map_err(failed)?;
            let from = match config.from {
                StartAt::Time(ms) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    first_since(&inner, (&topic, partition), ms, left).map_err(failed)?
                }
                other => other,
            };
            if something_before(from, low, high) {
                ends.insert(partition, high);
            }
            let from = match from {
                // Pinned now, so that nothing written before the first fetch is missed.
                StartAt::End => StartAt::Offset(high),
                StartAt::Committed => StartAt::Beginning,
                other => other,
            };
            assignment.add_partition_offset(&topic, partition, from.into()).map_err(failed)?;
        }
        inner
            .assign(&assignment)
            .map_err(|error| Error::doing(format!("starting to read {topic}"), &error))?;
        Ok(Self { inner, topic, partitions, ends, told: false })
    }

    /// The next step; waits up to `wait` for one.
    ///
    /// # Errors
    /// Of class [`Fatal`](crate::Class::Fatal) when a new reader must be opened; others pass.
    pub fn poll(&mut self, wait: Duration) -> Result<Step<'_>, Error> {
        let deadline = Instant::now() + wait;
        loop {
            if self.ends.is_empty() && !self.told {
                self.told = true;
                return Ok(Step::CaughtUp);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            match self.inner.poll(left) {
                Some(Ok(message)) => {
                    let message = Message(message);
                    // The last record itself ends the wait for its partition; where markers or
                    // gaps of compaction follow it, the partition's end is reported below.
                    let (partition, next) = (message.partition(), message.offset() + 1);
                    if self.ends.get(&partition).is_some_and(|end| next >= *end) {
                        self.ends.remove(&partition);
                    }
                    return Ok(Step::Message(message));
                }
                Some(Err(KafkaError::PartitionEOF(partition))) => {
                    self.ends.remove(&partition);
                }
                Some(Err(error)) => {
                    return Err(Error::doing(format!("reading {}", self.topic), &error));
                }
                None if left.is_zero() => return Ok(Step::Idle),
                None => {}
            }
        }
    }

    /// Hands every record to `each` until the topic's end as it was at opening.
    ///
    /// # Errors
    /// [`TimedOut`](crate::Class::TimedOut) when that takes longer than `wait`, or what
    /// [`poll`](Self::poll) returns.
    pub fn read_to_end(
        &mut self,
        wait: Duration,
        mut each: impl FnMut(&Message<'_>),
    ) -> Result<(), Error> {
        let deadline = Instant::now() + wait;
        while !self.told {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Error::timed_out(format!("reading {} to its end", self.topic)));
            }
            match self.poll(left)? {
                Step::CaughtUp | Step::Idle => {}
                Step::Message(message) => each(&message),
            }
        }
        Ok(())
    }

    /// Reads from now on only the partitions that are wanted. One that comes back is read from its
    /// end.
    ///
    /// # Errors
    /// When the client refuses.
    pub fn keep_to(&mut self, is_wanted: &dyn Fn(i32) -> bool) -> Result<(), Error> {
        let failed = |error| Error::doing(format!("choosing partitions of {}", self.topic), &error);
        let held = self.inner.assignment().map_err(failed)?;
        let held: Vec<i32> = held.elements().iter().map(|element| element.partition()).collect();
        let change = |is_change: &dyn Fn(i32) -> bool| {
            let mut list = TopicPartitionList::new();
            for partition in self.partitions.iter().copied().filter(|one| is_change(*one)) {
                list.add_partition_offset(&self.topic, partition, Offset::End)?;
            }
            Ok(list)
        };
        let leaving = change(&|one| held.contains(&one) && !is_wanted(one)).map_err(failed)?;
        let coming = change(&|one| !held.contains(&one) && is_wanted(one)).map_err(failed)?;
        if leaving.count() > 0 {
            self.inner.incremental_unassign(&leaving).map_err(failed)?;
        }
        if coming.count() > 0 {
            self.inner.incremental_assign(&coming).map_err(failed)?;
        }
        // Nobody reads up to the end of what is not wanted.
        self.ends.retain(|partition, _| is_wanted(*partition));
        Ok(())
    }

    /// The topic's partitions.
    pub fn partitions(&self) -> &[i32] {
        &self.partitions
    }

    /// Whether [`Step::CaughtUp`] has been returned.
    pub fn is_caught_up(&self) -> bool {
        self.told
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader")
            .field("topic", &self.topic)
            .field("ends", &self.ends)
            .finish_non_exhaustive()
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

/// Whether records between the start and the end at opening are still to be read.
fn something_before(from: StartAt, low: i64, high: i64) -> bool {
    match from {
        StartAt::End | StartAt::Tail(0) => false,
        StartAt::Offset(offset) => offset < high && low < high,
        StartAt::Beginning | StartAt::Committed | StartAt::Tail(_) | StartAt::Time(_) => low < high,
    }
}

/// Where the first record from that moment on lies; the end where there is none.
fn first_since(
    consumer: &BaseConsumer<Context>,
    (topic, partition): (&str, i32),
    ms: i64,
    wait: Duration,
) -> Result<StartAt, KafkaError> {
    let mut asked = TopicPartitionList::new();
    asked.add_partition_offset(topic, partition, Offset::Offset(ms.max(0)))?;
    let found = consumer.offsets_for_times(asked, wait)?;
    let found = found.find_partition(topic, partition);
    found.as_ref().map(TopicPartitionListElem::error).transpose()?;
    Ok(match found.map(|element| element.offset()) {
        Some(Offset::Offset(offset)) => StartAt::Offset(offset),
        Some(_) | None => StartAt::End,
    })
}

fn partitions(
    consumer: &BaseConsumer<Context>,
    topic: &str,
    deadline: Instant,
) -> Result<Vec<i32>, Error> {
    let doing = || format!("asking for the topic {topic}");
    let left = deadline.saturating_duration_since(Instant::now());
    let metadata =
        consumer.fetch_metadata(Some(topic), left).map_err(|e| Error::doing(doing(), &e))?;
    let found = metadata.topics().first().filter(|found| !found.partitions().is_empty());
    match found {
        Some(found) => match found.error() {
            None => Ok(found.partitions().iter().map(|partition| partition.id()).collect()),
            Some(code) => Err(Error::code(doing(), code.into())),
        },
        None => Err(Error::code(doing(), RDKafkaErrorCode::UnknownTopicOrPartition)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_before_the_end_is_waited_for() {
        assert!(something_before(StartAt::Beginning, 0, 1));
        assert!(something_before(StartAt::Tail(3), 0, 1));
        assert!(something_before(StartAt::Offset(4), 0, 5));
        assert!(!something_before(StartAt::Offset(5), 0, 5));
        assert!(!something_before(StartAt::Beginning, 5, 5));
        assert!(!something_before(StartAt::End, 0, 5));
    }

    #[test]
    fn a_cluster_that_does_not_answer_is_an_error_in_time() {
        let kafka = KafkaConfig::plain("127.0.0.1:1");
        let started = Instant::now();
        let opened = Reader::open(&kafka, &ReaderConfig::new("t"), Duration::from_millis(200));
        assert!(opened.is_err());
        assert!(started.elapsed() < Duration::from_secs(5));
    }
}
