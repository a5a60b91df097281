//! Learns from the enriched clicks of before, so that a relay that starts suggests as one that has
//! run on.

use std::sync::Arc;
use std::time::{Duration, Instant};

use clickmill_kafka::{Class, Error, KafkaConfig, Reader, ReaderConfig, StartAt, Step};
use clickmill_sdk_core::wire::Record;
use tracing::{info, warn};

use crate::react::React;

/// How long the topic may take to be opened.
const OPEN_WAIT: Duration = Duration::from_secs(10);

/// How long one look for records may take.
const POLL_WAIT: Duration = Duration::from_millis(50);

/// How much is read, and for how long.
#[derive(Clone, Debug)]
pub struct Past {
    /// How to reach Kafka.
    pub kafka: KafkaConfig,
    /// The topic of enriched clicks, in full.
    pub topic: String,
    /// Clicks of each partition that are read at the most.
    pub records_max: u32,
    /// After so long, what was learned must do.
    pub time_max: Duration,
}

/// Learns from what lies in the topic now. Blocks. A relay can do without it, so nothing that goes
/// wrong here holds it up.
pub fn learn_past(past: &Past, react: &Arc<React>, is_stopped: &dyn Fn() -> bool) {
    let started = Instant::now();
    match read(past, react, &|| is_stopped() || started.elapsed() > past.time_max) {
        Ok(records) => info!(records, took_ms = started.elapsed().as_millis(), "learned"),
        Err(error) => warn!(%error, "nothing could be learned from clicks of before"),
    }
}

fn read(past: &Past, react: &Arc<React>, is_over: &dyn Fn() -> bool) -> Result<u64, Error> {
    let config = ReaderConfig {
        from: StartAt::Tail(past.records_max),
        ..ReaderConfig::new(past.topic.clone())
    };
    let mut reader = Reader::open(&past.kafka, &config, OPEN_WAIT)?;
    let mut records = 0;
    while !is_over() {
        match reader.poll(POLL_WAIT) {
            Ok(Step::CaughtUp) => break,
            Ok(Step::Idle) => {}
            Ok(Step::Message(message)) => {
                records += 1;
                let record = message.value().map(serde_json::from_slice::<Record>);
                // What cannot be read teaches nothing.
                if let Some(Ok(record)) = record {
                    react.recall_lesson(&record);
                }
            }
            Err(error) if error.class() == Class::Fatal => return Err(error),
            Err(error) => warn!(%error, "reading clicks of before is held up"),
        }
    }
    Ok(records)
}
