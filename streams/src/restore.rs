//! Brings a partition's states to where the changelog is: what lies on the disk, and from the
//! changelog what came after it.

use std::time::{Duration, Instant};

use clickmill_kafka::{Class, Ends, KafkaConfig, PartitionReader, TopicPartition};
use tracing::{info, warn};

use crate::changelog::{self, Change, TaskRecord};
use crate::states::Bounds;
use crate::store::{Extent, Reserved, Shelf, Store};
use crate::{Error, Task, View};

/// How long Kafka may take to tell where a partition ends.
const ASK_WAIT: Duration = Duration::from_secs(10);

/// Keys that are written to the disk at once while a restore takes more than memory holds; large
/// ones are written before.
const SPILL_KEYS: usize = 50_000;

/// What a restore needs to know.
#[derive(Clone, Debug)]
pub(crate) struct Restore {
    pub(crate) view: &'static str,
    pub(crate) kafka: KafkaConfig,
    pub(crate) changelog: String,
    /// Asks where the changelog ends, once for all restores: connections take longer than answers.
    pub(crate) ends: Ends,
    pub(crate) bounds: Bounds,
    /// Tombstones may be gone from the changelog after so long, so older states on the disk are not
    /// trusted.
    pub(crate) tombstones_kept: Duration,
    /// Bytes that are fetched ahead.
    pub(crate) queue_bytes_max: u64,
    /// How long a restore waits for a transaction of somebody who died, and for the next record.
    pub(crate) quiet_max: Duration,
}

/// A partition's task as the changelog has it.
pub(crate) struct Restored<V: View> {
    pub(crate) task: Task<V>,
    /// The epoch of the task before.
    pub(crate) epoch: u64,
    /// The changelog was taken in up to here.
    pub(crate) next: u64,
    /// How far the disk is.
    pub(crate) on_disk: Extent,
    /// Records read from the changelog.
    pub(crate) records: u64,
}

/// What lies on the disk, and how far it is.
type Shelved = (Option<Shelf>, Option<Extent>);

impl Restore {
    /// Gets ready to be asked for a partition, as far as Kafka answers.
    pub(crate) fn connect(&self) {
        if let Err(error) = self.ends.connect(ASK_WAIT) {
            warn!(view = self.view, %error, "the changelog is not reached yet");
        }
    }

    /// Restores a partition. The offsets the group has committed must be known before, or what was
    /// committed since would be missing.
    pub(crate) fn run<V: View>(
        &self,
        view: &V,
        store: Option<&Store>,
        (partition, now_ms): (u32, u64),
        is_over: &dyn Fn() -> bool,
    ) -> Result<Restored<V>, Error> {
        let started = Instant::now();
        let store = store.filter(|store| !store.is_given_up());
        let _reserved = match store {
            Some(store) => Some(reserve(store, partition, is_over)?),
            None => None,
        };
        let number = i32::try_from(partition).unwrap_or(i32::MAX);
        let (low, high) = self.bounds(number).map_err(|error| match error.class() {
            // Its topic was there, or the view would not have this partition.
            Class::Refused => Error::NoPartition { changelog: self.changelog.clone(), partition },
            _ => Error::Kafka(error),
        })?;
        let (low, high) = (u64::try_from(low).unwrap_or(0), u64::try_from(high).unwrap_or(0));

        let (shelf, extent) = self.shelved(store, partition, ((low, high), now_ms));
        let end = i64::try_from(high).unwrap_or(0);
        if extent.as_ref().map_or(low, |extent| extent.next) < high {
            self.ends.settled((number, end), self.quiet_max, is_over)?;
        }
        let is_all = extent.as_ref().is_some_and(|extent| extent.is_all_of(high));
        let reader = if is_all || low == high { None } else { Some(self.reader(number)?) };
        let (shelf, extent) = match &reader {
            Some(reader) => self.recognised((reader, low), (shelf, extent), is_over)?,
            None => (shelf, extent),
        };
        let mut filling = Filling::new(Task::on(self.bounds, shelf), extent, (low, now_ms));
        if let Some(reader) = &reader {
            self.read(reader, end, is_over, &mut filling)?;
        }
        let Filling { mut task, extent, on_disk, records, .. } = filling;
        if V::WAKES {
            task.set_alarms(view)?;
        }
        let took_ms = started.elapsed().as_millis();
        info!(view = self.view, partition, records, keys = task.states.len(), took_ms, "restored");
        let next = extent.next.max(high);
        Ok(Restored { task, epoch: extent.epoch, next, on_disk, records })
    }

