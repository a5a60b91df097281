//! What follows from each click, in one place: decide → say → learn → enrich.
//!
//! Hints go out before the enriched record is even handed to the producer: they wait neither for
//! its acknowledgement nor for the commit.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use clickmill_kafka::Headers;
use clickmill_sdk_core::wire::{
    Cause, EventId, Hint, HintId, HintKind, Millis, PageKind, Poisoned, Sku, Slot, Tenant, ToJson,
    Topic, VisitorId, hex,
};
use clickmill_server::clock::SharedClock;
use clickmill_streams::{At, Place, Poison, Produce, Raw, Sink, Table, Watch};
use tracing::warn;

use crate::config::Config;
use crate::decide::learned::{self, Learned};
use crate::decide::suggest::{Rules, Suggestion, suggest};
use crate::event;
use crate::hints::frame::{CLICKS, Frame};
use crate::hints::hub::{Hub, Said, Subject, Telling};
use crate::metrics::{ReactMeters, Silence};
use crate::open::Open;
use crate::promotions::promoter::{Promoter, Standing, Told};
use crate::stock::StockPolicy;
use crate::suggestions::{Headings, why};
use crate::tables::{Products, Shelf, Tables};
use crate::views::visitor::{Enriched, Seen, Signals};

/// What the ids of hints begin with that were decided for a page while a server rendered it.
const PAGES: &str = "pages";

/// How large a record may be that a dead letter tells again: with all of its characters escaped it
/// must still fit a record.
const ORIGINAL_BYTES_MAX: usize = 128 << 10;

/// How clicks are answered.
#[derive(Clone, Debug)]
pub struct Policy {
    /// The topic of enriched clicks, in full.
    pub enriched: Arc<str>,
    /// Makes open copies of enriched clicks; none makes none.
    pub open: Option<Open>,
    /// The topic of records that could not be read, in full.
    pub poisoned: Arc<str>,
    /// What is suggested where.
    pub rules: Rules,
    /// How long a hint holds, ms.
    pub lifetime_ms: u64,
    /// Whether a visitor who has said nothing gets hints.
    pub personalizes_unasked: bool,
    /// How much is learned.
    pub learning: learned::Limits,
    /// How stock is told.
    pub stock: StockPolicy,
    /// What stands over suggestions.
    pub headings: Headings,
}

impl Policy {
    /// The policy that a configuration sets.
    pub fn of(config: &Config) -> Self {
        let suggest = &config.suggest;
        Self {
            enriched: Topic::ClicksEnriched.name(&config.topic_prefix).into(),
            open: None,
            poisoned: Topic::ClicksPoisoned.name(&config.topic_prefix).into(),
            rules: suggest.rules(),
            lifetime_ms: config.lifetime_ms(),
            personalizes_unasked: suggest.personalizes_unasked(),
            learning: suggest.learning(),
            stock: StockPolicy {
                rule: config.stock.rule(),
                low_at: config.stock.low_at,
                slot: config.stock.slot.clone(),
                lifetime_ms: config.lifetime_ms(),
            },
            headings: Headings {
                titles: suggest.titles.clone(),
                languages: suggest.languages.clone(),
            },
        }
    }
}

/// What clicks are answered with.
#[derive(Clone, Debug)]
pub struct Means {
    /// What decisions rest on.
    pub tables: Tables,
    /// Where hints go.
    pub hub: Arc<Hub>,
    /// What is counted.
    pub meters: ReactMeters,
    /// The wall clock.
    pub clock: SharedClock,
    /// Applies the rules of promotions; none where there are none.
    pub promoter: Option<Arc<Promoter>>,
}

/// Answers clicks.
#[derive(Debug)]
pub struct React {
    policy: Policy,
    means: Means,
    state: Mutex<State>,
}

/// Taken by the thread that reads clicks, and briefly when a stream opens.
#[derive(Debug, Default)]
struct State {
    learned: HashMap<Tenant, Learned>,
    /// The offset before which each partition was learned from. What was learned stays when a
    /// transaction fails or a partition goes, so this does too: clicks that come again teach nothing.
    learned_to: HashMap<u32, u64>,
    /// The epochs of the partitions that are decided here.
    epochs: BTreeMap<u32, u64>,
    /// The number of the last page that was decided for.
    pages: u64,
}

