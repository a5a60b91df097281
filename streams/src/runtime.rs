//! Runs a view on a consumer group: one thread reads, folds, hands outputs on and commits.
//!
//! What holds: outputs, states and offsets of the records between two commits lie in one Kafka
//! transaction. Whatever fails (a broker, a commit, the disk), the runtime drops everything it
//! holds and begins anew from what was committed: there is one way to recover, and a crash takes
//! it as well.

mod partitions;
mod purging;
mod restoring;
mod starting;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use clickmill_kafka::{
    Class, GroupConfig, GroupConsumer, Hooks, KafkaConfig, OnStatistics, Start, Statistics,
    TransactionConfig,
};
use metrics::{Counter, Gauge};
use tokio::sync::oneshot;
use tracing::{error, info, warn};

use self::partitions::{Hook, Next, Partitions};
pub use self::partitions::{Lookup, NotHere, Patience, Seen};
use crate::states::Bounds;
use crate::store::Store;
use crate::transactions::StepMeters;
use crate::{Advert, Error, Pacing, Sink, State as _, View};

/// How much of a partition is read ahead where there is no reason for another bound, bytes.
pub const READ_AHEAD_BYTES_MAX: usize = 1 << 20;

/// How a view is run.
#[derive(Clone, Debug)]
pub struct RuntimeConfig {
    /// What the view is called in logs, and its folder below `state_folder`.
    pub name: &'static str,
    /// How to reach Kafka.
    pub kafka: KafkaConfig,
    /// The consumer group.
    pub group: GroupConfig,
    /// The topic that drives the view, in full. The group shares its partitions out.
    pub topic: String,
    /// Further topics that feed the view, in full, with as many partitions as that one and keys
    /// placed alike: whoever has a partition of it reads the same partition of each of these.
    pub siblings: Vec<String>,
    /// Which of these topics are purged; none keeps what they hold.
    pub purge: Option<Purge>,
    /// Where the view ends by itself: the offset of each partition of the driving topic that is not
    /// folded any more. All partitions must be ours for that; none goes on for ever.
    pub until: Option<BTreeMap<u32, u64>>,
    /// The topic that holds its states, in full: compacted, and with as many partitions.
    pub changelog: String,
    /// How other instances learn which partitions this one owns; none keeps it to itself.
    pub advert: Option<Advert>,
    /// The transactional id and how records are produced. The id belongs to this instance alone and
    /// stays the same over a restart, or what a crash left open blocks readers until it times out.
    pub transaction: TransactionConfig,
    /// When transactions are committed.
    pub pacing: Pacing,
    /// Where states lie on the disk; none keeps them in memory, to be restored whole after a
    /// restart.
    pub state_folder: Option<PathBuf>,
    /// How often states are written to the disk: what a crash reads again from the changelog.
    pub write_every: Duration,
    /// Tombstones may be gone from the changelog after so long (`delete.retention.ms`).
    pub tombstones_kept: Duration,
    /// Partitions that are restored at the same time.
    pub restores_max: usize,
    /// About so many bytes of a partition's records are read ahead while it is restored.
    pub read_ahead_bytes_max: usize,
    /// How much each partition remembers.
    pub bounds: Bounds,
    /// How long the last transaction may take when a partition is given up.
    pub finish_max: Duration,
}

impl RuntimeConfig {
    fn states_bounds(&self) -> Bounds {
        self.bounds.for_records(self.transaction.producer.record_bytes_max)
    }
}

/// Topics that nobody but the view reads: what it has folded is deleted from time to time.
#[derive(Clone, Debug)]
pub struct Purge {
    /// The topics, in full.
    pub topics: Vec<String>,
    /// How often.
    pub every: Duration,
}

/// What a runtime is made of.
pub struct Parts<V: View, S> {
    /// The fold.
    pub view: V,
    /// The tables it looks into.
    pub tables: V::Tables,
    /// Whether the tables hold what folds need of them. Until then partitions are taken and
    /// restored, and nothing is folded.
    pub is_ready: Box<dyn Fn() -> bool + Send + Sync>,
    /// Where its outputs go.
    pub sink: Arc<S>,
    /// Tells the wall time, ms.
    pub now_ms: Box<dyn Fn() -> u64 + Send + Sync>,
    /// What is counted.
    pub meters: Meters,
    /// Called with the consumer's statistics.
    pub on_statistics: Option<OnStatistics>,
}

