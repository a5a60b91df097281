//! A visitor takes consent back, in a real browser: what knew them is gone there and ends here, the
//! decision is recorded, and nothing that comes later names them.

use std::collections::BTreeSet;

use clickmill_sdk_core::wire::{Record, Topic};
use clickmill_tests::browser::{Browser, Engine};
use clickmill_tests::until::{until, until_enough};
use clickmill_tests::{TENANT, Visit, World};
use serde_json::{Value, json};

use crate::identity::search;

/// Streams that the relay holds open.
const STREAMS: &str = "clickmill_relay_streams_open";

/// Long words in whatever the site has stored in this browser: ids, secrets, tokens.
const STORED: &str = r"
    const done = arguments[arguments.length - 1];
    const words = (value) => JSON.stringify(value).match(/[\w-]{22,}/g) ?? [];
    const all = (request) => new Promise((give, fail) => {
      request.onsuccess = () => give(request.result);
      request.onerror = () => fail(request.error);
    });
    (async () => {
      const found = words({ ...localStorage });
      for (const { name } of await indexedDB.databases()) {
        const database = await all(indexedDB.open(name));
        for (const store of database.objectStoreNames) {
          const kept = database.transaction(store).objectStore(store);
          found.push(...words([await all(kept.getAllKeys()), await all(kept.getAll())]));
        }
        database.close();
      }
      done(found);
    })().catch((error) => done(String(error)))";

async fn stored(browser: &Browser) -> Vec<String> {
    let said = browser.later(STORED).await;
    serde_json::from_value(said.clone()).unwrap_or_else(|_| panic!("{said}"))
}

/// The names of the cookies that the browser would send.
async fn cookies(browser: &Browser) -> Vec<String> {
    let cookies = browser.client.get_all_cookies().await.expect("the cookies");
    cookies.iter().map(|cookie| cookie.name().to_owned()).collect()
}

/// The first record of that type in the raw topic, with its key and its text.
async fn recorded(world: &World, kind: &str) -> (Option<String>, String) {
    until(&format!("a {kind} is recorded"), || async {
        let records = world.kafka.records(Topic::ClicksRaw).await;
        let of_kind = |value: &str| {
            let record: Record = serde_json::from_str(value).expect("a record");
            record.kind.as_str() == kind
        };
        let found = records.into_iter().find(|record| of_kind(&record.value))?;
        Some((found.key, found.value))
    })
    .await
}

in_each_engine!(
    who_withdraws_consent_in_one_tab_is_forgotten_in_the_others,
    a_page_that_was_away_when_consent_was_withdrawn_brings_nobody_back,
);

/// Waits until the page says that nothing is granted, and nothing is stored.
async fn is_refused(browser: &Browser) {
    let said = || async { browser.run("return clickmill.consent()").await };
    until_enough("the withdrawal", said, |said| *said == "").await;
    until_enough("nothing is kept", || stored(browser), Vec::is_empty).await;
}

/// Says something in the page; whose it is.
async fn whose(visit: &Visit, sku: &str) -> Option<String> {
    let say = format!("clickmill.track('wishlist_add', {{ sku: '{sku}' }}); clickmill.flush()");
    visit.run(&say).await;
    let visitor = search(&visit.world, sku).await.context.visitor;
    visitor.map(|visitor| visitor.as_str().to_owned())
}

async fn who_withdraws_consent_in_one_tab_is_forgotten_in_the_others(engine: Engine) {
    let visit = Visit::builder().engine(engine).start().await;
    let first = visit.client.window().await.expect("the first tab");
    let visitor = whose(&visit, "first").await.expect("a visitor");
    visit.new_tab().await;
    visit.go("").await;
    visit.has_core().await;
    assert_eq!(whose(&visit, "second").await, Some(visitor.clone()));
    visit.run("clickmill.consent(''); clickmill.flush()").await;
    visit.client.switch_to_window(first).await.expect("it is there");
    is_refused(&visit).await;
    assert_eq!(whose(&visit, "nobodys").await, None);
    assert_eq!(stored(&visit).await, [""; 0]);
    // Until they say something else themselves.
    visit.run("clickmill.consent('analytics')").await;
    let again = whose(&visit, "again").await.expect("a visitor");
    assert_ne!(again, visitor);
    // That is nothing for the tab in which they refused, and what happens there nothing for this one.
    let here = visit.client.window().await.expect("the tab");
    let others = visit.client.windows().await.expect("the tabs");
    let other = others.into_iter().find(|other| *other != here).expect("the other tab");
    visit.client.switch_to_window(other.clone()).await.expect("it is there");
    assert_eq!(visit.run("return clickmill.visitor() ?? null").await, Value::Null);
    assert_eq!(whose(&visit, "refusing").await, None);
    visit.client.switch_to_window(here.clone()).await.expect("it is there");
    assert_eq!(whose(&visit, "still").await, Some(again.clone()));
    // Nor does a page withdraw anything that clears its storage.
    visit.client.switch_to_window(other).await.expect("it is there");
    visit.run("localStorage.clear()").await;
    visit.client.switch_to_window(here).await.expect("it is there");
    assert_eq!(whose(&visit, "cleared").await, Some(again));
    let records: Vec<Record> = visit.world.read(Topic::ClicksRaw).await;
    let decisions = records.iter().filter(|record| record.kind.as_str() == "consent");
    let of: BTreeSet<_> = decisions.filter_map(|record| record.context.visitor.as_ref()).collect();
    assert_eq!(of.iter().map(|of| of.as_str()).collect::<Vec<_>>(), [visitor], "it is said");
    visit.world.books_balance().await;
    visit.close().await;
}

