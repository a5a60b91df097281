//! The outcomes of records that were handed in together: one wake-up for all of them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::Outcome;
use crate::Failure;

/// How long after a record's time is up its outcome may still take to be reported.
const REPORT_GRACE: Duration = Duration::from_secs(5);

/// The outcomes of one batch, filled in by the polling thread.
#[derive(Debug)]
pub(super) struct Batch {
    outcomes: Box<[OnceLock<Outcome>]>,
    /// How many have none yet.
    open: AtomicUsize,
    complete: Notify,
}

impl Batch {
    /// A batch of that many records.
    pub(super) fn new(count: usize) -> Arc<Self> {
        let outcomes = std::iter::repeat_with(OnceLock::new).take(count).collect();
        Arc::new(Self { outcomes, open: AtomicUsize::new(count), complete: Notify::new() })
    }

    /// The right to settle the record at that place; given out once.
    pub(super) fn ticket(self: &Arc<Self>, slot: usize) -> Ticket {
        Ticket { batch: Arc::clone(self), slot }
    }

    fn is_settled(&self) -> bool {
        // Whoever sees the last one settled sees all outcomes.
        self.open.load(Ordering::Acquire) == 0
    }
}

/// The right to settle one record of a batch. Travels through librdkafka with the record.
#[derive(Debug)]
pub(super) struct Ticket {
    batch: Arc<Batch>,
    slot: usize,
}

impl Ticket {
    pub(super) fn settle(self, outcome: Outcome) {
        let Self { batch, slot } = self;
        let is_first = batch.outcomes.get(slot).is_some_and(|place| place.set(outcome).is_ok());
        if is_first && batch.open.fetch_sub(1, Ordering::AcqRel) == 1 {
            batch.complete.notify_one();
        }
    }
}

/// The outcomes of records that were handed in together.
///
/// Dropping it changes nothing about the records.
#[derive(Debug)]
pub struct Pending {
    batch: Arc<Batch>,
    /// When every outcome must have been reported.
    last: Instant,
}

impl Pending {
    pub(super) fn new(batch: Arc<Batch>, message_timeout: Duration) -> Self {
        Self { batch, last: Instant::now() + message_timeout + REPORT_GRACE }
    }

    /// Waits until every record has its outcome or the deadline has come, and returns them in the
    /// order of the records. What is still open is [`TimedOut`](crate::Class::TimedOut); it can be
    /// asked for again.
    pub async fn outcomes(&mut self, deadline: Instant) -> Vec<Outcome> {
        self.wait_until(deadline).await;
        let outcomes = self.batch.outcomes.iter();
        outcomes.map(|place| place.get().copied().unwrap_or(Err(Failure::DEADLINE))).collect()
    }

    /// Waits until every record has its final outcome. Bounded by the producer's message timeout.
    pub async fn settled(mut self) -> Vec<Outcome> {
        self.outcomes(self.last).await
    }

    /// Whether every record has its outcome.
    pub fn is_settled(&self) -> bool {
        self.batch.is_settled()
    }

    /// The outcomes that are there, in the order of the records.
    pub fn so_far(&self) -> Vec<Option<Outcome>> {
        self.batch.outcomes.iter().map(|place| place.get().copied()).collect()
    }

    /// Whether one of the records has failed already.
    pub fn has_failed(&self) -> bool {
        self.batch.outcomes.iter().any(|place| matches!(place.get(), Some(Err(_))))
    }

    /// Waits until every record has its final outcome, or should have had it. At most one may wait
    /// at a time.
    pub async fn wait(&self) {
        self.wait_until(self.last).await;
    }

    /// Whether the time in which outcomes are reported is over.
    pub fn is_over(&self) -> bool {
        Instant::now() >= self.last
    }

    async fn wait_until(&self, deadline: Instant) {
        while !self.is_settled() {
            // A wake-up can be one that an earlier wait did not use.
            if tokio::time::timeout_at(deadline, self.batch.complete.notified()).await.is_err() {
                break;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Position;

    fn at(offset: i64) -> Outcome {
        Ok(Position { partition: 0, offset })
    }

    fn pair() -> (Vec<Ticket>, Pending) {
        let batch = Batch::new(2);
        let tickets = vec![batch.ticket(0), batch.ticket(1)];
        (tickets, Pending::new(batch, Duration::from_secs(1)))
    }

    #[tokio::test(start_paused = true)]
    async fn outcomes_come_in_the_order_of_the_records() {
        let (mut tickets, mut pending) = pair();
        tickets.pop().unwrap().settle(at(2));
        tickets.pop().unwrap().settle(at(1));
        assert_eq!(pending.outcomes(Instant::now()).await, [at(1), at(2)]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_open_at_the_deadline_can_be_asked_for_again() {
        let (mut tickets, mut pending) = pair();
        tickets.remove(0).settle(at(1));
        let deadline = Instant::now() + Duration::from_millis(50);
        assert_eq!(pending.outcomes(deadline).await, [at(1), Err(Failure::DEADLINE)]);
        assert!(Instant::now() >= deadline);
        let late = tickets.remove(0);
        let settled = tokio::spawn(pending.settled());
        tokio::task::yield_now().await;
        late.settle(at(2));
        assert_eq!(settled.await.unwrap(), [at(1), at(2)]);
    }

    #[tokio::test(start_paused = true)]
    async fn settling_ends_even_when_nothing_is_reported() {
        let (tickets, pending) = pair();
        assert_eq!(pending.settled().await, [Err(Failure::DEADLINE); 2]);
        drop(tickets);
    }

    #[tokio::test(start_paused = true)]
    async fn an_outcome_that_is_told_twice_counts_once() {
        let (tickets, mut pending) = pair();
        let again = Ticket { batch: Arc::clone(&tickets[0].batch), slot: tickets[0].slot };
        for ticket in [again, tickets.into_iter().next().unwrap()] {
            ticket.settle(at(1));
        }
        assert!(!pending.is_settled());
        assert_eq!(pending.outcomes(Instant::now()).await, [at(1), Err(Failure::DEADLINE)]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_known_can_be_asked_for_at_any_time() {
        let (mut tickets, pending) = pair();
        assert_eq!(pending.so_far(), [None, None]);
        tickets.pop().unwrap().settle(Err(Failure::QUEUE_FULL));
        assert_eq!(pending.so_far(), [None, Some(Err(Failure::QUEUE_FULL))]);
        assert!(pending.has_failed() && !pending.is_settled() && !pending.is_over());
        pending.wait().await;
        assert!(!pending.is_settled() && pending.is_over());
    }

    #[tokio::test(start_paused = true)]
    async fn an_empty_batch_is_settled() {
        let mut pending = Pending::new(Batch::new(0), Duration::from_secs(1));
        assert_eq!(pending.outcomes(Instant::now()).await, []);
    }
}
