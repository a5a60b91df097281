//! A collector that asks for a share of a site's visitors: who is left out says only what all must be
//! counted by, and every event says the share that it stands for.

use std::collections::BTreeMap;

use clickmill_sdk_core::wire::{Record, Topic};
use clickmill_tests::browser::Engine;
use clickmill_tests::until::until_enough;
use clickmill_tests::{Visit, World};

in_each_engine!(
    who_is_left_out_of_a_sample_tells_of_exposures_and_orders_alone,
    who_is_in_a_sample_says_for_how_many,
);

/// As good as nobody is in it.
const FEW: &str = "sample = 0.000001\n";
/// As good as everybody.
const MOST: &str = "sample = 0.9999\n";

/// A visit to a site that wants to hear of some of its visitors. The first receipt says so; what was on
/// its way before is told of.
async fn sampled(engine: Engine, settings: &'static str) -> Visit {
    let world = World::builder().set(|setup, _| setup.site += settings);
    let visit = Visit::builder().engine(engine).world(world).start().await;
    until_enough("the receipt", || async { visit.state().await }, |state| state.books.settled > 0)
        .await;
    visit
}

/// How many events of each kind there are, and what shares they say.
async fn told(visit: &Visit, count: usize) -> BTreeMap<(String, Option<String>), usize> {
    let read = || async { visit.world.read(Topic::ClicksRaw).await };
    let records = until_enough("the events", read, |all: &Vec<Record>| all.len() >= count).await;
    let mut told = BTreeMap::new();
    for record in records {
        let share = record.sample.map(|share| share.to_string());
        *told.entry((record.kind.as_str().to_owned(), share)).or_default() += 1;
    }
    told
}

async fn who_is_left_out_of_a_sample_tells_of_exposures_and_orders_alone(engine: Engine) {
    let visit = sampled(engine, FEW).await;
    let seen = "clickmill.track('product_view', { sku: 'KET-1' });";
    let says = "clickmill.track('exposure', { hint: 'v.0.1.0', slot: 'suggested' });
        clickmill.track('order', { order: 'o-1', lines: [{ sku: 'KET-1', price_cents: 100 }],
          total_cents: 100, currency: 'GBP' });
        clickmill.flush();";
    visit.run(&format!("{seen}{seen}{says}")).await;
    let found = told(&visit, 3).await;
    // These stand for nobody else.
    let kinds = ["exposure", "order", "page_view"];
    assert_eq!(found, kinds.into_iter().map(|kind| ((kind.to_owned(), None), 1)).collect());
    visit.world.books_balance().await;
    visit.close().await;
}

async fn who_is_in_a_sample_says_for_how_many(engine: Engine) {
    let visit = sampled(engine, MOST).await;
    visit
        .run("clickmill.track('product_view', { sku: 'KET-1' }); clickmill.track('exposure', { hint: 'v.0.1.0', slot: 'suggested' }); clickmill.flush()")
        .await;
    let found = told(&visit, 3).await;
    let share = Some("0.9999".to_owned());
    let expected = [
        (("exposure".to_owned(), None), 1),
        (("page_view".to_owned(), None), 1),
        (("product_view".to_owned(), share), 1),
    ];
    assert_eq!(found, BTreeMap::from(expected));
    visit.world.books_balance().await;
    visit.close().await;
}
