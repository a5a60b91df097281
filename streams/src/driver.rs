//! Runs a view without Kafka: records in, outputs out.

use std::fmt;

use crate::task::Refused;
use crate::{Bounds, Place, Poison, Raw, Task, Unwoken, View};

/// Feeds a view as the runtime would feed one partition, for tests and tools.
pub struct Driver<V: View> {
    view: V,
    tables: V::Tables,
    task: Task<V>,
    /// None where nobody set it: then no record is from the future.
    now_ms: Option<u64>,
    partition: u32,
    /// The offset that comes next from each source.
    next: Vec<u64>,
}

impl<V: View> Driver<V> {
    /// A driver of partition 0 with nothing in it.
    pub fn new(view: V, tables: V::Tables) -> Self {
        Self {
            view,
            tables,
            task: Task::new(Bounds::default()),
            now_ms: None,
            partition: 0,
            next: vec![0],
        }
    }

    /// The same for another partition.
    #[must_use]
    pub fn of_partition(mut self, partition: u32) -> Self {
        self.partition = partition;
        self
    }

    /// The same with other bounds. What was fed before is forgotten.
    #[must_use]
    pub fn bounded(mut self, bounds: Bounds) -> Self {
        self.task = Task::new(bounds);
        self.task.go_on_at(&self.next);
        self
    }

    /// The same with so many topics beside the one that drives the view.
    #[must_use]
    pub fn with_siblings(mut self, siblings: usize) -> Self {
        self.next.resize(1 + siblings, 0);
        self.task.go_on_at(&self.next);
        self
    }

    /// Sets the wall clock that folds see, ms; until then they see 0, and a record's time is believed
    /// however far ahead it is. Nobody is woken by it, see [`Driver::wait_until`].
    pub fn set_now_ms(&mut self, now_ms: u64) {
        self.now_ms = Some(now_ms);
    }

    /// Sets the wall clock, and wakes whom it is time for. Stream time goes on with records alone.
    ///
    /// # Errors
    /// Never: a key that cannot be woken is [told apart](Self::take_unwoken).
    pub fn wait_until(&mut self, now_ms: u64) -> Result<Vec<V::Output>, Poison> {
        self.now_ms = Some(now_ms);
        let mut said = Vec::new();
        let (around, mut say) = ((self.partition, &self.tables, now_ms), |more| said.extend(more));
        let woken = self.task.wake_by_the_clock(&self.view, around, &mut say);
        woken.map_err(Refused::Disk).map_err(poison)?;
        Ok(said)
    }

    /// The keys that could not be woken since this was asked last.
    pub fn take_unwoken(&mut self) -> Vec<Unwoken> {
        self.task.take_unwoken()
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
        self.feed_from(0, key, value)
    }

    /// Appends a record to the same partition of another source, see [`Raw::source`], and folds it.
    ///
    /// # Errors
    /// When the view cannot read it.
    pub fn feed_from(
        &mut self,
        source: usize,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
    ) -> Result<Vec<V::Output>, Poison> {
        let offset = self.next.get(source).copied().unwrap_or_default();
        let place = Place { partition: self.partition, offset };
        self.feed_raw(&Raw { source, place, key, value, timestamp_ms: u64::MAX })
    }

    /// Folds a record as it lies in Kafka. What lies between it and the one before is passed over.
    ///
    /// # Errors
    /// When the view cannot read it. What woken keys have said by then is lost here.
    pub fn feed_raw(&mut self, raw: &Raw<'_>) -> Result<Vec<V::Output>, Poison> {
        self.partition = raw.place.partition;
        if let Some(next) = self.next.get_mut(raw.source) {
            *next = raw.place.offset + 1;
        }
        let ahead_max_ms = self.view.ahead_max_ms();
        let raw = self.now_ms.map_or(*raw, |now_ms| raw.not_from_the_future(now_ms, ahead_max_ms));
        let around = (&self.tables, self.now_ms.unwrap_or_default());
        let mut said = Vec::new();
        let fed = self.task.feed(&self.view, &raw, around, &mut |more| said.extend(more));
        said.extend(fed.map_err(poison)?);
        Ok(said)
    }

    /// The state of a key.
    ///
    /// # Errors
    /// When what was written of it cannot be read.
    pub fn state(&mut self, key: &[u8]) -> Result<Option<&V::State>, Poison> {
        self.task.look(key).map_err(poison)
    }

    /// Takes a key's state as a changelog holds it: what this version or an earlier one wrote, at the
    /// stream time of the key's last record.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn restore(&mut self, key: &[u8], state: &[u8], touched_ms: u64) -> Result<(), Poison> {
        self.task.states.restore(key, Some(state), touched_ms);
        self.task.stream_time_ms = self.task.stream_time_ms.max(touched_ms);
        if V::WAKES {
            self.task.set_alarms(&self.view).map_err(Refused::Disk).map_err(poison)?;
        }
        self.task.look(key).map(drop).map_err(poison)
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
        task.go_on_at(&self.next);
        if V::WAKES {
            task.set_alarms(&self.view).map_err(Refused::Disk).map_err(poison)?;
        }
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
mod tests;
