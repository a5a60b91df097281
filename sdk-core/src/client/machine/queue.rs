//! Events that wait, in the order they happened, and the books about them.

use super::clock::Now;
use super::text::{FIELD, PART, cut, cut_number, is_plain};
use super::{Facts, since};
use crate::wire::Books;
use crate::wire::Put;

/// Where an event's text has its id: behind `{"id":"`.
const ID: std::ops::Range<usize> = 7..43;

/// Types of events that come by themselves in numbers, as JSON.
const ABUNDANT: [&[u8]; 2] = [br#""element_view""#, br#""engagement""#];

/// So many places are reserved at a time, so that storage need not be told of each.
const RESERVE: u64 = 16;

/// An event that waits.
#[derive(Debug)]
pub(super) struct Queued {
    /// What happened, as JSON.
    pub(super) kind: Vec<u8>,
    /// When it happened, by the wall clock.
    pub(super) at: u64,
    /// When it was put here, by the steady clock.
    pub(super) since: u64,
    /// Its name in storage; mostly also its `seq` on the wire.
    pub(super) place: u64,
    /// How often it was sent.
    pub(super) tries: u64,
    /// Its circumstances.
    pub(super) facts: Facts,
    /// Its JSON text without context and closing brace: what an event is on the wire.
    pub(super) text: Vec<u8>,
    /// It is settled or dropped, and leaves the queue with the next sweep.
    pub(super) is_gone: bool,
}

impl Queued {
    /// Its id.
    pub(super) fn id(&self) -> &[u8] {
        self.text.get(ID).unwrap_or_default()
    }

    /// What storage keeps.
    pub(super) fn store(&self, text: &mut Vec<u8>) {
        text.put(&self.kind).put(&[FIELD]).put_number(self.at).put(&[FIELD]);
        text.put(&self.text).put(&[FIELD]).put(&self.facts);
    }

    /// Whether it names its visitor, who stands first.
    pub(super) fn is_personal(&self) -> bool {
        self.facts.starts_with(b"\"visitor")
    }
}

/// The queue. Its first events may be in flight; their number is passed in where it matters.
#[derive(Debug)]
pub(super) struct Queue {
    pub(super) id: Vec<u8>,
    pub(super) books: Books,
    /// The events, oldest first.
    pub(super) events: Vec<Queued>,
    /// The place the next event will get.
    pub(super) next: u64,
    /// Places below this one are taken in storage, used or not.
    reserved: u64,
    /// Bytes of the events' own texts.
    pub(super) bytes: usize,
}

impl Queue {
    /// A queue nothing was ever put into.
    pub(super) fn new(id: Vec<u8>) -> Self {
        Self { id, books: Books::default(), events: Vec::new(), next: 0, reserved: 0, bytes: 0 }
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

    /// These circumstances, shared with the last event where they are the same.
    pub(super) fn share(&self, facts: Vec<u8>) -> Facts {
        match self.events.last() {
            Some(last) if *last.facts == facts => last.facts.clone(),
            _ => Facts::new(facts),
        }
    }

    /// Puts an event at the end.
    pub(super) fn push(&mut self, event: Queued) {
        self.bytes += event.text.len();
        self.events.push(event);
    }

    /// The event to be given up first: what comes by itself in numbers before others, urgent ones
    /// last, the oldest first. The first `in_flight` stay.
    pub(super) fn victim(
        &mut self,
        in_flight: usize,
        is_urgent: impl Fn(&[u8]) -> bool,
    ) -> Option<&mut Queued> {
        let worth = |event: &&mut Queued| {
            let comes_by_itself = ABUNDANT.contains(&event.kind.as_slice());
            u8::from(!comes_by_itself) + u8::from(is_urgent(&event.kind))
        };
        self.events.iter_mut().skip(in_flight).filter(|event| !event.is_gone).min_by_key(worth)
    }

    /// Takes up what storage kept of an earlier page's queue: its head, then each event after its
    /// place. They stand behind the first `in_flight` ones, name and numbering go on, the books are
    /// added. Gives back the place of the first event of our own.
    pub(super) fn adopt(&mut self, mut kept: &[u8], now: Now, in_flight: usize) -> Option<u64> {
        let rest = &mut kept;
        let head = &mut cut(rest, PART);
        let id = cut(head, FIELD);
        let _first = cut_number(head, FIELD)?;
        let mut next = cut_number(head, FIELD).filter(|_| is_plain(id))?;
        let mut books = [0; 6];
        for number in &mut books {
            *number = cut_number(head, FIELD)?;
        }
        self.id = id.to_vec();
        let mut behind = self.events.split_off(in_flight);
        while !rest.is_empty() {
            let place = cut_number(rest, PART).unwrap_or_default();
            let event = &mut cut(rest, PART);
            let (kind, at, text) = (cut(event, FIELD), cut_number(event, FIELD), cut(event, FIELD));
            let Some(at) = at.filter(|_| text.len() > ID.end) else { continue };
            next = next.max(place + 1);
            // A page that died within a step may have counted one event more or less than it kept.
            self.books.created += 1;
            self.push(Queued {
                kind: kind.to_vec(),
                at,
                since: now.steady,
                place,
                tries: 0,
                facts: self.share(event.to_vec()),
                text: text.to_vec(),
                is_gone: false,
            });
        }
        let first_new = next;
        let flying = self.events.iter_mut().take(in_flight);
        for event in flying.chain(&mut behind) {
            event.place = next;
            next += 1;
        }
        self.events.append(&mut behind);
        self.next = next;
        let [settled, full, old, large, consent, since] = books;
        self.books.settled += settled;
        self.books.dropped_full += full;
        self.books.dropped_old += old;
        self.books.dropped_large += large;
        self.books.dropped_consent += consent;
        self.books.created += settled + full + old + large + consent;
        self.books.since.0 = since;
        Some(first_new)
    }

    /// The queue's head as storage keeps it.
    pub(super) fn store(&self, text: &mut Vec<u8>) {
        let first = self.events.iter().map(|event| event.place).min().unwrap_or(self.next);
        text.put(&self.id).put(&[FIELD]).put_number(first);
        text.put(&[FIELD]).put_number(self.next.max(self.reserved));
        for number in self.accounts() {
            text.put(&[FIELD]).put_number(number);
        }
    }

    /// The books but for the events created, which are all of these and those that wait.
    fn accounts(&self) -> [u64; 6] {
        let Books { settled, dropped_full, dropped_old, dropped_large, dropped_consent, .. } =
            self.books;
        [settled, dropped_full, dropped_old, dropped_large, dropped_consent, self.books.since.0]
    }

    /// The books as JSON.
    pub(super) fn write_books(&self, text: &mut Vec<u8>) {
        text.put(b"{\"created\":").put_number(self.books.created);
        let names =
            ["settled", "dropped_full", "dropped_old", "dropped_large", "dropped_consent", "since"];
        for (name, number) in names.iter().zip(self.accounts()) {
            text.put(b",\"").put(name.as_bytes()).put(b"\":").put_number(number);
        }
        text.put(b"}");
    }

    /// Whether an event is older than `age_ms_max`.
    pub(super) fn is_old(event: &Queued, now: Now, age_ms_max: u64) -> bool {
        since(now.wall, event.at) > age_ms_max
    }
}
