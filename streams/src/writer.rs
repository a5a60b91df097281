//! Writes states to the disk on a thread of its own, so that folds do not wait for it.

use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use crate::Error;
use crate::store::{Entry, Extent, Shelf};

/// Batches that may wait: one of each partition that is busy.
const WAITING_MAX: usize = 64;

/// One batch on its way to the disk.
pub(crate) struct Batch {
    pub(crate) shelf: Shelf,
    pub(crate) entries: Vec<Entry>,
    pub(crate) extent: Extent,
    /// Whether a round ends with it: then it must outlive the machine.
    pub(crate) ends_round: bool,
}

impl Batch {
    /// Writes it.
    pub(crate) fn put(&self) -> Result<(), Error> {
        self.shelf.put(&self.entries, &self.extent)?;
        if self.ends_round { self.shelf.sync() } else { Ok(()) }
    }
}

/// The thread that writes. Dropped, it finishes what waits.
pub(crate) struct Writer {
    batches: Option<SyncSender<Batch>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub(crate) fn start() -> Result<Self, Error> {
        let (batches, to_do) = sync_channel::<Batch>(WAITING_MAX);
        let name = "state-writer".to_owned();
        let thread = std::thread::Builder::new()
            .name(name.clone())
            .spawn(move || {
                for batch in to_do {
                    let store = batch.shelf.store();
                    if store.is_given_up() {
                        continue;
                    }
                    // What is not on the disk stays in memory, and lies in the changelog.
                    if let Err(error) = batch.put() {
                        store.give_up(&error);
                    }
                }
            })
            .map_err(|source| Error::Thread { name, source })?;
        Ok(Self { batches: Some(batches), thread: Some(thread) })
    }

    /// Hands a batch over. Waits where too many wait already.
    pub(crate) fn write(&self, batch: Batch) -> Result<(), Error> {
        let broken = || Error::Broken("the state writer".to_owned());
        let Some(batches) = &self.batches else { return Err(broken()) };
        match batches.try_send(batch) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(batch)) => batches.send(batch).map_err(|_| broken()),
            Err(TrySendError::Disconnected(_)) => Err(broken()),
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.batches = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that writes states broke off");
        }
    }
}
