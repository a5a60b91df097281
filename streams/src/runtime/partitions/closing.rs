//! How transactions end: closed when they are due, noted when they are committed, and finished when
//! partitions go.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clickmill_kafka::{Commit, GroupMetadata, NextOffset};
use tracing::{error, warn};

use super::held::{Held, Phase};
use super::{Core, OFFSETS_EVERY, Partitions, next_offset};
use crate::states::Sealed;
use crate::transactions::{Committed, Filled, Part};
use crate::{Error, Sink, View};

/// Keys in memory, and on the disk, that are looked at for their age at once, and how often: a
/// partition of a million keys is through within half an hour.
const SWEEP_KEYS: (usize, usize) = (1024, 128);
const SWEEP_EVERY: Duration = Duration::from_millis(200);

/// Between two looks at a commit or a batch for the disk that is waited for.
const SETTLE_EVERY: Duration = Duration::from_micros(200);

impl<V: View, S: Sink<V::Output>> Partitions<V, S> {
    pub(super) fn take_restored(&self, core: &mut Core<V>) -> Result<(), Error> {
        let Some(means) = core.means.as_mut() else { return Ok(()) };
        while let Some((order, restored)) = means.restoring.next() {
            let Some(held) = core.held.get_mut(&order.partition) else { continue };
            let Phase::Restoring { is_over } = &held.phase else { continue };
            // Of an assignment that is over.
            if !Arc::ptr_eq(is_over, &order.is_over) {
                continue;
            }
            held.restored(restored?, &self.meters);
            if held.is_unknown && held.epoch > 0 {
                self.meters.misfits.increment(1);
                error!(
                    view = self.config.name,
                    partition = order.partition,
                    "the group's offsets are gone and the states are not: what is still in the topic \
                     is folded once more"
                );
            }
            held.phase = Phase::Opening;
            // Its epoch is committed without waiting for a record.
            means.transactions.fill(1);
            means.transactions.hurry();
        }
        Ok(())
    }

