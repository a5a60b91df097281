//! The states on the disk: one database for a view, a keyspace for each partition.
//!
//! A batch is written whole or not at all, together with how far the changelog was taken in. What
//! the disk lacks is read from there, so it is written seldom and behind the folds. Batches are
//! counted: the last [`MARKS`] of them leave a mark each, and a mark that is missing tells that a
//! batch in the middle was lost, which the database itself can take for a torn end. A mark also tells
//! which [form](crate::State::FORM) the states have; a later one than ours cannot be read.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use serde::{Deserialize, Serialize};
use tracing::{error, warn};

use crate::{Error, changelog};

/// Batches whose marks are kept.
const MARKS: u64 = 64;

/// What the database holds of blocks it read, bytes.
const CACHE_BYTES: u64 = 16 << 20;

/// What one partition's newest writes take in memory until they become a file, bytes.
const MEMTABLE_BYTES: u64 = 8 << 20;

/// The journal's least bound that the database takes, bytes.
const JOURNAL_BYTES: u64 = 64 << 20;

/// A view's database. Clones are the same.
#[derive(Clone)]
pub(crate) struct Store {
    database: Database,
    /// Of each partition, under its number: how far it is. The marks lie beside it.
    meta: Keyspace,
    /// The form in which states are kept.
    form: u8,
    /// Partitions that are being restored.
    restoring: Arc<Mutex<BTreeSet<u32>>>,
    /// Whether the disk has failed: then nothing is written any more, and nothing restored from it.
    /// What lies there already is read while it is needed.
    is_given_up: Arc<AtomicBool>,
}

/// How far a partition's states on the disk are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Extent {
    /// The changelog was taken in up to this offset.
    pub(crate) next: u64,
    /// The epoch of the task that wrote.
    pub(crate) epoch: u64,
    /// Where the changelog has the record of that epoch: no other topic has it there.
    #[serde(default)]
    pub(crate) epoch_at: Option<u64>,
    /// Stream time by then, ms.
    pub(crate) stream_time_ms: u64,
    /// The wall clock when the changelog ended there, ms: no tombstone behind it is older. 0 where
    /// that is not known.
    pub(crate) at_ms: u64,
    /// The batches written so far.
    pub(crate) batches: u64,
    /// Whether `next` is right behind a record of a transaction that was committed: then what lies
    /// there is that transaction's marker, or a further record of it.
    #[serde(default)]
    pub(crate) is_before_marker: bool,
}

impl Extent {
    /// Whether there is nothing more in a changelog that ends there, and in which no transaction is
    /// open: nothing at all, or the one marker that must be there and cannot but be the last.
    pub(crate) fn is_all_of(&self, end: u64) -> bool {
        self.next == end || (self.is_before_marker && self.next + 1 == end)
    }
}

/// A state on its way to the disk.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) key: Arc<[u8]>,
    /// None takes it away.
    pub(crate) bytes: Option<Arc<[u8]>>,
    pub(crate) touched_ms: u64,
}

impl Store {
    /// Opens the database in a folder, or makes it, for states of a form. One that cannot be read is
    /// put aside: whatever it held lies in the changelog as well.
    pub(crate) fn open(folder: &Path, form: u8) -> Result<Self, Error> {
        Self::try_open(folder, form).or_else(|error| {
            if is_in_use(&error) || is_full(&error) || !folder.exists() {
                return Err(disk(folder, error));
            }
            let aside = beside(folder);
            warn!(?folder, ?aside, %error, "local state is damaged: put aside, and made anew");
            let moved = std::fs::remove_dir_all(&aside).or_else(|error| match error.kind() {
                std::io::ErrorKind::NotFound => Ok(()),
                _ => Err(error),
            });
            moved
                .and_then(|()| std::fs::rename(folder, &aside))
                .map_err(|error| disk(folder, fjall::Error::Io(error)))?;
            Self::try_open(folder, form).map_err(|error| disk(folder, error))
        })
    }

    fn try_open(folder: &Path, form: u8) -> Result<Self, fjall::Error> {
        let database = Database::builder(folder)
            .cache_size(CACHE_BYTES)
            .max_journaling_size(JOURNAL_BYTES)
            .worker_threads(1)
            .open()?;
        let meta = database.keyspace("meta", options)?;
        let (restoring, is_given_up) = (Arc::default(), Arc::default());
        Ok(Self { database, meta, form, restoring, is_given_up })
    }

    /// The states of a partition, and how far they are; empty ones where they are damaged.
    pub(crate) fn shelf(&self, partition: u32) -> Result<(Shelf, Option<Extent>), Error> {
        let states = self.database.keyspace(&format!("p{partition}"), options).map_err(failed)?;
        let shelf = Shelf { store: self.clone(), states, partition, written: Arc::default() };
        if let Some(extent) = shelf.extent()? {
            let Some(why) = shelf.doubt(&extent)? else {
                shelf.written.store(extent.batches, Ordering::Release);
                return Ok((shelf, Some(extent)));
            };
            warn!(partition, why, "local state is made anew");
        }
        shelf.clear()?;
        Ok((shelf, None))
    }

