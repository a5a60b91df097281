//! A global table: a compacted topic held whole in memory.

use std::fmt;
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::thread::JoinHandle;
use std::time::Duration;

use clickmill_kafka::{Class, KafkaConfig, Message, Reader, ReaderConfig, Step};
use tracing::{info, warn};

use crate::{Error, Place, Poison, Raw};

/// How long one poll waits; only stopping is as slow as that.
const POLL_WAIT: Duration = Duration::from_millis(50);

/// How long after a failure the topic is opened again.
const REOPEN_AFTER: Duration = Duration::from_millis(500);

/// How long opening may take.
const OPEN_WAIT: Duration = Duration::from_secs(10);

/// What a table holds in memory: made from the topic's records, in their order.
pub trait Rows: Default + Send + Sync + 'static {
    /// Takes a record: a row, or a tombstone that takes one away.
    ///
    /// # Errors
    /// When it cannot be read; the table goes on without it.
    fn apply(&mut self, raw: &Raw<'_>) -> Result<(), Poison>;
}

/// Is told of every record of a table that is applied once it is ready, of every record that cannot
/// be read, and of a table that is read anew.
pub trait Watch<T>: Send + 'static {
    /// A record was applied: readers see it.
    fn applied(&self, table: &Table<T>, raw: &Raw<'_>);

    /// A record was passed over.
    fn poisoned(&self, raw: &Raw<'_>, poison: &Poison);

    /// The whole table was read anew, since its topic was made anew or its reader broke: readers see
    /// the new rows. Which of them are others than before nobody tells record by record.
    fn replaced(&self, table: &Table<T>) {
        let _ = table;
    }
}

/// How far a partition of the table's topic was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version {
    /// The partition.
    pub partition: u32,
    /// The newest record that counted.
    pub offset: u64,
}

/// Which topic a table is, and how it is read.
#[derive(Clone, Debug)]
pub struct TableConfig {
    /// What it is called in logs and decisions.
    pub name: &'static str,
    /// How to reach Kafka.
    pub kafka: KafkaConfig,
    /// How to read the topic.
    pub reader: ReaderConfig,
}

/// A handle to a table; clones are the same table.
pub struct Table<T> {
    shared: Arc<Shared<T>>,
}

struct Shared<T> {
    name: &'static str,
    content: RwLock<Content<T>>,
    is_ready: AtomicBool,
    is_stopped: AtomicBool,
}

#[derive(Default)]
struct Content<T> {
    rows: T,
    versions: Vec<Version>,
}

/// A look at a table; the table stands still meanwhile, so do not keep it.
pub struct Reading<'a, T> {
    content: RwLockReadGuard<'a, Content<T>>,
}

impl<T: Rows> Table<T> {
    /// A table that no topic feeds, for tests: apply its records by hand.
    pub fn detached(name: &'static str) -> Self {
        let table = Self::empty(name);
        table.shared.is_ready.store(true, Ordering::Release);
        table
    }

    /// Starts to read the topic on a thread of its own, for as long as the table is not stopped.
    /// A missing topic or a Kafka that does not answer is tried again until it is there.
    ///
    /// # Errors
    /// When no thread could be started.
    pub fn start<W: Watch<T>>(
        config: TableConfig,
        watch: W,
    ) -> Result<(Self, JoinHandle<()>), Error> {
        let table = Self::empty(config.name);
        let reading = table.clone();
        let name = format!("table-{}", config.name);
        let thread = std::thread::Builder::new()
            .name(name.clone())
            .spawn(move || reading.keep(&config, &watch))
            .map_err(|source| Error::Thread { name, source })?;
        Ok((table, thread))
    }

    fn empty(name: &'static str) -> Self {
        Self {
            shared: Arc::new(Shared {
                name,
                content: RwLock::new(Content::default()),
                is_ready: AtomicBool::new(false),
                is_stopped: AtomicBool::new(false),
            }),
        }
    }

