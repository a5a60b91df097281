//! The window of remembered ids: bounded by count and age, in two generations.
//!
//! New ids go into the young generation. When it is half of the bound, in count or in age, it
//! becomes the old one and the old one is forgotten as a whole. So an id is remembered for at least
//! half of the bounds and never past them, at the price of one hash entry and no list.

use std::collections::hash_map::Entry;
use std::hash::Hash;
use std::mem;

use ahash::{HashMap, HashMapExt as _, HashSet, HashSetExt as _};

use super::Claim;

/// The bounds of the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WindowLimits {
    /// Most ids that are remembered.
    pub(crate) events_max: usize,
    /// Longest time an id is remembered, ms.
    pub(crate) age_ms_max: u64,
}

/// The ids of events that are on their way or durable. `P` leads to the outcome of a pending one.
#[derive(Debug)]
pub(super) struct Window<K, P> {
    limits: WindowLimits,
    /// Bounded by what is in flight: the producer's queue and the open requests.
    pending: HashMap<K, P>,
    young: HashSet<K>,
    old: HashSet<K>,
    /// When the young generation began.
    young_since_ms: u64,
}

impl<K: Copy + Eq + Hash, P: Clone> Window<K, P> {
    pub(super) fn new(limits: WindowLimits) -> Self {
        Self {
            limits,
            pending: HashMap::new(),
            young: HashSet::new(),
            old: HashSet::new(),
            young_since_ms: 0,
        }
    }

    pub(super) fn remembered(&self) -> usize {
        self.young.len() + self.old.len()
    }

    pub(super) fn pending(&self) -> usize {
        self.pending.len()
    }

    /// What is known of the id; if nothing is, it is pending from now on.
    pub(super) fn claim(&mut self, key: K, now_ms: u64, pending: impl FnOnce() -> P) -> Claim<P> {
        self.turn(now_ms);
        if self.young.contains(&key) || self.old.contains(&key) {
            return Claim::Durable;
        }
        match self.pending.entry(key) {
            Entry::Occupied(first) => Claim::Pending(first.get().clone()),
            Entry::Vacant(nothing) => {
                nothing.insert(pending());
                Claim::First
            }
        }
    }

    /// The id is durable.
    pub(super) fn remember(&mut self, key: K, now_ms: u64) {
        let was_pending = self.pending.remove(&key).is_some();
        self.turn(now_ms);
        // What was pending is not remembered yet.
        if was_pending || !self.old.contains(&key) {
            self.young.insert(key);
        }
    }

    /// The id came to nothing.
    pub(super) fn forget(&mut self, key: &K) {
        self.pending.remove(key);
    }

    /// Lets generations grow older as time and count demand.
    fn turn(&mut self, now_ms: u64) {
        let age_ms = now_ms.saturating_sub(self.young_since_ms);
        if self.young.is_empty() && self.old.is_empty() {
            self.young_since_ms = now_ms;
        } else if age_ms >= self.limits.age_ms_max {
            self.young = HashSet::new();
            self.old = HashSet::new();
            self.young_since_ms = now_ms;
        } else if age_ms >= self.limits.age_ms_max / 2
            || self.young.len() >= (self.limits.events_max / 2).max(1)
        {
            // The table of the dropped generation is the next one's: it need not grow again.
            mem::swap(&mut self.young, &mut self.old);
            self.young.clear();
            self.young_since_ms = now_ms;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMITS: WindowLimits = WindowLimits { events_max: 8, age_ms_max: 100 };

    fn window() -> Window<u32, &'static str> {
        Window::new(LIMITS)
    }

    /// Claims the key for a flight of that name.
    fn claim(window: &mut Window<u32, &'static str>, key: u32, now_ms: u64) -> String {
        match window.claim(key, now_ms, || "flight") {
            Claim::First => "first".to_owned(),
            Claim::Pending(flight) => format!("pending {flight}"),
            Claim::Durable => "durable".to_owned(),
        }
    }

    fn durable(window: &mut Window<u32, &'static str>, key: u32, now_ms: u64) {
        claim(window, key, now_ms);
        window.remember(key, now_ms);
    }

    #[test]
    fn a_copy_meets_the_first_one_wherever_it_is() {
        let mut window = window();
        assert_eq!(claim(&mut window, 1, 0), "first");
        assert_eq!(claim(&mut window, 1, 1), "pending flight");
        window.remember(1, 2);
        assert_eq!(claim(&mut window, 1, 3), "durable");
        assert_eq!(claim(&mut window, 2, 3), "first");
    }

    #[test]
    fn what_came_to_nothing_may_come_again() {
        let mut window = window();
        claim(&mut window, 1, 0);
        window.forget(&1);
        assert_eq!(claim(&mut window, 1, 1), "first");
        assert_eq!((window.remembered(), window.pending()), (0, 1));
    }

    #[test]
    fn age_ends_remembering_but_not_waiting() {
        let mut window = window();
        durable(&mut window, 1, 1_000);
        claim(&mut window, 2, 1_000);
        assert_eq!(claim(&mut window, 1, 1_049), "durable");
        assert_eq!(claim(&mut window, 1, 1_099), "durable");
        assert_eq!(claim(&mut window, 1, 1_200), "first");
        assert_eq!(claim(&mut window, 2, 9_000), "pending flight");
    }

    #[test]
    fn a_clock_set_back_forgets_nothing() {
        let mut window = window();
        durable(&mut window, 1, 1_000);
        assert_eq!(claim(&mut window, 1, 5), "durable");
    }

    proptest! {
        #[test]
        fn the_last_half_is_always_remembered_and_the_bound_never_passed(
            keys in proptest::collection::vec(0..40_u32, 0..200)
        ) {
            let mut window = window();
            let mut newest: Vec<u32> = Vec::new();
            for key in keys {
                let known = claim(&mut window, key, 1) == "durable";
                window.remember(key, 1);
                if !known {
                    newest.push(key);
                }
                prop_assert!(window.remembered() <= LIMITS.events_max);
                for recent in newest.iter().rev().take(LIMITS.events_max / 2) {
                    prop_assert_eq!(claim(&mut window, *recent, 1), "durable");
                }
            }
            prop_assert_eq!(window.pending(), 0);
        }
    }
}
