//! The feeds that are open here, and what each of them is told.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use clickmill_sdk_core::wire::json::Writer;
use clickmill_sdk_core::wire::{HintKind, Tenant};

use super::choice::{Choice, Marks, Segment};
use super::queue::Queue;
use crate::hints::frame::Frame;
use crate::hints::hub::{Closed, Subject};
use crate::metrics::FeedMeters;
use crate::tables::Shelf;
use crate::views::visitor::Signals;

/// The feeds that are open here.
#[derive(Debug)]
pub struct Register {
    segments: Vec<Segment>,
    feeds_max: usize,
    meters: FeedMeters,
    /// How many servers have one here; the others belong to instances.
    seats: AtomicUsize,
    /// How many there are, so that it costs nothing where there is none.
    count: AtomicUsize,
    entries: Mutex<Vec<Arc<Listed>>>,
    is_closed: AtomicBool,
}

#[derive(Debug)]
struct Listed {
    tenant: Tenant,
    choice: Choice,
    queue: Arc<Queue>,
}

/// That a feed is told; it ends when dropped.
#[derive(Debug)]
pub struct Entry {
    register: Arc<Register>,
    listed: Arc<Listed>,
    has_seat: bool,
}

impl Register {
    /// An empty one, for that many servers.
    pub fn new(segments: Vec<Segment>, feeds_max: usize, meters: FeedMeters) -> Arc<Self> {
        Arc::new(Self {
            segments,
            feeds_max,
            meters,
            seats: AtomicUsize::new(0),
            count: AtomicUsize::new(0),
            entries: Mutex::default(),
            is_closed: AtomicBool::new(false),
        })
    }

    /// The segments that there are.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// What a visitor is chosen by; none while nobody chooses.
    pub fn marks(&self, signals: &Signals, shelf: &Shelf<'_>) -> Option<Marks> {
        let is_asked = self.count.load(Ordering::Acquire) > 0;
        is_asked.then(|| Marks::of(&self.segments, signals, shelf))
    }

    /// Tells a queue from now on. A server's feed takes a seat; an instance's does not, since it has
    /// one where the server is.
    ///
    /// # Errors
    /// When all seats are taken, or the relay is going down.
    pub fn enter(
        self: &Arc<Self>,
        (tenant, choice): (&Tenant, &Choice),
        queue: &Arc<Queue>,
        has_seat: bool,
    ) -> Result<Entry, Closed> {
        let listed = Arc::new(Listed {
            tenant: tenant.clone(),
            choice: choice.clone(),
            queue: Arc::clone(queue),
        });
        let mut entries = self.lock();
        // Under the lock, so that a drain that has begun finds what gets in.
        if self.is_closed.load(Ordering::SeqCst) {
            return Err(Closed::Draining);
        }
        if has_seat && self.seats.load(Ordering::SeqCst) >= self.feeds_max {
            return Err(Closed::Full);
        }
        self.seats.fetch_add(usize::from(has_seat), Ordering::SeqCst);
        self.meters.open.increment(1.0);
        entries.push(Arc::clone(&listed));
        self.count.store(entries.len(), Ordering::Release);
        Ok(Entry { register: Arc::clone(self), listed, has_seat })
    }

    /// Tells what was said to a visitor.
    pub fn tell(&self, subject: &Subject, frame: &Frame, marks: Option<&Marks>) {
        if self.count.load(Ordering::Acquire) == 0 {
            return;
        }
        let mut event = None;
        for listed in self.lock().iter().filter(|listed| subject.is_of(&listed.tenant)) {
            // Who was told a hint must hear that none holds, whatever it was chosen by.
            let is_taken =
                frame.kind == HintKind::Reset || listed.choice.takes(frame.slot.as_ref(), marks);
            if is_taken {
                let event: &Bytes = event.get_or_insert_with(|| written(subject, frame));
                let missed = listed.queue.put(event.clone());
                self.meters.told.increment(1);
                self.meters.missed.increment(missed);
            }
        }
    }

