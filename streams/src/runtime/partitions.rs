//! The partitions of a running view: what happens when they come, get records, and go.

mod disk;
mod held;
mod hook;
mod lookup;

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use clickmill_kafka::{Commit, GroupConsumer, Message, NextOffset, TopicPartition};
use tracing::{error, info, warn};

use self::held::{Held, Phase};
pub(super) use self::hook::Hook;
pub use self::lookup::{Lookup, NotHere, Seen};
use super::purging::Purging;
use super::restoring::{Order, Restoring};
use super::starting::{Start, starts};
use super::{Meters, Parts, RuntimeConfig, Status};
use crate::restore::Restore;
use crate::states::Sealed;
use crate::store::{Extent, Store};
use crate::task::Refused;
use crate::transactions::{Committed, Filled, Instead, Part, Target, Transactions};
use crate::writer::Writer;
use crate::{At, Error, Place, Poison, Raw, Sink, Task, View};

/// How long going back to an offset may take.
const SEEK_WAIT: Duration = Duration::from_secs(5);

/// What a restore may fetch ahead, at the least, bytes.
const RESTORE_QUEUE_BYTES: u64 = 32 << 20;

/// Keys on the disk that are looked at for their age each time that states are written there: a
/// partition of a million keys is through within an hour or so.
const SWEEP_KEYS: usize = 256;

/// How often offsets are committed that have not changed. Kafka forgets those of a topic that the
/// group is not subscribed to after a week, and siblings are such topics.
const OFFSETS_EVERY: Duration = Duration::from_secs(60 * 60);

/// All partitions of a running view. Its lock is held by the thread that polls while it works on
/// a record or closes a transaction, and by whoever looks a state up.
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
    store: Option<Store>,
    status: Status,
    core: Mutex<Core<V>>,
}

struct Core<V: View> {
    held: BTreeMap<u32, Held<V>>,
    /// None while the runtime has not begun, or has given up.
    means: Option<Means<V>>,
    /// What is to end this beginning, found where it could not be returned.
    broken: Option<Error>,
    /// Outputs in the transaction that is being filled.
    outputs: u64,
}

/// What one beginning has.
struct Means<V: View> {
    transactions: Transactions,
    restoring: Restoring<V>,
    writer: Writer,
    purging: Option<Purging>,
}

