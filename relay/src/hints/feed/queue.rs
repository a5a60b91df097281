//! What waits for a server: bounded by bytes. What is dropped is counted, and told as a gap.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;

/// What may wait, bytes.
const WAITING_BYTES_MAX: usize = 1 << 20;

/// Told where nobody knows what was missed.
const GAP: &[u8] = b"event: gap\ndata: {}\n\n";

/// What waits for one server.
#[derive(Debug)]
pub struct Queue {
    bytes_max: usize,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    events: VecDeque<Bytes>,
    bytes: usize,
    /// Events that were dropped before the first that waits.
    missed: u64,
    waker: Option<Waker>,
    is_closed: bool,
}

/// What a server gets next.
pub type Event = Option<Bytes>;

impl Default for Queue {
    fn default() -> Self {
        Self { bytes_max: WAITING_BYTES_MAX, inner: Mutex::default() }
    }
}

impl Queue {
    /// Puts an event in; the oldest make room for it. How many were dropped.
    pub fn put(&self, event: Bytes) -> u64 {
        let mut inner = self.lock();
        let missed = inner.missed;
        inner.bytes += event.len();
        inner.events.push_back(event);
        while inner.bytes > self.bytes_max {
            let Some(dropped) = inner.events.pop_front() else { break };
            inner.bytes -= dropped.len();
            inner.missed += 1;
        }
        let missed = inner.missed - missed;
        inner.wake();
        missed
    }

    /// Something may have been missed from here on.
    pub fn put_gap(&self) {
        if self.lock().events.back().is_none_or(|last| last != GAP) {
            self.put(Bytes::from_static(GAP));
        }
    }

    /// Ends the feed once it has taken what waits.
    pub fn close(&self) {
        let mut inner = self.lock();
        inner.is_closed = true;
        inner.wake();
    }

    /// Takes the next event, or hears that it was the last. For one reader.
    pub fn poll_take(&self, context: &mut Context<'_>) -> Poll<Event> {
        let mut inner = self.lock();
        let missed = std::mem::take(&mut inner.missed);
        if missed > 0 {
            let gap = format!("event: gap\ndata: {{\"missed\":{missed}}}\n\n");
            return Poll::Ready(Some(gap.into()));
        }
        if let Some(event) = inner.events.pop_front() {
            inner.bytes -= event.len();
            return Poll::Ready(Some(event));
        }
        if inner.is_closed {
            return Poll::Ready(None);
        }
        inner.waker = Some(context.waker().clone());
        Poll::Pending
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing in here panics while it holds the lock.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take_all(queue: &Queue) -> String {
        let mut context = Context::from_waker(Waker::noop());
        let mut all = String::new();
        while let Poll::Ready(Some(event)) = queue.poll_take(&mut context) {
            all.push_str(std::str::from_utf8(&event).unwrap());
        }
        all
    }

    #[test]
    fn who_is_too_slow_gets_the_newest_and_hears_how_many_are_missing() {
        let queue = Queue { bytes_max: 8, inner: Mutex::default() };
        let dropped = ["one ", "two ", "three "].map(|event| queue.put(event.into()));
        assert_eq!(dropped, [0, 0, 2]);
        assert_eq!(take_all(&queue), "event: gap\ndata: {\"missed\":2}\n\nthree ");
        queue.put("four ".into());
        assert_eq!(take_all(&queue), "four ");
        // One that is too large alone is missing, too.
        assert_eq!(queue.put("a whole catalogue".into()), 1);
        assert_eq!(take_all(&queue), "event: gap\ndata: {\"missed\":1}\n\n");
    }

    #[test]
    fn gaps_in_a_row_are_one() {
        let queue = Queue::default();
        queue.put_gap();
        queue.put_gap();
        queue.put("one ".into());
        queue.put_gap();
        queue.close();
        let gap = std::str::from_utf8(GAP).unwrap();
        assert_eq!(take_all(&queue), format!("{gap}one {gap}"));
        assert_eq!(queue.poll_take(&mut Context::from_waker(Waker::noop())), Poll::Ready(None));
    }
}
