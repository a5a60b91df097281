//! The visitor view: per visitor the visit, the products seen last, the basket, and which events
//! were seen before.
//!
//! Events may come late and out of order; the rules are those of [`sessions`] and [`products`].
//! An event that was folded before says nothing and changes nothing, see [`queues`].

pub mod products;
pub mod queues;
pub mod sessions;

use std::borrow::Cow;

use clickmill_sdk_core::wire::json::Writer;
use clickmill_sdk_core::wire::{
    Asked, Consent, Enrichment, EventId, Json, Millis, Purpose, Record, SessionId, SessionRule,
    SessionView, SessionViewParts, Sku, Tenant, ToJson, VisitorId,
};
use clickmill_streams::{Around, Place, Poison, Raw, State, View};
use serde::Deserialize;

use products::Products;
use queues::{Novelty, Queues};
use sessions::Sessions;

/// How much is remembered of one visitor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Queues of which duplicates are known; beyond it the one quiet longest is forgotten.
    pub queues_max: usize,
    /// Gaps in one queue; beyond it the oldest is closed: what comes late for it is a duplicate.
    pub gaps_max: usize,
    /// Products seen last.
    pub recent_max: usize,
    /// Products in the basket.
    pub basket_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { queues_max: 16, gaps_max: 32, recent_max: 10, basket_max: 50 }
    }
}

/// The fold and its rules.
#[derive(Clone, Copy, Debug, Default)]
pub struct VisitorView {
    /// When a visit ends, where the SDK did not say it.
    pub rule: SessionRule,
    /// How much is remembered.
    pub limits: Limits,
}

/// What is remembered of one visitor.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Visitor {
    queues: Queues,
    sessions: Sessions,
    products: Products,
    asked: Option<Asked>,
}

/// What the fold says about an event.
#[derive(Clone, Debug, PartialEq)]
pub enum Seen {
    /// It was folded before.
    Duplicate,
    /// It is new.
    Event(Box<Enriched>),
}

/// A new event with what is known of its visitor.
#[derive(Clone, Debug, PartialEq)]
pub struct Enriched {
    /// The record with its enrichment; without one where the event has no visitor.
    pub record: Record,
    /// What a decision may rest on; none without a visitor.
    pub signals: Option<Signals>,
}

/// What a decision may rest on.
#[derive(Clone, Debug, PartialEq)]
pub struct Signals {
    /// Whose.
    pub tenant: Tenant,
    /// Who.
    pub visitor: VisitorId,
    /// The event.
    pub event: EventId,
    /// When the collector received it.
    pub received_at: Millis,
    /// When it happened.
    pub time: Millis,
    /// What the visitor said about personalization; none if nothing.
    pub personalization: Option<bool>,
    /// Whether the event is one that suggestions answer.
    pub asks: bool,
    /// A product that was seen for the first time in its visit.
    pub lesson: Option<Lesson>,
    /// The products seen last, newest first.
    pub seen: Vec<Sku>,
    /// The products in the basket.
    pub basket: Vec<Sku>,
}

/// That a visit saw a product.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lesson {
    /// The visit.
    pub visit: SessionId,
    /// The product.
    pub sku: Sku,
}

impl View for VisitorView {
    type Input = Record;
    type State = Visitor;
    type Tables = ();
    type Output = Seen;

    fn decode(&self, raw: &Raw<'_>) -> Result<Record, Poison> {
        let value = raw.value.ok_or_else(|| Poison::malformed("a click without a value"))?;
        let record: Record = serde_json::from_slice(value).map_err(Poison::malformed)?;
        // A visitor's state lies where the key says. A record under another visitor's key would
        // be folded into a state that is not its own.
        // Without a visitor no state is touched, and an older collector gave no key then.
        let nobodys = record.context.visitor.is_none() && raw.key.is_none();
        if nobodys || record.key().as_deref().map(str::as_bytes) == raw.key {
            Ok(record)
        } else {
            let detail = "the key is not the record's tenant and visitor".to_owned();
            Err(Poison { reason: "wrong_key", detail })
        }
    }

    fn time_ms(&self, record: &Record) -> u64 {
        record.time.0
    }

    fn fold(&self, state: &mut Visitor, record: Record, around: &Around<'_, ()>) -> Vec<Seen> {
        let Some(visitor) = record.context.visitor.clone() else {
            return vec![Seen::Event(Box::new(Enriched { record, signals: None }))];
        };
        match state.queues.take(&record.queue, record.seq, &self.limits) {
            Novelty::Repeated => vec![Seen::Duplicate],
            Novelty::New => {
                let at = (visitor, around.place);
                vec![Seen::Event(Box::new(self.enrich(state, record, at)))]
            }
        }
    }
}

impl State for Visitor {
    fn write(&self, into: &mut Vec<u8>) -> Result<(), Poison> {
        let mut w = Writer::with_capacity(512);
        self.parts().write(&mut w);
        into.extend_from_slice(w.finish().as_bytes());
        Ok(())
    }

    fn read(bytes: &[u8]) -> Result<Self, Poison> {
        let view: SessionView = serde_json::from_slice(bytes).map_err(Poison::malformed)?;
        Ok(Self::from(view))
    }
}

