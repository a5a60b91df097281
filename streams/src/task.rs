//! One partition of one view: its states and how far it got.

use std::fmt;

use crate::keys::{Bounds, Keys};
use crate::{Around, Poison, Raw, View};

/// One partition of one view.
pub struct Task<V: View> {
    keys: Keys<V::State>,
    /// The offset that comes next; what lies before it was folded.
    next: u64,
    stream_time_ms: u64,
}

impl<V: View> Task<V> {
    /// A task that has seen nothing.
    pub fn new(bounds: Bounds) -> Self {
        Self { keys: Keys::new(bounds), next: 0, stream_time_ms: 0 }
    }

    /// Folds one record. One that was folded before says nothing and changes nothing.
    ///
    /// # Errors
    /// When the record cannot be read; it counts as dealt with.
    pub fn feed(
        &mut self,
        view: &V,
        raw: &Raw<'_>,
        (tables, now_ms): (&V::Tables, u64),
    ) -> Result<Vec<V::Output>, Poison> {
        if raw.place.offset < self.next {
            return Ok(Vec::new());
        }
        self.next = raw.place.offset + 1;
        let input = view.decode(raw)?;
        self.stream_time_ms = self.stream_time_ms.max(view.time_ms(&input));
        let stream_time_ms = self.stream_time_ms;
        let around = Around { place: raw.place, stream_time_ms, now_ms, tables };
        Ok(match raw.key {
            Some(key) => view.fold(self.keys.state(key, stream_time_ms), input, &around),
            None => view.fold(&mut V::State::default(), input, &around),
        })
    }

    /// The state of a key.
    pub fn state(&self, key: &[u8]) -> Option<&V::State> {
        self.keys.get(key)
    }

    /// How many keys are remembered.
    pub fn keys(&self) -> usize {
        self.keys.len()
    }

    /// The offset that comes next.
    pub fn next_offset(&self) -> u64 {
        self.next
    }
}

impl<V: View> fmt::Debug for Task<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task").field("keys", &self.keys()).field("next", &self.next).finish()
    }
}