impl React {
    /// Answers by this policy.
    pub fn new(policy: Policy, means: Means) -> Self {
        Self { policy, means, state: Mutex::default() }
    }

    /// Whether there is what decisions rest on. A partition may be ours before.
    pub fn is_ready(&self) -> bool {
        let promoter = self.means.promoter.as_ref();
        self.means.tables.are_ready() && promoter.is_none_or(|promoter| promoter.is_ready())
    }

    /// Says what follows from a click: its hints, and that others hold no more.
    fn say(&self, state: &mut State, signals: &Signals, at: At) {
        let epoch = state.epoch(at.place.partition);
        let telling = Telling::of(signals.received_at, epoch);
        let said = self.answer(state, (signals, telling), at);
        if signals.asks {
            let subject = Subject::new(&signals.tenant, &signals.visitor);
            self.put_away((signals, &subject), Stem::of_click((signals, at), (CLICKS, epoch)));
            if said != Err(Silence::Late) {
                self.means.hub.note_whole(&subject);
            }
        }
        if let Err(silence) = said {
            self.means.meters.silent(silence);
        }
    }

    /// Decides and says the hints of one click, if it asks for any.
    fn answer(
        &self,
        state: &mut State,
        (signals, telling): (&Signals, Telling),
        at: At,
    ) -> Result<(), Silence> {
        let now = Millis(at.now_ms);
        let subject = Subject::new(&signals.tenant, &signals.visitor);
        if !signals.personalization.unwrap_or(self.policy.personalizes_unasked) {
            // What was said while it was allowed goes too.
            self.means.hub.forget(&subject, now);
            return if signals.asks { Err(Silence::Consent) } else { Ok(()) };
        }
        if signals.has_left {
            // What was said to the customer is not for whoever comes after them.
            self.means.hub.forget(&subject, now);
        }
        if !signals.asks && signals.promotions.is_silent() {
            return Ok(());
        }
        if now.since(signals.time) >= self.policy.lifetime_ms {
            return Err(Silence::Late);
        }
        let started = Instant::now();
        // Held until the hints are said: what sells out meanwhile is noticed after that, and the
        // hints that show it are found.
        let shelf = self.means.tables.shelf(&signals.tenant, now);
        let partition = at.place.partition;
        let source = (partition, state.epoch(partition));
        if signals.asks {
            // Before anything is said: servers hear it by these marks.
            self.mark((signals, &subject), &shelf, (source, now));
        }
        let stem = Stem::of_click((signals, at), (CLICKS, source.1));
        let mut taken = self.promote((signals, &subject), (&shelf, stem), telling);
        if !signals.asks {
            return Ok(());
        }
        self.tell_stock((signals, &subject), (&shelf, stem), telling);
        if !telling.is_new() {
            // What was said meanwhile is newer.
            let held = self.means.hub.holding(&subject, now);
            taken.extend(held.iter().filter_map(|frame| frame.slot.clone()));
        }
        let slots = &self.policy.rules.slots;
        if !taken.is_empty() && slots.iter().all(|slot| taken.contains(slot)) {
            return Ok(());
        }
        let learned = state.learned.get_mut(&signals.tenant);
        let suggestions = suggest(signals, (&self.policy.rules, &taken), (learned, &shelf));
        self.means.meters.withheld.increment(shelf.stale());
        if suggestions.is_empty() {
            return Err(if shelf.stale() > 0 { Silence::Stale } else { Silence::Nothing });
        }
        let clicked_at = telling.is_new().then_some(signals.time);
        for said in self.hints((suggestions, signals), &shelf, stem) {
            let said = Said { telling, clicked_at, ..said };
            self.means.hub.say(&subject, said, (partition, now));
        }
        drop(shelf);
        if telling.is_new() {
            self.means.meters.decided(now.since(signals.received_at), started.elapsed());
        }
        Ok(())
    }

