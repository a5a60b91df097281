//! The settings of group consumers and readers, and how they become librdkafka's.

use rdkafka::ClientConfig;
use serde::Deserialize;

use super::StartAt;
use crate::Error;

/// Longest time between two heartbeats, in milliseconds. A member learns of a rebalance from the answer
/// to one, and a partition that moves belongs to nobody until its new owner has learned of it.
const HEARTBEAT_MAX_MS: u32 = 200;

/// Settings of a consumer that shares topics with the other members of its group.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GroupConfig {
    /// The group's name.
    pub group: String,
    /// A name of this member that outlives a restart: within the session timeout it then gets its
    /// partitions back without a rebalance.
    pub instance: Option<String>,
    /// Where to start in partitions of which the group has committed nothing: at the end instead of
    /// the beginning when `latest`. Also where the record to read next is gone.
    pub start: Start,
    /// Which records of transactions are seen.
    pub isolation: Isolation,
    /// How long a member may be silent until its partitions go to others, in milliseconds. Brokers
    /// refuse less than 6 s by default.
    pub session_timeout_ms: u32,
    /// How long a member may stay away from polling, in milliseconds.
    pub poll_interval_max_ms: u32,
    /// How long a broker waits for records before it answers a fetch, in milliseconds.
    pub fetch_wait_max_ms: u32,
    /// How many bytes are fetched ahead of the application.
    pub queue_bytes_max: u64,
}

/// Where a group without committed offsets starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Start {
    /// At the oldest record.
    #[default]
    Earliest,
    /// Behind the newest record.
    Latest,
    /// Nowhere: polling fails with [`Error::OutOfRange`]. For who says himself where to start, and
    /// must know when that is not there any more.
    Refuse,
}

/// Which records of transactions are seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Isolation {
    /// Only those of committed ones.
    #[default]
    Committed,
    /// All at once, also those that will be aborted.
    Uncommitted,
}

impl Isolation {
    fn as_str(self) -> &'static str {
        match self {
            Self::Committed => "read_committed",
            Self::Uncommitted => "read_uncommitted",
        }
    }
}

impl Default for GroupConfig {
    fn default() -> Self {
        Self {
            group: String::new(),
            instance: None,
            start: Start::Earliest,
            isolation: Isolation::Committed,
            session_timeout_ms: 10_000,
            poll_interval_max_ms: 60_000,
            fetch_wait_max_ms: 100,
            queue_bytes_max: 32 << 20,
        }
    }
}

impl GroupConfig {
    /// The defaults for a group.
    pub fn new(group: impl Into<String>) -> Self {
        Self { group: group.into(), ..Self::default() }
    }

    pub(super) fn put(&self, client: &mut ClientConfig) -> Result<(), Error> {
        if self.group.is_empty() {
            return Err(Error::BadSetting { key: "group", problem: "is empty".to_owned() });
        }
        let start = match self.start {
            Start::Earliest => "earliest",
            Start::Latest => "latest",
            Start::Refuse => "error",
        };
        // A poll interval below the session timeout would be refused.
        let heartbeat_ms = (self.session_timeout_ms / 4).clamp(1, HEARTBEAT_MAX_MS);
        let poll_interval_ms = self.poll_interval_max_ms.max(self.session_timeout_ms);
        put_fetching(client, self.fetch_wait_max_ms, self.queue_bytes_max);
        client
            // Records of all partitions come mixed, and what was fetched takes little memory.
            .set("fetch.message.max.bytes", "262144")
            .set("group.id", &self.group)
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", start)
            .set("isolation.level", self.isolation.as_str())
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("session.timeout.ms", self.session_timeout_ms.to_string())
            .set("heartbeat.interval.ms", heartbeat_ms.to_string())
            .set("max.poll.interval.ms", poll_interval_ms.to_string());
        if let Some(instance) = &self.instance {
            client.set("group.instance.id", instance);
        }
        Ok(())
    }
}

/// Settings of a reader of one whole topic.
#[derive(Clone, Debug)]
pub struct ReaderConfig {
    /// The topic, in full.
    pub topic: String,
    /// Where to start in each partition; [`StartAt::Committed`] means the beginning, since a reader
    /// has no group.
    pub from: StartAt,
    /// Which records of transactions are seen.
    pub isolation: Isolation,
    /// How long a broker waits for records before it answers a fetch, in milliseconds.
    pub fetch_wait_max_ms: u32,
    /// How many bytes are fetched ahead of the application.
    pub queue_bytes_max: u64,
}

impl ReaderConfig {
    /// What is fetched ahead where nobody says otherwise.
    pub(super) const QUEUE_BYTES: u64 = 64 << 20;

    /// Reads a topic from its oldest record on.
    pub fn new(topic: impl Into<String>) -> Self {
        Self {
            topic: topic.into(),
            from: StartAt::Beginning,
            isolation: Isolation::Committed,
            fetch_wait_max_ms: 100,
            queue_bytes_max: Self::QUEUE_BYTES,
        }
    }

    pub(super) fn put(&self, client: &mut ClientConfig) {
        put_fetching(client, self.fetch_wait_max_ms, self.queue_bytes_max);
        client
            // Needed for reading at all, but nothing is ever committed to it.
            .set("group.id", "clickmill-reader")
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            // The start is gone when retention or compaction was faster: go on with what is left.
            .set("auto.offset.reset", "earliest")
            .set("isolation.level", self.isolation.as_str())
            .set("enable.partition.eof", "true");
    }
}

fn put_fetching(client: &mut ClientConfig, wait_max_ms: u32, queue_bytes_max: u64) {
    client
        .set("fetch.wait.max.ms", wait_max_ms.to_string())
        .set("queued.min.messages", "1000000")
        .set("queued.max.messages.kbytes", queue_bytes_max.div_ceil(1024).to_string())
        .set("fetch.message.max.bytes", "4194304")
        // How soon fetching goes on after the queue was full or a fetch failed; the defaults of
        // 1000 and 500 ms would show in a click's latency.
        .set("fetch.queue.backoff.ms", "20")
        .set("fetch.error.backoff.ms", "100");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::KafkaConfig;

    #[test]
    fn librdkafka_knows_every_property() {
        let mut client = KafkaConfig::default().client().unwrap();
        let instance = Some("a".to_owned());
        GroupConfig { instance, start: Start::Refuse, ..GroupConfig::new("g") }
            .put(&mut client)
            .unwrap();
        client.create_native_config().unwrap();
        assert_eq!(client.get("enable.auto.commit"), Some("false"));

        let mut client = KafkaConfig::default().client().unwrap();
        ReaderConfig::new("t").put(&mut client);
        client.create_native_config().unwrap();
    }

    #[test]
    fn a_group_needs_a_name() {
        assert!(GroupConfig::default().put(&mut ClientConfig::new()).is_err());
    }
}