    /// Takes note of a commit that has ended; returns the partitions that are live with it.
    pub(super) fn take_committed(&self, core: &mut Core<V>) -> Result<Vec<u32>, Error> {
        let Some(means) = core.means.as_mut() else { return Ok(Vec::new()) };
        if let Some(committed) = means.transactions.ended(Instant::now())? {
            self.committed(core, &committed)?;
        }
        let mut live = Vec::new();
        let is_committing =
            core.means.as_ref().is_some_and(|means| means.transactions.is_committing());
        if !is_committing && (self.is_ready)() {
            for (number, held) in &mut core.held {
                if matches!(held.phase, Phase::Raising) {
                    held.phase = Phase::Live;
                    live.push(*number);
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
            if let Some(newest) = committed.producer.marked(*number as usize)
                && newest >= held.changelog_next
            {
                (held.changelog_next, held.is_before_marker) = (newest + 1, true);
                // Until it is live nothing is folded, so that is the record of its epoch.
                if matches!(held.phase, Phase::Raising) {
                    held.epoch_at = Some(newest);
                }
            }
            if matches!(held.phase, Phase::Live) {
                // Nothing was sealed since this commit: all that is sealed is committed.
                self.write_down(held, (&means.writer, now))?;
                if now.duration_since(held.swept_at) >= SWEEP_EVERY {
                    held.swept_at = now;
                    let forgotten = held.task.states.sweep(held.task.stream_time_ms, SWEEP_KEYS)?;
                    if forgotten > 0 {
                        means.transactions.fill(forgotten);
                    }
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
    pub(super) fn close(&self, core: &mut Core<V>, metadata: GroupMetadata) -> Result<(), Error> {
        let Some(means) = core.means.as_mut() else { return Ok(()) };
        let (mut next, mut parts) = (Vec::new(), Vec::with_capacity(core.held.len()));
        for (number, held) in &mut core.held {
            let mut epoch = None;
            if matches!(held.phase, Phase::Opening) {
                // A number that grows even where the changelog was lost.
                held.epoch = (held.epoch + 1).max((self.now_ms)());
                epoch = Some(held.epoch);
                held.phase = Phase::Raising;
            }
            let states = self.seal(*number, held);
            // About as many will be said again.
            let room = Vec::with_capacity(held.outputs.len());
            let outputs = std::mem::replace(&mut held.outputs, room);
            let says = epoch.is_some() || !outputs.is_empty() || states.len() > 0;
            parts.push(Part { partition: *number, epoch, outputs, states });
            held.closed_ms = held.task.stream_time_ms;
            let is_time = held.offsets_at.elapsed() > OFFSETS_EVERY;
            let offsets = held.read_to.iter().zip(&mut held.closed_to).zip(self.at(*number));
            let before = next.len();
            for ((read_to, closed_to), at) in offsets {
                if *read_to > *closed_to || (is_time && *read_to > 0) {
                    *closed_to = *read_to;
                    next.extend(next_offset(at, *read_to));
                }
            }
            // It is the offsets that the group's coordinator refuses from whoever was replaced: who
            // says anything brings one, even where it has read nothing.
            if says
                && next.len() == before
                && let (Some(read_to), Some(at)) = (held.read_to.first(), self.at(*number).next())
            {
                next.extend(next_offset(at, *read_to));
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

    /// Commits what was folded and brings the states of partitions that go to the disk. Who looks
    /// states up waits neither for Kafka nor for the disk meanwhile.
    pub(super) fn finish(&self, group: &dyn Commit, numbers: &[u32]) -> Result<(), Error> {
        let until = Instant::now() + self.config.finish_max;
        self.settle(until)?;
        let is_filling = |core: &Core<V>| {
            core.means.as_ref().is_some_and(|means| means.transactions.is_filling())
        };
        if is_filling(&self.lock())
            && let Some(metadata) = group.metadata()
        {
            self.close(&mut self.lock(), metadata)?;
            self.settle(until)?;
        }
        for number in numbers {
            self.write_off(*number, until);
        }
        Ok(())
    }

    /// Waits until no commit is on its way.
    fn settle(&self, until: Instant) -> Result<(), Error> {
        loop {
            {
                let mut core = self.lock();
                let Some(means) = core.means.as_mut() else { return Ok(()) };
                if !means.transactions.is_committing() {
                    return Ok(());
                }
                if let Some(committed) = means.transactions.ended(Instant::now())? {
                    self.committed(&mut core, &committed)?;
                    return Ok(());
                }
            }
            if Instant::now() >= until {
                return Err(Error::Broken("a commit in time".to_owned()));
            }
            std::thread::park_timeout(SETTLE_EVERY);
        }
    }

    /// Writes down what of a partition that goes is not on the disk yet. What is not committed stays
    /// away: the changelog is ahead of the disk then, as after a crash.
    fn write_off(&self, number: u32, until: Instant) {
        let mut has_begun = false;
        loop {
            let batch = {
                let mut core = self.lock();
                let Some(held) = core.held.get_mut(&number) else { return };
                let is_live = matches!(held.phase, Phase::Live | Phase::Raising);
                let shelf = held.task.states.shelf().filter(|shelf| {
                    is_live && !held.task.states.is_changed() && !shelf.store().is_given_up()
                });
                let Some(shelf) = shelf.cloned() else { return };
                if shelf.written() < held.extent.batches {
                    // Those that are on their way come first.
                    None
                } else {
                    if !std::mem::replace(&mut has_begun, true) {
                        self.begin_round(held);
                    }
                    if held.round.is_none() {
                        return;
                    }
                    Some(held.next_batch(shelf))
                }
            };
            match batch {
                Some(batch) => {
                    // It has to outlive this process, which somebody waits for; that it may not
                    // outlive the machine yet is noticed there, as after a crash.
                    if let Err(failure) = batch.shelf.put(&batch.entries, &batch.extent) {
                        batch.shelf.store().give_up(&failure);
                    }
                }
                None if Instant::now() >= until => return,
                None => std::thread::park_timeout(SETTLE_EVERY),
            }
        }
    }
}
