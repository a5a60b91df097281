//! What an operator sets: one type, its defaults, and the checks that need no network.
//!
//! `relay.example.toml` documents every key; a test holds it to this type.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher as _, RandomState};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clickmill_kafka::{GroupConfig, KafkaConfig, ProducerConfig, TransactionConfig};
use clickmill_sdk_core::wire::{Purpose, SessionRule, Slot, Tenant, Topic};
use clickmill_server::config::{self, ConfigError, Secret, duration};
use clickmill_server::cors::Origins;
use clickmill_server::listen::{ListenConfig, NoTrust};
use clickmill_server::serve::ConnectionLimits;
use clickmill_server::telemetry::LogConfig;
use clickmill_server::token::{KeyError, Signer, SigningKey};
use clickmill_streams::{Bounds, Pacing};
use hyper::http::uri::Authority;
use serde::Deserialize;

use crate::customers::CustomersConfig;
use crate::decide::plan::Plan;
use crate::decide::suggest::Rules;
use crate::decide::{learned, visits};
use crate::hints::feed::Segment;
use crate::hints::hub;
use crate::live::Inspector;
use crate::promotions::config::PromotionsConfig;
use crate::suggestions::Titles;
use crate::tables::StockRule;
use crate::views::visitor::Limits;

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

/// The visitor view: how raw clicks are read and what is remembered.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ViewConfig {
    /// Which version of the view is served: the number at the end of its topic's name. Versions from 2
    /// on have a group and a folder of their own; see `clickmill-relay rebuild`.
    pub version: u32,
    /// The consumer group; the topic prefix comes before it.
    pub group: String,
    /// A name of this instance that outlives a restart: it then gets its partitions back without
    /// a rebalance.
    pub instance: Option<String>,
    /// How long an instance may be silent until its partitions go to others.
    #[serde(with = "duration")]
    pub session_timeout: Duration,
    /// Where visitors' states lie on the disk; none keeps them in memory alone, to be restored
    /// whole from Kafka after a restart.
    pub state_folder: Option<PathBuf>,
    /// The shortest time that clicks are gathered for one transaction: the one that holds while
    /// there is nothing more to read.
    #[serde(with = "duration")]
    pub commit_min: Duration,
    /// The longest time: the one that holds while there is more to read.
    #[serde(with = "duration")]
    pub commit_max: Duration,
    /// After so long the broker gives a transaction up. Readers of enriched clicks wait as long when
    /// a relay dies and does not come back under its name.
    #[serde(with = "duration")]
    pub transaction_timeout: Duration,
    /// How often states are written to the disk: what a crash reads again from Kafka.
    #[serde(with = "duration")]
    pub write_every: Duration,
    /// States on the disk that are older are not trusted: Kafka may have forgotten by then which
    /// visitors are gone (`delete.retention.ms` of the view's topic).
    #[serde(with = "duration")]
    pub tombstones_kept: Duration,
    /// Partitions that are restored at the same time.
    pub restores_max: usize,
    /// How long a visitor without a click is remembered.
    #[serde(with = "duration")]
    pub state_ttl: Duration,
    /// Bytes that one partition's visitors may take in memory; the others lie on the disk alone.
    pub state_bytes_max: usize,
    /// Clicks of before, of each partition, that a relay learns from when it starts.
    pub learn_records_max: u32,
    /// Bytes that are fetched ahead: what a live partition waits behind one that is rebuilt.
    pub queue_bytes_max: u64,
}

