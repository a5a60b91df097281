//! The hint stream: when it is open, and which of its hints the page sees.

use super::clock::Now;
use super::effect::{Delivered, Novelty};
use super::identify::{Visit, keep_last};
use super::input::StreamEvent;
use crate::wire::{HintHead, HintKind, Millis};

/// Hints of this page whose ids are remembered, to drop a repeat.
const SEEN_MAX: usize = 256;

/// What the stream does. Times are steady ones.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Stream {
    /// It is not open, and nothing keeps it from being opened.
    Closed,
    /// It is open, or the browser is opening it; so many failures in a row came before.
    Open { failures: u32 },
    /// It failed and is opened again later.
    Waiting { until: Millis, failures: u32 },
}

impl Stream {
    /// The state's name for the page.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open { .. } => "open",
            Self::Waiting { .. } => "waiting",
        }
    }
}

/// What this page has heard so far. Another page begins anew: it shows nothing yet, so the
/// snapshot it gets on connecting is news to it, though perhaps not to the visitor.
#[derive(Debug, Default)]
pub(super) struct Ear {
    epoch: u64,
    seen: Vec<String>,
    last_event_id: Option<String>,
}

impl Ear {
    /// Where the stream goes on after it broke off on this page.
    pub(super) fn last_event_id(&self) -> Option<&str> {
        self.last_event_id.as_deref()
    }

    /// Judges one event of the stream: the hint to deliver, or none for one that is stale, a
    /// repeat, expired, or of a kind this SDK does not know.
    pub(super) fn hear(
        &mut self,
        event: StreamEvent,
        visit: &mut Visit,
        now: Now,
    ) -> Option<Delivered> {
        if !event.id.is_empty() {
            self.last_event_id = Some(event.id.clone());
        }
        let kind = HintKind::parse(&event.event)?;
        let head = HintHead::read(&event.data).ok()?;
        if head.epoch < self.epoch {
            return None;
        }
        self.epoch = head.epoch;
        if kind == HintKind::Reset {
            self.seen.clear();
        }
        if self.seen.contains(&event.id) {
            return None;
        }
        keep_last(&mut self.seen, event.id.clone(), SEEN_MAX);
        // What takes a hint back holds whatever the time.
        let takes_back = matches!(kind, HintKind::Reset | HintKind::Withdraw);
        if !takes_back && head.expires_at <= now.wall {
            return None;
        }
        let novelty = if visit.knows_hint(&event.id) { Novelty::Replayed } else { Novelty::New };
        if novelty == Novelty::New && kind != HintKind::Reset {
            visit.note_hint(&event.id);
        }
        let tracked = head.cause.and_then(|cause| visit.tracked_at(cause));
        Some(Delivered {
            id: event.id,
            kind,
            data: event.data,
            latency_ms: tracked.map(|at| now.wall.since(at)),
            novelty,
        })
    }
}
