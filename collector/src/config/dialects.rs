//! What an operator sets for dialects: how strangers' names are ours.

use std::collections::BTreeMap;

use clickmill_sdk_core::wire::{EventType, Purpose};
use serde::Deserialize;

/// How strangers' names are ours.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DialectsConfig {
    /// What comes as CloudEvents.
    pub cloudevents: CloudEventsConfig,
    /// What comes from Segment's SDKs.
    pub segment: SegmentConfig,
}

/// What comes as CloudEvents.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CloudEventsConfig {
    /// Their types that have another name here.
    pub types: BTreeMap<String, EventType>,
}

/// What comes from Segment's SDKs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SegmentConfig {
    /// Their events that have another name here.
    pub types: BTreeMap<String, EventType>,
    /// What their consent categories stand for, beside the usual names.
    pub consent: BTreeMap<String, Purpose>,
}
