//! Reading topics: as a member of a group with hooks for rebalances, or whole topics on one's own.

mod config;
mod group;
mod partition;
mod reader;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{BorrowedMessage, Headers as _, Message as _};
use rdkafka::{Offset, TopicPartitionList};

pub use self::config::{GroupConfig, Isolation, ReaderConfig, Start};
pub use self::group::{Commit, GroupConsumer, Hooks, NoRebalance, Rebalance, Revocation};
pub use self::partition::{Ends, PartitionReader};
pub use self::reader::{Reader, Step};
use crate::{Error, KafkaConfig};

/// A record as it was read; its bytes are borrowed from the consumer.
pub struct Message<'a>(BorrowedMessage<'a>);

impl Message<'_> {
    /// The topic.
    pub fn topic(&self) -> &str {
        self.0.topic()
    }

    /// The partition.
    pub fn partition(&self) -> i32 {
        self.0.partition()
    }

    /// The offset in the partition.
    pub fn offset(&self) -> i64 {
        self.0.offset()
    }

    /// When it was made or appended, in milliseconds since 1970.
    pub fn timestamp_ms(&self) -> Option<i64> {
        self.0.timestamp().to_millis()
    }

    /// The key.
    pub fn key(&self) -> Option<&[u8]> {
        self.0.key()
    }

    /// The value; none is a tombstone.
    pub fn value(&self) -> Option<&[u8]> {
        self.0.payload()
    }

    /// The headers in their order; one without a value yields no bytes.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &[u8])> {
        let headers = self.0.headers().into_iter().flat_map(|headers| headers.iter());
        headers.map(|header| (header.key, header.value.unwrap_or_default()))
    }

    /// The value of the first header called `name`.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers().find(|(key, _)| *key == name).map(|(_, value)| value)
    }

    /// The offset to commit once this record is dealt with.
    pub fn next(&self) -> NextOffset {
        let at = TopicPartition { topic: self.topic().to_owned(), partition: self.partition() };
        NextOffset { at, offset: self.offset() + 1 }
    }
}

impl fmt::Debug for Message<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}]@{}", self.topic(), self.partition(), self.offset())
    }
}

/// A partition of a topic.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}]", self.topic, self.partition)
    }
}

/// Everything before `offset` is dealt with: what Kafka calls a committed offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NextOffset {
    /// The partition.
    pub at: TopicPartition,
    /// The next offset to read.
    pub offset: i64,
}

/// Where to start reading a partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StartAt {
    /// At its oldest record.
    Beginning,
    /// Where the group left off; where it has not begun yet, at the consumer's `start`.
    #[default]
    Committed,
    /// Behind its newest record.
    End,
    /// At this offset.
    Offset(i64),
    /// At its first record from this moment on, in milliseconds since 1970. For a [`Reader`] alone;
    /// a group starts at its committed offset instead.
    Time(i64),
    /// This many records before its end.
    Tail(u32),
}

impl From<StartAt> for Offset {
    fn from(start: StartAt) -> Self {
        match start {
            StartAt::Beginning => Self::Beginning,
            // A reader looks the moment's offset up first.
            StartAt::Committed | StartAt::Time(_) => Self::Invalid,
            StartAt::End => Self::End,
            StartAt::Offset(offset) => Self::Offset(offset),
            StartAt::Tail(records) => Self::OffsetTail(records.into()),
        }
    }
}

/// What a group has committed of these partitions, asked from outside of it; those without a commit
/// are missing. Blocks up to `wait`.
///
/// # Errors
/// When the group's coordinator does not answer in time.
pub fn committed(
    kafka: &KafkaConfig,
    group: &str,
    of: &[TopicPartition],
    wait: Duration,
) -> Result<BTreeMap<TopicPartition, i64>, Error> {
    let mut client = kafka.client()?;
    client.set("group.id", group).set("enable.auto.commit", "false");
    let consumer: BaseConsumer = client.create().map_err(Error::making)?;
    let asked = list(of.iter().map(|at| (at, Offset::Invalid)))?;
    let committed = consumer.committed_offsets(asked, wait);
    let committed = committed
        .map_err(|error| Error::doing(format!("asking for offsets of {group}"), &error))?;
    Ok(offsets_of(&committed))
}

/// The offsets in a list; partitions without one are missing.
fn offsets_of(list: &TopicPartitionList) -> BTreeMap<TopicPartition, i64> {
    let offsets = list.elements().into_iter().filter_map(|element| {
        let Offset::Offset(offset) = element.offset() else { return None };
        let (topic, partition) = (element.topic().to_owned(), element.partition());
        Some((TopicPartition { topic, partition }, offset))
    });
    offsets.collect()
}

fn partitions(list: &TopicPartitionList) -> Vec<TopicPartition> {
    list.elements()
        .into_iter()
        .map(|element| TopicPartition {
            topic: element.topic().to_owned(),
            partition: element.partition(),
        })
        .collect()
}

fn list<'a>(
    offsets: impl IntoIterator<Item = (&'a TopicPartition, Offset)>,
) -> Result<TopicPartitionList, Error> {
    let mut list = TopicPartitionList::new();
    for (at, offset) in offsets {
        list.add_partition_offset(&at.topic, at.partition, offset)
            .map_err(|error| Error::doing(format!("naming an offset of {at}"), &error))?;
    }
    Ok(list)
}

/// The committed offsets as librdkafka takes them.
pub(crate) fn offsets(next: &[NextOffset]) -> Result<TopicPartitionList, Error> {
    list(next.iter().map(|next| (&next.at, Offset::Offset(next.offset))))
}
