//! Which products to suggest: each slot of the page shows what the first model of its plan finds.
//!
//! The rules hold for every model: nothing is shown twice, nothing that cannot be had, not the product
//! of the page, nothing that is in the basket, and nothing that was ordered a short while ago unless
//! it is used up. A slot shows at the most so many of one category while others fit as well.

use std::collections::BTreeSet;

use clickmill_sdk_core::wire::{PageKind, Product, Sku, Slot};

use super::learned::Learned;
use super::plan::{Model, Plan};
use super::visits::Candidate;
use crate::tables::{Level, Shelf};
use crate::views::visitor::Signals;

/// How many of the products that a suggestion rests on are told, the newest.
const INPUTS_MAX: usize = 5;

/// How many products of a category are looked at.
const CATEGORY_MAX: usize = 500;

/// How many products of a model are looked at, the best.
const CANDIDATES_MAX: usize = 128;

/// How many products are put aside, since their category has its share, until no others are looked
/// for.
const ASIDE_MAX: usize = 12;

/// For so long after an order what it held is what the visitor is busy with.
const JUST_ORDERED_MS: u64 = 30 * 60 * 1000;

/// What is suggested where, and what never.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// The places that suggestions fill.
    pub slots: Vec<Slot>,
    /// Which models fill them.
    pub plan: Plan,
    /// How many products a slot shows at the most.
    pub products_max: usize,
    /// How many of one category, while others fit.
    pub category_max: usize,
    /// For so long what was ordered is not suggested, ms.
    pub ordered_rest_ms: u64,
    /// Categories whose products are used up: they are suggested again at once.
    pub consumables: BTreeSet<String>,
}

/// What to show in a slot, and why.
#[derive(Clone, Debug, PartialEq)]
pub struct Suggestion {
    /// The slot: its place in [`Rules::slots`].
    pub slot: usize,
    /// The model that found the first of them.
    pub model: Model,
    /// The products, best first.
    pub products: Vec<Product>,
    /// The products it rests on, newest first.
    pub inputs: Vec<Sku>,
    /// On how many visits, orders or sights the first of them rests.
    pub support: Option<u32>,
    /// The newest stock record it rests on: its offset.
    pub stock_version: Option<u64>,
}

/// Suggests products for the slots of the page that the visitor is on, but for those that are taken
/// by something else; none for a slot where nothing fits.
pub fn suggest(
    signals: &Signals,
    (rules, taken): (&Rules, &[Slot]),
    (learned, shelf): (Option<&mut Learned>, &Shelf<'_>),
) -> Vec<Suggestion> {
    let mut deciding = Deciding::new(signals, rules, (learned, shelf));
    let mut all: Vec<Suggestion> = Vec::with_capacity(rules.slots.len());
    let free = rules.slots.iter().enumerate().filter(|(_, slot)| !taken.contains(slot));
    for (at, slot) in free {
        for model in rules.plan.models(signals.page, slot) {
            let mut found = deciding.find(*model, rules.products_max, &all);
            if found.is_empty() {
                continue;
            }
            let missing = rules.products_max - found.len();
            if *model == Model::NearestVisits && missing > 0 {
                // Both stand in for what was seen.
                let before = found.len();
                let more = deciding.find(Model::CategoryPopular, rules.products_max, &all);
                let is_new = |one: &Found<'_>| {
                    found[..before].iter().all(|known| known.product.sku != one.product.sku)
                };
                let more: Vec<_> = more.into_iter().filter(is_new).take(missing).collect();
                found.extend(more);
            }
            all.push(deciding.told(at, *model, &found));
            break;
        }
    }
    all
}

/// What one decision looks at.
struct Deciding<'a> {
    signals: &'a Signals,
    rules: &'a Rules,
    learned: Option<&'a mut Learned>,
    shelf: &'a Shelf<'a>,
    /// What was ordered and rests.
    resting: Vec<&'a Sku>,
    /// What each model has to offer, once it was asked, best first.
    offers: [Option<Vec<Offer>>; Model::ALL.len()],
}

