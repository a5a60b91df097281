//! Several tabs of one site: one visitor, and a queue for each tab.

use std::collections::BTreeSet;

use clickmill_sdk_core::wire::Topic;
use clickmill_tests::Visit;
use clickmill_tests::browser::{Engine, SeenHint};
use clickmill_tests::until::{until, until_enough};
use fantoccini::wd::WindowHandle;
use serde_json::json;

use crate::before_the_core::{click_product, each_is_there_once};
use crate::identity::{of_visitors, search, who};

in_each_engine!(
    two_tabs_are_one_visitor_with_two_queues,
    who_logs_out_in_one_tab_is_gone_from_the_others,
    a_tab_that_has_not_heard_yet_brings_no_former_visitor_back,
    who_logs_out_while_storage_is_asked_is_gone_from_the_others_too,
    what_was_said_to_a_former_visitor_is_taken_back_in_all_tabs,
    what_a_former_visitors_stream_brought_is_shown_to_nobody,
);
// The others' drivers do not tell which tab is seen.
in_engines!(of_two_tabs_the_one_that_is_seen_has_the_stream: chromium);

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

/// Holds back what a page hears of storage, for as long as it says so.
const HELD: &str = "
window.held = [];
window.changes = 0;
const add = window.addEventListener;
window.addEventListener = (name, run, ...more) => {
  const heard = (event) => {
    window.changes += event.key.endsWith('.customer');
    return window.holds ? held.push(() => run(event)) : run(event);
  };
  add.call(window, name, name === 'storage' ? heard : run, ...more);
};
window.kept = (item) => Object.entries(localStorage).find(([key]) => key.endsWith(item));
";

async fn a_tab_that_has_not_heard_yet_brings_no_former_visitor_back(engine: Engine) {
    let visit = Visit::builder().engine(engine).before_pages(HELD).start().await;
    let ada = who(&visit, "clickmill.identify('ada', 'signed')", "ada").await;
    let first = visit.client.window().await.expect("the first tab");
    visit.new_tab().await;
    visit.go("").await;
    visit.has_core().await;
    let second = visit.client.window().await.expect("the second tab");
    let to = |tab: &WindowHandle| visit.client.switch_to_window(tab.clone());

    to(&first).await.expect("it is there");
    visit.run("window.holds = true; window.me = kept('.me')[1]").await;
    to(&second).await.expect("it is there");
    let nobody = who(&visit, "clickmill.reset()", "out").await;
    to(&first).await.expect("it is there");
    until("the log-out in storage", || async {
        (visit.run("return kept('.customer')[1]").await == "").then_some(())
    })
    .await;
    // It writes down the visit that it knows, over the new one; and the visitor, as it does when a
    // new token comes.
    visit.run("document.dispatchEvent(new Event('freeze'))").await;
    visit.run("localStorage[kept('.me')[0]] = me").await;
    let former = "return [kept('.visit')[1].split('\\x1d')[0], clickmill.visitor()]";
    assert_eq!(visit.run(former).await, json!([ada.1, ada.0]));
    visit.run("window.holds = false; held.splice(0).forEach((run) => run())").await;

    let here = who(&visit, "", "here").await;
    assert_eq!((&here.0, &here.2), (&nobody.0, &None));
    assert_ne!(here.1, ada.1);
    to(&second).await.expect("it is there");
    assert_eq!(who(&visit, "", "there").await, nobody);
    visit.go("").await;
    visit.has_core().await;
    assert_eq!(who(&visit, "", "the next page").await.0, nobody.0);

    // Two tabs in which nothing happens but log-outs do not answer each other with more of them.
    for tab in [&first, &second] {
        to(tab).await.expect("it is there");
        visit.run("window.changes = 0").await;
    }
    for tab in [&first, &second] {
        visit.run("clickmill.reset()").await;
        to(tab).await.expect("it is there");
        until("its turn", || async {
            (visit.run("return changes > 0").await == true).then_some(())
        })
        .await;
    }
    who(&visit, "", "some time later").await;
    // Each log-out is two changes, and each tab saw the other's.
    let changes = visit.run("return changes").await.as_u64().expect("a count");
    assert!(changes <= 4, "{changes} changes");
    visit.world.books_balance().await;
    visit.close().await;
}

async fn who_logs_out_while_storage_is_asked_is_gone_from_the_others_too(engine: Engine) {
    let visit = Visit::builder().engine(engine).start().await;
    let ada = who(&visit, "clickmill.identify('ada', 'signed')", "ada").await;
    let first = visit.client.window().await.expect("the first tab");
    visit.new_tab().await;
    visit.go("").await;
    visit.has_core().await;
    // A page that comes back asks storage for its queue; what happens meanwhile waits for that.
    let back = "dispatchEvent(new PageTransitionEvent('pagehide', { persisted: true }));
        dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }));
        clickmill.reset()";
    let nobody = who(&visit, back, "out").await;
    assert!(nobody.0 != ada.0 && nobody.2.is_none(), "{nobody:?} {ada:?}");
    visit.client.switch_to_window(first).await.expect("it is there");
    let mut asked = 0;
    let here = || {
        asked += 1;
        let (visit, query) = (&visit, format!("here {asked}"));
        async move { who(visit, "", &query).await }
    };
    let here = until_enough("the same visitor", here, |here| here.0 == nobody.0).await;
    assert!(here.1 != ada.1 && here.2.is_none(), "{here:?} {ada:?}");
    visit.world.books_balance().await;
    visit.close().await;
}

