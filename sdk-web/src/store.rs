//! What outlives the page: `localStorage`, divided among the tabs of a site.
//!
//! Every tab has a lane of its own for its queue, held by a lease: a lane whose tab is gone, or was
//! silent for too long, goes to the next page, queue and all. What belongs to the visitor is shared
//! by all lanes. The lease is written with the first text, since nothing may be kept before there
//! is consent. Until then the lane is only looked at, at every step: if another tab has taken it or
//! changed what it holds, the lanes are looked through again.
//!
//! If a lane was taken from a tab that only slept, or two tabs took it within the moment that
//! storage needs to get from one to the other, the one without the lease notices at its next look
//! and begins anew. What both have sent of the same events the collector counts once, by the
//! events' ids, and the relay by their place in the queue.

use clickmill_sdk_core::client::{Item, Remembered};
use clickmill_sdk_core::wire::json::Writer;
use web_sys::Storage;

/// Tabs of one site that can keep a queue at the same time.
const LANES: u64 = 16;
/// A lease ends this long after it was last renewed, ms.
const LEASE_MS: u64 = 120_000;
/// The lease is looked at so often, ms; a tab's sleep is longer.
const LOOK_MS: u64 = 1_000;
/// A lease is renewed when it has less than this left, ms.
const RENEW_MS: u64 = 90_000;

/// A tab's part of the storage.
#[derive(Debug)]
pub(crate) struct Store {
    storage: Storage,
    /// What all names begin with: `cm.<write key>.`.
    prefix: String,
    lane: u64,
    /// Tells this tab's lease from another's.
    owner: u64,
    /// When this tab's lease ends; 0 as long as there is none.
    until: u64,
    looked_at: u64,
    /// What there was when the lane was chosen.
    seen: [Option<String>; 3],
}

/// What became of a tab's lane since the last look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hold {
    /// It is as it was.
    Kept,
    /// Another tab was there before anything was kept in it: what is remembered is new.
    Moved,
    /// Another tab has it, or has all of them.
    Lost,
}

impl Store {
    /// Takes a lane, one with events in it first. None where all are taken, or nothing can be
    /// written.
    pub(crate) fn take(storage: Storage, key: &str, owner: u64, now: u64) -> Option<Self> {
        let prefix = ["cm.", key, "."].concat();
        let seen = Default::default();
        let mut store = Self { storage, prefix, lane: 0, owner, until: 0, looked_at: now, seen };
        (store.choose(now) && store.is_writable()).then_some(store)
    }

    /// Goes to a lane that nobody holds, if there is one.
    fn choose(&mut self, now: u64) -> bool {
        let mut free = None;
        for lane in 0..LANES {
            self.lane = lane;
            if !self.is_free(now) {
                continue;
            }
            let head = self.get(Item::Queue).unwrap_or_default();
            if !Remembered::places(&head).is_empty() {
                free = Some(lane);
                break;
            }
            free = free.or(Some(lane));
        }
        self.lane = free.unwrap_or_default();
        self.seen = self.heads();
        free.is_some()
    }

    /// Whether the browser lets anything be kept. Nothing is, until consent has the first text
    /// come.
    fn is_writable(&self) -> bool {
        let name = self.lease_name();
        self.storage.set_item(&name, "").and_then(|()| self.storage.remove_item(&name)).is_ok()
    }

    /// Whether the lane is still this tab's; renews the lease in time.
    pub(crate) fn look(&mut self, now: u64) -> Hold {
        if self.until == 0 {
            return if self.is_free(now) && self.seen == self.heads() {
                Hold::Kept
            } else if self.choose(now) {
                Hold::Moved
            } else {
                Hold::Lost
            };
        }
        if now.abs_diff(self.looked_at) < LOOK_MS {
            return Hold::Kept;
        }
        self.looked_at = now;
        if !self.is_mine() {
            return Hold::Lost;
        }
        if self.until < now + RENEW_MS {
            self.renew(now);
        }
        Hold::Kept
    }

    /// Leaves the lane to the next page.
    pub(crate) fn release(&self) {
        // There may be none, where nothing was kept, or another tab's.
        if self.is_mine() {
            let _ = self.storage.remove_item(&self.lease_name());
        }
    }

    /// Everything kept in the lane, and of the visitor.
    pub(crate) fn remembered(&self) -> Remembered {
        let queue = self.get(Item::Queue);
        let places = queue.as_deref().map(Remembered::places).unwrap_or_default();
        let events = places.filter_map(|place| Some((place, self.get(Item::Event(place))?)));
        Remembered {
            me: self.get(Item::Me),
            visit: self.get(Item::Visit),
            events: events.collect(),
            queue,
        }
    }

    /// Keeps or forgets a text, in a step that began with a look. A full storage refuses; the event
    /// then lives in memory alone.
    pub(crate) fn put(&mut self, item: Item, text: Option<&str>, now: u64) {
        if self.until == 0 && text.is_some() {
            self.renew(now);
            self.looked_at = now;
        }
        let name = self.name(item);
        let _ = match text {
            Some(text) => self.storage.set_item(&name, text),
            None => self.storage.remove_item(&name),
        };
        if item == Item::Me && text.is_none() {
            // The visitor is to be forgotten: not even the lane tells that there was one.
            self.release();
            self.until = 0;
            self.seen = self.heads();
        }
    }

    fn get(&self, item: Item) -> Option<String> {
        self.storage.get_item(&self.name(item)).ok().flatten()
    }

    /// What tells whether another tab has changed what is remembered.
    fn heads(&self) -> [Option<String>; 3] {
        [Item::Me, Item::Visit, Item::Queue].map(|item| self.get(item))
    }

    fn renew(&mut self, now: u64) {
        self.until = now + LEASE_MS;
        let text = [&decimal(self.until), ".", &decimal(self.owner)].concat();
        // A full storage refuses; the lane then goes to who can write.
        let _ = self.storage.set_item(&self.lease_name(), &text);
    }

    fn is_free(&self, now: u64) -> bool {
        self.lease().is_none_or(|(until, _)| until <= now)
    }

    fn is_mine(&self) -> bool {
        self.lease().is_some_and(|(_, owner)| owner == self.owner)
    }

    /// End and owner of the lane's lease.
    fn lease(&self) -> Option<(u64, u64)> {
        let text = self.storage.get_item(&self.lease_name()).ok()??;
        let (until, owner) = text.split_once('.')?;
        Some((until.parse().ok()?, owner.parse().ok()?))
    }

    fn name(&self, item: Item) -> String {
        match item {
            Item::Me => [&self.prefix, "me"].concat(),
            Item::Visit => [&self.prefix, "visit"].concat(),
            Item::Queue => self.in_lane("queue"),
            Item::Event(place) => self.in_lane(&decimal(place)),
        }
    }

    fn lease_name(&self) -> String {
        self.in_lane("lease")
    }

    fn in_lane(&self, name: &str) -> String {
        [&self.prefix, &decimal(self.lane), ".", name].concat()
    }
}

fn decimal(number: u64) -> String {
    let mut w = Writer::default();
    w.number(number);
    w.finish()
}
