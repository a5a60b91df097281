//! A partition that is ours: its task, and how far the group, the changelog and the disk are with it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use super::super::Meters;
use crate::restore::Restored;
use crate::store::{Extent, Shelf};
use crate::writer::Batch;
use crate::{At, Produce, Task, View};

/// About so much of a partition's states goes to the disk at once: what is on its way takes memory
/// several times over.
const BATCH_BYTES: usize = 4 << 20;

pub(super) struct Held<V: View> {
    pub(super) task: Task<V>,
    pub(super) phase: Phase,
    pub(super) epoch: u64,
    /// Everything before these offsets was folded, one for each source.
    pub(super) read_to: Vec<u64>,
    /// Everything before these offsets is in a transaction that was closed.
    pub(super) closed_to: Vec<u64>,
    /// Whether a record was seen that is not to be folded any more.
    pub(super) is_through: bool,
    /// When the offsets of all sources were committed last.
    pub(super) offsets_at: Instant,
    /// Stream time by then, ms.
    pub(super) closed_ms: u64,
    /// The changelog up to here is in the states.
    pub(super) changelog_next: u64,
    /// How far the disk is once all batches handed to it are written.
    pub(super) extent: Extent,
    /// How far it is when the round of batches is over, if one is going on.
    pub(super) round: Option<Extent>,
    /// When the last round began.
    pub(super) written_at: Instant,
    /// Said, for the transaction that is being filled.
    pub(super) outputs: Vec<(At, Produce)>,
}

#[derive(Debug)]
pub(super) enum Phase {
    /// Its states are being read. A record that slipped in must be read again.
    Restoring {
        is_over: Arc<AtomicBool>,
        has_slipped: bool,
    },
    /// Its epoch goes into the next transaction.
    Opening {
        has_slipped: bool,
    },
    /// That transaction is being committed.
    Raising {
        has_slipped: bool,
    },
    Live,
}

impl<V: View> Held<V> {
    pub(super) fn restored(&mut self, restored: Restored<V>, meters: &Meters) {
        meters.restored.increment(restored.records);
        self.task = restored.task;
        self.task.go_on_at(&self.read_to);
        self.epoch = restored.epoch;
        self.changelog_next = restored.next;
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
        if let Phase::Restoring { is_over, .. } = &self.phase {
            is_over.store(true, Ordering::Release);
        }
    }
}
