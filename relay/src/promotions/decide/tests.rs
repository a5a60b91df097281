//! Rules against each other, against the tables, and in time.

use clickmill_sdk_core::wire::{Sku, Tenant};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::promotions::rule::tests::{rule, shop};
use crate::promotions::scene::Facts;
use crate::tables::Tables;
use crate::tables::tests::offer;

/// As many as one likes, up to a number.
struct Left(std::cell::Cell<u64>);

impl Quota for Left {
    fn take(&self, rule: &Rule) -> bool {
        if rule.caps.total.is_none() {
            return true;
        }
        let left = self.0.get();
        self.0.set(left.saturating_sub(1));
        left > 0
    }
}

/// A visitor, and what happens to it.
struct Stand {
    rules: Vec<Arc<Rule>>,
    tables: Tables,
    tenant: Tenant,
    history: History,
    left: Left,
    now: u64,
    visit: u32,
}

impl Stand {
    fn new(rules: &[(&str, Value)]) -> Self {
        let mut rules: Vec<Arc<Rule>> =
            rules.iter().map(|(name, more)| Arc::new(rule(name, more.clone()))).collect();
        rules.sort_by_key(|rule| (-rule.priority, rule.name.clone()));
        let tables = Tables::detached();
        offer(&tables, ("KET-1", "kettles"), 5);
        offer(&tables, ("TOA-1", "toasters"), 5);
        Self {
            rules,
            tables,
            tenant: shop(),
            history: History::default(),
            left: Left(3.into()),
            now: 1_800_000_000_000,
            visit: 1,
        }
    }

    /// A look at a product, so much later; what came of it, by rule.
    fn look(&mut self, later_ms: u64, sku: &str) -> Vec<String> {
        self.look_as("v", later_ms, sku)
    }

    fn look_as(&mut self, visitor: &str, later_ms: u64, sku: &str) -> Vec<String> {
        self.now += later_ms;
        let visitor = VisitorId::parse(visitor).unwrap();
        let (now, visit) = (Millis(self.now), self.visit);
        let case = Case { visitor: &visitor, visit, now, asks: true, slots: None };
        let facts =
            Facts { event: "product_view".into(), sku: Sku::parse(sku).ok(), ..Facts::default() };
        let shelf = self.tables.shelf(&self.tenant, now);
        let mut scene = Scene::new(facts, &shelf);
        let both = (&mut self.history, &shelf);
        let verdicts = decide(&self.rules, (&case, &mut scene), both, &self.left);
        let said = |v: &Verdict| format!("{} {}", v.rule.name, v.outcome.as_str());
        verdicts.iter().map(said).collect()
    }
}

#[test]
fn of_one_slot_the_highest_is_shown_and_holds_it_until_it_ends() {
    let mut stand = Stand::new(&[
        ("low", json!({"priority": 1, "lifetime": "10s"})),
        ("b-middle", json!({"priority": 5, "lifetime": "10s", "when": "product.sku == 'KET-1'"})),
        ("a-middle", json!({"priority": 5, "lifetime": "10s", "when": "product.sku == 'TOA-1'"})),
        ("high", json!({"priority": 9, "lifetime": "1s", "when": "now.ms > 1800000004000"})),
        ("other", json!({"slot": "aside", "lifetime": "1h"})),
    ]);
    assert_eq!(stand.look(0, "KET-1"), ["b-middle shown", "low outranked", "other shown"]);
    // An equal one does not take the place of the one that is shown, though its name comes first.
    assert_eq!(stand.look(1_000, "TOA-1"), ["a-middle outranked", "low outranked", "other holds"]);
    assert_eq!(
        stand.look(4_000, "TOA-1"),
        ["high shown", "a-middle outranked", "low outranked", "other holds"]
    );
    assert_eq!(stand.look(9_000, "MIX-1"), ["high shown", "low outranked", "other holds"]);
}

#[test]
fn caps_and_cool_downs_go_by_visit_day_and_time() {
    let mut stand = Stand::new(&[(
        "r",
        json!({"lifetime": "1s", "caps": {"visit": 2, "day": 3, "ever": 4},
            "cool_down": {"rule": "10s"}}),
    )]);
    assert_eq!(stand.look(0, "KET-1"), ["r shown"]);
    assert_eq!(stand.look(500, "KET-1"), ["r holds"]);
    assert_eq!(stand.look(1_000, "KET-1"), ["r cooling"]);
    assert_eq!(stand.look(10_000, "KET-1"), ["r shown"]);
    assert_eq!(stand.look(60_000, "KET-1"), ["r capped"]);
    stand.visit = 2;
    assert_eq!(stand.look(60_000, "KET-1"), ["r shown"]);
    stand.visit = 3;
    assert_eq!(stand.look(60_000, "KET-1"), ["r capped"]);
    assert_eq!(stand.look(24 * 3_600_000, "KET-1"), ["r shown"]);
    assert_eq!(stand.look(24 * 3_600_000, "KET-1"), ["r capped"]);
}

