//! What is due: the next batch, the next wake.

use super::clock::Now;
use super::deliver::{Delivery, Flight};
use super::hear::Stream;
use super::pack::{Label, Packed, pack};
use super::person::Person;
use super::settle::TOO_LARGE;
use super::text::PART;
use super::{Machine, NEVER, Presence, since};
use crate::wire::Put;

/// Bytes that a page may have on their way when it ends; browsers allow 64 KiB, headers included.
const PARTING_BYTES_MAX: usize = 60 * 1024;

/// The effects that post a batch, send a copy of one off, ask for a tick, and tell the page how the
/// machine fares.
const SEND: u8 = b'0';
const COPY: u8 = b'1';
const WAKE: u8 = b'3';
const STATE: u8 = b'8';

impl Machine {
    /// Sends what is due, if the delivery is free.
    pub(super) fn send_due(&mut self, now: Now) {
        while self.presence == Presence::Here && self.send_at() <= now.steady {
            self.send(now);
        }
    }

    /// When the next batch is to be sent; never while the delivery is not free or nothing waits.
    fn send_at(&self) -> u64 {
        let Delivery::Free { until, .. } = self.delivery else { return NEVER };
        let token_at = match &self.person {
            Some(person) if self.allows_hints() => person.ask_at,
            Some(_) | None => NEVER,
        };
        self.events_at().min(token_at).max(until)
    }

    /// When the events that wait are due.
    fn events_at(&self) -> u64 {
        let events = &self.queue.events;
        let [flush_events, flush_bytes, flush_age_ms] = self.site.flush;
        let Some(first) = events.first() else { return NEVER };
        let now = events.iter().any(|event| event.place < self.flush_to)
            || events.len() as u64 >= flush_events
            || self.queue.bytes as u64 >= flush_bytes;
        if now { 0 } else { first.since + flush_age_ms }
    }

    /// Sends a batch, or gives up an event that no batch can hold.
    #[inline(never)]
    fn send(&mut self, now: Now) {
        let [bytes_max, events_max, _] = self.site.limits;
        let events_max = events_max.min(self.batch_events_max).max(1);
        let hints = self.allows_hints();
        let asking = self.person.as_ref();
        let asking = asking.filter(|person| person.is_renewed || hints && person.asks(now));
        let asks = asking.is_some();
        let packed = self.pack(now, 0, asking, (bytes_max, events_max));
        if packed.count == 1 && packed.body.len() as u64 > bytes_max {
            self.give_up(now, TOO_LARGE);
            self.sweep();
            return;
        }
        if let Some(person) = self.person.as_mut().filter(|_| asks) {
            person.asked(now);
        }
        let Delivery::Free { failures, .. } = self.delivery else { return };
        // A keepalive request may have failed for being one, so every second try does without.
        let keepalive = failures % 2 == 0;
        self.requests += 1;
        self.queue.events.iter_mut().take(packed.count).for_each(|event| event.tries += 1);
        self.delivery = Delivery::InFlight(Flight {
            request: self.requests,
            count: packed.count,
            keepalive_bytes: if keepalive { packed.body.len() } else { 0 },
            asks,
            failures,
            deadline: now.steady + self.options.answer_ms_max,
        });
        self.say(SEND);
        self.part_number(self.requests);
        self.part(&packed.body);
        self.part(if keepalive { b"1" } else { b"" });
    }

    /// Packs the events behind the first `flying` ones.
    fn pack(&self, now: Now, flying: usize, asking: Option<&Person>, limits: (u64, u64)) -> Packed {
        let label = Label {
            sent_at: now.wall,
            asking,
            consent: &self.consent,
            name: self.options.name,
            queue: &self.queue,
        };
        pack(self.queue.events.get(flying..).unwrap_or_default(), &label, limits)
    }

    /// The page goes away, and no other one of the site may follow.
    pub(super) fn leave(&mut self, now: Now) {
        self.presence = Presence::Gone;
        self.store_all();
        self.copy(now, b"1");
    }

    /// Copies what waits and is not on its way in a body that outlives the page. It stays in the queue,
    /// since nobody will hear whether the copy arrived.
    #[inline(never)]
    pub(super) fn copy(&mut self, now: Now, is_gone: &[u8]) {
        let (flying, flying_bytes) = match &self.delivery {
            Delivery::Stopped => return,
            Delivery::InFlight(Flight { count, keepalive_bytes, .. }) if *keepalive_bytes > 0 => {
                (*count, *keepalive_bytes)
            }
            Delivery::InFlight(_) | Delivery::Free { .. } => (0, 0),
        };
        let [bytes_max, events_max, _] = self.site.limits;
        let bytes_max = bytes_max.min((PARTING_BYTES_MAX.saturating_sub(flying_bytes)) as u64);
        let packed = self.pack(now, flying, None, (bytes_max, events_max));
        if packed.count > 0 && packed.body.len() as u64 <= bytes_max {
            self.say(COPY);
            self.part(&packed.body);
            self.part(is_gone);
        }
    }

    /// The last wake came.
    pub(super) fn tick(&mut self, now: Now) {
        self.woken = NEVER;
        if let Delivery::InFlight(Flight { deadline, request, .. }) = self.delivery
            && deadline <= now.steady
        {
            self.answered(now, super::told::FAILED, request, &[]);
        }
    }

    /// Tells the page about its client when delivery or stream enter another state.
    pub(super) fn tell_state(&mut self) {
        let told = (self.delivery.name(), self.stream.name());
        if told != self.told {
            self.told = told;
            self.say(STATE);
            self.part(told.0.as_bytes());
            self.part(told.1.as_bytes());
            self.part_number(self.queued() as u64);
            self.queue.write_books(self.said.put(&[PART]));
        }
    }

    /// Has the platform send a tick when the next thing is due.
    pub(super) fn wake_in_time(&mut self, now: Now) {
        if self.presence == Presence::Gone {
            return;
        }
        let stream_at = match &self.stream {
            Stream::Closed { until, .. } if *until > now.steady => *until,
            _ => NEVER,
        };
        let next = match &self.delivery {
            Delivery::InFlight(flight) => flight.deadline,
            Delivery::Free { .. } | Delivery::Stopped => self.send_at(),
        };
        let next = next.min(stream_at);
        // An earlier wake does no harm, so only a later or a missing one is replaced.
        if next < self.woken {
            self.woken = next;
            self.say(WAKE);
            self.part_number(since(next, now.steady));
        }
    }
}
