//! The states of one partition's keys: the busy ones in memory, all of them on the disk beside it.
//!
//! A state lives in three forms: as the value that folds change, packed as it was sealed last, and
//! as those bytes on the disk. The values of keys that are quiet are dropped soon: they take a
//! multiple of their bytes, of which they are made again. Memory as a whole is bounded:
//! what is quiet and lies on the disk goes first (the clock algorithm), and is read back when its
//! key comes again.

mod sealed;

use std::collections::HashMap;
use std::sync::Arc;

use ahash::RandomState;

pub(crate) use self::sealed::Sealed;
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
    /// Bytes that one state may take with its key, as it is published. A larger one has no place in
    /// the changelog, so it stays as it was. A runtime takes what its producer can send, if that is
    /// less.
    pub published_bytes_max: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            ttl_ms: 24 * 60 * 60 * 1000,
            state_bytes_max: 256 << 20,
            published_bytes_max: 1_000_000 - FRAME_BYTES,
        }
    }
}

impl Bounds {
    /// The same for states that go into records of so many bytes at the most.
    pub(crate) fn for_records(self, record_bytes_max: u32) -> Self {
        let most = (record_bytes_max as usize).saturating_sub(FRAME_BYTES);
        Self { published_bytes_max: self.published_bytes_max.min(most), ..self }
    }
}

/// What a record takes beside key and value, at the most.
const FRAME_BYTES: usize = 512;

/// What a slot takes beside key and bytes: the slot, its place in the index, two allocations.
const SLOT_BYTES: usize = 160;

/// A live state is reckoned to take so many times its bytes, and so many times if those are packed.
const LIVE_FACTOR: usize = 2;
const LIVE_FACTOR_PACKED: usize = 6;

/// Live states may take this part of the memory that all states may take.
const LIVE_SHARE: usize = 64;

/// States that wait for the disk may take this part of the memory before their time has come.
const PINNED_SHARE: usize = 4;

/// This part of the bytes that states took last is made room for beyond them.
const ROOM_SHARE: usize = 8;

/// A state as it would be sealed: its key, its bytes, the stream time of its last record.
pub(crate) type Written = (Arc<[u8]>, Vec<u8>, u64);

/// How a state is packed that is to be woken, and the state.
pub(crate) type Woken<'a, S> = (Arc<[u8]>, &'a mut S);

/// Why a state cannot be had.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// What was written of it cannot be read.
    Poison(Poison),
    /// The disk failed.
    Disk(Error),
}

/// Places that are looked at for something to put aside where all of them were in vain.
const STUCK_LOOKS: usize = 64;

/// The states of one partition.
pub(crate) struct States<S> {
    bounds: Bounds,
    shelf: Option<Shelf>,
    index: HashMap<Arc<[u8]>, usize, RandomState>,
    slots: Vec<Option<Slot<S>>>,
    free: Vec<usize>,
    /// Changed since the last seal.
    changed: Vec<usize>,
    /// Sealed since the last round of batches for the disk began.
    unwritten: Vec<usize>,
    /// What is left of that round.
    leaving: Vec<usize>,
    bytes: usize,
    hand: usize,
    /// Came to life lately, and before that: see [`States::cool`].
    warm: [Vec<usize>; 2],
    /// What the first of them were reckoned to take, bytes.
    warm_bytes: usize,
    /// What states are written into first.
    buffer: Vec<u8>,
    /// What a published state took on average at the last seal: so much room is made for each at the
    /// next, which grows to megabytes otherwise by doubling.
    row_bytes: usize,
    /// The key behind which the next look for expired keys on the disk begins, and the place in
    /// memory where it does.
    swept_to: Option<Box<[u8]>>,
    swept_at: usize,
    /// The newest batch on the disk when nothing more could be put aside: before the next one there
    /// is little to look for.
    stuck_at: Option<u64>,
}

struct Slot<S> {
    key: Arc<[u8]>,
    live: Option<Box<S>>,
    /// As sealed last, packed, or published where it was restored; none where the key has no state.
    sealed: Option<Arc<[u8]>>,
    /// Stream time of its last record, and of the last one before it was sealed.
    touched_ms: u64,
    sealed_ms: u64,
    is_changed: bool,
    is_unwritten: bool,
    was_used: bool,
    /// Used again since it came to life, or since live states were looked through last.
    is_warm: bool,
    /// The batch that takes its bytes to the disk.
    written_in: u64,
    /// What it was last reckoned to take.
    counted: usize,
}

impl<S: State> Slot<S> {
    /// Reckons anew what it takes, and sets the sum right.
    fn count(&mut self, sum: &mut usize) {
        *sum -= self.counted;
        self.counted = self.bytes();
        *sum += self.counted;
    }

