//! The visitor view: per visitor the visit, the products seen last, the basket, and which events
//! were seen before.
//!
//! Events may come late and out of order; the rules are those of [`sessions`] and [`products`].
//! An event that was folded before says nothing and changes nothing, see [`queues`].

pub mod click;
pub mod identity;
mod packed;
pub mod products;
mod promoting;
pub mod queues;
pub mod sessions;
pub mod waits;
mod words;

use std::sync::Arc;

use clickmill_sdk_core::wire::json::Writer;
use clickmill_sdk_core::wire::{
    Asked, Consent, EnrichmentParts, EventId, EventType, HintId, Millis, PageKind, Proven, Purpose,
    SessionId, SessionRule, SessionView, SessionViewParts, Sight, Sku, Tenant, ToJson, VisitorId,
    Wait,
};
use clickmill_streams::{Around, Place, Poison, Raw, State, View};

use click::{Click, Doing};
use identity::Identity;
use products::Products;
use queues::{Novelty, Queues};
use sessions::Sessions;
use waits::{Stock, Waits};

use crate::customers::CustomersConfig;
use crate::promotions::history::History;
use crate::promotions::promoter::{Asking, Promoter, Standing, Told};
use crate::promotions::scene::Facts;

/// How much is remembered of one visitor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Queues of which duplicates are known; beyond it the one quiet longest is forgotten.
    pub queues_max: usize,
    /// The same for queues of a single event, as those have that no SDK of ours has sent.
    pub singles_max: usize,
    /// Gaps in one queue; beyond it the oldest is closed: what comes late for it is a duplicate.
    pub gaps_max: usize,
    /// Products seen last.
    pub recent_max: usize,
    /// Products in the basket.
    pub basket_max: usize,
    /// Products ordered last.
    pub bought_max: usize,
    /// Products of which the last word about the basket is known; of others what comes last counts.
    pub words_max: usize,
    /// Products that are waited for; beyond it the one waited for longest is forgotten.
    pub waits_max: usize,
    /// For so long after the last proof a visitor counts as a customer, ms.
    pub proven_ms: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            queues_max: 16,
            singles_max: 128,
            gaps_max: 32,
            recent_max: 10,
            basket_max: 50,
            bought_max: 30,
            words_max: 10,
            waits_max: 20,
            proven_ms: CustomersConfig::default().proven_ms(),
        }
    }
}

/// The fold and its rules.
#[derive(Clone, Debug, Default)]
pub struct VisitorView {
    /// When a visit ends, where the SDK did not say it.
    pub rule: SessionRule,
    /// How much is remembered.
    pub limits: Limits,
    /// Applies the rules of promotions; none where there are none.
    pub promoter: Option<Arc<Promoter>>,
    /// Tells what can be had; without it nobody waits for anything.
    pub stock: Option<Stock>,
}

/// What is remembered of one visitor.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Visitor {
    queues: Queues,
    sessions: Sessions,
    products: Products,
    asked: Option<Asked>,
    promotions: History,
    waits: Waits,
    identity: Identity,
}

/// What of a visitor rests on more than its clicks, and is not found again in them: on the rules, the
/// stock and the clock of then.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Untold {
    promotions: History,
    waits: Waits,
}

impl Untold {
    /// Whether there is nothing.
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
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
    /// The event's own id.
    pub id: EventId,
    /// What happened.
    pub kind: EventType,
    /// Kafka's key.
    pub key: Option<Vec<u8>>,
    /// The record with its enrichment, as JSON; without one where the event has no visitor.
    pub text: String,
    /// The hint that the event says was seen.
    pub exposed: Option<HintId>,
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
    /// On what sort of page it happened.
    pub page: PageKind,
    /// The category that the page is about.
    pub category: Option<String>,
    /// The page's language, as the browser names it.
    pub locale: Option<String>,
    /// What is learned from the event.
    pub lesson: Option<Lesson>,
    /// The products seen last, newest first; none where the event does not ask.
    pub seen: Vec<Sku>,
    /// The products in the basket; none where the event does not ask.
    pub basket: Vec<Sku>,
    /// The products ordered last, newest first; none where the event does not ask.
    pub bought: Vec<Sight>,
    /// The products that the event puts into the basket, or orders.
    pub taken: Vec<Sku>,
    /// The products that are waited for; none where the event does not ask.
    pub waits: Vec<Wait>,
    /// The customer that the visitor was proven to be.
    pub customer: Option<Proven>,
    /// Whether the visitor was a customer up to this event and is that no more.
    pub has_left: bool,
    /// What was decided of promotions with the event.
    pub promotions: Told,
    /// What promotions rest on, where there is no event to decide with.
    pub standing: Option<Box<Standing>>,
}

/// What is learned from an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lesson {
    /// A visit saw a product, for the first time.
    Saw(SessionId, Sku),
    /// An order has these products in it.
    Bought(String, Vec<Sku>),
}

