//! What is suggested, by cases and for visits that nobody thought of.

use clickmill_sdk_core::wire::{
    Bought, Customer, CustomerId, EventId, Millis, Proven, Sight, Tenant, VisitorId,
};
use proptest::prelude::*;

use super::*;
use crate::decide::learned::Limits;
use crate::decide::visits;
use crate::tables::Tables;
use crate::tables::tests::{know, offer};

const HOUR: u64 = 60 * 60 * 1000;
const NOW: u64 = 1_000 * HOUR;

fn skus(names: &[&str]) -> Vec<Sku> {
    names.iter().map(|name| Sku::parse(*name).unwrap()).collect()
}

fn signals(page: PageKind, seen: &[&str], basket: &[&str]) -> Signals {
    Signals {
        tenant: Tenant::parse("shop").unwrap(),
        visitor: VisitorId::parse("v").unwrap(),
        event: EventId::mint(Millis(0), &[0; 10]),
        received_at: Millis(NOW),
        time: Millis(NOW),
        personalization: None,
        asks: true,
        page,
        category: None,
        locale: None,
        lesson: None,
        seen: skus(seen),
        basket: skus(basket),
        taken: Vec::new(),
        waits: Vec::new(),
        bought: Vec::new(),
        customer: None,
        has_left: false,
        promotions: Default::default(),
        standing: None,
    }
}

fn on_product(seen: &[&str], basket: &[&str]) -> Signals {
    signals(PageKind::Product, seen, basket)
}

fn rules() -> Rules {
    Rules {
        slots: vec![Slot::parse("suggested").unwrap()],
        plan: Plan::default(),
        products_max: 3,
        category_max: 2,
        ordered_rest_ms: 24 * HOUR,
        consumables: BTreeSet::from(["filters".to_owned()]),
    }
}