    /// Ends all feeds after what waits for them, and opens no other.
    pub fn close(&self) {
        let entries = self.lock();
        self.is_closed.store(true, Ordering::SeqCst);
        entries.iter().for_each(|listed| listed.queue.close());
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Listed>>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut entries = self.register.lock();
        entries.retain(|listed| !Arc::ptr_eq(listed, &self.listed));
        self.register.count.store(entries.len(), Ordering::Release);
        self.register.seats.fetch_sub(usize::from(self.has_seat), Ordering::SeqCst);
        self.register.meters.open.decrement(1.0);
    }
}

/// A hint as servers get it.
fn written(subject: &Subject, frame: &Frame) -> Bytes {
    let mut w = Writer::with_capacity(frame.bytes.len() + 128);
    w.object(|w| {
        w.field("visitor", subject.parts().map(|(_, visitor)| visitor).as_ref());
        w.key("hint").raw(frame.data());
    });
    let (id, kind, data) = (&frame.id, frame.kind.as_str(), w.finish());
    format!("id: {id}\nevent: {kind}\ndata: {data}\n\n").into()
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll, Waker};

    use clickmill_sdk_core::wire::{Millis, Sku, VisitorId};
    use clickmill_server::metrics::Metrics;

    use super::*;
    use crate::metrics::TABLE;

    fn register(feeds_max: usize) -> Arc<Register> {
        Register::new(Vec::new(), feeds_max, FeedMeters::new(&Metrics::new(TABLE).unwrap()))
    }

    fn tenant(name: &str) -> Tenant {
        Tenant::parse(name).unwrap()
    }

    fn heard(queue: &Queue) -> usize {
        let mut context = Context::from_waker(Waker::noop());
        (0..).take_while(|_| matches!(queue.poll_take(&mut context), Poll::Ready(Some(_)))).count()
    }

    #[test]
    fn a_feed_is_told_of_its_own_tenant_and_what_it_chose() {
        let (register, all) = (register(2), Choice::default());
        let chosen = Choice { sku: Some(Sku::parse("A").unwrap()), ..Choice::default() };
        let feeds = [("shop", &all), ("shop", &chosen), ("other", &all)].map(|(name, choice)| {
            let queue = Arc::new(Queue::default());
            let entry = register.enter((&tenant(name), choice), &queue, false).unwrap();
            (queue, entry)
        });
        let subject = Subject::new(&tenant("shop"), &VisitorId::parse("v1").unwrap());
        let frame = Frame { kind: HintKind::Suggest, ..Frame::reset((0, 1), Millis(1)) };
        let marks = |sku: &str| Marks { sku: Some(Sku::parse(sku).unwrap()), ..Marks::default() };
        register.tell(&subject, &frame, Some(&marks("A")));
        register.tell(&subject, &frame, Some(&marks("B")));
        register.tell(&subject, &frame, None);
        assert_eq!([0, 1, 2].map(|at: usize| heard(&feeds[at].0)), [3, 1, 0]);
        // That nothing holds any more concerns all who may have been told something.
        register.tell(&subject, &Frame::reset((0, 1), Millis(1)), None);
        assert_eq!([0, 1, 2].map(|at: usize| heard(&feeds[at].0)), [1, 1, 0]);
    }

    #[test]
    fn seats_are_counted_given_back_and_none_is_given_at_a_drain() {
        let (register, queue, all) = (register(1), Arc::new(Queue::default()), Choice::default());
        let of = (&tenant("shop"), &all);
        let first = register.enter(of, &queue, true).unwrap();
        assert_eq!(register.enter(of, &queue, true).unwrap_err(), Closed::Full);
        let peer = register.enter(of, &queue, false).unwrap();
        drop(first);
        let second = register.enter(of, &queue, true).unwrap();
        register.close();
        assert_eq!(register.enter(of, &queue, true).unwrap_err(), Closed::Draining);
        assert_eq!(queue.poll_take(&mut Context::from_waker(Waker::noop())), Poll::Ready(None));
        drop((peer, second));
        assert_eq!(register.count.load(Ordering::SeqCst), 0);
    }
}
