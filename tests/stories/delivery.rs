//! What becomes of events on bad days, in a real browser: each is in Kafka once in the end, and the
//! SDK's books say so.

use clickmill_tests::Visit;
use clickmill_tests::browser::Browser;
use clickmill_tests::until::until;

use crate::before_the_core::{click_product, each_is_there_once};

/// As long as a fault is set, deliveries meet it in place of the network. `lost` arrives, and its
/// answer does not.
const FAULTS: &str = r"
const post = window.fetch;
const ANSWERS = {
  busy: ['{\'error\':\'rate_limited\'}', { status: 429, headers: { 'retry-after': '1' } }],
  broken: ['<h1>Bad gateway</h1>', { status: 502 }],
  garbage: ['<h1>Welcome to this hotel</h1>', { status: 200 }],
  refused: ['<h1>What?</h1>', { status: 400 }],
};
window.fetch = async (url, options) => {
  const { fault } = sessionStorage;
  if (!fault || !String(url).includes('/v1/events')) return post(url, options);
  if (fault === 'lost') await (await post(url, options)).text();
  sessionStorage.met = fault;
  if (ANSWERS[fault]) return new Response(...ANSWERS[fault]);
  throw new TypeError('no answer');
};
";

/// A browser that denies what outlives the page.
const DENIED: &str = "
for (const name of ['indexedDB', 'localStorage']) {
  const get = () => { throw new DOMException('denied', 'SecurityError'); };
  Object.defineProperty(window, name, { get });
}
";

/// On pages that are marked it is later than a tab that is gone holds its queue.
const LATER: &str = "
const { now } = Date;
if (sessionStorage.later) Date.now = () => now() + 5 * 60_000;
";

/// Sees so many products.
async fn sees_products(browser: &Browser, count: usize) {
    let script = "clickmill.track('product_view', { sku: 'KET-1' });".repeat(count);
    browser.run(&script).await;
}

/// Waits until the SDK's books say that nothing waits and nothing was dropped; gives back how many
/// events the queue ever had.
async fn all_is_settled(browser: &Browser) -> u64 {
    let state = until("nothing waits", || async {
        let state = browser.state().await;
        (state.queued == 0 && state.books.created > 0).then_some(state)
    })
    .await;
    assert_eq!(state.books.created, state.books.settled, "{state:?}");
    state.books.created
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_of_any_kind_lose_nothing() {
    let visit = Visit::builder().before_pages(FAULTS).start().await;
    let faults = ["busy", "broken", "garbage", "refused", "lost", "none at all"];
    for fault in faults {
        visit.run(&format!("sessionStorage.fault = '{fault}'")).await;
        sees_products(&visit, 2).await;
        visit.run("clickmill.flush()").await;
        until(fault, || async {
            (visit.run("return sessionStorage.met").await == fault).then_some(())
        })
        .await;
        visit.run("delete sessionStorage.fault").await;
        all_is_settled(&visit).await;
    }
    assert_eq!(all_is_settled(&visit).await, 1 + 2 * faults.len() as u64);
    each_is_there_once(&visit.world, &[("page_view", 1), ("product_view", 2 * faults.len())]).await;
    visit.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_offline_is_sent_online() {
    let visit = Visit::start().await;
    all_is_settled(&visit).await;
    visit.set_offline(true).await;
    // So many that they travel compressed.
    sees_products(&visit, 40).await;
    visit.run("clickmill.flush()").await;
    until("all are kept", || async {
        let kept = visit.kept().await;
        (kept.iter().filter(|(key, _)| key[1].is_u64()).count() == 40).then_some(())
    })
    .await;
    visit.set_offline(false).await;
    assert_eq!(all_is_settled(&visit).await, 41);
    each_is_there_once(&visit.world, &[("page_view", 1), ("product_view", 40)]).await;
    let left = visit.kept().await;
    assert!(!left.iter().any(|(key, _)| key[1].is_u64()), "{left:?}");
    visit.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_tab_could_not_send_the_next_page_sends() {
    let visit = Visit::builder().before_pages(LATER).start().await;

    visit.new_tab().await;
    visit.before_pages(FAULTS).await;
    visit.go("").await;
    visit.has_core().await;
    all_is_settled(&visit).await;
    visit.run("sessionStorage.fault = 'none at all'").await;
    sees_products(&visit, 7).await;
    until("all are kept", || async {
        let kept = visit.kept().await;
        (kept.iter().filter(|(key, _)| key[1].is_u64()).count() == 7).then_some(())
    })
    .await;
    visit.crash().await;

    // As long as the tab may be asleep, its queue is its own.
    visit.run("sessionStorage.later = 1").await;
    visit.go("").await;
    each_is_there_once(&visit.world, &[("page_view", 3), ("product_view", 7)]).await;
    all_is_settled(&visit).await;
    visit.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_storage_is_denied_everything_is_sent_from_memory() {
    let visit = Visit::builder().before_pages(DENIED).start().await;
    sees_products(&visit, 3).await;
    // The page goes away with them.
    click_product(&visit).await;
    visit.has_core().await;
    visit.run("clickmill.flush()").await;
    each_is_there_once(
        &visit.world,
        &[("page_view", 2), ("product_click", 1), ("product_view", 4)],
    )
    .await;
    visit.close().await;
}
