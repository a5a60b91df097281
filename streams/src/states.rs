//! The states of one partition's keys: the busy ones in memory, all of them on the disk beside it.
//!
//! A state lives in three forms: as the value that folds change, as the bytes last handed to the
//! changelog, and as those bytes on the disk. Memory is bounded: what is quiet and lies on the disk
//! goes first (the clock algorithm), and is read back when its key comes again.

use std::collections::HashMap;
use std::sync::Arc;

use ahash::RandomState;

use crate::store::{Entry, Shelf};
use crate::{Error, Poison, State, View};

/// How much a task remembers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// A key without a record for so long is forgotten, ms of stream time.
    pub ttl_ms: u64,
    /// Bytes that a partition's states may take in memory, as estimated. The rest lies on the disk
    /// alone. Without a disk nothing is put aside.
    pub state_bytes_max: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { ttl_ms: 24 * 60 * 60 * 1000, state_bytes_max: 256 << 20 }
    }
}

/// What a slot takes beside key and bytes: the slot, its place in the index, two allocations.
const SLOT_BYTES: usize = 160;

/// A live state is reckoned to take so many times its bytes.
const LIVE_FACTOR: usize = 2;

/// A state as it would be sealed: its key, its bytes, the stream time of its last record.
pub(crate) type Written = (Arc<[u8]>, Vec<u8>, u64);

/// Why a state cannot be had.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// What was written of it cannot be read.
    Poison(Poison),
    /// The disk failed.
    Disk(Error),
}

/// The states of one partition.
pub(crate) struct States<S> {
    bounds: Bounds,
    shelf: Option<Shelf>,
    index: HashMap<Arc<[u8]>, usize, RandomState>,
    slots: Vec<Option<Slot<S>>>,
    free: Vec<usize>,
    /// Changed since the last seal.
    changed: Vec<usize>,
    /// Sealed since the last batch for the disk.
    unwritten: Vec<usize>,
    bytes: usize,
    hand: usize,
    /// The key behind which the next look for expired keys begins.
    swept_to: Option<Box<[u8]>>,
}

struct Slot<S> {
    key: Arc<[u8]>,
    live: Option<S>,
    /// As sealed last; none where the key has no state.
    sealed: Option<Arc<[u8]>>,
    /// Stream time of its last record, and of the last one before it was sealed.
    touched_ms: u64,
    sealed_ms: u64,
    is_changed: bool,
    is_unwritten: bool,
    was_used: bool,
    /// The batch that takes its bytes to the disk.
    written_in: u64,
    /// What it was last reckoned to take.
    counted: usize,
}

impl<S> Slot<S> {
    /// Reckons anew what it takes, and sets the sum right.
    fn count(&mut self, sum: &mut usize) {
        *sum -= self.counted;
        self.counted = self.bytes();
        *sum += self.counted;
    }

    fn bytes(&self) -> usize {
        let sealed = self.sealed.as_ref().map_or(0, |bytes| bytes.len());
        let live = if self.live.is_some() { LIVE_FACTOR * sealed } else { 0 };
        SLOT_BYTES + self.key.len() + sealed + live
    }
}

impl<S: State> States<S> {
    pub(crate) fn new(bounds: Bounds, shelf: Option<Shelf>) -> Self {
        Self {
            bounds,
            shelf,
            index: HashMap::default(),
            slots: Vec::new(),
            free: Vec::new(),
            changed: Vec::new(),
            unwritten: Vec::new(),
            bytes: 0,
            hand: 0,
            swept_to: None,
        }
    }

    /// The state of a key for a fold, made if there is none or it was too long ago. `time_ms` is
    /// stream time.
    pub(crate) fn change(&mut self, key: &[u8], time_ms: u64) -> Result<&mut S, Trouble> {
        let at = self.slot(key)?;
        let ttl_ms = self.bounds.ttl_ms;
        // `slot` returns places that are filled.
        let Some(slot) = self.slots[at].as_mut() else { return Err(Trouble::Poison(vanished())) };
        let is_old = time_ms.saturating_sub(slot.touched_ms) > ttl_ms;
        if is_old {
            slot.live = Some(S::default());
        } else if slot.live.is_none() {
            slot.live = Some(match &slot.sealed {
                Some(bytes) => S::read(bytes).map_err(Trouble::Poison)?,
                None => S::default(),
            });
        }
        slot.touched_ms = time_ms;
        slot.was_used = true;
        if !slot.is_changed {
            slot.is_changed = true;
            self.changed.push(at);
        }
        slot.live.as_mut().ok_or_else(|| Trouble::Poison(vanished()))
    }

