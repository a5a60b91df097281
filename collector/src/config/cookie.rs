//! The cookie that remembers a visitor.

use std::time::Duration;

use clickmill_server::config::duration;
use serde::Deserialize;

/// The cookie that remembers a visitor.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CookieConfig {
    /// What its name begins with; `_` and the tenant follow.
    pub name: String,
    /// The domain it is for, with all below it; the collector's own host if left out.
    pub domain: Option<String>,
    /// How long it lives after it was last set.
    #[serde(with = "duration")]
    pub lifetime: Duration,
    /// How old it may become before it is set anew.
    #[serde(with = "duration")]
    pub refresh_after: Duration,
    /// When it is sent along with requests that another site's page makes.
    pub same_site: SameSite,
    /// Whether it travels over HTTPS alone. Only for development is this ever off.
    pub secure: bool,
}

impl Default for CookieConfig {
    fn default() -> Self {
        const DAY: Duration = Duration::from_secs(24 * 3_600);
        Self {
            name: "cm_visitor".to_owned(),
            domain: None,
            lifetime: 365 * DAY,
            refresh_after: DAY,
            same_site: SameSite::Lax,
            secure: true,
        }
    }
}

/// When the cookie is sent along with requests that another site's page makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SameSite {
    /// Only when the person follows a link.
    Lax,
    /// Always; needs `secure`.
    None,
    /// Never.
    Strict,
}
