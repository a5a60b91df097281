//! Runs a view without Kafka: records in, outputs out.

use std::fmt;

use crate::{Bounds, Place, Poison, Raw, Task, View};

/// Feeds a view as the runtime would feed one partition, for tests and tools.
pub struct Driver<V: View> {
    view: V,
    tables: V::Tables,
    task: Task<V>,
    now_ms: u64,
    next: Place,
}

impl<V: View> Driver<V> {
    /// A driver of partition 0 with nothing in it.
    pub fn new(view: V, tables: V::Tables) -> Self {
        Self {
            view,
            tables,
            task: Task::new(Bounds::default()),
            now_ms: 0,
            next: Place { partition: 0, offset: 0 },
        }
    }

    /// The same with other bounds. What was fed before is forgotten.
    #[must_use]
    pub fn bounded(mut self, bounds: Bounds) -> Self {
        self.task = Task::new(bounds);
        self
    }

    /// Sets the wall clock that folds see, ms.
    pub fn set_now_ms(&mut self, now_ms: u64) {
        self.now_ms = now_ms;
    }

    /// The tables, to change them between records.
    pub fn tables_mut(&mut self) -> &mut V::Tables {
        &mut self.tables
    }

    /// Appends a record to the partition and folds it.
    ///
    /// # Errors
    /// When the view cannot read it.
    pub fn feed(
        &mut self,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
    ) -> Result<Vec<V::Output>, Poison> {
        let raw = Raw { place: self.next, key, value };
        self.next.offset += 1;
        self.task.feed(&self.view, &raw, (&self.tables, self.now_ms))
    }

    /// The state of a key.
    pub fn state(&self, key: &[u8]) -> Option<&V::State> {
        self.task.state(key)
    }
}

impl<V: View> fmt::Debug for Driver<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver").field("task", &self.task).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Around;

    /// Counts the records of each key.
    struct Count;

    impl View for Count {
        type Input = u64;
        type State = u64;
        type Tables = ();
        type Output = (Place, u64);

        fn decode(&self, raw: &Raw<'_>) -> Result<u64, Poison> {
            let text = std::str::from_utf8(raw.value.unwrap_or_default());
            text.map_err(Poison::malformed)?.parse().map_err(Poison::malformed)
        }

        fn time_ms(&self, input: &u64) -> u64 {
            *input
        }

        fn fold(&self, state: &mut u64, _: u64, around: &Around<'_, ()>) -> Vec<(Place, u64)> {
            *state += 1;
            vec![(around.place, *state)]
        }
    }

    #[test]
    fn keys_are_apart_and_poison_costs_only_itself() {
        let mut driver = Driver::new(Count, ());
        let mut feed = |key: Option<&str>, value: &str| {
            let said = driver.feed(key.map(str::as_bytes), Some(value.as_bytes()));
            said.map(|outputs| outputs.into_iter().map(|(place, n)| (place.offset, n)).collect())
                .map_err(|poison| poison.reason)
        };
        assert_eq!(feed(Some("a"), "1"), Ok(vec![(0, 1)]));
        assert_eq!(feed(Some("b"), "2"), Ok(vec![(1, 1)]));
        assert_eq!(feed(Some("a"), "not a number"), Err("malformed"));
        assert_eq!(feed(Some("a"), "3"), Ok(vec![(3, 2)]));
        assert_eq!(feed(None, "4"), Ok(vec![(4, 1)]));
        assert_eq!(feed(None, "5"), Ok(vec![(5, 1)]));
        assert_eq!(driver.state(b"a"), Some(&2));
    }

    #[test]
    fn a_record_that_was_folded_is_not_folded_again() {
        let mut task = Task::new(Bounds::default());
        let raw =
            Raw { place: Place { partition: 0, offset: 7 }, key: Some(b"a"), value: Some(b"1") };
        assert_eq!(task.feed(&Count, &raw, (&(), 0)).unwrap().len(), 1);
        assert_eq!(task.feed(&Count, &raw, (&(), 0)).unwrap().len(), 0);
        assert_eq!((task.state(b"a"), task.next_offset(), task.keys()), (Some(&1), 8, 1));
    }
}
