//! What an operator sets: one type, its defaults, and the checks that need no network.
//!
//! `collector.example.toml` documents every key; a test holds it to this type.

mod dialects;
mod inspect;
mod proofs;
mod registry;
mod traces;

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clickmill_catalog::Formats;
use clickmill_kafka::{KafkaConfig, ProducerConfig};
use clickmill_sdk_core::wire::{BUCKETS, EventType, Experiment, Flush, Purpose, Tenant, WriteKey};
use clickmill_server::config::{self, ConfigError, duration};
use clickmill_server::cors::Origins;
use clickmill_server::listen::ListenConfig;
use clickmill_server::serve::ConnectionLimits;
use clickmill_server::telemetry::{Filter, LogConfig};
use clickmill_server::token::{Signer, SigningKey};
use serde::Deserialize;

pub use self::dialects::{CloudEventsConfig, DialectsConfig, SegmentConfig};
pub use self::inspect::InspectConfig;
pub use self::proofs::ProofsConfig;
pub use self::registry::RegistryConfig;
pub use self::traces::{Sampling, TracesConfig};
use crate::memory;

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

/// Where events wait that Kafka does not take in time.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SpoolConfig {
    /// The folder, on a disk of this machine; without one there is no spool.
    pub dir: Option<PathBuf>,
    /// What all segments may take together, in bytes.
    pub bytes_max: u64,
    /// How long a segment may become, in bytes; it is deleted as a whole once it is drained.
    pub segment_bytes_max: u64,
    /// How old the oldest event may become before nothing more goes behind it.
    #[serde(with = "duration")]
    pub age_max: Duration,
    /// How long Kafka may take before an event goes to the disk.
    #[serde(with = "duration")]
    pub after: Duration,
}

impl Default for SpoolConfig {
    fn default() -> Self {
        Self {
            dir: None,
            bytes_max: 4 << 30,
            segment_bytes_max: 16 << 20,
            age_max: Duration::from_secs(24 * 3_600),
            after: Duration::from_secs(2),
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

/// Bounds of deliveries.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsConfig {
    /// Longest body as it comes from the wire, in bytes.
    pub body_bytes_max: usize,
    /// Longest body after inflating, in bytes.
    pub inflated_bytes_max: usize,
    /// What all deliveries that are inside may need together, in bytes; beyond it, new ones are
    /// told to come again.
    pub memory_bytes_max: usize,
    /// How long a body may take to arrive.
    #[serde(with = "duration")]
    pub body_timeout: Duration,
    /// Most events in a batch.
    pub batch_events_max: NonZeroU32,
    /// Longest context that the events of a batch share, in bytes.
    pub context_bytes_max: usize,
    /// Longest event, in bytes.
    pub event_bytes_max: usize,
    /// How deep objects and arrays may lie inside each other in properties.
    pub depth_max: u32,
    /// How long after its time an event is still taken: no longer than copies are recognised
    /// downstream.
    #[serde(with = "duration")]
    pub event_age_max: Duration,
    /// How long a request waits for Kafka before its events are `retry`.
    #[serde(with = "duration")]
    pub ack_timeout: Duration,
    /// Events a second that one visitor may send in the long run; beyond it they leave the stream.
    pub visitor_events_per_s: NonZeroU32,
    /// Events that one visitor may send at once.
    pub visitor_events_burst: NonZeroU32,
    /// Requests a second that one address may send, in the long run.
    pub address_requests_per_s: NonZeroU32,
    /// Requests that one address may send at once.
    pub address_requests_burst: NonZeroU32,
    /// Addresses that are told apart at once; beyond it, those of the most crowded networks share a
    /// quota.
    pub addresses_max: usize,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        const BATCH_EVENTS_MAX: NonZeroU32 = NonZeroU32::new(500).unwrap();
        const PER_S: NonZeroU32 = NonZeroU32::new(500).unwrap();
        const VISITOR_PER_S: NonZeroU32 = NonZeroU32::new(100).unwrap();
        const BURST: NonZeroU32 = NonZeroU32::new(2_000).unwrap();
        Self {
            body_bytes_max: 512 * 1024,
            inflated_bytes_max: 2 * 1024 * 1024,
            memory_bytes_max: 256 * 1024 * 1024,
            body_timeout: Duration::from_secs(10),
            batch_events_max: BATCH_EVENTS_MAX,
            context_bytes_max: 16 * 1024,
            event_bytes_max: 32 * 1024,
            depth_max: 16,
            event_age_max: Duration::from_secs(7 * 24 * 3_600),
            ack_timeout: Duration::from_secs(10),
            visitor_events_per_s: VISITOR_PER_S,
            visitor_events_burst: BURST,
            address_requests_per_s: PER_S,
            address_requests_burst: BURST,
            addresses_max: 50_000,
        }
    }
}

/// The window in which copies are recognised.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DedupConfig {
    /// Most ids that are remembered; at least half of it always are.
    pub events_max: usize,
    /// Longest time an id is remembered; at least half of it, unless there are too many.
    #[serde(with = "duration")]
    pub age_max: Duration,
}

