//! Runs a view on a consumer group: one thread reads, folds, hands outputs on and commits.
//!
//! A partition that is assigned is read from its start (or so many records before the committed
//! offset), and what lies before the committed offset is folded for the state alone. That happens
//! among the records of the partitions that are live already: they wait behind at most what the
//! consumer has fetched ahead, `queue_bytes_max` of its configuration.

mod partitions;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use clickmill_kafka::{
    Class, Commit as _, GroupConfig, GroupConsumer, Hooks, KafkaConfig, OnStatistics, Producer,
    TopicPartition,
};
use metrics::{Counter, Gauge};
use tokio::sync::oneshot;
use tracing::{info, warn};

use self::partitions::Partitions;
use crate::keys::Bounds;
use crate::{Error, Place, Raw, Sink, View};

/// How a view is run.
#[derive(Clone, Debug)]
pub struct RuntimeConfig {
    /// What the view is called in logs.
    pub name: &'static str,
    /// How to reach Kafka.
    pub kafka: KafkaConfig,
    /// The consumer group.
    pub group: GroupConfig,
    /// The topic that drives the view, in full.
    pub topic: String,
    /// How often offsets are committed.
    pub commit_every: Duration,
    /// How many records before the committed offset the state is rebuilt from; none means all.
    pub restore_records_max: Option<u64>,
    /// How much each partition remembers.
    pub bounds: Bounds,
    /// Most records whose outputs wait for acknowledgement; beyond it reading stops for a while.
    pub open_records_max: usize,
    /// How long outputs may still be waited for when a partition is given up.
    pub finish_max: Duration,
}

/// What a runtime is made of.
pub struct Parts<V: View, S> {
    /// The fold.
    pub view: V,
    /// The tables it looks into.
    pub tables: V::Tables,
    /// Where its outputs go.
    pub sink: Arc<S>,
    /// What its outputs are produced with.
    pub producer: Producer,
    /// Tells the wall time, ms.
    pub now_ms: Box<dyn Fn() -> u64 + Send + Sync>,
    /// What is counted.
    pub meters: Meters,
    /// Called with the consumer's statistics.
    pub on_statistics: Option<OnStatistics>,
}

impl<V: View, S> fmt::Debug for Parts<V, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts").field("producer", &self.producer).finish_non_exhaustive()
    }
}

/// What a runtime counts.
#[derive(Clone, Debug)]
pub struct Meters {
    /// Records folded for the state alone.
    pub replayed: Counter,
    /// New records folded.
    pub folded: Counter,
    /// Records that could not be read, or outputs that Kafka never takes.
    pub poisoned: Counter,
    /// Outputs that were acknowledged.
    pub acknowledged: Counter,
    /// Outputs that had to be sent again.
    pub resent: Counter,
    /// Commits of offsets.
    pub commits: Counter,
    /// Partitions that are ours.
    pub partitions: Gauge,
    /// Keys that are remembered.
    pub keys: Gauge,
    /// Records whose outputs wait for acknowledgement.
    pub open: Gauge,
}

