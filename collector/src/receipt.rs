//! The receipt: what the sender is told, from the fates of its events.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use clickmill_sdk_core::wire::{
    Claim, Doubt, EventId, Identity, Limits, Outcome, Placed, Reason, Receipt, Topic, Verdict,
};

use crate::error::IngestError;
use crate::metrics::CollectorMetrics;
use crate::produce::Landed;
use crate::validate::Judged;

/// What the receipt needs to know of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Subject {
    id: Option<EventId>,
    /// Its record's key: what shares it shares an order.
    key: Option<Arc<str>>,
    /// Whether it is kept beside the stream.
    spilled: bool,
    /// Why whom it names is a claim.
    claim: Option<Doubt>,
}

impl From<&Judged> for Subject {
    fn from(judged: &Judged) -> Self {
        let spilled = judged.message.topic == Topic::ClicksOverflow;
        let claim = judged.named.as_ref().and_then(|named| named.as_ref().err().copied());
        Self { id: judged.id, key: judged.key.clone(), spilled, claim }
    }
}

/// What else the receipt tells.
#[derive(Clone, Debug, Default)]
pub(crate) struct Extras {
    /// Whether the sender asked where its events lie.
    pub(crate) positions: bool,
    /// What senders keep to; told when one did not.
    pub(crate) limits: Limits,
    /// Of what share of its visitors the site's pages tell.
    pub(crate) sample: Option<f64>,
    /// Who the visitor is.
    pub(crate) identity: Option<Identity>,
}

/// Holds the rule of order: after a `retry`, later events of the same visitor are `retry` too, but
/// for those that are refused for good. An event that was held here although it is durable is
/// remembered as such, so its next copy is a `duplicate`; `produce` tells when that can be.
pub(crate) fn hold_order(subjects: &[Subject], landed: &mut [Landed]) {
    let mut held: HashSet<&str> = HashSet::new();
    let mut wait_ms = 0;
    for (subject, landed) in subjects.iter().zip(landed) {
        let Some(visitor) = subject.key.as_deref() else { continue };
        match &landed.outcome {
            Outcome::Retry { after_ms } => {
                wait_ms = wait_ms.max(*after_ms);
                held.insert(visitor);
            }
            Outcome::Accepted | Outcome::Duplicate if held.contains(visitor) => {
                landed.outcome = Outcome::Retry { after_ms: wait_ms };
                landed.place = None;
            }
            Outcome::Accepted | Outcome::Duplicate | Outcome::Rejected(_) => {}
        }
    }
}

/// Writes the receipt. When not one event has found its fate, the answer is 503 instead: it says no
/// less to the sender, and proxies and alarms understand it.
pub(crate) fn assemble(
    subjects: &[Subject],
    landed: &[Landed],
    extras: Extras,
) -> Result<Receipt, IngestError> {
    let waits = landed.iter().map_while(|landed| match &landed.outcome {
        Outcome::Retry { after_ms } => Some(*after_ms),
        Outcome::Accepted | Outcome::Duplicate | Outcome::Rejected(_) => None,
    });
    let waits: Vec<u64> = waits.collect();
    if let Some(longest) = waits.iter().max().filter(|_| waits.len() == landed.len()) {
        return Err(IngestError::Unavailable { wait: Duration::from_millis(*longest) });
    }
    let mut receipt =
        Receipt { identity: extras.identity, sample: extras.sample, ..Receipt::default() };
    // A batch's number of events is far below what 32 bits hold.
    for (index, (subject, landed)) in (0_u32..).zip(subjects.iter().zip(landed)) {
        if landed.outcome == Outcome::Accepted {
            receipt.accepted += 1;
            receipt.overflow.extend(subject.spilled.then_some(index));
            receipt.claims.extend(subject.claim.map(|why| Claim { index, why }));
            receipt.positions.extend(placed(index, landed).filter(|_| extras.positions));
        } else {
            let verdict = Verdict { index, id: subject.id, outcome: landed.outcome.clone() };
            receipt.verdicts.push(verdict);
        }
    }
    let too_large = |landed: &Landed| matches!(&landed.outcome, Outcome::Rejected(why) if why.reason == Reason::TooLarge);
    receipt.limits = landed.iter().any(too_large).then_some(extras.limits);
    Ok(receipt)
}

fn placed(index: u32, landed: &Landed) -> Option<Placed> {
    let place = landed.place?;
    let partition = u32::try_from(place.partition).ok()?;
    Some(Placed { index, partition, offset: u64::try_from(place.offset).ok()? })
}

/// The account of one batch: every event that came in is counted under one outcome, also when its
/// client does not wait for the answer. Whoever gets no answer must send again, so that is `retry`.
#[derive(Debug)]
pub(crate) struct Account<'a> {
    metrics: &'a CollectorMetrics,
    open: usize,
}

impl<'a> Account<'a> {
    /// Counts the events that came in.
    pub(crate) fn open(metrics: &'a CollectorMetrics, events: usize) -> Self {
        metrics.deliveries.increment(events as u64);
        Self { metrics, open: events }
    }

    /// Counts what they are answered.
    pub(crate) fn close(mut self, landed: &[Landed]) {
        self.metrics.count_all(landed.iter().map(|landed| &landed.outcome));
        self.open = self.open.saturating_sub(landed.len());
    }
}

impl Drop for Account<'_> {
    fn drop(&mut self) {
        for _ in 0..self.open {
            self.metrics.count(&Outcome::Retry { after_ms: 0 });
        }
    }
}

#[cfg(test)]
mod tests {
    use clickmill_kafka::Position;
    use clickmill_sdk_core::wire::Rejection;
    use proptest::prelude::*;

