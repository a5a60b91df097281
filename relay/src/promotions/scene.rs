//! What a rule's condition may look at, by name, with what each name can hold at the most.

use cel::common::types::{CelBool, CelInt, CelList, CelString};
use cel::common::value::{CowVal, Val};
use cel::context::VariableResolver;
use clickmill_sdk_core::wire::{Bought, Campaign, Customer, CustomerId, Millis, Proven, Sku};

use crate::tables::Shelf;

/// What is known of a visitor when something happens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Visits so far, this one included.
    pub visits: u32,
    /// How long the visit has lasted, ms.
    pub visit_ms: u64,
    /// Events in the visit.
    pub events: u32,
    /// Page views in the visit.
    pub pages: u32,
    /// Products seen in the visit for the first time.
    pub products: u32,
    /// How long the visit's pages were engaged with, ms.
    pub engaged_ms: u64,
    /// What was searched for in the visit, newest first.
    pub searches: Vec<String>,
    /// The address that led to the visit.
    pub referrer: Option<String>,
    /// The campaign that led to the visit.
    pub campaign: Option<Campaign>,
    /// Whether personalization was consented to; false where nothing was said.
    pub consent: bool,
    /// The products seen last, newest first.
    pub seen: Vec<Sku>,
    /// The products in the basket.
    pub basket: Vec<Sku>,
    /// What happened.
    pub event: String,
    /// What was searched for, where the event is a search.
    pub query: Option<String>,
    /// The product that the event is about.
    pub sku: Option<Sku>,
    /// The customer that the visitor was proven to be.
    pub customer: Option<Proven>,
}

/// A product, as conditions see it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct About {
    category: String,
    name: String,
    currency: String,
    price_cents: i64,
    available: i64,
}

/// Facts, with what the tables say of the products in them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scene {
    facts: Facts,
    product: About,
    /// Whether a proof of who the visitor is holds.
    is_proven: bool,
    /// What the site knows of them then.
    customer: Option<Customer>,
    basket_cents: i64,
    categories: Vec<String>,
    /// The moment, in the time zone of the rule that looks.
    pub clock: Clock,
}

/// A moment, taken apart in a time zone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Clock {
    /// The moment.
    pub at: Millis,
    /// 0 to 23.
    pub hour: i64,
    /// 0 to 59.
    pub minute: i64,
    /// 1 (Monday) to 7 (Sunday).
    pub weekday: i64,
}

/// What a name holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// True or false.
    Bool,
    /// A whole number.
    Int,
    /// A text of so many bytes at the most.
    Text(u64),
    /// So many texts of so many bytes at the most.
    Texts(u64, u64),
}

/// Every name that a condition may use. All are always there: a text that is not known is empty, a
/// number 0.
pub const NAMES: &[(&str, Kind)] = &[
    ("visitor.visits", Kind::Int),
    ("visitor.is_new", Kind::Bool),
    ("visitor.consent", Kind::Bool),
    ("visitor.seen", Kind::Texts(10, 64)),
    ("visitor.categories", Kind::Texts(10, 64)),
    ("visitor.basket", Kind::Texts(50, 64)),
    ("visitor.basket_cents", Kind::Int),
    ("customer.is_proven", Kind::Bool),
    ("customer.segment", Kind::Text(64)),
    ("customer.orders", Kind::Int),
    ("customer.spent_cents", Kind::Int),
    ("customer.days_since_order", Kind::Int),
    ("customer.bought", Kind::Texts(30, 64)),
    ("visit.ms", Kind::Int),
    ("visit.events", Kind::Int),
    ("visit.pages", Kind::Int),
    ("visit.products", Kind::Int),
    ("visit.engaged_ms", Kind::Int),
    ("visit.searches", Kind::Texts(5, 256)),
    ("visit.referrer", Kind::Text(256)),
    ("visit.campaign.source", Kind::Text(256)),
    ("visit.campaign.medium", Kind::Text(256)),
    ("visit.campaign.name", Kind::Text(256)),
    ("visit.campaign.term", Kind::Text(256)),
    ("visit.campaign.content", Kind::Text(256)),
    ("event.type", Kind::Text(64)),
    ("event.query", Kind::Text(256)),
    ("product.sku", Kind::Text(64)),
    ("product.category", Kind::Text(64)),
    ("product.name", Kind::Text(256)),
    ("product.currency", Kind::Text(8)),
    ("product.price_cents", Kind::Int),
    ("product.available", Kind::Int),
    ("now.ms", Kind::Int),
    ("now.hour", Kind::Int),
    ("now.minute", Kind::Int),
    ("now.weekday", Kind::Int),
];

