//! What no type can say: values beside each other.

use clickmill_sdk_core::wire::{BUCKETS, Experiment};
use clickmill_server::config::ConfigError;
use clickmill_server::telemetry::Filter;
use clickmill_server::token::Signer;

use super::{Config, SameSite};
use crate::memory;

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
            demand((1e-6..=1.0).contains(&site.sample), || {
                value(format!("sites.{at}.sample"), "must be from 0.000001 to 1")
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
    let Experiment { key, seed, weights, coverage, namespace, audience } = experiment;
    let audience = audience.as_ref();
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
        (
            audience.is_none_or(|a| a.paths.iter().all(|path| path.starts_with('/'))),
            "must have an audience whose paths begin with a slash",
        ),
        (
            audience.and_then(|a| a.width).is_none_or(|width| width.from < width.to),
            "must have an audience whose width is from below to",
        ),
    ];
    rules.into_iter().find(|(holds, _)| !holds).map(|(_, problem)| problem)
}

pub(super) fn value(key: impl Into<String>, problem: impl Into<String>) -> BadConfig {
    BadConfig::Value { key: key.into(), problem: problem.into() }
}

pub(super) fn demand(holds: bool, otherwise: impl FnOnce() -> BadConfig) -> Result<(), BadConfig> {
    if holds { Ok(()) } else { Err(otherwise()) }
}