    /// Where a partition of the changelog begins and ends.
    fn bounds(&self, partition: i32) -> Result<(i64, i64), clickmill_kafka::Error> {
        match self.ends.bounds(partition, ASK_WAIT) {
            // It may have moved, or been added, since the topic was looked at.
            Err(error) if matches!(error.class(), Class::Retriable | Class::Refused) => {
                self.ends.connect(ASK_WAIT)?;
                self.ends.bounds(partition, ASK_WAIT)
            }
            asked => asked,
        }
    }

    fn reader(&self, partition: i32) -> Result<PartitionReader, Error> {
        let at = TopicPartition { topic: self.changelog.clone(), partition };
        Ok(PartitionReader::new(&self.kafka, at, self.queue_bytes_max)?)
    }

    /// What lies on the disk, if the changelog has the record of its epoch where it noted that. One
    /// that was made anew, and has grown past what was taken in since, has another record there. So
    /// has one that a later task and compaction have gone over: there it is made anew in vain.
    fn recognised(
        &self,
        (reader, low): (&PartitionReader, u64),
        (shelf, extent): Shelved,
        is_over: &dyn Fn() -> bool,
    ) -> Result<Shelved, Error> {
        let noted = extent.as_ref().and_then(|extent| Some((extent.epoch, extent.epoch_at?)));
        let (Some(shelf), Some((epoch, epoch_at))) = (&shelf, noted) else {
            return Ok((shelf, extent));
        };
        let at = i64::try_from(epoch_at).unwrap_or(i64::MAX);
        let mut is_there = false;
        if epoch_at >= low {
            reader.read((at, at.saturating_add(1)), self.quiet_max, is_over, |message| {
                let found = changelog::read(message.key(), message.value());
                let is_task = found == Change::Task(TaskRecord { epoch });
                is_there |= message.offset() == at && is_task;
            })?;
        }
        if is_there {
            return Ok((Some(shelf.clone()), extent));
        }
        let why = "the changelog lacks the epoch that wrote it: it is another topic";
        warn!(view = self.view, ?shelf, why, "local state is made anew");
        Ok(match shelf.clear() {
            Ok(()) => (Some(shelf.clone()), None),
            Err(error) => {
                shelf.store().give_up(&error);
                (None, None)
            }
        })
    }

    /// Reads what of the changelog is not on the disk.
    fn read<V: View>(
        &self,
        reader: &PartitionReader,
        end: i64,
        is_over: &dyn Fn() -> bool,
        filling: &mut Filling<V>,
    ) -> Result<(), Error> {
        let from = i64::try_from(filling.on_disk.next).unwrap_or(0);
        reader.read((from, end), self.quiet_max, is_over, |message| {
            let touched_ms = message.timestamp_ms().and_then(|ms| u64::try_from(ms).ok());
            filling.take(
                &changelog::read(message.key(), message.value()),
                touched_ms.unwrap_or_default(),
                u64::try_from(message.offset()).unwrap_or_default(),
            );
        })?;
        match filling.trouble.take() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    /// What lies on the disk, as far as it is to be trusted; nothing where the disk fails.
    fn shelved(
        &self,
        store: Option<&Store>,
        partition: u32,
        (bounds, now_ms): ((u64, u64), u64),
    ) -> Shelved {
        let Some(store) = store else { return (None, None) };
        let shelved = store.shelf(partition).and_then(|(shelf, extent)| {
            let kept = self.tombstones_kept;
            let doubt = extent.as_ref().and_then(|extent| doubt(extent, bounds, (now_ms, kept)));
            if let Some(why) = doubt {
                warn!(view = self.view, partition, why, "local state is made anew");
                shelf.clear()?;
            }
            Ok((shelf, extent.filter(|_| doubt.is_none())))
        });
        match shelved {
            Ok((shelf, extent)) => (Some(shelf), extent),
            Err(error) => {
                store.give_up(&error);
                (None, None)
            }
        }
    }
}

/// Why what lies on the disk cannot be the beginning of what the changelog holds, which keeps
/// tombstones for so long.
fn doubt(
    extent: &Extent,
    (low, high): (u64, u64),
    (now_ms, tombstones_kept): (u64, Duration),
) -> Option<&'static str> {
    let kept_ms = u64::try_from(tombstones_kept.as_millis()).unwrap_or(u64::MAX);
    if extent.next > high {
        Some("the changelog is shorter than what was taken from it: it is another topic")
    } else if extent.next < low {
        Some("the changelog begins behind what was taken from it")
    } else if now_ms.saturating_sub(extent.at_ms) > kept_ms {
        Some("it is older than the changelog's tombstones are kept")
    } else {
        None
    }
}

/// Waits until no other restore has the partition.
fn reserve(store: &Store, partition: u32, is_over: &dyn Fn() -> bool) -> Result<Reserved, Error> {
    const LOOK_EVERY: Duration = Duration::from_millis(5);
    loop {
        if let Some(reserved) = store.reserve(partition) {
            return Ok(reserved);
        }
        if is_over() {
            return Err(Error::Lost);
        }
        std::thread::park_timeout(LOOK_EVERY);
    }
}