impl Default for DedupConfig {
    fn default() -> Self {
        Self { events_max: 200_000, age_max: Duration::from_secs(3_600) }
    }
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
    /// Event types that its pages send at once; the SDK's own list if left out.
    #[serde(default)]
    pub urgent: Option<Vec<EventType>>,
    /// When its pages send the others.
    #[serde(default)]
    pub flush: Flush,
    /// How its backend proves which customer a visitor is.
    #[serde(default)]
    pub proofs: ProofsConfig,
    /// Experiments that all of its visitors may take part in.
    #[serde(default)]
    pub experiments: Vec<Experiment>,
}

const fn events_per_s() -> NonZeroU32 {
    const PER_S: NonZeroU32 = NonZeroU32::new(5_000).unwrap();
    PER_S
}

const fn events_burst() -> NonZeroU32 {
    const BURST: NonZeroU32 = NonZeroU32::new(20_000).unwrap();
    BURST
}

/// A configuration that can be read and makes no sense.
#[derive(Debug, thiserror::Error)]
pub enum BadConfig {
    /// It cannot be read.
    #[error(transparent)]
    Unreadable(#[from] ConfigError),
    /// A setting of Kafka is wrong.
    #[error("kafka or producer: {0}")]
    Kafka(#[from] clickmill_kafka::Error),
    /// One value is wrong by itself or beside another.
    #[error("`{key}` {problem}")]
    Value {
        /// The key's path, joined by dots.
        key: String,
        /// The rest of the sentence.
        problem: String,
    },
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

    /// Checks what no type can: values beside each other.
    ///
    /// # Errors
    /// Names the key that is wrong.
    pub fn check(&self) -> Result<(), BadConfig> {
        self.kafka.check()?;
        self.listen
            .check_trust()
            .map_err(|error| value("listen.trusted_proxies", error.to_string()))?;
        self.producer.check_deadline(self.limits.ack_timeout)?;
        Filter::read(&self.log.filter)
            .map_err(|error| value("log.filter", format!("is refused: {error}")))?;
        let prefix = &self.path_prefix;
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"/-_.~".contains(&b);
        let starts_and_ends = prefix.starts_with('/') && !prefix.ends_with('/');
        demand(prefix.is_empty() || (starts_and_ends && prefix.bytes().all(plain)), || {
            value("path_prefix", "must be empty, or begin with a slash and not end with one")
        })?;
        let limits = &self.limits;
        demand(limits.body_bytes_max <= limits.inflated_bytes_max, || {
            value("limits.inflated_bytes_max", "must not be below limits.body_bytes_max")
        })?;
        let largest = memory::largest(limits);
        demand(largest <= limits.memory_bytes_max, || {
            let problem = format!("must not be below {largest}, the largest delivery's need");
            value("limits.memory_bytes_max", problem)
        })?;
        // serde_json follows 128 levels; an event's own levels come on top of its properties'.
        demand((1..=100).contains(&limits.depth_max), || {
            value("limits.depth_max", "must be from 1 to 100")
        })?;
        self.schemas.registry.check()?;
        demand(self.dedup.events_max >= 2, || value("dedup.events_max", "must be 2 or more"))?;
        demand(self.cookie.same_site != SameSite::None || self.cookie.secure, || {
            value("cookie.secure", "must be on where cookie.same_site is \"none\"")
        })?;
        Signer::new(&self.tokens.keys)
            .map_err(|error| value("tokens.keys", format!("is refused: {error}")))?;
        self.inspect.check()?;
        self.check_spool()?;
        self.check_sites()
    }

    fn check_spool(&self) -> Result<(), BadConfig> {
        let spool = &self.spool;
        let in_time = spool.dir.is_none() || spool.after < self.limits.ack_timeout;
        demand(in_time, || value("spool.after", "must be shorter than limits.ack_timeout"))?;
        demand(spool.segment_bytes_max >= u64::from(self.producer.record_bytes_max), || {
            value("spool.segment_bytes_max", "must not be below producer.record_bytes_max")
        })?;
        demand(spool.segment_bytes_max <= 1 << 30, || {
            value("spool.segment_bytes_max", "must not be above 1073741824")
        })?;
        demand(spool.bytes_max >= spool.segment_bytes_max, || {
            value("spool.bytes_max", "must not be below spool.segment_bytes_max")
        })
    }

    fn check_sites(&self) -> Result<(), BadConfig> {
        demand(!self.sites.is_empty(), || value("sites", "names none; nobody could send"))?;
        let batch_events_max = self.limits.batch_events_max;
        for (at, site) in self.sites.iter().enumerate() {
            let known = self.sites.iter().take(at).any(|other| other.write_key == site.write_key);
            demand(!known, || {
                value(format!("sites.{at}.write_key"), format!("{} is given twice", site.write_key))
            })?;
            let kept_apart = self.cookie.same_site != SameSite::None || !site.origins.any();
            demand(kept_apart, || {
                let problem = "must not hold \"*\" where cookie.same_site is \"none\": any website \
                               could get a visitor's token and read the hints";
                value(format!("sites.{at}.origins"), problem)
            })?;
            demand(site.events_burst >= batch_events_max, || {
                let problem =
                    format!("must not be below limits.batch_events_max, {batch_events_max}");
                value(format!("sites.{at}.events_burst"), problem)
            })?;
            site.proofs.check().map_err(|problem| value(format!("sites.{at}.proofs"), problem))?;
            for (n, experiment) in site.experiments.iter().enumerate() {
                let problem = problem_of(experiment, &site.experiments[..n]);
                problem.map_or(Ok(()), |problem| {
                    Err(value(format!("sites.{at}.experiments.{n}"), problem))
                })?;
            }
        }
        Ok(())
    }
}

/// Why an experiment puts nobody where it should, if so.
fn problem_of(experiment: &Experiment, before: &[Experiment]) -> Option<&'static str> {
    let Experiment { key, seed, weights, coverage, namespace } = experiment;
    let sum: u64 = weights.iter().map(|weight| u64::from(*weight)).sum();
    // Browsers hash what JavaScript takes for one byte a character.
    let is_plain = |text: &str| !text.is_empty() && text.len() <= 64 && text.is_ascii();
    let rules = [
        (is_plain(key) && is_plain(seed), "must have a key and a seed of 1 to 64 ASCII characters"),
        (before.iter().all(|other| other.key != *key), "has the key of another one"),
        (sum == u64::from(BUCKETS), "must have weights that add up to 10000"),
        (*coverage <= BUCKETS, "must have a coverage of at most 10000"),
        (
            namespace.as_ref().is_none_or(|n| is_plain(&n.name) && n.from < n.to && n.to <= 1000),
            "must have a namespace with an ASCII name, from below to, and to at most 1000",
        ),
    ];
    rules.into_iter().find(|(holds, _)| !holds).map(|(_, problem)| problem)
}

fn value(key: impl Into<String>, problem: impl Into<String>) -> BadConfig {
    BadConfig::Value { key: key.into(), problem: problem.into() }
}

fn demand(holds: bool, otherwise: impl FnOnce() -> BadConfig) -> Result<(), BadConfig> {
    if holds { Ok(()) } else { Err(otherwise()) }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clickmill_server::config::{Environment, load_from};
    use toml::{Table, Value};

    use super::*;

    const EXAMPLE: &str = include_str!("../collector.example.toml");

    fn read(toml: &str) -> Result<Config, String> {
        toml::from_str(toml).map_err(|error: toml::de::Error| error.message().to_owned())
    }

    #[test]
    fn the_example_says_what_the_defaults_are() {
        let example = read(EXAMPLE).unwrap();
        example.check().unwrap();
        let site: SiteEntry =
            toml::from_str("write_key = \"wk-shop\"\ntenant = \"shop\"\n").unwrap();
        let [shown] = example.sites.as_slice() else { panic!("one site is shown") };
        assert_eq!(
            &SiteEntry { origins: Origins::default(), urgent: None, ..shown.clone() },
            &site
        );
        assert_eq!(shown.urgent, Some(clickmill_sdk_core::wire::SiteConfig::default().urgent));
        let keys = example.tokens.keys.len();
        assert_eq!(keys, 1);
        let tokens = TokensConfig { keys: Vec::new(), ..example.tokens.clone() };
        let bare = Config { sites: Vec::new(), tokens, ..example };
        // KafkaConfig has no equality, so the texts are compared.
        assert_eq!(format!("{bare:#?}"), format!("{:#?}", Config::default()));
    }

    /// Asks each table of the type for the keys it knows by giving it one that it cannot know.
    #[test]
    fn the_example_shows_every_key() {
        let whole: Table = EXAMPLE.parse().unwrap();
        let mut tables = vec![Vec::new()];
        while let Some(path) = tables.pop() {
            let mut asking = whole.clone();
            let table = dig(&mut asking, &path);
            // Keys that are optional without a default stand in the example as comments.
            let shown: BTreeSet<String> = table.keys().cloned().collect();
            for (key, below) in table.iter() {
                let names = ["properties", "types", "consent"].contains(&key.as_str());
                let free = path.is_empty() && key == "sites" || names;
                if below.is_table() && !free {
                    tables.push([path.clone(), vec![key.clone()]].concat());
                }
            }
            table.insert("zz".to_owned(), Value::Boolean(true));
            let Err(complaint) = Config::deserialize(asking) else {
                panic!("{path:?} takes any key");
            };
            let complaint = complaint.message().to_owned();
            let known = complaint.split_once("expected ").unwrap().1;
            for key in known.split('`').skip(1).step_by(2) {
                let commented = EXAMPLE.lines().any(|l| l.starts_with(&format!("# {key} = ")));
                assert!(shown.contains(key) || commented, "{path:?} lacks {key}");
            }
        }
        let site = toml::from_str::<SiteEntry>("zz = 1").unwrap_err().message().to_owned();
        let shown = whole["sites"][0].as_table().unwrap();
        for key in site.split_once("expected ").unwrap().1.split('`').skip(1).step_by(2) {
            assert!(shown.contains_key(key), "sites lacks {key}");
        }
    }

    fn dig<'a>(table: &'a mut Table, path: &[String]) -> &'a mut Table {
        path.iter().fold(table, |table, key| table[key].as_table_mut().unwrap())
    }

    /// What an operator reads when one line of the example is another.
    fn complaint(from: &str, to: &str) -> String {
        assert!(EXAMPLE.contains(from), "{from}");
        let config = read(&EXAMPLE.replacen(from, to, 1)).unwrap();
        config.check().unwrap_err().to_string()
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        assert!(complaint("path_prefix = \"\"", "path_prefix = \"cm/\"").contains("`path_prefix`"));
        assert!(complaint("depth_max = 16", "depth_max = 0").contains("`limits.depth_max`"));
        assert!(complaint("ack_timeout = \"10s\"", "ack_timeout = \"30s\"").contains("exceed"));
        let slow = EXAMPLE.replacen("after = \"2s\"", "dir = \"spool\"\nafter = \"10s\"", 1);
        let slow = read(&slow).unwrap().check().unwrap_err().to_string();
        assert_eq!(slow, "`spool.after` must be shorter than limits.ack_timeout");
        assert!(
            complaint("segment_bytes_max = 16777216", "segment_bytes_max = 1")
                .contains("`spool.segment_bytes_max` must not be below producer.record_bytes_max")
        );
        assert!(
            complaint("inflated_bytes_max = 2097152", "inflated_bytes_max = 1")
                .contains("`limits.inflated_bytes_max`")
        );
        assert!(
            complaint("events_burst = 20000", "events_burst = 499")
                .contains("`sites.0.events_burst` must not be below limits.batch_events_max, 500")
        );
        assert!(
            complaint("memory_bytes_max = 268435456", "memory_bytes_max = 1000000")
                .contains("`limits.memory_bytes_max` must not be below")
        );
        let none = EXAMPLE.replacen("same_site = \"lax\"", "same_site = \"none\"", 1);
        read(&none).unwrap().check().unwrap();
        let open = read(&none.replacen("\"https://shop.example\"", "\"*\"", 1)).unwrap();
        assert_eq!(
            open.check().unwrap_err().to_string(),
            "`sites.0.origins` must not hold \"*\" where cookie.same_site is \"none\": any website \
             could get a visitor's token and read the hints"
        );
        let insecure = read(&none.replacen("secure = true", "secure = false", 1)).unwrap();
        assert!(insecure.check().unwrap_err().to_string().contains("`cookie.secure`"));
        let keys = |keys: &str| {
            let from = "proofs = { keys = []";
            complaint(from, &format!("proofs = {{ keys = [{keys}]"))
        };
        assert!(keys("{ id = \"a\", secret = \"short\" }").contains("`sites.0.proofs`"));
        let twice = "{ id = \"a\", secret = \"0123456789abcdef\" }";
        let twice = keys(&format!("{twice}, {twice}"));
        assert!(twice.contains("given twice") && !twice.contains("0123456789"), "{twice}");
        assert!(
            complaint("lifetime_max = \"1h\"", "lifetime_max = \"0s\"").contains("lifetime_max")
        );
        assert!(complaint("secret = \"", "secret = \"x\" #").contains("shorter than 16 bytes"));
        assert!(complaint("filter = \"info\"", "filter = \"info=x=y\"").contains("`log.filter`"));
        let none = Config::default().check().unwrap_err().to_string();
        assert_eq!(none, "`tokens.keys` is refused: there is no signing key");
    }

    #[test]
    fn an_experiment_that_puts_nobody_where_it_should_is_named() {
        let good = "key = \"k\", seed = \"s\", weights = [5000, 5000], coverage = 10000";
        let with = |lines: &str| {
            let toml = EXAMPLE.replacen("experiments = []", &format!("experiments = [{lines}]"), 1);
            read(&toml).unwrap().check().map_err(|error| error.to_string())
        };
        assert_eq!(with(&format!("{{ {good} }}")), Ok(()));
        for (from, to, says) in [
            ("\"s\"", "\"ß\"", "ASCII"),
            ("[5000, 5000]", "[5000, 4000]", "add up to 10000"),
            ("= 10000", "= 10001", "coverage"),
            ("= 10000", "= 1, namespace = { name = \"n\", from = 5, to = 5 }", "namespace"),
        ] {
            let error = with(&format!("{{ {} }}", good.replace(from, to))).unwrap_err();
            assert!(error.contains("`sites.0.experiments.0`") && error.contains(says), "{error}");
        }
        let twice = with(&format!("{{ {good} }}, {{ {good} }}")).unwrap_err();
        assert!(twice.contains("`sites.0.experiments.1` has the key of another one"), "{twice}");
    }

    #[test]
    fn a_registry_that_cannot_be_asked_is_named() {
        let with = |lines: &str| {
            let toml = EXAMPLE.replacen("urls = []", lines, 1);
            read(&toml).unwrap().check().map_err(|error| error.to_string())
        };
        let url = "urls = [\"http://registry:8081\"]\n";
        assert_eq!(with(url), Ok(()));
        for (lines, says) in [
            ("urls = [\"registry\"]".to_owned(), "`schemas.registry`"),
            (format!("{url}user = \"me\""), "`schemas.registry.password`"),
            (format!("{url}password = \"secret\""), "`schemas.registry.user`"),
            (
                format!("{url}user = \"me\"\npassword = \"secret\"\ntoken = \"secret\""),
                "`schemas.registry.token`",
            ),
            (format!("{url}ca_file = \"/no/such/ca.pem\""), "/no/such/ca.pem"),
        ] {
            let error = with(&lines).unwrap_err();
            assert!(error.contains(says) && !error.contains("secret"), "{lines}: {error}");
        }
        assert!(
            complaint("refresh_every = \"1m\"", "refresh_every = \"0s\"")
                .contains("`schemas.registry.refresh_every`")
        );
        let shown = format!("{:?}", read(&EXAMPLE.replacen("urls = []", "token = \"hush\"", 1)));
        assert!(!shown.contains("hush"));
    }

    #[test]
    fn origins_must_be_exact() {
        for bad in ["shop.example", "https://shop.example/", "https://Shop.example", "ftp://x"] {
            let site = format!("write_key = \"k\"\ntenant = \"t\"\norigins = [\"{bad}\"]");
            let error = toml::from_str::<SiteEntry>(&site).unwrap_err();
            assert!(error.message().contains("origin"), "{bad}: {error}");
        }
    }

    #[test]
    fn the_environment_lies_over_everything() {
        let variables = [
            ("CLICKMILL_COLLECTOR__LIMITS__ACK_TIMEOUT", "2s"),
            ("CLICKMILL_COLLECTOR__KAFKA__BOOTSTRAP", "kafka:9092"),
            (
                "CLICKMILL_COLLECTOR__SITES",
                "[{ write_key = \"k\", tenant = \"t\", origins = [\"*\"] }]",
            ),
            (
                "CLICKMILL_COLLECTOR__TOKENS__KEYS",
                "[{ id = \"a\", secret = \"0123456789abcdef\" }]",
            ),
        ];
        let config: Config = load_from(None, Environment::new(ENV_PREFIX, variables)).unwrap();
        config.check().unwrap();
        assert_eq!(config.limits.ack_timeout, Duration::from_secs(2));
        assert_eq!(config.kafka.bootstrap, "kafka:9092");
        assert_eq!(config.sites.len(), 1);
        assert!(!format!("{config:?}").contains("0123456789abcdef"));
    }
}
