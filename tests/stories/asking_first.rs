//! A page that has to ask first: until somebody has said what they allow, what happens is held in memory,
//! and nothing is loaded, sent or stored.

use std::collections::BTreeSet;

use clickmill_sdk_core::wire::{Record, Topic};
use clickmill_tests::browser::{Browser, Engine, WITNESS};
use clickmill_tests::child::built;
use clickmill_tests::{Front, World};

use crate::before_the_core::each_is_there_once;
use crate::hard_places::{STORED, page_with};

in_each_engine!(
    what_happens_before_somebody_was_asked_waits_in_memory,
    who_was_asked_and_refused_is_nobody,
);

/// What the SDK has loaded beside its stub.
const LOADED: &str = "
return performance.getEntriesByType('resource').map(({ name }) => new URL(name).pathname)
  .filter((path) => /core|alone|v1/.test(path));
";

/// A page under that policy for scripts, whose visitors have to be asked.
async fn page(world: &World, line: &Front, scripts: &str) -> Front {
    let sdk = built("sdk/clickmill.js").parent().expect("a folder").to_owned();
    let policy = format!("script-src {scripts}");
    let tag = r#"data-consent="pending""#;
    let site = page_with(world.write_key(), &line.url, &policy, tag, sdk).await;
    site.before_pages(WITNESS);
    site
}

/// The stub gives up waiting for its core after four seconds: after five it has not begun to.
async fn is_still(browser: &Browser, line: &Front) {
    browser.run("clickmill.flush()").await;
    browser.later("setTimeout(arguments[arguments.length - 1], 5000)").await;
    assert_eq!(browser.run(LOADED).await, serde_json::json!([]));
    assert!(line.passed().is_empty(), "{:?}", line.passed());
}

/// Puts a module into the page.
fn add(module: &str) -> String {
    format!(
        "const onload = arguments[arguments.length - 1];
         const script = document.createElement('script');
         document.head.append(Object.assign(script, {{ src: '/files/{module}', onload }}));"
    )
}

async fn visitors(world: &World) -> BTreeSet<Option<String>> {
    let records: Vec<Record> = world.read(Topic::ClicksRaw).await;
    let visitor = |record: &Record| Some(record.context.visitor.as_ref()?.as_str().to_owned());
    records.iter().map(visitor).collect()
}

async fn what_happens_before_somebody_was_asked_waits_in_memory(engine: Engine) {
    let (world, browser) = (World::start().await, Browser::builder(engine).start().await);
    let line = Front::before(&world.collector.url, []).await;
    let site = page(&world, &line, "'self' 'wasm-unsafe-eval'").await;
    let address = format!("{}/page", site.url);
    browser.open(&address).await;
    browser.run("clickmill.track('search', { query: 'a' })").await;
    // What a former visit left behind is neither used nor taken away.
    let experiments = format!("cm.{}.experiments", world.write_key());
    browser.run(&format!("localStorage['{experiments}'] = '{{}}'")).await;
    browser.later(&add("clickmill_experiments.js")).await;
    browser.run("clickmill.variant('checkout')").await;
    is_still(&browser, &line).await;
    assert_eq!(browser.later(STORED).await, serde_json::json!([experiments]));
    let said = "return [clickmill.consent(), clickmill.visitor() ?? null]";
    assert_eq!(browser.run(said).await, serde_json::json!(["pending", null]));

    // The page is left before anybody has said anything: it never was.
    browser.open(&address).await;
    browser.run("clickmill.track('search', { query: 'b' }); clickmill.identify('ada')").await;
    assert!(line.passed().is_empty(), "{:?}", line.passed());
    browser.run("clickmill.consent('analytics')").await;
    browser.has_core().await;
    each_is_there_once(&world, &[("identify", 1), ("page_view", 1), ("search", 1)]).await;
    let known = visitors(&world).await;
    assert!(known.len() == 1 && !known.contains(&None), "{known:?}");

    // The next page asks again, and finds who was there.
    browser.open(&address).await;
    assert_eq!(browser.run(said).await, serde_json::json!(["pending", null]));
    // So many are held; what comes then is not taken, and says so by giving back no id.
    let many =
        "return Array.from({ length: 600 }, () => clickmill.track('wishlist_add', { sku: 'K' }))
        .filter(Boolean).length";
    let taken = browser.run(many).await.as_u64().expect("a count");
    assert!((400..600).contains(&taken), "{taken}");
    browser.run("clickmill.consent('analytics'); clickmill.flush()").await;
    let taken = usize::try_from(taken).expect("a count");
    let all = [("identify", 1), ("page_view", 2), ("search", 1), ("wishlist_add", taken)];
    each_is_there_once(&world, &all).await;
    assert_eq!(visitors(&world).await, known);
    browser.close().await;
}

async fn who_was_asked_and_refused_is_nobody(engine: Engine) {
    let (world, browser) = (World::start().await, Browser::builder(engine).start().await);
    let line = Front::before(&world.collector.url, []).await;
    // No core here: what stands in for it keeps to the same.
    let site = page(&world, &line, "'self'").await;
    browser.open(&format!("{}/page", site.url)).await;
    is_still(&browser, &line).await;
    browser.run("clickmill.consent(''); clickmill.track('search', { query: 'a' })").await;
    browser.run("clickmill.flush()").await;
    each_is_there_once(&world, &[("page_view", 1), ("search", 1)]).await;
    assert_eq!(visitors(&world).await, BTreeSet::from([None]));
    assert_eq!(browser.later(STORED).await, serde_json::json!([]));
    browser.close().await;
}