/// A product that a model offers.
#[derive(Clone, Debug)]
struct Offer {
    sku: Sku,
    support: Option<u32>,
}

/// An offer that fits.
struct Found<'a> {
    product: &'a Product,
    level: Level,
    support: Option<u32>,
}

impl<'a> Deciding<'a> {
    fn new(
        signals: &'a Signals,
        rules: &'a Rules,
        (learned, shelf): (Option<&'a mut Learned>, &'a Shelf<'a>),
    ) -> Self {
        let rests = |sku: &Sku| {
            let category = shelf.product(sku).map(|product| &product.category);
            category.is_none_or(|category| !rules.consumables.contains(category))
        };
        let recent = |at| signals.time.since(at) < rules.ordered_rest_ms;
        let bought = signals.bought.iter().filter(|bought| recent(bought.at));
        // What the customer ordered elsewhere, once it is proven who that is.
        let customer = signals.customer.as_ref().and_then(|proven| shelf.customer(proven));
        let elsewhere = customer.map(|customer| customer.bought.as_slice()).unwrap_or_default();
        let elsewhere = elsewhere.iter().filter(|bought| recent(bought.at));
        let resting = bought.map(|bought| &bought.sku);
        let resting = resting.chain(elsewhere.map(|bought| &bought.sku));
        let resting = resting.filter(|sku| rests(sku)).collect();
        Self { signals, rules, learned, shelf, resting, offers: Default::default() }
    }

    /// The products of a model that fit, best first, without those that other slots show.
    fn find(&mut self, model: Model, count: usize, others: &[Suggestion]) -> Vec<Found<'a>> {
        let offers = match self.offers[model as usize].take() {
            Some(offers) => offers,
            None => self.ask(model),
        };
        let found = self.choose(&offers, model, (count, others));
        self.offers[model as usize] = Some(offers);
        found
    }

