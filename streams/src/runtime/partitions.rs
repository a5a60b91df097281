//! The partitions of a running view: what happens when they come, get records, and go.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use clickmill_kafka::{
    Commit, NextOffset, Pending, Rebalance, Revocation, StartAt, TopicPartition,
};
use tracing::{info, warn};

use super::{Parts, RuntimeConfig, Status};
use crate::ledger::{Ledger, Settled};
use crate::{At, Error, Poison, Raw, Sink, Task, View};

/// How long the coordinator may take to tell the committed offsets.
const COMMITTED_WAIT: Duration = Duration::from_secs(10);

/// When no record comes for so long, a partition that is still being rebuilt has none left before
/// its committed offset: retention took them, or transaction markers lie there.
const QUIET: Duration = Duration::from_secs(3);

/// All partitions of a running view. Its lock is taken only by the thread that polls, the hooks
/// included, so it never waits.
pub(super) struct Partitions<V: View, S> {
    config: RuntimeConfig,
    parts: Parts<V, S>,
    status: Status,
    open: Mutex<Open<V>>,
}

struct Open<V: View> {
    partitions: BTreeMap<u32, Partition<V>>,
    /// When a record came last, of whatever partition: one may wait behind many of another.
    last_record_at: Instant,
}

struct Partition<V: View> {
    task: Task<V>,
    ledger: Ledger<Pending>,
    /// Records before this offset are folded for the state alone, whenever they come.
    restore_to: u64,
    /// Whether those records have all come.
    is_live: bool,
}

/// What a look at all partitions found.
#[derive(Debug, Default)]
pub(super) struct Look {
    pub(super) commits: Vec<NextOffset>,
    pub(super) open: usize,
}

impl<V: View, S: Sink<V::Output>> Partitions<V, S> {
    pub(super) fn new(config: RuntimeConfig, parts: Parts<V, S>, status: Status) -> Self {
        let open = Open { partitions: BTreeMap::new(), last_record_at: Instant::now() };
        Self { config, parts, status, open: Mutex::new(open) }
    }

    /// Folds a record, and hands what was said to the sink.
    pub(super) fn feed(&self, raw: &Raw<'_>) {
        let mut open = self.lock();
        open.last_record_at = Instant::now();
        let Some(partition) = open.partitions.get_mut(&raw.place.partition) else { return };
        let at = At { place: raw.place, now_ms: (self.parts.now_ms)() };
        let is_new = raw.place.offset >= partition.restore_to;
        let has_opened = is_new && self.go_live(raw.place.partition, partition);
        let parts = &self.parts;
        let said = partition.task.feed(&parts.view, raw, (&parts.tables, at.now_ms));
        if is_new {
            let outputs = match said {
                Ok(outputs) => {
                    parts.meters.folded.increment(1);
                    parts.sink.live(at, outputs)
                }
                Err(poison) => {
                    self.poisoned(at, Some(raw), &poison);
                    Vec::new()
                }
            };
            partition.ledger.enter(raw.place.offset, outputs, &parts.producer);
        } else {
            parts.meters.replayed.increment(1);
            // What cannot be read was reported when it was new.
            parts.sink.replayed(at, said.unwrap_or_default());
        }
        // The last one before the committed offset: live before the next record comes.
        let is_last = raw.place.offset + 1 == partition.restore_to;
        if has_opened || (is_last && self.go_live(raw.place.partition, partition)) {
            self.tell(&open);
        }
    }

    /// True if the partition was not live before.
    fn go_live(&self, number: u32, partition: &mut Partition<V>) -> bool {
        let was_live = std::mem::replace(&mut partition.is_live, true);
        if !was_live {
            self.parts.sink.opened(number);
        }
        !was_live
    }

    /// Looks after acknowledgements and restores; returns what can be committed.
    pub(super) fn look(&self, now: Instant) -> Result<Look, Error> {
        let mut open = self.lock();
        let mut look = Look::default();
        let mut keys = 0;
        let is_quiet = now.duration_since(open.last_record_at) > QUIET;
        for (number, partition) in &mut open.partitions {
            let settled = partition.ledger.settle(&self.parts.producer, now);
            self.count(*number, &settled)?;
            look.open += partition.ledger.open();
            look.commits.extend(self.next_offset(*number, partition));
            keys += partition.task.keys();
            if is_quiet && self.go_live(*number, partition) {
                warn!(partition = number, "fewer records than were committed; going live");
            }
        }
        let meters = &self.parts.meters;
        meters.open.set(look.open as f64);
        meters.keys.set(keys as f64);
        meters.commits.increment(u64::from(!look.commits.is_empty()));
        if !open.partitions.is_empty() {
            self.tell(&open);
        }
        Ok(look)
    }