    /// The hints of suggestions: one for each.
    fn hints(
        &self,
        (suggestions, signals): (Vec<Suggestion>, &Signals),
        shelf: &Shelf<'_>,
        stem: Stem,
    ) -> Vec<Said> {
        let tables = shelf.versions();
        let hint = |suggestion: Suggestion| {
            let hint = Hint {
                id: HintId {
                    source: stem.source.to_owned(),
                    partition: stem.place.partition,
                    offset: stem.place.offset,
                    n: u32::try_from(suggestion.slot).unwrap_or(u32::MAX),
                },
                kind: HintKind::Suggest,
                epoch: stem.epoch,
                slot: self.policy.rules.slots.get(suggestion.slot).cloned(),
                content: self.policy.headings.content(&suggestion, signals.locale.as_deref()),
                why: why(&suggestion, tables.clone()),
                expires_at: stem.now + self.policy.lifetime_ms,
                stock_version: suggestion.stock_version,
                cause: stem.cause,
                decided_at: stem.now,
            };
            let skus = suggestion.products.into_iter().map(|product| product.sku).collect();
            Said { hint, skus, telling: Telling::First, clicked_at: None }
        };
        suggestions.into_iter().map(hint).collect()
    }

    /// The hints for the slots of a page that a server renders: those that hold, and where there is
    /// none, or the page is about a product, new ones. None where this process does not decide for
    /// the visitor.
    pub fn decide(
        &self,
        subject: &Subject,
        wish: &Wish<'_>,
        known: Option<Signals>,
    ) -> Option<Vec<Arc<Frame>>> {
        let now = Millis(self.means.clock.now_ms());
        let mut state = self.lock();
        let epoch = *state.epochs.get(&wish.partition)?;
        let mut signals = known.unwrap_or_else(|| wish.nothing_known(now));
        if !signals.personalization.unwrap_or(self.policy.personalizes_unasked) {
            return Some(Vec::new());
        }
        signals.time = now;
        signals.page = match wish.sku {
            Some(_) => PageKind::Product,
            None if wish.category.is_some() && wish.page.is_none() => PageKind::Category,
            None => wish.page.unwrap_or(signals.page),
        };
        if wish.is_about_something() {
            signals.category = wish.category.map(str::to_owned);
        }
        if let Some(sku) = wish.sku {
            signals.seen.retain(|seen| seen != sku);
            signals.seen.insert(0, sku.clone());
        }
        // Before anything is said, as with a click.
        let source = (wish.partition, epoch);
        let shelf = self.means.tables.shelf(&signals.tenant, now);
        self.mark((&signals, subject), &shelf, (source, now));
        drop(shelf);
        let is_about = wish.is_about_something();
        let held = self.means.hub.holding(subject, now);
        let holds = |slot: &Slot| held.iter().find(|frame| frame.slot.as_ref() == Some(slot));
        let (mut said, taken) =
            self.promote_page((subject, wish), (&signals, &mut state), (epoch, now));
        let is_open = |slot: &&Slot| {
            self.policy.rules.slots.contains(slot)
                && !taken.contains(slot)
                && (is_about || holds(slot).is_none())
        };
        let open: Vec<&Slot> = wish.slots.iter().filter(is_open).collect();
        if !open.is_empty() {
            let shelf = self.means.tables.shelf(&signals.tenant, now);
            let learned = state.learned.get_mut(&signals.tenant);
            let suggestions = suggest(&signals, (&self.policy.rules, &taken), (learned, &shelf));
            self.means.meters.withheld.increment(shelf.stale());
            let place = Place { partition: wish.partition, offset: state.next_page(now) };
            let stem = Stem { source: PAGES, place, epoch, cause: None, now };
            for hint in self.hints((suggestions, &signals), &shelf, stem) {
                if hint.hint.slot.as_ref().is_some_and(|slot| open.contains(&slot)) {
                    said.push(self.means.hub.say(subject, hint, (wish.partition, now)));
                }
            }
        }
        let in_slot = |slot: &Slot| {
            let new = said.iter().find(|frame| frame.slot.as_ref() == Some(slot));
            new.or_else(|| holds(slot)).map(Arc::clone)
        };
        Some(wish.slots.iter().filter_map(in_slot).collect())
    }

