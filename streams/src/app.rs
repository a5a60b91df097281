//! Views as a program of their own: the arguments that every such program takes, and a run from
//! start to signal.
//!
//! With `--dev` the topics that are missing are made, on one broker. Without it they are the
//! catalogue's business, which reads what `--contracts` writes down of topics between stages.

mod topics;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Parser;
use clickmill_kafka::{
    GroupConfig, Headers, KafkaConfig, ProducerConfig, ReaderConfig, TransactionConfig,
};
use futures_util::future::select_all;
use tokio::signal::unix::{SignalKind, signal};
use tracing::{info, warn};

use self::topics::Topics;
use crate::{
    At, Bounds, Error, Meters, Pacing, Parts, Poison, Produce, Purge, READ_AHEAD_BYTES_MAX, Raw,
    Rows, Runtime, RuntimeConfig, Sink, Table, TableConfig, Unwoken, View, Watch,
};

/// How often topics between stages are emptied of what was folded: as often as Kafka Streams does.
const PURGE_EVERY: Duration = Duration::from_secs(30);

/// A view, and the topics around it. All topics are named without the prefix that a cluster may ask
/// for, those of a fold's outputs as well.
pub struct App<V: View> {
    name: &'static str,
    topic: &'static str,
    view: V,
    tables: Opening<V::Tables>,
    /// The topics of tables that the program reads itself.
    looks_into: Vec<&'static str>,
    siblings: Vec<&'static str>,
    writes: Vec<&'static str>,
    poison: Option<&'static str>,
    bounds: Bounds,
}

/// Has the tables of a view read, given Kafka and the prefix.
type Opening<T> = Box<dyn FnOnce(&KafkaConfig, &str) -> Result<Open<T>, Error>>;

/// The tables of a view, and who says whether they are read.
struct Open<T> {
    tables: T,
    is_ready: Box<dyn Fn() -> bool + Send + Sync>,
}

impl<V: View<Output = Produce>> App<V> {
    /// A view of that name, which its group, its folder and, with `.view` behind it, its changelog
    /// get; with the topic that drives it unless `--topic` names another, the fold, and the tables
    /// that it looks into.
    pub fn new(name: &'static str, topic: &'static str, view: V, tables: V::Tables) -> Self
    where
        V::Tables: 'static,
    {
        let open = Open { tables, is_ready: Box::new(|| true) };
        Self::opening(name, topic, view, Box::new(move |_, _| Ok(open)))
    }

    fn opening(
        name: &'static str,
        topic: &'static str,
        view: V,
        tables: Opening<V::Tables>,
    ) -> Self {
        let (looks_into, siblings, writes) = (Vec::new(), Vec::new(), Vec::new());
        let (poison, bounds) = (None, Bounds::default());
        Self { name, topic, view, tables, looks_into, siblings, writes, poison, bounds }
    }

    /// The same fed by a further topic, too; its records have the next [`Raw::source`].
    #[must_use]
    pub fn beside(mut self, topic: &'static str) -> Self {
        self.siblings.push(topic);
        self
    }

    /// The same with a topic that it writes: `--dev` makes it, with as many partitions as the topic
    /// that drives the view.
    #[must_use]
    pub fn writing(mut self, topic: &'static str) -> Self {
        self.writes.push(topic);
        self
    }

    /// The same with a topic for records that cannot be read, and for those whose output Kafka does
    /// not take: each under its key and with its value, and with the headers `reason`, `detail`,
    /// `partition` and `offset`. A key that could not be woken is there with an empty value and without
    /// an offset. `--dev` makes it. Without one they are in the log alone.
    #[must_use]
    pub fn poison_to(mut self, topic: &'static str) -> Self {
        self.poison = Some(topic);
        self.writing(topic)
    }

    /// The same with other bounds of what it remembers.
    #[must_use]
    pub fn bounded(mut self, bounds: Bounds) -> Self {
        self.bounds = bounds;
        self
    }
}

