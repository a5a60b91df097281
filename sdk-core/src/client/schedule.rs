//! What is due: the next batch, the stream, the next wake.

use super::clock::Now;
use super::deliver::{Delivery, Flight};
use super::effect::{Effect, RequestId, Send, State, Transport};
use super::hear::Stream;
use super::input::StreamEvent;
use super::pack::{Label, pack};
use super::queue::{Drop, Queued};
use super::settle::verdict;
use super::track::rejected;
use super::{Client, Footing, Presence, Storage};
use crate::wire::{Limits, Millis, Reason};

/// Bytes that a page may have on their way when it ends; browsers allow 64 KiB, headers included.
const PARTING_BYTES_MAX: usize = 60 * 1024;
/// A failed stream is opened again after this long at the earliest, ms.
const STREAM_REST_MS: u64 = 1000;

impl Client {
    /// Sends what is due, if the delivery is free.
    pub(super) fn send_due(&mut self, now: Now, out: &mut Vec<Effect>) {
        if self.presence == Presence::Gone {
            return;
        }
        while self.send_at().is_some_and(|at| at <= now.steady) {
            if self.send(now, out) == Progress::Sent {
                return;
            }
        }
    }

    /// When the next batch is to be sent; none while the delivery is not free or nothing waits.
    fn send_at(&self) -> Option<Millis> {
        let free_at = match &self.delivery {
            Delivery::Idle => Millis::default(),
            Delivery::BackingOff { until, .. } => *until,
            Delivery::InFlight(_) | Delivery::Stopped => return None,
        };
        let token_at = match &self.person {
            Some(person) if self.allows_hints() => Some(person.ask_at()),
            Some(_) | None => None,
        };
        let due_at = [self.events_at(), token_at].into_iter().flatten().min();
        due_at.map(|at| at.max(free_at))
    }

    /// When the events that wait are due.
    fn events_at(&self) -> Option<Millis> {
        let events = self.queue.events();
        let first = events.first()?;
        let flush = &self.site.flush;
        let now = events.iter().any(|event| event.place < self.flush_to)
            || events.len() >= flush.events as usize
            || self.queue.bytes() as u64 >= flush.bytes;
        Some(if now { Millis::default() } else { first.since + flush.age_ms })
    }

    fn send(&mut self, now: Now, out: &mut Vec<Effect>) -> Progress {
        let limits = Limits {
            batch_events_max: self.site.limits.batch_events_max.min(self.batch_events_max).max(1),
            ..self.site.limits
        };
        let hints = self.allows_hints();
        let proof = self.person.as_ref().filter(|_| hints).and_then(|p| p.proof_to_send(now));
        let events: Vec<&Queued> = self.queue.events().iter().collect();
        let label = Label { sent_at: now.wall, proof, consent: self.granted(), sdk: &self.sdk() };
        let packed = pack(&events, &label, &limits);
        if packed.count == 1 && packed.body.len() as u64 > limits.batch_bytes_max {
            for event in self.queue.drop_where(Drop::Large, &|index, _| index == 0) {
                out.push(verdict(now, &event, rejected(Reason::TooLarge)));
                self.unstore(&[event], out);
            }
            return Progress::Dropped;
        }
        let asks = proof.is_some();
        if let Some(person) = self.person.as_mut().filter(|_| asks) {
            person.asked(now);
        }
        let failures = match &self.delivery {
            Delivery::BackingOff { failures, .. } => *failures,
            Delivery::Idle | Delivery::InFlight(_) | Delivery::Stopped => 0,
        };
        // A keepalive request may have failed for being one, so every second try does without.
        let transport = if failures % 2 == 0 { Transport::Keepalive } else { Transport::Plain };
        self.requests += 1;
        let request = RequestId(self.requests);
        self.queue.tried(packed.count);
        self.delivery = Delivery::InFlight(Flight {
            request,
            count: packed.count,
            transport,
            body_bytes: packed.body.len(),
            asks,
            failures,
            deadline: now.steady + self.options.answer_ms_max,
        });
        out.push(Effect::Send(Send { request, body: packed.body, transport }));
        Progress::Sent
    }

