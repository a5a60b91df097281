//! Hard places for the SDK, in a real browser: wherever it is, the books balance with Kafka.

use std::fs;
use std::path::PathBuf;

use clickmill_sdk_core::wire::{Record, Topic};
use clickmill_tests::browser::{Browser, Engine, SeenState, WITNESS};
use clickmill_tests::child::built;
use clickmill_tests::until::{until, until_enough};
use clickmill_tests::{Folder, Front, Mishap, Visit, World};
use hyper::StatusCode;
use serde_json::json;

use crate::before_the_core::each_is_there_once;

/// A disk that is full: what is to be kept is refused.
const FULL: &str = "
IDBObjectStore.prototype.put = () => {
  sessionStorage.refused = 1;
  throw new DOMException('full', 'QuotaExceededError');
};
";

/// Marks a page that freezes and thaws.
const FREEZE: &str = "
for (const name of ['freeze', 'resume']) {
  document.addEventListener(name, () => (sessionStorage[name] = 1));
}
";

/// What happens out of sight, after the SDK has told all that waited.
const UNSEEN: &str = "
addEventListener('visibilitychange', () => {
  if (document.hidden) clickmill.track('product_view', { sku: 'KET-1' });
});
";

/// Tells of pages that are made ready in advance, each by its query, and makes them ready.
const READY: &str = "
if (document.prerendering) {
  addEventListener('load', () => (localStorage[`ready${location.search}`] = 1));
} else if (!location.search) {
  const rules = document.createElement('script');
  rules.type = 'speculationrules';
  const urls = ['/page?next', '/page?never'];
  rules.text = JSON.stringify({ prerender: [{ urls, eagerness: 'immediate' }] });
  document.head.append(rules);
}
";

/// Writes down what the SDK has to say to the page's developer.
const WARNINGS: &str = "
window.warnings = [];
console.warn = (...said) => warnings.push(said.join(' '));
";

/// Marks a page that comes back as it was.
const MARK: &str = "
addEventListener('pageshow', ({ persisted }) => {
  if (persisted) sessionStorage.persisted = 1;
});
";

in_each_engine!(
    ten_thousand_events_at_once_are_all_told_of,
    a_page_that_comes_back_as_it_was_goes_on,
    a_full_disk_costs_no_event,
    where_a_policy_forbids_the_core_the_stub_sends_alone,
    where_somebody_changed_the_core_the_stub_sends_alone,
);
in_engines!(what_a_killed_tab_held_in_memory_alone_still_arrives: chromium);
in_engines!(a_page_with_a_stream_comes_back_as_it_was: chromium, webkit);
in_engines!(a_page_that_freezes_has_told_all_and_goes_on_when_it_thaws: chromium);
in_engines!(a_page_made_ready_in_advance_counts_once_it_is_seen: chromium);

/// A page with nothing but the SDK, under a policy of its own.
async fn plain_page(world: &World, policy: &str) -> Front {
    let sdk = built("sdk/clickmill.js").parent().expect("a folder").to_owned();
    page_of_files(world, policy, sdk).await
}

/// Likewise, with the SDK's files of a folder.
async fn page_of_files(world: &World, policy: &str, sdk: PathBuf) -> Front {
    let page = format!(
        r#"<!doctype html><html lang="en"><title>Plain</title>
<meta http-equiv="Content-Security-Policy" content="{policy}; connect-src 'self' {0}">
<script src="/files/clickmill.js" data-key="{1}" data-collector="{0}" data-consent="analytics"
  data-core="/files/clickmill_core.js" defer></script><h1>Plain</h1></html>"#,
        world.collector.url,
        world.write_key(),
    );
    Front::of_files(sdk, page).await
}

async fn ten_thousand_events_at_once_are_all_told_of(engine: Engine) {
    let (world, browser) = (World::start().await, Browser::builder(engine).start().await);
    let site = plain_page(&world, "script-src 'self' 'wasm-unsafe-eval'").await;
    // Nobody writes down what each of them says.
    site.before_pages(
        "document.addEventListener('clickmill:state', ({ detail }) => (window.state = detail))",
    );
    browser.open(&format!("{}/page", site.url)).await;
    let ready = || async { browser.run("return !!window.state").await };
    until_enough("the core", ready, |ready| *ready == true).await;
    browser
        .run(
            "for (let n = 0; n < 10000; n++) clickmill.track('product_view', { sku: `KET-${n}` });
             clickmill.flush();",
        )
        .await;
    let state = || async {
        let state: SeenState =
            serde_json::from_value(browser.run("return { page_since: 0, ...state }").await)
                .expect("a state");
        state
    };
    let is_over = |state: &SeenState| state.queued == 0 && state.books.created == 10_001;
    let books = until_enough("nothing waits", state, is_over).await.books;
    assert_eq!(books.created, books.settled + books.dropped(), "{books:?}");
    let there = usize::try_from(books.created - books.dropped()).expect("a count");
    let ids = || async { world.ids(Topic::ClicksRaw).await.len() };
    let found = until_enough("all that were not dropped", ids, |count| *count >= there).await;
    assert_eq!(found, there);
    world.books_balance().await;
    browser.close().await;
}