impl<T: Rows, V: View<Output = Produce, Tables = Table<T>>> App<V> {
    /// A view like a [`new`](Self::new) one that looks into a global table: this compacted topic, held
    /// whole in memory. Nothing is folded before it is read. `--dev` makes it where it is missing.
    pub fn joined(name: &'static str, topic: &'static str, view: V, table: &'static str) -> Self {
        let open = move |kafka: &KafkaConfig, prefix: &str| {
            let reader = ReaderConfig::new(format!("{prefix}{table}"));
            let config = TableConfig { name: table, kafka: kafka.clone(), reader };
            let (table, _) = Table::start(config, Passed(table))?;
            let read = table.clone();
            Ok(Open { tables: table, is_ready: Box::new(move || read.is_ready()) })
        };
        let app = Self::opening(name, topic, view, Box::new(open));
        Self { looks_into: vec![table], ..app }
    }
}

impl<V: View + fmt::Debug> fmt::Debug for App<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, topic, view, .. } = self;
        let mut shown = f.debug_struct("App");
        shown.field("name", name).field("topic", topic).field("view", view).finish_non_exhaustive()
    }
}

/// Tells of a table's records that are passed over.
struct Passed(&'static str);

impl<T> Watch<T> for Passed {
    fn applied(&self, _: &Table<T>, _: &Raw<'_>) {}

    fn poisoned(&self, raw: &Raw<'_>, poison: &Poison) {
        warn!(table = self.0, place = %raw.place, %poison, "a row is passed over");
    }
}

/// An output of a fold without headers, for a topic that is named without the prefix.
pub fn output(topic: &Arc<str>, key: Vec<u8>, value: Option<Vec<u8>>) -> Produce {
    Produce { topic: Arc::clone(topic), key: Some(key), value, headers: Headers::default() }
}

/// Keeps views over topics, exactly once.
#[derive(Clone, Debug, Parser)]
struct Arguments {
    /// Some brokers, separated by commas.
    #[arg(long, default_value = "127.0.0.1:9092")]
    bootstrap: String,
    /// What comes before every topic and group.
    #[arg(long, default_value = "")]
    prefix: String,
    /// The topic to follow instead of the (first) view's own.
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
    /// Writes the contracts of topics between stages into this folder, and ends.
    #[arg(long)]
    contracts: Option<PathBuf>,
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
    Flow::default().stage(app).run()
}

/// Several views as one program: each is a stage with a group and a changelog of its own, and reads
/// what other stages have committed.
///
/// Whoever hands records on under another key writes them to a topic [between](Through) two stages:
/// they lie in the transaction of the stage that said them, and their offsets in that of the next
/// one, so each is folded once.
#[derive(Default)]
pub struct Flow {
    throughs: Vec<Through>,
    stages: Vec<Box<dyn Stage>>,
}

/// A topic between two stages, keyed anew (Kafka Streams' repartition topic). One stage reads it,
/// and has Kafka delete what it has folded.
#[derive(Clone, Copy, Debug)]
pub struct Through {
    /// Its name.
    pub topic: &'static str,
    /// How many partitions `--dev` and the contract give it: as many as what is read beside it.
    pub partitions: u32,
    /// Who answers for it, for the contract.
    pub owner: &'static str,
    /// What stands in its key, for the contract.
    pub holds: &'static str,
    /// Where the shape of its values is laid down, for the contract: `file:…` or `subject:…`.
    pub schema: &'static str,
}

impl Flow {
    /// The same with a topic between stages.
    #[must_use]
    pub fn through(mut self, through: Through) -> Self {
        self.throughs.push(through);
        self
    }

    /// The same with one more stage.
    #[must_use]
    pub fn stage<V: View<Output = Produce>>(mut self, app: App<V>) -> Self {
        self.stages.push(Box::new(app));
        self
    }

    /// Runs all stages until SIGINT or SIGTERM, or until one cannot go on. What there is to tell goes to
    /// stderr.
    ///
    /// # Errors
    /// Why it cannot run, or not go on.
    pub fn run(self) -> Result<(), Failure> {
        let arguments = Arguments::parse();
        // A program that has set up a log of its own keeps that.
        let _ = tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(false).try_init();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(follow(self, arguments))
    }
}

impl fmt::Debug for Flow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flow")
            .field("throughs", &self.throughs)
            .field("stages", &self.stages.len())
            .finish()
    }
}

