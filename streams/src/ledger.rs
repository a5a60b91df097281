//! Which records are dealt with: an offset may be committed once the outputs of all records up to
//! it were acknowledged.

use std::collections::VecDeque;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use clickmill_kafka::{Class, Pending, Producer};

use crate::Produce;

/// How long an output that failed for a passing reason waits before it is sent again.
const RESEND_AFTER: Duration = Duration::from_millis(200);

/// Takes outputs and tells later what became of them.
pub(crate) trait Outbox {
    /// The handle to the outcomes of outputs that were handed in together.
    type Receipt;

    /// Hands outputs in without waiting.
    fn enqueue(&self, outputs: &[Produce]) -> Self::Receipt;

    /// One outcome for each output, once all are known.
    fn outcomes(&self, receipt: &mut Self::Receipt) -> Option<Vec<Result<(), Class>>>;
}

impl Outbox for Producer {
    type Receipt = Pending;

    fn enqueue(&self, outputs: &[Produce]) -> Pending {
        Producer::enqueue(self, outputs.iter().map(Produce::outgoing))
    }

    fn outcomes(&self, receipt: &mut Pending) -> Option<Vec<Result<(), Class>>> {
        if !receipt.is_settled() {
            return None;
        }
        // Everything is known, so the future is ready at its first poll.
        let known = pin!(receipt.outcomes(tokio::time::Instant::now()));
        match known.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(outcomes) => Some(
                outcomes
                    .into_iter()
                    .map(|outcome| outcome.map(drop).map_err(|failure| failure.class))
                    .collect(),
            ),
            Poll::Pending => None,
        }
    }
}

/// What a look at the oldest entries found.
#[derive(Debug, Default)]
pub(crate) struct Settled {
    /// Outputs that were acknowledged.
    pub(crate) acknowledged: u64,
    /// Outputs that were sent again.
    pub(crate) resent: u64,
    /// Outputs that Kafka will never take, with the offset of the record they are about.
    pub(crate) refused: Vec<u64>,
    /// The producer is beyond repair.
    pub(crate) is_fatal: bool,
}

/// The open outputs of one partition, oldest first.
#[derive(Debug)]
pub(crate) struct Ledger<R> {
    entries: VecDeque<Entry<R>>,
    /// Everything before this offset is dealt with.
    done: Option<u64>,
    committed: Option<u64>,
}

#[derive(Debug)]
struct Entry<R> {
    offset: u64,
    outputs: Vec<Produce>,
    state: Delivery<R>,
}

#[derive(Debug)]
enum Delivery<R> {
    Done,
    Sent(R),
    Waiting(Instant),
}

impl<R> Ledger<R> {
    pub(crate) fn new() -> Self {
        Self { entries: VecDeque::new(), done: None, committed: None }
    }

    /// Enters a record and hands its outputs in.
    pub(crate) fn enter<O: Outbox<Receipt = R>>(
        &mut self,
        offset: u64,
        outputs: Vec<Produce>,
        outbox: &O,
    ) {
        if outputs.is_empty() && self.entries.is_empty() {
            self.done = Some(offset + 1);
            return;
        }
        let state = if outputs.is_empty() {
            Delivery::Done
        } else {
            Delivery::Sent(outbox.enqueue(&outputs))
        };
        self.entries.push_back(Entry { offset, outputs, state });
    }

    /// How many records wait for acknowledgement.
    pub(crate) fn open(&self) -> usize {
        self.entries.len()
    }

    /// The offset to commit, if it moved since the last one that was taken.
    pub(crate) fn take_commit(&mut self) -> Option<u64> {
        let next = self.done.filter(|done| self.committed != Some(*done))?;
        self.committed = Some(next);
        Some(next)
    }

    /// Looks at the oldest entries: drops those that are done, sends again what failed.
    pub(crate) fn settle<O: Outbox<Receipt = R>>(&mut self, outbox: &O, now: Instant) -> Settled {
        let mut settled = Settled::default();
        while let Some(entry) = self.entries.front_mut() {
            match &mut entry.state {
                Delivery::Done => {}
                Delivery::Waiting(until) if now < *until => break,
                Delivery::Waiting(_) => {
                    settled.resent += entry.outputs.len() as u64;
                    entry.state = Delivery::Sent(outbox.enqueue(&entry.outputs));
                    break;
                }
                Delivery::Sent(receipt) => {
                    let Some(outcomes) = outbox.outcomes(receipt) else { break };
                    entry.take(outcomes, &mut settled);
                    if settled.is_fatal {
                        break;
                    }
                    if !entry.outputs.is_empty() {
                        entry.state = Delivery::Waiting(now + RESEND_AFTER);
                        break;
                    }
                }
            }
            self.done = Some(entry.offset + 1);
            self.entries.pop_front();
        }
        settled
    }
}

