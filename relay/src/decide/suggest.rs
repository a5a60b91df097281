//! Which products to suggest: what visits went on to that saw the same ones, else what is popular
//! beside them; never what was seen, is in the basket or cannot be had.

use clickmill_sdk_core::wire::{Product, Sku};

use super::visits::Visits;
use crate::tables::Shelf;
use crate::views::visitor::Signals;

/// The model that knows what visits saw that were at the same products.
pub const NEIGHBOURS: &str = "nearest_visits";

/// The model that knows what is popular in a category.
pub const CATEGORY: &str = "category_popular";

/// How many of the products that a suggestion rests on are told, the newest.
const INPUTS_MAX: usize = 5;

/// How many products of a category are looked at.
const CATEGORY_MAX: usize = 500;

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
    (mut visits, shelf): (Option<&mut Visits>, &Shelf<'_>),
) -> Option<Suggestion> {
    let fits = |sku: &Sku| !signals.seen.contains(sku) && !signals.basket.contains(sku);
    let mut found = Found { count, shelf, products: Vec::new(), stock_version: None };

    if let Some(visits) = visits.as_deref_mut() {
        found.take(visits.follow(&signals.seen, signals.time), &fits);
    }
    let model = if found.products.is_empty() { CATEGORY } else { NEIGHBOURS };
    for sku in &signals.seen {
        if found.products.len() >= count {
            break;
        }
        let Some(product) = shelf.product(sku) else { continue };
        found.take(popular(&product.category, visits.as_deref(), shelf), &fits);
    }
    if found.products.is_empty() {
        return None;
    }
    Some(Suggestion {
        model,
        products: found.products.into_iter().cloned().collect(),
        inputs: signals.seen.iter().take(INPUTS_MAX).cloned().collect(),
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

/// What is seen most of a category.
fn popular<'a>(
    category: &str,
    visits: Option<&Visits>,
    shelf: &'a Shelf<'_>,
) -> Vec<(&'a Sku, f64)> {
    let seen = |sku: &Sku| visits.map_or(0.0, |visits| visits.seen(sku));
    shelf.category(category).take(CATEGORY_MAX).map(|sku| (sku, seen(sku))).collect()
}

#[cfg(test)]
mod tests {
    use clickmill_sdk_core::wire::{EventId, Millis, SessionId, Tenant, VisitorId};

    use super::*;
    use crate::decide::visits::Limits;
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
            promotions: Default::default(),
            standing: None,
        }
    }

    fn learned(visits: &[&[&str]]) -> Visits {
        let mut learned = Visits::new(Limits::default());
        for (n, visit) in visits.iter().enumerate() {
            for name in *visit {
                let visit = SessionId::parse(format!("s{n}")).unwrap();
                learned.learn(&Lesson { visit, sku: skus(&[name])[0].clone() }, Millis(0));
            }
        }
        learned
    }

    fn stocked(products: &[(&str, &str, i64)]) -> Tables {
        let tables = Tables::detached();
        for (sku, category, available) in products {
            offer(&tables, (sku, category), *available);
        }
        tables
    }

    /// Model and products, joined by spaces.
    fn ask(signals: &Signals, visits: &mut Visits, tables: &Tables) -> Option<String> {
        let shelf = tables.shelf(&signals.tenant, Millis(0));
        let said = suggest(signals, 3, (Some(visits), &shelf))?;
        let products = said.products.iter().map(|product| product.sku.as_str());
        Some([said.model].into_iter().chain(products).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn what_is_often_seen_together_comes_first() {
        let tables = stocked(&[("A", "x", 1), ("B", "y", 1), ("C", "y", 1), ("D", "z", 1)]);
        let mut visits =
            learned(&[&["A", "B"], &["A", "C"], &["A", "C"], &["A", "C"], &["D", "B"]]);
        assert_eq!(ask(&signals(&["A"], &[]), &mut visits, &tables).unwrap(), "nearest_visits C B");
    }

    #[test]
    fn what_was_seen_or_taken_or_sold_out_is_left_out() {
        let tables = stocked(&[("A", "x", 1), ("B", "y", 1), ("C", "y", 0), ("D", "y", 1)]);
        let mut visits = learned(&[&["A", "B", "C", "D"], &["A", "B", "C", "D"]]);
        let mut ask =
            |seen: &[&str], basket: &[&str]| ask(&signals(seen, basket), &mut visits, &tables);
        assert_eq!(ask(&["A"], &[]).unwrap(), "nearest_visits B D");
        assert_eq!(ask(&["A", "B"], &[]).unwrap(), "nearest_visits D");
        assert_eq!(ask(&["A"], &["B", "D"]), None);
    }

    #[test]
    fn a_product_that_nobody_sells_is_left_out() {
        let tables = stocked(&[("A", "x", 1)]);
        let mut visits = learned(&[&["A", "B"]]);
        assert_eq!(ask(&signals(&["A"], &[]), &mut visits, &tables), None);
    }

    #[test]
    fn the_category_fills_up_and_stands_in() {
        let tables =
            stocked(&[("A", "x", 1), ("B", "y", 1), ("C", "x", 1), ("D", "x", 1), ("E", "x", 1)]);
        let mut visits = learned(&[&["A", "B"], &["E"], &["E"], &["D"]]);
        assert_eq!(
            ask(&signals(&["A"], &[]), &mut visits, &tables).unwrap(),
            "nearest_visits B E D"
        );
        let mut nothing = learned(&[]);
        // Nothing is known of any product: by product number.
        assert_eq!(
            ask(&signals(&["A"], &[]), &mut nothing, &tables).unwrap(),
            "category_popular C D E"
        );
        assert_eq!(ask(&signals(&[], &[]), &mut visits, &tables), None);
    }

    #[test]
    fn the_last_product_counts_most() {
        let tables = stocked(&[("A", "x", 1), ("B", "y", 1), ("C", "z", 1), ("D", "z", 1)]);
        let mut visits = learned(&[&["A", "C"], &["B", "D"]]);
        assert_eq!(
            ask(&signals(&["A", "B"], &[]), &mut visits, &tables).unwrap(),
            "nearest_visits C D"
        );
        assert_eq!(
            ask(&signals(&["B", "A"], &[]), &mut visits, &tables).unwrap(),
            "nearest_visits D C"
        );
    }

    #[test]
    fn the_newest_stock_record_is_named() {
        let tables = stocked(&[("A", "x", 1), ("B", "y", 1), ("C", "y", 1), ("D", "y", 1)]);
        let mut visits = learned(&[&["A", "B", "C"]]);
        let signals = signals(&["A"], &[]);
        let shelf = tables.shelf(&signals.tenant, Millis(0));
        let said = suggest(&signals, 2, (Some(&mut visits), &shelf)).unwrap();
        // The stock of C is the third record of the table.
        assert_eq!((said.stock_version, said.inputs), (Some(2), skus(&["A"])));
    }
}