    /// The state of a key as it is; none where there is none.
    pub(crate) fn look(&mut self, key: &[u8]) -> Result<Option<&S>, Trouble> {
        let Some(at) = self.find(key)? else { return Ok(None) };
        let Some(slot) = self.slots[at].as_mut() else { return Ok(None) };
        if slot.live.is_none()
            && let Some(bytes) = &slot.sealed
        {
            slot.live = Some(S::read(bytes).map_err(Trouble::Poison)?);
        }
        slot.was_used = true;
        Ok(slot.live.as_ref())
    }

    /// Takes what the changelog holds of a key.
    pub(crate) fn restore(&mut self, key: &[u8], bytes: Option<&[u8]>, touched_ms: u64) {
        let at = match self.index.get(key) {
            Some(at) => *at,
            None => self.fill(key, None, touched_ms),
        };
        let Some(slot) = self.slots[at].as_mut() else { return };
        slot.live = None;
        slot.sealed = bytes.map(Arc::from);
        (slot.touched_ms, slot.sealed_ms) = (touched_ms, touched_ms);
        slot.count(&mut self.bytes);
        if !slot.is_unwritten {
            slot.is_unwritten = true;
            self.unwritten.push(at);
        }
    }

    /// Writes down every state that was changed since the last seal and hands it to `each`: its
    /// key, its bytes (none: forget it), and the stream time of its last record.
    ///
    /// A state that cannot be written stays as it was sealed before, and is told as poison.
    pub(crate) fn seal<V: View<State = S>>(
        &mut self,
        view: &V,
        mut each: impl FnMut(&[u8], Option<&[u8]>, u64) -> Result<(), Error>,
    ) -> Result<Vec<Poison>, Error> {
        let mut poison = Vec::new();
        let mut buffer = Vec::with_capacity(1024);
        for at in std::mem::take(&mut self.changed) {
            let Some(slot) = self.slots[at].as_mut() else { continue };
            slot.is_changed = false;
            slot.sealed_ms = slot.touched_ms;
            buffer.clear();
            let written = match &slot.live {
                Some(live) if !view.is_over(live) => live.write(&mut buffer).map(|()| true),
                Some(_) | None => Ok(false),
            };
            match written {
                Ok(true) => slot.sealed = Some(Arc::from(buffer.as_slice())),
                Ok(false) => (slot.live, slot.sealed) = (None, None),
                Err(why) => {
                    slot.live = None;
                    poison.push(why);
                }
            }
            each(&slot.key, slot.sealed.as_deref(), slot.touched_ms)?;
            slot.count(&mut self.bytes);
            if !slot.is_unwritten {
                slot.is_unwritten = true;
                self.unwritten.push(at);
            }
        }
        Ok(poison)
    }

    /// Whether anything was changed since the last seal.
    pub(crate) fn is_changed(&self) -> bool {
        !self.changed.is_empty()
    }

    /// What was sealed and is not on the disk yet. Call it only while everything that was sealed
    /// is committed.
    pub(crate) fn take_unwritten(&mut self, batch: u64) -> Vec<Entry> {
        let unwritten = std::mem::take(&mut self.unwritten);
        let entries = unwritten.into_iter().filter_map(|at| {
            let slot = self.slots[at].as_mut()?;
            slot.is_unwritten = false;
            slot.written_in = batch;
            let (key, bytes) = (Arc::clone(&slot.key), slot.sealed.clone());
            Some(Entry { key, bytes, touched_ms: slot.sealed_ms })
        });
        entries.collect()
    }

    /// How many keys wait for the disk.
    pub(crate) fn unwritten(&self) -> usize {
        self.unwritten.len()
    }

    /// Puts aside what is quiet and lies on the disk, until memory is within its bound.
    pub(crate) fn make_room(&mut self) {
        let Some(shelf) = &self.shelf else { return };
        let written = shelf.written();
        // Twice around: the first time takes the marks of use away.
        let mut left = 2 * self.slots.len();
        while self.bytes > self.bounds.state_bytes_max && left > 0 {
            left -= 1;
            self.hand = if self.hand + 1 >= self.slots.len() { 0 } else { self.hand + 1 };
            let Some(slot) = self.slots[self.hand].as_mut() else { continue };
            if slot.is_changed || slot.is_unwritten || slot.written_in > written {
                continue;
            }
            if std::mem::take(&mut slot.was_used) {
                continue;
            }
            self.drop_slot(self.hand);
        }
    }

