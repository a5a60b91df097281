//! What the spool's tests need: messages, a folder that goes away, a disk that fails on purpose.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use clickmill_kafka::Headers;
use clickmill_sdk_core::wire::Topic;

use super::disk::{Disk, RealDisk};
use crate::sink::Message;

/// A message of a visitor.
pub(crate) fn message(key: &str, value: &str) -> Message {
    Message {
        topic: Topic::ClicksRaw,
        key: Some(key.into()),
        value: value.to_owned(),
        headers: Headers::default().with("ce_id", value),
    }
}

/// A folder of one test, deleted with it.
#[derive(Debug)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("clickmill-spool-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A disk that is full when a test says so. Clones are the same disk.
#[derive(Clone, Debug, Default)]
pub(crate) struct FaultyDisk {
    full: Arc<AtomicBool>,
    unsynced: Arc<AtomicBool>,
    /// What of every file cannot be read.
    unreadable: Arc<Mutex<Range<u64>>>,
    /// How many reads more fail, wherever.
    reads_to_fail: Arc<AtomicU64>,
    unopenable: Arc<AtomicBool>,
}

impl FaultyDisk {
    /// Whether there is no room: half of what is written gets there.
    pub(crate) fn set_full(&self, full: bool) {
        self.full.store(full, Ordering::SeqCst);
    }

    /// What of every file cannot be read.
    pub(crate) fn set_unreadable(&self, bytes: Range<u64>) {
        *self.unreadable.lock().unwrap() = bytes;
    }

    /// The next reads fail.
    pub(crate) fn fail_reads(&self, count: u64) {
        self.reads_to_fail.store(count, Ordering::SeqCst);
    }

    /// Whether files cannot be opened.
    pub(crate) fn set_unopenable(&self, unopenable: bool) {
        self.unopenable.store(unopenable, Ordering::SeqCst);
    }

    /// Whether syncing fails.
    pub(crate) fn set_unsynced(&self, unsynced: bool) {
        self.unsynced.store(unsynced, Ordering::SeqCst);
    }
}

/// What a system says of a disk that has gone bad.
fn damaged() -> io::Error {
    io::Error::other("input/output error")
}

impl Disk for FaultyDisk {
    fn create(&self, path: &Path) -> io::Result<File> {
        RealDisk.create(path)
    }

    fn write(&self, file: &File, at: u64, bytes: &[u8]) -> io::Result<()> {
        if self.full.load(Ordering::SeqCst) {
            RealDisk.write(file, at, &bytes[..bytes.len() / 2])?;
            return Err(io::ErrorKind::StorageFull.into());
        }
        RealDisk.write(file, at, bytes)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        if self.unsynced.load(Ordering::SeqCst) {
            return Err(damaged());
        }
        // Tests look for what was written, not for what a loss of power leaves.
        let _ = file;
        Ok(())
    }

    fn open(&self, path: &Path) -> io::Result<File> {
        if self.unopenable.load(Ordering::SeqCst) {
            return Err(damaged());
        }
        RealDisk.open(path)
    }

    fn read(&self, file: &File, at: u64, count: usize) -> io::Result<Vec<u8>> {
        let left = self.reads_to_fail.load(Ordering::SeqCst);
        self.reads_to_fail.store(left.saturating_sub(1), Ordering::SeqCst);
        let bad = self.unreadable.lock().unwrap().clone();
        if left > 0 || (at < bad.end && bad.start < at + count as u64) {
            return Err(damaged());
        }
        RealDisk.read(file, at, count)
    }
}
