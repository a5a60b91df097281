//! What becomes of events on bad days, in a real browser: each is in Kafka once in the end, and the
//! SDK's books say so.

use clickmill_tests::browser::{Browser, Engine};
use clickmill_tests::until::{until, until_enough};
use clickmill_tests::{Mishap, Visit};
use hyper::StatusCode;
use serde_json::json;

use crate::before_the_core::{BUSY, click_product, each_is_there_once};

/// What the network and those in between can do to a delivery.
const MISHAPS: [Mishap; 8] = [
    Mishap::Answered(StatusCode::TOO_MANY_REQUESTS, r#"{"error":"rate_limited"}"#),
    Mishap::Answered(StatusCode::BAD_GATEWAY, "<h1>Bad gateway</h1>"),
    Mishap::Answered(StatusCode::SERVICE_UNAVAILABLE, ""),
    Mishap::Answered(StatusCode::OK, "<h1>Welcome to this hotel</h1>"),
    Mishap::Answered(StatusCode::BAD_REQUEST, "<h1>What?</h1>"),
    Mishap::Unheard,
    Mishap::Cut,
    Mishap::Silent,
];

/// Nobody waits half a minute for an answer: time passes thirty times as fast.
const HASTY: &str = "
const { timeout } = AbortSignal;
AbortSignal.timeout = (wait) => timeout.call(AbortSignal, wait / 30);
";

/// On pages that are told so, it is later than a tab that is gone holds its queue.
const LATER: &str = "
const { now } = Date;
Date.now = () => now() + (window.isLater ? 5 * 60_000 : 0);
";

/// On pages that are told so, no timer comes to its end.
const PATIENT: &str = "
const later = window.setTimeout;
window.setTimeout = (run, wait, ...all) =>
  later(run, wait > 0 && window.isPatient ? 2 ** 30 : wait, ...all);
";

in_each_engine!(
    answers_of_any_kind_lose_nothing,
    what_happens_offline_is_sent_online,
    what_a_killed_tab_could_not_send_another_tab_sends,
    where_storage_is_denied_everything_is_sent_from_memory,
    what_the_stub_sent_unheard_the_next_page_sends_again,
);
// WebKit's small browser has no switch that takes the network away.
in_engines!(a_network_that_is_back_is_used_at_once: chromium, firefox);
// WebKit's small browser keeps nothing on disk while it is driven.
in_engines!(what_a_killed_browser_could_not_send_the_next_one_sends: chromium, firefox);

/// What stubs keep of which they do not know the fate.
const KEPT_BY_STUBS: &str =
    "return Object.keys(localStorage).filter((name) => /\\.0[^.]*$/.test(name))";

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

/// Waits until so many events lie in the SDK's database.
async fn all_are_kept(browser: &Browser, count: usize) {
    let kept = || async {
        let kept = browser.kept().await;
        kept.iter().filter(|(key, _)| key[1].is_u64()).count()
    };
    until_enough("all are kept", kept, |kept| *kept == count).await;
}

async fn answers_of_any_kind_lose_nothing(engine: Engine) {
    let visit = Visit::builder().engine(engine).before_pages(HASTY).start().await;
    all_is_settled(&visit).await;
    for mishap in MISHAPS {
        visit.line.befalls(mishap);
        sees_products(&visit, 2).await;
        visit.run("clickmill.flush()").await;
        let met = || async { visit.line.met() };
        until_enough(&format!("{mishap:?}"), met, |met| *met > 0).await;
        visit.line.mends();
        all_is_settled(&visit).await;
    }
    assert_eq!(all_is_settled(&visit).await, 1 + 2 * MISHAPS.len() as u64);
    each_is_there_once(&visit.world, &[("page_view", 1), ("product_view", 2 * MISHAPS.len())])
        .await;
    visit.close().await;
}

async fn what_happens_offline_is_sent_online(engine: Engine) {
    let visit = Visit::builder().engine(engine).start().await;
    all_is_settled(&visit).await;
    // A browser without a switch of its own does not know why nothing answers.
    let knows = visit.set_offline(true).await;
    assert_eq!(visit.run("return navigator.onLine").await, !knows);
    // So many that they travel compressed.
    sees_products(&visit, 40).await;
    visit.run("clickmill.flush()").await;
    all_are_kept(&visit, 40).await;
    visit.set_offline(false).await;
    assert_eq!(all_is_settled(&visit).await, 41);
    let passed = visit.line.passed();
    assert!(passed.iter().any(|passed| passed.is_packed), "{passed:?}");
    assert_eq!(visit.line.preflights(), 0, "no request of which a browser asks first");
    each_is_there_once(&visit.world, &[("page_view", 1), ("product_view", 40)]).await;
    all_are_kept(&visit, 0).await;
    visit.close().await;
}

async fn a_network_that_is_back_is_used_at_once(engine: Engine) {
    let visit = Visit::builder().engine(engine).before_pages(PATIENT).start().await;
    all_is_settled(&visit).await;
    let backs_off = || async {
        until("it waits", || async {
            let script = "return JSON.parse(witness['witness.state']).delivery";
            (visit.run(script).await == "backing_off").then_some(())
        })
        .await;
    };
    // From here on no timer comes to an end.
    visit.run("window.isPatient = true").await;
    assert!(visit.set_offline(true).await, "the browser knows it");
    sees_products(&visit, 3).await;
    visit.run("clickmill.flush()").await;
    backs_off().await;
    visit.set_offline(false).await;
    all_is_settled(&visit).await;

    // A refusal holds whatever the network does.
    visit.line.befalls(Mishap::Answered(StatusCode::SERVICE_UNAVAILABLE, ""));
    sees_products(&visit, 1).await;
    visit.run("clickmill.flush()").await;
    backs_off().await;
    let sent = visit.sent().await.len();
    visit.line.mends();
    visit.run("dispatchEvent(new Event('online'))").await;
    assert_eq!(visit.sent().await.len(), sent);
    visit.go("").await;
    each_is_there_once(&visit.world, &[("page_view", 2), ("product_view", 4)]).await;
    visit.close().await;
}

/// In one tab, and in another that is killed with events that it could not send.
async fn what_a_killed_tab_could_not_send_another_tab_sends(engine: Engine) {
    let visit = Visit::builder().engine(engine).before_pages(LATER).start().await;
    all_is_settled(&visit).await;

    let first = visit.client.window().await.expect("the first tab");
    visit.new_tab().await;
    visit.go("").await;
    visit.has_core().await;
    all_is_settled(&visit).await;
    visit.line.befalls(Mishap::Cut);
    sees_products(&visit, 7).await;
    all_are_kept(&visit, 7).await;

    // As long as the tab may be asleep, its queue is its own. The first one hears of its end from
    // the browser, goes on later, and there takes over what was left.
    let alive = "const done = arguments[arguments.length - 1];
        navigator.locks.request('alive', () => (done(), new Promise(() => {})));";
    visit.later(alive).await;
    let second = visit.client.window().await.expect("the second tab");
    visit.client.switch_to_window(first).await.expect("it is there");
    let goes_on = "navigator.locks.request('alive', () => {
            window.isLater = true;
            clickmill.track('wishlist_add', { sku: 'KET-1' });
            clickmill.flush();
        });";
    visit.run(goes_on).await;
    visit.client.switch_to_window(second).await.expect("it is there");
    visit.crash().await;
    visit.line.mends();
    each_is_there_once(&visit.world, &[("page_view", 2), ("product_view", 7), ("wishlist_add", 1)])
        .await;
}