impl Scene {
    /// Looks up what the tables say of the products.
    pub fn new(facts: Facts, shelf: &Shelf<'_>) -> Self {
        let of = |sku: &Sku| shelf.product(sku);
        let product = facts.sku.as_ref().and_then(|sku| {
            let product = of(sku)?;
            Some(About {
                category: product.category.clone(),
                name: product.name.clone(),
                currency: product.currency.clone(),
                price_cents: int(product.price_cents),
                available: shelf.in_stock(sku).map_or(0, |(_, level)| level.available),
            })
        });
        let cents = facts.basket.iter().filter_map(of).map(|product| int(product.price_cents));
        let basket_cents = cents.fold(0, i64::saturating_add);
        let mut categories: Vec<String> = Vec::new();
        for product in facts.seen.iter().filter_map(of) {
            if !categories.contains(&product.category) {
                categories.push(product.category.clone());
            }
        }
        let product = product.unwrap_or_default();
        let proven = facts.customer.as_ref();
        let is_proven = proven.is_some_and(|proven| shelf.holds(proven));
        let customer = proven.and_then(|proven| shelf.customer(proven)).cloned();
        let clock = Clock::default();
        Self { facts, product, is_proven, customer, basket_cents, categories, clock }
    }

    /// What happened.
    pub fn event(&self) -> &str {
        &self.facts.event
    }

    /// The product that the event is about.
    pub fn sku(&self) -> Option<&Sku> {
        self.facts.sku.as_ref()
    }

    /// One in which something is known everywhere, for trying conditions.
    pub fn sample() -> Self {
        let sku = Sku::parse("KET-1").ok();
        let text = |text: &str| Some(text.to_owned());
        let facts = Facts {
            visits: 3,
            visit_ms: 60_000,
            events: 9,
            pages: 4,
            products: 2,
            engaged_ms: 30_000,
            searches: vec!["kettle".to_owned(), "toaster".to_owned()],
            referrer: text("https://search.example/"),
            campaign: Some(Campaign {
                source: text("mail"),
                medium: text("newsletter"),
                name: text("spring"),
                term: text("kettle"),
                content: text("top"),
            }),
            consent: true,
            seen: sku.iter().cloned().chain(Sku::parse("TOA-1")).collect(),
            basket: sku.iter().cloned().collect(),
            event: "product_view".to_owned(),
            query: text("kettle"),
            sku: sku.clone(),
            customer: None,
        };
        let now = Millis(1_800_000_000_000);
        let customer = CustomerId::parse("ada").ok().map(|customer| Customer {
            customer,
            segment: text("gold"),
            orders: 4,
            spent_cents: 39_960,
            last_order_at: Some(Millis(now.0 - 100 * DAY_MS)),
            bought: sku.into_iter().map(|sku| Bought { sku, at: now }).collect(),
        });
        Self {
            facts,
            product: About {
                category: "kettles".to_owned(),
                name: "Kettle".to_owned(),
                currency: "EUR".to_owned(),
                price_cents: 4_990,
                available: 7,
            },
            is_proven: true,
            customer,
            basket_cents: 4_990,
            categories: vec!["kettles".to_owned(), "toasters".to_owned()],
            clock: Clock { at: now, hour: 8, minute: 30, weekday: 5 },
        }
    }

    /// One in which nothing is known, likewise.
    pub fn blank() -> Self {
        Self { clock: Clock { weekday: 1, ..Clock::default() }, ..Self::default() }
    }

    /// What a name holds here, for the explanation in a hint. What a site thinks of its customers is
    /// not for the page to read.
    pub fn shown(&self, name: &str) -> Option<String> {
        let value = self.resolve(name)?;
        if name.starts_with("customer.") {
            return Some(name.to_owned());
        }
        Some(if let Some(text) = value.downcast_ref::<CelString<'_>>() {
            format!("{name}={}", text.inner())
        } else if let Some(number) = value.downcast_ref::<CelInt>() {
            format!("{name}={}", number.inner())
        } else if let Some(truth) = value.downcast_ref::<CelBool>() {
            format!("{name}={}", truth.inner())
        } else {
            let list = match name {
                "visitor.basket" => self.facts.basket.len(),
                "visitor.seen" => self.facts.seen.len(),
                "visitor.categories" => self.categories.len(),
                _ => self.facts.searches.len(),
            };
            format!("{name}=[{list}]")
        })
    }
}

impl Scene {
    /// Whole days since the customer's last order; 0 where there is none.
    fn days_since_order(&self) -> i64 {
        let last = self.customer.as_ref().and_then(|customer| customer.last_order_at);
        last.map_or(0, |last| int(self.clock.at.since(last) / DAY_MS))
    }
}