    /// Whether the disk has failed.
    pub(crate) fn is_given_up(&self) -> bool {
        self.is_given_up.load(Ordering::Acquire)
    }

    /// Notes that the disk has failed. The view goes on without it, until its process is started
    /// again: what it held lies in the changelog.
    pub(crate) fn give_up(&self, failure: &Error) {
        if !self.is_given_up.swap(true, Ordering::AcqRel) {
            error!(%failure, "the disk does not take states any more: they stay in memory alone");
        }
    }

    /// Takes a partition for a restore; none while another one, of an assignment that is over, has
    /// not noticed yet.
    pub(crate) fn reserve(&self, partition: u32) -> Option<Reserved> {
        let mut restoring = self.restoring.lock().unwrap_or_else(PoisonError::into_inner);
        restoring.insert(partition).then(|| Reserved { store: self.clone(), partition })
    }
}

/// A partition's states on the disk are one restore's alone while this lives.
pub(crate) struct Reserved {
    store: Store,
    partition: u32,
}

impl Drop for Reserved {
    fn drop(&mut self) {
        let mut restoring = self.store.restoring.lock().unwrap_or_else(PoisonError::into_inner);
        restoring.remove(&self.partition);
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").finish_non_exhaustive()
    }
}

/// One partition's states on the disk. Clones are the same.
#[derive(Clone)]
pub(crate) struct Shelf {
    store: Store,
    states: Keyspace,
    partition: u32,
    /// The newest batch that lies on the disk.
    written: Arc<AtomicU64>,
}

/// A state's bytes, and the stream time of its last record.
pub(crate) type Kept = (Arc<[u8]>, u64);

/// Keys that were touched last before a moment, with that time; and where to go on, none at the end.
pub(crate) type Swept = (Vec<(Box<[u8]>, u64)>, Option<Box<[u8]>>);

impl Shelf {
    /// A key's state and the stream time of its last record.
    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<Kept>, Error> {
        // The database panics at such a key, and anybody may ask for one.
        if changelog::refused(key).is_some() {
            return Ok(None);
        }
        let found = self.states.get(key).map_err(failed);
        let Some(value) = found.map_err(|error| self.doubted(error))? else { return Ok(None) };
        let (touched_ms, bytes) = unpack(&value).map_err(|error| self.doubted(error))?;
        Ok(Some((Arc::from(bytes), touched_ms)))
    }

    /// Notes that something here cannot be read, so that the next restore makes it all anew instead
    /// of coming to the same place again.
    fn doubted(&self, error: Error) -> Error {
        warn!(partition = self.partition, %error, "local state is damaged");
        if let Err(failure) = self.store.meta.remove(self.extent_key()).map_err(failed) {
            self.store.give_up(&failure);
        }
        error
    }

    /// Writes a batch; what it says of the extent holds from then on.
    pub(crate) fn put(&self, entries: &[Entry], extent: &Extent) -> Result<(), Error> {
        let database = &self.store.database;
        let mut batch = database.batch().durability(Some(PersistMode::Buffer));
        for entry in entries {
            match &entry.bytes {
                Some(bytes) => {
                    batch.insert(&self.states, &*entry.key, pack(entry.touched_ms, bytes));
                }
                None => batch.remove(&self.states, &*entry.key),
            }
        }
        let meta = &self.store.meta;
        let text = serde_json::to_vec(extent).map_err(|error| Error::Store(error.to_string()))?;
        batch.insert(meta, self.extent_key(), text);
        let mark = extent.batches;
        batch.insert(meta, self.mark_key(mark), made_mark(mark, self.store.form));
        batch.commit().map_err(failed)?;
        self.written.store(extent.batches, Ordering::Release);
        Ok(())
    }

    /// The database it is in.
    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    /// The newest batch that lies on the disk.
    pub(crate) fn written(&self) -> u64 {
        self.written.load(Ordering::Acquire)
    }

    /// Takes everything away.
    pub(crate) fn clear(&self) -> Result<(), Error> {
        self.states.clear().map_err(failed)?;
        let mut batch = self.store.database.batch();
        batch.remove(&self.store.meta, self.extent_key());
        for mark in 0..MARKS {
            batch.remove(&self.store.meta, self.mark_key(mark));
        }
        batch.commit().map_err(failed)?;
        self.written.store(0, Ordering::Release);
        Ok(())
    }

    /// Makes sure that what was written outlives the machine, not only the process.
    pub(crate) fn sync(&self) -> Result<(), Error> {
        self.store.database.persist(PersistMode::SyncData).map_err(failed)
    }

    /// Shows every key with its state's bytes.
    pub(crate) fn each(&self, mut show: impl FnMut(&[u8], &[u8])) -> Result<(), Error> {
        let mut each = || {
            for guard in self.states.iter() {
                let (key, value) = guard.into_inner().map_err(failed)?;
                show(&key, unpack(&value)?.1);
            }
            Ok(())
        };
        each().map_err(|error| self.doubted(error))
    }

