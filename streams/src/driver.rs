//! Runs a view without Kafka: records in, outputs out.

use std::fmt;

use crate::task::Refused;
use crate::{Bounds, Place, Poison, Raw, Task, View};

/// Feeds a view as the runtime would feed one partition, for tests and tools.
pub struct Driver<V: View> {
    view: V,
    tables: V::Tables,
    task: Task<V>,
    /// None where nobody set it: then no record is from the future.
    now_ms: Option<u64>,
    next: Place,
}

impl<V: View> Driver<V> {
    /// A driver of partition 0 with nothing in it.
    pub fn new(view: V, tables: V::Tables) -> Self {
        Self {
            view,
            tables,
            task: Task::new(Bounds::default()),
            now_ms: None,
            next: Place { partition: 0, offset: 0 },
        }
    }

    /// The same for another partition.
    #[must_use]
    pub fn of_partition(mut self, partition: u32) -> Self {
        self.next.partition = partition;
        self
    }

    /// The same with other bounds. What was fed before is forgotten.
    #[must_use]
    pub fn bounded(mut self, bounds: Bounds) -> Self {
        self.task = Task::new(bounds);
        self
    }

    /// Sets the wall clock that folds see, ms; until then they see 0, and a record's time is believed
    /// however far ahead it is.
    pub fn set_now_ms(&mut self, now_ms: u64) {
        self.now_ms = Some(now_ms);
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
        let raw = Raw { place: self.next, key, value, timestamp_ms: u64::MAX };
        self.next.offset += 1;
        self.fold(&raw)
    }

    /// Folds a record as it lies in Kafka. What lies between it and the one before is passed over.
    ///
    /// # Errors
    /// When the view cannot read it.
    pub fn feed_raw(&mut self, raw: &Raw<'_>) -> Result<Vec<V::Output>, Poison> {
        self.next = Place { offset: raw.place.offset + 1, ..raw.place };
        self.fold(raw)
    }

    fn fold(&mut self, raw: &Raw<'_>) -> Result<Vec<V::Output>, Poison> {
        let raw = self.now_ms.map_or(*raw, |now_ms| raw.not_from_the_future(now_ms));
        let around = (&self.tables, self.now_ms.unwrap_or_default());
        self.task.feed(&self.view, &raw, around).map_err(poison)
    }

    /// The state of a key.
    ///
    /// # Errors
    /// When what was written of it cannot be read.
    pub fn state(&mut self, key: &[u8]) -> Result<Option<&V::State>, Poison> {
        self.task.look(key).map_err(poison)
    }

    /// Goes on from what the changelog would hold: every state is written down and read again, as
    /// after a restart.
    ///
    /// # Errors
    /// When one cannot be written.
    pub fn restart(&mut self) -> Result<(), Poison> {
        let mut task = Task::new(self.task.states.bounds());
        let written = self.task.states.written_down(&self.view)?;
        for (key, bytes, touched_ms) in written {
            task.states.restore(&key, Some(&bytes), touched_ms);
        }
        task.stream_time_ms = self.task.stream_time_ms;
        task.go_on_at(self.next.offset);
        self.task = task;
        Ok(())
    }
}

/// A driver has no disk that could fail.
fn poison(refused: Refused) -> Poison {
    match refused {
        Refused::Poison(poison) => poison,
        Refused::Disk(error) => Poison { reason: "disk", detail: error.to_string() },
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
    use crate::testing::Count;

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
        assert_eq!(driver.state(b"a"), Ok(Some(&2)));
        driver.restart().unwrap();
        assert_eq!(driver.state(b"a"), Ok(Some(&2)));
    }

    #[test]
    fn a_record_that_was_folded_is_not_folded_again() {
        let mut task = Task::new(Bounds::default());
        let place = Place { partition: 0, offset: 7 };
        let raw = Raw { place, key: Some(b"a"), value: Some(b"1"), timestamp_ms: 1 };
        assert_eq!(task.feed(&Count, &raw, (&(), 0)).unwrap().len(), 1);
        assert_eq!(task.feed(&Count, &raw, (&(), 0)).unwrap().len(), 0);
        assert_eq!(task.next_offset(), 8);
        assert_eq!(task.look(b"a").unwrap(), Some(&1));
    }

    #[test]
    fn a_key_that_was_quiet_for_too_long_begins_anew() {
        let bounds = Bounds { ttl_ms: 100, ..Bounds::default() };
        let mut driver = Driver::new(Count, ()).bounded(bounds);
        let mut feed = |key: &str, at: &str| {
            let said = driver.feed(Some(key.as_bytes()), Some(at.as_bytes())).unwrap();
            said.first().map(|(_, n)| *n)
        };
        assert_eq!(feed("quiet", "1000"), Some(1));
        assert_eq!(feed("busy", "1050"), Some(1));
        assert_eq!(feed("quiet", "1100"), Some(2));
        assert_eq!(feed("busy", "1150"), Some(2));
        assert_eq!(feed("busy", "1201"), Some(3));
        assert_eq!(feed("quiet", "1201"), Some(1));
    }

    #[test]
    fn a_record_from_the_future_expires_nobody() {
        const NOW_MS: u64 = 1_800_000_000_000;
        const YEAR_2099_MS: u64 = 4_070_908_800_000;
        let bounds = Bounds { ttl_ms: 24 * 3_600_000, ..Bounds::default() };
        let mut driver = Driver::new(Count, ()).bounded(bounds);
        driver.set_now_ms(NOW_MS);
        let mut offset = 0;
        let mut feed = |driver: &mut Driver<Count>, key: &str, at_ms: u64| {
            let (place, value) = (Place { partition: 0, offset }, at_ms.to_string());
            offset += 1;
            let (key, value) = (Some(key.as_bytes()), Some(value.as_bytes()));
            let said = driver.feed_raw(&Raw { place, key, value, timestamp_ms: at_ms }).unwrap();
            said.first().map(|(_, n)| *n)
        };
        assert_eq!(feed(&mut driver, "quiet", NOW_MS - 1_000), Some(1));
        // Record and Kafka's timestamp alike: whoever wrote it has a wrong clock.
        assert_eq!(feed(&mut driver, "wrong", YEAR_2099_MS), Some(1));
        assert_eq!(feed(&mut driver, "quiet", NOW_MS), Some(2), "nobody is forgotten for it");
        assert_eq!(feed(&mut driver, "wrong", NOW_MS), Some(2));
        // A day later the quiet go as always.
        driver.set_now_ms(NOW_MS + 2 * 24 * 3_600_000);
        assert_eq!(feed(&mut driver, "busy", NOW_MS + 26 * 3_600_000), Some(1));
        assert_eq!(feed(&mut driver, "quiet", NOW_MS + 26 * 3_600_000), Some(1));
    }
}
