//! The hint streams: how they are kept, and their bounds.

use std::time::Duration;

use clickmill_server::config::duration;
use clickmill_server::cors::Origins;
use serde::Deserialize;

use crate::hints::feed::Segment;
use crate::hints::hub;

/// The hint streams.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HintsConfig {
    /// The origins whose pages may open a stream, such as `https://shop.example`; `*` is any.
    pub origins: Origins,
    /// How long nothing is written until a comment is.
    #[serde(with = "duration")]
    pub heartbeat: Duration,
    /// The longest life of a stream; each ends up to a quarter earlier, so that not all end at
    /// once.
    #[serde(with = "duration")]
    pub lifetime_max: Duration,
    /// The shortest time after which a browser connects again; each waits up to three times as
    /// long.
    #[serde(with = "duration")]
    pub retry_min: Duration,
    /// Most open streams.
    pub streams_max: usize,
    /// Most open streams of one visitor.
    pub visitor_streams_max: usize,
    /// Hints that wait for one stream at the most.
    pub waiting_max: usize,
    /// Hints of one visitor that a stream can be resumed from.
    pub ring_max: usize,
    /// Visitors whose hints are remembered.
    pub visitors_max: usize,
    /// Servers that are told what is said to visitors, at the most.
    pub feeds_max: usize,
    /// The segments of visitors that they may choose.
    pub segments: Vec<Segment>,
}

impl Default for HintsConfig {
    fn default() -> Self {
        let limits = hub::Limits::default();
        Self {
            origins: Origins::default(),
            heartbeat: Duration::from_secs(15),
            lifetime_max: Duration::from_secs(600),
            retry_min: Duration::from_secs(1),
            streams_max: limits.streams_max,
            visitor_streams_max: limits.visitor_streams_max,
            waiting_max: limits.waiting_max,
            ring_max: limits.ring_max,
            visitors_max: limits.visitors_max,
            feeds_max: 64,
            segments: Vec::new(),
        }
    }
}

impl HintsConfig {
    /// The hub's bounds.
    pub fn limits(&self) -> hub::Limits {
        hub::Limits {
            streams_max: self.streams_max,
            visitor_streams_max: self.visitor_streams_max,
            waiting_max: self.waiting_max,
            ring_max: self.ring_max,
            visitors_max: self.visitors_max,
        }
    }
}
