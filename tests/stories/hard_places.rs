//! Hard places for the SDK, in a real browser: wherever it is, the books balance with Kafka.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use clickmill_sdk_core::wire::{Purpose, Record, Topic};
use clickmill_tests::browser::{Browser, Engine, SeenState, WITNESS};
use clickmill_tests::child::built;
use clickmill_tests::until::{until, until_enough};
use clickmill_tests::{Folder, Front, Mishap, Visit, World};
use hyper::StatusCode;
use serde_json::{Value, json};

use crate::before_the_core::each_is_there_once;
use crate::identity::who;

/// A disk that is full: what is to be kept is refused.
const FULL: &str = "
IDBObjectStore.prototype.put = () => {
  sessionStorage.refused = 1;
  throw new DOMException('full', 'QuotaExceededError');
};
";

/// A disk that turns out to be full after what is to be kept was taken.
const FULL_LATER: &str = "
const { put } = IDBObjectStore.prototype;
IDBObjectStore.prototype.put = function (...all) {
  const request = put.apply(this, all);
  request.addEventListener('success', () => {
    sessionStorage.refused = 1;
    this.transaction.abort();
  });
  return request;
};
";

/// A browser that says that its visitor wants to be neither sold nor shared.
const SIGNAL: &str = "
Object.defineProperty(Navigator.prototype, 'globalPrivacyControl', { get: () => true });
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

/// A page whose core comes when it is told so: the site's settings are held back.
const LATE: &str = "
const ask = window.fetch;
const told = new Promise((come) => (window.come = come));
window.fetch = async (url, options) => {
  if (String(url).includes('/v1/config')) await told;
  return ask(url, options);
};
";

/// A page whose address and title are long, where a lot happens.
const LONG: &str = "
document.title = 't'.repeat(2000);
history.replaceState(0, '', `/page?${'q'.repeat(1900)}`);
clickmill.page();
for (let n = 0; n < 60; n++) clickmill.track('product_view', { sku: `KET-${n}` });
clickmill.flush();
";

/// Links and buttons, each clicked.
const CLICKS: &str = "
document.body.innerHTML = `<a id=out href='https://who:word@shop.example/a?mail=ada#end'>Out</a>
  <a id=mail href='mailto:ada@shop.example'>Mail</a><a id=call href='tel:123'>Call</a>
  <form data-cm-private><button id=secret type=button>Secret</button></form>
  <a id=marked href='/b' data-cm-click=product_click data-cm-props='{\"sku\":\"KET-1\"}'>Marked</a>`;
document.body.addEventListener('click', (event) => event.preventDefault());
for (const each of document.body.querySelectorAll('[id]')) each.click();
clickmill.flush();
";

