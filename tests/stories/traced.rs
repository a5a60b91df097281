//! Whoever looks for one click by its trace finds it in the collector's log and in Kafka.

use clickmill_sdk_core::wire::{ToJson, Topic};
use clickmill_tests::until::until;
use clickmill_tests::{Ask, Http, Page, World};
use serde_json::Value;

#[tokio::test(flavor = "multi_thread")]
async fn a_sampled_click_is_found_by_its_trace_in_the_log_and_in_kafka() {
    let builder = World::builder().set(|setup, _| {
        setup.settings = "log.format = \"json\"".to_owned();
    });
    let edge = builder.edge().await;
    let page = Page::new((&edge.collector.url, ""), edge.write_key());
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let url = format!("{}/v1/events?k={}", edge.collector.url, edge.write_key());
    let batch = page.batch(vec![page.views("kettle"), page.views("pan")]).to_json();
    let ask =
        Ask::post(url, batch).header("traceparent", &format!("00-{trace}-00f067aa0ba902b7-01"));
    assert_eq!(Http::default().ask(ask).await.expect("an answer").status, 200);
    page.send(vec![page.views("untraced")]).await;

    let spans = || -> Vec<Value> {
        let log = edge.collector.log();
        let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.map(|line| line["span"].clone()).filter(|span| span["name"] == "request").collect()
    };
    until("the request's line", || async { (!spans().is_empty()).then_some(()) }).await;
    let [span] = spans().try_into().expect("one line: the other request was not sampled");
    assert_eq!(span["trace_id"], trace, "{span}");
    assert_eq!(
        (span["accepted"].as_u64(), span["status"].as_u64()),
        (Some(2), Some(200)),
        "{span}"
    );

    let own = span["span_id"].as_str().expect("an id");
    let place = format!("00-{trace}-{own}-01");
    let carried = async |topic| -> Vec<Option<String>> {
        let records = edge.kafka.records(topic).await;
        records.iter().map(|record| record.headers.get("traceparent").cloned()).collect()
    };
    let mut raw = carried(Topic::ClicksRaw).await;
    raw.sort();
    assert_eq!(raw, [None, Some(place.clone()), Some(place)]);
}
