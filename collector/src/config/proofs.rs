//! How a site's backend proves which customer a visitor is.

use std::time::Duration;

use clickmill_server::config::duration;
use clickmill_server::token::{KeyError, Signer, SigningKey};
use serde::Deserialize;

/// How a site's backend proves which customer a visitor is.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ProofsConfig {
    /// The keys that it may sign with; without one nobody is proven to be anybody.
    pub keys: Vec<SigningKey>,
    /// How far ahead a proof may end at the most.
    #[serde(with = "duration")]
    pub lifetime_max: Duration,
}

impl Default for ProofsConfig {
    fn default() -> Self {
        Self { keys: Vec::new(), lifetime_max: Duration::from_secs(3_600) }
    }
}

impl ProofsConfig {
    /// The keys, ready; none where there are none.
    ///
    /// # Errors
    /// Names the key that is no good.
    pub(crate) fn signer(&self) -> Result<Option<Signer>, KeyError> {
        if self.keys.is_empty() { Ok(None) } else { Signer::new(&self.keys).map(Some) }
    }

    /// Checks it.
    ///
    /// # Errors
    /// The rest of a sentence that begins with the key's path.
    pub(super) fn check(&self) -> Result<(), String> {
        self.signer().map_err(|error| format!("are refused: {error}"))?;
        if self.lifetime_max < Duration::from_secs(1) {
            return Err("must have a lifetime_max of a second or more".to_owned());
        }
        Ok(())
    }
}
