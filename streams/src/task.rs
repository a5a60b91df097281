//! One partition of one view: its states and how far it got.

use std::fmt;

use crate::states::{Bounds, States, Trouble};
use crate::store::Shelf;
use crate::{Around, Poison, Raw, View};

/// One partition of one view.
pub struct Task<V: View> {
    pub(crate) states: States<V::State>,
    /// The offset that comes next; what lies before it was folded.
    next: u64,
    pub(crate) stream_time_ms: u64,
}

/// Why a record was not folded.
#[derive(Debug)]
pub(crate) enum Refused {
    Poison(Poison),
    /// The disk failed: the task cannot go on.
    Disk(crate::Error),
}

impl<V: View> Task<V> {
    /// A task that has seen nothing and keeps its states in memory alone.
    pub fn new(bounds: Bounds) -> Self {
        Self::on(bounds, None)
    }

    pub(crate) fn on(bounds: Bounds, shelf: Option<Shelf>) -> Self {
        Self { states: States::new(bounds, shelf), next: 0, stream_time_ms: 0 }
    }

    /// Goes on at this offset.
    pub(crate) fn go_on_at(&mut self, next: u64) {
        self.next = next;
    }

    /// Folds one record. One that was folded before says nothing and changes nothing.
    pub(crate) fn feed(
        &mut self,
        view: &V,
        raw: &Raw<'_>,
        (tables, now_ms): (&V::Tables, u64),
    ) -> Result<Vec<V::Output>, Refused> {
        if raw.place.offset < self.next {
            return Ok(Vec::new());
        }
        self.next = raw.place.offset + 1;
        let input = view.decode(raw).map_err(Refused::Poison)?;
        let time_ms = view.time_ms(&input).min(raw.timestamp_ms);
        let around = |stream_time_ms| Around { place: raw.place, stream_time_ms, now_ms, tables };
        let Some(key) = raw.key else {
            // It leaves no trace: stream time is what is known of the keys.
            let around = around(self.stream_time_ms.max(time_ms));
            return Ok(view.fold(&mut V::State::default(), input, &around));
        };
        if key == crate::changelog::TASK_KEY {
            let detail = "this key is reserved for the task".to_owned();
            return Err(Refused::Poison(Poison { reason: "reserved_key", detail }));
        }
        let stream_time_ms = self.stream_time_ms.max(time_ms);
        let state = self.states.change(key, stream_time_ms)?;
        self.stream_time_ms = stream_time_ms;
        Ok(view.fold(state, input, &around(stream_time_ms)))
    }

    /// The state of a key.
    pub(crate) fn look(&mut self, key: &[u8]) -> Result<Option<&V::State>, Refused> {
        Ok(self.states.look(key)?)
    }

    /// The offset that comes next.
    pub(crate) fn next_offset(&self) -> u64 {
        self.next
    }
}

impl From<Trouble> for Refused {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Poison(poison) => Self::Poison(poison),
            Trouble::Disk(error) => Self::Disk(error),
        }
    }
}

impl<V: View> fmt::Debug for Task<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task")
            .field("keys", &self.states.len())
            .field("next", &self.next)
            .finish_non_exhaustive()
    }
}
