//! What is taken, what is refused and why, and that what is taken ends soon.

use std::time::{Duration, Instant};

use super::*;

fn compile(text: &str) -> Result<Expression, Unfit> {
    Expression::compile(text, &Language::default())
}

/// Whether it holds for a visitor of whom much is known.
fn holds(text: &str) -> bool {
    compile(text).unwrap_or_else(|why| panic!("{text} {why}")).holds(&Scene::sample()).unwrap()
}

#[test]
fn conditions_mean_what_they_say() {
    for true_one in [
        "true",
        "visit.pages >= 4 && product.category == 'kettles'",
        "product.sku in visitor.basket",
        "visitor.seen.exists(sku, sku.startsWith('TOA'))",
        "size(visit.searches) == 2 && visit.searches[0] == 'kettle'",
        "visitor.categories.all(c, c in ['kettles', 'toasters'])",
        "visit.campaign.name == 'spring' || visit.referrer.contains('search')",
        "now.hour * 60 + now.minute >= 8 * 60 + 30 && now.weekday == 5",
        "product.price_cents > 1000 ? visitor.visits == 3 : false",
        "size(visitor.seen.filter(s, s != product.sku)) == 1",
        "visit.ms / visit.pages > 1000 || visit.pages == 0",
        "customer.is_proven && customer.segment in ['gold', 'silver'] && customer.orders > 3",
        "customer.days_since_order == 100 && customer.spent_cents / 100 == 399",
        "product.sku in customer.bought",
        "event.type == 'product_view' && !visitor.is_new && visitor.consent",
    ] {
        // One of them divides, and says what is to be where it cannot.
        if true_one.contains(" / ") {
            assert!(compile(true_one).is_err() || holds(true_one));
        } else {
            assert!(holds(true_one), "{true_one}");
        }
    }
    assert!(!holds("visit.pages > 4"));
    let names = compile("visit.pages > 1 && visit.pages < 9 && product.sku != ''").unwrap();
    assert_eq!(names.names(), ["visit.pages", "product.sku"]);
}

#[test]
fn what_is_wrong_is_named() {
    let long = format!("'{}' == ''", "x".repeat(BYTES_MAX));
    for (text, says) in [
        ("", "cannot be read"),
        ("visit.pages >", "cannot be read"),
        ("visit.page > 3", "there is no `visit.page`, but visit.ms, visit.events"),
        ("vist.pages > 3", "names begin with visitor, customer, visit, event, product, now"),
        ("customer.segments == 'x'", "there is no `customer.segments`, but customer.is_proven"),
        ("customer.orders == '3'", "a number is compared with a text"),
        ("visit", "there is no `visit`"),
        ("true || visit.pages == '3'", "a number is compared with a text"),
        ("visit.pages in visitor.seen", "a number is compared with a list of texts"),
        ("has(visit.pages)", "`has` is not needed"),
        ("visit.pages", "it is a int, not true or false"),
        ("true || visit.referrer.matches('.*')", "no function `matches`"),
        ("true || foo(1)", "there is no function `foo`"),
        ("true || !visit.pages", "fails for a visitor of whom much is known"),
        ("true || visit.pages + 'x' == ''", "fails for a visitor of whom much is known"),
        ("visit.ms / visit.pages > 3", "fails for a visitor of whom nothing is known"),
        ("visit.searches[0] == 'x'", "fails for a visitor of whom nothing is known"),
        ("visitor.seen.exists(s, s.sku == 'x')", "`s` has no parts"),
        ("{'a': 1} == {}", "maps cannot be made"),
        ("((((((((((((((true))))))))))))))", "brackets in each other"),
        (&long, "is longer than 1000 bytes"),
    ] {
        let said = compile(text).unwrap_err().to_string();
        assert!(said.contains(says), "{text}: {said}");
    }
}

/// Conditions made to run away: each is refused, or ends at once.
#[test]
fn no_condition_holds_the_stream_up() {
    let walk = |inner: &str| format!("visitor.basket.all(a, {inner})");
    let doubled = format!("size(visitor.basket{} ) > 3", ".map(x, x + x + x + x)".repeat(30));
    let listed = format!("size([1]{}) > 3", ".map(x, [x, x, x, x, x, x, x, x])".repeat(20));
    let wide = ["visitor.basket.exists(b, b == product.sku)"; 12].join(" && ");
    for dear in [
        walk("visitor.basket.all(b, visitor.basket.all(c, a != b))"),
        walk("visitor.basket.all(b, visit.searches.exists(s, s == a + b))"),
        walk(&format!("visitor.basket.all(b, {})", vec!["a != b"; 40].join(" || "))),
        doubled,
        listed,
    ] {
        let refused = compile(&dear);
        assert!(refused.is_err(), "{dear} takes {}", refused.unwrap().cost());
    }
    let expression = compile(&wide).unwrap();
    assert!(expression.cost() > COST_MAX / 4, "{}", expression.cost());
    let started = Instant::now();
    expression.holds(&Scene::sample()).unwrap();
    assert!(started.elapsed() < Duration::from_secs(1));
}