impl Default for ViewConfig {
    fn default() -> Self {
        Self {
            version: 1,
            group: "clickmill-relay".to_owned(),
            instance: None,
            session_timeout: Duration::from_secs(10),
            state_folder: None,
            commit_min: Duration::from_millis(5),
            commit_max: Duration::from_millis(100),
            transaction_timeout: Duration::from_secs(10),
            write_every: Duration::from_secs(10),
            tombstones_kept: Duration::from_secs(23 * 3_600),
            restores_max: 4,
            state_ttl: Duration::from_secs(24 * 3_600),
            state_bytes_max: 256 << 20,
            learn_records_max: 50_000,
            queue_bytes_max: 4 << 20,
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

/// How the instances of one group ask each other.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PeersConfig {
    /// Address and port for the other instances alone; without one, this is the only instance, or
    /// one that answers for its own visitors only.
    pub listen: Option<SocketAddr>,
    /// Where the others reach it, `host:port`; `listen` itself if left out.
    pub advertise: Option<String>,
    /// The keys that all instances share: the first signs, all verify.
    pub keys: Vec<SigningKey>,
    /// Most requests to other instances that are under way at once.
    pub requests_max: u32,
}

impl Default for PeersConfig {
    fn default() -> Self {
        Self { listen: None, advertise: None, keys: Vec::new(), requests_max: 1_000 }
    }
}

impl PeersConfig {
    /// Where the others reach this instance.
    ///
    /// # Errors
    /// When that cannot be an address.
    pub fn address(&self, listen: SocketAddr) -> Result<String, Unfit> {
        let Some(advertise) = &self.advertise else {
            // From elsewhere these lead nowhere.
            let is_address = !listen.ip().is_unspecified() && listen.port() != 0;
            return if is_address { Ok(listen.to_string()) } else { Err(Unfit::Advertise) };
        };
        let authority = advertise.parse::<Authority>().map_err(|_| Unfit::Advertise)?;
        let is_address = authority.port_u16().is_some_and(|port| port > 0)
            && !authority.host().is_empty()
            && !advertise.contains('@');
        if is_address { Ok(advertise.clone()) } else { Err(Unfit::Advertise) }
    }

    fn check(&self) -> Result<(), Unfit> {
        match self.listen {
            Some(listen) => {
                Signer::new(&self.keys).map_err(Unfit::PeerKeys)?;
                if self.requests_max == 0 {
                    return Err(Unfit::Zero("peers.requests_max"));
                }
                self.address(listen).map(drop)
            }
            None if self.advertise.is_some() || !self.keys.is_empty() => Err(Unfit::NoPeers),
            None => Ok(()),
        }
    }
}

/// When a visit ends, where the SDK did not say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SessionConfig {
    /// After this long without an event.
    #[serde(with = "duration")]
    pub idle: Duration,
    /// It never lasts longer than this.
    #[serde(with = "duration")]
    pub length_max: Duration,
}

impl Default for SessionConfig {
    fn default() -> Self {
        let rule = SessionRule::default();
        Self {
            idle: Duration::from_millis(rule.idle_ms),
            length_max: Duration::from_millis(rule.length_ms_max),
        }
    }
}

/// What is suggested, and where.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SuggestConfig {
    /// The places on a page that suggestions fill, in the order in which they get the products that
    /// several of them could show.
    pub slots: Vec<Slot>,
    /// Which models fill them, by the sort of page and the slot.
    pub plan: Plan,
    /// How many products a hint shows at the most.
    pub products_max: usize,
    /// How many of one category a hint shows while others fit.
    pub category_max: usize,
    /// How long what was ordered is not suggested; no longer than a visitor is remembered.
    #[serde(with = "duration")]
    pub ordered_rest: Duration,
    /// Categories whose products are used up: they are suggested again at once.
    pub consumables: BTreeSet<String>,
    /// How long a hint holds.
    #[serde(with = "duration")]
    pub lifetime: Duration,
    /// After this long a sight counts half.
    #[serde(with = "duration")]
    pub half_life: Duration,
    /// After this long an order counts half.
    #[serde(with = "duration")]
    pub order_half_life: Duration,
    /// Whether it is also learned from the clicks that other instances enrich.
    pub learn_from_others: bool,
    /// What counts as granted while a visitor has said nothing.
    pub consent_default: Vec<Purpose>,
    /// The headings over products, by model.
    pub titles: Titles,
    /// The same in other languages, by their tags.
    pub languages: BTreeMap<String, Titles>,
}

impl SuggestConfig {
    /// What is suggested where.
    pub(crate) fn rules(&self) -> Rules {
        Rules {
            slots: self.slots.clone(),
            plan: self.plan.clone(),
            products_max: self.products_max,
            category_max: self.category_max,
            ordered_rest_ms: long_millis(self.ordered_rest),
            consumables: self.consumables.clone(),
        }
    }

    /// How much is learned.
    pub(crate) fn learning(&self) -> learned::Limits {
        learned::Limits {
            visits: visits::Limits {
                half_life_ms: long_millis(self.half_life),
                ..visits::Limits::default()
            },
            order_half_life_ms: long_millis(self.order_half_life),
        }
    }
}

impl Default for SuggestConfig {
    fn default() -> Self {
        Self {
            slots: Slot::parse("suggested").into_iter().collect(),
            plan: Plan::default(),
            products_max: 4,
            category_max: 3,
            ordered_rest: Duration::from_secs(30 * 24 * 60 * 60),
            consumables: BTreeSet::new(),
            lifetime: Duration::from_secs(600),
            half_life: Duration::from_millis(visits::Limits::default().half_life_ms),
            order_half_life: Duration::from_secs(30 * 24 * 60 * 60),
            learn_from_others: true,
            consent_default: Vec::new(),
            titles: Titles::default(),
            languages: BTreeMap::new(),
        }
    }
}

