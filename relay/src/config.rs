//! What an operator sets: one type, its defaults, and the checks that need no network.
//!
//! `relay.example.toml` documents every key; a test holds it to this type.

mod check;
mod hints;
mod peers;
mod suggest;
mod view;

use std::hash::{BuildHasher as _, RandomState};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clickmill_kafka::{GroupConfig, KafkaConfig, ProducerConfig, TransactionConfig};
use clickmill_sdk_core::wire::{SessionRule, Tenant, Topic};
use clickmill_server::config::{self, Secret, duration};
use clickmill_server::listen::ListenConfig;
use clickmill_server::serve::ConnectionLimits;
use clickmill_server::telemetry::LogConfig;
use clickmill_server::token::SigningKey;
use clickmill_streams::{Bounds, Pacing};
use serde::Deserialize;

use crate::customers::CustomersConfig;
use crate::live::Inspector;
use crate::promotions::config::PromotionsConfig;
use crate::views::visitor::Limits;

pub use self::check::Unfit;
pub use self::hints::HintsConfig;
pub use self::peers::PeersConfig;
pub use self::suggest::{StockConfig, SuggestConfig};
pub use self::view::{COPIES_COME_FOR, SessionConfig, ViewConfig};

/// The prefix of the environment variables that lie over the file.
pub const ENV_PREFIX: &str = "CLICKMILL_RELAY";

/// The whole configuration of a relay.
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
    /// How to reach Kafka.
    pub kafka: KafkaConfig,
    /// How enriched clicks are sent.
    pub producer: ProducerConfig,
    /// The visitor view.
    pub view: ViewConfig,
    /// When a visit ends, where the SDK did not say it.
    pub session: SessionConfig,
    /// What is suggested, and where.
    pub suggest: SuggestConfig,
    /// The rules of promotions.
    pub promotions: PromotionsConfig,
    /// What is known of customers.
    pub customers: CustomersConfig,
    /// When products count as in stock.
    pub stock: StockConfig,
    /// The hint streams.
    pub hints: HintsConfig,
    /// The keys that verify tokens.
    pub tokens: TokensConfig,
    /// The keys of web servers that may ask about their visitors.
    pub servers: ServersConfig,
    /// The open copy of enriched clicks.
    pub open: OpenConfig,
    /// The other instances.
    pub peers: PeersConfig,
    /// The live page of the admin port.
    pub live: LiveConfig,
    /// Bounds of connections.
    pub connections: ConnectionLimits,
    /// Going down.
    pub drain: DrainConfig,
}

impl Default for Config {
    fn default() -> Self {
        let loopback = |port| SocketAddr::from(([127, 0, 0, 1], port));
        Self {
            listen: ListenConfig::plain(loopback(8082), loopback(9082)),
            path_prefix: String::new(),
            topic_prefix: String::new(),
            log: LogConfig::default(),
            kafka: KafkaConfig {
                client_id: "clickmill-relay".to_owned(),
                ..KafkaConfig::default()
            },
            producer: ProducerConfig::default(),
            view: ViewConfig::default(),
            session: SessionConfig::default(),
            suggest: SuggestConfig::default(),
            promotions: PromotionsConfig::default(),
            customers: CustomersConfig::default(),
            stock: StockConfig::default(),
            hints: HintsConfig::default(),
            tokens: TokensConfig::default(),
            servers: ServersConfig::default(),
            open: OpenConfig::default(),
            peers: PeersConfig::default(),
            live: LiveConfig::default(),
            connections: ConnectionLimits::default(),
            drain: DrainConfig::default(),
        }
    }
}

/// The web servers that may ask.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ServersConfig {
    /// Their keys; none turns the routes for servers off.
    pub keys: Vec<ServerKey>,
}

/// A tenant's key.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerKey {
    /// Whose visitors it is for.
    pub tenant: Tenant,
    /// The key itself: 16 bytes or more.
    pub secret: Secret,
}

/// The open copy of enriched clicks: without what is personal, under pseudonyms.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OpenConfig {
    /// A secret for each tenant whose clicks are copied, from which pseudonyms are made; none makes
    /// no copies.
    pub keys: Vec<ServerKey>,
    /// Whether the schemas that Clickmill brings along tell what is personal.
    pub builtin: bool,
    /// Folders of schemas, `<event type>/<version>.json`: the collector's own.
    pub folders: Vec<PathBuf>,
}

impl Default for OpenConfig {
    fn default() -> Self {
        Self { keys: Vec::new(), builtin: true, folders: Vec::new() }
    }
}