impl<V: View, S> fmt::Debug for Parts<V, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts").finish_non_exhaustive()
    }
}

/// What a runtime counts.
#[derive(Clone, Debug)]
pub struct Meters {
    /// Records read back from the changelog.
    pub restored: Counter,
    /// Records folded.
    pub folded: Counter,
    /// Records that could not be read, outputs that Kafka never takes, and keys that could not be
    /// woken.
    pub poisoned: Counter,
    /// Outputs that were committed.
    pub outputs: Counter,
    /// Transactions committed.
    pub commits: Counter,
    /// Times that the runtime began anew after a failure.
    pub restarts: Counter,
    /// Partitions whose topic does not fit what was read of it.
    pub misfits: Counter,
    /// Partitions that were paused, since more had come than may be read ahead.
    pub stalls: Counter,
    /// Partitions that are ours.
    pub partitions: Gauge,
    /// Keys whose state is in memory.
    pub keys: Gauge,
    /// Bytes that they are reckoned to take.
    pub bytes: Gauge,
    /// What a commit's time goes to.
    pub steps: StepMeters,
}

impl Meters {
    /// Counts nothing.
    pub fn noop() -> Self {
        let (counter, gauge) = (Counter::noop, Gauge::noop);
        Self {
            restored: counter(),
            folded: counter(),
            poisoned: counter(),
            outputs: counter(),
            commits: counter(),
            restarts: counter(),
            misfits: counter(),
            stalls: counter(),
            partitions: gauge(),
            keys: gauge(),
            bytes: gauge(),
            steps: StepMeters::noop(),
        }
    }
}

/// How a runtime is doing; clones see the same.
#[derive(Clone, Debug, Default)]
pub struct Status {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    has_joined: AtomicBool,
    restoring: AtomicUsize,
    is_stopped: AtomicBool,
}

impl Status {
    /// Whether partitions were assigned at least once and each of them is live.
    pub fn is_ready(&self) -> bool {
        self.shared.has_joined.load(Ordering::Acquire) && self.restoring() == 0
    }

    /// How many partitions are being restored.
    pub fn restoring(&self) -> usize {
        self.shared.restoring.load(Ordering::Acquire)
    }

    /// Asks the runtime to end: what was read is finished and committed first.
    pub fn stop(&self) {
        self.shared.is_stopped.store(true, Ordering::Release);
    }

    fn is_stopped(&self) -> bool {
        self.shared.is_stopped.load(Ordering::Acquire)
    }

    fn tell(&self, restoring: usize) {
        self.shared.restoring.store(restoring, Ordering::Release);
        self.shared.has_joined.store(true, Ordering::Release);
    }

    fn begin_anew(&self) {
        self.shared.has_joined.store(false, Ordering::Release);
    }
}

/// The way to the states of a view that runs.
pub type Looking<T> = Arc<dyn Lookup<T>>;

/// A view that runs.
#[derive(Debug)]
pub struct Runtime {
    name: &'static str,
    status: Status,
    ended: oneshot::Receiver<Result<(), Error>>,
}

impl Runtime {
    /// Joins the group and starts to read. Returns also the way to look states up. The state's folder
    /// is opened meanwhile: what is wrong with it [ends](Self::ended) the runtime.
    ///
    /// # Errors
    /// When the system gives it no thread.
    pub fn start<V: View, S: Sink<V::Output>>(
        config: RuntimeConfig,
        parts: Parts<V, S>,
    ) -> Result<(Self, Looking<V::State>), Error> {
        let (name, status) = (config.name, Status::default());
        let folder = config.state_folder.as_ref().map(|folder| folder.join(name));
        let opening = spawn("state-opener", move || open(name, folder.as_deref(), V::State::FORM))?;
        let (tell, ended) = oneshot::channel();
        let mut parts = parts;
        let on_statistics = parts.on_statistics.take();
        let partitions =
            Arc::new(Partitions::new(config.clone(), parts, (opening, status.clone())));
        let reading =
            Reading { partitions: Arc::clone(&partitions), config, status: status.clone() };
        spawn(&format!("view-{name}"), move || {
            // Nobody may be waiting for the end; then there is nobody to tell.
            let hook = on_statistics.map(Arc::from);
            let _ = tell.send(reading.run(hook.as_ref()));
        })?;
        Ok((Self { name, status, ended }, partitions))
    }

