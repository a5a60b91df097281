//! What happens on a page before the SDK's core is there: it arrives once, whoever sends it.

use std::collections::{BTreeMap, BTreeSet};

use clickmill_sdk_core::wire::Topic;
use clickmill_tests::browser::{Browser, Engine};
use clickmill_tests::until::{until, until_enough};
use clickmill_tests::{Visit, World};
use fantoccini::Locator;

use crate::identity::who;

/// On pages that are marked, the browser is never idle: the core does not come.
pub(crate) const BUSY: &str = "
if (sessionStorage.getItem('busy')) window.requestIdleCallback = () => {};
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
    const text = await reply.text();
    mark('settings');
    await new Promise((gone) => addEventListener('pagehide', gone));
    mark('settled');
    return { ok: true, text: () => text };
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

    let sent = visit.sent().await;
    let handed: BTreeSet<_> = sent.iter().map(|sent| &sent.id).collect();
    assert_eq!(handed.len(), 25, "{sent:?}");
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
    until("the log-out in the other tab", || async {
        (visit.run("return clickmill.visitor()").await != bob.0.as_str()).then_some(())
    })
    .await;
    let nobody = who(&visit, "", "out there, too").await;
    assert!(nobody.0 != bob.0 && nobody.1 != bob.1 && nobody.2.is_none(), "{nobody:?} {bob:?}");

    let records = visit.world.read(Topic::ClicksRaw).await;
    let left = records.iter().filter(|record| record.kind.as_str() == "logout");
    let left = left.filter_map(|record| Some(record.context.visitor.as_ref()?.as_str()));
    let left: BTreeSet<_> = left.collect();
    assert_eq!(left, BTreeSet::from([&*ada.0, &*bob.0]), "who logs out is who was there");
    visit.world.books_balance().await;
    visit.close().await;
}