/// The keys that verify tokens.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TokensConfig {
    /// The keys, shared with the collector, which signs with its first.
    pub keys: Vec<SigningKey>,
}

/// The live page of the admin port.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LiveConfig {
    /// The admin port of a collector, whose events the page shows as they come.
    pub inspector: Option<Inspector>,
}

/// Going down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DrainConfig {
    /// How long it is shown as not ready before streams are closed: what load balancers need to
    /// notice.
    #[serde(with = "duration")]
    pub notice: Duration,
    /// How long connections and then outputs may take in all.
    #[serde(with = "duration")]
    pub grace: Duration,
}

impl Default for DrainConfig {
    fn default() -> Self {
        Self { notice: Duration::ZERO, grace: Duration::from_secs(15) }
    }
}

impl Config {
    /// Reads file and environment, and checks them.
    ///
    /// # Errors
    /// Names the key that is wrong.
    pub fn load(file: Option<&Path>) -> Result<Self, Unfit> {
        let config: Self = config::load(file, ENV_PREFIX)?;
        config.check()?;
        Ok(config)
    }

    /// The consumer group's settings.
    pub(crate) fn group(&self) -> GroupConfig {
        GroupConfig {
            instance: self.view.instance.clone(),
            session_timeout_ms: millis(self.view.session_timeout),
            fetch_wait_max_ms: FETCH_WAIT_MAX_MS,
            queue_bytes_max: self.view.queue_bytes_max,
            ..GroupConfig::new(self.group_name())
        }
    }

    /// The group of this version of the view, with the topic prefix.
    pub(crate) fn group_name(&self) -> String {
        let (prefix, group) = (&self.topic_prefix, &self.view.group);
        match self.view.version {
            1 => format!("{prefix}{group}"),
            version => format!("{prefix}{group}.v{version}"),
        }
    }

    /// The topic of this version of the view, in full.
    pub(crate) fn sessions_topic(&self) -> String {
        let first = Topic::SessionsView.name(&self.topic_prefix);
        let name = first.strip_suffix("v1").unwrap_or(&first);
        format!("{name}v{}", self.view.version)
    }

    /// Where the states of this version lie.
    pub(crate) fn state_folder(&self) -> Option<PathBuf> {
        let folder = self.view.state_folder.clone()?;
        Some(match self.view.version {
            1 => folder,
            version => folder.join(format!("v{version}")),
        })
    }

    /// How long hints hold, and how late an event may be to be answered, ms.
    pub(crate) fn lifetime_ms(&self) -> u64 {
        u64::try_from(self.suggest.lifetime.as_millis()).unwrap_or(u64::MAX)
    }

    pub(crate) fn bounds(&self) -> Bounds {
        let ttl_ms = u64::from(millis(self.view.state_ttl));
        Bounds { ttl_ms, state_bytes_max: self.view.state_bytes_max, ..Bounds::default() }
    }

    pub(crate) fn pacing(&self) -> Pacing {
        Pacing {
            every_min: self.view.commit_min,
            every_max: self.view.commit_max.max(self.view.commit_min),
            ..Pacing::default()
        }
    }

    /// The name of this instance's transactions: its own for ever where it has one, else of this
    /// process.
    pub(crate) fn transaction(&self) -> TransactionConfig {
        let instance = self.view.instance.clone().unwrap_or_else(|| {
            // A hash under the hasher's own random keys: that no two are alike is all that is asked.
            format!("{:016x}", RandomState::new().hash_one(std::process::id()))
        });
        TransactionConfig {
            id: format!("{}-{instance}", self.group_name()),
            timeout_ms: millis(self.view.transaction_timeout),
            marks: PARTITIONS_MAX,
            producer: self.producer.clone(),
        }
    }

    pub(crate) fn limits(&self) -> Limits {
        Limits { proven_ms: self.customers.proven_ms(), ..Limits::default() }
    }

    pub(crate) fn rule(&self) -> SessionRule {
        SessionRule {
            idle_ms: u64::from(millis(self.session.idle)),
            length_ms_max: u64::from(millis(self.session.length_max)),
        }
    }
}

/// Partitions that the view may have: each is a number in a table.
const PARTITIONS_MAX: usize = 4096;

/// A broker answers a fetch as soon as there is a record; this bounds how long it holds an empty
/// one, and with it how late a partition that was just assigned joins in.
pub(crate) const FETCH_WAIT_MAX_MS: u32 = 20;

/// Whole milliseconds; what does not fit, 49 days, is as good as for ever.
fn millis(span: Duration) -> u32 {
    u32::try_from(span.as_millis()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
