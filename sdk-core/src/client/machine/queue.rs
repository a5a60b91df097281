//! Events that wait, in the order they happened, and the books about them.

use super::clock::Now;
use super::site::Site;
use super::text::{FIELD, PART, cut, cut_number, is_plain};
use super::{Facts, since};
use crate::wire::Put;

/// Where an event's text has its id: behind `{"id":"`.
const ID: std::ops::Range<usize> = 7..43;

/// Types of events that come by themselves in numbers, as JSON.
const ABUNDANT: [&[u8]; 2] = [br#""element_view""#, br#""engagement""#];

/// The fields of `wire::Books`, and the place of each.
const NAMES: [&str; 7] = [
    "created",
    "settled",
    "dropped_full",
    "dropped_old",
    "dropped_large",
    "dropped_consent",
    "since",
];
pub(super) const CREATED: usize = 0;
pub(super) const SETTLED: usize = 1;
pub(super) const FULL: usize = 2;
pub(super) const OLD: usize = 3;
pub(super) const LARGE: usize = 4;
pub(super) const CONSENT: usize = 5;
pub(super) const SINCE: usize = 6;

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
    /// When it happened, by the time that was watched.
    pub(super) born: u64,
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
    /// The books, by the places below.
    pub(super) books: [u64; NAMES.len()],
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
        Self { id, books: [0; NAMES.len()], events: Vec::new(), next: 0, reserved: 0, bytes: 0 }
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

    /// The events that are not in flight.
    #[inline(never)]
    pub(super) fn waiting(&mut self, in_flight: usize) -> &mut [Queued] {
        self.events.get_mut(in_flight..).unwrap_or_default()
    }

    /// Marks the event that is to be given up first: what comes by itself in numbers before others,
    /// urgent ones last, the oldest first. The first `in_flight` stay; whether there is another.
    pub(super) fn give_up_one(&mut self, in_flight: usize, site: &Site) -> bool {
        let (mut least, mut victim) = (u8::MAX, None);
        for event in self.waiting(in_flight) {
            let comes_by_itself = ABUNDANT.contains(&event.kind.as_slice());
            let worth = u8::from(!comes_by_itself) + u8::from(site.is_urgent(&event.kind));
            if worth < least {
                (least, victim) = (worth, Some(event));
            }
        }
        match victim {
            Some(event) => {
                event.is_gone = true;
                self.books[FULL] += 1;
                true
            }
            None => false,
        }
    }

    /// Takes up what storage kept of an earlier page's queue: its head, then each event after its
    /// place. They stand behind the first `in_flight` ones, name and numbering go on, the books are
    /// added. Gives back the place of the first event of our own.
    pub(super) fn adopt(
        &mut self,
        mut kept: &[u8],
        (now, watched): (Now, u64),
        in_flight: usize,
    ) -> Option<u64> {
        let rest = &mut kept;
        let head = &mut cut(rest, PART);
        let id = cut(head, FIELD);
        if !is_plain(id) {
            return None;
        }
        self.id = id.to_vec();
        let _first = cut(head, FIELD);
        let mut next = cut_number(head, FIELD).unwrap_or_default();
        for at in SETTLED..SINCE {
            let count = cut_number(head, FIELD).unwrap_or_default();
            self.books[at] += count;
            self.books[CREATED] += count;
        }
        self.books[SINCE] = cut_number(head, FIELD).unwrap_or_default();
        let mut index = in_flight;
        while !rest.is_empty() {
            let place = cut_number(rest, PART).unwrap_or_default();
            let event = &mut cut(rest, PART);
            let kind = cut(event, FIELD).to_vec();
            let at = cut_number(event, FIELD).unwrap_or_default();
            let text = cut(event, FIELD).to_vec();
            if text.len() <= ID.end {
                continue;
            }
            next = next.max(place + 1);
            // A page that died within a step may have counted one event more or less than it kept.
            self.books[CREATED] += 1;
            self.bytes += text.len();
            let facts = self.share(event.to_vec());
            let event = Queued {
                kind,
                at,
                since: now.steady,
                born: since(watched, since(now.wall, at)),
                place,
                tries: 0,
                facts,
                text,
                is_gone: false,
            };
            self.events.insert(index, event);
            index += 1;
        }
        self.next = next;
        for (at, event) in self.events.iter_mut().enumerate() {
            if !(in_flight..index).contains(&at) {
                event.place = self.next;
                self.next += 1;
            }
        }
        Some(next)
    }

    /// The queue's head as storage keeps it: its name, the first and the next place, and the books
    /// but for the events created, which are all of these and those that wait.
    pub(super) fn store(&self, text: &mut Vec<u8>) {
        let mut first = self.next;
        for event in &self.events {
            first = first.min(event.place);
        }
        text.put(&self.id);
        for number in &[first, self.next.max(self.reserved)] {
            text.put(&[FIELD]).put_number(*number);
        }
        for number in &self.books[SETTLED..] {
            text.put(&[FIELD]).put_number(*number);
        }
    }

    /// The books as JSON.
    #[inline(never)]
    pub(super) fn write_books(&self, text: &mut Vec<u8>) {
        let mut open: &[u8] = b"{\"";
        for (name, number) in NAMES.iter().zip(&self.books) {
            text.put(open).put(name.as_bytes()).put(b"\":").put_number(*number);
            open = b",\"";
        }
        text.put(b"}");
    }
}