async fn a_page_that_comes_back_as_it_was_goes_on(engine: Engine) {
    let (world, browser) = (World::start().await, Browser::builder(engine).start().await);
    // A page without a stream of hints: Firefox keeps none that has one.
    let site = plain_page(&world, "script-src 'self' 'wasm-unsafe-eval'").await;
    site.before_pages(WITNESS);
    site.before_pages(MARK);
    browser.open(&format!("{}/page", site.url)).await;
    comes_back(&world, &browser, &format!("{}/page?other", site.url)).await;
    browser.close().await;
}

async fn a_page_with_a_stream_comes_back_as_it_was(engine: Engine) {
    let visit = Visit::builder().engine(engine).before_pages(MARK).start().await;
    comes_back(&visit.world, &visit, &format!("{}/c/kettles", visit.url)).await;
    visit.close().await;
}

/// Leaves the page for another and comes back.
async fn comes_back(world: &World, browser: &Browser, other: &str) {
    browser.has_core().await;
    browser.run("window.alive = 1; clickmill.track('product_view', { sku: 'KET-1' })").await;
    browser.open(other).await;
    browser.has_core().await;
    browser.client.back().await.expect("the page before");
    let back = "return [window.alive === 1, sessionStorage.persisted === '1']";
    assert_eq!(browser.run(back).await, json!([true, true]), "it is the page that was left");
    browser.run("clickmill.track('product_view', { sku: 'KET-2' }); clickmill.flush()").await;
    each_is_there_once(world, &[("page_view", 3), ("product_view", 2)]).await;
    let records: Vec<Record> = world.read(Topic::ClicksRaw).await;
    let restored = records.iter().filter(|record| record.props.as_str().contains("restore"));
    assert_eq!(restored.count(), 1, "one page view is of the page that came back");
}

async fn a_page_that_freezes_has_told_all_and_goes_on_when_it_thaws(engine: Engine) {
    let visit = Visit::builder().engine(engine).before_pages(FREEZE).start().await;
    until("nothing is on its way", || async {
        let idle = "return JSON.parse(witness['witness.state']).delivery === 'idle'";
        (visit.run(idle).await == true).then_some(())
    })
    .await;
    visit.run(UNSEEN).await;
    visit.freeze(true).await;
    each_is_there_once(&visit.world, &[("page_view", 1), ("product_view", 1)]).await;
    visit.freeze(false).await;
    let seen = "return [sessionStorage.freeze, sessionStorage.resume]";
    assert_eq!(visit.run(seen).await, json!(["1", "1"]), "it was frozen, and is no more");
    visit.run("clickmill.track('product_view', { sku: 'KET-2' }); clickmill.flush()").await;
    each_is_there_once(&visit.world, &[("page_view", 1), ("product_view", 2)]).await;
    visit.world.books_balance().await;
    visit.close().await;
}

async fn a_page_made_ready_in_advance_counts_once_it_is_seen(engine: Engine) {
    let (world, browser) = (World::start().await, Browser::builder(engine).start().await);
    let policy = "script-src 'self' 'wasm-unsafe-eval' 'unsafe-inline' 'inline-speculation-rules'";
    let site = plain_page(&world, policy).await;
    site.before_pages(WITNESS);
    site.before_pages(READY);
    browser.open(&format!("{}/page", site.url)).await;
    browser.has_core().await;
    let ready = "return [localStorage['ready?next'], localStorage['ready?never']]";
    until("both are ready", || async {
        (browser.run(ready).await == json!(["1", "1"])).then_some(())
    })
    .await;
    let next = "const link = document.createElement('a');
        link.href = '/page?next';
        document.body.append(link);
        link.click();";
    browser.run(next).await;
    until("the next page", || async {
        let there =
            browser.client.execute("return location.search === '?next'", vec![]).await.ok()?;
        (there == true).then_some(())
    })
    .await;
    browser.has_core().await;
    // Nothing of the core's was asked for before somebody saw the page.
    let since = "const { activationStart } = performance.getEntriesByType('navigation')[0];
        const asked = performance.getEntriesByType('resource').filter(({ name }) =>
          /clickmill_core|v1/.test(name));
        return [activationStart > 0, asked.length > 0,
          asked.every(({ startTime }) => startTime >= activationStart)]";
    assert_eq!(browser.run(since).await, json!([true, true, true]));
    browser.run("clickmill.track('product_view', { sku: 'KET-1' }); clickmill.flush()").await;
    // Both pages' views, the click, and none of the page that nobody saw.
    each_is_there_once(&world, &[("click", 1), ("page_view", 2), ("product_view", 1)]).await;
    world.books_balance().await;
    browser.close().await;
}