/// When products count as in stock, and what is told of it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StockConfig {
    /// Pieces that are never sold by a hint: with as many or fewer a product counts as sold out.
    pub safety: u32,
    /// How long ago a level's source may have been heard; 0 where levels do not age.
    #[serde(with = "duration")]
    pub age_max: Duration,
    /// From so many pieces down who looks at a product is told; 0 tells nobody.
    pub low_at: i64,
    /// The place on a page that tells what is back, or running low.
    pub slot: Slot,
}

impl Default for StockConfig {
    fn default() -> Self {
        // Proof: it is a slot's name, by a test of this file.
        #[allow(clippy::unwrap_used)]
        let slot = Slot::parse("stock").unwrap();
        Self { safety: 0, age_max: Duration::from_secs(300), low_at: 0, slot }
    }
}

impl StockConfig {
    /// When a product may be shown.
    pub fn rule(&self) -> StockRule {
        let age_ms = u64::from(millis(self.age_max));
        StockRule { safety: self.safety.into(), age_ms_max: (age_ms > 0).then_some(age_ms) }
    }
}

/// The hint streams.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HintsConfig {
    /// The origins whose pages may open a stream, such as `https://shop.example`; `*` is any.
    pub origins: Origins,
    /// How long nothing is written until a comment is.
    #[serde(with = "duration")]
    pub heartbeat: Duration,
    /// The longest life of a stream; each ends up to a quarter earlier, so that not all end at
    /// once.
    #[serde(with = "duration")]
    pub lifetime_max: Duration,
    /// The shortest time after which a browser connects again; each waits up to three times as
    /// long.
    #[serde(with = "duration")]
    pub retry_min: Duration,
    /// Most open streams.
    pub streams_max: usize,
    /// Most open streams of one visitor.
    pub visitor_streams_max: usize,
    /// Hints that wait for one stream at the most.
    pub waiting_max: usize,
    /// Hints of one visitor that a stream can be resumed from.
    pub ring_max: usize,
    /// Visitors whose hints are remembered.
    pub visitors_max: usize,
    /// Servers that are told what is said to visitors, at the most.
    pub feeds_max: usize,
    /// The segments of visitors that they may choose.
    pub segments: Vec<Segment>,
}

impl Default for HintsConfig {
    fn default() -> Self {
        let limits = hub::Limits::default();
        Self {
            origins: Origins::default(),
            heartbeat: Duration::from_secs(15),
            lifetime_max: Duration::from_secs(600),
            retry_min: Duration::from_secs(1),
            streams_max: limits.streams_max,
            visitor_streams_max: limits.visitor_streams_max,
            waiting_max: limits.waiting_max,
            ring_max: limits.ring_max,
            visitors_max: limits.visitors_max,
            feeds_max: 64,
            segments: Vec::new(),
        }
    }
}

