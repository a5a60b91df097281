//! From what the page reports to an event in the queue.

use super::clock::Now;
use super::effect::{Effect, Item, Settled};
use super::facts::{Facts, Field};
use super::identify::Seen;
use super::input::Track;
use super::queue::Draft;
use super::store::store;
use super::{Client, Footing};
use crate::wire::{EventType, Outcome, Reason, Rejection, ToJson, bucket};

/// Event types that are sent however small the sample: without them there is no judging at all.
const NEVER_SAMPLED: [&str; 3] = ["consent", "exposure", "order"];

impl Client {
    /// Takes an event: gives it an id, its circumstances and a place in the queue.
    pub(super) fn track(&mut self, now: Now, track: Track, out: &mut Vec<Effect>) {
        let at = track.at.unwrap_or(now.wall);
        let id = track.id.unwrap_or_else(|| self.random.event_id(at));
        let sample = match self.sampled(&track.kind) {
            Sampled::All => None,
            Sampled::Share(share) => Some(share),
            Sampled::Out => return,
        };
        if track.kind.as_str() == "page_view" {
            // The id of a page view is that of the event which reports it.
            self.page_view = Some(id.to_json().into());
        }
        let campaign = self.page.shared_field(Field::Campaign);
        let facts = self.facts(&Seen { id, at, campaign: campaign.as_deref() });
        let urgent = self.site.urgent.contains(&track.kind);
        let draft = Draft { id, kind: track.kind, at, props: track.props, facts, sample };
        let bytes_max = self.site.limits.event_bytes_max;
        if let Some(draft) = self.queue.push(draft, now, bytes_max) {
            let (id, kind, outcome) = (draft.id, draft.kind, rejected(Reason::TooLarge));
            let latency_ms = now.wall.since(at);
            out.push(Effect::Verdict(Settled { id, kind, outcome, latency_ms }));
            self.store_head(out);
            return;
        }
        if urgent {
            self.flush_to = self.queue.next();
        }
        if self.footing == Footing::Allowed {
            if self.queue.reserve() {
                self.store_head(out);
            }
            if let Some(event) = self.queue.events().last() {
                store(out, Item::Event(event.place), Some(event.stored()));
            }
            if self.visit.is_news() {
                self.store_visit(out);
            }
        }
    }

    /// The circumstances of an event that happens now on this page.
    fn facts(&mut self, seen: &Seen<'_>) -> Facts {
        let mut facts = self.page.clone();
        if let Some(page_view) = &self.page_view {
            facts.share(Field::PageView, page_view.clone());
        }
        if let Some(consent) = self.granted() {
            facts.set(Field::Consent, consent);
        }
        if let Some(person) = &self.person {
            facts.set(Field::Visitor, person.visitor());
            let session = self.visit.enter(seen, &self.options.session, &mut self.random);
            facts.share(Field::Session, session);
        }
        facts
    }

    /// Whether the collector wants this visitor's events of this kind.
    fn sampled(&self, kind: &EventType) -> Sampled {
        let (Some(share), Some(person)) = (self.sample, &self.person) else {
            return Sampled::All;
        };
        if share >= 1.0 || NEVER_SAMPLED.contains(&kind.as_str()) {
            return Sampled::All;
        }
        if f64::from(bucket("sample", person.visitor().as_str())) < share * 10_000.0 {
            Sampled::Share(share)
        } else {
            Sampled::Out
        }
    }
}

/// An event's luck with sampling.
enum Sampled {
    /// There is no sampling for it.
    All,
    /// It is in, as one of this share.
    Share(f64),
    /// It is out.
    Out,
}

/// A rejection that this client pronounces itself.
pub(super) fn rejected(reason: Reason) -> Outcome {
    Outcome::Rejected(Rejection { reason, schema: None, pointer: None, detail: None })
}
