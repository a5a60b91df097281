//! A partition that is ours: its task, and how far the group, the changelog and the disk are with it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use super::super::Meters;
use crate::restore::Restored;
use crate::store::{Extent, Shelf};
use crate::writer::Batch;
use crate::{At, Place, Produce, Raw, Task, View};

/// About so much of a partition's states goes to the disk at once: what is on its way takes memory
/// several times over.
const BATCH_BYTES: usize = 4 << 20;

pub(super) struct Held<V: View> {
    pub(super) task: Task<V>,
    pub(super) phase: Phase,
    pub(super) epoch: u64,
    /// Where the changelog has the record of that epoch, once it is committed.
    pub(super) epoch_at: Option<u64>,
    /// Everything before these offsets was folded, one for each source.
    pub(super) read_to: Vec<u64>,
    /// Everything before these offsets is in a transaction that was closed.
    pub(super) closed_to: Vec<u64>,
    /// Whether the group knew of no offset in the topic that drives the view.
    pub(super) is_unknown: bool,
    /// Whether a record was seen that is not to be folded any more.
    pub(super) is_through: bool,
    /// When the offsets of all sources were committed last.
    pub(super) offsets_at: Instant,
    /// Stream time by then, ms.
    pub(super) closed_ms: u64,
    /// The changelog up to here is in the states.
    pub(super) changelog_next: u64,
    /// Whether that is right behind a record of ours that was committed.
    pub(super) is_before_marker: bool,
    /// How far the disk is once all batches handed to it are written.
    pub(super) extent: Extent,
    /// How far it is when the round of batches is over, if one is going on.
    pub(super) round: Option<Extent>,
    /// When the last round began.
    pub(super) written_at: Instant,
    /// When keys were looked at for their age last.
    pub(super) swept_at: Instant,
    /// Said, for the transaction that is being filled.
    pub(super) outputs: Vec<(At, Produce)>,
    /// Records that came before they may be folded, and how many bytes they are.
    pub(super) kept: Vec<Kept>,
    kept_bytes: usize,
    /// Whether a record came that was not kept: it must be read again.
    has_slipped: bool,
    /// Whether it is paused until it is live.
    is_stalled: bool,
}

/// A record that is folded later.
pub(super) struct Kept {
    source: usize,
    place: Place,
    key: Option<Box<[u8]>>,
    value: Option<Box<[u8]>>,
    timestamp_ms: u64,
}

impl From<&Raw<'_>> for Kept {
    fn from(raw: &Raw<'_>) -> Self {
        let Raw { source, place, key, value, timestamp_ms } = *raw;
        Self { source, place, key: key.map(Box::from), value: value.map(Box::from), timestamp_ms }
    }
}

impl Kept {
    /// The record.
    pub(super) fn raw(&self) -> Raw<'_> {
        let Self { source, place, key, value, timestamp_ms } = self;
        let (source, place, timestamp_ms) = (*source, *place, *timestamp_ms);
        Raw { source, place, key: key.as_deref(), value: value.as_deref(), timestamp_ms }
    }
}

#[derive(Debug)]
pub(super) enum Phase {
    /// Its states are being read. Until it is live it is read ahead: what comes is kept.
    Restoring {
        is_over: Arc<AtomicBool>,
    },
    /// Its epoch goes into the next transaction.
    Opening,
    /// That transaction is being committed, or has been and folds may not begin yet.
    Raising,
    Live,
}

impl<V: View> Held<V> {
    /// One whose states are still to be restored.
    pub(super) fn restoring(task: Task<V>, read_to: Vec<u64>, is_over: Arc<AtomicBool>) -> Self {
        Self {
            task,
            phase: Phase::Restoring { is_over },
            epoch: 0,
            epoch_at: None,
            closed_to: read_to.clone(),
            read_to,
            is_unknown: false,
            is_through: false,
            offsets_at: Instant::now(),
            closed_ms: 0,
            changelog_next: 0,
            is_before_marker: false,
            extent: Extent::default(),
            round: None,
            written_at: Instant::now(),
            swept_at: Instant::now(),
            outputs: Vec::new(),
            kept: Vec::new(),
            kept_bytes: 0,
            has_slipped: false,
            is_stalled: false,
        }
    }

