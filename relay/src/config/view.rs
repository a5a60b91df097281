//! The visitor view: how raw clicks are read, what is remembered, and when a visit ends.

use std::path::PathBuf;
use std::time::Duration;

use clickmill_sdk_core::wire::SessionRule;
use clickmill_server::config::duration;
use serde::Deserialize;

/// The visitor view: how raw clicks are read and what is remembered.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ViewConfig {
    /// Which version of the view is served: the number at the end of its topic's name. Versions from 2
    /// on have a group and a folder of their own; see `clickmill-relay rebuild`.
    pub version: u32,
    /// The consumer group; the topic prefix comes before it.
    pub group: String,
    /// A name of this instance that outlives a restart: it then gets its partitions back without
    /// a rebalance.
    pub instance: Option<String>,
    /// How long an instance may be silent until its partitions go to others.
    #[serde(with = "duration")]
    pub session_timeout: Duration,
    /// Where visitors' states lie on the disk; none keeps them in memory alone, to be restored
    /// whole from Kafka after a restart.
    pub state_folder: Option<PathBuf>,
    /// The shortest time that clicks are gathered for one transaction: the one that holds while
    /// there is nothing more to read.
    #[serde(with = "duration")]
    pub commit_min: Duration,
    /// The longest time: the one that holds while there is more to read.
    #[serde(with = "duration")]
    pub commit_max: Duration,
    /// After so long the broker gives a transaction up. Readers of enriched clicks wait as long when
    /// a relay dies and does not come back under its name.
    #[serde(with = "duration")]
    pub transaction_timeout: Duration,
    /// How often states are written to the disk: what a crash reads again from Kafka.
    #[serde(with = "duration")]
    pub write_every: Duration,
    /// States on the disk that are older are not trusted: Kafka may have forgotten by then which
    /// visitors are gone (`delete.retention.ms` of the view's topic).
    #[serde(with = "duration")]
    pub tombstones_kept: Duration,
    /// Partitions that are restored at the same time.
    pub restores_max: usize,
    /// How long a visitor without a click is remembered, and with it which of its events were seen:
    /// as long as [`COPIES_COME_FOR`] or longer.
    #[serde(with = "duration")]
    pub state_ttl: Duration,
    /// Bytes that one partition's visitors may take in memory; the others lie on the disk alone.
    pub state_bytes_max: usize,
    /// Clicks of before, of each partition, that a relay learns from when it starts.
    pub learn_records_max: u32,
    /// Bytes that are fetched ahead: what a live partition waits behind one that is rebuilt.
    pub queue_bytes_max: u64,
}

/// How late a copy of an event may come: what the collector still takes by default
/// (`limits.event_age_max`), and what may lie in its spool meanwhile (`spool.age_max`).
pub const COPIES_COME_FOR: Duration = Duration::from_secs((7 + 1) * 24 * 3_600);

impl Default for ViewConfig {
    fn default() -> Self {
        Self {
            version: 1,
            group: "clickmill-relay".to_owned(),
            instance: None,
            session_timeout: Duration::from_secs(10),
            state_folder: None,
            commit_min: Duration::from_millis(5),
            commit_max: Duration::from_millis(100),
            transaction_timeout: Duration::from_secs(10),
            write_every: Duration::from_secs(10),
            tombstones_kept: Duration::from_secs(23 * 3_600),
            restores_max: 4,
            state_ttl: COPIES_COME_FOR,
            state_bytes_max: 256 << 20,
            learn_records_max: 50_000,
            queue_bytes_max: 4 << 20,
        }
    }
}

/// When a visit ends, where the SDK did not say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SessionConfig {
    /// After this long without an event.
    #[serde(with = "duration")]
    pub idle: Duration,
    /// It never lasts longer than this.
    #[serde(with = "duration")]
    pub length_max: Duration,
}

impl Default for SessionConfig {
    fn default() -> Self {
        let rule = SessionRule::default();
        Self {
            idle: Duration::from_millis(rule.idle_ms),
            length_max: Duration::from_millis(rule.length_ms_max),
        }
    }
}