    fn bytes(&self) -> usize {
        let sealed = self.sealed.as_ref().map_or(0, |bytes| bytes.len());
        let live = if self.live.is_some() { self.live_bytes() } else { 0 };
        SLOT_BYTES + self.key.len() + sealed + live
    }

    /// As sealed last.
    fn entry(&self) -> Entry {
        let (key, bytes) = (Arc::clone(&self.key), self.sealed.clone());
        Entry { key, bytes, touched_ms: self.sealed_ms }
    }

    fn live_bytes(&self) -> usize {
        let factor = if S::FORM == 0 { LIVE_FACTOR } else { LIVE_FACTOR_PACKED };
        SLOT_BYTES + factor * self.sealed.as_ref().map_or(0, |bytes| bytes.len())
    }

    /// Makes the value of its bytes if it has none, or a new one if it `is_old`; tells whether it
    /// had none.
    fn come_to_life(&mut self, is_old: bool) -> Result<bool, Poison> {
        let had_none = self.live.is_none();
        if is_old {
            self.live = Some(Box::default());
        } else if had_none {
            self.live = Some(Box::new(match &self.sealed {
                Some(bytes) => read(bytes)?,
                None => S::default(),
            }));
        }
        (self.was_used, self.is_warm) = (true, !had_none);
        Ok(had_none)
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
            leaving: Vec::new(),
            bytes: 0,
            hand: 0,
            warm: [Vec::new(), Vec::new()],
            warm_bytes: 0,
            buffer: Vec::new(),
            row_bytes: 0,
            swept_to: None,
            swept_at: 0,
            stuck_at: None,
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
        if slot.come_to_life(is_old).map_err(Trouble::Poison)? {
            self.warm[0].push(at);
            self.warm_bytes += slot.live_bytes();
        }
        slot.touched_ms = time_ms;
        if !slot.is_changed {
            slot.is_changed = true;
            self.changed.push(at);
        }
        slot.live.as_deref_mut().ok_or_else(|| Trouble::Poison(vanished()))
    }

