//! The settings of traces.

use std::num::NonZeroU32;

use serde::Deserialize;

/// Which requests are traced.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TracesConfig {
    /// Which requests get a span.
    pub sample: Sampling,
    /// The most spans a second: strangers set the flag that samples.
    pub spans_per_s_max: NonZeroU32,
}

impl Default for TracesConfig {
    fn default() -> Self {
        const SPANS_PER_S_MAX: NonZeroU32 = NonZeroU32::new(100).unwrap();
        Self { sample: Sampling::default(), spans_per_s_max: SPANS_PER_S_MAX }
    }
}

/// Which requests get a span.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sampling {
    /// All of them; one that comes without a trace begins one.
    All,
    /// Those whose `traceparent` says that their trace is sampled, and those that fail.
    #[default]
    Flagged,
    /// None.
    Off,
}