    /// How it is doing, and the way to stop it.
    pub fn status(&self) -> Status {
        self.status.clone()
    }

    /// Resolves when the runtime has ended: after [`Status::stop`], or because it cannot go on.
    /// May be awaited again only until it has resolved.
    ///
    /// # Errors
    /// Why it cannot go on.
    pub async fn ended(&mut self) -> Result<(), Error> {
        match (&mut self.ended).await {
            Ok(ended) => ended,
            Err(_) => Err(Error::Broken(self.name.to_owned())),
        }
    }
}

fn spawn<T: Send + 'static>(
    name: &str,
    run: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>, Error> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(run)
        .map_err(|source| Error::Thread { name: name.to_owned(), source })
}

/// Opens the disk, if there is one. One that is full costs the local copy, not the view.
fn open(view: &str, folder: Option<&Path>, form: u8) -> Result<Option<Store>, Error> {
    let Some(folder) = folder else { return Ok(None) };
    let made = std::fs::create_dir_all(folder).map_err(|error| match error.kind() {
        std::io::ErrorKind::StorageFull => Error::Full(folder.display().to_string()),
        _ => Error::Store(format!("{}: {error}", folder.display())),
    });
    match made.and_then(|()| Store::open(folder, form)) {
        Ok(store) => Ok(Some(store)),
        Err(failure @ Error::Full(_)) => {
            error!(view, %failure, "states stay in memory alone");
            Ok(None)
        }
        Err(failure) => Err(failure),
    }
}

/// The reading thread.
struct Reading<V: View, S: Sink<V::Output>> {
    partitions: Arc<Partitions<V, S>>,
    config: RuntimeConfig,
    status: Status,
}

/// What is called with the consumer's statistics.
type StatisticsHook = dyn Fn(&Statistics) + Send + Sync;

/// How long reading waits at the most while a transaction is filled or committed, and while none
/// is: restores are looked after then.
const READ_WAIT: Duration = Duration::from_millis(1);
const REST_WAIT: Duration = Duration::from_millis(10);

/// How long Kafka may take to tell of topics.
const ASK_WAIT: Duration = Duration::from_secs(10);

/// Records that are folded between two looks at commits.
const POLLS_MAX: usize = 256;

/// How long the first and the last wait before a new beginning are.
const ANEW_AFTER: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

impl<V: View, S: Sink<V::Output>> Reading<V, S> {
    /// Reads until it is stopped, however often it has to begin anew.
    fn run(&self, on_statistics: Option<&Arc<StatisticsHook>>) -> Result<(), Error> {
        info!(view = self.config.name, topic = self.config.topic, "view is starting");
        let mut wait = ANEW_AFTER.0;
        while !self.status.is_stopped() {
            let began = Instant::now();
            let on_statistics = on_statistics.cloned().map(|hook| {
                Box::new(move |statistics: &Statistics| hook(statistics)) as OnStatistics
            });
            match self.run_once(on_statistics) {
                Ok(()) => break,
                Err(Error::Kafka(error)) if error.class() == Class::Fatal => {
                    return Err(error.into());
                }
                Err(error) if self.partitions.is_without_store() => return Err(error),
                Err(error) => {
                    warn!(view = self.config.name, %error, "the view begins anew");
                    self.partitions.meters().restarts.increment(1);
                    self.status.begin_anew();
                }
            }
            wait = if began.elapsed() > ANEW_AFTER.1 { ANEW_AFTER.0 } else { wait };
            std::thread::park_timeout(wait);
            wait = (wait * 2).min(ANEW_AFTER.1);
        }
        info!(view = self.config.name, "view has stopped");
        Ok(())
    }