    /// Takes a record that may not be folded yet, if less than `bytes_max` is kept.
    pub(super) fn keep(&mut self, raw: &Raw<'_>, bytes_max: usize) {
        // None is kept behind one that was not.
        if self.has_slipped || self.kept_bytes >= bytes_max {
            self.has_slipped = true;
            return;
        }
        self.kept_bytes += size_of::<Kept>();
        self.kept_bytes += raw.key.map_or(0, <[u8]>::len) + raw.value.map_or(0, <[u8]>::len);
        self.kept.push(Kept::from(raw));
    }

    /// What was kept, and whether more is to be read again behind it.
    pub(super) fn take_kept(&mut self) -> (Vec<Kept>, bool) {
        (self.kept_bytes, self.is_stalled) = (0, false);
        (std::mem::take(&mut self.kept), std::mem::take(&mut self.has_slipped))
    }

    /// Whether it has just taken as much as may be kept: then it is to be paused.
    pub(super) fn stalls(&mut self) -> bool {
        self.has_slipped && !std::mem::replace(&mut self.is_stalled, true)
    }

    /// Whether it is paused.
    pub(super) fn is_stalled(&self) -> bool {
        self.is_stalled
    }

    /// Notes that it is paused, and must be read again from where it was read to.
    pub(super) fn stall(&mut self) {
        (self.has_slipped, self.is_stalled) = (true, true);
    }

    pub(super) fn restored(&mut self, restored: Restored<V>, meters: &Meters) {
        meters.restored.increment(restored.records);
        self.task = restored.task;
        self.task.go_on_at(&self.read_to);
        self.epoch = restored.epoch;
        (self.changelog_next, self.is_before_marker) = (restored.next, false);
        self.closed_ms = self.task.stream_time_ms;
        (self.extent, self.round) = (restored.on_disk, None);
        self.written_at = Instant::now();
    }

    /// The next batch of a round. Only the last one tells how far the disk is with it: those before
    /// are newer than that, and the changelog is read again over them.
    pub(super) fn next_batch(&mut self, shelf: Shelf) -> Batch {
        let batches = self.extent.batches + 1;
        let entries = self.task.states.take_leaving(batches, BATCH_BYTES);
        let ends_round = !self.task.states.is_in_round();
        if ends_round && let Some(reached) = self.round.take() {
            self.extent = reached;
        }
        self.extent.batches = batches;
        Batch { shelf, entries, extent: self.extent.clone(), ends_round }
    }

    pub(super) fn stop_restoring(&self) {
        if let Phase::Restoring { is_over } = &self.phase {
            is_over.store(true, Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Bounds;
    use crate::testing::Count;

    const BYTES_MAX: usize = 1 << 10;

    fn offer(held: &mut Held<Count>, offset: u64, value: &[u8]) {
        let place = Place { partition: 0, offset };
        let raw = Raw { source: 0, place, key: Some(b"k"), value: Some(value), timestamp_ms: 7 };
        held.keep(&raw, BYTES_MAX);
    }

    fn taken(held: &mut Held<Count>) -> (Vec<u64>, bool) {
        let (kept, has_slipped) = held.take_kept();
        (kept.iter().map(|one| one.raw().place.offset).collect(), has_slipped)
    }

    #[test]
    fn what_comes_before_a_partition_is_live_is_kept_up_to_a_bound_and_in_order() {
        let task = Task::new(Bounds::default());
        let mut held = Held::restoring(task, vec![5], Arc::default());
        offer(&mut held, 5, b"1");
        offer(&mut held, 6, b"2");
        assert!(!held.stalls());
        assert_eq!(taken(&mut held), (vec![5, 6], false));

        let large = vec![b'1'; BYTES_MAX];
        for (offset, value) in [(7, &b"3"[..]), (8, &large), (9, b"4"), (10, b"5")] {
            offer(&mut held, offset, value);
        }
        assert!(held.stalls() && !held.stalls(), "told once");
        assert_eq!(taken(&mut held), (vec![7, 8], true), "9 and 10 are read again");
        offer(&mut held, 9, b"4");
        assert!(!held.stalls());
        assert_eq!(taken(&mut held), (vec![9], false));
        held.stall();
        offer(&mut held, 10, b"5");
        assert!(!held.stalls(), "it is paused already");
        assert_eq!(taken(&mut held), (vec![], true));
    }
}
