//! The producer's own settings, and how they become librdkafka's.

use std::time::Duration;

use rdkafka::ClientConfig;
use serde::Deserialize;

use crate::Error;

/// The producer's settings. Whatever its guarantees rest on is not among them.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ProducerConfig {
    /// How long a record waits for others to share its request, in microseconds.
    pub linger_us: u32,
    /// How many records may be queued or in flight.
    pub queue_messages_max: u32,
    /// How many bytes they may have together.
    pub queue_bytes_max: u64,
    /// The largest record and the largest batch of records, in bytes. Must not exceed what the
    /// topics take (`max.message.bytes`): brokers hold whole batches against that limit, so after an
    /// outage, when batches are full, they would refuse even small records.
    pub record_bytes_max: u32,
    /// How long a record is tried in all, in milliseconds; must exceed every deadline that callers
    /// wait for, or a record could still be sent after its caller was told to send it again.
    pub message_timeout_ms: u32,
    /// How record batches are packed.
    pub compression: Compression,
}

impl Default for ProducerConfig {
    fn default() -> Self {
        Self {
            linger_us: 1_000,
            queue_messages_max: 200_000,
            queue_bytes_max: 128 << 20,
            record_bytes_max: 1_000_000,
            message_timeout_ms: 30_000,
            compression: Compression::Lz4,
        }
    }
}

/// How record batches are packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Compression {
    /// Not at all.
    None,
    /// Small, slower.
    Gzip,
    /// Fast.
    Lz4,
    /// Fast, for consumers that know no lz4.
    Snappy,
}

impl Compression {
    fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Lz4 => "lz4",
            Self::Snappy => "snappy",
        }
    }
}

impl ProducerConfig {
    /// Checks that a record is given up only after every caller's deadline.
    ///
    /// # Errors
    /// When `deadline` is not shorter than `message_timeout_ms`.
    pub fn check_deadline(&self, deadline: Duration) -> Result<(), Error> {
        if Duration::from_millis(self.message_timeout_ms.into()) > deadline {
            return Ok(());
        }
        let problem = format!("must exceed the longest deadline, {} ms", deadline.as_millis());
        Err(Error::BadSetting { key: "message_timeout_ms", problem })
    }

    pub(crate) fn put(&self, client: &mut ClientConfig) -> Result<(), Error> {
        if self.message_timeout_ms == 0 {
            let problem = "must not be 0: records would be tried for ever".to_owned();
            return Err(Error::BadSetting { key: "message_timeout_ms", problem });
        }
        if self.message_timeout_ms <= self.linger_us.div_ceil(1_000) {
            let problem = "must exceed linger_us".to_owned();
            return Err(Error::BadSetting { key: "message_timeout_ms", problem });
        }
        if self.queue_messages_max == 0 {
            let problem = "must not be 0: librdkafka takes that for no bound at all".to_owned();
            return Err(Error::BadSetting { key: "queue_messages_max", problem });
        }
        client
            .set("acks", "all")
            .set("enable.idempotence", "true")
            .set("partitioner", "murmur2_random")
            .set("linger.ms", format!("{}.{:03}", self.linger_us / 1_000, self.linger_us % 1_000))
            .set("queue.buffering.max.messages", self.queue_messages_max.to_string())
            .set("queue.buffering.max.kbytes", self.queue_bytes_max.div_ceil(1024).to_string())
            .set("message.max.bytes", self.record_bytes_max.to_string())
            .set("batch.size", self.record_bytes_max.to_string())
            .set("message.timeout.ms", self.message_timeout_ms.to_string())
            .set("compression.type", self.compression.as_str())
            // Records without a key: the default would collect them in one partition for 10 ms.
            .set("sticky.partitioning.linger.ms", self.linger_us.div_ceil(1_000).to_string())
            // A topic that is missing is told within a request's deadline, not after 30 s.
            .set("topic.metadata.propagation.max.ms", "5000");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::KafkaConfig;

    fn check(config: &ProducerConfig) -> Result<ClientConfig, Error> {
        let mut client = KafkaConfig::default().client()?;
        config.put(&mut client)?;
        client.create_native_config().map_err(Error::making)?;
        Ok(client)
    }

    #[test]
    fn the_defaults_are_what_the_guarantees_need() {
        let client = check(&ProducerConfig::default()).unwrap();
        for (key, value) in [
            ("acks", "all"),
            ("enable.idempotence", "true"),
            ("partitioner", "murmur2_random"),
            ("linger.ms", "1.000"),
            ("queue.buffering.max.kbytes", "131072"),
        ] {
            assert_eq!(client.get(key), Some(value), "{key}");
        }
    }

    #[test]
    fn every_compression_is_built_in() {
        for compression in
            [Compression::None, Compression::Gzip, Compression::Lz4, Compression::Snappy]
        {
            check(&ProducerConfig { compression, ..ProducerConfig::default() }).unwrap();
        }
    }

    #[test]
    fn bounds_that_are_none_are_refused() {
        let base = ProducerConfig::default;
        assert!(check(&ProducerConfig { message_timeout_ms: 0, ..base() }).is_err());
        assert!(check(&ProducerConfig { queue_messages_max: 0, ..base() }).is_err());
        assert!(check(&ProducerConfig { linger_us: 40_000_000, ..base() }).is_err());
        assert!(check(&ProducerConfig { record_bytes_max: 1, ..base() }).is_err());
    }

    #[test]
    fn a_record_must_outlast_its_callers() {
        let config = ProducerConfig::default();
        config.check_deadline(Duration::from_secs(10)).unwrap();
        assert!(config.check_deadline(Duration::from_secs(30)).is_err());
    }
}
