//! Which events of a visitor were seen: for each of the SDK's queues the highest number, and the
//! gaps below it.
//!
//! Gaps are kept as ranges rather than as bits. A queue without losses costs nothing, and a part
//! that arrives an hour late, out of a spool, is still told from a duplicate however many events
//! came meanwhile. An event is never taken twice; where there are more gaps than are kept, the
//! lowest is closed, and what still comes for it counts as a duplicate.

use clickmill_sdk_core::wire::{Gap, QueueId, QueueMark};

use super::Limits;

/// Whether an event was seen before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Novelty {
    /// It was not.
    New,
    /// It was, or it is too late to tell.
    Repeated,
}

/// The queues of one visitor; the one that was used last comes last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Queues(pub(super) Vec<QueueMark>);

impl Queues {
    /// Takes note of an event. A repeated one changes nothing.
    pub fn take(&mut self, id: &QueueId, seq: u64, limits: &Limits) -> Novelty {
        let Some(at) = self.0.iter().position(|queue| queue.id == *id) else {
            self.0.push(starting(id.clone(), seq));
            self.make_room(limits);
            return Novelty::New;
        };
        let was_single = self.0[at].highest == 0;
        let novelty = take(&mut self.0[at], seq, limits.gaps_max);
        if novelty == Novelty::New {
            // From `at` to the end: usually one queue, so nothing moves.
            self.0[at..].rotate_left(1);
            if was_single {
                self.make_room(limits);
            }
        }
        novelty
    }

    /// Forgets the queue quiet longest where there are too many, of those of a single event or of the
    /// others: a backend that numbers nothing must not have the browser's queue forgotten, nor the
    /// events of a large batch each other.
    fn make_room(&mut self, limits: &Limits) {
        for (single, most) in [(true, limits.singles_max), (false, limits.queues_max)] {
            let is_like = |queue: &QueueMark| (queue.highest == 0) == single;
            if self.0.iter().filter(|queue| is_like(queue)).count() > most
                && let Some(at) = self.0.iter().position(is_like)
            {
                self.0.remove(at);
            }
        }
    }
}

fn starting(id: QueueId, seq: u64) -> QueueMark {
    let gaps = if seq > 0 { vec![Gap(0, seq)] } else { Vec::new() };
    QueueMark { id, highest: seq, gaps }
}

fn take(queue: &mut QueueMark, seq: u64, gaps_max: usize) -> Novelty {
    if seq > queue.highest {
        if seq - queue.highest > 1 {
            queue.gaps.push(Gap(queue.highest + 1, seq));
        }
        queue.highest = seq;
    } else if !fill(&mut queue.gaps, seq) {
        return Novelty::Repeated;
    }
    if queue.gaps.len() > gaps_max {
        queue.gaps.remove(0);
    }
    Novelty::New
}

/// Takes a number out of the gap it lies in; false if it lies in none.
fn fill(gaps: &mut Vec<Gap>, seq: u64) -> bool {
    let at = gaps.partition_point(|Gap(_, end)| *end <= seq);
    let Some(Gap(from, end)) = gaps.get(at).copied().filter(|Gap(from, _)| *from <= seq) else {
        return false;
    };
    let left = (from < seq).then_some(Gap(from, seq));
    let right = (seq + 1 < end).then_some(Gap(seq + 1, end));
    gaps.splice(at..=at, left.into_iter().chain(right));
    true
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    fn queue(id: &str) -> QueueId {
        QueueId::parse(id).unwrap()
    }

    #[test]
    fn a_late_event_is_new_once() {
        let (mut queues, limits, q) = (Queues::default(), Limits::default(), queue("q"));
        let mut take = |seq| queues.take(&q, seq, &limits);
        let said = [5, 6, 9, 7, 7, 8, 8, 0, 9, 4, 3].map(&mut take);
        use Novelty::{New as N, Repeated as R};
        assert_eq!(said, [N, N, N, N, R, N, R, N, R, N, N]);
    }

    #[test]
    fn the_greatest_number_is_taken_once() {
        let (mut queues, limits, q) = (Queues::default(), Limits::default(), queue("q"));
        let mut take = |seq| queues.take(&q, seq, &limits);
        assert_eq!(take(u64::MAX), Novelty::New);
        assert_eq!(take(u64::MAX), Novelty::Repeated);
        assert_eq!(take(u64::MAX - 1), Novelty::New);
    }

    #[test]
    fn the_queue_quiet_longest_is_forgotten_first() {
        let limits = Limits { queues_max: 2, ..Limits::default() };
        let mut queues = Queues::default();
        let mut take = |id: &str, seq| queues.take(&queue(id), seq, &limits);
        take("a", 1);
        take("b", 1);
        take("a", 2);
        take("c", 1);
        assert_eq!(take("a", 2), Novelty::Repeated);
        assert_eq!(take("b", 1), Novelty::New);
    }

    #[test]
    fn events_that_nobody_numbers_are_told_from_copies_and_push_no_queue_out() {
        let limits = Limits::default();
        let mut queues = Queues::default();
        let mut take = |id: &str, seq| queues.take(&queue(id), seq, &limits);
        assert_eq!([take("sdk", 0), take("sdk", 1)], [Novelty::New; 2]);
        let batch: Vec<String> = (0..100).map(|n| format!("backend-{n}")).collect();
        for id in &batch {
            assert_eq!(take(id, 0), Novelty::New);
        }
        for id in &batch {
            assert_eq!(take(id, 0), Novelty::Repeated, "{id}");
        }
        for n in 0..1_000 {
            assert_eq!(take(&format!("more-{n}"), 0), Novelty::New);
        }
        assert_eq!([take("sdk", 0), take("sdk", 1)], [Novelty::Repeated; 2]);
        assert_eq!(queues.0.len(), limits.singles_max + 1);
    }

    #[test]
    fn queues_are_bounded_however_they_grow() {
        let limits = Limits::default();
        let mut queues = Queues::default();
        // As a page numbers what it sends without the core: a queue of its own, from 0 on.
        for page in 0..1_000 {
            for seq in 0..3 {
                assert_eq!(queues.take(&queue(&format!("p{page}")), seq, &limits), Novelty::New);
            }
        }
        assert_eq!(queues.0.len(), limits.queues_max);
        for seq in 0..3 {
            assert_eq!(queues.take(&queue("p999"), seq, &limits), Novelty::Repeated);
        }
    }

    proptest! {
        /// Against a set of all numbers seen, where no bound is reached.
        #[test]
        fn exact_within_the_bounds(seqs in prop::collection::vec((0..3_u8, 0..60_u64), 0..400)) {
            let limits = Limits { gaps_max: 64, ..Limits::default() };
            let (mut queues, mut reference) = (Queues::default(), HashSet::new());
            for (id, seq) in seqs {
                let new = reference.insert((id, seq));
                let said = queues.take(&queue(&id.to_string()), seq, &limits);
                prop_assert_eq!(said == Novelty::New, new, "queue {} seq {}", id, seq);
            }
        }

        /// Beyond the bound on gaps, an event may be lost but never doubled, and memory stays.
        #[test]
        fn never_twice_beyond_the_bounds(seqs in prop::collection::vec(0..500_u64, 0..600)) {
            let limits = Limits { gaps_max: 4, ..Limits::default() };
            let (mut queues, mut reference) = (Queues::default(), HashSet::new());
            for seq in seqs {
                let new = reference.insert(seq);
                let said = queues.take(&queue("q"), seq, &limits);
                prop_assert!(new || said == Novelty::Repeated, "seq {} taken twice", seq);
                prop_assert!(queues.0[0].gaps.len() <= 4);
            }
        }
    }
}
