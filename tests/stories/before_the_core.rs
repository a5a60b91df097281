//! What happens on a page before the SDK's core is there: it arrives once, whoever sends it.

use std::collections::{BTreeMap, BTreeSet};

use clickmill_sdk_core::wire::{Record, Topic};
use clickmill_tests::browser::{Browser, Engine};
use clickmill_tests::until::{until, until_enough};
use clickmill_tests::{Visit, World};
use fantoccini::Locator;
use serde_json::Value;

use crate::identity::{search, who};

/// On pages that are marked, the browser is not idle before it is told so: the core does not come.
pub(crate) const BUSY: &str = "
if (sessionStorage.getItem('busy')) window.requestIdleCallback = (run) => { window.idle = run; };
";

/// On pages that are marked, events leave once that is allowed.
const HELD: &str = "
const send = window.fetch;
let isHeld = !!sessionStorage.getItem('busy');
window.held = [];
window.allow = () => {
  isHeld = false;
  window.held.forEach((allowed) => allowed());
};
window.fetch = async (url, options) => {
  if (isHeld && String(url).includes('/v1/events')) {
    await new Promise((allowed) => window.held.push(allowed));
  }
  return send(url, options);
};
";

/// On pages that are marked, the site's settings arrive at the moment in which the page goes away,
/// when all else that the core waits for is there.
const LATE: &str = "
const mark = (name) => sessionStorage.setItem(name, performance.timeOrigin);
const ask = window.fetch;
const make = WebAssembly.instantiate;
if (sessionStorage.getItem('late')) {
  window.fetch = async (url, options) => {
    const reply = await ask(url, options);
    if (!String(url).includes('/v1/config')) return reply;
    const settings = await reply.json();
    mark('settings');
    await new Promise((gone) => addEventListener('pagehide', gone));
    mark('settled');
    return { ok: true, json: () => settings };
  };
  WebAssembly.instantiate = async (...all) => {
    const made = await make(...all);
    mark('made');
    return made;
  };
}
";

in_each_engine!(
    a_click_that_comes_before_the_core_arrives_once,
    a_page_that_is_gone_starts_no_core,
    who_logs_out_before_the_core_is_there_is_gone_from_the_next_page_too,
    what_is_under_way_when_its_visitor_logs_out_stays_theirs,
    who_is_named_before_the_core_is_there_is_known_on_the_next_page,
);

/// Clicks a product and waits for its page.
pub(crate) async fn click_product(browser: &Browser) {
    let shown = Locator::Css("main a[data-cm-click=product_click]");
    let card = browser.client.find(shown).await.expect("a product");
    card.click().await.expect("a click");
    browser.arrives("/p/").await;
}

/// Waits until the collector's books, Kafka and what a person did agree: so many events of these
/// types, and not one more.
pub(crate) async fn each_is_there_once(world: &World, expected: &[(&str, usize)]) {
    let expected: BTreeMap<String, usize> =
        expected.iter().map(|(kind, count)| ((*kind).to_owned(), *count)).collect();
    let total: usize = expected.values().sum();
    let count = || async {
        let mut counted = BTreeMap::<String, usize>::new();
        for record in world.read(Topic::ClicksRaw).await {
            *counted.entry(record.kind.as_str().to_owned()).or_default() += 1;
        }
        counted
    };
    let is_enough = |counted: &BTreeMap<_, _>| counted.values().sum::<usize>() >= total;
    let counted = until_enough("all events in Kafka", count, is_enough).await;
    assert_eq!(counted, expected);
    world.books_balance().await;
}

