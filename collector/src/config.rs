//! What an operator sets: one type, its defaults, and the checks that need no network.
//!
//! `collector.example.toml` documents every key; a test holds it to this type.

mod check;
mod cookie;
mod dialects;
mod inspect;
mod limits;
mod proofs;
mod registry;
mod site;
mod spool;
mod traces;

use std::path::{Path, PathBuf};
use std::time::Duration;

use clickmill_catalog::Formats;
use clickmill_kafka::{KafkaConfig, ProducerConfig};
use clickmill_server::config::{self, duration};
use clickmill_server::listen::ListenConfig;
use clickmill_server::serve::ConnectionLimits;
use clickmill_server::telemetry::LogConfig;
use clickmill_server::token::SigningKey;
use serde::Deserialize;

pub use self::check::BadConfig;
use self::check::{demand, value};
pub use self::cookie::{CookieConfig, SameSite};
pub use self::dialects::{CloudEventsConfig, DialectsConfig, SegmentConfig};
pub use self::inspect::InspectConfig;
pub use self::limits::{DedupConfig, LimitsConfig};
pub use self::proofs::ProofsConfig;
pub use self::registry::RegistryConfig;
pub use self::site::SiteEntry;
pub use self::spool::SpoolConfig;
pub use self::traces::{Sampling, TracesConfig};

/// The prefix of the environment variables that lie over the file.
pub const ENV_PREFIX: &str = "CLICKMILL_COLLECTOR";

/// The whole configuration of a collector.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where it listens.
    pub listen: ListenConfig,
    /// What comes before every path on the public listener: empty, or `/` and words.
    pub path_prefix: String,
    /// What comes before every topic name, so that environments can share a cluster.
    pub topic_prefix: String,
    /// Logs.
    pub log: LogConfig,
    /// Spans of requests.
    pub traces: TracesConfig,
    /// How to reach Kafka.
    pub kafka: KafkaConfig,
    /// How records are sent.
    pub producer: ProducerConfig,
    /// Where events wait that Kafka does not take in time.
    pub spool: SpoolConfig,
    /// What events must look like.
    pub schemas: SchemasConfig,
    /// Bounds of connections.
    pub connections: ConnectionLimits,
    /// Bounds of deliveries.
    pub limits: LimitsConfig,
    /// The window in which copies are recognised.
    pub dedup: DedupConfig,
    /// Tokens for the hint stream, and the keys that sign them and the cookie.
    pub tokens: TokensConfig,
    /// The cookie that remembers a visitor.
    pub cookie: CookieConfig,
    /// What is cut off before anything is stored.
    pub privacy: PrivacyConfig,
    /// How strangers' names are ours.
    pub dialects: DialectsConfig,
    /// Looking at events as they come.
    pub inspect: InspectConfig,
    /// Going down.
    pub drain: DrainConfig,
    /// The sites that may send.
    pub sites: Vec<SiteEntry>,
}

impl Default for Config {
    fn default() -> Self {
        let loopback = |port| std::net::SocketAddr::from(([127, 0, 0, 1], port));
        Self {
            listen: ListenConfig::plain(loopback(8081), loopback(9081)),
            path_prefix: String::new(),
            topic_prefix: String::new(),
            log: LogConfig::default(),
            traces: TracesConfig::default(),
            kafka: KafkaConfig {
                client_id: "clickmill-collector".to_owned(),
                ..KafkaConfig::default()
            },
            producer: ProducerConfig::default(),
            spool: SpoolConfig::default(),
            schemas: SchemasConfig::default(),
            connections: ConnectionLimits::default(),
            limits: LimitsConfig::default(),
            dedup: DedupConfig::default(),
            tokens: TokensConfig::default(),
            cookie: CookieConfig::default(),
            privacy: PrivacyConfig::default(),
            dialects: DialectsConfig::default(),
            inspect: InspectConfig::default(),
            drain: DrainConfig::default(),
            sites: Vec::new(),
        }
    }
}

/// What events must look like.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SchemasConfig {
    /// Whether the schemas that Clickmill brings along are in force.
    pub builtin: bool,
    /// Folders of schemas, `<event type>/<version>.json`. Where two hold the same type and version,
    /// the later one counts, and any of them over a built-in one.
    pub folders: Vec<PathBuf>,
    /// What becomes of events of a type without a schema.
    pub unknown_type: UnknownType,
    /// What the keyword `format` does.
    pub formats: Formats,
    /// The registry whose schemas count over all others.
    pub registry: RegistryConfig,
}

impl Default for SchemasConfig {
    fn default() -> Self {
        Self {
            builtin: true,
            folders: Vec::new(),
            unknown_type: UnknownType::default(),
            formats: Formats::default(),
            registry: RegistryConfig::default(),
        }
    }
}

/// What becomes of events of a type without a schema.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnknownType {
    /// They are taken as they are, without a version.
    Accept,
    /// They are taken as they are, into the topic for what nobody has judged.
    Unvalidated,
    /// They are refused.
    #[default]
    Reject,
}

/// Tokens for the hint stream, and the keys that sign them and the cookie.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TokensConfig {
    /// The keys, shared with the relay: the first signs, all verify.
    pub keys: Vec<SigningKey>,
    /// How long a token for the hint stream is good for.
    #[serde(with = "duration")]
    pub lifetime: Duration,
}

impl Default for TokensConfig {
    fn default() -> Self {
        Self { keys: Vec::new(), lifetime: Duration::from_secs(3_600) }
    }
}

/// What is cut off before anything is stored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PrivacyConfig {
    /// What is kept of a sender's address.
    pub address: AddressForm,
    /// What becomes of properties that a schema marks as personal, without consent to analytics.
    pub pii_without_consent: PiiWithoutConsent,
}

/// What becomes of properties that a schema marks as personal where the visitor has not consented.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PiiWithoutConsent {
    /// The event is refused.
    Refuse,
    /// They are taken out, and the rest is taken.
    #[default]
    Strip,
}

/// What is kept of a sender's address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AddressForm {
    /// Nothing.
    Drop,
    /// All of it.
    Full,
    /// Its network: 24 bits of IPv4, 48 of IPv6.
    #[default]
    Truncate,
}

/// Going down.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DrainConfig {
    /// How long it is shown as not ready before it stops accepting: what load balancers need to
    /// notice.
    #[serde(with = "duration")]
    pub notice: Duration,
    /// How long open requests and then the producer may take in all.
    #[serde(with = "duration")]
    pub grace: Duration,
}

impl Default for DrainConfig {
    fn default() -> Self {
        Self { notice: Duration::ZERO, grace: Duration::from_secs(15) }
    }
}

impl Config {
    /// Reads the file, if there is one, and the environment over it, and checks the whole.
    ///
    /// # Errors
    /// Names the key that is wrong; never shows a secret.
    pub fn load(file: Option<&Path>) -> Result<Self, BadConfig> {
        let config: Self = config::load(file, ENV_PREFIX)?;
        config.check()?;
        Ok(config)
    }
}

#[cfg(test)]
mod tests;