/// What some visits saw, and what some orders held.
fn learned(visits: &[&[&str]], orders: &[&[&str]]) -> Learned {
    let limits = Limits { visits: visits::Limits::default(), order_half_life_ms: 10_000 * HOUR };
    let mut learned = Learned::new(limits);
    for (n, visit) in visits.iter().enumerate() {
        skus(visit).iter().for_each(|sku| learned.visits.learn(&n, sku, Millis(NOW)));
    }
    for (n, order) in orders.iter().enumerate() {
        learned.orders.learn(&n.to_string(), &skus(order), Millis(NOW));
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

fn all(
    signals: &Signals,
    rules: &Rules,
    (learned, tables): (&mut Learned, &Tables),
) -> Vec<Suggestion> {
    let shelf = tables.shelf(&signals.tenant, Millis(NOW));
    suggest(signals, (rules, &[]), (Some(learned), &shelf))
}

/// Model and products of each slot, joined by spaces.
fn ask(signals: &Signals, learned: &mut Learned, tables: &Tables) -> Vec<String> {
    let told = |said: &Suggestion| {
        let products = said.products.iter().map(|product| product.sku.as_str());
        [said.model.as_str()].into_iter().chain(products).collect::<Vec<_>>().join(" ")
    };
    all(signals, &rules(), (learned, tables)).iter().map(told).collect()
}

#[test]
fn what_is_often_seen_together_comes_first() {
    let tables = stocked(&[("A", "x", 1), ("B", "y", 1), ("C", "y", 1), ("D", "z", 1)]);
    let visits: &[&[&str]] = &[&["A", "B"], &["A", "C"], &["A", "C"], &["A", "C"], &["D", "B"]];
    let mut known = learned(visits, &[]);
    assert_eq!(ask(&on_product(&["A"], &[]), &mut known, &tables), ["nearest_visits C B"]);
}

#[test]
fn who_comes_anew_to_a_category_is_shown_what_is_looked_at_most_in_it() {
    let tables = stocked(&[("A", "x", 1), ("B", "y", 1), ("C", "y", 1), ("D", "z", 1)]);
    let visits: &[&[&str]] = &[&["A"], &["A"], &["A"], &["B"], &["C"], &["C"], &["D"]];
    let mut known = learned(visits, &[]);
    let mut of = |category: Option<&str>, seen: &[&str]| {
        let on = signals(PageKind::Category, seen, &[]);
        let category = category.map(str::to_owned);
        ask(&Signals { category, ..on }, &mut known, &tables)
    };
    assert_eq!(of(Some("y"), &[]), ["category_popular C B"]);
    assert_eq!(of(None, &[]), ["shop_popular A C B"]);
    assert_eq!(of(Some("nothing known"), &[]), ["shop_popular A C B"]);
    // The page's comes before those of what was seen.
    assert_eq!(of(Some("y"), &["D"]), ["category_popular C B"]);
}

#[test]
fn what_was_seen_or_taken_or_sold_out_is_left_out() {
    let tables = stocked(&[("A", "x", 1), ("B", "y", 1), ("C", "y", 0), ("D", "y", 1)]);
    let mut known = learned(&[&["A", "B", "C", "D"], &["A", "B", "C", "D"]], &[]);
    let mut ask =
        |seen: &[&str], basket: &[&str]| ask(&on_product(seen, basket), &mut known, &tables);
    assert_eq!(ask(&["A"], &[]), ["nearest_visits B D"]);
    assert_eq!(ask(&["A", "B"], &[]), ["nearest_visits D"]);
    assert!(ask(&["A"], &["B", "D"]).is_empty());
}

#[test]
fn a_product_that_nobody_sells_is_left_out() {
    let tables = stocked(&[("A", "x", 1)]);
    let mut known = learned(&[&["A", "B"]], &[]);
    assert!(ask(&on_product(&["A"], &[]), &mut known, &tables).is_empty());
}

#[test]
fn the_category_fills_up_and_stands_in_and_at_last_the_whole_shop() {
    let tables =
        stocked(&[("A", "x", 1), ("B", "y", 1), ("C", "x", 1), ("D", "x", 1), ("E", "x", 1)]);
    let mut known = learned(&[&["A", "B"], &["E"], &["E"], &["D"]], &[]);
    assert_eq!(ask(&on_product(&["A"], &[]), &mut known, &tables), ["nearest_visits B E D"]);
    // Nothing is known of any product: by product number.
    let mut nothing = learned(&[], &[]);
    assert_eq!(ask(&on_product(&["A"], &[]), &mut nothing, &tables), ["category_popular C D E"]);
    // Nobody knows what the visitor looks at, nor its category.
    assert_eq!(ask(&on_product(&["Z"], &[]), &mut known, &tables), ["shop_popular E A B"]);
    assert_eq!(ask(&on_product(&[], &[]), &mut known, &tables), ["shop_popular E A B"]);
    assert!(ask(&on_product(&[], &[]), &mut nothing, &tables).is_empty());
}

#[test]
fn the_last_product_counts_most() {
    let tables = stocked(&[("A", "x", 1), ("B", "y", 1), ("C", "z", 1), ("D", "z", 1)]);
    let mut known = learned(&[&["A", "C"], &["B", "D"]], &[]);
    assert_eq!(ask(&on_product(&["A", "B"], &[]), &mut known, &tables), ["nearest_visits C D"]);
    assert_eq!(ask(&on_product(&["B", "A"], &[]), &mut known, &tables), ["nearest_visits D C"]);
}

#[test]
fn substitutes_before_something_is_in_the_basket_and_complements_after_that() {
    let tables = stocked(&[("Kettle", "x", 1), ("Other", "x", 1), ("Filter", "y", 1)]);
    let mut known = learned(&[&["Kettle", "Other"]], &[&["Kettle", "Filter"]]);
    let looks = on_product(&["Kettle"], &[]);
    assert_eq!(ask(&looks, &mut known, &tables), ["nearest_visits Other"]);
    let takes = signals(PageKind::Basket, &["Kettle"], &["Kettle"]);
    assert_eq!(ask(&takes, &mut known, &tables), ["bought_together Filter"]);
    // What was ordered a moment ago still counts as what it is about.
    let mut ordered = signals(PageKind::Order, &["Other"], &[]);
    ordered.bought = vec![bought("Kettle", NOW - 1)];
    assert_eq!(ask(&ordered, &mut known, &tables), ["bought_together Filter"]);
    ordered.bought = vec![bought("Kettle", NOW - HOUR)];
    assert_eq!(ask(&ordered, &mut known, &tables), ["category_popular"; 0]);
}

#[test]
fn who_comes_back_sees_on_the_first_page_what_was_seen_before() {
    let tables = stocked(&[("A", "x", 1), ("B", "y", 1), ("C", "y", 0), ("D", "z", 1)]);
    let mut known = learned(&[&["D"], &["D"]], &[]);
    let comes_back = signals(PageKind::Home, &["A", "B", "C"], &["B"]);
    assert_eq!(ask(&comes_back, &mut known, &tables), ["recently_viewed A"]);
    assert_eq!(ask(&signals(PageKind::Home, &[], &[]), &mut known, &tables), ["shop_popular D"]);
}

fn bought(name: &str, at: u64) -> Sight {
    Sight { sku: Sku::parse(name).unwrap(), at: Millis(at), visit: 1 }
}

#[test]
fn what_was_ordered_rests_unless_it_is_used_up() {
    let tables = stocked(&[("A", "x", 1), ("B", "y", 1), ("F", "filters", 1), ("C", "z", 1)]);
    let mut known = learned(&[&["A", "B", "F", "C"]], &[]);
    let mut looks = on_product(&["A"], &[]);
    assert_eq!(ask(&looks, &mut known, &tables), ["nearest_visits B F C"]);
    looks.bought = vec![bought("B", NOW - 23 * HOUR), bought("F", NOW - HOUR)];
    assert_eq!(ask(&looks, &mut known, &tables), ["nearest_visits F C"]);
    looks.bought = vec![bought("B", NOW - 25 * HOUR)];
    assert_eq!(ask(&looks, &mut known, &tables), ["nearest_visits B F C"]);
}

#[test]
fn what_a_customer_ordered_elsewhere_rests_once_it_is_proven_who_that_is() {
    let tables = stocked(&[("A", "x", 1), ("B", "y", 1), ("F", "filters", 1), ("C", "z", 1)]);
    let mut known = learned(&[&["A", "B", "F", "C"]], &[]);
    let ordered = |sku: &str, at| Bought { sku: Sku::parse(sku).unwrap(), at: Millis(at) };
    let id = CustomerId::parse("ada").unwrap();
    let customer = Customer {
        customer: id.clone(),
        segment: None,
        orders: 2,
        spent_cents: 0,
        last_order_at: None,
        bought: vec![ordered("B", NOW - 23 * HOUR), ordered("C", NOW - 25 * HOUR)],
    };
    know(&tables, &customer);
    let mut looks = on_product(&["A"], &[]);
    assert_eq!(ask(&looks, &mut known, &tables), ["nearest_visits B F C"]);
    looks.customer = Some(Proven { id: id.clone(), until: Millis(NOW) });
    assert_eq!(ask(&looks, &mut known, &tables), ["nearest_visits F C"]);
    // A proof that does not hold any more, and somebody else.
    looks.customer = Some(Proven { id, until: Millis(NOW - 1) });
    assert_eq!(ask(&looks, &mut known, &tables), ["nearest_visits B F C"]);
    let bob = CustomerId::parse("bob").unwrap();
    looks.customer = Some(Proven { id: bob, until: Millis(NOW) });
    assert_eq!(ask(&looks, &mut known, &tables), ["nearest_visits B F C"]);
}

#[test]
fn one_category_gets_its_share_and_more_where_nothing_else_fits() {
    let tables =
        stocked(&[("A", "a", 1), ("K1", "k", 1), ("K2", "k", 1), ("K3", "k", 1), ("T", "t", 1)]);
    let mut known = learned(&[&["A", "K1", "K2", "K3", "T"]], &[]);
    assert_eq!(ask(&on_product(&["A"], &[]), &mut known, &tables), ["nearest_visits K1 K2 T"]);
    let few = stocked(&[("A", "a", 1), ("K1", "k", 1), ("K2", "k", 1), ("K3", "k", 1)]);
    assert_eq!(ask(&on_product(&["A"], &[]), &mut known, &few), ["nearest_visits K1 K2 K3"]);
}

#[test]
fn every_slot_shows_the_model_of_its_plan_and_nothing_twice() {
    let tables = stocked(&[("A", "x", 1), ("B", "y", 1), ("C", "z", 1), ("D", "z", 1)]);
    let mut known = learned(&[&["A", "B"], &["B", "C"], &["D"]], &[&["A", "B"], &["A", "C"]]);
    let slots = ["top", "below", "last"].map(|slot| Slot::parse(slot).unwrap()).to_vec();
    let line = |slot: usize, model| super::super::plan::Line {
        page: None,
        slot: Some(slots[slot].clone()),
        models: vec![model],
    };
    let plan = Plan(vec![line(0, Model::NearestVisits), line(1, Model::BoughtTogether)]);
    let rules = Rules { slots, plan, products_max: 1, ..rules() };
    let said = all(&on_product(&["A"], &[]), &rules, (&mut known, &tables));
    let told: Vec<_> = said
        .iter()
        .map(|said| (said.slot, said.model, said.products[0].sku.as_str(), said.support))
        .collect();
    assert_eq!(
        told,
        [(0, Model::NearestVisits, "B", Some(1)), (1, Model::BoughtTogether, "C", Some(1))]
    );
    assert_eq!(said[1].inputs, skus(&["A"]));
}

#[test]
fn the_newest_stock_record_is_named() {
    let tables = stocked(&[("A", "x", 1), ("B", "y", 1), ("C", "y", 1), ("D", "y", 1)]);
    let mut known = learned(&[&["A", "B", "C"]], &[]);
    let rules = Rules { products_max: 2, ..rules() };
    let said = all(&on_product(&["A"], &[]), &rules, (&mut known, &tables));
    // The stock of C is the third record of the table.
    assert_eq!((said[0].stock_version, &said[0].inputs), (Some(2), &skus(&["A"])));
}

/// Products by number: in one of three categories, the third of which is used up.
const PRODUCTS: usize = 14;

fn name(n: usize) -> String {
    format!("P{n:02}")
}

fn category(n: usize) -> &'static str {
    ["kettles", "toasters", "filters"][n % 3]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_rule_is_ever_broken(
        (stock, visits, orders) in (
            prop::collection::vec(0..3_i64, PRODUCTS),
            prop::collection::vec(prop::collection::vec(0..PRODUCTS, 1..6), 0..12),
            prop::collection::vec(prop::collection::vec(0..PRODUCTS, 2..5), 0..12),
        ),
        (page, seen, basket, ordered) in (
            0..PageKind::ALL.len(),
            prop::collection::vec(0..PRODUCTS, 0..6),
            prop::collection::vec(0..PRODUCTS, 0..4),
            prop::collection::vec((0..PRODUCTS, 0..48_u64), 0..4),
        ),
        (slots, products_max, category_max) in (1..4_usize, 1..5_usize, 1..4_usize),
    ) {
        let tables = Tables::detached();
        for (n, available) in stock.iter().enumerate() {
            offer(&tables, (&name(n), category(n)), *available);
        }
        let names = |list: &[usize]| list.iter().map(|n| name(*n)).collect::<Vec<_>>();
        let named: (Vec<_>, Vec<_>) = (
            visits.iter().map(|visit| names(visit)).collect(),
            orders.iter().map(|order| names(order)).collect(),
        );
        let refs = |lists: &[Vec<String>]| -> Vec<Vec<Sku>> {
            lists.iter().map(|list| list.iter().map(|n| Sku::parse(n).unwrap()).collect()).collect()
        };
        let mut known = learned(&[], &[]);
        for (n, visit) in refs(&named.0).iter().enumerate() {
            visit.iter().for_each(|sku| known.visits.learn(&n, sku, Millis(NOW)));
        }
        for (n, order) in refs(&named.1).iter().enumerate() {
            known.orders.learn(&n.to_string(), order, Millis(NOW));
        }
        let mut about = signals(PageKind::ALL[page], &[], &[]);
        for n in seen {
            let sku = Sku::parse(name(n)).unwrap();
            if !about.seen.contains(&sku) {
                about.seen.push(sku);
            }
        }
        about.basket = basket.iter().map(|n| Sku::parse(name(*n)).unwrap()).collect();
        about.bought =
            ordered.iter().map(|(n, age)| bought(&name(*n), NOW - age * HOUR)).collect();
        let slots = (0..slots).map(|n| Slot::parse(format!("s{n}")).unwrap()).collect();
        let rules = Rules { slots, products_max, category_max, ..rules() };

        let said = all(&about, &rules, (&mut known, &tables));

        let number = |sku: &Sku| sku.as_str()[1..].parse::<usize>().unwrap();
        let may = |n: usize| {
            let sku = Sku::parse(name(n)).unwrap();
            let rests = category(n) != "filters"
                && ordered.iter().any(|(of, age)| *of == n && *age < 24);
            let is_current = about.page != PageKind::Home && about.seen.first() == Some(&sku);
            stock[n] > 0 && !rests && !is_current && !about.basket.contains(&sku)
        };
        let mut shown = BTreeSet::new();
        let mut filled = BTreeSet::new();
        for one in &said {
            prop_assert!(filled.insert(one.slot) && one.slot < rules.slots.len());
            prop_assert!((1..=products_max).contains(&one.products.len()));
            prop_assert!(rules.plan.models(about.page, &rules.slots[one.slot]).contains(&one.model));
            for product in &one.products {
                let n = number(&product.sku);
                prop_assert!(may(n), "{n} of {:?}", one.model);
                prop_assert!(shown.insert(n), "{n} twice");
            }
        }
        for one in &said {
            // Of these it is plain what else there is.
            let others: Vec<usize> = match one.model {
                Model::ShopPopular => (0..PRODUCTS)
                    .filter(|n| known.visits.seen(&Sku::parse(name(*n)).unwrap()) > 0.0)
                    .filter(|n| !about.seen.contains(&Sku::parse(name(*n)).unwrap()))
                    .collect(),
                Model::RecentlyViewed => about.seen.iter().map(number).collect(),
                _ => continue,
            };
            let count = |of: &str| one.products.iter().filter(|p| p.category == of).count();
            let is_spread = one.products.iter().all(|p| count(&p.category) <= category_max);
            let missed = others.iter().find(|n| {
                may(**n) && !shown.contains(*n) && count(category(**n)) < category_max
            });
            prop_assert!(is_spread || missed.is_none(), "{missed:?} in place of {one:?}");
            // Nor is a place left empty that something could fill.
            let left = others.iter().any(|n| may(*n) && !shown.contains(n));
            prop_assert!(one.products.len() == products_max || !left);
        }
    }
}