async fn a_click_that_comes_before_the_core_arrives_once(engine: Engine) {
    let visit = Visit::builder().engine(engine).before_pages(BUSY).open().await;
    for round in 0..6 {
        // Every other page is left before it has its core.
        let set = ["sessionStorage.busy = 1", "delete sessionStorage.busy"][round % 2];
        visit.run(set).await;
        visit.go("").await;
        if round % 2 == 1 {
            visit.has_core().await;
        }
        click_product(&visit).await;
    }
    visit.has_core().await;
    visit.run("clickmill.flush()").await;

    let handed = || async {
        let sent = visit.sent().await.into_iter();
        sent.map(|sent| sent.id).collect::<BTreeSet<_>>()
    };
    let handed = until_enough("what was sent", handed, |handed| handed.len() >= 25).await;
    assert_eq!(handed.len(), 25, "{handed:?}");
    // A page of the shop and one of a product for each round, and the page that began it all.
    each_is_there_once(
        &visit.world,
        &[("page_view", 13), ("product_click", 6), ("product_view", 6)],
    )
    .await;
    visit.close().await;
}

async fn a_page_that_is_gone_starts_no_core(engine: Engine) {
    let visit = Visit::builder().engine(engine).before_pages(LATE).start().await;
    visit.run("sessionStorage.late = 1").await;
    visit.go("").await;
    let ready = "return [sessionStorage.settings, sessionStorage.made]
                   .every((at) => at == performance.timeOrigin)";
    until("all but the settings", || async { (visit.run(ready).await == true).then_some(()) })
        .await;
    let before = visit.run("return sessionStorage.made").await;
    visit.run("delete sessionStorage.late").await;
    click_product(&visit).await;
    visit.has_core().await;
    assert_eq!(visit.run("return sessionStorage.settled").await, before, "it was the moment");

    // Each tab has a lane of its own in storage; there is one tab.
    until("a queue", || async { (visit.queues().await > 0).then_some(()) }).await;
    assert_eq!(visit.queues().await, 1);
    visit.run("clickmill.flush()").await;
    each_is_there_once(
        &visit.world,
        &[("page_view", 3), ("product_click", 1), ("product_view", 1)],
    )
    .await;
    visit.close().await;
}

async fn who_logs_out_before_the_core_is_there_is_gone_from_the_next_page_too(engine: Engine) {
    let visit = Visit::builder().engine(engine).before_pages(BUSY).start().await;
    // On a page that never has its core.
    let log_out = || async {
        visit.run("sessionStorage.busy = 1").await;
        visit.go("/c/kettles").await;
        visit.run("clickmill.reset()").await;
    };
    let ada = who(&visit, "clickmill.identify('ada', 'signed')", "ada").await;
    log_out().await;
    visit.run("delete sessionStorage.busy").await;
    visit.go("").await;
    visit.has_core().await;
    let nobody = who(&visit, "", "out").await;
    assert!(nobody.0 != ada.0 && nobody.1 != ada.1 && nobody.2.is_none(), "{nobody:?} {ada:?}");

    // From a tab that is open it is gone at once.
    let bob = who(&visit, "clickmill.identify('bob')", "bob").await;
    assert_eq!(bob.0, nobody.0);
    let other = visit.client.window().await.expect("the tab");
    visit.new_tab().await;
    visit.go("").await;
    log_out().await;
    visit.go("").await;
    visit.client.switch_to_window(other).await.expect("it is there");
    is_another_than(&visit, &bob.0).await;
    let nobody = who(&visit, "", "out there, too").await;
    assert!(nobody.0 != bob.0 && nobody.1 != bob.1 && nobody.2.is_none(), "{nobody:?} {bob:?}");

    let left = || visitors_of(&visit.world, "logout");
    let left = until_enough("both log-outs", left, |left| left.len() >= 2).await;
    let left: BTreeSet<_> = left.into_iter().collect();
    assert_eq!(left, BTreeSet::from([ada.0, bob.0]), "who logs out is who was there");
    visit.world.books_balance().await;
    visit.close().await;
}