    /// The page goes away: what cannot wait for the next page is copied into a beacon. It stays in
    /// the queue, since nobody will hear whether the beacon arrived.
    pub(super) fn leave(&mut self, now: Now, out: &mut Vec<Effect>) {
        self.presence = Presence::Gone;
        self.store_all(out);
        let (under_way, under_way_bytes) = match &self.delivery {
            Delivery::InFlight(flight) if flight.transport == Transport::Keepalive => {
                (flight.count, flight.body_bytes)
            }
            _ => (0, 0),
        };
        let kept = self.footing == Footing::Allowed && self.options.storage == Storage::Kept;
        let urgent = &self.site.urgent;
        let waiting = self.queue.events().iter().skip(under_way);
        let events: Vec<&Queued> =
            waiting.filter(|event| !kept || urgent.contains(&event.kind)).collect();
        if events.is_empty() || self.delivery == Delivery::Stopped {
            return;
        }
        let room = PARTING_BYTES_MAX.saturating_sub(under_way_bytes) as u64;
        let batch_bytes_max = self.site.limits.batch_bytes_max.min(room);
        let limits = Limits { batch_bytes_max, ..self.site.limits };
        let label = Label { sent_at: now.wall, proof: None, consent: None, sdk: &self.sdk() };
        let packed = pack(&events, &label, &limits);
        if packed.body.len() as u64 <= batch_bytes_max {
            out.push(Effect::Copy { body: packed.body });
        }
    }

    /// The last wake came.
    pub(super) fn tick(&mut self, now: Now, out: &mut Vec<Effect>) {
        self.woken = None;
        if let Delivery::InFlight(flight) = &self.delivery
            && flight.deadline <= now.steady
        {
            self.unanswered(now, flight.request, out);
        }
    }

    /// Opens and closes the stream as consent, token and page have it.
    pub(super) fn keep_stream(&mut self, now: Now, out: &mut Vec<Effect>) {
        let token = self.person.as_ref().and_then(|person| person.token());
        let token = token.filter(|_| self.presence == Presence::Here && self.allows_hints());
        let failures = match (&self.stream, token) {
            (Stream::Closed, Some(_)) => 0,
            (Stream::Waiting { until, failures }, Some(_)) if *until <= now.steady => *failures,
            (Stream::Open { .. }, None) => {
                out.push(Effect::CloseStream);
                self.stream = Stream::Closed;
                return;
            }
            _ => return,
        };
        if let Some(token) = token {
            let last_event_id = self.ear.last_event_id().map(str::to_owned);
            out.push(Effect::OpenStream { token: token.to_owned(), last_event_id });
            self.stream = Stream::Open { failures };
        }
    }

    /// The stream is closed for good: another one is opened later, with another token if the
    /// reason was the token.
    pub(super) fn lose_stream(&mut self, now: Now) {
        let Stream::Open { failures } = self.stream else {
            return;
        };
        let failures = failures.saturating_add(1);
        let jitter = self.random.up_to(self.options.backoff.ceiling(failures));
        self.stream = Stream::Waiting { until: now.steady + STREAM_REST_MS + jitter, failures };
        if let Some(person) = &mut self.person {
            person.doubt_token(now);
        }
    }

    pub(super) fn hear(&mut self, now: Now, event: StreamEvent, out: &mut Vec<Effect>) {
        if let Some(hint) = self.ear.hear(event, &mut self.visit, now) {
            self.store_visit(out);
            out.push(Effect::Deliver(hint));
        }
    }

    /// Tells the page about its client when delivery or stream enter another state.
    pub(super) fn tell_state(&mut self, out: &mut Vec<Effect>) {
        let told = (self.delivery.name(), self.stream.name());
        if told != self.told {
            self.told = told;
            out.push(Effect::State(State {
                delivery: told.0,
                stream: told.1,
                queued: self.queued(),
                books: self.queue.books.clone(),
            }));
        }
    }

    /// Has the platform wake the client when the next thing is due.
    pub(super) fn wake_in_time(&mut self, now: Now, out: &mut Vec<Effect>) {
        if self.presence == Presence::Gone {
            return;
        }
        let stream_at = match &self.stream {
            Stream::Waiting { until, .. } => Some(*until),
            Stream::Closed | Stream::Open { .. } => None,
        };
        let deadline = match &self.delivery {
            Delivery::InFlight(flight) => Some(flight.deadline),
            Delivery::Idle | Delivery::BackingOff { .. } | Delivery::Stopped => None,
        };
        let next = [self.send_at(), stream_at, deadline].into_iter().flatten().min();
        // An earlier wake does no harm, so only a later or a missing one is replaced.
        let Some(next) = next.filter(|next| self.woken.is_none_or(|woken| *next < woken)) else {
            return;
        };
        self.woken = Some(next);
        out.push(Effect::Wake { after_ms: next.since(now.steady) });
    }
}

/// What came of trying to send.
#[derive(PartialEq, Eq)]
enum Progress {
    /// A batch is on its way.
    Sent,
    /// An event that no batch can hold was given up; there may be more to send.
    Dropped,
}