/// A view of any type, ready to be started.
trait Stage {
    fn name(&self) -> &'static str;
    fn topics(&self) -> Topics;
    /// `purged`: the topics that it has emptied, without the prefix.
    fn start(
        self: Box<Self>,
        arguments: &Arguments,
        purged: &[&'static str],
    ) -> Result<Runtime, Error>;
}

async fn follow(flow: Flow, mut arguments: Arguments) -> Result<(), Failure> {
    let (mut interrupt, mut terminate) =
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let Flow { throughs, stages } = flow;
    if let Some(folder) = &arguments.contracts {
        let program = stages.first().map_or("", |stage| stage.name());
        return Ok(topics::write_contracts(folder, program, &throughs)?);
    }
    if arguments.dev {
        topics::make_throughs(&arguments, &throughs).await?;
    }
    let purged: Vec<&str> = throughs.iter().map(|through| through.topic).collect();
    let mut running = Vec::with_capacity(stages.len());
    for stage in stages {
        if arguments.dev {
            topics::make(&arguments, &stage.topics()).await?;
        }
        running.push(stage.start(&arguments, &purged)?);
        // Further stages read what the first one says.
        arguments.topic = None;
    }
    let first = {
        let ended = select_all(running.iter_mut().map(|runtime| Box::pin(runtime.ended())));
        tokio::select! {
            (ended, which, _) = ended => Some((ended, which)),
            _ = interrupt.recv() => None,
            _ = terminate.recv() => None,
        }
    };
    let (mut outcome, over) = match first {
        Some((ended, which)) => (ended, Some(which)),
        None => (Ok(()), None),
    };
    running.iter().for_each(|runtime| runtime.status().stop());
    for (which, runtime) in running.iter_mut().enumerate() {
        if Some(which) != over {
            outcome = outcome.and(runtime.ended().await);
        }
    }
    Ok(outcome?)
}

impl<V: View<Output = Produce>> Stage for App<V> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn topics(&self) -> Topics {
        Topics {
            driving: self.topic,
            beside: self.siblings.clone(),
            changelog: format!("{}.view", self.name),
            writes: self.writes.clone(),
            tables: self.looks_into.clone(),
        }
    }

    fn start(
        self: Box<Self>,
        arguments: &Arguments,
        purged: &[&'static str],
    ) -> Result<Runtime, Error> {
        let Self { name, topic, view, tables, siblings, poison, bounds, .. } = *self;
        let Arguments { bootstrap, prefix, topic: other, instance, state, .. } = arguments;
        let reads = |through: &&&str| **through == topic || siblings.contains(*through);
        let topics: Vec<_> = purged.iter().filter(reads).map(|t| format!("{prefix}{t}")).collect();
        let id = format!("{prefix}{name}");
        let kafka = KafkaConfig { bootstrap: bootstrap.clone(), ..KafkaConfig::default() };
        let Open { tables, is_ready } = tables(&kafka, prefix)?;
        let config = RuntimeConfig {
            name,
            kafka,
            group: GroupConfig {
                instance: Some(format!("{id}-{instance}")),
                ..GroupConfig::new(id.clone())
            },
            topic: format!("{prefix}{}", other.as_deref().unwrap_or(topic)),
            siblings: siblings.iter().map(|topic| format!("{prefix}{topic}")).collect(),
            purge: (!topics.is_empty()).then_some(Purge { topics, every: PURGE_EVERY }),
            until: None,
            changelog: format!("{id}.view"),
            advert: None,
            transaction: TransactionConfig {
                id: format!("{id}-{instance}"),
                timeout_ms: 10_000,
                marks: 4096,
                producer: ProducerConfig::default(),
            },
            pacing: Pacing::default(),
            state_folder: state.clone(),
            write_every: Duration::from_secs(10),
            tombstones_kept: Duration::from_secs(23 * 3_600),
            restores_max: 4,
            read_ahead_bytes_max: READ_AHEAD_BYTES_MAX,
            bounds,
            finish_max: Duration::from_secs(5),
        };
        let parts = Parts {
            view,
            tables,
            is_ready,
            sink: Arc::new(Pass { name, prefix: prefix.clone(), poison }),
            now_ms: Box::new(now_ms),
            meters: Meters::noop(),
            on_statistics: None,
        };
        Ok(Runtime::start(config, parts)?.0)
    }
}

/// Produces what folds say.
struct Pass {
    name: &'static str,
    prefix: String,
    poison: Option<&'static str>,
}

impl Sink<Produce> for Pass {
    fn assigned(&self, _: u32) {}