async fn who_is_named_before_the_core_is_there_is_known_on_the_next_page(engine: Engine) {
    let visit = Visit::builder().engine(engine).before_pages(BUSY).start().await;
    let nobody = who(&visit, "", "before").await;
    // On a page that never has its core.
    let identify = async |call: &str| {
        visit.run("sessionStorage.busy = 1").await;
        visit.go("/c/kettles").await;
        visit.run(&format!("clickmill.identify({call}); clickmill.flush()")).await;
        let kept = format!("return localStorage['cm.{}.out']", visit.world.write_key());
        let said = visit.run(&format!("{kept} + ' ' + (clickmill.visitor() ?? 'nobody')")).await;
        visit.run("delete sessionStorage.busy").await;
        visit.go("").await;
        visit.has_core().await;
        said
    };
    // The word to the next core has no proof in it.
    assert_eq!(identify("'ada', 'signed'").await, format!("ada {}", nobody.0));
    let ada = who(&visit, "", "by ada").await;
    assert_eq!(ada, (nobody.0, nobody.1, Some("ada".to_owned())));
    assert_eq!(identify("'ada'").await, format!("undefined {}", ada.0));
    assert_eq!(who(&visit, "", "by ada again").await, ada);

    // Without a word of goodbye: whose the browser was is another visitor, at once.
    assert_eq!(identify("'bob'").await, "bob nobody");
    let bob = who(&visit, "", "by bob").await;
    assert_eq!(bob.2.as_deref(), Some("bob"));
    assert!(bob.0 != ada.0 && bob.1 != ada.1, "{bob:?} {ada:?}");
    visit.go("/c/kettles").await;
    visit.has_core().await;
    assert_eq!(who(&visit, "", "by bob again").await, bob);
    let named = || visitors_of(&visit.world, "identify");
    let named = until_enough("what named a visitor's customer", named, |all| all.len() >= 2).await;
    assert!(named.iter().all(|visitor| *visitor == ada.0), "{named:?}");
    visit.world.books_balance().await;
    visit.close().await;
}

/// Waits until a page knows another visitor.
async fn is_another_than(visit: &Visit, former: &str) {
    until("another visitor", || async {
        let visitor = visit.run("return clickmill.visitor() ?? null").await;
        visitor.as_str().filter(|visitor| *visitor != former).map(drop)
    })
    .await;
}

/// Whose events of a type there are.
async fn visitors_of(world: &World, kind: &str) -> Vec<String> {
    let records: Vec<Record> = world.read(Topic::ClicksRaw).await;
    let of_kind = records.into_iter().filter(|record| record.kind.as_str() == kind);
    of_kind.filter_map(|record| Some(record.context.visitor?.as_str().to_owned())).collect()
}

async fn what_is_under_way_when_its_visitor_logs_out_stays_theirs(engine: Engine) {
    let pages = format!("{BUSY}{HELD}");
    let visit = Visit::builder().engine(engine).before_pages(&pages).start().await;
    let ada = who(&visit, "clickmill.identify('ada', 'signed')", "ada").await;
    visit.run("sessionStorage.busy = 1").await;
    visit.go("/c/kettles").await;
    // The core is waited for no more.
    let is_sending = || async { (visit.run("return held.length").await == 1).then_some(()) };
    until("what the stub sends", is_sending).await;
    visit.run("clickmill.track('search', { query: 'last words' }); clickmill.reset()").await;
    visit.run("clickmill.track('search', { query: 'of nobody' })").await;
    assert_eq!(visit.run("return clickmill.visitor() ?? null").await, Value::Null);

    // The core comes late, and has made the browser somebody else's before any of that leaves.
    visit.run("idle()").await;
    is_another_than(&visit, &ada.0).await;
    visit.run("allow()").await;
    let left = || visitors_of(&visit.world, "logout");
    let left = until_enough("the log-out", left, |left| !left.is_empty()).await;
    assert_eq!(left, std::slice::from_ref(&ada.0));
    let last = search(&visit.world, "last words").await.context.visitor;
    assert_eq!(last.map(|visitor| visitor.as_str().to_owned()), Some(ada.0.clone()));
    assert_eq!(search(&visit.world, "of nobody").await.context.visitor, None);
    let nobody = who(&visit, "", "out").await;
    assert!(nobody.0 != ada.0 && nobody.1 != ada.1 && nobody.2.is_none(), "{nobody:?} {ada:?}");
    visit.world.books_balance().await;
    visit.close().await;
}