async fn a_full_disk_costs_no_event(engine: Engine) {
    let visit = Visit::builder().engine(engine).before_pages(FULL).start().await;
    visit.run("clickmill.track('product_view', { sku: 'KET-1' })").await;
    until("something was refused", || async {
        (visit.run("return sessionStorage.refused").await == "1").then_some(())
    })
    .await;
    visit.run("clickmill.flush()").await;
    each_is_there_once(&visit.world, &[("page_view", 1), ("product_view", 1)]).await;
    visit.close().await;
}

async fn where_a_policy_forbids_the_core_the_stub_sends_alone(engine: Engine) {
    let (world, browser) = (World::start().await, Browser::builder(engine).start().await);
    let site = plain_page(&world, "script-src 'self'").await;
    site.before_pages(WITNESS);
    browser.open(&format!("{}/page", site.url)).await;
    browser.run("clickmill.track('product_view', { sku: 'KET-1' }); clickmill.flush()").await;
    each_is_there_once(&world, &[("page_view", 1), ("product_view", 1)]).await;
    let records = world.read(Topic::ClicksRaw).await;
    assert!(browser.sent().await.iter().all(|sent| sent.by == "web-stub"), "{records:?}");
    browser.close().await;
}

async fn where_somebody_changed_the_core_the_stub_sends_alone(engine: Engine) {
    let (world, browser) = (World::start().await, Browser::builder(engine).start().await);
    let sdk = Folder::new("sdk");
    for name in ["clickmill.js", "clickmill_core.js", "clickmill_core_bg.wasm"] {
        fs::copy(built(&format!("sdk/{name}")), sdk.path().join(name)).expect("a copy");
    }
    // A section that no engine reads: the core would run as before.
    let core = sdk.path().join("clickmill_core_bg.wasm");
    let mut changed = fs::read(&core).expect("the core");
    changed.extend([0, 4, 3, b'b', b'a', b'd']);
    fs::write(&core, changed).expect("another core");
    let policy = "script-src 'self' 'wasm-unsafe-eval'";
    let site = page_of_files(&world, policy, sdk.path().to_owned()).await;
    site.before_pages(WITNESS);
    site.before_pages(WARNINGS);
    browser.open(&format!("{}/page", site.url)).await;
    let warned = || async {
        let warnings = browser.run("return warnings").await;
        warnings[0].as_str().map(str::to_owned)
    };
    let warning = until("a word to the developer", warned).await;
    let says =
        "clickmill_core_bg.wasm is not there, or not the core that its script was built with";
    assert!(warning.contains(says), "{warning}");
    browser.run("clickmill.track('product_view', { sku: 'KET-1' }); clickmill.flush()").await;
    each_is_there_once(&world, &[("page_view", 1), ("product_view", 1)]).await;
    let sent = browser.sent().await;
    assert!(!sent.is_empty() && sent.iter().all(|sent| sent.by == "web-stub"), "{sent:?}");
    browser.close().await;
}

async fn what_a_killed_tab_held_in_memory_alone_still_arrives(engine: Engine) {
    let browser = Browser::builder(engine).without_storage();
    let visit = Visit::builder().browser(browser).start().await;
    each_is_there_once(&visit.world, &[("page_view", 1)]).await;
    let tab = visit.client.window().await.expect("the tab");
    visit.new_tab().await;
    visit.client.switch_to_window(tab).await.expect("it is there");
    // Nothing goes through, and the SDK waits before it tries again; then the page is out of sight and
    // runs no more, as in a phone's pocket.
    let later = r#"{"error":"unavailable","detail":"later","retry_after_ms":600000}"#;
    visit.line.befalls(Mishap::Answered(StatusCode::SERVICE_UNAVAILABLE, later));
    visit.run("clickmill.track('product_view', { sku: 'KET-1' }); clickmill.flush()").await;
    until("it waits", || async {
        let waits = "return JSON.parse(witness['witness.state']).delivery === 'backing_off'";
        (visit.run(waits).await == true).then_some(())
    })
    .await;
    visit.freeze(true).await;
    visit.line.mends();
    visit.crash().await;
    each_is_there_once(&visit.world, &[("page_view", 1), ("product_view", 1)]).await;
    visit.close().await;
}