    /// Notes what servers choose the visitor by, if any does.
    fn mark(
        &self,
        (signals, subject): (&Signals, &Subject),
        shelf: &Shelf<'_>,
        (source, now): ((u32, u64), Millis),
    ) {
        if let Some(marks) = self.means.hub.feeds().marks(signals, shelf) {
            self.means.hub.mark((subject, source), (marks, now));
        }
    }

    /// Learns from visitors who allow it.
    fn learn(&self, state: &mut State, signals: &Signals) {
        let Some(lesson) = &signals.lesson else { return };
        if !signals.personalization.unwrap_or(self.policy.personalizes_unasked) {
            return;
        }
        state.learner(&signals.tenant, self.policy.learning).learn(lesson, signals.time);
    }

    fn enriched(&self, enriched: Enriched) -> Produce {
        let Enriched { id, kind, key, text, .. } = enriched;
        event::record(&self.policy.enriched, (id, &kind), (key, text))
    }

    /// A record that could not be read, as it was, with where it lies and why.
    /// Without a record, or with one that is too large to be told again, the letter says where it lies.
    fn letter(&self, place: Place, raw: Option<&Raw<'_>>, poison: &Poison) -> Produce {
        let value = raw.map(|raw| raw.value.unwrap_or_default());
        let told = value.filter(|value| value.len() <= ORIGINAL_BYTES_MAX);
        let text = told.and_then(|value| std::str::from_utf8(value).ok());
        let mut detail = poison.detail.clone();
        if let (Some(value), None) = (value, told) {
            detail = format!("{detail} ({} bytes, which are not told again here)", value.len());
        }
        let letter = Poisoned {
            reason: poison.reason.to_owned(),
            detail,
            partition: place.partition,
            offset: place.offset,
            original: text.map(str::to_owned),
            original_hex: match text {
                Some(_) => None,
                None => told.map(hex),
            },
        };
        Produce {
            topic: Arc::clone(&self.policy.poisoned),
            key: raw.and_then(|raw| raw.key).map(<[u8]>::to_vec),
            value: Some(letter.to_json().into_bytes()),
            headers: Headers::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the slots of a page want, that a server renders.
#[derive(Clone, Copy, Debug)]
pub struct Wish<'a> {
    /// Whose visitor.
    pub tenant: &'a Tenant,
    /// Who.
    pub visitor: &'a VisitorId,
    /// The slots of the page.
    pub slots: &'a [Slot],
    /// The product that the page is about.
    pub sku: Option<&'a Sku>,
    /// What sort of page it is, where the server says so.
    pub page: Option<PageKind>,
    /// The category that the page is about.
    pub category: Option<&'a str>,
    /// The partition that the visitor lies in.
    pub partition: u32,
}

impl Wish<'_> {
    /// Whether it says what page it is.
    fn is_about_something(&self) -> bool {
        self.sku.is_some() || self.page.is_some() || self.category.is_some()
    }

    /// A visitor who is known, though not by an event that asked.
    pub fn of_unasked(&self, standing: Standing, now: Millis) -> Signals {
        let customer = standing.facts.customer.clone();
        Signals { standing: Some(Box::new(standing)), customer, ..self.nothing_known(now) }
    }

    /// A visitor of whom nothing is known.
    fn nothing_known(&self, now: Millis) -> Signals {
        Signals {
            tenant: self.tenant.clone(),
            visitor: self.visitor.clone(),
            event: EventId::mint(now, &[0; 10]),
            received_at: now,
            time: now,
            personalization: None,
            asks: true,
            page: self.page.unwrap_or_default(),
            category: None,
            locale: None,
            lesson: None,
            seen: Vec::new(),
            basket: Vec::new(),
            promotions: Told::default(),
            standing: None,
            bought: Vec::new(),
            taken: Vec::new(),
            waits: Vec::new(),
            customer: None,
            has_left: false,
        }
    }
}

/// What the hints of one decision have in common.
#[derive(Clone, Copy, Debug)]
struct Stem {
    /// What their ids begin with.
    source: &'static str,
    /// The record that they answer; of a page, its number.
    place: Place,
    epoch: u64,
    cause: Option<Cause>,
    now: Millis,
}

impl Stem {
    /// Of the hints that answer a click.
    fn of_click((signals, at): (&Signals, At), (source, epoch): (&'static str, u64)) -> Self {
        let cause = Some(Cause { event: signals.event, received_at: signals.received_at });
        Self { source, place: at.place, epoch, cause, now: Millis(at.now_ms) }
    }
}

impl State {
    /// The number of the next page that is decided for: later than any before it, also of a relay
    /// that ran before.
    fn next_page(&mut self, now: Millis) -> u64 {
        self.pages = (self.pages + 1).max(now.0.saturating_mul(1_000));
        self.pages
    }