    /// Reads the table. Hold it briefly: its topic waits meanwhile.
    pub fn read(&self) -> Reading<'_, T> {
        // Rows whose `apply` panicked may be torn, but refusing all reads would be worse.
        let content = self.shared.content.read().unwrap_or_else(PoisonError::into_inner);
        Reading { content }
    }

    /// Applies a record as if it came from the topic.
    ///
    /// # Errors
    /// When the rows cannot read it.
    pub fn apply(&self, raw: &Raw<'_>) -> Result<(), Poison> {
        self.shared.content.write().unwrap_or_else(PoisonError::into_inner).apply(raw)
    }

    /// Its name.
    pub fn name(&self) -> &'static str {
        self.shared.name
    }

    /// Whether it has been read to the topic's end.
    pub fn is_ready(&self) -> bool {
        self.shared.is_ready.load(Ordering::Acquire)
    }

    /// Ends the reading thread soon; what was read stays.
    pub fn stop(&self) {
        self.shared.is_stopped.store(true, Ordering::Release);
    }

    /// Reads the topic, and reads it anew when the reader breaks.
    fn keep(&self, config: &TableConfig, watch: &impl Watch<T>) {
        while !self.is_stopped() {
            match self.follow(config, watch) {
                Ok(()) => return,
                Err(error) => warn!(table = self.shared.name, %error, "table cannot be read"),
            }
            // Nobody unparks this thread: it is a wait that needs no clock of its own.
            std::thread::park_timeout(REOPEN_AFTER);
        }
    }

    /// Reads into fresh rows up to the end, puts them in place, and follows the topic.
    fn follow(
        &self,
        config: &TableConfig,
        watch: &impl Watch<T>,
    ) -> Result<(), clickmill_kafka::Error> {
        let mut reader = Reader::open(&config.kafka, &config.reader, OPEN_WAIT)?;
        let mut fresh = Some(Content::<T>::default());
        while !self.is_stopped() {
            match reader.poll(POLL_WAIT) {
                Ok(Step::Message(message)) => {
                    // Another topic of its name: what was read of the one before holds no more.
                    if fresh.is_none() && self.has_read(&message) {
                        warn!(table = self.shared.name, "the topic was made anew: read anew");
                        return self.follow(config, watch);
                    }
                    self.take(&message, fresh.as_mut(), watch);
                }
                Ok(Step::CaughtUp) => self.put_in_place(fresh.take(), watch),
                Ok(Step::Idle) => {}
                Err(error) if error.class() == Class::Fatal => return Err(error),
                Err(error) => warn!(table = self.shared.name, %error, "table is held up"),
            }
        }
        Ok(())
    }

    fn take(&self, message: &Message<'_>, fresh: Option<&mut Content<T>>, watch: &impl Watch<T>) {
        let raw = Raw::of(message);
        let is_live = fresh.is_none();
        let applied = match fresh {
            Some(content) => content.apply(&raw),
            None => self.apply(&raw),
        };
        match applied {
            Ok(()) if is_live => watch.applied(self, &raw),
            Ok(()) => {}
            Err(poison) => watch.poisoned(&raw, &poison),
        }
    }

    /// Whether a record of its place was there already.
    fn has_read(&self, message: &Message<'_>) -> bool {
        let Place { partition, offset } = Raw::of(message).place;
        let content = self.shared.content.read().unwrap_or_else(PoisonError::into_inner);
        let is_read =
            |version: &Version| version.partition == partition && version.offset >= offset;
        content.versions.iter().any(is_read)
    }

    fn put_in_place(&self, fresh: Option<Content<T>>, watch: &impl Watch<T>) {
        let Some(fresh) = fresh else { return };
        info!(table = self.shared.name, versions = ?fresh.versions, "table is read");
        *self.shared.content.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        if self.shared.is_ready.swap(true, Ordering::AcqRel) {
            watch.replaced(self);
        }
    }

    fn is_stopped(&self) -> bool {
        self.shared.is_stopped.load(Ordering::Acquire)
    }
}

