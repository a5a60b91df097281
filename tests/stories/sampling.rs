//! A collector that asks for a share of a site's visitors: who is left out says only what all must be
//! counted by, and every event says the share that it stands for.

use std::collections::BTreeMap;

use clickmill_sdk_core::wire::{Record, Topic};
use clickmill_tests::browser::Engine;
use clickmill_tests::until::until_enough;
use clickmill_tests::{Visit, World};

in_engines!(who_is_left_out_of_a_sample_tells_of_exposures_and_orders_alone: chromium);

/// As good as nobody is in it.
const SHARE: f64 = 0.0001;

/// How many events of each kind there are, and what shares they say.
fn told(records: &[Record]) -> BTreeMap<(String, Option<String>), usize> {
    let mut told = BTreeMap::new();
    for record in records {
        let share = record.sample.map(|share| share.to_string());
        *told.entry((record.kind.as_str().to_owned(), share)).or_default() += 1;
    }
    told
}

async fn who_is_left_out_of_a_sample_tells_of_exposures_and_orders_alone(engine: Engine) {
    let world = World::builder().set(|setup, _| setup.site += &format!("sample = {SHARE}\n"));
    let visit = Visit::builder().engine(engine).world(world).start().await;
    // The first receipt says it; what was on its way before is told of.
    let records = async |count: usize| {
        let read = || async { visit.world.read(Topic::ClicksRaw).await };
        until_enough("the events", read, |records: &Vec<Record>| records.len() >= count).await
    };
    records(1).await;
    until_enough("the receipt", || async { visit.state().await }, |state| state.books.settled > 0)
        .await;
    let seen = "clickmill.track('product_view', { sku: 'KET-1' });";
    let says = "clickmill.track('exposure', { hint: 'v.0.1.0', slot: 'suggested' });
        clickmill.track('order', { order: 'o-1', lines: [{ sku: 'KET-1', price_cents: 100 }],
          total_cents: 100, currency: 'GBP' });
        clickmill.flush();";
    visit.run(&format!("{seen}{seen}{says}")).await;
    let found = told(&records(3).await);
    let share = Some(SHARE.to_string());
    let expected = [
        (("exposure".to_owned(), share.clone()), 1),
        (("order".to_owned(), share), 1),
        (("page_view".to_owned(), None), 1),
    ];
    assert_eq!(found, BTreeMap::from(expected));
    visit.world.books_balance().await;
    visit.close().await;
}
