//! What an operator sets of promotions.

use std::path::PathBuf;

use serde::Deserialize;

/// Where the rules of promotions are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PromotionsConfig {
    /// A folder with files of rules, `*.toml` or `*.json`, looked at every two seconds and on SIGHUP.
    pub folder: Option<PathBuf>,
    /// Whether there are rules in the topic of promotions, too. Of two with one name the topic's
    /// counts.
    pub topic: bool,
}

impl PromotionsConfig {
    /// Whether there may be promotions at all.
    pub fn is_on(&self) -> bool {
        self.folder.is_some() || self.topic
    }
}