    /// Takes the group's partitions and works on them until it is stopped or something fails.
    fn run_once(&self, on_statistics: Option<OnStatistics>) -> Result<(), Error> {
        let hooks = Hooks { rebalance: Hook(Arc::clone(&self.partitions)), on_statistics };
        // Each partition is told where to start. Where that is gone later on, it is looked at anew.
        let group = &GroupConfig { start: Start::Refuse, ..self.config.group.clone() };
        // First, since it takes its time to find the group's coordinator.
        let consumer = GroupConsumer::new(&self.config.kafka, group, hooks)?;
        // It joins beside whatever else begins, and gets no partitions before it is polled.
        self.partitions.begin(|| {
            self.check_siblings(&consumer)?;
            Ok(consumer.subscribe(&[self.config.topic.as_str()])?)
        })?;
        let outcome = self.keep_reading(&consumer);
        if outcome.is_err() {
            self.partitions.give_up();
        }
        // Revokes the partitions: the last transaction is committed in the hook.
        drop(consumer);
        self.partitions.end();
        outcome
    }

    /// A key's records must lie in partitions of one number.
    fn check_siblings(&self, consumer: &GroupConsumer<Hook<V, S>>) -> Result<(), Error> {
        let RuntimeConfig { topic, siblings, .. } = &self.config;
        if siblings.is_empty() {
            return Ok(());
        }
        let of = |topic: &str| {
            let partitions = consumer.partitions(topic, ASK_WAIT)?;
            partitions.ok_or_else(|| Error::NoTopic(topic.to_owned()))
        };
        let wanted = of(topic)?;
        for sibling in siblings {
            let partitions = of(sibling)?;
            if partitions != wanted {
                let (topic, sibling) = (topic.clone(), sibling.clone());
                return Err(Error::NotAlike { sibling, partitions, topic, wanted });
            }
        }
        Ok(())
    }

    /// Reads, and goes back to what was committed when a transaction fails, without leaving the
    /// group.
    fn keep_reading(&self, consumer: &GroupConsumer<Hook<V, S>>) -> Result<(), Error> {
        let mut wait = ANEW_AFTER.0;
        let mut began = Instant::now();
        let mut outcome = self.read(consumer);
        loop {
            match outcome {
                Ok(()) => return Ok(()),
                // The consumer itself is of no use any more.
                Err(error @ (Error::Lost | Error::Kafka(_))) => return Err(error),
                Err(error) => {
                    warn!(view = self.config.name, %error, "back to what was committed");
                    self.partitions.meters().restarts.increment(1);
                }
            }
            wait = if began.elapsed() > ANEW_AFTER.1 { ANEW_AFTER.0 } else { wait };
            std::thread::park_timeout(wait);
            wait = (wait * 2).min(ANEW_AFTER.1);
            if self.status.is_stopped() {
                // What failed is not to be finished when the partitions go.
                self.partitions.give_up();
                return Ok(());
            }
            began = Instant::now();
            self.partitions.begin_again(consumer)?;
            outcome = self.read(consumer);
        }
    }

    fn read(&self, consumer: &GroupConsumer<Hook<V, S>>) -> Result<(), Error> {
        let mut next = Next::Rest;
        while !self.status.is_stopped() {
            let mut wait = match next {
                Next::Wait => {
                    std::thread::park_timeout(READ_WAIT);
                    next = self.partitions.look_after(consumer, true)?;
                    continue;
                }
                Next::Read => READ_WAIT,
                Next::Rest => REST_WAIT,
            };
            let mut is_behind = true;
            for _ in 0..POLLS_MAX {
                match consumer.poll(wait) {
                    None => {
                        is_behind = false;
                        break;
                    }
                    Some(Ok(message)) => self.partitions.feed(&self.partitions.raw(&message))?,
                    Some(Err(error @ clickmill_kafka::Error::OutOfRange(_))) => {
                        return Err(error.into());
                    }
                    Some(Err(error)) if error.class() == Class::Fatal => return Err(error.into()),
                    Some(Err(error)) => {
                        warn!(view = self.config.name, %error, "reading is held up");
                        break;
                    }
                }
                // What is there already is read in one go.
                wait = Duration::ZERO;
            }
            next = self.partitions.look_after(consumer, is_behind)?;
        }
        info!(view = self.config.name, "view is stopping");
        Ok(())
    }
}
