//! The hint stream: when it is open, and which of its hints the page sees.

use super::clock::Now;
use super::recent::Recent;
use super::text::{EFFECT, PART, cut, cut_number, is_plain};
use super::{Machine, Presence, since};
use crate::wire::Put;

/// Hints of this page whose ids are remembered, to drop a repeat.
const SEEN_MAX: usize = 256;
/// A failed stream is opened again after this long at the earliest, ms.
const STREAM_REST_MS: u64 = 1000;

/// The effects that open and close the stream, and the one that gives a hint to the page.
const OPEN: u8 = b'4';
const CLOSE: u8 = b'5';
const HINT: u8 = b'6';

/// What the stream does.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Stream {
    /// It is not open; it is opened no sooner than at a moment.
    Closed {
        /// Failures in a row.
        failures: u32,
        /// The moment, steady; 0 where it did not fail.
        until: u64,
    },
    /// It is open, or the browser is opening it; so many failures in a row came before.
    Open {
        /// These.
        failures: u32,
    },
}

impl Stream {
    /// The state's name for the page.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Closed { until: 0, .. } => "closed",
            Self::Closed { .. } => "waiting",
            Self::Open { .. } => "open",
        }
    }
}

/// What this page has heard so far. Another page begins anew: it shows nothing yet, so the
/// snapshot it gets on connecting is news to it, though perhaps not to the visitor.
#[derive(Debug, Default)]
pub(super) struct Ear {
    epoch: u64,
    seen: Recent,
    /// The last event of this page: a stream that broke off goes on behind it.
    last_event_id: Vec<u8>,
}

impl Ear {
    /// Begins anew, with what another visitor may hear.
    pub(super) fn forget(&mut self) {
        self.epoch = 0;
        self.seen.clear();
        self.last_event_id.clear();
    }
}

impl Machine {
    /// Opens and closes the stream as consent, token and page have it.
    pub(super) fn keep_stream(&mut self, now: Now) {
        let person = self.person.as_ref().filter(|person| !person.token.is_empty());
        let person = person.filter(|_| self.presence == Presence::Here && self.allows_hints());
        match (&self.stream, person) {
            (Stream::Closed { until, failures }, Some(person)) if *until <= now.steady => {
                self.said.put(&[EFFECT, OPEN, PART]).put(&person.token);
                self.said.put(&[PART]).put(&self.ear.last_event_id);
                self.stream = Stream::Open { failures: *failures };
            }
            (Stream::Open { .. }, None) => {
                self.stream = Stream::Closed { failures: 0, until: 0 };
                self.say(CLOSE);
            }
            _ => {}
        }
    }

    /// The stream is closed for good: another one is opened later, with another token if the
    /// reason was the token.
    pub(super) fn lose_stream(&mut self, now: Now) {
        let Stream::Open { failures } = self.stream else { return };
        let failures = failures + 1;
        let jitter = self.random.up_to(self.options.backoff.ceiling(failures));
        self.stream = Stream::Closed { failures, until: now.steady + STREAM_REST_MS + jitter };
        if let Some(person) = &mut self.person {
            person.doubt_token(now);
        }
    }

    /// Judges one event of the stream: gives its hint to the page, unless it is stale or a repeat. No
    /// relay sends one that has ended, and a browser whose clock is wrong could not tell.
    pub(super) fn hear(&mut self, now: Now, mut text: &[u8]) {
        let rest = &mut text;
        let id = cut(rest, PART);
        let kind = cut(rest, PART);
        let epoch = cut_number(rest, PART);
        let cause = cut(rest, PART);
        let (Some(epoch), true) = (epoch, is_plain(id)) else { return };
        let ear = &mut self.ear;
        ear.last_event_id = id.to_vec();
        if epoch < ear.epoch {
            return;
        }
        ear.epoch = epoch;
        let is_reset = kind == b"reset";
        if is_reset {
            ear.seen.clear();
        }
        if ear.seen.find(id).is_some() {
            return;
        }
        ear.seen.note(id, 0, SEEN_MAX);
        let is_known = self.visit.knows_hint(id);
        if !is_known && !is_reset {
            self.visit.note_hint(id);
        }
        self.store_visit();
        self.say(HINT);
        self.part(id);
        self.part(kind);
        match self.visit.tracked_at(cause) {
            Some(at) => self.part_number(since(now.wall, at)),
            None => self.part(b""),
        }
        self.part(if is_known { b"1" } else { b"" });
        self.part(rest);
    }
}