    fn count(&self, partition: u32, settled: &Settled) -> Result<(), Error> {
        let meters = &self.parts.meters;
        meters.acknowledged.increment(settled.acknowledged);
        meters.resent.increment(settled.resent);
        for offset in &settled.refused {
            let place = crate::Place { partition, offset: *offset };
            let at = At { place, now_ms: (self.parts.now_ms)() };
            let poison = Poison {
                reason: "output_too_large",
                detail: "Kafka does not take a record of that size".to_owned(),
            };
            self.poisoned(at, None, &poison);
        }
        if settled.is_fatal {
            let why = self.parts.producer.fatal_error();
            return Err(Error::Producer(why.unwrap_or_else(|| "no reason given".to_owned())));
        }
        Ok(())
    }

    fn poisoned(&self, at: At, raw: Option<&Raw<'_>>, poison: &Poison) {
        self.parts.meters.poisoned.increment(1);
        self.parts.sink.poisoned(at, raw, poison);
    }

    fn next_offset(&self, number: u32, partition: &mut Partition<V>) -> Option<NextOffset> {
        let offset = i64::try_from(partition.ledger.take_commit()?).ok()?;
        Some(NextOffset { at: self.topic_partition(number)?, offset })
    }

    fn topic_partition(&self, number: u32) -> Option<TopicPartition> {
        let partition = i32::try_from(number).ok()?;
        Some(TopicPartition { topic: self.config.topic.clone(), partition })
    }

    fn tell(&self, open: &Open<V>) {
        let partitions = &open.partitions;
        self.status.tell(partitions.values().filter(|partition| !partition.is_live).count());
        self.parts.meters.partitions.set(partitions.len() as f64);
    }

    fn open(&self, number: u32, committed: Option<u64>) -> StartAt {
        let restore_to = committed.unwrap_or_default();
        let mut partition = Partition {
            task: Task::new(self.config.bounds),
            ledger: Ledger::new(),
            restore_to,
            is_live: false,
        };
        self.parts.sink.assigned(number);
        if restore_to == 0 {
            self.go_live(number, &mut partition);
        }
        let mut open = self.lock();
        open.last_record_at = Instant::now();
        open.partitions.insert(number, partition);
        info!(view = self.config.name, partition = number, restore_to, "partition is assigned");
        let records_max = self.config.restore_records_max.unwrap_or(u64::MAX);
        match i64::try_from(restore_to.saturating_sub(records_max)) {
            Ok(from) if from > 0 => StartAt::Offset(from),
            Ok(_) | Err(_) => StartAt::Beginning,
        }
    }

    /// Waits until the outputs of these partitions are acknowledged, or the time is up.
    fn finish(&self, numbers: &[u32], until: Instant) -> Vec<NextOffset> {
        loop {
            let mut open = self.lock();
            let now = Instant::now();
            let mut waiting = 0;
            for number in numbers {
                let Some(partition) = open.partitions.get_mut(number) else { continue };
                let settled = partition.ledger.settle(&self.parts.producer, now);
                // A broken producer shows again where the runtime can end for it.
                let _ = self.count(*number, &settled);
                waiting += partition.ledger.open();
            }
            if waiting == 0 || now >= until {
                if waiting > 0 {
                    warn!(waiting, "partitions are given up before all outputs were acknowledged");
                }
                let ours = numbers.iter().filter_map(|number| {
                    let partition = open.partitions.get_mut(number)?;
                    self.next_offset(*number, partition)
                });
                return ours.collect();
            }
            drop(open);
            std::thread::park_timeout(Duration::from_millis(1));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Open<V>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<V: View, S: Sink<V::Output>> Rebalance for Partitions<V, S> {
    fn assigned(&self, group: &dyn Commit, added: &[TopicPartition]) -> Vec<StartAt> {
        let committed = loop {
            match group.committed(added, COMMITTED_WAIT) {
                Ok(committed) => break Some(committed),
                // Without the committed offsets old outputs could not be told from new ones.
                Err(error) => warn!(%error, "committed offsets are not known yet"),
            }
            if self.status.is_stopped() {
                break None;
            }
        };
        let starts = added
            .iter()
            .map(|at| {
                let offset = match &committed {
                    Some(committed) => {
                        committed.get(at).and_then(|offset| u64::try_from(*offset).ok())
                    }
                    // It stops before they were known: nothing is taken for new.
                    None => Some(u64::MAX),
                };
                self.open(u32::try_from(at.partition).unwrap_or_default(), offset)
            })
            .collect();
        self.tell(&self.lock());
        starts
    }

    fn revoked(&self, group: &dyn Commit, removed: &[TopicPartition], how: Revocation) {
        let numbers: Vec<u32> =
            removed.iter().filter_map(|at| u32::try_from(at.partition).ok()).collect();
        if how == Revocation::Asked {
            let offsets = self.finish(&numbers, Instant::now() + self.config.finish_max);
            if let Err(error) = group.commit(&offsets) {
                warn!(%error, "the last offsets could not be committed: outputs will repeat");
            }
        }
        let mut open = self.lock();
        for number in &numbers {
            open.partitions.remove(number);
            self.parts.sink.closed(*number);
        }
        self.tell(&open);
        info!(view = self.config.name, partitions = ?numbers, ?how, "partitions are given up");
    }
}

#[cfg(test)]
mod tests;
