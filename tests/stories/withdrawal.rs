//! A visitor takes consent back, in a real browser: what knew them is gone there and ends here, the
//! decision is recorded, and nothing that comes later names them.

use clickmill_sdk_core::wire::{Record, Topic};
use clickmill_tests::browser::Browser;
use clickmill_tests::until::until;
use clickmill_tests::{TENANT, Visit, World};
use serde_json::{Value, json};

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

    let withdraws = "clickmill.consent('');
        clickmill.track('consent', { granted: [], source: 'settings' });
        clickmill.flush();";
    visit.run(withdraws).await;
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