#[test]
fn what_cannot_be_had_is_not_shown_and_holds_no_slot() {
    let mut stand = Stand::new(&[
        ("named", json!({"priority": 2, "products": ["KET-1", "GONE"]})),
        ("seen", json!({"priority": 1, "products": "seen"})),
    ]);
    assert_eq!(stand.look(0, "TOA-1"), ["named shown", "seen outranked"]);
    offer(&stand.tables, ("KET-1", "kettles"), 0);
    assert_eq!(stand.look(1, "TOA-1"), ["named sold_out", "seen shown"]);
    // It is about another product: it is shown anew, and counts.
    offer(&stand.tables, ("MIX-1", "mixers"), 1);
    assert_eq!(stand.look(1, "MIX-1"), ["named sold_out", "seen shown"]);
    assert_eq!(stand.look(1, "MIX-1"), ["named sold_out", "seen holds"]);
    let mark = stand.history.mark(&stand.rules[1].name).unwrap();
    assert_eq!((mark.times, mark.sku.as_ref().map(Sku::as_str)), (2, Some("MIX-1")));
    assert_eq!(stand.look(1, "NOWHERE"), ["named sold_out", "seen sold_out"]);
}

#[test]
fn who_is_held_out_is_told_once_and_sees_what_comes_next() {
    let mut stand = Stand::new(&[
        (
            "high",
            json!({"priority": 2, "holdout": {"percent": 100}, "lifetime": "1m",
            "caps": {"ever": 2, "total": 1}}),
        ),
        ("low", json!({"lifetime": "1h", "cool_down": {"any": "1h"}})),
    ]);
    assert_eq!(stand.look(0, "KET-1"), ["high held_out", "low shown"]);
    assert_eq!(stand.look(1_000, "KET-1"), ["low holds"]);
    assert_eq!(stand.look(60_000, "KET-1"), ["high held_out", "low holds"]);
    assert_eq!(stand.look(60_000, "KET-1"), ["high capped", "low holds"]);
    // Nothing was shown, so nothing of the total is gone.
    assert_eq!(stand.left.0.get(), 3);
}

#[test]
fn the_total_is_for_all_visitors() {
    let mut stand = Stand::new(&[("r", json!({"caps": {"total": 3}, "lifetime": "1s"}))]);
    let said: Vec<String> = (0..5).flat_map(|_| stand.look(2_000, "KET-1")).collect();
    assert_eq!(said, ["r shown", "r shown", "r shown", "r spent_out", "r spent_out"]);
}

#[test]
fn a_schedule_ends_what_it_began() {
    let until = "2027-01-15T08:00:10Z";
    let mut stand = Stand::new(&[("r", json!({"schedule": {"until": until}, "lifetime": "1h"}))]);
    assert_eq!(stand.look(0, "KET-1"), ["r shown"]);
    let mark = stand.history.mark(&stand.rules[0].name).unwrap();
    assert_eq!(mark.until.0, 1_800_000_010_000);
    assert!(stand.look(10_000, "KET-1").is_empty());
}

#[test]
fn a_condition_that_fails_later_is_told_and_takes_nobody_along() {
    let fails = "visit.pages == 4 || 10 / (product.price_cents - 100) == 0";
    let mut stand = Stand::new(&[("bad", json!({"when": fails})), ("good", json!({}))]);
    assert_eq!(stand.look(0, "KET-1"), ["bad failed", "good shown"]);
}

#[derive(Clone, Debug)]
struct Step {
    later_ms: u64,
    sku: usize,
    stock: Option<i64>,
    next_visit: bool,
}

fn step() -> impl Strategy<Value = Step> {
    (1..200_000_u64, 0..3_usize, prop::option::weighted(0.2, 0..3_i64), prop::bool::weighted(0.1))
        .prop_map(|(later_ms, sku, stock, next_visit)| Step { later_ms, sku, stock, next_visit })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Whatever happens: at most one promotion in a slot, none of what is sold out, none outside its
    /// hours, no cap exceeded, and the same again from the same beginning.
    #[test]
    fn what_must_hold_holds(steps in prop::collection::vec(step(), 1..40)) {
        let rules = [
            ("a", json!({"priority": 3, "when": "product.category == 'kettles'", "lifetime": "30s",
                "caps": {"visit": 1, "total": 3}})),
            ("b", json!({"priority": 3, "products": "seen", "lifetime": "2m",
                "cool_down": {"rule": "3m"}})),
            ("c", json!({"products": ["TOA-1"], "schedule": {"hours": "08:00-08:20"}})),
            ("d", json!({"slot": "aside", "holdout": {"percent": 50}, "caps": {"day": 5}})),
        ];
        let (mut one, mut two) = (Stand::new(&rules), Stand::new(&rules));
        let mut totals = 0;
        for Step { later_ms, sku, stock, next_visit } in steps {
            let sku = ["KET-1", "TOA-1", "NONE-1"][sku];
            let mut said = Vec::new();
            for stand in [&mut one, &mut two] {
                if let Some(available) = stock {
                    offer(&stand.tables, (sku, "kettles"), available);
                }
                stand.visit += u32::from(next_visit);
                said.push(stand.look(later_ms, sku));
            }
            prop_assert_eq!(&said[0], &said[1]);
            let shelf = one.tables.shelf(&one.tenant, Millis(one.now));
            let running = running(&one.rules, &one.history, (Millis(one.now), &shelf));
            let mut slots: Vec<_> = running.iter().map(|rule| rule.slot.clone()).collect();
            slots.sort();
            slots.dedup();
            prop_assert_eq!(slots.len(), running.len());
            for rule in &running {
                prop_assert!(rule.schedule.holds(Millis(one.now)));
                let mark = one.history.mark(&rule.name).unwrap();
                prop_assert!(rule.pick(mark.sku.as_ref(), &shelf).is_some());
            }
            totals += said[0].iter().filter(|line| *line == "a shown").count();
            prop_assert!(totals <= 3);
            let of_day = one.history.mark(&one.rules[3].name).map_or(0, |mark| mark.today);
            prop_assert!(of_day <= 5);
        }
    }
}
