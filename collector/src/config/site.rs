//! A site that may send.

use std::num::NonZeroU32;

use clickmill_sdk_core::wire::{EventType, Experiment, Flush, Purpose, Tenant, WriteKey};
use clickmill_server::cors::Origins;
use serde::Deserialize;

use super::ProofsConfig;
use crate::privacy::QueryRule;

/// A site that may send.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SiteEntry {
    /// The public key in the page.
    pub write_key: WriteKey,
    /// Whose site it is.
    pub tenant: Tenant,
    /// The origins of its pages, such as `https://shop.example`; `*` is any.
    #[serde(default)]
    pub origins: Origins,
    /// Events a second that it may send, in the long run.
    #[serde(default = "events_per_s")]
    pub events_per_s: NonZeroU32,
    /// Events that it may send at once.
    #[serde(default = "events_burst")]
    pub events_burst: NonZeroU32,
    /// What counts as granted while a visitor has said nothing.
    #[serde(default)]
    pub consent_default: Vec<Purpose>,
    /// Whether a visitor who has said nothing is known for a day, by a salted hash of address and
    /// browser: nothing is kept in the browser, and the next day nobody can tell.
    #[serde(default)]
    pub cookieless: bool,
    /// Of how many of its visitors its pages tell, as a share of 1, told by the visitor's hash; of what
    /// experiments and orders are judged by they tell of all.
    #[serde(default = "all")]
    pub sample: f64,
    /// Which parameters of its pages' addresses are kept.
    #[serde(default)]
    pub query: QueryRule,
    /// Event types that its pages send at once; the SDK's own list if left out.
    #[serde(default)]
    pub urgent: Option<Vec<EventType>>,
    /// When its pages send the others.
    #[serde(default)]
    pub flush: Flush,
    /// How its backend proves which customer a visitor is.
    #[serde(default)]
    pub proofs: ProofsConfig,
    /// Experiments that its visitors may take part in.
    #[serde(default)]
    pub experiments: Vec<Experiment>,
}

const fn all() -> f64 {
    1.0
}

const fn events_per_s() -> NonZeroU32 {
    const PER_S: NonZeroU32 = NonZeroU32::new(5_000).unwrap();
    PER_S
}

const fn events_burst() -> NonZeroU32 {
    const BURST: NonZeroU32 = NonZeroU32::new(20_000).unwrap();
    BURST
}