impl View for VisitorView {
    type Input = Click;
    type State = Visitor;
    type Tables = ();
    type Output = Seen;

    fn decode(&self, raw: &Raw<'_>) -> Result<Click, Poison> {
        Click::read(raw)
    }

    fn time_ms(&self, click: &Click) -> u64 {
        click.time.0
    }

    fn fold(&self, state: &mut Visitor, click: Click, around: &Around<'_, ()>) -> Vec<Seen> {
        let enriched = if click.visitor.is_none() {
            Enriched::without_visitor(click)
        } else {
            match state.queues.take(&click.queue, click.seq, &self.limits) {
                Novelty::Repeated => return vec![Seen::Duplicate],
                Novelty::New => self.enrich(state, click, (around.place, around.now_ms)),
            }
        };
        vec![Seen::Event(Box::new(enriched))]
    }

    /// An event that names a customer alone lies under a key at which no visitor is.
    fn is_over(&self, state: &Visitor) -> bool {
        state.queues.0.is_empty() && *state == Visitor::default()
    }
}

impl State for Visitor {
    const FORM: u8 = packed::FORM;

    fn write(&self, into: &mut Vec<u8>) -> Result<(), Poison> {
        let before = String::from_utf8(std::mem::take(into)).map_err(Poison::malformed)?;
        let mut w = Writer::within(before);
        self.parts().write(&mut w);
        *into = w.finish().into_bytes();
        Ok(())
    }

    fn pack(&self, into: &mut Vec<u8>) -> Result<(), Poison> {
        packed::pack(&self.parts(), into);
        Ok(())
    }

    fn read(bytes: &[u8]) -> Result<Self, Poison> {
        let view: SessionView = match bytes.first() {
            Some(b'{') => serde_json::from_slice(bytes).map_err(Poison::malformed)?,
            _ => packed::unpack(bytes)?,
        };
        Ok(Self::from(view))
    }
}

impl VisitorView {
    fn enrich(
        &self,
        state: &mut Visitor,
        mut click: Click,
        (place, now_ms): (Place, u64),
    ) -> Enriched {
        let Some(visitor) = click.visitor.take() else { return Enriched::without_visitor(click) };
        let (visit, visits) = state.sessions.take(&click, &visitor, &self.rule);
        let word = (&words::word(&click), visit.number);
        let first = state.products.take(&click.doing, word, &self.limits);
        visit.products = visit.products.saturating_add(first.is_some().into());
        let asks = click.doing.asks();
        let has_left = state.identity.take(&click, self.limits.proven_ms);
        let promotions = self.promoter.as_ref().map(|promoter| {
            let asking = Asking {
                tenant: &click.tenant,
                visitor: &visitor,
                visit: visit.number,
                event: Some(click.id),
                time: click.time,
                now: click.time.max(Millis(now_ms)),
                asks,
                personalization: personalization(click.consent.as_ref()),
            };
            let facts = || Facts {
                customer: state.identity.proven.clone(),
                ..promoting::facts(&click, (visit, visits), &state.products)
            };
            let ended = has_left.then(|| promoter.end(&mut state.promotions, &asking));
            let mut told =
                promoter.answer((&mut state.promotions, &asking), (click.kind.as_str(), facts));
            told.records.extend(ended.into_iter().flatten());
            told
        });
        let known = EnrichmentParts {
            session: visit.id.as_ref(),
            session_started: visit.started,
            session_events: visit.events,
            session_pages: visit.pages,
            visits,
            recent: || state.products.seen(),
        };
        let lesson = match &click.doing {
            Doing::Buys(order) => order.lesson(),
            _ => visit.id.clone().zip(first).map(|(visit, sku)| Lesson::Saw(visit, sku)),
        };
        let asked = Asked {
            event: click.id,
            partition: place.partition,
            offset: place.offset,
            received_at: click.received_at,
            time: click.time,
            personalization: personalization(click.consent.as_ref()),
            page: click.doing.page(),
            locale: click.locale.take(),
            category: click.doing.category().map(str::to_owned),
        };
        let now = click.time.max(Millis(now_ms));
        let waits = match &self.stock {
            Some(stock) if asks => {
                let wants = (&click.tenant, &click.doing);
                let when = (click.received_at, now);
                state.waits.take(wants, when, (stock, self.limits.waits_max))
            }
            Some(_) | None => Vec::new(),
        };
        let taken = click.doing.takes().to_vec();
        let exposed = click.doing.exposes().cloned();
        let (tenant, (id, kind)) = (click.tenant.clone(), (click.id, click.kind.clone()));
        let (key, text) = click.enriched(&known);
        let known = asks.then_some(&state.products);
        let (promotions, customer) =
            (promotions.unwrap_or_default(), state.identity.proven.clone());
        let known = signals((tenant, visitor), &asked, known);
        let signals = Signals { lesson, promotions, waits, taken, customer, has_left, ..known };
        if signals.personalization == Some(false) {
            state.waits.clear();
        }
        match (&mut state.asked, signals.personalization) {
            // Who forbids it is not told again what was said before, and no page that a server renders
            // takes them for somebody who has said nothing.
            (asked_last, Some(false)) => *asked_last = Some(asked),
            (asked_last, _) if asks => *asked_last = Some(asked),
            (Some(asked_last), Some(true)) => asked_last.personalization = Some(true),
            (Some(_) | None, _) => {}
        }
        Enriched { id, kind, key, text, exposed, signals: Some(signals) }
    }
}

