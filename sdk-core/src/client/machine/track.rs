//! From what the page reports to an event in the queue.

use super::clock::Now;
use super::queue::{CREATED, LARGE, Queued, SINCE};
use super::settle::{TOO_LARGE, tell_verdict};
use super::text::{FIELD, PART, cut};
use super::{Facts, Footing, Machine, Person, since};
use crate::wire::Put;
use crate::wire::bucket;

/// Event types that are sent however small the sample: without them there is no judging at all.
const NEVER_SAMPLED: [&[u8]; 4] =
    [br#""consent""#, br#""experiment_view""#, br#""exposure""#, br#""order""#];

/// What stands between an event's own fields and its context in its JSON text.
pub(super) const CONTEXT: &[u8] = b",\"context\":{";

impl Machine {
    /// Takes an event: gives it its circumstances and a place in the queue.
    pub(super) fn track(&mut self, now: Now, at: u64, mut text: &[u8]) {
        let rest = &mut text;
        let id = cut(rest, PART);
        let kind = cut(rest, PART);
        let props = *rest;
        if id.len() != 36 || kind.is_empty() || self.is_left_out(kind) {
            return;
        }
        let facts = self.facts(id, at);
        let mut event = Queued {
            kind: kind.to_vec(),
            at,
            since: now.steady,
            born: since(self.clock.watched(), since(now.wall, at)),
            place: self.queue.next,
            tries: 0,
            facts,
            text: Vec::new(),
            is_gone: false,
        };
        let text = &mut event.text;
        text.put(b"{\"id\":\"").put(id).put(b"\",\"queue\":\"").put(&self.queue.id);
        text.put(b"\",\"seq\":").put_number(event.place).put(b",\"type\":").put(kind);
        text.put(b",\"at\":").put_number(at).put(b",\"props\":").put(props);
        if self.sampled(kind).is_some() {
            text.put(b",\"sample\":").put(&self.sample.share);
        }
        let books = &mut self.queue.books;
        if books[CREATED] == 0 {
            books[SINCE] = now.wall;
        }
        books[CREATED] += 1;
        let bytes = text.len() + CONTEXT.len() + event.facts.len() + 2;
        let [.., event_bytes_max] = self.site.limits;
        if bytes as u64 > event_bytes_max {
            books[LARGE] += 1;
            tell_verdict(&mut self.said, now, &event, TOO_LARGE);
            self.store_head();
            return;
        }
        self.queue.bytes += event.text.len();
        self.queue.events.push(event);
        self.queue.next += 1;
        if self.site.is_urgent(kind) {
            self.flush_to = self.queue.next;
        }
        if self.footing == Footing::Allowed {
            if self.queue.reserve() {
                self.store_head();
            }
            self.store_event(self.queue.events.len() - 1);
            if self.visit.is_news() {
                self.store_visit();
            }
        }
    }

    /// The circumstances of an event that happens now on this page.
    fn facts(&mut self, id: &[u8], at: u64) -> Facts {
        let mut facts = Vec::new();
        if let Some(person) = &self.person {
            let campaign = campaign(&self.page);
            self.visit.enter((id, at), campaign, &self.options.session, &mut self.random);
            facts.put(b"\"visitor\":\"").put(&person.visitor);
            facts.put(b"\"\x1d\"session\":\"").put(&self.visit.session).put(b"\"");
        }
        for field in &[&self.page, &self.consent] {
            if !field.is_empty() {
                if !facts.is_empty() {
                    facts.put(&[FIELD]);
                }
                facts.put(field);
            }
        }
        self.queue.share(facts)
    }

    /// The visitor, where the collector wants to hear of a share of them in events of this kind.
    #[inline(never)]
    fn sampled(&self, kind: &[u8]) -> Option<&Person> {
        let is_part = self.sample.is_part() && !NEVER_SAMPLED.contains(&kind);
        self.person.as_ref().filter(|_| is_part)
    }

    /// Whether the collector does without this visitor's events of this kind.
    fn is_left_out(&self, kind: &[u8]) -> bool {
        self.sampled(kind).is_some_and(|person| {
            u64::from(bucket(b"sample", &person.visitor)) >= self.sample.buckets
        })
    }
}

/// The campaign among fields of circumstances; empty where there is none.
fn campaign(mut fields: &[u8]) -> &[u8] {
    while !fields.is_empty() {
        let field = cut(&mut fields, FIELD);
        if field.starts_with(b"\"campaign\"") {
            return field;
        }
    }
    &[]
}
