//! Bounds of deliveries, and the window in which copies are recognised.

use std::num::NonZeroU32;
use std::time::Duration;

use clickmill_server::config::duration;
use serde::Deserialize;

/// Bounds of deliveries.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsConfig {
    /// Longest body as it comes from the wire, in bytes.
    pub body_bytes_max: usize,
    /// Longest body after inflating, in bytes.
    pub inflated_bytes_max: usize,
    /// What all deliveries that are inside may need together, in bytes; beyond it, new ones are
    /// told to come again.
    pub memory_bytes_max: usize,
    /// How long a body may take to arrive.
    #[serde(with = "duration")]
    pub body_timeout: Duration,
    /// Most events in a batch.
    pub batch_events_max: NonZeroU32,
    /// Longest context that the events of a batch share, in bytes.
    pub context_bytes_max: usize,
    /// Longest event, in bytes.
    pub event_bytes_max: usize,
    /// How deep objects and arrays may lie inside each other in properties.
    pub depth_max: u32,
    /// How long after its time an event is still taken: no longer than copies are recognised
    /// downstream.
    #[serde(with = "duration")]
    pub event_age_max: Duration,
    /// How long a request waits for Kafka before its events are `retry`.
    #[serde(with = "duration")]
    pub ack_timeout: Duration,
    /// Events a second that one visitor may send in the long run; beyond it they leave the stream.
    pub visitor_events_per_s: NonZeroU32,
    /// Events that one visitor may send at once.
    pub visitor_events_burst: NonZeroU32,
    /// Requests a second that one address may send, in the long run.
    pub address_requests_per_s: NonZeroU32,
    /// Requests that one address may send at once.
    pub address_requests_burst: NonZeroU32,
    /// Addresses that are told apart at once; beyond it, those of the most crowded networks share a
    /// quota.
    pub addresses_max: usize,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        const BATCH_EVENTS_MAX: NonZeroU32 = NonZeroU32::new(500).unwrap();
        const PER_S: NonZeroU32 = NonZeroU32::new(500).unwrap();
        const VISITOR_PER_S: NonZeroU32 = NonZeroU32::new(100).unwrap();
        const BURST: NonZeroU32 = NonZeroU32::new(2_000).unwrap();
        Self {
            body_bytes_max: 512 * 1024,
            inflated_bytes_max: 2 * 1024 * 1024,
            memory_bytes_max: 256 * 1024 * 1024,
            body_timeout: Duration::from_secs(10),
            batch_events_max: BATCH_EVENTS_MAX,
            context_bytes_max: 16 * 1024,
            event_bytes_max: 32 * 1024,
            depth_max: 16,
            event_age_max: Duration::from_secs(7 * 24 * 3_600),
            ack_timeout: Duration::from_secs(10),
            visitor_events_per_s: VISITOR_PER_S,
            visitor_events_burst: BURST,
            address_requests_per_s: PER_S,
            address_requests_burst: BURST,
            addresses_max: 50_000,
        }
    }
}

/// The window in which copies are recognised.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DedupConfig {
    /// Most ids that are remembered; at least half of it always are.
    pub events_max: usize,
    /// Longest time an id is remembered; at least half of it, unless there are too many.
    #[serde(with = "duration")]
    pub age_max: Duration,
}

impl Default for DedupConfig {
    fn default() -> Self {
        Self { events_max: 200_000, age_max: Duration::from_secs(3_600) }
    }
}