    fn choose(
        &self,
        offers: &[Offer],
        model: Model,
        (count, others): (usize, &[Suggestion]),
    ) -> Vec<Found<'a>> {
        // A model that is about categories is not held to many of them.
        let category_max = match model {
            Model::CategoryPopular => usize::MAX,
            _ => self.rules.category_max.max(1),
        };
        let mut found: Vec<Found<'a>> = Vec::with_capacity(count);
        let mut aside = Vec::new();
        let is_shown = |sku: &Sku| others.iter().flat_map(|s| &s.products).any(|p| p.sku == *sku);
        for Offer { sku, support } in offers {
            if found.len() >= count || aside.len() >= ASIDE_MAX {
                break;
            }
            if !self.may(model, sku) || is_shown(sku) {
                continue;
            }
            let Some((product, level)) = self.shelf.in_stock(sku) else { continue };
            let alike = found.iter().filter(|one| one.product.category == product.category);
            let one = Found { product, level, support: *support };
            if alike.count() < category_max { found.push(one) } else { aside.push(one) }
        }
        let missing = count.saturating_sub(found.len());
        found.extend(aside.into_iter().take(missing));
        found
    }

    /// Whether the rules let a model show a product, whatever its stock.
    fn may(&self, model: Model, sku: &Sku) -> bool {
        let signals = self.signals;
        // On other pages what was seen last is somewhere else.
        let is_current = match signals.page {
            PageKind::Home => false,
            _ => signals.seen.first() == Some(sku),
        };
        let is_known = match model {
            Model::RecentlyViewed | Model::BoughtTogether => is_current,
            _ => signals.seen.contains(sku),
        };
        !is_known && !signals.basket.contains(sku) && !self.resting.contains(&sku)
    }

    /// What a model has to offer, best first.
    fn ask(&mut self, model: Model) -> Vec<Offer> {
        let (signals, now) = (self.signals, self.signals.time);
        match (model, self.learned.as_deref_mut()) {
            (Model::RecentlyViewed, _) => {
                let offer = |sku: &Sku| Offer { sku: sku.clone(), support: None };
                signals.seen.iter().map(offer).collect()
            }
            (Model::CategoryPopular, _) => self.popular(),
            (_, None) => Vec::new(),
            (Model::NearestVisits, Some(learned)) => {
                let found = learned.visits.follow(&signals.seen, now);
                ranked(found, |one| learned.visits.sku(one))
            }
            (Model::BoughtTogether, Some(learned)) => {
                let found = learned.orders.beside(&orderly(signals), now);
                ranked(found, |one| learned.orders.sku(one))
            }
            (Model::ShopPopular, Some(learned)) => {
                let visits = &learned.visits;
                let offer = |(sku, seen): (&Sku, f64)| Offer {
                    sku: sku.clone(),
                    support: Some(visits.sights(seen, now)),
                };
                visits.hot().map(offer).collect()
            }
        }
    }

    /// What is seen most in the category of the page, then in those of what was seen, the newest first.
    fn popular(&self) -> Vec<Offer> {
        let visits = self.learned.as_deref().map(|learned| &learned.visits);
        let mut categories: Vec<&str> = Vec::new();
        let mut offers = Vec::new();
        let seen = self.signals.seen.iter().filter_map(|sku| self.shelf.product(sku));
        let seen = seen.map(|product| product.category.as_str());
        for category in self.signals.category.as_deref().into_iter().chain(seen) {
            if offers.len() >= CANDIDATES_MAX || categories.contains(&category) {
                continue;
            }
            categories.push(category);
            let seen = |sku| (sku, visits.map_or(0.0, |visits| visits.seen(sku)));
            let all = self.shelf.category(category).take(CATEGORY_MAX);
            let mut all: Vec<(&Sku, f64)> = all.map(seen).collect();
            all.sort_unstable_by(|(a, x), (b, y)| y.total_cmp(x).then_with(|| a.cmp(b)));
            let sights = |seen| visits.map(|visits| visits.sights(seen, self.signals.time));
            let offer =
                |(sku, seen): (&Sku, f64)| Offer { sku: sku.clone(), support: sights(seen) };
            offers.extend(all.into_iter().take(CANDIDATES_MAX).map(offer));
        }
        offers
    }

    fn told(&self, slot: usize, model: Model, found: &[Found<'_>]) -> Suggestion {
        let inputs = match model {
            Model::NearestVisits | Model::CategoryPopular => self.signals.seen.clone(),
            Model::BoughtTogether => orderly(self.signals),
            Model::RecentlyViewed | Model::ShopPopular => Vec::new(),
        };
        Suggestion {
            slot,
            model,
            products: found.iter().map(|one| one.product.clone()).collect(),
            inputs: inputs.into_iter().take(INPUTS_MAX).collect(),
            support: found.first().and_then(|one| one.support),
            stock_version: found.iter().map(|one| one.level.place.offset).max(),
        }
    }
}

/// The products that an order would be about: the basket, newest first, else what was just ordered,
/// else what was seen.
fn orderly(signals: &Signals) -> Vec<Sku> {
    if !signals.basket.is_empty() {
        return signals.basket.iter().rev().cloned().collect();
    }
    let just = |at| signals.time.since(at) < JUST_ORDERED_MS;
    let bought = signals.bought.iter().filter(|bought| just(bought.at));
    let bought: Vec<Sku> = bought.map(|bought| bought.sku.clone()).collect();
    if bought.is_empty() { signals.seen.clone() } else { bought }
}

/// The best of the candidates, best first. Equal scores go by product number, so that the same input
/// gives the same answer.
fn ranked<'a>(mut found: Vec<Candidate>, sku: impl Fn(&Candidate) -> &'a Sku) -> Vec<Offer> {
    let order =
        |a: &Candidate, b: &Candidate| b.score.total_cmp(&a.score).then_with(|| sku(a).cmp(sku(b)));
    if found.len() > CANDIDATES_MAX {
        found.select_nth_unstable_by(CANDIDATES_MAX - 1, order);
        found.truncate(CANDIDATES_MAX);
    }
    found.sort_unstable_by(order);
    let offer = |one: &Candidate| Offer { sku: sku(one).clone(), support: Some(one.support) };
    found.iter().map(offer).collect()
}

#[cfg(test)]
mod tests;
