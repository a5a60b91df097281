//! Events that wait, in the order they happened, and the books about them.

use std::ops::Range;

use super::Facts;
use super::clock::Now;
use super::facts::{Field, fields};
use super::options::QueueBounds;
use crate::wire::json::{ToJson, Value, Writer};
use crate::wire::{Books, EventId, EventType, Json, Millis, OwnFields, QueueId, sample};

/// What stands between an event's own fields and its context in its JSON text.
const CONTEXT: &str = ",\"context\":";

/// An event that waits.
#[derive(Clone, Debug)]
pub(super) struct Queued {
    pub(super) id: EventId,
    pub(super) kind: EventType,
    /// When it happened, by the wall clock.
    pub(super) at: Millis,
    /// When it was put here, by the steady clock.
    pub(super) since: Millis,
    /// Its name in storage; mostly also its `seq` on the wire.
    pub(super) place: u64,
    /// How often it was sent.
    pub(super) tries: u32,
    /// Its circumstances.
    pub(super) facts: Facts,
    /// Its JSON text without context and closing brace: what an event is on the wire.
    text: String,
}

impl Queued {
    /// Reads what [`Self::stored`] wrote; none if it is something else.
    fn read(stored: &str, since: Millis) -> Option<Self> {
        let value = Value::read(stored).ok()?;
        // The context is written last, so what precedes it is the event's own text.
        let facts = fields(stored).find(|(name, _)| *name == "context")?.1;
        let own = stored.len().checked_sub(facts.len() + CONTEXT.len() + 1)?;
        Some(Self {
            id: EventId::parse(value.get("id")?.text()?).ok()?,
            kind: EventType::parse(value.get("type")?.text()?).ok()?,
            at: Millis(value.get("at")?.number()?),
            since,
            place: 0,
            tries: 0,
            facts: Facts::read(facts),
            text: stored.get(..own)?.to_owned(),
        })
    }

    /// The whole event as JSON: what storage keeps.
    pub(super) fn stored(&self) -> String {
        let mut text = self.text.clone();
        text.push_str(CONTEXT);
        text.push_str(&self.facts.to_json());
        text.push('}');
        text
    }

    /// Writes the event, with `shared` standing behind its context.
    pub(super) fn write(&self, w: &mut Writer, shared: &Facts) {
        let mut text = self.text.clone();
        let rest = self.facts.beyond(shared);
        if !rest.is_empty() {
            text.push_str(CONTEXT);
            text.push_str(&rest.to_json());
        }
        text.push('}');
        w.raw(&text);
    }

    /// Whether it names its visitor.
    pub(super) fn is_personal(&self) -> bool {
        self.facts.field(Field::Visitor).is_some()
    }
}

/// An event on its way into the queue.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) id: EventId,
    pub(super) kind: EventType,
    pub(super) at: Millis,
    pub(super) props: Json,
    pub(super) facts: Facts,
    pub(super) sample: Option<f64>,
}

/// The queue. Its first events may be in flight; their number is passed in where it matters.
#[derive(Debug)]
pub(super) struct Queue {
    pub(super) id: QueueId,
    pub(super) books: Books,
    events: Vec<Queued>,
    next: u64,
    /// Places below this one are taken in storage, used or not.
    reserved: u64,
    bytes: usize,
}

/// So many places are reserved at a time, so that storage need not be told of each.
const RESERVE: u64 = 16;

/// Why an event leaves the queue without a verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Drop {
    Consent,
    Full,
    Large,
    Old,
}

impl Queue {
    /// A queue nothing was ever put into.
    pub(super) fn new(id: QueueId) -> Self {
        Self { id, books: Books::default(), events: Vec::new(), next: 0, reserved: 0, bytes: 0 }
    }

    /// The events, oldest first.
    pub(super) fn events(&self) -> &[Queued] {
        &self.events
    }

    /// Bytes of the events' own texts.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The place the next event will get.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    /// Reserves more places if none is left; whether storage must be told.
    pub(super) fn reserve(&mut self) -> bool {
        let short = self.next > self.reserved;
        if short {
            self.reserved = self.next + RESERVE;
        }
        short
    }

    /// Gives back the places that were reserved and not used: the numbering goes on without a gap.
    pub(super) fn unreserve(&mut self) {
        self.reserved = self.next;
    }

    /// Puts an event at the end, or gives it back if it is larger than `bytes_max`.
    pub(super) fn push(&mut self, draft: Draft, now: Now, bytes_max: u64) -> Option<Draft> {
        let own = OwnFields {
            id: draft.id,
            queue: &self.id,
            seq: self.next,
            kind: &draft.kind,
            version: None,
            at: draft.at,
            props: &draft.props,
        };
        let mut w = Writer::default();
        w.object(|w| {
            own.write(w);
            sample(draft.sample, w);
        });
        let mut text = w.finish();
        text.pop();
        if self.books.created == 0 {
            self.books.since = now.wall;
        }
        self.books.created += 1;
        let bytes = text.len() + CONTEXT.len() + draft.facts.to_json().len() + 1;
        if bytes as u64 > bytes_max {
            self.books.dropped_large += 1;
            return Some(draft);
        }
        self.bytes += text.len();
        self.events.push(Queued {
            id: draft.id,
            kind: draft.kind,
            at: draft.at,
            since: now.steady,
            place: self.next,
            tries: 0,
            facts: draft.facts,
            text,
        });
        self.next += 1;
        None
    }

    /// Counts one more try of the first `count` events.
    pub(super) fn tried(&mut self, count: usize) {
        self.events.iter_mut().take(count).for_each(|event| event.tries += 1);
    }

