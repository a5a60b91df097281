//! Another version of the visitor view, made from the raw clicks beside the one that is served.
//!
//! 1. `rebuild` folds the raw topic into the view's next topic, up to where the served version has
//!    committed, and says nothing else: no hint, no enriched click.
//! 2. `compare` tells how the two differ.
//! 3. Once the relays are stopped, `rebuild` again folds what has come meanwhile: the new version
//!    ends exactly where the old one has. With `view.version` set to it, relays go on from there: each
//!    click is enriched once, by the old version or by the new one.
//!
//! What was shown of promotions and what is waited for no click tells: it is taken over from the
//! served version's states, see [`carried`].

mod carried;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use clickmill_kafka::{Admin, TopicPartition};
use clickmill_sdk_core::wire::Topic;
use clickmill_server::clock::SystemClock;
use clickmill_streams::{
    At, Comparison, Meters, Parts, Poison, Produce, Raw, Runtime, RuntimeConfig, Sink, compare,
};
use tracing::info;

use self::carried::{Carried, Carrying};
use crate::config::{Config, ViewConfig};
use crate::run::runtime;
use crate::views::visitor::{Seen, VisitorView};

/// How long Kafka may take to tell of topics and offsets.
const ASK_WAIT: Duration = Duration::from_secs(10);

/// Keys that a comparison names at the most.
const EXAMPLES_MAX: usize = 10;

/// Why another version cannot be made or compared.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// It would be made over the one that is served.
    #[error("version {0} is the one that is served; name another")]
    Served(u32),
    /// A topic is missing.
    #[error(
        "there is no topic {0}: make it by a contract of its own, like that of the version before"
    )]
    NoTopic(String),
    /// Kafka does not answer.
    #[error("kafka: {0}")]
    Kafka(#[from] clickmill_kafka::Error),
    /// The view cannot be run.
    #[error(transparent)]
    View(#[from] clickmill_streams::Error),
    /// A thread broke off.
    #[error("{0}")]
    Thread(#[from] tokio::task::JoinError),
}

/// Folds the raw topic into another version of the view, up to where the served version has
/// committed by now. One that was begun is gone on with.
///
/// # Errors
/// Why it cannot be made.
pub async fn rebuild(config: &Config, version: u32) -> Result<(), RebuildError> {
    let next = of_version(config, version)?;
    let admin = Admin::new(&config.kafka, ASK_WAIT)?;
    let raw = Topic::ClicksRaw.name(&config.topic_prefix);
    let partitions = admin.partitions(&raw).await?;
    let partitions = partitions.ok_or_else(|| RebuildError::NoTopic(raw.clone()))?;
    if admin.partitions(&next.sessions_topic()).await?.is_none() {
        return Err(RebuildError::NoTopic(next.sessions_topic()));
    }
    let until = committed(config, &raw, partitions).await?;
    // Behind the offsets: whoever was shown something since then has a click behind them, with which
    // the next run takes it over.
    let (kafka, served) = (config.kafka.clone(), config.sessions_topic());
    let carried = tokio::task::spawn_blocking(move || Carried::read(&kafka, &served)).await??;
    info!(topic = next.sessions_topic(), ?until, "another version of the view is made");
    let parts = Parts {
        view: Carrying {
            view: VisitorView {
                rule: config.rule(),
                limits: config.limits(),
                // What was decided is carried over.
                promoter: None,
                stock: None,
            },
            carried,
        },
        tables: (),
        is_ready: Box::new(|| true),
        sink: Arc::new(Silent),
        now_ms: {
            let clock = SystemClock::shared();
            Box::new(move || clock.now_ms())
        },
        meters: Meters::noop(),
        on_statistics: None,
    };
    let until = Some(until);
    let (mut view, _) =
        Runtime::start(RuntimeConfig { advert: None, until, ..runtime(&next) }, parts)?;
    Ok(view.ended().await?)
}

/// Compares another version of the view with the served one.
///
/// # Errors
/// Why they cannot be compared.
pub async fn compare_with(config: &Config, version: u32) -> Result<Comparison, RebuildError> {
    let (first, second) = (config.sessions_topic(), of_version(config, version)?.sessions_topic());
    let kafka = config.kafka.clone();
    let compared =
        tokio::task::spawn_blocking(move || compare(&kafka, (&first, &second), EXAMPLES_MAX));
    Ok(compared.await??)
}

fn of_version(config: &Config, version: u32) -> Result<Config, RebuildError> {
    if version == config.view.version {
        return Err(RebuildError::Served(version));
    }
    Ok(Config { view: ViewConfig { version, ..config.view.clone() }, ..config.clone() })
}

/// Where the served version has committed, in every partition.
async fn committed(
    config: &Config,
    topic: &str,
    partitions: u32,
) -> Result<BTreeMap<u32, u64>, RebuildError> {
    let at = |partition: u32| TopicPartition {
        topic: topic.to_owned(),
        partition: i32::try_from(partition).unwrap_or(i32::MAX),
    };
    let all: Vec<TopicPartition> = (0..partitions).map(at).collect();
    let (kafka, group) = (config.kafka.clone(), config.group_name());
    let asked = tokio::task::spawn_blocking(move || {
        clickmill_kafka::committed(&kafka, &group, &all, ASK_WAIT)
    });
    let committed = asked.await??;
    let offset = |partition| committed.get(&at(partition)).and_then(|to| u64::try_from(*to).ok());
    Ok((0..partitions).map(|partition| (partition, offset(partition).unwrap_or(0))).collect())
}

/// Says nothing: what clicks lead to the served version has said.
struct Silent;

impl Sink<Seen> for Silent {
    fn assigned(&self, _: u32) {}
    fn opened(&self, _: u32, _: u64) {}
    fn closed(&self, _: u32) {}

    fn live(&self, _: At, _: Vec<Seen>) -> Vec<Produce> {
        Vec::new()
    }

    fn poisoned(&self, _: At, _: Option<&Raw<'_>>, _: &Poison) -> Option<Produce> {
        None
    }
}
