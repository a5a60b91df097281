//! What the spool's tests need: messages, a folder that goes away, a disk that fails on purpose.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

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
}

impl FaultyDisk {
    /// Whether there is no room: half of what is written gets there.
    pub(crate) fn set_full(&self, full: bool) {
        self.full.store(full, Ordering::SeqCst);
    }

    /// Whether syncing fails.
    pub(crate) fn set_unsynced(&self, unsynced: bool) {
        self.unsynced.store(unsynced, Ordering::SeqCst);
    }
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
            return Err(io::Error::other("input/output error"));
        }
        // Tests look for what was written, not for what a loss of power leaves.
        let _ = file;
        Ok(())
    }
}
