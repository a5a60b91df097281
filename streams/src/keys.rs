//! The states of a partition's keys, bounded by age in stream time and by number.

use std::collections::HashMap;
use std::mem;

/// How much a task remembers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// A key without a record for so long is forgotten, ms of stream time; at the latest after
    /// twice as long.
    pub ttl_ms: u64,
    /// Most keys of one partition. Beyond it, those that were quiet longest are forgotten early.
    pub keys_max: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { ttl_ms: 24 * 60 * 60 * 1000, keys_max: 1_000_000 }
    }
}

/// States in two generations: a key that is touched moves to the young one, and when the young one
/// is as old as a state may get (or half of all keys), it becomes the old one and the former old
/// one is dropped. That costs nothing per record, and it is the same each time the same records
/// are folded.
#[derive(Debug)]
pub(crate) struct Keys<S> {
    bounds: Bounds,
    young: HashMap<Box<[u8]>, S>,
    old: HashMap<Box<[u8]>, S>,
    /// Stream time at which the young generation began.
    since_ms: u64,
}

impl<S: Default> Keys<S> {
    pub(crate) fn new(bounds: Bounds) -> Self {
        Self { bounds, young: HashMap::new(), old: HashMap::new(), since_ms: 0 }
    }

    /// The state of a key, made if there is none. `time_ms` is stream time.
    pub(crate) fn state(&mut self, key: &[u8], time_ms: u64) -> &mut S {
        self.turn(time_ms);
        let old = &mut self.old;
        self.young.entry(key.into()).or_insert_with(|| old.remove(key).unwrap_or_default())
    }

    pub(crate) fn get(&self, key: &[u8]) -> Option<&S> {
        self.young.get(key).or_else(|| self.old.get(key))
    }

    pub(crate) fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }

    fn turn(&mut self, time_ms: u64) {
        if self.since_ms == 0 {
            self.since_ms = time_ms;
        }
        let aged = time_ms.saturating_sub(self.since_ms) >= self.bounds.ttl_ms;
        let full = self.young.len() >= self.bounds.keys_max.div_ceil(2);
        if aged || full {
            self.old = mem::take(&mut self.young);
            self.since_ms = time_ms;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(ttl_ms: u64, keys_max: usize) -> Keys<u32> {
        Keys::new(Bounds { ttl_ms, keys_max })
    }

    #[test]
    fn a_quiet_key_is_forgotten_between_one_and_two_lives() {
        let mut keys = keys(100, 1000);
        *keys.state(b"quiet", 1) = 1;
        *keys.state(b"busy", 1) = 1;
        for time in [90, 120, 180, 230] {
            *keys.state(b"busy", time) += 1;
        }
        assert_eq!((keys.get(b"quiet"), keys.get(b"busy")), (None, Some(&5)));
    }

    #[test]
    fn a_key_touched_within_its_life_is_kept() {
        let mut keys = keys(100, 1000);
        for time in (1..2000).step_by(99) {
            *keys.state(b"k", time) += 1;
            *keys.state(b"other", time) += 1;
        }
        assert_eq!(keys.get(b"k"), Some(&21));
    }

    #[test]
    fn there_are_never_more_keys_than_allowed() {
        let mut keys = keys(u64::MAX, 10);
        for n in 0..1000_u32 {
            *keys.state(&n.to_be_bytes(), 1) = n;
            assert!(keys.len() <= 10, "{}", keys.len());
            assert_eq!(keys.get(&n.to_be_bytes()), Some(&n));
        }
    }
}
