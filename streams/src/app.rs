//! A view as a program of its own: the arguments that every such program takes, and a run from
//! start to signal.
//!
//! With `--dev` the topics that the view needs are made if they are missing, on one broker and
//! with the partitions of the topic that drives it. Without it they are the catalogue's business.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Parser;
use clickmill_kafka::{
    Admin, Creation, GroupConfig, KafkaConfig, ProducerConfig, TopicSpec, TransactionConfig,
};
use tokio::signal::unix::{SignalKind, signal};
use tracing::{info, warn};

use crate::{
    At, Bounds, Error, Meters, Pacing, Parts, Poison, Produce, Raw, Runtime, RuntimeConfig, Sink,
    View,
};

/// How long Kafka may take to tell of topics.
const ADMIN_WAIT: Duration = Duration::from_secs(10);

/// What a program of a view is.
#[derive(Debug)]
pub struct App<V: View> {
    /// Its name: of its group, its folder and, with `.view` behind it, of its changelog.
    pub name: &'static str,
    /// The topic that drives it, unless `--topic` names another.
    pub topic: &'static str,
    /// The fold.
    pub view: V,
    /// The tables it looks into.
    pub tables: V::Tables,
}

/// Keeps a view over a topic, exactly once.
#[derive(Debug, Parser)]
struct Arguments {
    /// Some brokers, separated by commas.
    #[arg(long, default_value = "127.0.0.1:9092")]
    bootstrap: String,
    /// What comes before every topic and the group.
    #[arg(long, default_value = "")]
    prefix: String,
    /// The topic to follow instead of the view's own.
    #[arg(long)]
    topic: Option<String>,
    /// A name of this instance that outlives a restart.
    #[arg(long, default_value = "1")]
    instance: String,
    /// Where states lie; left out, they are in memory alone.
    #[arg(long)]
    state: Option<PathBuf>,
    /// Makes the topics that are missing.
    #[arg(long)]
    dev: bool,
}

/// Why the program ended.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The view cannot be run, or run on.
    #[error(transparent)]
    View(#[from] Error),
    /// Kafka does not answer.
    #[error(transparent)]
    Kafka(#[from] clickmill_kafka::Error),
    /// The topic that drives the view is not there.
    #[error("there is no topic {0}")]
    NoTopic(String),
    /// The system gave no threads or signals.
    #[error("{0}")]
    System(#[from] std::io::Error),
}

/// Runs the view until SIGINT or SIGTERM. Whatever a fold says is produced.
///
/// # Errors
/// Why it cannot run, or not go on.
pub fn run<V: View<Output = Produce>>(app: App<V>) -> Result<(), Failure> {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(follow(app, arguments))
}

async fn follow<V: View<Output = Produce>>(
    app: App<V>,
    arguments: Arguments,
) -> Result<(), Failure> {
    let App { name, topic, view, tables } = app;
    let Arguments { bootstrap, prefix, topic: other, instance, state, dev } = arguments;
    let kafka = KafkaConfig { bootstrap, ..KafkaConfig::default() };
    let topic = format!("{prefix}{}", other.as_deref().unwrap_or(topic));
    let changelog = format!("{prefix}{name}.view");
    if dev {
        make(&kafka, (&topic, &changelog)).await?;
    }
    let id = format!("{prefix}{name}");
    let config = RuntimeConfig {
        name,
        kafka,
        group: GroupConfig {
            instance: Some(format!("{id}-{instance}")),
            ..GroupConfig::new(id.clone())
        },
        topic,
        changelog,
        advert: None,
        transaction: TransactionConfig {
            id: format!("{id}-{instance}"),
            timeout_ms: 10_000,
            marks: 4096,
            producer: ProducerConfig::default(),
        },
        pacing: Pacing::default(),
        state_folder: state,
        write_every: Duration::from_secs(10),
        tombstones_kept: Duration::from_secs(23 * 3_600),
        restores_max: 4,
        bounds: Bounds::default(),
        finish_max: Duration::from_secs(5),
    };
    let parts = Parts {
        view,
        tables,
        is_ready: Box::new(|| true),
        sink: Arc::new(Pass { name }),
        now_ms: Box::new(now_ms),
        meters: Meters::noop(),
        on_statistics: None,
    };
    let (mut interrupt, mut terminate) =
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let (mut runtime, _) = Runtime::start(config, parts)?;
    tokio::select! {
        ended = runtime.ended() => return Ok(ended?),
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    runtime.status().stop();
    Ok(runtime.ended().await?)
}

/// Makes the changelog with as many partitions as the topic has.
async fn make(kafka: &KafkaConfig, (topic, changelog): (&str, &str)) -> Result<(), Failure> {
    let admin = Admin::new(kafka, ADMIN_WAIT)?;
    let found = admin.describe(&[topic, changelog]).await?;
    let driving = found.get(topic).ok_or_else(|| Failure::NoTopic(topic.to_owned()))?;
    if found.contains_key(changelog) {
        return Ok(());
    }
    let spec = TopicSpec {
        name: changelog.to_owned(),
        partitions: driving.partitions,
        replication: 1,
        config: [("cleanup.policy".to_owned(), "compact".to_owned())].into(),
    };
    for creation in admin.create(&[spec]).await? {
        match creation {
            Creation::Made => info!(topic = changelog, "made"),
            Creation::Existed => {}
            Creation::Failed(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Produces what folds say.
struct Pass {
    name: &'static str,
}

impl Sink<Produce> for Pass {
    fn assigned(&self, _: u32) {}

    fn opened(&self, partition: u32, epoch: u64) {
        info!(view = self.name, partition, epoch, "partition is live");
    }

    fn closed(&self, _: u32) {}

    fn live(&self, _: At, outputs: Vec<Produce>) -> Vec<Produce> {
        outputs
    }

    fn poisoned(&self, at: At, _: Option<&Raw<'_>>, poison: &Poison) -> Option<Produce> {
        warn!(view = self.name, place = %at.place, %poison, "a record is passed over");
        None
    }
}

fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}
