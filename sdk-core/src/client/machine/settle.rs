//! What the answer to a batch means for its events.

use super::clock::Now;
use super::deliver::{Delivery, Flight};
use super::queue::{LARGE, Queued, SETTLED};
use super::site::Sample;
use super::text::{NUMBER_MAX, PART, cut, cut_number, is_plain};
use super::{EFFECT, Machine, since, told};
use crate::wire::Put;

/// The shortest wait that a `retry` leads to, ms: a receipt never makes a page spin.
const RETRY_MS_MIN: u64 = 100;
/// The verdict on what is larger than it may be.
pub(super) const TOO_LARGE: &[u8] = br#"{"outcome":"rejected","reason":"too_large"}"#;

/// The effect that tells the page what became of an event.
const VERDICT: u8 = b'7';

impl Machine {
    /// The delivery was answered, or failed. An answer to any other one is late, and none.
    pub(super) fn answered(&mut self, now: Now, what: u32, request: u64, text: &[u8]) {
        let Delivery::InFlight(flight) = self.delivery else { return };
        if flight.request != request {
            return;
        }
        self.delivery = Delivery::Free { failures: 0, until: 0 };
        match what {
            told::RECEIPT => self.obey(now, flight, text),
            told::SPOILED => self.narrow(now, flight, text),
            told::STOPPED => self.delivery = Delivery::Stopped,
            _ => self.back_off(now, flight, cut_number(&mut { text }, PART)),
        }
        self.sweep();
        self.drop_forbidden();
        self.store_head();
    }

    /// Does what the receipt says: settles events, keeps others, takes limits and identity.
    fn obey(&mut self, now: Now, flight: Flight, mut text: &[u8]) {
        let rest = &mut text;
        self.site.limit(rest);
        self.sample = Sample::read(rest);
        let visitor = cut(rest, PART);
        let token = cut(rest, PART);
        let token_ends = cut_number(rest, PART).unwrap_or_default();
        let mut verdicts = vec![(None, &[][..]); flight.count];
        while !rest.is_empty() {
            let index = cut_number(rest, PART).unwrap_or(NUMBER_MAX);
            let verdict = (cut_number(rest, PART), cut(rest, PART));
            if let Some(plain) = verdicts.get_mut(index as usize) {
                *plain = verdict;
            }
        }
        let (mut wait_ms, mut settled) = (None, 0);
        for (event, (after_ms, verdict)) in self.queue.events.iter_mut().zip(verdicts) {
            tell_verdict(&mut self.said, now, event, verdict);
            event.is_gone = after_ms.is_none();
            settled += u64::from(event.is_gone);
            wait_ms = wait_ms.max(after_ms);
        }
        self.queue.books[SETTLED] += settled;
        match wait_ms {
            // Batches grow again after one was taken.
            None => self.batch_events_max = (self.batch_events_max * 2).min(NUMBER_MAX),
            Some(_) if settled == 0 => self.back_off(now, flight, wait_ms),
            Some(wait_ms) => {
                let until = now.steady + wait_ms.max(RETRY_MS_MIN);
                self.delivery = Delivery::Free { failures: 0, until };
            }
        }
        let Some(person) = &mut self.person else { return };
        if person.may_be(visitor) && is_plain(token) {
            person.adopt(visitor, token, token_ends, now);
        } else if flight.asks {
            person.refused();
        } else {
            return;
        }
        self.store_me();
    }

    /// A batch that can never be taken is halved until the one event is found that is to blame;
    /// that one is given up.
    fn narrow(&mut self, now: Now, flight: Flight, verdict: &[u8]) {
        match flight.count as u64 {
            // It was the wish for a token that was refused.
            0 => self.back_off(now, flight, None),
            1 => self.give_up(now, verdict),
            count => self.batch_events_max = count / 2,
        }
    }

    /// Gives the first event up.
    pub(super) fn give_up(&mut self, now: Now, verdict: &[u8]) {
        if let Some(event) = self.queue.events.first_mut() {
            tell_verdict(&mut self.said, now, event, verdict);
            event.is_gone = true;
            self.queue.books[if verdict == TOO_LARGE { LARGE } else { SETTLED }] += 1;
        }
    }

    /// Waits before the next try: as long as was asked for, and on top anything up to what the
    /// failures so far call for, so that a crowd of browsers comes back spread out.
    fn back_off(&mut self, now: Now, flight: Flight, asked_ms: Option<u64>) {
        let failures = flight.failures + 1;
        let jitter = self.random.up_to(self.options.backoff.ceiling(failures));
        let until = now.steady + asked_ms.unwrap_or_default() + jitter;
        self.delivery = Delivery::Free { failures, until };
    }
}

/// Tells the page what became of an event: a verdict as JSON, none where it was plainly accepted.
#[inline(never)]
pub(super) fn tell_verdict(said: &mut Vec<u8>, now: Now, event: &Queued, verdict: &[u8]) {
    said.put(&[EFFECT, VERDICT, PART]).put(event.id()).put(&[PART]).put(&event.kind);
    said.put(&[PART]).put_number(since(now.wall, event.at)).put(&[PART]).put(verdict);
}