    /// Takes out the first `count` events for which `settled(index)` holds.
    pub(super) fn settle(&mut self, count: usize, settled: &dyn Fn(usize) -> bool) -> Vec<Queued> {
        let gone = self.take(&|index, _| index < count && settled(index));
        self.books.settled += gone.len() as u64;
        gone
    }

    /// Drops the events for which `drop(index, event)` holds.
    pub(super) fn drop_where(
        &mut self,
        why: Drop,
        drop: &dyn Fn(usize, &Queued) -> bool,
    ) -> Vec<Queued> {
        let gone = self.take(drop);
        let count = match why {
            Drop::Consent => &mut self.books.dropped_consent,
            Drop::Full => &mut self.books.dropped_full,
            Drop::Large => &mut self.books.dropped_large,
            Drop::Old => &mut self.books.dropped_old,
        };
        *count += gone.len() as u64;
        gone
    }

    /// Drops what is beyond the bounds: what is too old, then as much of the oldest as is too
    /// much, what comes by itself in numbers first and urgent events last. The first `in_flight`
    /// events stay.
    pub(super) fn keep_bounds(
        &mut self,
        bounds: &QueueBounds,
        now: Now,
        in_flight: usize,
        urgent: &[EventType],
    ) -> Vec<Queued> {
        let mut gone = Vec::new();
        let is_old = |event: &Queued| now.wall.since(event.at) > bounds.age_ms_max;
        while self.events.get(in_flight).is_some_and(is_old) {
            gone.append(&mut self.drop_where(Drop::Old, &|index, _| index == in_flight));
        }
        while self.events.len() > bounds.events_max || self.bytes > bounds.bytes_max {
            let worth = |event: &Queued| match event.kind.as_str() {
                "element_view" | "engagement" => 0,
                _ => 1 + u8::from(urgent.contains(&event.kind)),
            };
            let waiting = self.events.iter().enumerate().skip(in_flight);
            // The first, thus the oldest, of those that are worth least.
            let Some((victim, _)) = waiting.min_by_key(|(_, event)| worth(event)) else {
                break;
            };
            gone.append(&mut self.drop_where(Drop::Full, &|index, _| index == victim));
        }
        gone
    }

    /// Takes up what an earlier page left: its events stand behind the first `in_flight` ones, its
    /// name and numbering go on, its books are added.
    pub(super) fn adopt(&mut self, mut left: Self, in_flight: usize) {
        self.id = left.id;
        let first = left.next;
        left.next += self.events.len() as u64;
        self.next = left.next;
        for (place, event) in (first..).zip(&mut self.events) {
            event.place = place;
        }
        self.bytes += left.bytes;
        let mut behind = self.events.split_off(in_flight);
        self.events.append(&mut left.events);
        self.events.append(&mut behind);
        let (mine, theirs) = (&mut self.books, left.books);
        mine.created += theirs.created;
        mine.settled += theirs.settled;
        mine.dropped_full += theirs.dropped_full;
        mine.dropped_old += theirs.dropped_old;
        mine.dropped_large += theirs.dropped_large;
        mine.dropped_consent += theirs.dropped_consent;
        mine.since = theirs.since;
    }

    /// Reads what storage kept of a queue: its head, and its events with their places.
    pub(super) fn read(head: &str, events: &[(u64, String)], now: Now) -> Option<Self> {
        let value = Value::read(head).ok()?;
        let books = value.get("books")?;
        let number = |name: &str| books.get(name).and_then(Value::number).unwrap_or_default();
        let mut queue = Self {
            id: QueueId::parse(value.get("id")?.text()?).ok()?,
            books: Books {
                created: 0,
                settled: number("settled"),
                dropped_full: number("dropped_full"),
                dropped_old: number("dropped_old"),
                dropped_large: number("dropped_large"),
                dropped_consent: number("dropped_consent"),
                since: Millis(number("since")),
            },
            events: Vec::new(),
            next: value.get("next")?.number()?,
            reserved: 0,
            bytes: 0,
        };
        for (place, stored) in events {
            if let Some(event) = Queued::read(stored, now.steady) {
                queue.bytes += event.text.len();
                queue.next = queue.next.max(place + 1);
                queue.events.push(Queued { place: *place, ..event });
            }
        }
        // A page that died within a step may have counted one event more or less than it kept.
        queue.books.created =
            queue.books.settled + queue.books.dropped() + queue.events.len() as u64;
        Some(queue)
    }

    /// The queue's head as storage keeps it.
    pub(super) fn head(&self) -> String {
        let mut w = Writer::default();
        w.object(|w| {
            w.field("id", Some(&self.id));
            let first = self.events.iter().map(|event| event.place).min();
            let next = self.next.max(self.reserved);
            w.number_field("first", first.unwrap_or(self.next));
            w.number_field("next", next);
            w.field("books", Some(&self.books));
        });
        w.finish()
    }

    /// Not generic: one copy of it is enough for the browser.
    fn take(&mut self, goes: &dyn Fn(usize, &Queued) -> bool) -> Vec<Queued> {
        let mut gone = Vec::new();
        let mut index = 0;
        let mut at = 0;
        while at < self.events.len() {
            if goes(index, &self.events[at]) {
                let event = self.events.remove(at);
                self.bytes -= event.text.len();
                gone.push(event);
            } else {
                at += 1;
            }
            index += 1;
        }
        gone
    }
}

/// The places of the events that belong to a stored queue's head.
pub(super) fn places(head: &str) -> Range<u64> {
    let number = |value: &Value, name: &str| value.get(name).and_then(Value::number);
    Value::read(head)
        .ok()
        .and_then(|value| Some(number(&value, "first")?..number(&value, "next")?))
        .unwrap_or_default()
}