async fn what_a_killed_browser_could_not_send_the_next_one_sends(engine: Engine) {
    let visit = Visit::builder().engine(engine).start().await;
    all_is_settled(&visit).await;
    visit.line.befalls(Mishap::Cut);
    sees_products(&visit, 7).await;
    all_are_kept(&visit, 7).await;

    let visit = visit.after_a_kill().await;
    visit.line.mends();
    visit.before_pages("window.isLater = true");
    visit.before_pages(LATER);
    visit.go("").await;
    each_is_there_once(&visit.world, &[("page_view", 2), ("product_view", 7)]).await;
    all_is_settled(&visit).await;
    visit.close().await;
}

async fn where_storage_is_denied_everything_is_sent_from_memory(engine: Engine) {
    let browser = Browser::builder(engine).without_storage();
    let visit = Visit::builder().browser(browser).start().await;
    let denied = "try {
            return !localStorage.length && false;
        } catch {
            return true;
        }";
    assert_eq!(visit.run(denied).await, true, "nothing can be kept");
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

async fn what_the_stub_sent_unheard_the_next_page_sends_again(engine: Engine) {
    let visit = Visit::builder().engine(engine).before_pages(BUSY).start().await;
    all_is_settled(&visit).await;
    // A site that stores much of its own.
    visit.run("localStorage.site = 'x'.repeat(1200000)").await;
    let mishaps = [Mishap::Unheard, Mishap::Answered(StatusCode::SERVICE_UNAVAILABLE, "")];
    for mishap in mishaps {
        // A page without a core, and no good answer to what it sends as it goes away.
        visit.run("sessionStorage.busy = 1").await;
        visit.go("").await;
        visit.line.befalls(mishap);
        click_product(&visit).await;
        let met = || async { visit.line.met() };
        until_enough(&format!("{mishap:?}"), met, |met| *met > 0).await;
        let kept = visit.run(KEPT_BY_STUBS).await;
        assert!(kept.as_array().is_some_and(|kept| !kept.is_empty()), "{mishap:?}: {kept}");
        visit.line.mends();
        visit.run("delete sessionStorage.busy").await;
        visit.go("").await;
        visit.has_core().await;
    }
    each_is_there_once(
        &visit.world,
        &[("page_view", 1 + 3 * mishaps.len()), ("product_click", 2), ("product_view", 2)],
    )
    .await;
    until("nothing is kept", || async {
        (visit.run(KEPT_BY_STUBS).await == json!([])).then_some(())
    })
    .await;
    visit.close().await;
}