/// A task that is being filled.
struct Filling<V: View> {
    task: Task<V>,
    /// How far the task is.
    extent: Extent,
    on_disk: Extent,
    records: u64,
    trouble: Option<Error>,
}

impl<V: View> Filling<V> {
    /// Goes on from what the disk holds, or begins where the changelog does.
    fn new(mut task: Task<V>, found: Option<Extent>, (low, now_ms): (u64, u64)) -> Self {
        // What is written before all is read lacks tombstones that may be gone before it is read on.
        // So it is as old as what was found, and of no age to be trusted where nothing was.
        let at_ms = found.as_ref().map_or(0, |found| found.at_ms);
        let on_disk = found.unwrap_or(Extent { next: low, at_ms: now_ms, ..Extent::default() });
        task.stream_time_ms = on_disk.stream_time_ms;
        let extent = Extent { at_ms, ..on_disk };
        Self { task, extent, on_disk, records: 0, trouble: None }
    }

    fn take(&mut self, change: &Change<'_>, touched_ms: u64, offset: u64) {
        self.records += 1;
        (self.extent.next, self.extent.is_before_marker) = (offset + 1, false);
        match change {
            Change::Task(task) if task.epoch >= self.extent.epoch => {
                (self.extent.epoch, self.extent.epoch_at) = (task.epoch, Some(offset));
            }
            Change::State(key, bytes) => {
                self.task.stream_time_ms = self.task.stream_time_ms.max(touched_ms);
                self.task.states.restore(key, *bytes, touched_ms);
                let states = &self.task.states;
                let is_time = || states.unwritten() >= SPILL_KEYS || states.is_pinned();
                if states.is_full() && is_time() {
                    self.spill();
                }
            }
            Change::Task(_) | Change::Foreign => {}
        }
    }

    /// Writes what was read to the disk, so that memory can let go of it.
    fn spill(&mut self) {
        let Some(shelf) = self.task.states.shelf().cloned() else { return };
        self.extent.batches += 1;
        self.extent.stream_time_ms = self.task.stream_time_ms;
        self.task.states.begin_round();
        let entries = self.task.states.take_leaving(self.extent.batches, usize::MAX);
        match shelf.put(&entries, &self.extent) {
            Ok(()) => {
                self.on_disk = self.extent.clone();
                self.task.states.make_room();
            }
            Err(error) => {
                // This restore is at its end; the next one does without the disk.
                shelf.store().give_up(&error);
                self.trouble = self.trouble.take().or(Some(error));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Count, Folder};

    #[test]
    fn a_restore_that_is_broken_off_after_a_spill_begins_where_it_began() {
        const NOW_MS: u64 = 1_000_000;
        let kept = Duration::from_millis(500);
        let before = Extent { next: 7, at_ms: NOW_MS - 400, ..Extent::default() };
        for found in [None, Some(before)] {
            let folder = Folder::new();
            let store = Store::open(folder.path(), 0).unwrap();
            let bounds = Bounds { state_bytes_max: 4_000, ..Bounds::default() };
            let task = Task::<Count>::on(bounds, Some(store.shelf(0).unwrap().0));
            let mut filling = Filling::new(task, found.clone(), (7, NOW_MS));
            for offset in 7..80_u64 {
                let change = Change::State(&offset.to_be_bytes(), Some(b"1"));
                filling.take(&change, 1, offset);
            }
            drop(filling);
            let (_, spilled) = store.shelf(0).unwrap();
            let spilled = spilled.unwrap();
            assert!(spilled.next > 20, "{spilled:?}");
            let is_doubted = |now_ms| doubt(&spilled, (0, 80), (now_ms, kept)).is_some();
            match found {
                None => assert!(is_doubted(NOW_MS), "a tombstone may go before it is read"),
                Some(_) => assert!(!is_doubted(NOW_MS + 100) && is_doubted(NOW_MS + 101)),
            }
        }
    }

    #[test]
    fn what_lies_on_the_disk_is_gone_on_with_only_where_the_changelog_has_all_that_came_after() {
        let extent = Extent { next: 50, at_ms: 1_000, ..Extent::default() };
        let kept = Duration::from_millis(500);
        let is_doubted = |bounds, now_ms| doubt(&extent, bounds, (now_ms, kept)).is_some();
        assert!(!is_doubted((0, 50), 1_500));
        assert!(!is_doubted((50, 90), 1_500));
        assert!(is_doubted((0, 49), 1_500), "another topic");
        assert!(is_doubted((51, 90), 1_500), "its beginning is gone");
        assert!(is_doubted((0, 90), 1_501), "tombstones may be gone");
        assert!(!is_doubted((0, 90), 900), "a clock that was set back");
    }
}