    /// The state of a key that is to be woken, as old as it may be; none where there is none.
    pub(crate) fn wake(&mut self, key: &[u8]) -> Result<Option<Woken<'_, S>>, Trouble> {
        if self.look(key)?.is_none() {
            return Ok(None);
        }
        let Some(at) = self.find(key)? else { return Ok(None) };
        let Some(slot) = self.slots[at].as_mut() else { return Ok(None) };
        let before = match (&slot.sealed, &slot.live) {
            (Some(sealed), _) if !slot.is_changed => Arc::clone(sealed),
            (_, Some(live)) => {
                self.buffer.clear();
                unless_panics(|| live.pack(&mut self.buffer)).map_err(Trouble::Poison)?;
                Arc::from(self.buffer.as_slice())
            }
            (_, None) => return Ok(None),
        };
        if !slot.is_changed {
            slot.is_changed = true;
            self.changed.push(at);
        }
        Ok(slot.live.as_deref_mut().map(|state| (before, state)))
    }

    /// Makes the state of a key what it was before it was woken. Where that cannot be read, what was
    /// sealed last is its state, as where one cannot be written.
    pub(crate) fn put_back(&mut self, key: &[u8], before: &[u8]) -> Result<(), Poison> {
        let Some(at) = self.index.get(key).copied() else { return Ok(()) };
        let Some(slot) = self.slots[at].as_mut() else { return Ok(()) };
        // Nothing that was left half done stays, whatever comes of reading.
        slot.live = None;
        let read = read(before).map(|state| slot.live = Some(Box::new(state)));
        // One that was never sealed is forgotten with the next seal.
        if read.is_err() && slot.sealed.is_some() {
            (slot.touched_ms, slot.is_changed) = (slot.sealed_ms, false);
            self.changed.retain(|changed| *changed != at);
        }
        slot.count(&mut self.bytes);
        read
    }

    /// Shows every state, those in memory and those on the disk alone. One that cannot be read is
    /// left out.
    pub(crate) fn each(&self, mut show: impl FnMut(&[u8], &S)) -> Result<(), Error> {
        for slot in self.slots.iter().flatten() {
            match (&slot.live, &slot.sealed) {
                (Some(live), _) => show(&slot.key, live),
                (None, Some(bytes)) => drop(read(bytes).map(|state| show(&slot.key, &state))),
                (None, None) => {}
            }
        }
        let Some(shelf) = &self.shelf else { return Ok(()) };
        shelf.each(|key, bytes| {
            if !self.index.contains_key(key) {
                drop(read(bytes).map(|state| show(key, &state)));
            }
        })
    }

    /// The state of a key as it is; none where there is none.
    pub(crate) fn look(&mut self, key: &[u8]) -> Result<Option<&S>, Trouble> {
        let Some(at) = self.find(key)? else { return Ok(None) };
        let Some(slot) = self.slots[at].as_mut() else { return Ok(None) };
        if slot.live.is_none() && slot.sealed.is_none() {
            return Ok(None);
        }
        if slot.come_to_life(false).map_err(Trouble::Poison)? {
            self.warm[0].push(at);
            self.warm_bytes += slot.live_bytes();
        }
        Ok(slot.live.as_deref())
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
        if self.shelf.is_none() {
            // Nobody has to be told that it is gone.
            if slot.sealed.is_none() {
                self.drop_slot(at);
            }
        } else if !slot.is_unwritten {
            slot.is_unwritten = true;
            self.unwritten.push(at);
        }
    }

    /// Writes down every state that was changed since the last seal. Without a value its key is to be
    /// forgotten.
    ///
    /// A state that cannot be written, or at which the view panics, stays as it was sealed before,
    /// and is told as poison.
    pub(crate) fn seal<V: View<State = S>>(&mut self, view: &V) -> (Sealed, Vec<Poison>) {
        let mut changed = std::mem::take(&mut self.changed);
        let mut sealed =
            Sealed::with_room(changed.len(), self.row_bytes + self.row_bytes / ROOM_SHARE);
        let mut poison = Vec::new();
        for at in changed.drain(..) {
            let Some(slot) = self.slots[at].as_mut() else { continue };
            slot.is_changed = false;
            slot.sealed_ms = slot.touched_ms;
            let of = (&slot.key, slot.touched_ms);
            let live = slot.live.as_deref().map(|live| {
                let into = (&mut sealed, of);
                let most = self.bounds.published_bytes_max;
                unless_panics(|| write_down((view, live), (&mut self.buffer, most), into))
            });
            match live.transpose() {
                Ok(Some(Some(kept))) => slot.sealed = Some(kept),
                Ok(Some(None) | None) => {
                    sealed.push(of, None);
                    (slot.live, slot.sealed) = (None, None);
                }
                Err(why) => {
                    slot.live = None;
                    poison.push(why);
                }
            }
            slot.count(&mut self.bytes);
            if self.shelf.is_none() {
                // No older state of it lies anywhere.
                if slot.live.is_none() && slot.sealed.is_none() {
                    self.drop_slot(at);
                }
            } else if !slot.is_unwritten {
                slot.is_unwritten = true;
                self.unwritten.push(at);
            }
        }
        self.changed = changed;
        self.row_bytes = sealed.row_bytes().unwrap_or(self.row_bytes);
        (sealed, poison)
    }

    /// Whether anything was changed since the last seal.
    pub(crate) fn is_changed(&self) -> bool {
        !self.changed.is_empty()
    }

    /// Begins a round: what was sealed until now goes to the disk with the next batches.
    pub(crate) fn begin_round(&mut self) {
        self.leaving.append(&mut self.unwritten);
    }

    /// Whether a round is not over yet.
    pub(crate) fn is_in_round(&self) -> bool {
        !self.leaving.is_empty()
    }

    /// The next batch of a round, of about so many bytes. Call it only while everything that was
    /// sealed is committed.
    pub(crate) fn take_leaving(&mut self, batch: u64, bytes_max: usize) -> Vec<Entry> {
        let (mut entries, mut bytes) = (Vec::new(), 0);
        while bytes < bytes_max
            && let Some(at) = self.leaving.pop()
        {
            let Some(slot) = self.slots[at].as_mut() else { continue };
            slot.is_unwritten = false;
            slot.written_in = batch;
            bytes += slot.bytes();
            entries.push(slot.entry());
        }
        entries
    }

    /// How many keys wait for the next round.
    pub(crate) fn unwritten(&self) -> usize {
        self.unwritten.len()
    }

    /// Whether those keep much of what memory is for from being put aside.
    pub(crate) fn is_pinned(&self) -> bool {
        let bytes_each = self.bytes / self.index.len().max(1);
        self.unwritten.len() * bytes_each > self.bounds.state_bytes_max / PINNED_SHARE
    }

    /// Puts aside what is quiet and lies on the disk, until memory is within its bound.
    pub(crate) fn make_room(&mut self) {
        self.cool();
        let Some(shelf) = &self.shelf else { return };
        let written = shelf.written();
        // Twice around: the first time takes the marks of use away.
        let mut left = match self.stuck_at {
            Some(stuck_at) if stuck_at == written => STUCK_LOOKS,
            Some(_) | None => 2 * self.slots.len(),
        };
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
        self.stuck_at = (left == 0 && self.is_full()).then_some(written);
    }

    /// Drops values that were not used for a while. There are two generations of them: once those
    /// that came to life lately take half of what is allowed, those before them go, except what was
    /// used again.
    fn cool(&mut self) {
        if self.warm_bytes <= self.bounds.state_bytes_max / LIVE_SHARE / 2 {
            return;
        }
        let [lately, before] = &mut self.warm;
        std::mem::swap(lately, before);
        self.warm_bytes = 0;
        // `lately` holds the older generation now, and keeps what of it stays warm.
        lately.retain(|at| {
            let Some(slot) = self.slots[*at].as_mut() else { return false };
            if slot.live.is_none() {
                return false;
            }
            if slot.is_changed || std::mem::take(&mut slot.is_warm) {
                self.warm_bytes += slot.live_bytes();
                return true;
            }
            slot.live = None;
            slot.count(&mut self.bytes);
            false
        });
    }

    /// Looks at some keys in memory and on the disk and forgets those that are too old. `time_ms` is
    /// stream time. Returns how many it forgot: they go with the next seal.
    pub(crate) fn sweep(
        &mut self,
        time_ms: u64,
        (in_memory, on_disk): (usize, usize),
    ) -> Result<usize, Error> {
        let Some(oldest_ms) = time_ms.checked_sub(self.bounds.ttl_ms) else { return Ok(0) };
        let before = self.changed.len();
        for _ in 0..in_memory.min(self.slots.len()) {
            self.swept_at =
                if self.swept_at + 1 >= self.slots.len() { 0 } else { self.swept_at + 1 };
            let is_old = self.slots[self.swept_at].as_ref().is_some_and(|slot| {
                let is_there = slot.live.is_some() || slot.sealed.is_some();
                is_there && !slot.is_changed && slot.touched_ms < oldest_ms
            });
            if is_old {
                self.forget(self.swept_at);
            }
        }
        // A disk that has failed is not written to, so what is old there is not looked for.
        if let Some(shelf) = self.shelf.as_ref().filter(|shelf| !shelf.store().is_given_up()) {
            let (seen, swept_to) =
                shelf.touched_before(oldest_ms, self.swept_to.as_deref(), on_disk)?;
            self.swept_to = swept_to;
            for (key, touched_ms) in seen {
                // What is in memory as well may have been touched or forgotten since.
                if !self.index.contains_key(key.as_ref()) {
                    let at = self.fill(&key, None, touched_ms);
                    self.forget(at);
                }
            }
        }
        Ok(self.changed.len() - before)
    }

    fn forget(&mut self, at: usize) {
        let Some(slot) = self.slots[at].as_mut() else { return };
        (slot.live, slot.sealed, slot.is_changed) = (None, None, true);
        self.changed.push(at);
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
            let bytes = match (&slot.live, &slot.sealed) {
                (Some(live), _) if view.is_over(live) => continue,
                (Some(live), _) => {
                    let mut bytes = Vec::new();
                    live.write(&mut bytes)?;
                    bytes
                }
                (None, Some(bytes)) => bytes.to_vec(),
                (None, None) => continue,
            };
            written.push((Arc::clone(&slot.key), bytes, slot.touched_ms));
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
            is_warm: false,
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

/// What views and states do here is done at no record that could be passed over.
fn unless_panics<T>(ask: impl FnOnce() -> Result<T, Poison>) -> Result<T, Poison> {
    Poison::unless_panics(("state_panicked", "reading or writing this state panicked"), ask)?
}

fn read<S: State>(bytes: &[u8]) -> Result<S, Poison> {
    unless_panics(|| S::read(bytes))
}

/// Writes a state as it is published, and returns it as it is kept; none once it is over. `buffer`
/// saves room.
fn write_down<V: View>(
    (view, live): (&V, &V::State),
    (buffer, most): (&mut Vec<u8>, usize),
    (sealed, of): (&mut Sealed, (&Arc<[u8]>, u64)),
) -> Result<Option<Arc<[u8]>>, Poison> {
    if view.is_over(live) {
        return Ok(None);
    }
    buffer.clear();
    if V::State::FORM == 0 {
        live.write(buffer)?;
        may_be_published(of.0, buffer, most)?;
        sealed.push(of, Some(buffer));
        return Ok(Some(Arc::from(buffer.as_slice())));
    }
    live.pack(buffer)?;
    let kept = Arc::from(buffer.as_slice());
    buffer.clear();
    live.write(buffer)?;
    may_be_published(of.0, buffer, most)?;
    sealed.push(of, Some(buffer));
    Ok(Some(kept))
}

/// What the changelog would not have, nobody who restores it would know.
fn may_be_published(key: &[u8], state: &[u8], most: usize) -> Result<(), Poison> {
    let bytes = key.len() + state.len();
    if bytes <= most {
        return Ok(());
    }
    let detail = format!("{bytes} bytes, and a record of the changelog takes {most}");
    Err(Poison { reason: "state_too_large", detail })
}

/// A slot that was just filled is not there: a fault of this module.
fn vanished() -> Poison {
    Poison { reason: "state_lost", detail: "a state vanished while it was looked at".to_owned() }
}

#[cfg(test)]
mod tests;
