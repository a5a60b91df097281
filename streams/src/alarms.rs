//! When the keys of a partition are to be woken.
//!
//! Nothing of this is stored: when a key is due follows from its state. So an alarm costs a record
//! nothing in the changelog, and after a restart it is set again from the states.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::Arc;

use ahash::RandomState;

use crate::Due;

/// The alarms of one partition, one for a key at the most.
///
/// An alarm that is put off stays where it is: it goes off too early then, and is set anew by who
/// looks at the state. So a key that gets records all the time costs one look now and then.
#[derive(Default)]
pub(crate) struct Alarms {
    of: HashMap<Arc<[u8]>, Due, RandomState>,
    stream: Queue,
    wall: Queue,
}

/// Who is next on one clock.
type Queue = BinaryHeap<Reverse<(u64, Arc<[u8]>)>>;

impl Alarms {
    /// Sets the alarm of a key, unless it goes off earlier anyway.
    pub(crate) fn set(&mut self, key: &[u8], due: Due) {
        if self.of.get(key).is_some_and(|set| set.is_by(due)) {
            return;
        }
        let key: Arc<[u8]> = Arc::from(key);
        self.of.insert(Arc::clone(&key), due);
        let (heap, at_ms) = self.heap(due);
        heap.push(Reverse((at_ms, key)));
    }

    /// Takes the first alarm that goes off by then, on the same clock: the earliest one, of those
    /// the least key's. Tells when it was set for.
    pub(crate) fn next(&mut self, now: Due) -> Option<(Arc<[u8]>, Due)> {
        loop {
            let (heap, now_ms) = self.heap(now);
            if heap.peek().is_none_or(|Reverse((at_ms, _))| *at_ms > now_ms) {
                return None;
            }
            let Reverse((at_ms, key)) = heap.pop()?;
            // One that another alarm of its key has replaced does not count.
            let due = now.with(at_ms);
            if self.of.get(&key) == Some(&due) {
                self.of.remove(&key);
                return Some((key, due));
            }
        }
    }

    fn heap(&mut self, due: Due) -> (&mut Queue, u64) {
        match due {
            Due::Stream(ms) => (&mut self.stream, ms),
            Due::Wall(ms) => (&mut self.wall, ms),
        }
    }
}

impl Due {
    /// Whether this comes no later, on the same clock.
    pub(crate) fn is_by(self, other: Self) -> bool {
        match (self, other) {
            (Self::Stream(this), Self::Stream(other)) | (Self::Wall(this), Self::Wall(other)) => {
                this <= other
            }
            (Self::Stream(_), Self::Wall(_)) | (Self::Wall(_), Self::Stream(_)) => false,
        }
    }

    /// Another moment on the same clock.
    fn with(self, ms: u64) -> Self {
        match self {
            Self::Stream(_) => Self::Stream(ms),
            Self::Wall(_) => Self::Wall(ms),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alarms_go_off_in_order_and_once() {
        let mut alarms = Alarms::default();
        alarms.set(b"b", Due::Stream(20));
        alarms.set(b"a", Due::Stream(20));
        alarms.set(b"c", Due::Stream(10));
        alarms.set(b"w", Due::Wall(5));
        // Put off: it goes off when it was set first, and who looks sets it anew.
        alarms.set(b"c", Due::Stream(50));
        // Sooner, and on the other clock: the first one does not count any more.
        alarms.set(b"b", Due::Stream(15));
        alarms.set(b"a", Due::Wall(30));
        let mut next =
            |now| alarms.next(now).map(|(key, _)| String::from_utf8(key.to_vec()).unwrap());
        assert_eq!(next(Due::Stream(9)), None);
        assert_eq!(next(Due::Stream(60)).as_deref(), Some("c"));
        assert_eq!(next(Due::Stream(60)).as_deref(), Some("b"));
        assert_eq!(next(Due::Stream(60)), None);
        assert_eq!(next(Due::Wall(29)).as_deref(), Some("w"));
        assert_eq!(next(Due::Wall(29)), None);
        assert_eq!(next(Due::Wall(30)).as_deref(), Some("a"));
    }
}
