//! What every client does with librdkafka's logs, errors and statistics.

use std::fmt;

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use tracing::{debug, error, info, warn};

use crate::{OnStatistics, Statistics};

/// Logs, errors and statistics of one client.
pub(crate) struct Reporter {
    on_statistics: Option<OnStatistics>,
}

impl Reporter {
    pub(crate) fn new(on_statistics: Option<OnStatistics>) -> Self {
        Self { on_statistics }
    }

    /// The value of `statistics.interval.ms`: reports cost time, so none without a receiver.
    pub(crate) fn interval_ms(&self, configured_ms: u32) -> u32 {
        if self.on_statistics.is_some() { configured_ms } else { 0 }
    }

    /// One step milder than librdkafka puts it: what it calls an error it goes on to mend.
    pub(crate) fn log(&self, level: RDKafkaLogLevel, facility: &str, text: &str) {
        match level {
            RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
                error!(facility, text, "librdkafka");
            }
            RDKafkaLogLevel::Error => warn!(facility, text, "librdkafka"),
            RDKafkaLogLevel::Warning | RDKafkaLogLevel::Notice => {
                info!(facility, text, "librdkafka");
            }
            RDKafkaLogLevel::Info | RDKafkaLogLevel::Debug => debug!(facility, text, "librdkafka"),
        }
    }

    pub(crate) fn error(&self, error: &KafkaError, reason: &str) {
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::Fatal) => error!(reason, "the Kafka client is beyond repair"),
            Some(
                RDKafkaErrorCode::AllBrokersDown
                | RDKafkaErrorCode::Authentication
                | RDKafkaErrorCode::Resolve
                | RDKafkaErrorCode::SSL,
            ) => warn!(reason, "Kafka cannot be reached"),
            _ => debug!(%error, reason, "Kafka client error"),
        }
    }

    pub(crate) fn statistics(&self, json: &[u8]) {
        let Some(on_statistics) = &self.on_statistics else { return };
        match Statistics::read(json) {
            Ok(statistics) => on_statistics(&statistics),
            Err(error) => debug!(%error, "statistics of the Kafka client cannot be read"),
        }
    }
}

impl fmt::Debug for Reporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reporter").field("statistics", &self.on_statistics.is_some()).finish()
    }
}

/// Forwards the callbacks that all client contexts share to a `reporter` field.
macro_rules! report_through_reporter {
    () => {
        fn log(&self, level: rdkafka::config::RDKafkaLogLevel, facility: &str, text: &str) {
            self.reporter.log(level, facility, text);
        }

        fn stats_raw(&self, statistics: &[u8]) {
            self.reporter.statistics(statistics);
        }

        fn error(&self, error: rdkafka::error::KafkaError, reason: &str) {
            self.reporter.error(&error, reason);
        }
    };
}
pub(crate) use report_through_reporter;
