//! What outlives the page: `localStorage`, divided among the tabs of a site.
//!
//! Every tab has a lane of its own for its queue, held by a lease: a lane whose tab is gone, or was
//! silent for too long, goes to the next page, queue and all. What belongs to the visitor is shared
//! by all lanes. If a lane was taken from a tab that only slept, the tab notices at its next step
//! and begins anew; what both may then have sent is counted once, by the events' ids.

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
    until: u64,
    looked_at: u64,
}

impl Store {
    /// Takes a lane, one with events in it first. None where all are taken, or nothing can be
    /// written.
    pub(crate) fn take(storage: Storage, key: &str, owner: u64, now: u64) -> Option<Self> {
        let prefix = ["cm.", key, "."].concat();
        let mut store = Self { storage, prefix, lane: 0, owner, until: 0, looked_at: now };
        let mut free = None;
        for lane in 0..LANES {
            store.lane = lane;
            if store.lease().is_some_and(|(until, _)| until > now) {
                continue;
            }
            let head = store.get(Item::Queue).unwrap_or_default();
            if !Remembered::places(&head).is_empty() {
                free = Some(lane);
                break;
            }
            free = free.or(Some(lane));
        }
        store.lane = free?;
        store.is_writable().then_some(store)
    }

    /// Whether the browser lets anything be kept. Nothing is, until consent has the first text
    /// come.
    fn is_writable(&self) -> bool {
        let name = self.lease_name();
        self.storage.set_item(&name, "").and_then(|()| self.storage.remove_item(&name)).is_ok()
    }

    /// Whether the lane is still this tab's; renews the lease in time.
    pub(crate) fn holds(&mut self, now: u64) -> bool {
        if self.until == 0 || now.abs_diff(self.looked_at) < LOOK_MS {
            return true;
        }
        self.looked_at = now;
        if self.lease().is_none_or(|(_, owner)| owner != self.owner) {
            return false;
        }
        if self.until < now + RENEW_MS {
            self.renew(now);
        }
        true
    }

    /// Leaves the lane to the next page.
    pub(crate) fn release(&self) {
        // There may be none, where nothing was kept.
        let _ = self.storage.remove_item(&self.lease_name());
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

    /// Keeps or forgets a text. A full storage refuses; the event then lives in memory alone.
    pub(crate) fn put(&mut self, item: Item, text: Option<&str>) {
        if self.until == 0 && text.is_some() {
            self.renew(self.looked_at);
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
        }
    }

    fn get(&self, item: Item) -> Option<String> {
        self.storage.get_item(&self.name(item)).ok().flatten()
    }

    fn renew(&mut self, now: u64) -> bool {
        self.until = now + LEASE_MS;
        let text = [&decimal(self.until), ".", &decimal(self.owner)].concat();
        self.storage.set_item(&self.lease_name(), &text).is_ok()
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