impl Meters {
    /// Counts nothing.
    pub fn noop() -> Self {
        let (counter, gauge) = (Counter::noop, Gauge::noop);
        Self {
            replayed: counter(),
            folded: counter(),
            poisoned: counter(),
            acknowledged: counter(),
            resent: counter(),
            commits: counter(),
            partitions: gauge(),
            keys: gauge(),
            open: gauge(),
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

    /// How many partitions are being rebuilt.
    pub fn restoring(&self) -> usize {
        self.shared.restoring.load(Ordering::Acquire)
    }

    /// Asks the runtime to end: what was read is finished, acknowledged and committed first.
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
}

/// A view that runs.
#[derive(Debug)]
pub struct Runtime {
    name: &'static str,
    status: Status,
    ended: oneshot::Receiver<Result<(), Error>>,
}

impl Runtime {
    /// Joins the group and starts to read.
    ///
    /// # Errors
    /// Names the setting that is wrong.
    pub fn start<V: View, S: Sink<V::Output>>(
        config: RuntimeConfig,
        parts: Parts<V, S>,
    ) -> Result<Self, Error> {
        let (name, status) = (config.name, Status::default());
        let (tell, ended) = oneshot::channel();
        let mut reading = Reading::new(config, parts, status.clone())?;
        std::thread::Builder::new()
            .name(format!("view-{name}"))
            .spawn(move || {
                let ended = reading.run();
                // Revokes the partitions: outputs finish and offsets are committed in the hook.
                drop(reading);
                // Nobody may be waiting for the end; then there is nobody to tell.
                let _ = tell.send(ended);
            })
            .map_err(|source| Error::Thread { name: name.to_owned(), source })?;
        Ok(Self { name, status, ended })
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

/// The reading thread.
struct Reading<V: View, S: Sink<V::Output>> {
    consumer: GroupConsumer<Partitions<V, S>>,
    config: RuntimeConfig,
    status: Status,
    is_paused: bool,
}

impl<V: View, S: Sink<V::Output>> Reading<V, S> {
    fn new(config: RuntimeConfig, mut parts: Parts<V, S>, status: Status) -> Result<Self, Error> {
        let on_statistics = parts.on_statistics.take();
        let rebalance = Partitions::new(config.clone(), parts, status.clone());
        let hooks = Hooks { rebalance, on_statistics };
        let topics = [config.topic.as_str()];
        let consumer = GroupConsumer::subscribe(&config.kafka, &config.group, &topics, hooks)?;
        Ok(Self { consumer, config, status, is_paused: false })
    }

    fn run(&mut self) -> Result<(), Error> {
        info!(view = self.config.name, topic = self.config.topic, "view is starting");
        // A poll returns at once when there is a record; it waits this long for nothing, so that
        // acknowledgements are noticed.
        let wait = self.config.commit_every.clamp(Duration::from_millis(1), POLL_WAIT_MAX);
        let mut commit_at = Instant::now();
        while !self.status.is_stopped() {
            self.step(wait)?;
            let now = Instant::now();
            if now >= commit_at {
                commit_at = now + self.config.commit_every;
                self.tick(now)?;
            }
        }
        info!(view = self.config.name, "view is stopping");
        Ok(())
    }

    fn step(&self, wait: Duration) -> Result<(), Error> {
        match self.consumer.poll(wait) {
            None => {}
            Some(Ok(message)) => self.consumer.rebalance().feed(&Raw {
                place: Place {
                    partition: u32::try_from(message.partition()).unwrap_or_default(),
                    offset: u64::try_from(message.offset()).unwrap_or_default(),
                },
                key: message.key(),
                value: message.value(),
            }),
            Some(Err(error)) if error.class() == Class::Fatal => return Err(error.into()),
            Some(Err(error)) => warn!(view = self.config.name, %error, "reading is held up"),
        }
        Ok(())
    }

    /// Looks after acknowledgements, commits, quiet restores and back-pressure.
    fn tick(&mut self, now: Instant) -> Result<(), Error> {
        let look = self.consumer.rebalance().look(now)?;
        let committed = self.consumer.commit_later(&look.commits);
        if let Err(error) = committed {
            warn!(view = self.config.name, %error, "offsets could not be committed");
        }
        self.hold_back(look.open)
    }

    fn hold_back(&mut self, open: usize) -> Result<(), Error> {
        let max = self.config.open_records_max;
        if open > max {
            // Again each time, since partitions may have come meanwhile.
            self.consumer.pause(&self.assignment()?)?;
            if !self.is_paused {
                warn!(view = self.config.name, open, "outputs are slow: reading stops for a while");
            }
            self.is_paused = true;
        } else if self.is_paused && open <= max / 2 {
            self.consumer.resume(&self.assignment()?)?;
            info!(view = self.config.name, "reading goes on");
            self.is_paused = false;
        }
        Ok(())
    }

    fn assignment(&self) -> Result<Vec<TopicPartition>, Error> {
        Ok(self.consumer.assignment()?)
    }
}

const POLL_WAIT_MAX: Duration = Duration::from_millis(50);
