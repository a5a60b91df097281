//! Makes a batch of events: as many as the limits allow, what they share said once.

use super::person::Person;
use super::queue::{Queue, Queued};
use super::text::{FIELD, cut, has_field};
use super::track::CONTEXT;
use crate::wire::Put;

/// What a batch says besides its events.
#[derive(Debug)]
pub(super) struct Label<'a> {
    pub(super) sent_at: u64,
    /// Whose proof is shown, where a token is wanted.
    pub(super) asking: Option<&'a Person>,
    /// What is granted now: said by a batch without events, where no event says it.
    pub(super) consent: &'a [u8],
    /// The SDK's name.
    pub(super) name: &'a str,
    /// The queue, for its books.
    pub(super) queue: &'a Queue,
}

/// A batch, and how many of the events it was offered are in it.
#[derive(Debug)]
pub(super) struct Packed {
    pub(super) body: Vec<u8>,
    pub(super) count: usize,
}

/// Packs events from the front until a limit is reached: bytes, or events. At least one event is
/// packed where there is any, even if it alone is too large; the caller sees that by the body.
#[inline(never)]
pub(super) fn pack(
    events: &[Queued],
    label: &Label<'_>,
    (bytes_max, events_max): (u64, u64),
) -> Packed {
    let mut count = events.len().min(events_max as usize);
    loop {
        let body = write(&events[..count], label);
        let bytes = body.len() as u64;
        if bytes <= bytes_max || count <= 1 {
            return Packed { body, count };
        }
        // Fewer by the share that it is too large, and by one at least.
        count = ((count as u64 * bytes_max / bytes) as usize).clamp(1, count - 1);
    }
}

/// Writes a `wire::Batch`.
fn write(events: &[Queued], label: &Label<'_>) -> Vec<u8> {
    let shared = shared(events, label.consent);
    let mut body = Vec::with_capacity(1024 + 256 * events.len());
    body.put(b"{\"sent_at\":").put_number(label.sent_at);
    let attempt = events.iter().map(|event| event.tries).max().unwrap_or_default();
    if attempt > 0 {
        body.put(b",\"attempt\":").put_number(attempt);
    }
    if let Some(person) = label.asking {
        body.put(b",\"proof\":\"").put(&person.proof).put(b"\"");
        if person.is_renewed {
            body.put(b",\"renewed\":true");
        }
    }
    body.put(CONTEXT);
    let mut rest = shared.as_slice();
    while !rest.is_empty() {
        body.put(cut(&mut rest, FIELD)).put(b",");
    }
    body.put(b"\"sdk\":{\"name\":\"").put(label.name.as_bytes());
    body.put(concat!("\",\"version\":\"", env!("CARGO_PKG_VERSION"), "\",\"books\":").as_bytes());
    label.queue.write_books(&mut body);
    body.put(b"}},\"events\":[");
    for event in events {
        body.put(&event.text);
        let mut open: &[u8] = CONTEXT;
        let mut rest = event.facts.as_slice();
        while !rest.is_empty() {
            let field = cut(&mut rest, FIELD);
            if !has_field(&shared, field) {
                body.put(open).put(field);
                open = b",";
            }
        }
        if open == b"," {
            body.put(b"}");
        }
        body.put(b"},");
    }
    if !events.is_empty() {
        body.pop();
    }
    body.put(b"]}");
    body
}

/// The circumstances that all events agree on.
fn shared(events: &[Queued], consent: &[u8]) -> Vec<u8> {
    let Some((first, others)) = events.split_first() else {
        return consent.to_vec();
    };
    let mut shared = Vec::new();
    let mut rest = first.facts.as_slice();
    while !rest.is_empty() {
        let field = cut(&mut rest, FIELD);
        let is_shared = |other: &Queued| {
            std::ptr::eq(&*other.facts, &*first.facts) || has_field(&other.facts, field)
        };
        if others.iter().all(is_shared) {
            shared.put(field).put(&[FIELD]);
        }
    }
    shared
}
