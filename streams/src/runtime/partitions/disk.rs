//! When states go to the disk: once all that is sealed is committed, and in rounds of batches.

use std::time::Instant;

use super::Partitions;
use super::held::Held;
use crate::store::Extent;
use crate::writer::Writer;
use crate::{Error, Sink, View};

impl<V: View, S: Sink<V::Output>> Partitions<V, S> {
    fn wants_disk(&self, held: &Held<V>, now: Instant) -> bool {
        let states = &held.task.states;
        let shelf = states.shelf().filter(|shelf| !shelf.store().is_given_up());
        let Some(shelf) = shelf else { return false };
        let is_time = now.duration_since(held.written_at) >= self.config.write_every;
        let is_due = states.unwritten() > 0 && (is_time || states.is_pinned());
        // One batch after another: what comes meanwhile goes with the next.
        shelf.written() >= held.extent.batches && (states.is_in_round() || is_due)
    }

    /// Hands what is committed to the disk, if it is time.
    pub(super) fn write_down(
        &self,
        held: &mut Held<V>,
        (writer, now): (&Writer, Instant),
    ) -> Result<(), Error> {
        if !self.wants_disk(held, now) {
            return Ok(());
        }
        let Some(shelf) = held.task.states.shelf().cloned() else { return Ok(()) };
        if held.round.is_none() {
            held.written_at = now;
            self.begin_round(held);
        }
        writer.write(held.next_batch(shelf))
    }

    pub(super) fn begin_round(&self, held: &mut Held<V>) {
        held.task.states.begin_round();
        held.round = Some(Extent {
            next: held.changelog_next,
            is_before_marker: held.is_before_marker,
            epoch: held.epoch,
            epoch_at: held.epoch_at,
            stream_time_ms: held.closed_ms,
            at_ms: (self.now_ms)(),
            batches: 0,
        });
    }
}
