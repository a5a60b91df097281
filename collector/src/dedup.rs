//! Dedup: what is durable is taken once, and a copy waits for the fate of the first one.
//!
//! An id enters the [`Window`] as pending, together with the [`Ticket`] to its flight's outcome, and
//! is remembered only once it is durable. Whatever is refused or fails is forgotten, so that the
//! next try is a first one again.

mod window;

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use clickmill_sdk_core::wire::EventId;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use window::Window;
pub(crate) use window::WindowLimits;

use crate::produce::Landed;

/// Whose id: event ids of two tenants have nothing to do with each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    /// The tenant's number in the site table.
    pub(crate) tenant: u32,
    /// The event.
    pub(crate) id: EventId,
}

/// What an id meets in the window.
#[derive(Debug)]
pub(crate) enum Claim<P = Ticket> {
    /// Nothing: this copy is the first and its flight now answers for it.
    First,
    /// A copy whose flight has not landed yet.
    Pending(P),
    /// A copy that is durable.
    Durable,
}

/// What became of the events of one flight, by their places; none where an event was not aboard.
pub(crate) type AllLanded = Arc<[Option<Landed>]>;

/// The way to learn what became of one event of a flight.
#[derive(Clone, Debug)]
pub(crate) struct Ticket {
    flight: Flight,
    number: usize,
}

impl Ticket {
    /// What became of the event; none if that is not known at the deadline, or if it was not aboard.
    pub(crate) async fn landed(self, deadline: Instant) -> Option<Landed> {
        self.flight.landed(deadline).await?.get(self.number)?.clone()
    }
}

/// Events that were handed over together, and whose outcome is announced once. Clones are the same
/// flight.
#[derive(Clone, Debug)]
pub(crate) struct Flight(Arc<Announcement>);

#[derive(Debug)]
struct Announcement {
    landed: OnceLock<AllLanded>,
    told: Notify,
}

impl Flight {
    /// A flight that has not landed.
    pub(crate) fn new() -> Self {
        Self(Arc::new(Announcement { landed: OnceLock::new(), told: Notify::new() }))
    }

    /// What became of it; none if that is not known at the deadline.
    pub(crate) async fn landed(&self, deadline: Instant) -> Option<AllLanded> {
        let Announcement { landed, told } = &*self.0;
        // From here on it hears of an announcement, so none is missed between the two looks.
        let told = told.notified();
        if landed.get().is_none() {
            timeout_at(deadline, told).await.ok()?;
        }
        landed.get().cloned()
    }

    /// Announces what became of every event, by their places in the batch.
    pub(crate) fn land(&self, landed: AllLanded) {
        // It lands once.
        let _ = self.0.landed.set(landed);
        self.0.told.notify_waiters();
    }
}

/// The window behind its lock. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Dedup {
    window: Arc<Mutex<Window<Key, Ticket>>>,
}

impl Dedup {
    pub(crate) fn new(limits: WindowLimits) -> Self {
        Self { window: Arc::new(Mutex::new(Window::new(limits))) }
    }

    /// Claims the ids of one batch at once, in order; each with its place in the batch, under which
    /// the flight will answer for those that are first.
    pub(crate) fn claim(&self, keys: &[(usize, Key)], flight: &Flight, now_ms: u64) -> Vec<Claim> {
        let mut window = self.lock();
        let claims = keys.iter().map(|(number, key)| {
            window.claim(*key, now_ms, || Ticket { flight: flight.clone(), number: *number })
        });
        claims.collect()
    }

    /// Takes note that the `durable` ids are, and drops the `open` ones: their next copy is a first
    /// one again.
    pub(crate) fn settle(&self, durable: &[Key], open: &[Key], now_ms: u64) {
        let mut window = self.lock();
        durable.iter().for_each(|key| window.remember(*key, now_ms));
        open.iter().for_each(|key| window.forget(key));
    }

    /// How many ids are remembered as durable, and how many are pending.
    pub(crate) fn size(&self) -> (usize, usize) {
        let window = self.lock();
        (window.remembered(), window.pending())
    }

    fn lock(&self) -> MutexGuard<'_, Window<Key, Ticket>> {
        // The window is whole after each of its calls, none of which panics half way.
        self.window.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
