//! Which products to suggest: what was seen together with the last ones, else what is popular
//! beside them; never what was seen, is in the basket or cannot be had.

use std::collections::HashMap;

use clickmill_sdk_core::wire::{Product, Sku};

use super::co_view::CoViews;
use crate::tables::Shelf;
use crate::views::visitor::Signals;

/// The model that knows which products are seen together.
pub const CO_VIEW: &str = "co_view";

/// The model that knows what is popular in a category.
pub const CATEGORY: &str = "category_popular";

/// How suggestions are made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// How many of the products seen last are looked at.
    pub inputs_max: usize,
    /// How much less each product counts than the one seen after it.
    pub fade: f64,
    /// How many sights of a pair are worth half a proof: damps what was seen together once.
    pub damping: f64,
    /// How many products of a category are looked at.
    pub category_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { inputs_max: 5, fade: 0.8, damping: 2.0, category_max: 500 }
    }
}

/// What to suggest, and why.
#[derive(Clone, Debug, PartialEq)]
pub struct Suggestion {
    /// The model that found the first of them.
    pub model: &'static str,
    /// The products, best first.
    pub products: Vec<Product>,
    /// The products it rests on, newest first.
    pub inputs: Vec<Sku>,
    /// The newest stock record it rests on: its offset.
    pub stock_version: Option<u64>,
}

/// Suggests up to `count` products; none if nothing fits.
pub fn suggest(
    signals: &Signals,
    count: usize,
    (views, shelf): (Option<&CoViews>, &Shelf<'_>),
    limits: &Limits,
) -> Option<Suggestion> {
    let inputs = &signals.seen[..signals.seen.len().min(limits.inputs_max)];
    let fits = |sku: &Sku| !signals.seen.contains(sku) && !signals.basket.contains(sku);
    let mut found = Found { count, shelf, products: Vec::new(), stock_version: None };

    found.take(
        views.map(|views| together(inputs, views, (signals, limits))).unwrap_or_default(),
        &fits,
    );
    let model = if found.products.is_empty() { CATEGORY } else { CO_VIEW };
    for sku in inputs {
        if found.products.len() >= count {
            break;
        }
        let Some(product) = shelf.product(sku) else { continue };
        found.take(popular(&product.category, views, (shelf, limits)), &fits);
    }
    if found.products.is_empty() {
        return None;
    }
    Some(Suggestion {
        model,
        products: found.products.into_iter().cloned().collect(),
        inputs: inputs.to_vec(),
        stock_version: found.stock_version,
    })
}

/// The products that were found to fit and can be had.
struct Found<'a> {
    count: usize,
    shelf: &'a Shelf<'a>,
    products: Vec<&'a Product>,
    stock_version: Option<u64>,
}

impl<'a> Found<'a> {
    /// Takes the best of the candidates.
    fn take(&mut self, mut candidates: Vec<(&Sku, f64)>, fits: &impl Fn(&Sku) -> bool) {
        // Equal scores go by product number, so that the same input gives the same answer.
        candidates.sort_unstable_by(|(a, x), (b, y)| y.total_cmp(x).then_with(|| a.cmp(b)));
        for (sku, _) in candidates {
            if self.products.len() >= self.count {
                return;
            }
            if !fits(sku) || self.products.iter().any(|product| product.sku == *sku) {
                continue;
            }
            let shelf: &'a Shelf<'a> = self.shelf;
            if let Some((product, level)) = shelf.in_stock(sku) {
                self.products.push(product);
                self.stock_version = self.stock_version.max(Some(level.place.offset));
            }
        }
    }
}

/// What was seen together with the inputs: the damped cosine of both products' sights, added up.
fn together<'a>(
    inputs: &[Sku],
    views: &'a CoViews,
    (signals, limits): (&Signals, &Limits),
) -> Vec<(&'a Sku, f64)> {
    let damping = limits.damping * views.count_at(signals.time);
    let mut scores: HashMap<&Sku, f64> = HashMap::new();
    let mut share = 1.0;
    for input in inputs {
        let seen = views.seen(input);
        for (sku, pair, other) in views.near(input) {
            *scores.entry(sku).or_default() += share * pair / ((seen * other).sqrt() + damping);
        }
        share *= limits.fade;
    }
    scores.into_iter().collect()
}

fn popular<'a>(
    category: &str,
    views: Option<&CoViews>,
    (shelf, limits): (&'a Shelf<'_>, &Limits),
) -> Vec<(&'a Sku, f64)> {
    let seen = |sku: &Sku| views.map_or(0.0, |views| views.seen(sku));
    shelf.category(category).take(limits.category_max).map(|sku| (sku, seen(sku))).collect()
}

#[cfg(test)]
mod tests {
    use clickmill_sdk_core::wire::{EventId, Millis, Tenant, VisitorId};

    use super::*;
    use crate::decide::co_view;
    use crate::tables::Tables;
    use crate::tables::tests::offer;
    use crate::views::visitor::Lesson;