async fn a_page_that_was_away_when_consent_was_withdrawn_brings_nobody_back(engine: Engine) {
    let visit = Visit::builder().engine(engine).start().await;
    let visitor = whose(&visit, "before").await.expect("a visitor");
    // As another page does it; a page that is away does not hear of it.
    let away = "dispatchEvent(new PageTransitionEvent('pagehide', { persisted: true }));
        for (const name in localStorage) if (name.startsWith('cm.')) delete localStorage[name];
        dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }));";
    visit.run(away).await;
    is_refused(&visit).await;
    assert_eq!(whose(&visit, "after").await, None);
    let records = visit.world.kafka.records(Topic::ClicksRaw).await;
    let restored = records.iter().find(|record| record.value.contains("\"restore\""));
    assert!(restored.is_some_and(|record| !record.value.contains(&visitor)), "{restored:?}");
    visit.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_withdraws_consent_is_forgotten_in_the_browser_and_known_to_nobody_later() {
    let visit = Visit::builder().at("/p/KET-1").start().await;
    until("the stream is open", || async {
        (visit.world.relay.metric(STREAMS).await > 0.0).then_some(())
    })
    .await;
    let (key, _) = recorded(&visit.world, "page_view").await;
    let key = key.expect("a visitor");
    let visitor = key.strip_prefix(&format!("{TENANT}:")).expect("the tenant").to_owned();
    let known_by = cookies(&visit).await;
    let kept = stored(&visit).await;
    assert!(!known_by.is_empty() && !kept.is_empty(), "{known_by:?} {kept:?}");

    // As a stub keeps what it sent and did not hear of.
    let unheard = format!("localStorage['cm.{}.0q'] = '{visitor}'", visit.world.write_key());
    visit.run(&unheard).await;

    // Who hears that hints hold no more may ask who the visitor is.
    visit.run("clickmill.on('hint', () => (clickmill.consent(), clickmill.visitor()))").await;
    visit.run("clickmill.consent(''); clickmill.flush()").await;
    // Recorded under the visitor it is of, or nobody could carry it out.
    let (decided_by, decision) = recorded(&visit.world, "consent").await;
    assert_eq!(decided_by.as_ref(), Some(&key), "{decision}");
    let decision: Value = serde_json::from_str(&decision).expect("a record");
    assert_eq!(decision["props"]["granted"], json!([]));
    let named = ["session", "customer"].map(|id| decision["context"].get(id).cloned());
    assert_eq!(named, [None, None], "the visitor and nothing else");
    until("the stream is closed", || async {
        (visit.world.relay.metric(STREAMS).await == 0.0).then_some(())
    })
    .await;
    until("the cookie is gone", || async {
        let left = cookies(&visit).await;
        known_by.iter().any(|name| !left.contains(name)).then_some(())
    })
    .await;

    // The page goes on, and what happens there is nobody's.
    visit.run("clickmill.track('wishlist_add', { sku: 'KET-1' }); clickmill.flush()").await;
    let (key, later) = recorded(&visit.world, "wishlist_add").await;
    assert_eq!(key, None);
    assert!(!later.contains(&visitor), "{later}");
    until("it is enriched and nobody's there, too", || async {
        let all = visit.world.kafka.records(Topic::ClicksEnriched).await;
        let wish = all.into_iter().find(|record| record.value.contains("wishlist_add"))?;
        assert!(wish.key.is_none() && !wish.value.contains(&visitor), "{}", wish.value);
        Some(())
    })
    .await;
    let left = stored(&visit).await;
    let still: Vec<_> = left.iter().filter(|word| kept.contains(word)).collect();
    assert!(still.is_empty() && !left.contains(&visitor), "{still:?}");
    let withdrawn = visit.world.collector.metric("clickmill_collector_withdrawals_total").await;
    assert!(withdrawn >= 1.0, "it is counted");
    assert_eq!(visit.world.relay.metric(STREAMS).await, 0.0, "no stream is opened again");
    visit.close().await;
}