    use super::*;

    /// `a` accepted, `d` duplicate, `r` rejected, `?` retry; each with the visitor's digit or `-`.
    fn parse(text: &str) -> (Vec<Subject>, Vec<Landed>) {
        let pairs: Vec<char> = text.chars().filter(|c| *c != ' ').collect();
        pairs
            .chunks(2)
            .map(|pair| {
                let key = (pair[1] != '-').then(|| pair[1].to_string().into());
                let (outcome, place) = match pair[0] {
                    'a' => (Outcome::Accepted, Some(Position { partition: 1, offset: 2 })),
                    'd' => (Outcome::Duplicate, None),
                    'r' => (rejected(Reason::Malformed), None),
                    _ => (Outcome::Retry { after_ms: 700 }, None),
                };
                (Subject { id: None, key, spilled: false, claim: None }, Landed { outcome, place })
            })
            .unzip()
    }

    fn rejected(reason: Reason) -> Outcome {
        Outcome::Rejected(Rejection { reason, schema: None, pointer: None, detail: None })
    }

    fn show(subjects: &[Subject], landed: &[Landed]) -> String {
        let one = |(subject, landed): (&Subject, &Landed)| {
            let outcome = match landed.outcome {
                Outcome::Accepted => 'a',
                Outcome::Duplicate => 'd',
                Outcome::Rejected(_) => 'r',
                Outcome::Retry { .. } => '?',
            };
            let visitor = subject.key.as_deref().unwrap_or("-");
            format!("{outcome}{visitor}")
        };
        subjects.iter().zip(landed).map(one).collect::<Vec<_>>().join(" ")
    }

    fn check(before: &str, after: &str) {
        let (subjects, mut landed) = parse(before);
        hold_order(&subjects, &mut landed);
        assert_eq!(show(&subjects, &landed), after);
    }

    #[test]
    fn after_a_retry_the_same_visitor_waits() {
        check("a1 a1 a1", "a1 a1 a1");
        check("a1 ?1 a1 d1", "a1 ?1 ?1 ?1");
        check("?1 a2 a1", "?1 a2 ?1");
        check("?1 r1 a1", "?1 r1 ?1");
        check("?- a- a1", "?- a- a1");
        check("r1 a1", "r1 a1");
    }

    proptest! {
        #[test]
        fn what_a_visitor_may_send_again_is_the_tail(text in "([adr?][12-]){0,20}") {
            let (subjects, mut landed) = parse(&text);
            hold_order(&subjects, &mut landed);
            for visitor in ["1", "2"] {
                let mine = subjects.iter().zip(&landed).filter(|(subject, _)| {
                    subject.key.as_deref() == Some(visitor)
                });
                let fates: Vec<bool> = mine
                    .filter(|(_, landed)| !matches!(landed.outcome, Outcome::Rejected(_)))
                    .map(|(_, landed)| matches!(landed.outcome, Outcome::Retry { .. }))
                    .collect();
                prop_assert!(fates.is_sorted(), "{:?}", fates);
            }
        }
    }

    fn receipt(text: &str, positions: bool) -> Result<Receipt, IngestError> {
        let (subjects, landed) = parse(text);
        let extras = Extras { positions, ..Extras::default() };
        assemble(&subjects, &landed, extras)
    }

    #[test]
    fn what_is_not_plainly_accepted_is_named() {
        let told = receipt("a1 d1 a2 r2 ?3", false).unwrap();
        assert_eq!(told.accepted, 2);
        let indices: Vec<u32> = told.verdicts.iter().map(|verdict| verdict.index).collect();
        assert_eq!(indices, [1, 3, 4]);
        assert_eq!((told.positions.len(), told.limits), (0, None));
        let asked = receipt("d1 a1", true).unwrap();
        assert_eq!(asked.positions, [Placed { index: 1, partition: 1, offset: 2 }]);
    }

    proptest! {
        #[test]
        fn each_event_is_in_the_receipt_once(text in "([adr?][12-]){1,30}") {
            let count = text.len() / 2;
            match receipt(&text, true) {
                Ok(told) => {
                    let named = told.verdicts.iter().map(|verdict| verdict.index);
                    let mut indices: Vec<u32> =
                        named.chain(told.positions.iter().map(|placed| placed.index)).collect();
                    indices.sort_unstable();
                    prop_assert_eq!(indices, (0..u32::try_from(count).unwrap()).collect::<Vec<_>>());
                    prop_assert_eq!(usize::try_from(told.accepted).unwrap(), told.positions.len());
                }
                Err(_) => prop_assert_eq!(text.matches('?').count(), count),
            }
        }
    }

    #[test]
    fn what_left_the_stream_is_told() {
        let (mut subjects, landed) = parse("a1 a- d-");
        subjects[1].spilled = true;
        subjects[2].spilled = true;
        let extras = Extras::default();
        assert_eq!(assemble(&subjects, &landed, extras).unwrap().overflow, [1]);
    }

    #[test]
    fn when_nothing_found_its_fate_the_answer_is_503() {
        let wait = Duration::from_millis(700);
        assert_eq!(receipt("?1 ?2", false), Err(IngestError::Unavailable { wait }));
        assert!(receipt("?1 r2", false).is_ok());
        assert_eq!(receipt("", false), Ok(Receipt::default()));
    }

    #[test]
    fn a_sender_of_too_much_is_told_the_limits() {
        let (subjects, mut landed) = parse("a1 a1");
        landed[1].outcome = rejected(Reason::TooLarge);
        let extras = Extras::default();
        assert!(assemble(&subjects, &landed, extras).unwrap().limits.is_some());
    }
}