    /// Looks at so many keys behind one, and tells those touched last before a moment.
    pub(crate) fn touched_before(
        &self,
        oldest_ms: u64,
        behind: Option<&[u8]>,
        keys_max: usize,
    ) -> Result<Swept, Error> {
        let from = behind.map_or(std::ops::Bound::Unbounded, std::ops::Bound::Excluded);
        let range = (from, std::ops::Bound::<&[u8]>::Unbounded);
        let (mut old, mut last, mut looked) = (Vec::new(), None, 0);
        let mut look = || {
            for guard in self.states.range::<&[u8], _>(range).take(keys_max) {
                let (key, value) = guard.into_inner().map_err(failed)?;
                let (touched_ms, _) = unpack(&value)?;
                if touched_ms < oldest_ms {
                    old.push((Box::from(&*key), touched_ms));
                }
                last = Some(Box::from(&*key));
                looked += 1;
            }
            Ok(())
        };
        look().map_err(|error| self.doubted(error))?;
        Ok((old, last.filter(|_| looked == keys_max)))
    }

    fn extent(&self) -> Result<Option<Extent>, Error> {
        let found = self.store.meta.get(self.extent_key()).map_err(failed)?;
        Ok(found.and_then(|text| serde_json::from_slice(&text).ok()))
    }

    /// Why what lies here is not to be used: one of the last batches is missing, or is of a version
    /// that is later than ours.
    fn doubt(&self, extent: &Extent) -> Result<Option<&'static str>, Error> {
        let first = extent.batches.saturating_sub(MARKS - 1).max(1);
        for mark in first..=extent.batches {
            let found = self.store.meta.get(self.mark_key(mark)).map_err(failed)?;
            match found.as_deref().and_then(<[u8]>::split_first_chunk) {
                Some((number, form)) if *number == mark.to_be_bytes() => {
                    if form.first().is_some_and(|form| *form > self.store.form) {
                        return Ok(Some("its states have a form that is not known here"));
                    }
                }
                Some(_) | None => return Ok(Some("it lacks a batch")),
            }
        }
        Ok(None)
    }

    fn extent_key(&self) -> String {
        format!("{}", self.partition)
    }

    fn mark_key(&self, mark: u64) -> String {
        format!("{}.{}", self.partition, mark % MARKS)
    }
}

impl fmt::Debug for Shelf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shelf").field("partition", &self.partition).finish_non_exhaustive()
    }
}

fn options() -> KeyspaceCreateOptions {
    KeyspaceCreateOptions::default().max_memtable_size(MEMTABLE_BYTES)
}

/// States that are kept as they are published were there first: their mark is the number alone.
fn made_mark(mark: u64, form: u8) -> Vec<u8> {
    let mut made = mark.to_be_bytes().to_vec();
    if form > 0 {
        made.push(form);
    }
    made
}

fn pack(touched_ms: u64, bytes: &[u8]) -> Vec<u8> {
    let mut packed = Vec::with_capacity(8 + bytes.len());
    packed.extend_from_slice(&touched_ms.to_be_bytes());
    packed.extend_from_slice(bytes);
    packed
}

fn unpack(packed: &[u8]) -> Result<(u64, &[u8]), Error> {
    match packed.split_first_chunk() {
        Some((touched_ms, bytes)) => Ok((u64::from_be_bytes(*touched_ms), bytes)),
        None => Err(Error::Store("a state on the disk is too short".to_owned())),
    }
}

#[allow(clippy::needless_pass_by_value)] // for map_err
fn failed(error: fjall::Error) -> Error {
    Error::Store(error.to_string())
}

#[allow(clippy::needless_pass_by_value)]
fn disk(folder: &Path, error: fjall::Error) -> Error {
    match error {
        error if is_in_use(&error) => {
            Error::Store(format!("{} is in use by another process", folder.display()))
        }
        error if is_full(&error) => Error::Full(folder.display().to_string()),
        error => Error::Store(format!("{}: {error}", folder.display())),
    }
}

/// Whether there is no room on the disk.
fn is_full(error: &fjall::Error) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = match error {
        fjall::Error::Io(error) => Some(error),
        error => std::error::Error::source(error),
    };
    while let Some(error) = cause {
        let io = error.downcast_ref::<std::io::Error>();
        if io.is_some_and(|io| io.kind() == std::io::ErrorKind::StorageFull) {
            return true;
        }
        cause = error.source();
    }
    false
}

fn is_in_use(error: &fjall::Error) -> bool {
    matches!(error, fjall::Error::Locked)
}

/// Where a damaged folder is put; one that was put there earlier gives way.
fn beside(folder: &Path) -> PathBuf {
    let mut name = folder.file_name().unwrap_or_default().to_owned();
    name.push(".damaged");
    folder.with_file_name(name)
}

#[cfg(test)]
mod tests;
