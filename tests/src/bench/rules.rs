//! What rules of promotions cost an event: the visitor view without rules, with 50 and with 200, fed by the
//! simulation that `clickmill-relay simulate` runs, in this process, without Kafka.

use std::time::Duration;

use clickmill_relay::promotions::rules::read_bytes;
use clickmill_relay::promotions::simulate::{Recorded, Report, Simulation, read_recording};
use clickmill_sdk_core::wire::{Product, Sku, Tenant};

use crate::figure::{Figure, Style};
use crate::kafka::TENANT;

/// How many rules there are.
const COUNTS: [usize; 3] = [0, 50, 200];

/// Looks at products, each of which is put to the conditions of all rules.
const EVENTS: usize = 50_000;
/// Who looks.
const VISITORS: usize = 2_000;
/// What there is to look at, in ten categories.
const PRODUCTS: usize = 500;

/// Each number of rules is measured so often, in turns; the quickest counts.
const ROUNDS: usize = 3;

/// Measures and prints.
///
/// # Panics
/// When a rule is refused, or none is ever shown.
pub fn measure(style: Style) {
    let tenant = Tenant::parse(TENANT).expect("a tenant");
    let products: Vec<Product> = (0..PRODUCTS).map(product).collect();
    let text: String = (0..EVENTS).map(line).collect();
    let (recorded, unread) = read_recording(text.as_bytes(), &tenant).expect("a recording");
    assert_eq!((recorded.len(), unread), (EVENTS, 0));
    let mut best = [Duration::MAX; COUNTS.len()];
    for _ in 0..ROUNDS {
        for (best, count) in best.iter_mut().zip(COUNTS) {
            let report = run(count, (&tenant, &products), &recorded);
            *best = report.spent.min(*best);
        }
    }
    for (spent, count) in best.iter().zip(COUNTS) {
        let print = |name: String, value, unit| {
            Figure { bench: "rules", name: &name, value, unit }.print(style);
        };
        let seconds = spent.as_secs_f64();
        print(format!("us_per_event_with_{count}"), seconds * 1e6 / EVENTS as f64, "us");
        if count > 0 {
            let pairs = (count * EVENTS) as f64;
            // All that an event takes, folding included, and what the rules alone add to it.
            print(format!("rules_x_events_per_s_with_{count}"), pairs / seconds, "1/s");
            let added = spent.saturating_sub(best[0]).as_secs_f64();
            print(format!("ns_per_rule_with_{count}"), added * 1e9 / pairs, "ns");
        }
    }
}

fn run(count: usize, offered: (&Tenant, &[Product]), recorded: &[Recorded]) -> Report {
    let entries = read_bytes("rules.toml", rules(count).as_bytes());
    let mut simulation = Simulation::new(entries, offered);
    recorded.iter().for_each(|recorded| simulation.run(recorded));
    let report = simulation.report();
    assert_eq!(report.refusals(), [], "all rules are good");
    assert_eq!(report.events as usize, EVENTS);
    let is_shown = count == 0 || (0..count).any(|n| report.shown(&name(n)) > 0);
    assert!(is_shown, "some rules are shown");
    report
}

fn name(n: usize) -> String {
    format!("rule-{n}")
}

/// Rules as a shop has them: about the product, the visit, the basket, who it is and what they saw, most
/// of which do not apply to most events. None is left out before its condition is looked at.
fn rules(count: usize) -> String {
    let mut text = format!("tenant = \"{TENANT}\"\n");
    for n in 0..count {
        let (name, slot, least) = (name(n), n % 5, n % 9);
        let (when, audience) = match n % 5 {
            0 => (format!("product.category == 'c{}' && visit.products > {least}", n % 10), "true"),
            1 => (format!("visit.pages + visit.products >= {}", 10 + least), "visitor.is_new"),
            2 => (format!("visitor.basket_cents > {}", 1_000 * n), "customer.segment == 'gold'"),
            3 => (format!("'SKU-{n}' in visitor.seen"), "visitor.consent"),
            _ => (
                format!("product.price_cents > {} && product.available < 10", 100 * n),
                "visitor.visits > 1 || now.hour >= 18",
            ),
        };
        text.push_str(&format!(
            "[[rule]]\nname = \"{name}\"\nslot = \"slot-{slot}\"\npriority = {least}\n\
             on = [\"product_view\"]\nwhen = \"{when}\"\naudience = \"{audience}\"\n\
             caps = {{ visit = 2, day = 4 }}\ncool_down = {{ rule = \"1h\" }}\n\
             content = {{ title = \"No. {n}\" }}\n"
        ));
    }
    text
}

fn product(n: usize) -> Product {
    Product {
        sku: Sku::parse(format!("SKU-{n}")).expect("a product number"),
        name: format!("Product no. {n}"),
        category: format!("c{}", n % 10),
        price_cents: 100 * n as u64,
        currency: "EUR".to_owned(),
        url: format!("/p/SKU-{n}"),
        image: None,
    }
}

/// A line of the recording: visitors take turns, a second apart.
fn line(n: usize) -> String {
    let (visitor, sku, at) = (n % VISITORS, (n * 7_919) % PRODUCTS, 1_800_000_000 + n);
    format!("v{visitor}\tSKU-{sku}\t{at}\n")
}