impl Enriched {
    /// Nothing is known of who is not named.
    fn without_visitor(click: Click) -> Self {
        let (id, kind) = (click.id, click.kind.clone());
        let (key, text) = click.plain();
        Self { id, kind, key, text, exposed: None, signals: None }
    }
}

impl Visitor {
    /// The newest event that asked for a hint, with where it lies: what a relay that ran before
    /// answered.
    pub fn last_asked(&self, of: (Tenant, VisitorId)) -> Option<(Place, Signals)> {
        let asked = self.asked.as_ref()?;
        let place = Place { partition: asked.partition, offset: asked.offset };
        let standing = Some(Box::new(self.standing(asked.personalization)));
        let (waits, customer) = (self.waits.0.clone(), self.identity.proven.clone());
        let known = signals(of, asked, Some(&self.products));
        Some((place, Signals { standing, waits, customer, ..known }))
    }

    /// What promotions rest on of one who has not asked for a hint yet.
    pub fn unasked(&self) -> Standing {
        self.standing(None)
    }

    /// What no click tells.
    pub fn untold(self) -> Untold {
        Untold { promotions: self.promotions, waits: self.waits }
    }

    /// As if that had been decided here.
    pub fn take_over(&mut self, untold: &Untold) {
        self.promotions.clone_from(&untold.promotions);
        self.waits.clone_from(&untold.waits);
    }

    /// The state as it lies in the view of sessions.
    pub fn parts(&self) -> SessionViewParts<'_> {
        SessionViewParts {
            visits: self.sessions.visits,
            sessions: &self.sessions.known,
            seen: &self.products.seen,
            basket: &self.products.basket,
            bought: &self.products.bought,
            asked: self.asked.as_ref(),
            queues: &self.queues.0,
            promotions: &self.promotions.0,
            waits: &self.waits.0,
            customer: self.identity.proven.as_ref(),
            basket_words: &self.products.words,
            customer_word: self.identity.word.as_ref(),
        }
    }
}

impl From<SessionView> for Visitor {
    fn from(view: SessionView) -> Self {
        let SessionView { visits, sessions, seen, basket, bought, asked, .. } = view;
        let SessionView { queues, promotions, waits, customer, .. } = view;
        let SessionView { basket_words: words, customer_word: word, .. } = view;
        Self {
            queues: Queues(queues),
            sessions: Sessions { known: sessions, visits },
            products: Products { seen, basket, bought, words },
            asked,
            promotions: History(promotions),
            waits: Waits(waits),
            identity: Identity { proven: customer, word },
        }
    }
}

/// What a decision about an event may rest on; one that does not ask is not told what is `known`.
fn signals(
    (tenant, visitor): (Tenant, VisitorId),
    asked: &Asked,
    known: Option<&Products>,
) -> Signals {
    Signals {
        tenant,
        visitor,
        event: asked.event,
        received_at: asked.received_at,
        time: asked.time,
        personalization: asked.personalization,
        asks: known.is_some(),
        page: asked.page,
        category: asked.category.clone(),
        locale: asked.locale.clone(),
        lesson: None,
        seen: known.map(|products| products.seen().cloned().collect()).unwrap_or_default(),
        basket: known.map(|products| products.basket().to_vec()).unwrap_or_default(),
        bought: known.map(|products| products.bought.clone()).unwrap_or_default(),
        taken: Vec::new(),
        waits: Vec::new(),
        customer: None,
        has_left: false,
        promotions: Told::default(),
        standing: None,
    }
}

/// What is learned from an event of a type, with its properties, in a visit: whether that saw the
/// product for the first time or not.
pub fn lesson((kind, props): (&str, &str), visit: Option<SessionId>) -> Option<Lesson> {
    match Doing::of(kind, props) {
        Doing::Sees(sku) | Doing::Takes(sku) => Some(Lesson::Saw(visit?, sku)),
        Doing::Buys(order) => order.lesson(),
        _ => None,
    }
}

/// Whether events of a type may teach something.
pub fn may_teach(kind: &str) -> bool {
    matches!(
        kind,
        "product_view" | "product_click" | "back_in_stock_wanted" | "basket_add" | "order"
    )
}

/// What a visitor said about personalization; none if nothing.
pub fn personalization(consent: Option<&Consent>) -> Option<bool> {
    consent.map(|consent| consent.allows(Purpose::Personalization))
}

#[cfg(test)]
mod tests;