/// Whoever sees a tab hears what it was told, and what it was not told while another one was seen.
async fn of_two_tabs_the_one_that_is_seen_has_the_stream(engine: Engine) {
    let visit = Visit::builder().engine(engine).start().await;
    let has_one = || async {
        let open = || async { visit.world.relay.metric("clickmill_relay_streams_open").await };
        until_enough("a stream", open, |open| *open == 1.0).await;
    };
    // What the tab heard until the answer to that event.
    let heard = async |event: &str| {
        let answers = |hint: &SeenHint| hint.cause.as_ref().is_some_and(|it| it.event == event);
        let hints = || async { visit.hints().await };
        until_enough("the answer", hints, |hints| hints.iter().any(answers)).await
    };
    visit.world.kafka.stock(&[("KET-1", 5), ("KET-2", 5)]);
    let other = visit.world.page();
    other.send(vec![other.views("KET-1"), other.views("KET-2")]).await;
    visit.has_core().await;
    has_one().await;
    let first = visit.client.window().await.expect("the first tab");

    visit.new_tab().await;
    visit.go("").await;
    visit.has_core().await;
    visit.run("clickmill.track('product_view', { sku: 'KET-1' }); clickmill.flush()").await;
    let look = until("the look's verdict", || async {
        let verdicts = visit.verdicts().await;
        verdicts.into_iter().find(|verdict| verdict.kind == "product_view").map(|look| look.id)
    })
    .await;
    let there = heard(&look).await.pop().expect("its answer");
    has_one().await;

    visit.client.switch_to_window(first).await.expect("it is there");
    visit.show().await;
    let here: Vec<_> = heard(&look).await.into_iter().map(|hint| hint.id).collect();
    assert_eq!(here, [there.id], "once, and nothing that holds no more");
    has_one().await;
    visit.close().await;
}

/// A slot, and hints that the page says by itself, of ten minutes.
const SLOT: &str = "
document.body.innerHTML = `<clickmill-slot name=offers><p>own</p>
  <template><b data-cm-text='{title}'></b></template></clickmill-slot>`;
window.offers = document.querySelector('clickmill-slot');
window.say = (title) => document.dispatchEvent(new CustomEvent('clickmill:hint', { detail: {
  id: `clicks.0.${title}.0`, kind: 'suggest', slot: 'offers', content: { title },
  expires_at: Date.now() + 600000,
} }));
say(1);
";

/// Waits until the slot shows the page's own choice again.
async fn is_taken_back(visit: &Visit) {
    let shown = || async { visit.run("return offers.dataset.cmHint ?? ''").await };
    until_enough("it is taken back", shown, |shown| *shown == "").await;
}

async fn what_was_said_to_a_former_visitor_is_taken_back_in_all_tabs(engine: Engine) {
    let visit = Visit::builder().engine(engine).start().await;
    who(&visit, "clickmill.identify('ada', 'signed')", "ada").await;
    let first = visit.client.window().await.expect("the first tab");
    visit.run(SLOT).await;
    visit.new_tab().await;
    visit.go("").await;
    visit.has_core().await;
    visit.run(SLOT).await;
    let said = "return offers.dataset.cmHint";
    for (n, call) in [
        "clickmill.reset()",
        "clickmill.identify('bob')",
        "clickmill.identify('eve')",
        "clickmill.consent('analytics')",
        "clickmill.consent('')",
    ]
    .into_iter()
    .enumerate()
    {
        visit.run(&format!("say({})", n + 2)).await;
        let there = visit.run(said).await;
        // Who was nobody before and is named is the same visitor.
        let is_other = call != "clickmill.identify('bob')";
        visit.run(call).await;
        if is_other {
            is_taken_back(&visit).await;
        } else {
            who(&visit, "", "bob").await;
            assert_eq!(visit.run(said).await, there);
        }
        if n == 0 {
            let second = visit.client.window().await.expect("the second tab");
            visit.client.switch_to_window(first.clone()).await.expect("it is there");
            is_taken_back(&visit).await;
            visit.client.switch_to_window(second).await.expect("it is there");
        }
    }
    visit.close().await;
}

async fn what_a_former_visitors_stream_brought_is_shown_to_nobody(engine: Engine) {
    let visit = Visit::builder().engine(engine).before_pages(STREAMS).start().await;
    who(&visit, "clickmill.identify('ada', 'signed')", "ada").await;
    streams_anew(&visit, 0).await;
    // Another tab has a new visitor: this one asks storage. Meanwhile ada's stream goes on.
    let brings = "window.heard = [];
        document.addEventListener('clickmill:hint', ({ detail }) => heard.push(detail.id));
        const bring = (id) => streams.at(-1).dispatchEvent(new MessageEvent('suggest', {
          lastEventId: id, data: JSON.stringify({ epoch: 99, slot: 'offers', content: { title: id },
            decided_at: Date.now(), expires_at: Date.now() + 60000 }) }));
        bring('clicks.0.1.0');
        const key = Object.keys(localStorage).find((name) => name.endsWith('.customer'));
        localStorage[key] = 'bob';
        dispatchEvent(new StorageEvent('storage', { key, oldValue: 'ada', newValue: 'bob' }));
        bring('clicks.0.2.0');";
    visit.run(brings).await;
    who(&visit, "", "bob").await;
    let heard = visit.run("return heard").await;
    let heard = heard.as_array().expect("ids");
    assert!(
        heard.contains(&json!("clicks.0.1.0")) && !heard.contains(&json!("clicks.0.2.0")),
        "{heard:?}"
    );
    visit.close().await;
}