impl VisitorView {
    fn enrich(
        &self,
        state: &mut Visitor,
        mut record: Record,
        (visitor, place): (VisitorId, Place),
    ) -> Enriched {
        let visit = state.sessions.take(&record, &visitor, &self.rule);
        let doing = Doing::of(&record);
        let first = state.products.take(&doing, (record.time, visit.number), &self.limits);
        visit.products = visit.products.saturating_add(first.is_some().into());
        let lesson = visit.id.clone().zip(first).map(|(visit, sku)| Lesson { visit, sku });
        let mut enrichment = Enrichment {
            session: visit.id.clone(),
            session_started: visit.started,
            session_events: visit.events,
            session_pages: visit.pages,
            ..Enrichment::default()
        };
        enrichment.visits = state.sessions.visits();
        enrichment.recent = state.products.seen().cloned().collect();
        record.enrichment = Some(enrichment);
        let asked = Asked {
            event: record.id,
            partition: place.partition,
            offset: place.offset,
            received_at: record.arrival.received_at,
            time: record.time,
            personalization: personalization(record.context.consent.as_ref()),
        };
        let signals = Signals {
            lesson,
            asks: doing.asks(),
            ..state.signals((record.tenant.clone(), visitor), &asked)
        };
        if signals.asks {
            state.asked = Some(asked);
        }
        Enriched { record, signals: Some(signals) }
    }
}

impl Visitor {
    /// The newest event that asked for a hint, with where it lies: what a relay that ran before
    /// answered.
    pub fn last_asked(&self, of: (Tenant, VisitorId)) -> Option<(Place, Signals)> {
        let asked = self.asked.as_ref()?;
        let place = Place { partition: asked.partition, offset: asked.offset };
        Some((place, self.signals(of, asked)))
    }

    /// The state as it lies in the view of sessions.
    pub fn parts(&self) -> SessionViewParts<'_> {
        SessionViewParts {
            visits: self.sessions.visits,
            sessions: &self.sessions.known,
            seen: &self.products.seen,
            basket: &self.products.basket,
            asked: self.asked.as_ref(),
            queues: &self.queues.0,
        }
    }

    fn signals(&self, (tenant, visitor): (Tenant, VisitorId), asked: &Asked) -> Signals {
        Signals {
            tenant,
            visitor,
            event: asked.event,
            received_at: asked.received_at,
            time: asked.time,
            personalization: asked.personalization,
            asks: true,
            lesson: None,
            seen: self.products.seen().cloned().collect(),
            basket: self.products.basket().to_vec(),
        }
    }
}

impl From<SessionView> for Visitor {
    fn from(view: SessionView) -> Self {
        let SessionView { visits, sessions, seen, basket, asked, queues } = view;
        Self {
            queues: Queues(queues),
            sessions: Sessions { known: sessions, visits },
            products: Products { seen, basket },
            asked,
        }
    }
}

/// What is learned from an enriched record: that its visit saw a product, for the first time or not.
pub fn lesson(record: &Record) -> Option<Lesson> {
    let visit = record.enrichment.as_ref()?.session.clone()?;
    match Doing::of(record) {
        Doing::Sees(sku) | Doing::Takes(sku) => Some(Lesson { visit, sku }),
        _ => None,
    }
}

/// What a record's visitor said about personalization; none if nothing.
pub fn allows_personalization(record: &Record) -> Option<bool> {
    personalization(record.context.consent.as_ref())
}

fn personalization(consent: Option<&Consent>) -> Option<bool> {
    consent.map(|consent| consent.allows(Purpose::Personalization))
}

/// What an event does with products.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Doing {
    /// A product is looked at.
    Sees(Sku),
    /// A product is put into the basket.
    Takes(Sku),
    /// A product is taken out of the basket.
    PutsBack(Sku),
    /// The basket is bought.
    Buys(Vec<Sku>),
    /// A page is looked at.
    Reads,
    /// Something else.
    Other,
}

impl Doing {
    /// Reads it from an event. One that does not name its product as text does nothing with it.
    pub fn of(record: &Record) -> Self {
        let with = |doing: fn(Sku) -> Self| match sku(&record.props) {
            Some(sku) => doing(sku),
            None => Self::Other,
        };
        match record.kind.as_str() {
            "product_view" | "product_click" => with(Self::Sees),
            "basket_add" => with(Self::Takes),
            "basket_remove" => with(Self::PutsBack),
            "order" => Self::Buys(lines(&record.props)),
            "page_view" => Self::Reads,
            _ => Self::Other,
        }
    }

    /// Whether suggestions answer it.
    fn asks(&self) -> bool {
        match self {
            Self::Sees(_) | Self::Takes(_) | Self::Reads => true,
            Self::PutsBack(_) | Self::Buys(_) | Self::Other => false,
        }
    }
}

fn sku(props: &Json) -> Option<Sku> {
    #[derive(Deserialize)]
    struct Props<'a> {
        #[serde(borrow)]
        sku: Cow<'a, str>,
    }
    let props: Props<'_> = serde_json::from_str(props.as_str()).ok()?;
    Sku::parse(props.sku).ok()
}

fn lines(props: &Json) -> Vec<Sku> {
    #[derive(Deserialize)]
    struct Props {
        lines: Vec<Line>,
    }
    #[derive(Deserialize)]
    struct Line {
        sku: Sku,
    }
    let props = serde_json::from_str::<Props>(props.as_str());
    props.map(|props| props.lines.into_iter().map(|line| line.sku).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