    fn opened(&self, partition: u32, epoch: u64) {
        info!(view = self.name, partition, epoch, "partition is live");
    }

    fn closed(&self, _: u32) {}

    fn live(&self, _: At, mut outputs: Vec<Produce>) -> Vec<Produce> {
        if !self.prefix.is_empty() {
            for output in &mut outputs {
                output.topic = format!("{}{}", self.prefix, output.topic).into();
            }
        }
        outputs
    }

    fn poisoned(&self, at: At, raw: Option<&Raw<'_>>, poison: &Poison) -> Option<Produce> {
        warn!(view = self.name, place = %at.place, %poison, "a record is passed over");
        // Where it is an output that was too large, the record itself lies in the topic still.
        let (key, value) = raw.map_or((None, None), |raw| (raw.key, raw.value));
        let mut letter = self.letter(at, (key, value), poison)?;
        letter.headers.push("offset", at.place.offset.to_string().as_bytes());
        Some(letter)
    }

    fn unwoken(&self, at: At, Unwoken { key, poison }: &Unwoken) -> Option<Produce> {
        let partition = at.place.partition;
        warn!(view = self.name, partition, %poison, "a wake is passed over");
        self.letter(at, (Some(key), Some(&[])), poison)
    }
}

impl Pass {
    fn letter(
        &self,
        at: At,
        (key, value): (Option<&[u8]>, Option<&[u8]>),
        poison: &Poison,
    ) -> Option<Produce> {
        let topic = self.poison?;
        let mut headers = Headers::default();
        headers.push("reason", poison.reason);
        headers.push("detail", poison.detail.as_bytes());
        headers.push("partition", at.place.partition.to_string().as_bytes());
        Some(Produce {
            topic: format!("{}{topic}", self.prefix).into(),
            key: key.map(<[u8]>::to_vec),
            value: value.map(<[u8]>::to_vec),
            headers,
        })
    }
}

fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Place;

    #[test]
    fn the_letter_of_an_unwoken_key_deletes_nothing_and_blames_no_record() {
        let pass = Pass { name: "v", prefix: "p.".to_owned(), poison: Some("poisoned") };
        let at = At { place: Place { partition: 3, offset: 7 }, now_ms: 5 };
        let poison = Poison { reason: "wake_panicked", detail: "why".to_owned() };
        let unwoken = Unwoken { key: Arc::from(b"k".as_slice()), poison };
        let names = |letter: &Produce| -> Vec<String> {
            letter.headers.iter().map(|(name, _)| name.to_owned()).collect()
        };
        let letter = pass.unwoken(at, &unwoken).unwrap();
        assert_eq!((&*letter.topic, letter.key.as_deref()), ("p.poisoned", Some(b"k".as_slice())));
        assert_eq!(letter.value.as_deref(), Some(b"".as_slice()));
        assert_eq!(names(&letter), ["reason", "detail", "partition"]);
        let letter = pass.poisoned(at, None, &unwoken.poison).unwrap();
        assert_eq!(names(&letter), ["reason", "detail", "partition", "offset"]);
    }
}