    /// Looks at some keys on the disk and forgets those that are too old. `time_ms` is stream time.
    pub(crate) fn sweep(&mut self, time_ms: u64, keys_max: usize) -> Result<(), Error> {
        let Some(shelf) = &self.shelf else { return Ok(()) };
        let oldest_ms = time_ms.saturating_sub(self.bounds.ttl_ms);
        let (seen, swept_to) =
            shelf.touched_before(oldest_ms, self.swept_to.as_deref(), keys_max)?;
        self.swept_to = swept_to;
        for (key, touched_ms) in seen {
            let at = match self.index.get(key.as_ref()) {
                Some(at) => *at,
                None => self.fill(&key, None, touched_ms),
            };
            let Some(slot) = self.slots[at].as_mut() else { continue };
            // In memory it may have been touched since.
            if slot.is_changed || slot.touched_ms >= oldest_ms {
                continue;
            }
            (slot.live, slot.is_changed) = (None, true);
            slot.sealed = None;
            self.changed.push(at);
        }
        Ok(())
    }

    /// How many keys are in memory.
    pub(crate) fn len(&self) -> usize {
        self.index.len()
    }

    /// Bytes that they are reckoned to take.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn bounds(&self) -> Bounds {
        self.bounds
    }

    /// Every state in memory as it would be sealed, with its key and time.
    pub(crate) fn written_down<V: View<State = S>>(
        &self,
        view: &V,
    ) -> Result<Vec<Written>, Poison> {
        let mut written = Vec::new();
        for slot in self.slots.iter().flatten() {
            let Some(live) = &slot.live else { continue };
            let mut bytes = Vec::new();
            if !view.is_over(live) {
                live.write(&mut bytes)?;
                written.push((Arc::clone(&slot.key), bytes, slot.touched_ms));
            }
        }
        Ok(written)
    }

    pub(crate) fn is_full(&self) -> bool {
        self.bytes > self.bounds.state_bytes_max
    }

    pub(crate) fn shelf(&self) -> Option<&Shelf> {
        self.shelf.as_ref()
    }

    fn slot(&mut self, key: &[u8]) -> Result<usize, Trouble> {
        Ok(match self.find(key)? {
            Some(at) => at,
            None => self.fill(key, None, 0),
        })
    }

    /// Where a key is in memory; brought there from the disk if it lies there.
    fn find(&mut self, key: &[u8]) -> Result<Option<usize>, Trouble> {
        if let Some(at) = self.index.get(key) {
            return Ok(Some(*at));
        }
        let Some(shelf) = &self.shelf else { return Ok(None) };
        let found = shelf.get(key).map_err(Trouble::Disk)?;
        Ok(found.map(|(bytes, touched_ms)| self.fill(key, Some(bytes), touched_ms)))
    }

    fn fill(&mut self, key: &[u8], sealed: Option<Arc<[u8]>>, touched_ms: u64) -> usize {
        let key: Arc<[u8]> = Arc::from(key);
        let mut slot = Slot {
            key: Arc::clone(&key),
            live: None,
            sealed,
            touched_ms,
            sealed_ms: touched_ms,
            is_changed: false,
            is_unwritten: false,
            was_used: true,
            written_in: 0,
            counted: 0,
        };
        slot.count(&mut self.bytes);
        let at = match self.free.pop() {
            Some(at) => {
                self.slots[at] = Some(slot);
                at
            }
            None => {
                self.slots.push(Some(slot));
                self.slots.len() - 1
            }
        };
        self.index.insert(key, at);
        at
    }

    fn drop_slot(&mut self, at: usize) {
        let Some(slot) = self.slots[at].take() else { return };
        self.bytes -= slot.counted;
        self.index.remove(&slot.key);
        self.free.push(at);
    }
}

/// A slot that was just filled is not there: a fault of this module.
fn vanished() -> Poison {
    Poison { reason: "state_lost", detail: "a state vanished while it was looked at".to_owned() }
}

#[cfg(test)]
mod tests;
