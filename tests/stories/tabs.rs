//! Several tabs of one site: one visitor, and a queue for each tab.

use std::collections::BTreeSet;

use clickmill_sdk_core::wire::Topic;
use clickmill_tests::Visit;
use clickmill_tests::browser::Engine;
use clickmill_tests::until::{until, until_enough};
use fantoccini::wd::WindowHandle;

use crate::before_the_core::{click_product, each_is_there_once};
use crate::identity::{of_visitors, search, who};

in_each_engine!(two_tabs_are_one_visitor_with_two_queues);
in_engines!(who_logs_out_in_one_tab_is_gone_from_the_others: chromium, webkit);

/// Writes down the streams of hints that a page opens.
const STREAMS: &str = "
window.streams = [];
const Source = window.EventSource;
window.EventSource = class extends Source {
  constructor(...all) {
    super(...all);
    window.streams.push(this);
  }
};
";

async fn two_tabs_are_one_visitor_with_two_queues(engine: Engine) {
    let visit = Visit::builder().engine(engine).start().await;

    visit.new_tab().await;
    visit.go("").await;
    until("two queues", || async { (visit.queues().await == 2).then_some(()) }).await;
    click_product(&visit).await;
    each_is_there_once(
        &visit.world,
        &[("page_view", 3), ("product_click", 1), ("product_view", 1)],
    )
    .await;

    let records = visit.world.read(Topic::ClicksRaw).await;
    let visitors: BTreeSet<_> =
        of_visitors(&records).map(|record| &record.context.visitor).collect();
    let queues: BTreeSet<_> = of_visitors(&records).map(|record| &record.queue).collect();
    assert_eq!((visitors.len(), queues.len()), (1, 2), "{visitors:?} {queues:?}");
    visit.close().await;
}

/// Waits until the page has opened another stream than so many, and all that came before are closed.
async fn streams_anew(visit: &Visit, before: u64) -> u64 {
    let count = || async {
        let script = "const open = streams.filter(({ readyState }) => readyState < 2);
            return open.length === 1 && open[0] === streams.at(-1) ? streams.length : 0";
        visit.run(script).await.as_u64().unwrap_or_default()
    };
    until_enough("a stream of its own", count, |count| *count > before).await
}

async fn who_logs_out_in_one_tab_is_gone_from_the_others(engine: Engine) {
    let visit = Visit::builder().engine(engine).before_pages(STREAMS).start().await;
    let ada = who(&visit, "clickmill.identify('ada', 'signed')", "ada").await;
    let first = visit.client.window().await.expect("the first tab");
    let streams = streams_anew(&visit, 0).await;
    visit.new_tab().await;
    visit.go("").await;
    visit.has_core().await;
    let second = visit.client.window().await.expect("the second tab");
    assert_eq!(who(&visit, "", "ada elsewhere").await, ada);
    let to = |tab: &WindowHandle| visit.client.switch_to_window(tab.clone());

    // What waits in the first tab meanwhile is still ada's.
    to(&first).await.expect("it is there");
    visit.run("clickmill.track('search', { query: 'last words' })").await;
    to(&second).await.expect("it is there");
    let nobody = who(&visit, "clickmill.reset()", "out").await;
    assert!(nobody.0 != ada.0 && nobody.1 != ada.1 && nobody.2.is_none(), "{nobody:?} {ada:?}");
    to(&first).await.expect("it is there");
    let mut streams = streams_anew(&visit, streams).await;
    let (visitor, session, customer) = who(&visit, "", "out here, too").await;
    assert_eq!((&visitor, &customer), (&nobody.0, &None));
    assert_ne!(session, ada.1);
    let last = search(&visit.world, "last words").await.context;
    assert_eq!(last.visitor.map(|visitor| visitor.as_str().to_owned()), Some(ada.0));

    // Another log-out is one, too; then somebody comes, and somebody else in their place.
    for (call, query) in [
        ("clickmill.reset()", "out again"),
        ("clickmill.identify('bob')", "bob"),
        ("clickmill.identify('eve')", "eve"),
    ] {
        to(&second).await.expect("it is there");
        let there = who(&visit, call, query).await;
        to(&first).await.expect("it is there");
        streams = streams_anew(&visit, streams).await;
        let here = who(&visit, "", &format!("{query}, here, too")).await;
        assert_eq!((here.0, here.2), (there.0, there.2), "{call}");
    }
    let records = visit.world.read(Topic::ClicksRaw).await;
    let visitors: BTreeSet<_> =
        of_visitors(&records).map(|record| &record.context.visitor).collect();
    assert_eq!(visitors.len(), 4, "{visitors:?}");
    visit.world.books_balance().await;
    visit.close().await;
}
