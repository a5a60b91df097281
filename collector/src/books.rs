//! The SDKs' books: running totals of each queue, turned into what they have grown by.
//!
//! A queue tells its totals with every batch. The last ones of each queue are kept, and the growth
//! since is counted. A queue that is not known yet is counted from its start only if none of its
//! events was ever answered, for then no collector can have counted it; else it is counted from
//! here on. So a restart or a second collector makes the sums too small, never too large.

use std::collections::HashMap;
use std::mem;
use std::sync::{Mutex, PoisonError};

use clickmill_sdk_core::wire::{Books, QueueId};

/// What a queue's totals have grown by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Growth {
    pub(crate) created: u64,
    pub(crate) settled: u64,
    pub(crate) dropped_full: u64,
    pub(crate) dropped_old: u64,
    pub(crate) dropped_large: u64,
    pub(crate) dropped_consent: u64,
}

impl Growth {
    /// Totals only grow; what shrinks comes from a batch that was overtaken.
    fn between(older: &Books, newer: &Books) -> Self {
        Self {
            created: newer.created.saturating_sub(older.created),
            settled: newer.settled.saturating_sub(older.settled),
            dropped_full: newer.dropped_full.saturating_sub(older.dropped_full),
            dropped_old: newer.dropped_old.saturating_sub(older.dropped_old),
            dropped_large: newer.dropped_large.saturating_sub(older.dropped_large),
            dropped_consent: newer.dropped_consent.saturating_sub(older.dropped_consent),
        }
    }
}

/// The last totals of the queues that were heard of lately.
#[derive(Debug)]
pub(crate) struct QueueBooks {
    generations: Mutex<Generations>,
    generation_queues_max: usize,
}

/// A queue is in the young generation, or in the old one until it is heard of again.
#[derive(Debug, Default)]
struct Generations {
    young: HashMap<QueueId, Books>,
    old: HashMap<QueueId, Books>,
}

impl QueueBooks {
    /// Keeps the totals of that many queues at the most, and of half as many at the least.
    pub(crate) fn new(queues_max: usize) -> Self {
        Self { generations: Mutex::default(), generation_queues_max: (queues_max / 2).max(1) }
    }

    /// What a queue's totals have grown by since they were last told.
    pub(crate) fn growth(&self, queue: &QueueId, told: &Books) -> Growth {
        let mut lock = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        let generations = &mut *lock;
        let known = generations.young.remove(queue).or_else(|| generations.old.remove(queue));
        let fresh = told.settled == 0;
        let growth = match &known {
            // Another start means another queue under an old name.
            Some(known) if known.since == told.since => Growth::between(known, told),
            Some(_) | None if fresh => Growth::between(&Books::default(), told),
            Some(_) | None => Growth::default(),
        };
        if generations.young.len() >= self.generation_queues_max {
            generations.old = mem::take(&mut generations.young);
        }
        // A batch that was overtaken must not set the totals back.
        let newest = match known {
            Some(known) if known.since == told.since && known.created > told.created => known,
            Some(_) | None => told.clone(),
        };
        generations.young.insert(queue.clone(), newest);
        growth
    }
}

#[cfg(test)]
mod tests {
    use clickmill_sdk_core::wire::Millis;

    use super::*;

    fn books(created: u64, settled: u64, dropped_full: u64) -> Books {
        Books { created, settled, dropped_full, since: Millis(5), ..Books::default() }
    }

    fn check(kept: &QueueBooks, queue: &str, told: &Books, expected: (u64, u64, u64)) {
        let growth = kept.growth(&QueueId::parse(queue).unwrap(), told);
        assert_eq!((growth.created, growth.settled, growth.dropped_full), expected, "{told:?}");
    }

    #[test]
    fn totals_become_growth() {
        let kept = QueueBooks::new(10);
        check(&kept, "a", &books(3, 0, 1), (3, 0, 1));
        check(&kept, "a", &books(3, 0, 1), (0, 0, 0));
        check(&kept, "a", &books(5, 3, 1), (2, 3, 0));
        check(&kept, "a", &books(4, 3, 1), (0, 0, 0));
        check(&kept, "a", &books(6, 3, 2), (1, 0, 1));
    }

    #[test]
    fn an_old_queue_that_is_new_here_counts_from_now_on() {
        let kept = QueueBooks::new(10);
        check(&kept, "a", &books(100, 90, 10), (0, 0, 0));
        check(&kept, "a", &books(101, 91, 10), (1, 1, 0));
        let renewed = Books { since: Millis(9), ..books(2, 0, 0) };
        check(&kept, "a", &renewed, (2, 0, 0));
    }

    #[test]
    fn the_number_of_queues_is_bounded() {
        let kept = QueueBooks::new(4);
        for number in 0..100 {
            check(&kept, &format!("q{number}"), &books(1, 0, 0), (1, 0, 0));
            check(&kept, "busy", &books(1 + number, 1, 0), (u64::from(number > 0), 0, 0));
        }
        let generations = kept.generations.lock().unwrap();
        assert!(generations.young.len() + generations.old.len() <= 4);
    }
}
