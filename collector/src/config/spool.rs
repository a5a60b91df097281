//! Where events wait that Kafka does not take in time.

use std::path::PathBuf;
use std::time::Duration;

use clickmill_server::config::duration;
use serde::Deserialize;

/// Where events wait that Kafka does not take in time.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SpoolConfig {
    /// The folder, on a disk of this machine; without one there is no spool.
    pub dir: Option<PathBuf>,
    /// What all segments may take together, in bytes.
    pub bytes_max: u64,
    /// How long a segment may become, in bytes; it is deleted as a whole once it is drained.
    pub segment_bytes_max: u64,
    /// How old the oldest event may become before nothing more goes behind it.
    #[serde(with = "duration")]
    pub age_max: Duration,
    /// How long Kafka may take before an event goes to the disk.
    #[serde(with = "duration")]
    pub after: Duration,
}

impl Default for SpoolConfig {
    fn default() -> Self {
        Self {
            dir: None,
            bytes_max: 4 << 30,
            segment_bytes_max: 16 << 20,
            age_max: Duration::from_secs(24 * 3_600),
            after: Duration::from_secs(2),
        }
    }
}