impl VariableResolver for Scene {
    fn resolve<'b>(&'b self, name: &str) -> Option<CowVal<'b, 'b>> {
        let (facts, customer) = (&self.facts, self.customer.as_ref());
        let campaign = |part: fn(&Campaign) -> &Option<String>| {
            text(facts.campaign.as_ref().and_then(|campaign| part(campaign).as_deref()))
        };
        Some(match name {
            "visitor.visits" => number(facts.visits),
            "visitor.is_new" => CowVal::owned(CelBool::from(facts.visits <= 1)),
            "visitor.consent" => CowVal::owned(CelBool::from(facts.consent)),
            "visitor.seen" => texts(facts.seen.iter().map(Sku::as_str)),
            "visitor.categories" => texts(self.categories.iter().map(String::as_str)),
            "visitor.basket" => texts(facts.basket.iter().map(Sku::as_str)),
            "visitor.basket_cents" => CowVal::owned(CelInt::from(self.basket_cents)),
            "customer.is_proven" => CowVal::owned(CelBool::from(self.is_proven)),
            "customer.segment" => text(customer.and_then(|known| known.segment.as_deref())),
            "customer.orders" => number(customer.map_or(0, |known| known.orders)),
            "customer.spent_cents" => {
                CowVal::owned(CelInt::from(customer.map_or(0, |known| int(known.spent_cents))))
            }
            "customer.days_since_order" => CowVal::owned(CelInt::from(self.days_since_order())),
            "customer.bought" => {
                let bought = customer.map(|known| known.bought.as_slice()).unwrap_or_default();
                texts(bought.iter().map(|bought| bought.sku.as_str()))
            }
            "visit.ms" => CowVal::owned(CelInt::from(int(facts.visit_ms))),
            "visit.events" => number(facts.events),
            "visit.pages" => number(facts.pages),
            "visit.products" => number(facts.products),
            "visit.engaged_ms" => CowVal::owned(CelInt::from(int(facts.engaged_ms))),
            "visit.searches" => texts(facts.searches.iter().map(String::as_str)),
            "visit.referrer" => text(facts.referrer.as_deref()),
            "visit.campaign.source" => campaign(|campaign| &campaign.source),
            "visit.campaign.medium" => campaign(|campaign| &campaign.medium),
            "visit.campaign.name" => campaign(|campaign| &campaign.name),
            "visit.campaign.term" => campaign(|campaign| &campaign.term),
            "visit.campaign.content" => campaign(|campaign| &campaign.content),
            "event.type" => text(Some(&facts.event)),
            "event.query" => text(facts.query.as_deref()),
            "product.sku" => text(facts.sku.as_ref().map(Sku::as_str)),
            "product.category" => text(Some(&self.product.category)),
            "product.name" => text(Some(&self.product.name)),
            "product.currency" => text(Some(&self.product.currency)),
            "product.price_cents" => CowVal::owned(CelInt::from(self.product.price_cents)),
            "product.available" => CowVal::owned(CelInt::from(self.product.available)),
            "now.ms" => CowVal::owned(CelInt::from(int(self.clock.at.0))),
            "now.hour" => CowVal::owned(CelInt::from(self.clock.hour)),
            "now.minute" => CowVal::owned(CelInt::from(self.clock.minute)),
            "now.weekday" => CowVal::owned(CelInt::from(self.clock.weekday)),
            _ => return None,
        })
    }
}

const DAY_MS: u64 = 24 * 3_600_000;

/// What a text may take at the most; what is longer is cut, as the bounds of [`NAMES`] say.
const TEXT_BYTES_MAX: usize = 256;

fn text(text: Option<&str>) -> CowVal<'_, '_> {
    let text = text.unwrap_or_default();
    CowVal::owned(CelString::from(&text[..text.floor_char_boundary(TEXT_BYTES_MAX)]))
}

fn texts<'b>(all: impl Iterator<Item = &'b str>) -> CowVal<'b, 'b> {
    let boxed = |text| Box::new(CelString::from(text)) as Box<dyn Val + 'b>;
    CowVal::owned(CelList::from(all.map(boxed).collect::<Vec<_>>()))
}

fn number<'b>(number: u32) -> CowVal<'b, 'b> {
    CowVal::owned(CelInt::from(i64::from(number)))
}

fn int(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_always_there_and_is_what_it_says() {
        for scene in [Scene::sample(), Scene::blank()] {
            for (name, kind) in NAMES {
                let value = scene.resolve(name).unwrap();
                let is_so = match kind {
                    Kind::Bool => value.downcast_ref::<CelBool>().is_some(),
                    Kind::Int => value.downcast_ref::<CelInt>().is_some(),
                    Kind::Text(_) => value.downcast_ref::<CelString<'_>>().is_some(),
                    Kind::Texts(..) => value.downcast_ref::<CelList<'_>>().is_some(),
                };
                assert!(is_so, "{name}");
            }
        }
        assert!(Scene::blank().resolve("visitor").is_none());
    }
}