    fn skus(names: &[&str]) -> Vec<Sku> {
        names.iter().map(|name| Sku::parse(*name).unwrap()).collect()
    }

    fn signals(seen: &[&str], basket: &[&str]) -> Signals {
        Signals {
            tenant: Tenant::parse("shop").unwrap(),
            visitor: VisitorId::parse("v").unwrap(),
            event: EventId::mint(Millis(0), &[0; 10]),
            received_at: Millis(0),
            time: Millis(0),
            personalization: None,
            asks: true,
            lesson: None,
            seen: skus(seen),
            basket: skus(basket),
        }
    }

    fn learned(visits: &[&[&str]]) -> CoViews {
        let mut views = CoViews::new(co_view::Limits::default());
        for visit in visits {
            for (n, name) in visit.iter().enumerate() {
                let with = visit[..n].iter().rev().copied().collect::<Vec<_>>();
                let lesson = Lesson { sku: skus(&[name])[0].clone(), with: skus(&with) };
                views.learn(&lesson, Millis(0));
            }
        }
        views
    }

    fn stocked(products: &[(&str, &str, i64)]) -> Tables {
        let tables = Tables::detached();
        for (sku, category, available) in products {
            offer(&tables, (sku, category), *available);
        }
        tables
    }

    /// Model and products, joined by spaces.
    fn ask(signals: &Signals, views: &CoViews, tables: &Tables) -> Option<String> {
        let shelf = tables.shelf(&signals.tenant);
        let said = suggest(signals, 3, (Some(views), &shelf), &Limits::default())?;
        let products = said.products.iter().map(|product| product.sku.as_str());
        Some([said.model].into_iter().chain(products).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn what_is_often_seen_together_comes_first() {
        let tables = stocked(&[("A", "x", 1), ("B", "y", 1), ("C", "y", 1), ("D", "z", 1)]);
        let views = learned(&[&["A", "B"], &["A", "C"], &["A", "C"], &["A", "C"], &["D", "B"]]);
        assert_eq!(ask(&signals(&["A"], &[]), &views, &tables).unwrap(), "co_view C B");
    }

    #[test]
    fn what_was_seen_or_taken_or_sold_out_is_left_out() {
        let tables = stocked(&[("A", "x", 1), ("B", "y", 1), ("C", "y", 0), ("D", "y", 1)]);
        let views = learned(&[&["A", "B", "C", "D"], &["A", "B", "C", "D"]]);
        let ask = |seen: &[&str], basket: &[&str]| ask(&signals(seen, basket), &views, &tables);
        assert_eq!(ask(&["A"], &[]).unwrap(), "co_view B D");
        assert_eq!(ask(&["A", "B"], &[]).unwrap(), "co_view D");
        assert_eq!(ask(&["A"], &["B", "D"]), None);
    }

    #[test]
    fn a_product_that_nobody_sells_is_left_out() {
        let tables = stocked(&[("A", "x", 1)]);
        let views = learned(&[&["A", "B"]]);
        assert_eq!(ask(&signals(&["A"], &[]), &views, &tables), None);
    }

    #[test]
    fn the_category_fills_up_and_stands_in() {
        let tables =
            stocked(&[("A", "x", 1), ("B", "y", 1), ("C", "x", 1), ("D", "x", 1), ("E", "x", 1)]);
        let views = learned(&[&["A", "B"], &["E"], &["E"], &["D"]]);
        assert_eq!(ask(&signals(&["A"], &[]), &views, &tables).unwrap(), "co_view B E D");
        let nothing = learned(&[]);
        // Nothing is known of any product: by product number.
        assert_eq!(
            ask(&signals(&["A"], &[]), &nothing, &tables).unwrap(),
            "category_popular C D E"
        );
        assert_eq!(ask(&signals(&[], &[]), &views, &tables), None);
    }

    #[test]
    fn the_last_product_counts_most() {
        let tables = stocked(&[("A", "x", 1), ("B", "y", 1), ("C", "z", 1), ("D", "z", 1)]);
        let views = learned(&[&["A", "C"], &["B", "D"]]);
        assert_eq!(ask(&signals(&["A", "B"], &[]), &views, &tables).unwrap(), "co_view C D");
        assert_eq!(ask(&signals(&["B", "A"], &[]), &views, &tables).unwrap(), "co_view D C");
    }

    #[test]
    fn the_newest_stock_record_is_named() {
        let tables = stocked(&[("A", "x", 1), ("B", "y", 1), ("C", "y", 1), ("D", "y", 1)]);
        let views = learned(&[&["A", "B", "C"]]);
        let signals = signals(&["A"], &[]);
        let shelf = tables.shelf(&signals.tenant);
        let said = suggest(&signals, 2, (Some(&views), &shelf), &Limits::default()).unwrap();
        // The stock of C is the third record of the table.
        assert_eq!((said.stock_version, said.inputs), (Some(2), skus(&["A"])));
    }
}
