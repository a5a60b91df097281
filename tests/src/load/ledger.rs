//! What the visitors of a load were told, and what an independent reader finds of it in Kafka.

use std::collections::HashSet;
use std::fmt;
use std::time::{Duration, Instant};

use clickmill_sdk_core::wire::{EventId, Outcome, Topic};

use crate::replay::Found;
use crate::world::Edge;

/// The span over which a rate is taken.
const RATE_SPAN: Duration = Duration::from_secs(1);
/// The steps in which a recovery is looked for.
const RATE_STEP: Duration = Duration::from_millis(100);
/// The share of the earlier rate at which a load has recovered.
const RECOVERED_SHARE: f64 = 0.8;

/// Every fate that the visitors of a load learned.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    /// Events that are durable by the collector's word: accepted, or duplicate.
    acknowledged: HashSet<EventId>,
    /// When they were acknowledged.
    moments: Vec<Instant>,
    /// Verdicts `accepted`.
    pub accepted: usize,
    /// Verdicts `duplicate`.
    pub duplicate: usize,
    /// Verdicts `rejected`.
    pub rejected: usize,
    /// Verdicts `retry`.
    pub retried: usize,
    /// Requests that were refused as a whole for now: 429 or 503.
    pub refused: usize,
    /// Requests without an answer.
    pub unanswered: usize,
}

/// How many events a second found their fate, around something that happened.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// Before it.
    pub before: f64,
    /// In its first second.
    pub during: f64,
    /// Over the last second.
    pub after: f64,
    /// How long it took until most of the earlier rate was back; none if it never was.
    pub recovered_after: Option<Duration>,
}

impl Ledger {
    /// Notes the verdict on one event.
    pub(super) fn note(&mut self, id: EventId, outcome: &Outcome) {
        match outcome {
            Outcome::Accepted => self.accepted += 1,
            Outcome::Duplicate => self.duplicate += 1,
            Outcome::Rejected(_) => self.rejected += 1,
            Outcome::Retry { .. } => self.retried += 1,
        }
        if matches!(outcome, Outcome::Accepted | Outcome::Duplicate) {
            self.acknowledged.insert(id);
            self.moments.push(Instant::now());
        }
    }

    /// Events that have found their fate.
    pub fn settled(&self) -> usize {
        self.accepted + self.duplicate + self.rejected
    }

    /// The rates around a moment.
    pub fn rate_around(&self, moment: Instant) -> Rate {
        let last = self.moments.last().copied().unwrap_or(moment);
        let rate = |from: Instant| {
            let within = self.moments.iter().filter(|at| **at >= from && **at < from + RATE_SPAN);
            within.count() as f64 / RATE_SPAN.as_secs_f64()
        };
        let before = rate(moment - RATE_SPAN);
        let mut from = moment;
        while from + RATE_SPAN <= last && rate(from) < before * RECOVERED_SHARE {
            from += RATE_STEP;
        }
        let recovered = from + RATE_SPAN <= last;
        Rate {
            before,
            during: rate(moment),
            after: rate(last - RATE_SPAN),
            recovered_after: recovered.then(|| from - moment),
        }
    }

    /// Counts in Kafka, by a reader that knows nothing of the collector, and holds what must hold
    /// after any fault: whatever was acknowledged is there, nothing is there that nobody sent, and
    /// each visitor's events lie in their order. Copies may be there; they are counted.
    ///
    /// # Panics
    /// When it does not hold.
    pub async fn lies_in_kafka(&self, edge: &Edge) -> Found {
        let found = Found::of(&self.acknowledged, edge, Topic::ClicksRaw).await;
        println!("{self}; in Kafka: {found}, in order: {}", found.in_order);
        assert!(!self.acknowledged.is_empty());
        assert_eq!(self.rejected, 0, "every event is good");
        assert_eq!((found.lost, found.unknown), (0, 0), "{found}");
        assert!(found.in_order, "each visitor's first copies lie in the order of their places");
        found
    }
}

impl fmt::Display for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { accepted, duplicate, retried, refused, unanswered, .. } = self;
        write!(
            f,
            "{accepted} accepted, {duplicate} duplicate, {retried} retried; \
             {refused} requests refused, {unanswered} without an answer"
        )
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { before, during, after, recovered_after } = self;
        write!(
            f,
            "{before:.0} events/s before, {during:.0} in the first second, {after:.0} after; "
        )?;
        match recovered_after {
            Some(span) => write!(f, "recovered after {:.1} s", span.as_secs_f64()),
            None => f.write_str("not recovered"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_shows_in_the_rates_around_it() {
        let start = Instant::now();
        let steady = (0..300).map(|n| Duration::from_millis(n * 10));
        let again = (0..300).map(|n| Duration::from_millis(5000 + n * 10));
        let moments = steady.chain(again).map(|at| start + at).collect();
        let ledger = Ledger { moments, ..Ledger::default() };
        let rate = ledger.rate_around(start + Duration::from_secs(3));
        assert_eq!((rate.before, rate.during, rate.after), (100.0, 0.0, 100.0));
        let recovered = rate.recovered_after.unwrap();
        assert!((1800..2000).contains(&recovered.as_millis()), "{recovered:?}");
    }
}