/// What lies in a site's storage of the SDK's.
pub(crate) const STORED: &str = "
const done = arguments[arguments.length - 1];
(async () => {
  const bases = await indexedDB.databases();
  done([...Object.keys(localStorage), ...bases.map(({ name }) => name)].filter((name) =>
    name.startsWith('cm.')).sort());
})();
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
    a_disk_that_turns_out_to_be_full_costs_no_event,
    in_a_private_window_everything_arrives,
    below_a_path_of_the_pages_own_site_everything_arrives,
    who_does_not_want_to_be_shared_is_told_of_in_every_event,
    where_a_policy_forbids_the_core_the_stub_sends_alone,
    where_somebody_changed_the_core_the_stub_sends_alone,
    where_nothing_can_be_loaded_the_stub_sends_by_itself,
    purposes_that_nobody_knows_cost_no_event,
    what_is_long_arrives_without_the_core_too,
    who_withdraws_consent_without_the_core_is_forgotten,
    who_may_not_send_without_the_core_stops_and_loses_nothing,
    a_link_is_told_without_its_query_and_what_is_private_not_at_all,
    what_the_stub_tells_by_itself_can_be_switched_off,
);
in_each_engine!(
    what_lies_in_memory_alone_is_there_when_a_page_comes_back,
    who_withdraws_consent_when_the_core_came_late_is_not_named_again,
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
    let (key, url) = (world.write_key(), &world.collector.url);
    page_with(key, url, policy, r#"data-consent="analytics""#, sdk).await
}

/// Likewise, where a policy forbids the core; with these attributes of the stub's tag.
async fn page_alone(key: &str, collector: &str, tag: &str) -> Front {
    let sdk = built("sdk/clickmill.js").parent().expect("a folder").to_owned();
    let site = page_with(key, collector, "script-src 'self'", tag, sdk).await;
    site.before_pages(WITNESS);
    site
}

pub(crate) async fn page_with(
    key: &str,
    collector: &str,
    policy: &str,
    tag: &str,
    sdk: PathBuf,
) -> Front {
    let page = format!(
        r#"<!doctype html><html lang="en"><title>Plain</title>
<meta http-equiv="Content-Security-Policy" content="{policy}; connect-src 'self' {collector}">
<script src="/files/clickmill.js" data-key="{key}" data-collector="{collector}" {tag}
  data-core="/files/clickmill_core.js" defer></script><h1>Plain</h1></html>"#,
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

/// What happens on a page without consent is kept nowhere; its lane in storage was only looked at.
async fn what_lies_in_memory_alone_is_there_when_a_page_comes_back(engine: Engine) {
    let (world, browser) = (World::start().await, Browser::builder(engine).start().await);
    let line = Front::before(&world.collector.url, []).await;
    let sdk = built("sdk/clickmill.js").parent().expect("a folder").to_owned();
    let policy = "script-src 'self' 'wasm-unsafe-eval'";
    let site = page_with(world.write_key(), &line.url, policy, r#"data-consent="""#, sdk).await;
    site.before_pages(WITNESS);
    browser.open(&format!("{}/page", site.url)).await;
    browser.has_core().await;
    each_is_there_once(&world, &[("page_view", 1)]).await;
    line.befalls(Mishap::Cut);
    let away = "clickmill.track('search', { query: 'a' });
        dispatchEvent(new PageTransitionEvent('pagehide', { persisted: true }));
        dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }));
        clickmill.track('search', { query: 'b' });";
    browser.run(away).await;
    line.mends();
    browser.run("clickmill.flush()").await;
    each_is_there_once(&world, &[("page_view", 2), ("search", 2)]).await;
    browser.close().await;
}

async fn who_withdraws_consent_when_the_core_came_late_is_not_named_again(engine: Engine) {
    let (world, browser) = (World::start().await, Browser::builder(engine).start().await);
    let line = Front::before(&world.collector.url, []).await;
    let key = world.write_key();
    let sdk = built("sdk/clickmill.js").parent().expect("a folder").to_owned();
    let policy = "script-src 'self' 'wasm-unsafe-eval'";
    let site = page_with(key, &line.url, policy, r#"data-consent="analytics""#, sdk).await;
    site.before_pages(WITNESS);
    site.before_pages(LATE);
    line.befalls(Mishap::Answered(StatusCode::SERVICE_UNAVAILABLE, ""));
    // As an earlier page left it.
    site.before_pages(format!("localStorage['cm.{key}.me'] ||= 'somebody\x1d1'"));
    browser.open(&format!("{}/page", site.url)).await;
    let met = || async { line.met() };
    // What the core waits for is held back, so that another one sends.
    until_enough("a refusal", met, |met| *met > 0).await;
    browser.run("clickmill.track('search', { query: 'secret' })").await;
    browser.run("window.come()").await;
    // It says how it fares when something happens.
    until("the core", || async {
        browser.run("clickmill.track('login', {})").await;
        (browser.state().await.page_since > 0.0).then_some(())
    })
    .await;
    browser.run("clickmill.consent('')").await;
    line.mends();
    browser.run("clickmill.track('wishlist_add', { sku: 'KET-1' }); clickmill.flush()").await;
    until("the wish", || async {
        let all: Vec<Record> = world.read(Topic::ClicksRaw).await;
        all.into_iter().find(|record| record.kind.as_str() == "wishlist_add").map(drop)
    })
    .await;
    browser.run("document.dispatchEvent(new Event('visibilitychange'))").await;
    // Longer than what was refused waits for its next try.
    tokio::time::sleep(Duration::from_secs(5)).await;
    browser.open(&format!("{}/page?next", site.url)).await;
    let passed = line.passed();
    let named = passed.iter().filter(|passed| passed.body.contains("secret"));
    assert_eq!(named.count(), 0, "{passed:?}");
    browser.close().await;
}

async fn a_page_with_a_stream_comes_back_as_it_was(engine: Engine) {
    let visit = Visit::builder().engine(engine).before_pages(MARK).start().await;
    comes_back(&visit.world, &visit, &format!("{}/login", visit.url)).await;
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
    nothing_is_kept(engine, FULL).await;
}

async fn a_disk_that_turns_out_to_be_full_costs_no_event(engine: Engine) {
    nothing_is_kept(engine, FULL_LATER).await;
}

async fn nothing_is_kept(engine: Engine, disk: &str) {
    let visit = Visit::builder().engine(engine).before_pages(disk).start().await;
    visit.run("clickmill.track('product_view', { sku: 'KET-1' })").await;
    until("something was refused", || async {
        (visit.run("return sessionStorage.refused").await == "1").then_some(())
    })
    .await;
    visit.run("clickmill.flush()").await;
    each_is_there_once(&visit.world, &[("page_view", 1), ("product_view", 1)]).await;
    visit.close().await;
}

async fn in_a_private_window_everything_arrives(engine: Engine) {
    let visit = Visit::builder().browser(Browser::builder(engine).in_private()).start().await;
    visit.run("clickmill.track('product_view', { sku: 'KET-1' })").await;
    visit.go("").await;
    visit.has_core().await;
    visit.run("clickmill.flush()").await;
    each_is_there_once(&visit.world, &[("page_view", 2), ("product_view", 1)]).await;
    let records: Vec<Record> = visit.world.read(Topic::ClicksRaw).await;
    let visitors: BTreeSet<_> = records.iter().map(|record| &record.context.visitor).collect();
    assert_eq!(visitors.len(), 1, "as long as the window is open: {visitors:?}");
    assert!(!visitors.contains(&None), "{visitors:?}");
    let first = who(&visit, "", "first").await;
    // The next private window of the same browser knows nobody.
    let visit = visit.after_a_kill().await;
    visit.go("").await;
    visit.has_core().await;
    let second = who(&visit, "", "second").await;
    assert_ne!(first.0, second.0);
    visit.close().await;
}

/// A site may take collector and relay under a path of its own.
async fn below_a_path_of_the_pages_own_site_everything_arrives(engine: Engine) {
    let world = World::builder().set(|setup, _| setup.settings += "path_prefix = \"/in/some\"\n");
    let (world, browser) = (world.start().await, Browser::builder(engine).start().await);
    let sdk = built("sdk/clickmill.js").parent().expect("a folder").to_owned();
    let page = format!(
        r#"<!doctype html><html lang="en"><title>Plain</title>
<meta http-equiv="Content-Security-Policy"
  content="script-src 'self' 'wasm-unsafe-eval'; connect-src 'self'">
<script src="/files/clickmill.js" data-key="{}" data-collector="/in/some"
  data-consent="analytics personalization" data-core="/files/clickmill_core.js" defer></script></html>"#,
        world.write_key()
    );
    let site = Front::of_site(sdk, page, &world.collector.url).await;
    site.before_pages(WITNESS);
    browser.open(&format!("{}/page", site.url)).await;
    browser.has_core().await;
    browser.run("clickmill.track('product_view', { sku: 'KET-1' }); clickmill.flush()").await;
    each_is_there_once(&world, &[("page_view", 1), ("product_view", 1)]).await;
    // The cookie is the site's own.
    until("the cookie", || async {
        let cookies = browser.client.get_all_cookies().await.expect("the cookies");
        cookies.iter().any(|cookie| cookie.name().starts_with("cm_visitor")).then_some(())
    })
    .await;
    browser.close().await;
}

async fn who_does_not_want_to_be_shared_is_told_of_in_every_event(engine: Engine) {
    let (world, browser) = (World::start().await, Browser::builder(engine).with_privacy_signal());
    let (line, browser) = (Front::before(&world.collector.url, []).await, browser.start().await);
    let sdk = built("sdk/clickmill.js").parent().expect("a folder").to_owned();
    let (policy, tag) =
        ("script-src 'self' 'wasm-unsafe-eval'", r#"data-consent="analytics advertising""#);
    let with_core = page_with(world.write_key(), &line.url, policy, tag, sdk).await;
    let alone = page_alone(world.write_key(), &line.url, tag).await;
    for site in [&with_core, &alone] {
        if engine != Engine::Firefox {
            site.before_pages(SIGNAL);
        }
        browser.open(&format!("{}/page", site.url)).await;
        browser.run("clickmill.track('product_view', { sku: 'KET-1' }); clickmill.flush()").await;
    }
    each_is_there_once(&world, &[("page_view", 2), ("product_view", 2)]).await;
    let records: Vec<Record> = world.read(Topic::ClicksRaw).await;
    for record in records {
        let consent = record.context.consent.expect("what is granted");
        assert!(consent.allows(Purpose::Analytics), "{consent:?}");
        assert!(consent.gpc && !consent.allows(Purpose::Advertising), "{consent:?}");
    }
    // The SDK itself says so: another browser's header would not be there to say it.
    let said = line.passed();
    assert!(
        said.iter().filter(|sent| !sent.is_packed).all(|sent| sent.body.contains(r#""gpc":true"#)),
        "{said:?}"
    );
    browser.close().await;
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
    for name in
        ["clickmill.js", "clickmill_alone.js", "clickmill_core.js", "clickmill_core_bg.wasm"]
    {
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
    let says = "not its core: ";
    assert!(warning.contains(says), "{warning}");
    browser.run("clickmill.track('product_view', { sku: 'KET-1' }); clickmill.flush()").await;
    each_is_there_once(&world, &[("page_view", 1), ("product_view", 1)]).await;
    let sent = browser.sent().await;
    assert!(!sent.is_empty() && sent.iter().all(|sent| sent.by == "web-stub"), "{sent:?}");
    browser.close().await;
}

async fn where_nothing_can_be_loaded_the_stub_sends_by_itself(engine: Engine) {
    let (world, browser) = (World::start().await, Browser::builder(engine).start().await);
    let sdk = Folder::new("sdk");
    fs::copy(built("sdk/clickmill.js"), sdk.path().join("clickmill.js")).expect("a copy");
    let site = page_of_files(&world, "script-src 'self'", sdk.path().to_owned()).await;
    site.before_pages(WITNESS);
    browser.open(&format!("{}/page", site.url)).await;
    browser.run(LONG).await;
    // None of them before there was a count of what was accepted.
    let kept = || async { browser.run("return Object.keys(localStorage).length").await };
    let letters = kept().await.as_u64().expect("a count");
    assert!(letters > 10, "{letters} of 270 kB");
    each_is_there_once(&world, &[("page_view", 2), ("product_view", 60)]).await;
    until_enough("nothing is kept", kept, |kept| *kept == 0).await;
    // As it is left.
    browser.run("clickmill.track('product_view', { sku: 'KET-1' })").await;
    browser.open(&format!("{}/page", site.url)).await;
    each_is_there_once(&world, &[("page_view", 3), ("product_view", 61)]).await;
    browser.close().await;
}

async fn purposes_that_nobody_knows_cost_no_event(engine: Engine) {
    let (world, browser) = (World::start().await, Browser::builder(engine).start().await);
    let consent = r#"data-consent="analytics,  marketing personalization,""#;
    let site = page_alone(world.write_key(), &world.collector.url, consent).await;
    browser.open(&format!("{}/page", site.url)).await;
    each_is_there_once(&world, &[("page_view", 1)]).await;
    browser
        .run("clickmill.consent('all, analytics'); clickmill.track('search', { query: 'a' })")
        .await;
    each_is_there_once(&world, &[("page_view", 1), ("search", 1)]).await;
    let records: Vec<Record> = world.read(Topic::ClicksRaw).await;
    let granted = records.iter().map(|record| {
        let purposes = record.context.consent.as_ref().map(|consent| consent.granted.clone());
        (record.kind.as_str(), purposes.expect("what was granted"))
    });
    let granted: Vec<_> = granted.collect();
    let (analytics, hints) = (Purpose::Analytics, Purpose::Personalization);
    assert_eq!(granted, [("page_view", vec![analytics, hints]), ("search", vec![analytics])]);
    browser.close().await;
}

async fn what_is_long_arrives_without_the_core_too(engine: Engine) {
    let (world, browser) = (World::start().await, Browser::builder(engine).start().await);
    let line = Front::before(&world.collector.url, []).await;
    let site = page_alone(world.write_key(), &line.url, r#"data-consent="analytics""#).await;
    // What the first page could not send the next one sends.
    line.befalls(Mishap::Answered(StatusCode::SERVICE_UNAVAILABLE, ""));
    browser.open(&format!("{}/page", site.url)).await;
    browser.run(LONG).await;
    until_enough("a refusal", || async { line.met() }, |met| *met > 0).await;
    browser.open(&format!("{}/page", site.url)).await;
    line.mends();
    browser.run(LONG).await;
    each_is_there_once(&world, &[("page_view", 4), ("product_view", 120)]).await;
    let verdicts = || async { browser.verdicts().await.len() };
    until_enough("a verdict on each of the second page", verdicts, |count| *count >= 62).await;
    let kept = || async { browser.run("return Object.keys(localStorage).length").await };
    until_enough("nothing is kept", kept, |kept| *kept == 0).await;
    let longest = line.passed().iter().map(|passed| passed.body.len()).max();
    assert!(longest.is_some_and(|longest| longest < 64 * 1024), "{longest:?}");
    browser.close().await;
}

async fn who_withdraws_consent_without_the_core_is_forgotten(engine: Engine) {
    let (world, browser) = (World::start().await, Browser::builder(engine).start().await);
    let line = Front::before(&world.collector.url, []).await;
    let key = world.write_key();
    let site = page_alone(key, &line.url, r#"data-consent="analytics""#).await;
    line.befalls(Mishap::Answered(StatusCode::SERVICE_UNAVAILABLE, ""));
    browser.open(&format!("{}/page", site.url)).await;
    // As an earlier page with a core left it.
    let known = format!(
        "localStorage['cm.{key}.me'] = 'somebody\x1d1';
         localStorage['cm.{key}.customer'] = 'ada';
         const done = arguments[arguments.length - 1];
         indexedDB.open('cm.{key}').onsuccess = ({{ target }}) => done(target.result.close());"
    );
    browser.later(&known).await;
    browser.open(&format!("{}/page", site.url)).await;
    let search = "clickmill.track('search', { query: 'secret' }); return clickmill.visitor()";
    assert_eq!(browser.run(search).await, "somebody");
    let kept = || async { browser.later(STORED).await.to_string() };
    let is_there = |kept: &String| kept.contains(".0") && kept.contains(&format!("\"cm.{key}\""));
    until_enough("it is kept", kept, is_there).await;
    let met = line.met();
    until_enough("a refusal", || async { line.met() }, |now| *now > met).await;

    browser.run("clickmill.consent(''); clickmill.track('wishlist_add', { sku: 'KET-1' })").await;
    until_enough("nothing is kept", kept, |kept| kept == "[]").await;
    assert_eq!(browser.run("return clickmill.visitor() ?? null").await, json!(null));
    line.mends();
    let wish = until("the wish", || async {
        let all: Vec<Record> = world.read(Topic::ClicksRaw).await;
        all.into_iter().find(|record| record.kind.as_str() == "wishlist_add")
    })
    .await;
    assert_eq!(wish.context.visitor, None);
    world.books_balance().await;
    let passed = line.passed();
    let named = passed.iter().filter(|passed| passed.body.contains("somebody"));
    let said = |body: &str| body.contains(r#""type":"consent""#) && !body.contains("secret");
    assert!(named.clone().all(|passed| said(&passed.body)), "{passed:?}");
    assert!(named.count() > 0, "that they have refused is told");
    let records: Vec<Record> = world.read(Topic::ClicksRaw).await;
    let named = records.iter().filter(|record| record.context.visitor.is_some());
    let named: Vec<_> = named.map(|record| (record.kind.as_str(), record.props.as_str())).collect();
    assert_eq!(named, [("consent", r#"{"granted":[]}"#)]);
    let counted = passed.iter().any(|passed| passed.body.contains("\"dropped_consent\":2"));
    assert!(counted, "the page view and the search: {passed:?}");
    browser.close().await;
}

async fn who_may_not_send_without_the_core_stops_and_loses_nothing(engine: Engine) {
    let (world, browser) = (World::start().await, Browser::builder(engine).start().await);
    let line = Front::before(&world.collector.url, []).await;
    let site = page_alone(world.write_key(), &line.url, r#"data-consent="analytics""#).await;
    line.befalls(Mishap::Answered(StatusCode::FORBIDDEN, r#"{"error":"origin_not_allowed"}"#));
    browser.open(&format!("{}/page", site.url)).await;
    until_enough("a refusal", || async { line.met() }, |met| *met > 0).await;
    browser.run("clickmill.track('search', { query: 'a' }); clickmill.flush()").await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(line.met(), 1, "it stopped");
    line.mends();
    browser.open(&format!("{}/page", site.url)).await;
    each_is_there_once(&world, &[("page_view", 2), ("search", 1)]).await;
    browser.close().await;
}

async fn a_link_is_told_without_its_query_and_what_is_private_not_at_all(engine: Engine) {
    let (world, browser) = (World::start().await, Browser::builder(engine).start().await);
    let consent = r#"data-consent="analytics""#;
    let site = page_alone(world.write_key(), &world.collector.url, consent).await;
    browser.open(&format!("{}/page", site.url)).await;
    browser.run(CLICKS).await;
    each_is_there_once(&world, &[("click", 3), ("page_view", 1), ("product_click", 1)]).await;
    let records: Vec<Record> = world.read(Topic::ClicksRaw).await;
    let clicks = records.iter().filter(|record| record.kind.as_str() == "click");
    let clicks = clicks.map(|record| {
        let props: Value = serde_json::from_str(record.props.as_str()).expect("properties");
        (props["id"].clone(), props["href"].clone())
    });
    let clicks: Vec<_> = clicks.collect();
    let none = Value::Null;
    let expected = [
        (json!("out"), json!("https://shop.example/a")),
        (json!("mail"), none.clone()),
        (json!("call"), none),
    ];
    assert_eq!(clicks, expected);
    browser.close().await;
}

async fn what_the_stub_tells_by_itself_can_be_switched_off(engine: Engine) {
    let (world, browser) = (World::start().await, Browser::builder(engine).start().await);
    let tag = r#"data-consent="analytics" data-off="page,click""#;
    let site = page_alone(world.write_key(), &world.collector.url, tag).await;
    browser.open(&format!("{}/page", site.url)).await;
    browser.run(CLICKS).await;
    each_is_there_once(&world, &[("product_click", 1)]).await;
    browser.run("clickmill.page()").await;
    each_is_there_once(&world, &[("page_view", 1), ("product_click", 1)]).await;
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