/// A partition that is live now, and the offsets to read it from again if records slipped in.
type Opened = (u32, Option<Vec<u64>>);

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
        (store, status): (Option<Store>, Status),
    ) -> Self {
        let Parts { view, tables, is_ready, sink, now_ms, meters, on_statistics: _ } = parts;
        let core =
            Mutex::new(Core { held: BTreeMap::new(), means: None, broken: None, outputs: 0 });
        let sources = std::iter::once(&config.topic).chain(&config.siblings).cloned().collect();
        let view = Arc::new(view);
        Self { config, sources, view, tables, is_ready, sink, now_ms, meters, store, status, core }
    }

    pub(super) fn meters(&self) -> &Meters {
        &self.meters
    }

    /// Takes over what a former beginning left open, and gets ready for partitions.
    pub(super) fn begin(&self) -> Result<(), Error> {
        let config = &self.config;
        let target = Target {
            kafka: config.kafka.clone(),
            transaction: config.transaction.clone(),
            changelog: config.changelog.clone(),
            advert: config.advert.clone(),
            instead: self.instead(),
            poisoned: self.meters.poisoned.clone(),
        };
        let transactions = Transactions::start(target, config.pacing)?;
        let restore = Restore {
            view: config.name,
            kafka: config.kafka.clone(),
            changelog: config.changelog.clone(),
            bounds: config.bounds,
            tombstones_kept: config.tombstones_kept,
            queue_bytes_max: config.group.queue_bytes_max.max(RESTORE_QUEUE_BYTES),
            quiet_max: transactions.wait() + Duration::from_secs(5),
        };
        let of = (&self.view, self.store.as_ref());
        let restoring = Restoring::start(&restore, of, config.restores_max)?;
        let purging = config.purge.as_ref().map(|purge| Purging::start(&config.kafka, purge));
        let (writer, purging) = (Writer::start()?, purging.transpose()?);
        let means = Means { transactions, restoring, writer, purging };
        let mut core = self.lock();
        core.means = Some(means);
        core.broken = None;
        core.outputs = 0;
        Ok(())
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
        self.begin()?;
        let ours: Vec<_> = numbers.iter().flat_map(|number| self.at(*number)).collect();
        group.pause(&ours)?;
        let starts = starts(group, &ours)?;
        let mut core = self.lock();
        for (number, start) in numbers.iter().zip(starts.chunks(self.sources.len())) {
            self.open(&mut core, *number, start);
            // What the consumer has fetched beyond that is to be read again.
            if let Some(Held { phase: Phase::Restoring { has_slipped, .. }, .. }) =
                core.held.get_mut(number)
            {
                *has_slipped = true;
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
        drop(core);
        drop(means);
        self.meters.partitions.set(0.0);
    }

    /// Folds a record, and hands what was said to the sink and its records to the transaction.
    pub(super) fn feed(&self, raw: &Raw<'_>) -> Result<(), Error> {
        let mut core = self.lock();
        let Core { held, means, broken, outputs } = &mut *core;
        if let Some(error) = broken.take() {
            return Err(error);
        }
        let (Some(held), Some(means)) = (held.get_mut(&raw.place.partition), means.as_mut()) else {
            return Ok(());
        };
        match &mut held.phase {
            Phase::Live => {}
            Phase::Restoring { has_slipped, .. }
            | Phase::Opening { has_slipped }
            | Phase::Raising { has_slipped } => {
                *has_slipped = true;
                return Ok(());
            }
        }
        if let (0, Some(until)) = (raw.source, &self.config.until)
            && until.get(&raw.place.partition).is_none_or(|until| raw.place.offset >= *until)
        {
            held.is_through = true;
            return Ok(());
        }
        match held.read_to.get_mut(raw.source) {
            Some(read_to) if raw.place.offset >= *read_to => *read_to = raw.place.offset + 1,
            Some(_) | None => return Ok(()),
        }
        let at = At { place: raw.place, now_ms: (self.now_ms)() };
        let transactions = &mut means.transactions;
        // Its state is a record, too.
        transactions.fill(1);
        let raw = &raw.not_from_the_future(at.now_ms);
        let mut said = Vec::new();
        let fed = held.task.feed(&*self.view, raw, (&self.tables, at.now_ms), &mut said);
        // Whom a record has woken has said something, even where the record itself is poison.
        if fed.is_ok() || !said.is_empty() {
            let produce = self.sink.live(at, said);
            *outputs += produce.len() as u64;
            transactions.fill(produce.len());
            held.outputs.extend(produce.into_iter().map(|record| (at, record)));
        }
        match fed {
            Ok(()) => self.meters.folded.increment(1),
            Err(Refused::Poison(poison)) => {
                self.meters.poisoned.increment(1);
                let letter = self.sink.poisoned(at, Some(raw), &poison);
                held.outputs.extend(letter.map(|letter| (at, letter)));
            }
            Err(Refused::Disk(error)) => return Err(error),
        }
        Ok(())
    }

    /// A message as a record of its source.
    pub(super) fn raw<'a>(&self, message: &'a Message<'_>) -> Raw<'a> {
        let source = match self.sources.as_slice() {
            [_] => 0,
            sources => {
                // One of no topic of ours is passed over.
                let topic = message.topic();
                sources.iter().position(|source| source == topic).unwrap_or(usize::MAX)
            }
        };
        Raw { source, ..Raw::of(message) }
    }

    /// Wakes the keys of live partitions whom the wall clock says it is time for, and has offsets
    /// committed that were not for long.
    fn keep_time(&self, core: &mut Core<V>) -> Result<(), Error> {
        let Core { held, means, outputs, .. } = core;
        let Some(means) = means.as_mut() else { return Ok(()) };
        let now_ms = (self.now_ms)();
        for (number, held) in held.iter_mut() {
            if !matches!(held.phase, Phase::Live) {
                continue;
            }
            if self.sources.len() > 1 && held.offsets_at.elapsed() > OFFSETS_EVERY {
                means.transactions.fill(1);
            }
            let place = Place { partition: *number, offset: held.task.next_offset() };
            let (at, mut said) = (At { place, now_ms }, Vec::new());
            let around = (*number, &self.tables, now_ms);
            match held.task.wake_by_the_clock(&*self.view, around, &mut said) {
                Ok(()) => {}
                Err(Refused::Disk(error)) => return Err(error),
                Err(Refused::Poison(_)) => continue,
            }
            if said.is_empty() {
                continue;
            }
            let produce = self.sink.live(at, said);
            *outputs += produce.len() as u64;
            // The state that was woken is a record, too.
            means.transactions.fill(1 + produce.len());
            held.outputs.extend(produce.into_iter().map(|record| (at, record)));
        }
        Ok(())
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
        let (live, next) = {
            let mut core = self.lock();
            if let Some(error) = core.broken.take() {
                return Err(error);
            }
            self.take_restored(&mut core)?;
            let live = self.take_committed(&mut core, Duration::ZERO)?;
            self.keep_time(&mut core)?;
            let Some(means) = &core.means else { return Ok(Next::Rest) };
            if means.transactions.is_due(Instant::now(), is_behind) {
                self.close(&mut core, group)?;
            }
            if self.is_through(&core) {
                self.status.stop();
            }
            (live, core.next())
        };
        for (number, start) in live {
            self.let_go_on(group, number, start.as_deref())?;
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

    fn take_restored(&self, core: &mut Core<V>) -> Result<(), Error> {
        let Some(means) = core.means.as_mut() else { return Ok(()) };
        if !(self.is_ready)() {
            return Ok(());
        }
        while let Some((order, restored)) = means.restoring.next() {
            let Some(held) = core.held.get_mut(&order.partition) else { continue };
            let Phase::Restoring { is_over, has_slipped } = &held.phase else { continue };
            // Of an assignment that is over.
            if !Arc::ptr_eq(is_over, &order.is_over) {
                continue;
            }
            let has_slipped = *has_slipped;
            held.restored(restored?, &self.meters);
            held.phase = Phase::Opening { has_slipped };
            // Its epoch is committed without waiting for a record.
            means.transactions.fill(1);
        }
        Ok(())
    }

    /// Takes note of a commit that has ended; returns the partitions that are live with it.
    fn take_committed(&self, core: &mut Core<V>, wait: Duration) -> Result<Vec<Opened>, Error> {
        let Some(means) = core.means.as_mut() else { return Ok(Vec::new()) };
        if let Some(committed) = means.transactions.ended(wait)? {
            self.committed(core, &committed)?;
        }
        let mut live = Vec::new();
        let is_committing =
            core.means.as_ref().is_some_and(|means| means.transactions.is_committing());
        if !is_committing {
            for (number, held) in &mut core.held {
                if let Phase::Raising { has_slipped } = held.phase {
                    held.phase = Phase::Live;
                    live.push((*number, has_slipped.then(|| held.read_to.clone())));
                    self.sink.opened(*number, held.epoch);
                }
            }
            if !live.is_empty() {
                self.tell(core);
            }
        }
        Ok(live)
    }

    fn committed(&self, core: &mut Core<V>, committed: &Committed) -> Result<(), Error> {
        let Some(means) = core.means.as_mut() else { return Ok(()) };
        let meters = &self.meters;
        meters.commits.increment(1);
        meters.outputs.increment(committed.outputs);
        let (mut keys, mut bytes) = (0, 0);
        let now = Instant::now();
        for (number, held) in &mut core.held {
            if let Some(newest) = committed.producer.marked(*number as usize) {
                held.changelog_next = held.changelog_next.max(newest + 1);
            }
            if matches!(held.phase, Phase::Live) {
                // Nothing was sealed since this commit: all that is sealed is committed.
                if self.write_down(held, (&means.writer, now))? {
                    held.task.states.sweep(held.task.stream_time_ms, SWEEP_KEYS)?;
                }
                held.task.states.make_room();
            }
            keys += held.task.states.len();
            bytes += held.task.states.bytes();
        }
        meters.keys.set(keys as f64);
        meters.bytes.set(bytes as f64);
        match &mut means.purging {
            Some(purging) if purging.is_due() => purging.order(self.folded(&core.held)),
            Some(_) | None => Ok(()),
        }
    }

    /// How far the topics that are purged were folded and committed, where all that was closed is.
    fn folded(&self, held: &BTreeMap<u32, Held<V>>) -> Vec<NextOffset> {
        let Some(purge) = &self.config.purge else { return Vec::new() };
        let of = |(number, held): (&u32, &Held<V>)| {
            let offsets: Vec<_> = self.at(*number).zip(held.closed_to.clone()).collect();
            offsets
        };
        let folded = held.iter().flat_map(of);
        let folded = folded.filter(|(at, offset)| *offset > 0 && purge.topics.contains(&at.topic));
        folded.filter_map(|(at, offset)| next_offset(at, offset)).collect()
    }

    /// Closes the transaction: states go to the changelog, offsets go along.
    fn close(&self, core: &mut Core<V>, group: &dyn Commit) -> Result<(), Error> {
        let Some(means) = core.means.as_mut() else { return Ok(()) };
        let Some(metadata) = group.metadata() else { return Ok(()) };
        let (mut next, mut parts) = (Vec::new(), Vec::with_capacity(core.held.len()));
        for (number, held) in &mut core.held {
            let mut epoch = None;
            if let Phase::Opening { has_slipped } = held.phase {
                // A number that grows even where the changelog was lost.
                held.epoch = (held.epoch + 1).max((self.now_ms)());
                epoch = Some(held.epoch);
                held.phase = Phase::Raising { has_slipped };
            }
            let states = self.seal(*number, held);
            let outputs = std::mem::take(&mut held.outputs);
            parts.push(Part { partition: *number, epoch, outputs, states });
            held.closed_ms = held.task.stream_time_ms;
            let is_time = held.offsets_at.elapsed() > OFFSETS_EVERY;
            let offsets = held.read_to.iter().zip(&mut held.closed_to).zip(self.at(*number));
            for ((read_to, closed_to), at) in offsets {
                if *read_to > *closed_to || (is_time && *read_to > 0) {
                    *closed_to = *read_to;
                    next.extend(next_offset(at, *read_to));
                }
            }
            if is_time {
                held.offsets_at = Instant::now();
            }
        }
        let outputs = std::mem::take(&mut core.outputs);
        means.transactions.close(Filled { parts, next, group: metadata, outputs })
    }

    fn seal(&self, number: u32, held: &mut Held<V>) -> Sealed {
        let (sealed, poisons) = held.task.states.seal(&*self.view);
        for poison in &poisons {
            warn!(partition = number, %poison, "a state cannot be written: it stays as it was");
        }
        self.meters.poisoned.increment(poisons.len() as u64);
        sealed
    }

    fn let_go_on(
        &self,
        group: &GroupConsumer<Hook<V, S>>,
        number: u32,
        starts: Option<&[u64]>,
    ) -> Result<(), Error> {
        let all: Vec<_> = self.at(number).collect();
        group.resume(&all)?;
        for (at, start) in all.into_iter().zip(starts.unwrap_or_default()) {
            if let Some(next) = next_offset(at, *start) {
                group.seek(&next, SEEK_WAIT)?;
            }
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
        self.status.tell(core.held.len() - live);
        self.meters.partitions.set(core.held.len() as f64);
    }

    /// Takes a partition that was assigned, with where to start in each source, and has it restored.
    fn open(&self, core: &mut Core<V>, number: u32, starts: &[Start]) {
        for (Start { next: read_to, misfit }, topic) in starts.iter().zip(&self.sources) {
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
        core.held.insert(
            number,
            Held {
                task: Task::new(self.config.bounds),
                phase: Phase::Restoring { is_over, has_slipped: false },
                epoch: 0,
                read_to: read_to.clone(),
                closed_to: read_to.clone(),
                is_through: false,
                offsets_at: Instant::now(),
                closed_ms: 0,
                changelog_next: 0,
                extent: Extent::default(),
                round: None,
                written_at: Instant::now(),
                outputs: Vec::new(),
            },
        );
        info!(view = self.config.name, partition = number, ?read_to, "partition is assigned");
    }

    /// Commits what was folded and brings the states of partitions that go to the disk.
    fn finish(&self, core: &mut Core<V>, group: &dyn Commit, numbers: &[u32]) -> Result<(), Error> {
        let until = Instant::now() + self.config.finish_max;
        self.settle(core, until)?;
        let is_filling = core.means.as_ref().is_some_and(|means| means.transactions.is_filling());
        if is_filling {
            self.close(core, group)?;
            self.settle(core, until)?;
        }
        for number in numbers {
            let Some(held) = core.held.get_mut(number) else { continue };
            let is_live = matches!(held.phase, Phase::Live | Phase::Raising { .. });
            let Some(shelf) = held.task.states.shelf().cloned().filter(|_| is_live) else {
                continue;
            };
            if held.task.states.is_changed() {
                // Not committed: the changelog is ahead of the disk then, as after a crash.
                continue;
            }
            let store = shelf.store();
            let is_behind = |held: &Held<V>| shelf.written() < held.extent.batches;
            while is_behind(held) && !store.is_given_up() && Instant::now() < until {
                std::thread::park_timeout(Duration::from_millis(1));
            }
            self.begin_round(held);
            while !is_behind(held) && held.round.is_some() && !store.is_given_up() {
                if let Err(failure) = held.next_batch(shelf.clone()).put() {
                    store.give_up(&failure);
                }
            }
        }
        Ok(())
    }

    /// Waits until no commit is on its way.
    fn settle(&self, core: &mut Core<V>, until: Instant) -> Result<(), Error> {
        loop {
            let Some(means) = core.means.as_mut() else { return Ok(()) };
            if !means.transactions.is_committing() {
                return Ok(());
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Error::Broken("a commit in time".to_owned()));
            }
            if let Some(committed) = means.transactions.ended(left)? {
                self.committed(core, &committed)?;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Core<V>> {
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
