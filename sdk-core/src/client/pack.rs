//! Makes a batch of events: as many as the limits allow, what they share said once.

use super::Facts;
use super::facts::Field;
use super::queue::Queued;
use crate::wire::json::Writer;
use crate::wire::{Consent, Limits, Millis, Proof, Sdk};

/// What a batch says besides its events.
#[derive(Debug)]
pub(super) struct Label<'a> {
    pub(super) sent_at: Millis,
    pub(super) proof: Option<&'a Proof>,
    /// What is granted now: said by a batch without events, where no event says it.
    pub(super) consent: Option<&'a Consent>,
    pub(super) sdk: &'a Sdk,
}

/// A batch, and how many of the events it was offered are in it.
#[derive(Debug)]
pub(super) struct Packed {
    pub(super) body: String,
    pub(super) count: usize,
}

/// Packs events from the front until a limit is reached. At least one event is packed where there
/// is any, even if it alone is too large; the caller sees that by the body.
pub(super) fn pack(events: &[&Queued], label: &Label<'_>, limits: &Limits) -> Packed {
    let bytes_max = usize::try_from(limits.batch_bytes_max).unwrap_or(usize::MAX);
    let mut count = events.len().min(limits.batch_events_max as usize);
    loop {
        let body = write(&events[..count], label);
        if body.len() <= bytes_max || count <= 1 {
            return Packed { body, count };
        }
        // Fewer by the share that it is too large, and by one at least.
        count = (count * bytes_max / body.len()).clamp(1, count - 1);
    }
}

/// Writes a `wire::Batch`.
fn write(events: &[&Queued], label: &Label<'_>) -> String {
    let shared = Facts::shared(events.iter().map(|event| &event.facts));
    let mut context = shared.clone();
    context.set(Field::Sdk, label.sdk);
    if let Some(consent) = label.consent.filter(|_| events.is_empty()) {
        context.set(Field::Consent, consent);
    }
    let mut w = Writer::with_capacity(1024 + 256 * events.len());
    w.object(|w| {
        w.field("sent_at", Some(&label.sent_at));
        let attempt = events.iter().map(|event| event.tries).max().unwrap_or_default();
        if attempt > 0 {
            w.field("attempt", Some(&attempt));
        }
        w.field("proof", label.proof);
        w.field("context", Some(&context));
        w.key("events").array(|w| events.iter().for_each(|event| event.write(w, &shared)));
    });
    w.finish()
}
