//! What promotions need of a running relay: their topics, a producer for leases, and a watch.

use std::convert::Infallible;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use clickmill_kafka::{Admin, Producer, ReaderConfig};
use clickmill_sdk_core::wire::Topic;
use clickmill_server::clock::SharedClock;
use clickmill_server::metrics::Metrics;
use clickmill_streams::{Poison, Raw, Table, TableConfig, Watch};
use tokio::time::Instant;
use tracing::warn;

use super::RunError;
use crate::config::{Config, FETCH_WAIT_MAX_MS};
use crate::hints::hub::Hub;
use crate::metrics::{PromotionMeters, ReactMeters};
use crate::promotions::leases::{Leases, Ledger, LedgerWatch};
use crate::promotions::promoter::{Promoter, Setting};
use crate::promotions::rules::Records;
use crate::promotions::watch::watch;
use crate::react::Policy;
use crate::tables::Tables;

/// How long Kafka may take to tell which topics there are.
const ADMIN_WAIT: Duration = Duration::from_secs(5);

/// Promotions of a relay.
pub(super) struct Promoting {
    /// Applies the rules.
    pub(super) promoter: Arc<Promoter>,
    rules: Option<Table<Records>>,
    ledger: Table<Ledger>,
    threads: Vec<JoinHandle<()>>,
}

impl Promoting {
    /// Reads the rules and starts to read what changes; none where there are to be none.
    pub(super) async fn start(
        config: &Config,
        (tables, metrics, clock): (&Tables, &Metrics, &SharedClock),
    ) -> Result<Option<Self>, RunError> {
        if !config.promotions.is_on() {
            return Ok(None);
        }
        let name = |topic: Topic| topic.name(&config.topic_prefix);
        has_topics(config, &name).await?;
        let table = |name: &'static str, topic: String| TableConfig {
            name,
            kafka: config.kafka.clone(),
            reader: ReaderConfig {
                fetch_wait_max_ms: FETCH_WAIT_MAX_MS,
                ..ReaderConfig::new(topic)
            },
        };
        let mut threads = Vec::new();
        let mut rules = None;
        if config.promotions.topic {
            let watch = RulesWatch(ReactMeters::new(metrics));
            let (read, thread) = Table::start(table("promotions", name(Topic::Promotions)), watch)?;
            threads.push(thread);
            rules = Some(read);
        }
        let leases = name(Topic::PromotionLeases);
        let (ledger, thread) = Table::start(table("leases", leases.clone()), LedgerWatch)?;
        threads.push(thread);
        let producer = Producer::new(&config.kafka, &config.producer, None)?;
        // A hash under the hasher's own random keys: no process before had it.
        let owner = format!("{:016x}", RandomState::new().hash_one(std::process::id()));
        let leases = Leases::new(owner, (producer, leases), (ledger.clone(), Arc::clone(clock)));
        let policy = Policy::of(config);
        let promoter = Promoter::new(Setting {
            folder: config.promotions.folder.clone(),
            topic: rules.clone(),
            tables: tables.clone(),
            personalizes_unasked: policy.personalizes_unasked,
            late_ms: policy.lifetime_ms,
            decided: Some(name(Topic::PromotionsDecided).into()),
            leases: Some(Arc::new(leases)),
            meters: Some(PromotionMeters::new(metrics)),
        });
        let promoter = Arc::new(promoter);
        let reading = Arc::clone(&promoter);
        let read = tokio::task::spawn_blocking(move || reading.read_files());
        if let Err(error) = read.await {
            warn!(%error, "reading rules of promotions broke off");
        }
        Ok(Some(Self { promoter, rules, ledger, threads }))
    }

    /// Ends the tables soon: what they hold stays.
    pub(super) fn stop_reading(&self) {
        if let Some(rules) = &self.rules {
            rules.stop();
        }
        self.ledger.stop();
    }

    /// Gives leases back, and waits for the tables' end.
    pub(super) async fn end(self, deadline: Instant) {
        if let Some(leases) = self.promoter.leases()
            && let Err(error) = leases.end(deadline).await
        {
            warn!(%error, "leases of promotions could not be given back");
        }
        self.stop_reading();
        let joined = tokio::task::spawn_blocking(move || {
            self.threads.into_iter().filter_map(|thread| thread.join().err()).count()
        });
        if joined.await.unwrap_or(1) > 0 {
            warn!("the thread of a table broke off");
        }
    }
}

/// Follows rules and hours; never resolves but where that is not possible.
pub(super) async fn follow(
    promoter: Option<&Arc<Promoter>>,
    means: (&Hub, &SharedClock),
) -> Result<Infallible, RunError> {
    match promoter {
        Some(promoter) => Ok(watch(promoter, means).await?),
        None => std::future::pending().await,
    }
}

/// Looks for the topics: a record for one that is not there would never be taken, and the clicks that
/// led to it would be folded again and again.
async fn has_topics(config: &Config, name: &impl Fn(Topic) -> String) -> Result<(), RunError> {
    let admin = Admin::new(&config.kafka, ADMIN_WAIT)?;
    let mut topics = vec![Topic::PromotionLeases, Topic::PromotionsDecided];
    topics.extend(config.promotions.topic.then_some(Topic::Promotions));
    let leases = name(Topic::PromotionLeases);
    for topic in topics.into_iter().map(name) {
        match admin.partitions(&topic).await {
            Ok(Some(partitions)) if topic == leases && partitions > 1 => {
                return Err(RunError::Unordered(topic, partitions));
            }
            Ok(Some(_)) => {}
            Ok(None) => return Err(RunError::NoTopic(topic)),
            Err(error) => warn!(topic, %error, "whether the topic is there could not be told"),
        }
    }
    Ok(())
}

/// Counts rule records that cannot be read.
struct RulesWatch(ReactMeters);

impl Watch<Records> for RulesWatch {
    fn applied(&self, _: &Table<Records>, _: &Raw<'_>) {}

    fn poisoned(&self, raw: &Raw<'_>, poison: &Poison) {
        self.0.poisoned("promotions", poison.reason);
        warn!(place = %raw.place, %poison, "a rule of promotions is passed over");
    }
}
