//! What the site and the collector ask of this page.

use super::text::{NUMBER_MAX, PART, cut, cut_number};
use crate::wire::{BUCKETS, Flush, Limits, URGENT};

/// The site's settings.
#[derive(Debug)]
pub(super) struct Site {
    as_of: u64,
    /// Event types that are sent at once, as a JSON list.
    urgent: Vec<u8>,
    /// When the others are sent: so many events, so many bytes, such an age in ms.
    pub(super) flush: [u64; 3],
    /// What a batch keeps to: its bytes, its events; and the bytes of an event.
    pub(super) limits: [u64; 3],
}

impl Default for Site {
    fn default() -> Self {
        let (flush, limits) = (Flush::default(), Limits::default());
        Self {
            as_of: 0,
            urgent: URGENT.into(),
            flush: [flush.events.into(), flush.bytes, flush.age_ms],
            limits: [
                limits.batch_bytes_max,
                limits.batch_events_max.into(),
                limits.event_bytes_max,
            ],
        }
    }
}

impl Site {
    /// Takes settings; whether they are newer than those so far. What they do not say stays.
    pub(super) fn configure(&mut self, rest: &mut &[u8]) -> bool {
        let as_of = cut_number(rest, PART).unwrap_or_default();
        let is_newer = as_of > self.as_of;
        self.as_of = as_of;
        let urgent = cut(rest, PART);
        if !urgent.is_empty() {
            self.urgent = urgent.to_vec();
        }
        read(&mut self.flush, rest);
        self.limit(rest);
        is_newer
    }

    /// Takes limits.
    pub(super) fn limit(&mut self, rest: &mut &[u8]) {
        read(&mut self.limits, rest);
    }

    /// Whether events of a type, given as JSON, are sent at once.
    pub(super) fn is_urgent(&self, kind: &[u8]) -> bool {
        self.urgent.windows(kind.len().max(1)).any(|part| part == kind)
    }
}

#[inline(never)]
fn read(numbers: &mut [u64; 3], rest: &mut &[u8]) {
    for number in numbers {
        if let Some(read) = cut_number(rest, PART) {
            *number = read;
        }
    }
}

/// The share of visitors whose events the collector wants.
#[derive(Debug)]
pub(super) struct Sample {
    /// As JSON; empty where it wants all.
    pub(super) share: Vec<u8>,
    /// In buckets of all visitors.
    pub(super) buckets: u64,
}

impl Default for Sample {
    fn default() -> Self {
        Self { share: Vec::new(), buckets: NUMBER_MAX }
    }
}

impl Sample {
    /// Takes what a receipt says of it.
    pub(super) fn read(rest: &mut &[u8]) -> Self {
        let share = cut(rest, PART).to_vec();
        Self { share, buckets: cut_number(rest, PART).unwrap_or(NUMBER_MAX) }
    }

    /// Whether it leaves anybody out.
    pub(super) fn is_part(&self) -> bool {
        self.buckets < u64::from(BUCKETS)
    }
}
