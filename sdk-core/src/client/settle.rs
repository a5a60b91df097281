//! What the answer to a batch means for its events.

use super::Client;
use super::clock::Now;
use super::deliver::{Delivery, Flight};
use super::effect::{Effect, RequestId, Settled};
use super::input::Reply;
use super::queue::{Drop, Queued};
use super::track::rejected;
use crate::wire::json::Value;
use crate::wire::{Outcome, Reason, Receipt, Refusal, RefusalCode};

/// The shortest wait that a `retry` leads to, ms: a receipt never makes a page spin.
const RETRY_MS_MIN: u64 = 100;

impl Client {
    /// The delivery was answered.
    pub(super) fn answered(&mut self, now: Now, reply: &Reply, out: &mut Vec<Effect>) {
        let Some(flight) = self.delivery.land(reply.request) else {
            return;
        };
        match reply.status {
            200..300 => match Receipt::read(&reply.body) {
                Ok(receipt) => self.obey(now, &flight, receipt, out),
                Err(_) => self.back_off(now, &flight, None),
            },
            400 | 413 => match never(reply) {
                Some(reason) => self.narrow(now, &flight, reason, out),
                None => self.back_off(now, &flight, asked_wait_ms(reply)),
            },
            401 | 403 => self.delivery = Delivery::Stopped,
            _ => self.back_off(now, &flight, asked_wait_ms(reply)),
        }
        self.drop_forbidden();
    }

    /// The delivery failed without an answer.
    pub(super) fn unanswered(&mut self, now: Now, request: RequestId, out: &mut Vec<Effect>) {
        if let Some(flight) = self.delivery.land(request) {
            self.back_off(now, &flight, None);
            self.drop_forbidden();
        }
        self.store_head(out);
    }

    /// Does what the receipt says: settles events, keeps others, takes limits and identity.
    fn obey(&mut self, now: Now, flight: &Flight, receipt: Receipt, out: &mut Vec<Effect>) {
        let mut outcomes = vec![Outcome::Accepted; flight.count];
        for verdict in receipt.verdicts {
            if let Some(outcome) = outcomes.get_mut(verdict.index as usize) {
                *outcome = verdict.outcome;
            }
        }
        self.tell_verdicts(now, &outcomes, out);
        let gone = self.queue.settle(flight.count, &|index| {
            outcomes.get(index).is_some_and(|outcome| wait_of(outcome).is_none())
        });
        self.unstore(&gone, out);
        let wait = outcomes.iter().filter_map(wait_of).max();
        match wait {
            None => self.widen(),
            Some(after_ms) if gone.is_empty() => self.back_off(now, flight, Some(after_ms)),
            Some(after_ms) => {
                let until = now.steady + after_ms.max(RETRY_MS_MIN);
                self.delivery = Delivery::BackingOff { until, failures: 0 };
            }
        }
        if let Some(limits) = receipt.limits {
            self.site.limits = limits;
        }
        self.sample = receipt.sample;
        match (&mut self.person, receipt.identity) {
            (Some(person), Some(identity)) => person.adopt(identity, now),
            (Some(person), None) if flight.asks => person.refused(now),
            _ => return,
        }
        self.store_me(out);
    }

    /// A batch that can never be taken is halved until the one event is found that is to blame;
    /// that one is given up.
    fn narrow(&mut self, now: Now, flight: &Flight, reason: Reason, out: &mut Vec<Effect>) {
        if flight.count != 1 {
            self.batch_events_max = (flight.count as u32 / 2).max(1);
            if flight.count == 0 {
                // Without events it was the wish for a token that was refused.
                self.back_off(now, flight, None);
            }
            return;
        }
        let gone = if reason == Reason::TooLarge {
            self.queue.drop_where(Drop::Large, &|index, _| index == 0)
        } else {
            self.queue.settle(1, &|_| true)
        };
        for event in &gone {
            out.push(verdict(now, event, rejected(reason)));
        }
        self.unstore(&gone, out);
    }

    /// Batches grow again after one was taken.
    fn widen(&mut self) {
        self.batch_events_max = self.batch_events_max.saturating_mul(2);
    }

    /// Waits before the next try: as long as was asked for, and on top anything up to what the
    /// failures so far call for, so that a crowd of browsers comes back spread out.
    fn back_off(&mut self, now: Now, flight: &Flight, asked_ms: Option<u64>) {
        let failures = flight.failures.saturating_add(1);
        let jitter = self.random.up_to(self.options.backoff.ceiling(failures));
        let until = now.steady + asked_ms.unwrap_or_default() + jitter;
        self.delivery = Delivery::BackingOff { until, failures };
    }

    fn tell_verdicts(&self, now: Now, outcomes: &[Outcome], out: &mut Vec<Effect>) {
        for (event, outcome) in self.queue.events().iter().zip(outcomes) {
            out.push(verdict(now, event, outcome.clone()));
        }
    }
}

/// Tells what became of an event.
pub(super) fn verdict(now: Now, event: &Queued, outcome: Outcome) -> Effect {
    let (id, kind) = (event.id, event.kind.clone());
    Effect::Verdict(Settled { id, kind, outcome, latency_ms: now.wall.since(event.at) })
}

/// How long an event that is not settled has to wait, ms.
fn wait_of(outcome: &Outcome) -> Option<u64> {
    match outcome {
        Outcome::Retry { after_ms } => Some(*after_ms),
        Outcome::Accepted | Outcome::Duplicate | Outcome::Rejected(_) => None,
    }
}

/// Why a batch can never be taken, if that is so. Anything between here and the collector may answer
/// 400 for reasons of its own, and a body that broke off says nothing about the events in it.
fn never(reply: &Reply) -> Option<Reason> {
    match Refusal::read(&reply.body).map(|refusal| refusal.error) {
        Ok(RefusalCode::Malformed) => Some(Reason::Malformed),
        Ok(RefusalCode::BodyTooLarge) => Some(Reason::TooLarge),
        _ => (reply.status == 413).then_some(Reason::TooLarge),
    }
}

/// The wait that a refusal names in its body or, in whole seconds, in its header, ms.
fn asked_wait_ms(reply: &Reply) -> Option<u64> {
    let body = Refusal::read(&reply.body).ok().and_then(|refusal| refusal.retry_after_ms);
    // A whole number is JSON, a date is none.
    let header = reply.retry_after.as_deref().and_then(|seconds| Value::read(seconds).ok());
    body.or(header.as_ref().and_then(Value::number).map(|seconds| seconds.saturating_mul(1000)))
}
