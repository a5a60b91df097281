//! The partitions of a running view: what happens when they come, get records, and go.

mod closing;
mod disk;
mod feeding;
mod held;
mod hook;
mod lookup;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use clickmill_kafka::{Commit, Ends, GroupConsumer, NextOffset, TopicPartition};
use tracing::{error, info};

use self::held::{Held, Phase};
pub(super) use self::hook::Hook;
pub use self::lookup::{Lookup, NotHere, Patience, Seen};
use super::purging::Purging;
use super::restoring::{Order, Restoring};
use super::starting::{self, Start, starts};
use super::{Meters, Parts, RuntimeConfig, Status};
use crate::restore::Restore;
use crate::store::Store;
use crate::transactions::{Instead, Pair, Target, Transactions, both};
use crate::writer::Writer;
use crate::{Error, Place, Poison, Sink, Task, View};

/// How long going back to an offset may take.
const SEEK_WAIT: Duration = Duration::from_secs(5);

/// What a restore may fetch ahead, at the least, bytes.
const RESTORE_QUEUE_BYTES: u64 = 32 << 20;

/// How often offsets are committed that have not changed. Kafka forgets those of a topic that the
/// group is not subscribed to after a week, and siblings are such topics.
const OFFSETS_EVERY: Duration = Duration::from_secs(60 * 60);

/// All partitions of a running view. Its lock is held by the thread that polls while it works on
/// a record or closes a transaction, and by whoever looks a state up; never while Kafka is waited
/// for.
pub(super) struct Partitions<V: View, S> {
    config: RuntimeConfig,
    /// The topics that feed the view; the first one drives it.
    sources: Vec<String>,
    view: Arc<V>,
    tables: V::Tables,
    is_ready: Box<dyn Fn() -> bool + Send + Sync>,
    sink: Arc<S>,
    now_ms: Box<dyn Fn() -> u64 + Send + Sync>,
    meters: Meters,
    /// What opens the disk, until that is waited for.
    opening: Mutex<Option<Opening>>,
    /// None where states stay in memory.
    store: OnceLock<Option<Store>>,
    status: Status,
    core: Mutex<Core<V>>,
    /// Taken for as long as one waits for the core, so that nobody is passed by for ever.
    turn: Mutex<()>,
    /// Which partitions are ours, live or not: what may be asked at any time.
    ours: RwLock<BTreeSet<u32>>,
}

struct Core<V: View> {
    held: BTreeMap<u32, Held<V>>,
    /// None while the runtime has not begun, or has given up.
    means: Option<Means<V>>,
    /// What is to end this beginning, found where it could not be returned.
    broken: Option<Error>,
    /// Outputs in the transaction that is being filled.
    outputs: u64,
    /// Records, by source and place, whose fold panicked: they are poison when they come again.
    cursed: BTreeSet<(usize, Place)>,
}

/// What one beginning has.
struct Means<V: View> {
    transactions: Transactions,
    restoring: Restoring<V>,
    writer: Writer,
    purging: Option<Purging>,
}

/// The thread that opens the disk, beside whatever else takes its time at the start.
pub(super) type Opening = JoinHandle<Result<Option<Store>, Error>>;

/// What the reading thread does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Wait until there is room: the running commit is slow.
    Wait,
    /// Read, and be back soon: a transaction is being filled or committed.
    Read,
    /// Read; there is nothing else to look after.
    Rest,
}

impl<V: View> Core<V> {
    fn next(&self) -> Next {
        match &self.means {
            Some(Means { transactions, .. }) if transactions.is_full() => Next::Wait,
            Some(Means { transactions, .. })
                if transactions.is_filling() || transactions.is_committing() =>
            {
                Next::Read
            }
            _ => Next::Rest,
        }
    }
}

impl<V: View, S: Sink<V::Output>> Partitions<V, S> {
    pub(super) fn new(
        config: RuntimeConfig,
        parts: Parts<V, S>,
        (opening, status): (Opening, Status),
    ) -> Self {
        let Parts { view, tables, is_ready, sink, now_ms, meters, on_statistics: _ } = parts;
        let core = Mutex::new(Core {
            held: BTreeMap::new(),
            means: None,
            broken: None,
            outputs: 0,
            cursed: BTreeSet::new(),
        });
        let sources = std::iter::once(&config.topic).chain(&config.siblings).cloned().collect();
        let view = Arc::new(view);
        let (turn, ours) = (Mutex::default(), RwLock::default());
        Self {
            config,
            sources,
            view,
            tables,
            is_ready,
            sink,
            now_ms,
            meters,
            opening: Mutex::new(Some(opening)),
            store: OnceLock::new(),
            status,
            core,
            turn,
            ours,
        }
    }

    pub(super) fn meters(&self) -> &Meters {
        &self.meters
    }

