//! The settings of the inspector.

use std::num::NonZeroU32;

use clickmill_server::config::Secret;
use serde::Deserialize;

use super::{BadConfig, demand, value};

/// Shortest token, in bytes.
const TOKEN_BYTES_MIN: usize = 16;

/// Looking at events as they come, on the admin listener.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct InspectConfig {
    /// What readers must show; without one nobody can look.
    pub token: Option<Secret>,
    /// How many may look at once.
    pub readers_max: NonZeroU32,
    /// How many lines are kept for a slow reader before it loses the oldest.
    pub lines_max: usize,
}

impl Default for InspectConfig {
    fn default() -> Self {
        const READERS_MAX: NonZeroU32 = NonZeroU32::new(8).unwrap();
        Self { token: None, readers_max: READERS_MAX, lines_max: 1_024 }
    }
}

impl InspectConfig {
    pub(super) fn check(&self) -> Result<(), BadConfig> {
        let length = self.token.as_ref().map(|token| token.expose().len());
        demand(length.is_none_or(|length| length >= TOKEN_BYTES_MIN), || {
            value("inspect.token", format!("must have {TOKEN_BYTES_MIN} bytes or more"))
        })?;
        demand((1..=65_536).contains(&self.lines_max), || {
            value("inspect.lines_max", "must be from 1 to 65536")
        })
    }
}