impl<R> Entry<R> {
    /// Keeps the outputs that must be sent again.
    fn take(&mut self, outcomes: Vec<Result<(), Class>>, settled: &mut Settled) {
        let offset = self.offset;
        let mut outcomes = outcomes.into_iter();
        self.outputs.retain(|_| match outcomes.next() {
            Some(Ok(())) => {
                settled.acknowledged += 1;
                false
            }
            // No other try can help, and holding everything up for it would be a crash loop.
            Some(Err(Class::TooLarge)) => {
                settled.refused.push(offset);
                false
            }
            Some(Err(Class::Fatal)) => {
                settled.is_fatal = true;
                true
            }
            // A topic that is missing or closed to us is mended by people; until then no record
            // is lost, and the readers are held up.
            Some(Err(Class::QueueFull | Class::Refused | Class::Retriable | Class::TimedOut))
            | None => true,
        });
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use clickmill_kafka::Headers;

    use super::*;

    /// An outbox whose outcomes a test decides, in the order of hand-in.
    #[derive(Default)]
    struct Fake {
        outcomes: RefCell<Vec<Option<Result<(), Class>>>>,
    }

    impl Fake {
        fn decide(&self, receipt: usize, outcome: Result<(), Class>) {
            self.outcomes.borrow_mut()[receipt] = Some(outcome);
        }
    }

    impl Outbox for Fake {
        type Receipt = (usize, usize);

        fn enqueue(&self, outputs: &[Produce]) -> (usize, usize) {
            let mut all = self.outcomes.borrow_mut();
            all.push(None);
            (all.len() - 1, outputs.len())
        }

        fn outcomes(&self, receipt: &mut (usize, usize)) -> Option<Vec<Result<(), Class>>> {
            self.outcomes.borrow()[receipt.0].map(|outcome| vec![outcome; receipt.1])
        }
    }

    fn output() -> Vec<Produce> {
        vec![Produce { topic: "t".into(), key: None, value: None, headers: Headers::default() }]
    }

    #[test]
    fn an_offset_waits_for_all_before_it() {
        let (mut ledger, fake, now) = (Ledger::new(), Fake::default(), Instant::now());
        ledger.enter(10, output(), &fake);
        ledger.enter(11, Vec::new(), &fake);
        ledger.enter(12, output(), &fake);
        fake.decide(1, Ok(()));
        ledger.settle(&fake, now);
        assert_eq!(ledger.take_commit(), None);
        fake.decide(0, Ok(()));
        assert_eq!(ledger.settle(&fake, now).acknowledged, 2);
        assert_eq!((ledger.take_commit(), ledger.take_commit()), (Some(13), None));
    }

    #[test]
    fn records_without_outputs_are_done_at_once() {
        let (mut ledger, fake) = (Ledger::new(), Fake::default());
        ledger.enter(3, Vec::new(), &fake);
        assert_eq!((ledger.take_commit(), ledger.open()), (Some(4), 0));
    }

    #[test]
    fn what_failed_for_a_while_is_sent_again_and_holds_the_commit() {
        let (mut ledger, fake, now) = (Ledger::new(), Fake::default(), Instant::now());
        ledger.enter(0, output(), &fake);
        fake.decide(0, Err(Class::TimedOut));
        assert_eq!(ledger.settle(&fake, now).resent, 0);
        assert_eq!(ledger.settle(&fake, now + RESEND_AFTER / 2).resent, 0);
        assert_eq!(ledger.settle(&fake, now + RESEND_AFTER).resent, 1);
        assert_eq!(ledger.take_commit(), None);
        fake.decide(1, Ok(()));
        ledger.settle(&fake, now + RESEND_AFTER);
        assert_eq!(ledger.take_commit(), Some(1));
    }

    #[test]
    fn what_kafka_never_takes_is_reported_and_passed_over() {
        let (mut ledger, fake) = (Ledger::new(), Fake::default());
        ledger.enter(5, output(), &fake);
        fake.decide(0, Err(Class::TooLarge));
        assert_eq!(ledger.settle(&fake, Instant::now()).refused, [5]);
        assert_eq!(ledger.take_commit(), Some(6));
    }

    #[test]
    fn a_broken_producer_is_told() {
        let (mut ledger, fake) = (Ledger::new(), Fake::default());
        ledger.enter(5, output(), &fake);
        fake.decide(0, Err(Class::Fatal));
        assert!(ledger.settle(&fake, Instant::now()).is_fatal);
        assert_eq!(ledger.take_commit(), None);
    }
}