    /// Takes over what a former beginning left open, and gets ready for partitions, which the group is
    /// asked for by `join` meanwhile.
    pub(super) fn begin(
        &self,
        join: impl FnOnce() -> Result<(), Error> + Send,
    ) -> Result<(), Error> {
        let config = &self.config;
        let target = Target {
            kafka: config.kafka.clone(),
            transaction: config.transaction.clone(),
            poll_interval_max: Duration::from_millis(config.group.poll_interval_max_ms.into()),
            changelog: config.changelog.clone(),
            advert: config.advert.clone(),
            instead: self.instead(),
            poisoned: self.meters.poisoned.clone(),
            steps: self.meters.steps.clone(),
        };
        // Whose disk another process has must not take over from it, nor its partitions.
        let opened = || {
            let store = self.store()?;
            join()?;
            Ok::<_, Error>(store)
        };
        let (pair, store) = both(|| Pair::connect(&target), opened)?;
        let (pair, store) = (pair?, store?);
        let restore = Restore {
            view: config.name,
            kafka: config.kafka.clone(),
            changelog: config.changelog.clone(),
            ends: Ends::new(&config.kafka, config.changelog.clone())?,
            bounds: config.states_bounds(),
            tombstones_kept: config.tombstones_kept,
            queue_bytes_max: config.group.queue_bytes_max.max(RESTORE_QUEUE_BYTES),
            quiet_max: target.wait() + Duration::from_secs(5),
        };
        let of = (&self.view, store);
        let restoring = Restoring::start(&restore, of, config.restores_max)?;
        let transactions = Transactions::start(pair, target, config.pacing)?;
        let purging = config.purge.as_ref().map(|purge| Purging::start(&config.kafka, purge));
        let (writer, purging) = (Writer::start()?, purging.transpose()?);
        let means = Means { transactions, restoring, writer, purging };
        let mut core = self.lock();
        core.means = Some(means);
        core.broken = None;
        core.outputs = 0;
        Ok(())
    }

    /// The disk, once it is open.
    fn store(&self) -> Result<Option<&Store>, Error> {
        let opening = self.opening.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(opening) = opening {
            let opened =
                opening.join().map_err(|_| Error::Broken("opening the disk".to_owned()))?;
            // It is opened once.
            let _ = self.store.set(opened?);
        }
        match self.store.get() {
            Some(store) => Ok(store.as_ref()),
            None => Err(Error::Broken("opening the disk".to_owned())),
        }
    }

    /// Whether the disk could not be opened: then there is no view.
    pub(super) fn is_without_store(&self) -> bool {
        let is_over = self.opening.lock().unwrap_or_else(PoisonError::into_inner).is_none();
        is_over && self.store.get().is_none()
    }

    /// Begins anew with the partitions that are ours: from what the group has committed and what the
    /// changelog holds. A rebalance of others is enough to spoil a commit that is on its way, so
    /// this is not seldom, and the group is not left for it.
    pub(super) fn begin_again(&self, group: &GroupConsumer<Hook<V, S>>) -> Result<(), Error> {
        self.give_up();
        let numbers: Vec<u32> = self.lock().held.keys().copied().collect();
        for number in &numbers {
            if let Some(held) = self.lock().held.remove(number) {
                held.stop_restoring();
            }
            self.sink.closed(*number);
        }
        self.begin(|| Ok(()))?;
        let ours: Vec<_> = numbers.iter().flat_map(|number| self.at(*number)).collect();
        group.pause(&ours)?;
        let starts = starts(group, &ours)?;
        let mut core = self.lock();
        for (number, start) in numbers.iter().zip(starts.chunks(self.sources.len())) {
            self.open(&mut core, *number, start);
            // What the consumer has fetched beyond that is to be read again.
            if let Some(held) = core.held.get_mut(number) {
                held.stall();
            }
        }
        self.tell(&core);
        Ok(())
    }

    /// Drops the transactions that are open: what was folded since the last commit did not happen.
    pub(super) fn give_up(&self) {
        let means = self.lock().means.take();
        // Waits for the disk, so not under the lock.
        drop(means);
    }

    /// After the consumer is gone, and its partitions with it.
    pub(super) fn end(&self) {
        let mut core = self.lock();
        for (number, held) in std::mem::take(&mut core.held) {
            held.stop_restoring();
            self.sink.closed(number);
        }
        let means = core.means.take();
        self.ours.write().unwrap_or_else(PoisonError::into_inner).clear();
        drop(core);
        drop(means);
        self.meters.partitions.set(0.0);
    }

    /// A record that Kafka never takes is poison of its own.
    fn instead(&self) -> Instead {
        let (sink, poisoned) = (Arc::clone(&self.sink), self.meters.poisoned.clone());
        Box::new(move |at, topic| {
            poisoned.increment(1);
            sink.poisoned(at, None, &too_large(topic))
        })
    }

