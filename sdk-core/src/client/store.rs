//! What storage holds: only what consent allows, written before anything is sent.

use super::clock::Now;
use super::effect::{Effect, Item};
use super::identify::{Person, Visit};
use super::queue::{Drop, Queue, Queued};
use super::{Client, Footing, Remembered};
use crate::wire::Purpose;

impl Client {
    /// Follows a change of what is allowed: takes up what storage kept, or has it forgotten.
    pub(super) fn settle_footing(&mut self, now: Now, out: &mut Vec<Effect>) {
        let footing = match self.granted() {
            None => Footing::Unknown,
            Some(_) if self.allows(Purpose::Analytics) => Footing::Allowed,
            Some(_) => Footing::Refused,
        };
        if footing == self.footing {
            return;
        }
        self.footing = footing;
        match footing {
            Footing::Unknown => {}
            Footing::Allowed => self.remember(now, out),
            Footing::Refused => self.forget(out),
        }
    }

    fn remember(&mut self, now: Now, out: &mut Vec<Effect>) {
        let kept = self.remembered.take().unwrap_or_default();
        self.person = Some(Person::recall(kept.me.as_deref(), now, &mut self.random));
        self.visit = Visit::recall(kept.visit.as_deref());
        let left = kept.queue.and_then(|head| Queue::read(&head, &kept.events, now));
        let first_new = left.as_ref().map(Queue::next).unwrap_or_default();
        if let Some(left) = left {
            self.queue.adopt(left, self.delivery.in_flight());
            // What an earlier page left has waited long enough.
            self.flush_to = self.queue.next();
        }
        self.store_me(out);
        self.store_head(out);
        for event in self.queue.events().iter().filter(|event| event.place >= first_new) {
            store(out, Item::Event(event.place), Some(event.stored()));
        }
    }

    fn forget(&mut self, out: &mut Vec<Effect>) {
        let kept = self.remembered.take().unwrap_or_default();
        self.person = None;
        self.visit = Visit::default();
        let left = kept.queue.as_deref().map(Remembered::places).unwrap_or_default();
        let queued = self.queue.events().iter().map(|event| event.place);
        let events = left.chain(queued).map(Item::Event);
        for item in events.chain([Item::Queue, Item::Visit, Item::Me]) {
            store(out, item, None);
        }
        self.queue.id = self.random.queue_id();
        self.drop_forbidden();
    }

    /// Drops what names its visitor after that was forbidden. Events in flight stay until their
    /// answer is in: they may have arrived.
    pub(super) fn drop_forbidden(&mut self) {
        if self.footing == Footing::Refused {
            let in_flight = self.delivery.in_flight();
            self.queue.drop_where(Drop::Consent, &|index, event| {
                index >= in_flight && event.is_personal()
            });
        }
    }

    /// Drops what is beyond the queue's bounds.
    pub(super) fn keep_bounds(&mut self, now: Now, out: &mut Vec<Effect>) {
        let in_flight = self.delivery.in_flight();
        let gone = self.queue.keep_bounds(&self.options.queue, now, in_flight, &self.site.urgent);
        self.unstore(&gone, out);
    }

    /// Tells storage what it is told only now and then.
    pub(super) fn store_all(&mut self, out: &mut Vec<Effect>) {
        self.queue.unreserve();
        self.store_head(out);
        self.store_visit(out);
    }

    /// Has events forgotten that left the queue.
    pub(super) fn unstore(&self, gone: &[Queued], out: &mut Vec<Effect>) {
        if self.footing == Footing::Allowed && !gone.is_empty() {
            for event in gone {
                store(out, Item::Event(event.place), None);
            }
            self.store_head(out);
        }
    }

    pub(super) fn store_head(&self, out: &mut Vec<Effect>) {
        if self.footing == Footing::Allowed {
            store(out, Item::Queue, Some(self.queue.head()));
        }
    }

    pub(super) fn store_me(&self, out: &mut Vec<Effect>) {
        if let Some(person) = &self.person {
            store(out, Item::Me, Some(person.stored()));
        }
    }

    pub(super) fn store_visit(&mut self, out: &mut Vec<Effect>) {
        if self.footing == Footing::Allowed {
            store(out, Item::Visit, Some(self.visit.store()));
        }
    }
}

/// Has a text kept, or forgotten. Never inlined: it stands in many places, and the browser loads
/// each of them.
#[inline(never)]
pub(super) fn store(out: &mut Vec<Effect>, item: Item, text: Option<String>) {
    out.push(Effect::Store { item, text });
}
