//! What storage holds: only what consent allows, written before anything is sent.

use super::clock::Now;
use super::person::Person;
use super::queue::{CONSENT, OLD};
use super::text::{PART, cut};
use super::visit::Visit;
use super::{Footing, Machine, since, told};
use crate::wire::Put;

/// The effect that keeps a text under a name, or forgets it.
const STORE: u8 = b'2';

impl Machine {
    /// Follows a change of what is allowed: takes up what storage kept, or has it forgotten.
    #[inline(never)]
    pub(super) fn settle_footing(&mut self, now: Now) {
        let footing = match self.granted {
            granted if granted & told::SAID == 0 => Footing::Unknown,
            granted if granted & told::ANALYTICS == 0 => Footing::Refused,
            _ => Footing::Allowed,
        };
        if footing == self.footing {
            return;
        }
        self.footing = footing;
        let remembered = std::mem::take(&mut self.remembered);
        let rest = &mut remembered.as_slice();
        let me = cut(rest, PART);
        let visit = cut(rest, PART);
        match footing {
            Footing::Unknown => {}
            Footing::Allowed => {
                self.person = Some(Person::recall(me, now, &mut self.random));
                self.visit = Visit::recall(visit);
                self.ear.forget();
                self.take_up(rest, now);
            }
            Footing::Refused => self.forget(),
        }
    }

    fn take_up(&mut self, queue: &[u8], now: Now) {
        let in_flight = self.delivery.in_flight();
        let first_new = self.queue.adopt(queue, (now, self.clock.watched()), in_flight);
        if first_new.is_some() {
            // What an earlier page left has waited long enough.
            self.flush_to = self.queue.next;
        }
        self.store_me();
        self.store_visit();
        self.store_head();
        for index in 0..self.queue.events.len() {
            if self.queue.events[index].place >= first_new.unwrap_or_default() {
                self.store_event(index);
            }
        }
    }

    fn forget(&mut self) {
        self.person = None;
        self.visit = Visit::recall(&[]);
        for item in &["queue", "visit", "me"] {
            self.store(item);
        }
        self.queue.id = self.random.name();
        self.drop_forbidden();
    }

    /// Drops what names its visitor after that was forbidden. Events in flight stay until their
    /// answer is in: they may have arrived.
    pub(super) fn drop_forbidden(&mut self) {
        if self.footing == Footing::Refused {
            let in_flight = self.delivery.in_flight();
            let mut dropped = 0;
            for event in self.queue.waiting(in_flight) {
                if event.is_personal() {
                    event.is_gone = true;
                    dropped += 1;
                }
            }
            self.queue.books[CONSENT] += dropped;
            self.sweep();
        }
    }

    /// Drops what is beyond the queue's bounds.
    #[inline(never)]
    pub(super) fn keep_bounds(&mut self) {
        let in_flight = self.delivery.in_flight();
        let bounds = self.options.queue;
        let watched = self.clock.watched();
        let queue = &mut self.queue;
        let mut old = 0;
        for event in queue.waiting(in_flight) {
            if since(watched, event.born) <= bounds.age_ms_max {
                break;
            }
            event.is_gone = true;
            old += 1;
        }
        queue.books[OLD] += old;
        self.sweep();
        while (self.queue.events.len() > bounds.events_max || self.queue.bytes > bounds.bytes_max)
            && self.queue.give_up_one(in_flight, &self.site)
        {
            self.sweep();
        }
    }

    /// Takes the events out that are gone, and has storage forget them.
    #[inline(never)]
    pub(super) fn sweep(&mut self) {
        let mut index = 0;
        let before = self.queue.events.len();
        while let Some(event) = self.queue.events.get(index) {
            if event.is_gone {
                let event = self.queue.events.remove(index);
                self.queue.bytes -= event.text.len();
                if self.footing == Footing::Allowed {
                    self.unstore(event.place);
                }
            } else {
                index += 1;
            }
        }
        if index < before {
            self.store_head();
        }
    }

    /// Tells storage what it is told only now and then.
    pub(super) fn store_all(&mut self) {
        self.queue.unreserve();
        self.store_head();
        self.store_visit();
    }

    #[inline(never)]
    pub(super) fn store_head(&mut self) {
        if self.footing == Footing::Allowed {
            self.store("queue");
            self.queue.store(self.said.put(&[PART]));
        }
    }

    #[inline(never)]
    pub(super) fn store_me(&mut self) {
        if self.person.is_some() {
            self.store("me");
        }
        if let Some(person) = &self.person {
            person.store(self.said.put(&[PART]));
        }
    }

    #[inline(never)]
    pub(super) fn store_visit(&mut self) {
        if self.footing == Footing::Allowed {
            self.store("visit");
            self.visit.store(self.said.put(&[PART]));
        }
    }

    /// Has storage keep an event.
    pub(super) fn store_event(&mut self, index: usize) {
        if let Some(event) = self.queue.events.get(index) {
            let place = event.place;
            self.unstore(place);
            self.queue.events[index].store(self.said.put(&[PART]));
        }
    }

    /// Has storage forget an event; with a part behind it, keep it.
    #[inline(never)]
    fn unstore(&mut self, place: u64) {
        self.say(STORE);
        self.part_number(place);
    }

    /// Likewise, what stands under a name.
    #[inline(never)]
    fn store(&mut self, item: &str) {
        self.say(STORE);
        self.part(item.as_bytes());
    }
}