    /// Looks after everything but records: commits, restores, the disk. `is_behind`: there is more
    /// to read. Returns what reading does next.
    pub(super) fn look_after(
        &self,
        group: &GroupConsumer<Hook<V, S>>,
        is_behind: bool,
    ) -> Result<Next, Error> {
        let (stalled, live, is_due) = {
            let mut core = self.lock();
            if let Some(error) = core.broken.take() {
                return Err(error);
            }
            self.take_restored(&mut core)?;
            let live = self.take_committed(&mut core)?;
            self.keep_time(&mut core)?;
            let Some(means) = &core.means else { return Ok(Next::Rest) };
            let is_due = means.transactions.is_due(Instant::now(), is_behind);
            let stalls = |(number, held): (&u32, &mut Held<V>)| held.stalls().then_some(*number);
            let stalled: Vec<_> = core.held.iter_mut().filter_map(stalls).collect();
            self.meters.stalls.increment(stalled.len() as u64);
            (stalled, live, is_due)
        };
        // Told by a thread of librdkafka that may be busy, so whoever looks up does not wait for it.
        let metadata = if is_due { group.metadata() } else { None };
        let next = {
            let mut core = self.lock();
            if let Some(metadata) = metadata {
                self.close(&mut core, metadata)?;
            }
            if self.is_through(&core) {
                self.status.stop();
            }
            core.next()
        };
        for number in stalled {
            group.pause(&self.at(number).collect::<Vec<_>>())?;
        }
        for number in live {
            if let Some(read_to) = self.feed_kept(number)? {
                self.let_go_on(group, number, &read_to)?;
            }
        }
        Ok(next)
    }

    /// Whether the view has come to where it is to end.
    fn is_through(&self, core: &Core<V>) -> bool {
        let (Some(until), Some(means)) = (&self.config.until, &core.means) else { return false };
        if means.transactions.is_filling() || means.transactions.is_committing() {
            return false;
        }
        until.iter().all(|(number, until)| {
            core.held.get(number).is_some_and(|held| {
                let is_live = matches!(held.phase, Phase::Live);
                is_live && (held.is_through || held.read_to.first().is_some_and(|to| to >= until))
            })
        })
    }

    /// Reads a partition that was paused on, from these offsets. Going back to them also wakes
    /// librdkafka, which otherwise fetches what is resumed after up to a second (seen in its source,
    /// and as most of what a restart took).
    fn let_go_on(
        &self,
        group: &GroupConsumer<Hook<V, S>>,
        number: u32,
        starts: &[u64],
    ) -> Result<(), Error> {
        let all: Vec<_> = self.at(number).collect();
        group.resume(&all)?;
        for (at, start) in all.into_iter().zip(starts) {
            group.seek(&at, starting::at(*start), SEEK_WAIT)?;
        }
        Ok(())
    }

    /// A partition of each source, in their order.
    fn at(&self, number: u32) -> impl Iterator<Item = TopicPartition> {
        // Kafka's own numbers are no larger.
        let partition = i32::try_from(number).unwrap_or(i32::MAX);
        self.sources.iter().map(move |topic| TopicPartition { topic: topic.clone(), partition })
    }

    fn tell(&self, core: &Core<V>) {
        let is_live = |held: &&Held<V>| matches!(held.phase, Phase::Live);
        let live = core.held.values().filter(is_live).count();
        *self.ours.write().unwrap_or_else(PoisonError::into_inner) =
            core.held.keys().copied().collect();
        self.status.tell(core.held.len() - live);
        self.meters.partitions.set(core.held.len() as f64);
    }

    /// Takes a partition that was assigned, with where to start in each source, and has it restored.
    fn open(&self, core: &mut Core<V>, number: u32, starts: &[Start]) {
        for (Start { next: read_to, misfit, .. }, topic) in starts.iter().zip(&self.sources) {
            let Some(why) = misfit else { continue };
            self.meters.misfits.increment(1);
            let view = self.config.name;
            error!(view, topic, partition = number, read_to, "{why}; read from its beginning");
        }
        let read_to: Vec<u64> = starts.iter().map(|start| start.next).collect();
        let is_over = Arc::new(AtomicBool::new(false));
        let order =
            Order { partition: number, now_ms: (self.now_ms)(), is_over: Arc::clone(&is_over) };
        let ordered = match &core.means {
            Some(means) => means.restoring.order(order),
            None => Ok(()),
        };
        if let Err(error) = ordered {
            core.broken = Some(error);
        }
        self.sink.assigned(number);
        let task = Task::new(self.config.states_bounds());
        let mut held = Held::restoring(task, read_to.clone(), is_over);
        held.is_unknown = starts.first().is_some_and(|start| start.is_unknown);
        core.held.insert(number, held);
        info!(view = self.config.name, partition = number, ?read_to, "partition is assigned");
    }
}

impl<V: View, S> Partitions<V, S> {
    /// Waits for the core. Whoever waits comes before the one who has just let go of it: a look-up
    /// waits for one record, not for all that was fetched.
    fn lock(&self) -> MutexGuard<'_, Core<V>> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn number(of: &TopicPartition) -> u32 {
    u32::try_from(of.partition).unwrap_or_default()
}

fn next_offset(at: TopicPartition, offset: u64) -> Option<NextOffset> {
    Some(NextOffset { at, offset: i64::try_from(offset).ok()? })
}

fn too_large(topic: &str) -> Poison {
    Poison {
        reason: "output_too_large",
        detail: format!("{topic} does not take a record of that size"),
    }
}
