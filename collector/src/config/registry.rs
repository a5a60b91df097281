//! The schema registry: where it is, what it is shown, how often it is asked.

use std::path::PathBuf;
use std::time::Duration;

use clickmill_catalog::{Credentials, Registry, RegistryOptions};
use clickmill_server::config::{Secret, duration};
use serde::Deserialize;

use super::{BadConfig, demand, value};

/// The schema registry.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RegistryConfig {
    /// Its addresses; none is no registry.
    pub urls: Vec<String>,
    /// The user that it is shown.
    pub user: Option<String>,
    /// The user's password.
    pub password: Option<Secret>,
    /// The token that it is shown.
    pub token: Option<Secret>,
    /// The authorities that may sign its certificate; the public ones if left out.
    pub ca_file: Option<PathBuf>,
    /// How often it is asked for what is new, a tenth more or less.
    #[serde(with = "duration")]
    pub refresh_every: Duration,
    /// How long it may take to answer one question.
    #[serde(with = "duration")]
    pub timeout: Duration,
    /// How long all questions of one refresh may take.
    #[serde(with = "duration")]
    pub fetch_timeout: Duration,
    /// The folder of the copy for a start while it is away.
    pub cache_dir: Option<PathBuf>,
}

impl Default for RegistryConfig {
    fn default() -> Self {
        Self {
            urls: Vec::new(),
            user: None,
            password: None,
            token: None,
            ca_file: None,
            refresh_every: Duration::from_secs(60),
            timeout: Duration::from_secs(5),
            fetch_timeout: Duration::from_secs(30),
            cache_dir: None,
        }
    }
}

impl RegistryConfig {
    /// The registry; none if there is no address.
    pub(crate) fn open(&self) -> Result<Option<Registry>, BadConfig> {
        if self.urls.is_empty() {
            return Ok(None);
        }
        let options = RegistryOptions {
            urls: self.urls.clone(),
            credentials: self.credentials()?,
            ca_file: self.ca_file.clone(),
            timeout: self.timeout,
            fetch_timeout: self.fetch_timeout,
            cache_dir: self.cache_dir.clone(),
        };
        let bad = |error| value("schemas.registry", format!("is refused: {error}"));
        Registry::new(&options).map(Some).map_err(bad)
    }

    pub(super) fn check(&self) -> Result<(), BadConfig> {
        for (key, time) in [
            ("refresh_every", self.refresh_every),
            ("timeout", self.timeout),
            ("fetch_timeout", self.fetch_timeout),
        ] {
            demand(time >= Duration::from_millis(100), || {
                value(format!("schemas.registry.{key}"), "must be 100ms or more")
            })?;
        }
        self.open().map(drop)
    }

    fn credentials(&self) -> Result<Option<Credentials>, BadConfig> {
        let text = |key: &str, secret: &Secret| {
            let text = secret.expose_text().map(str::to_owned);
            text.ok_or_else(|| value(format!("schemas.registry.{key}"), "must be text"))
        };
        let lacks = |key: &str, problem| Err(value(format!("schemas.registry.{key}"), problem));
        match (&self.user, &self.password, &self.token) {
            (None, None, None) => Ok(None),
            (Some(user), Some(password), None) => {
                let password = text("password", password)?;
                Ok(Some(Credentials::Basic { user: user.clone(), password }))
            }
            (None, None, Some(token)) => Ok(Some(Credentials::Bearer(text("token", token)?))),
            (Some(_), None, None) => lacks("password", "must be given where there is a user"),
            (None, Some(_), None) => lacks("user", "must be given where there is a password"),
            (_, _, Some(_)) => lacks("token", "must not be given beside a user or a password"),
        }
    }
}