impl HintsConfig {
    /// The hub's bounds.
    pub fn limits(&self) -> hub::Limits {
        hub::Limits {
            streams_max: self.streams_max,
            visitor_streams_max: self.visitor_streams_max,
            waiting_max: self.waiting_max,
            ring_max: self.ring_max,
            visitors_max: self.visitors_max,
        }
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

/// A configuration that can be read and makes no sense.
#[derive(Debug, thiserror::Error)]
pub enum Unfit {
    /// The file or the environment cannot be read.
    #[error(transparent)]
    Unreadable(#[from] ConfigError),
    /// Kafka's part is wrong.
    #[error("kafka: {0}")]
    Kafka(#[from] clickmill_kafka::Error),
    /// The keys are wrong.
    #[error("tokens.keys: {0}")]
    Keys(#[from] KeyError),
    /// The prefix would never match.
    #[error("path_prefix must be empty, or begin with a slash and not end with one")]
    PathPrefix,
    /// Nothing says which proxies to believe.
    #[error("listen.trusted_proxies {0}")]
    Trust(#[from] NoTrust),
    /// The keys between instances are wrong.
    #[error("peers.keys: {0}")]
    PeerKeys(KeyError),
    /// Nobody could reach this instance there.
    #[error("peers.advertise must be the host and port where other instances reach peers.listen")]
    Advertise,
    /// There are settings for other instances, and none can ask.
    #[error("peers.listen is missing: without it no instance asks another")]
    NoPeers,
    /// A server's key could be guessed.
    #[error("servers.keys: the secret of {0} must have 16 bytes or more")]
    ServerKey(Tenant),
    /// The page could not link to it.
    /// Pseudonyms could be turned back.
    #[error("open.keys: the secret of {0} must have 16 bytes or more")]
    OpenKey(Tenant),
    /// Nobody could tell which is meant.
    #[error("hints.segments: {0:?} is empty, or there twice")]
    Segment(String),
    /// A time that must not be zero is.
    #[error("{0} must not be zero")]
    Zero(&'static str),
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

    /// Checks what can be checked without a network.
    ///
    /// # Errors
    /// Names the key that is wrong.
    pub fn check(&self) -> Result<(), Unfit> {
        self.kafka.check()?;
        self.listen.check_trust()?;
        Signer::new(&self.tokens.keys)?;
        self.peers.check()?;
        let weak =
            self.servers.keys.iter().find(|key| key.secret.expose().len() < SECRET_BYTES_MIN);
        if let Some(key) = weak {
            return Err(Unfit::ServerKey(key.tenant.clone()));
        }
        let weak = self.open.keys.iter().find(|key| key.secret.expose().len() < SECRET_BYTES_MIN);
        if let Some(key) = weak {
            return Err(Unfit::OpenKey(key.tenant.clone()));
        }
        let mut names = BTreeSet::from([""]);
        let bad = self.hints.segments.iter().find(|segment| !names.insert(&segment.name));
        if let Some(segment) = bad {
            return Err(Unfit::Segment(segment.name.clone()));
        }
        let prefix = &self.path_prefix;
        if !prefix.is_empty() && (!prefix.starts_with('/') || prefix.ends_with('/')) {
            return Err(Unfit::PathPrefix);
        }
        let times = [
            ("hints.heartbeat", self.hints.heartbeat),
            ("hints.lifetime_max", self.hints.lifetime_max),
            ("view.commit_max", self.view.commit_max),
            ("view.transaction_timeout", self.view.transaction_timeout),
            ("suggest.lifetime", self.suggest.lifetime),
        ];
        if self.view.version == 0 {
            return Err(Unfit::Zero("view.version"));
        }
        match times.into_iter().find(|(_, time)| time.is_zero()) {
            Some((key, _)) => Err(Unfit::Zero(key)),
            None => Ok(()),
        }
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

    pub(crate) fn bounds(&self) -> Bounds {
        let ttl_ms = u64::from(millis(self.view.state_ttl));
        Bounds { ttl_ms, state_bytes_max: self.view.state_bytes_max }
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

/// The shortest secret that cannot be guessed.
const SECRET_BYTES_MIN: usize = 16;

/// Partitions that the view may have: each is a number in a table.
const PARTITIONS_MAX: usize = 4096;

/// A broker answers a fetch as soon as there is a record; this bounds how long it holds an empty
/// one, and with it how late a partition that was just assigned joins in.
pub(crate) const FETCH_WAIT_MAX_MS: u32 = 20;

/// Whole milliseconds; what does not fit, 49 days, is as good as for ever.
/// A duration in milliseconds, where months count.
fn long_millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

fn millis(span: Duration) -> u32 {
    u32::try_from(span.as_millis()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use clickmill_server::config::Environment;
    use hyper::header::HeaderValue;

    use super::*;

    const EXAMPLE: &str = include_str!("../relay.example.toml");

    fn read(env: &[(&str, &str)]) -> Result<Config, ConfigError> {
        config::load_from(
            Some(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/relay.example.toml"))),
            Environment::new(ENV_PREFIX, env.iter().copied()),
        )
    }

    /// The example shows the defaults, so that reading it is reading what holds without a file.
    #[test]
    fn the_example_is_the_defaults_and_names_every_key() {
        let (example, own) = (read(&[]).unwrap(), Config::default());
        example.check().unwrap();
        assert_eq!(example.tokens.keys.len(), 1);
        let shop = serde_json::from_str(r#"["http://127.0.0.1:8080"]"#).unwrap();
        assert_eq!(example.hints.origins, shop);
        let blind = |config: Config| Config {
            tokens: TokensConfig::default(),
            servers: ServersConfig::default(),
            hints: HintsConfig { origins: Origins::default(), ..config.hints },
            ..config
        };
        assert_eq!(format!("{:?}", blind(example)), format!("{:?}", blind(own)));
        let shown = format!("{:#?}", Config::default());
        let keys = shown.lines().filter_map(|line| line.trim_start().split_once(": "));
        for (key, _) in keys.filter(|(key, _)| !["any", "exact"].contains(key)) {
            let shows = |line: &str| {
                let line = line.trim_start_matches("# ");
                line.starts_with(&format!("{key} = "))
                    || line == format!("[{key}]")
                    || line == format!("[kafka.{key}]")
                    || line == format!("[suggest.{key}]")
            };
            assert!(EXAMPLE.lines().any(shows), "the example does not show {key}");
        }
    }

    #[test]
    fn the_environment_lies_over_it() {
        let config = read(&[
            ("CLICKMILL_RELAY__HINTS__ORIGINS", "[\"*\"]"),
            ("CLICKMILL_RELAY__VIEW__STATE_TTL", "2h"),
            ("CLICKMILL_RELAY__SUGGEST__SLOTS", "[\"a\", \"b\"]"),
        ])
        .unwrap();
        assert!(config.hints.origins.allow(&HeaderValue::from_static("https://x.example")));
        assert_eq!(config.bounds().ttl_ms, 7_200_000);
        assert_eq!(config.suggest.slots.len(), 2);
    }

    #[test]
    fn an_instance_is_reached_where_it_says() {
        let address = |advertise: Option<&str>, listen: &str| {
            let advertise = advertise.map(str::to_owned);
            let peers = PeersConfig { advertise, ..PeersConfig::default() };
            peers.address(listen.parse().unwrap()).ok()
        };
        assert_eq!(address(None, "10.0.0.1:8083").as_deref(), Some("10.0.0.1:8083"));
        assert_eq!(address(None, "0.0.0.0:8083"), None);
        assert_eq!(address(Some("relay-1:80"), "0.0.0.0:8083").as_deref(), Some("relay-1:80"));
        for nowhere in
            ["relay-1", "relay-1:", "relay-1:0", ":80", "a@b:80", "http://relay-1:80", ""]
        {
            assert_eq!(address(Some(nowhere), "0.0.0.0:8083"), None, "{nowhere}");
        }
    }

    #[test]
    fn a_mistake_is_named() {
        let complaint = |env: &[(&str, &str)]| match read(env) {
            Ok(config) => config.check().unwrap_err().to_string(),
            Err(error) => error.to_string(),
        };
        let env = |key: &'static str, value: &'static str| [(key, value)];
        assert_eq!(
            complaint(&env("CLICKMILL_RELAY__PEERS__LISTEN", "10.0.0.1:8083")),
            "peers.keys: there is no signing key"
        );
        let keys = r#"[{id = "a", secret = "0123456789abcdef"}]"#;
        let everywhere = [
            ("CLICKMILL_RELAY__PEERS__LISTEN", "0.0.0.0:8083"),
            ("CLICKMILL_RELAY__PEERS__KEYS", keys),
        ];
        assert!(complaint(&everywhere).starts_with("peers.advertise must be"));
        let nowhere = complaint(&env("CLICKMILL_RELAY__PEERS__KEYS", keys));
        assert!(nowhere.starts_with("peers.listen is missing"), "{nowhere}");
        let weak = r#"[{tenant = "shop", secret = "short"}]"#;
        assert_eq!(
            complaint(&env("CLICKMILL_RELAY__SERVERS__KEYS", weak)),
            "servers.keys: the secret of shop must have 16 bytes or more"
        );
        assert_eq!(
            complaint(&env("CLICKMILL_RELAY__HINTS__HEARTBEAT", "0s")),
            "hints.heartbeat must not be zero"
        );
        assert!(
            complaint(&env("CLICKMILL_RELAY__HINTS__ORIGINS", "[\"shop.example\"]"))
                .contains("CLICKMILL_RELAY__HINTS__ORIGINS")
        );
        for address in ["javascript:alert(1)", "http://a:1/inspect/tail?token=secret"] {
            let said = complaint(&env("CLICKMILL_RELAY__LIVE__INSPECTOR", address));
            assert!(said.contains("http://127.0.0.1:9081"), "{said}");
            assert!(!said.contains("secret"), "{said}");
        }
        assert!(complaint(&env("CLICKMILL_RELAY__PATH_PREFIX", "clicks")).contains("path_prefix"));
        assert!(complaint(&env("CLICKMILL_RELAY__HINT", "1")).contains("hint"));
        assert!(
            complaint(&env("CLICKMILL_RELAY__TOKENS__KEYS", "[]"))
                .contains("there is no signing key")
        );
    }
}