    /// Whether nothing was learned from a record yet. It counts as learned from now on.
    fn is_lesson(&mut self, place: Place) -> bool {
        let learned_to = self.learned_to.entry(place.partition).or_default();
        let is_lesson = place.offset >= *learned_to;
        *learned_to = (*learned_to).max(place.offset + 1);
        is_lesson
    }

    fn epoch(&self, partition: u32) -> u64 {
        self.epochs.get(&partition).copied().unwrap_or_default()
    }

    fn learner(&mut self, tenant: &Tenant, limits: learned::Limits) -> &mut Learned {
        self.learned.entry(tenant.clone()).or_insert_with(|| Learned::new(limits))
    }
}

impl Sink<Seen> for React {
    fn assigned(&self, _: u32) {}

    fn opened(&self, partition: u32, epoch: u64) {
        // First, since streams attach as soon as the hub has it, and have things said again.
        self.lock().epochs.insert(partition, epoch);
        self.means.hub.open_partition(partition, epoch);
    }

    fn closed(&self, partition: u32) {
        self.lock().epochs.remove(&partition);
        self.means.hub.close_partition(partition);
    }

    fn live(&self, at: At, outputs: Vec<Seen>) -> Vec<Produce> {
        let mut state = self.lock();
        // A click whose transaction failed comes again, though it was learned from.
        let is_lesson = state.is_lesson(at.place);
        let mut produce = Vec::with_capacity(outputs.len());
        for seen in outputs {
            match seen {
                Seen::Duplicate => self.means.meters.duplicates.increment(1),
                Seen::Event(enriched) => {
                    if let Some(signals) = &enriched.signals {
                        self.say(&mut state, signals, at);
                        if is_lesson {
                            self.learn(&mut state, signals);
                        }
                        if let Some(hint) = &enriched.exposed {
                            let subject = Subject::new(&signals.tenant, &signals.visitor);
                            self.means.hub.seen(&subject, hint, signals.time);
                        }
                    }
                    if let Some(signals) = &enriched.signals {
                        produce.extend(self.promotion_records(signals));
                    }
                    let open = self.policy.open.as_ref();
                    produce.extend(open.and_then(|open| open.copy(&enriched)));
                    produce.push(self.enriched(*enriched));
                }
            }
        }
        produce
    }

    fn poisoned(&self, at: At, raw: Option<&Raw<'_>>, poison: &Poison) -> Option<Produce> {
        self.means.meters.poisoned(CLICKS, poison.reason);
        warn!(place = %at.place, %poison, "a click is passed over");
        Some(self.letter(at.place, raw, poison))
    }
}

/// Counts product records that cannot be read.
#[derive(Debug)]
pub struct ProductWatch(pub ReactMeters);

impl Watch<Products> for ProductWatch {
    fn applied(&self, _: &Table<Products>, _: &Raw<'_>) {}

    fn poisoned(&self, raw: &Raw<'_>, poison: &Poison) {
        self.0.poisoned("products", poison.reason);
        warn!(place = %raw.place, %poison, "a product record is passed over");
    }
}

mod basket;
mod promote;
mod recall;
mod stock;
#[cfg(test)]
mod tests;
