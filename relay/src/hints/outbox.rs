//! What waits for one stream: bounded, and conflated by slot where the reader is slow.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use clickmill_sdk_core::wire::HintKind;

use super::frame::Frame;

/// What waits for one stream.
#[derive(Debug)]
pub struct Outbox {
    frames_max: usize,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    frames: VecDeque<Arc<Frame>>,
    waker: Option<Waker>,
    is_closed: bool,
    is_left: bool,
}

/// What a stream takes from its outbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Taken {
    /// The next frame.
    Frame(Arc<Frame>),
    /// Nobody puts anything in any more: whoever decides for the visitor is elsewhere now.
    Left,
    /// The end.
    End,
}

/// What became of a frame that was put into an outbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// It waits behind the others.
    Queued,
    /// It waits in place of an older one of its slot.
    Conflated,
    /// There is no room for it: the stream needs a snapshot in place of all that waits.
    Full,
    /// It takes back one that still waits, which must not go out: likewise.
    Untrue,
}

impl Outbox {
    /// An empty one for that many frames.
    pub fn new(frames_max: usize) -> Self {
        Self { frames_max: frames_max.max(1), inner: Mutex::default() }
    }

    /// Puts a frame in. A full outbox drops an older frame of the same slot, which the new one
    /// makes untrue; where there is none, nothing is put in. Nor is what takes back a hint that still
    /// waits: a slow reader is not shown first what is not true any more.
    pub fn put(&self, frame: Arc<Frame>) -> Put {
        let mut inner = self.lock();
        if frame.kind == HintKind::Reset {
            // What waits is nobody's word any more.
            inner.frames.clear();
        }
        let mut put = Put::Queued;
        let same = |held: &Arc<Frame>| frame.slot.is_some() && held.slot == frame.slot;
        if frame.kind == HintKind::Withdraw && inner.frames.iter().any(same) {
            return Put::Untrue;
        }
        if inner.frames.len() >= self.frames_max {
            match inner.frames.iter().position(same) {
                None => return Put::Full,
                Some(at) => {
                    inner.frames.remove(at);
                    put = Put::Conflated;
                }
            }
        }
        inner.frames.push_back(frame);
        inner.wake();
        put
    }

    /// Puts these in place of all that waits. They may be more than fit: they are what holds now.
    pub fn replace(&self, frames: impl IntoIterator<Item = Arc<Frame>>) {
        let mut inner = self.lock();
        inner.frames = frames.into_iter().collect();
        inner.wake();
    }

    /// As [`replace`](Self::replace), by one who puts in what comes next, too.
    pub fn begin(&self, frames: impl IntoIterator<Item = Arc<Frame>>) {
        self.lock().is_left = false;
        self.replace(frames);
    }

    /// Tells the stream, once it has taken what waits, that nothing more comes from here.
    pub fn leave(&self) {
        let mut inner = self.lock();
        inner.is_left = true;
        inner.wake();
    }

    /// Ends the stream once it has taken what waits.
    pub fn close(&self) {
        let mut inner = self.lock();
        inner.is_closed = true;
        inner.wake();
    }

    /// Takes the next frame, or hears that there is none. For one reader.
    pub fn poll_take(&self, context: &mut Context<'_>) -> Poll<Taken> {
        let mut inner = self.lock();
        if let Some(frame) = inner.frames.pop_front() {
            return Poll::Ready(Taken::Frame(frame));
        }
        if inner.is_closed {
            return Poll::Ready(Taken::End);
        }
        if std::mem::take(&mut inner.is_left) {
            return Poll::Ready(Taken::Left);
        }
        inner.waker = Some(context.waker().clone());
        Poll::Pending
    }

    /// Whether it ends once what waits is taken.
    pub fn is_closed(&self) -> bool {
        self.lock().is_closed
    }

    /// How many frames wait.
    pub fn waiting(&self) -> usize {
        self.lock().frames.len()
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
    use bytes::Bytes;
    use clickmill_sdk_core::wire::{HintId, HintKind, Millis, Slot};

    use super::*;

    fn frame(offset: u64, slot: Option<&str>) -> Arc<Frame> {
        Arc::new(Frame {
            id: HintId { source: "clicks".into(), partition: 0, offset, n: 0 },
            kind: HintKind::Suggest,
            slot: slot.map(|slot| Slot::parse(slot).unwrap()),
            expires_at: Millis(0),
            rule: None,
            skus: Vec::new(),
            bytes: Bytes::new(),
        })
    }

    /// The offsets that come out until nothing more does; whether the stream has ended.
    fn take_all(outbox: &Outbox) -> (Vec<u64>, bool) {
        let mut context = Context::from_waker(Waker::noop());
        let mut offsets = Vec::new();
        loop {
            match outbox.poll_take(&mut context) {
                Poll::Ready(Taken::Frame(frame)) => offsets.push(frame.id.offset),
                Poll::Ready(Taken::Left | Taken::End) => return (offsets, true),
                Poll::Pending => return (offsets, false),
            }
        }
    }

    #[test]
    fn a_slow_reader_gets_the_newest_of_each_slot() {
        let outbox = Outbox::new(3);
        let put = [
            (1, Some("a")),
            (2, Some("b")),
            (3, Some("a")),
            (4, Some("a")),
            (5, Some("b")),
            (6, Some("c")),
        ]
        .map(|(offset, slot)| outbox.put(frame(offset, slot)));
        use Put::{Conflated, Full, Queued};
        assert_eq!(put, [Queued, Queued, Queued, Conflated, Conflated, Full]);
        assert_eq!(take_all(&outbox), (vec![3, 4, 5], false));
    }

    #[test]
    fn a_page_wide_hint_never_replaces_another() {
        let outbox = Outbox::new(1);
        outbox.put(frame(1, None));
        assert_eq!(outbox.put(frame(2, None)), Put::Full);
        outbox.replace([frame(8, None), frame(9, None)]);
        assert_eq!(take_all(&outbox), (vec![8, 9], false));
    }

    #[test]
    fn what_waits_is_written_before_the_end() {
        let outbox = Outbox::new(3);
        outbox.put(frame(1, None));
        outbox.close();
        assert_eq!(take_all(&outbox), (vec![1], true));
    }

    #[tokio::test]
    async fn a_waiting_reader_wakes() {
        let outbox = Arc::new(Outbox::new(3));
        let reader = Arc::clone(&outbox);
        let read =
            tokio::spawn(
                async move { std::future::poll_fn(|context| reader.poll_take(context)).await },
            );
        tokio::task::yield_now().await;
        outbox.put(frame(7, None));
        assert_eq!(read.await.unwrap(), Taken::Frame(frame(7, None)));
    }
}