impl<T: Rows> Content<T> {
    fn apply(&mut self, raw: &Raw<'_>) -> Result<(), Poison> {
        // A record that cannot be read was seen all the same.
        let Place { partition, offset } = raw.place;
        match self.versions.iter_mut().find(|version| version.partition == partition) {
            Some(version) => version.offset = offset,
            None => {
                self.versions.push(Version { partition, offset });
                self.versions.sort_unstable_by_key(|version| version.partition);
            }
        }
        self.rows.apply(raw)
    }
}

impl<T> Reading<'_, T> {
    /// How far the topic was read, by partition; those without a record are missing.
    pub fn versions(&self) -> &[Version] {
        &self.content.versions
    }
}

impl<T> Deref for Reading<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.content.rows
    }
}

impl<T> Clone for Table<T> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<T> fmt::Debug for Table<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_ready = self.shared.is_ready.load(Ordering::Relaxed);
        f.debug_struct("Table").field("name", &self.shared.name).field("ready", &is_ready).finish()
    }
}

impl<T> fmt::Debug for Reading<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reading").field("versions", &self.content.versions).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[derive(Default)]
    struct Words(HashMap<Vec<u8>, String>);

    impl Rows for Words {
        fn apply(&mut self, raw: &Raw<'_>) -> Result<(), Poison> {
            let key = raw.key.unwrap_or_default().to_vec();
            match raw.value {
                None => drop(self.0.remove(&key)),
                Some(value) => {
                    let word = String::from_utf8(value.to_vec()).map_err(Poison::malformed)?;
                    self.0.insert(key, word);
                }
            }
            Ok(())
        }
    }

    fn raw<'a>(offset: u64, key: &'a [u8], value: Option<&'a [u8]>) -> Raw<'a> {
        Raw {
            source: 0,
            place: Place { partition: 1, offset },
            key: Some(key),
            value,
            timestamp_ms: 0,
        }
    }

    #[test]
    fn readers_see_rows_and_their_version() {
        let table = Table::<Words>::detached("words");
        table.apply(&raw(4, b"a", Some(b"one"))).unwrap();
        table.apply(&raw(5, b"b", Some(b"two"))).unwrap();
        table.apply(&raw(9, b"a", None)).unwrap();
        let seen = table.read();
        assert_eq!((seen.0.len(), seen.0[&b"b"[..]].as_str()), (1, "two"));
        assert_eq!(seen.versions(), [Version { partition: 1, offset: 9 }]);
    }

    /// Notes what each look at a table that was read anew finds.
    #[derive(Default)]
    struct Anew(std::sync::Mutex<Vec<usize>>);

    impl Watch<Words> for Anew {
        fn applied(&self, _: &Table<Words>, _: &Raw<'_>) {}

        fn poisoned(&self, _: &Raw<'_>, _: &Poison) {}

        fn replaced(&self, table: &Table<Words>) {
            self.0.lock().unwrap().push(table.read().0.len());
        }
    }

    #[test]
    fn who_watches_a_table_hears_that_it_was_read_anew() {
        let (table, anew) = (Table::<Words>::empty("words"), Anew::default());
        let mut first = Content::default();
        first.apply(&raw(0, b"a", Some(b"one"))).unwrap();
        table.put_in_place(Some(first), &anew);
        assert!(table.is_ready() && anew.0.lock().unwrap().is_empty(), "it was not there before");
        // The end is reached again with each pause.
        table.put_in_place(None, &anew);
        table.put_in_place(Some(Content::default()), &anew);
        assert_eq!(*anew.0.lock().unwrap(), [0], "once, and with the new rows");
    }

    #[test]
    fn a_bad_row_leaves_the_table_as_it_was() {
        let table = Table::<Words>::detached("words");
        table.apply(&raw(0, b"a", Some(b"one"))).unwrap();
        let poison = table.apply(&raw(1, b"a", Some(b"\xff"))).unwrap_err();
        assert_eq!(poison.reason, "malformed");
        assert_eq!(table.read().0[&b"a"[..]], "one");
    }
}
