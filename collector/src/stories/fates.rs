//! Every event finds one fate, whatever the sink does.

use std::time::Duration;

use clickmill_kafka::Class;
use clickmill_sdk_core::wire::{Outcome, RefusalCode, Topic};
use serde_json::{Value, json};

use super::edge::{Edge, batch, batch_of, event, until};
use crate::sink::fake::Faults;
use crate::testing::event_id;

#[tokio::test]
async fn accepted_means_durable() {
    let edge = Edge::start().await;
    edge.sink.hold();
    let sent = batch([event(1), event(2)]);
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let head = edge.delivery().header("traceparent", trace).header("user-agent", "test/1");
    let mut answer =
        std::pin::pin!(edge.send(head.uri("/v1/events?k=wk&positions=1"), sent.to_string()));
    // There is no answer while nothing is durable.
    let early = tokio::time::timeout(Duration::from_millis(100), &mut answer).await;
    assert!(early.is_err() && edge.sink.stored(Topic::ClicksRaw).is_empty());
    edge.sink.release();
    let receipt = answer.await.receipt();
    assert_eq!((receipt.accepted, receipt.verdicts.len()), (2, 0));
    assert_eq!(receipt.positions[1].offset, 1);

    let stored = edge.sink.stored(Topic::ClicksRaw);
    let [first, _] = stored.as_slice() else { panic!("{stored:?}") };
    assert_eq!(first.key.as_deref(), Some("shop:v1"));
    let header = |name: &str| first.headers.first(name).map(|v| std::str::from_utf8(v).unwrap());
    assert_eq!(header("ce_specversion"), Some("1.0"));
    assert_eq!(header("ce_id"), Some(event_id(1).as_str()));
    assert_eq!(header("ce_type"), Some("product_click"));
    assert_eq!(header("ce_source"), Some("/shop/wk"));
    assert_eq!(header("ce_time"), Some("2027-01-15T08:00:00.000Z"));
    assert_eq!(header("content-type"), Some("application/json"));
    assert_eq!(header("traceparent"), Some(trace));
    let record = &edge.stored(Topic::ClicksRaw)[0];
    assert_eq!(record["version"], 1);
    assert_eq!(record["arrival"]["address"], "127.0.0.0");
    assert_eq!(record["arrival"]["user_agent"], "test/1");
    assert_eq!(record["context"]["consent"], json!({"granted": ["analytics"]}));
}

#[tokio::test]
async fn a_bad_event_costs_only_itself() {
    let edge = Edge::start().await;
    let twice = r#"{"id":"x","props":{"a":1,"a":2}}"#;
    let text = batch([event(1), json!(7), event(2)]).to_string();
    let body = text.replacen(",7,", &format!(",{twice},"), 1);
    let mut late = event(3);
    late["at"] = json!(1);
    let mut wrong = event(4);
    wrong["props"] = json!({"sku": 5});
    let answer = edge.send(edge.delivery(), body).await;
    assert_eq!(answer.receipt().accepted, 2);
    assert_eq!(answer.verdicts(), ["1 rejected malformed"]);
    let answer = edge.post(&batch([late, wrong, event(5)])).await;
    assert_eq!(answer.verdicts(), ["0 rejected too_old", "1 rejected schema_violation"]);
    let letters = edge.stored(Topic::ClicksRejected);
    assert_eq!(letters.len(), 3);
    assert_eq!(letters[0]["original"], twice);
    assert_eq!(letters[2]["schema"], "product_click/1");
    assert_eq!(letters[2]["pointer"], "/props/sku");
    assert_eq!(edge.stored_seqs(), [1, 2, 5]);
    assert!(edge.sink.stored(Topic::ClicksRejected).iter().all(|letter| letter.key.is_none()));
}

#[tokio::test]
async fn the_books_balance() {
    let edge = Edge::start().await;
    edge.sink.set(Faults { by_text: Some(("sku-9", Class::Retriable)), ..Faults::default() });
    let mut unknown = event(3);
    unknown["type"] = json!("holiday");
    edge.post(&batch([event(1), event(1), event(2), unknown])).await.receipt();
    edge.post(&batch([event(2), event(9)])).await.receipt();
    edge.post(&batch([event(9)])).await.refusal();
    let count = async |outcome: &str, reason: &str| {
        let labels = format!("{{outcome=\"{outcome}\",reason=\"{reason}\"}}");
        edge.metric(&format!("clickmill_collector_events_total{labels}")).await
    };
    assert_eq!(edge.metric("clickmill_collector_deliveries_total").await, 7);
    assert_eq!(count("accepted", "").await, 2);
    assert_eq!(count("duplicate", "").await, 2);
    assert_eq!(count("rejected", "unknown_type").await, 1);
    assert_eq!(count("retry", "").await, 2);
    let refusals = "clickmill_collector_refusals_total{code=\"unavailable\"}";
    assert_eq!(edge.metric(refusals).await, 1);
}

#[tokio::test]
async fn an_sdk_books_are_counted_once() {
    let edge = Edge::start().await;
    for (number, created) in [(1, 3), (2, 5)] {
        let mut sent = batch([event(number)]);
        let books = json!({"created": created, "settled": number - 1, "dropped_full": 1});
        sent["context"]["sdk"] = json!({"name": "web", "version": "1", "books": books});
        edge.post(&sent).await.receipt();
    }
    let fate = async |fate| {
        edge.metric(&format!("clickmill_collector_sdk_events_total{{fate=\"{fate}\"}}")).await
    };
    assert_eq!((fate("created").await, fate("settled").await), (5, 1));
    assert_eq!(fate("dropped_full").await, 1);
}

#[tokio::test]
async fn when_kafka_takes_nothing_the_answer_is_503() {
    let edge = Edge::start().await;
    for class in [Class::QueueFull, Class::Retriable, Class::TimedOut, Class::Refused, Class::Fatal]
    {
        for faults in [
            Faults { refuse: Some(class), ..Faults::default() },
            Faults { fail_ack: Some(class), ..Faults::default() },
        ] {
            edge.sink.set(faults);
            let answer = edge.post(&batch([event(1), event(2)])).await;
            assert_eq!(answer.status, 503);
            let refusal = answer.refusal();
            assert_eq!(refusal.error, RefusalCode::Unavailable);
            let wait_ms = refusal.retry_after_ms.unwrap();
            assert_eq!(answer.header("retry-after"), Some(&*wait_ms.div_ceil(1000).to_string()));
        }
    }
    // Nothing of it is remembered: the same events are first ones once Kafka is back.
    edge.sink.set(Faults::default());
    assert_eq!(edge.post(&batch([event(1), event(2)])).await.receipt().accepted, 2);
}

#[tokio::test]
async fn after_a_retry_the_visitor_keeps_its_order() {
    let edge = Edge::start().await;
    // The second record fails although the third makes it.
    edge.sink.set(Faults { by_text: Some(("sku-2\"", Class::TimedOut)), ..Faults::default() });
    let mut other = event(4);
    other["context"] = json!({"visitor": "v2"});
    let sent = batch([event(1), event(2), event(3), other]);
    let answer = edge.post(&sent).await;
    assert_eq!(answer.receipt().accepted, 2);
    assert_eq!(answer.verdicts(), ["1 retry", "2 retry"]);
    assert_eq!(edge.stored_seqs(), [1, 3, 4]);
    // What was durable all along is not written twice.
    edge.sink.set(Faults::default());
    let again = edge.post(&batch([event(2), event(3)])).await;
    assert_eq!(again.receipt().accepted, 1);
    assert_eq!(again.verdicts(), ["1 duplicate"]);
    assert_eq!(edge.stored_seqs(), [1, 3, 4, 2]);
}

#[tokio::test]
async fn a_queue_that_fills_up_lets_nothing_overtake() {
    let edge = Edge::start().await;
    edge.sink.set(Faults { first: Some(2), ..Faults::default() });
    let answer = edge.post(&batch((1..=4).map(event))).await;
    assert_eq!(answer.verdicts(), ["2 retry", "3 retry"]);
    edge.sink.set(Faults::default());
    assert_eq!(edge.post(&batch((3..=4).map(event))).await.receipt().accepted, 2);
    assert_eq!(edge.stored_seqs(), [1, 2, 3, 4]);
}

#[tokio::test]
async fn a_refusal_is_final_only_once_its_dead_letter_is_durable() {
    let edge = Edge::start().await;
    let topic = Some(Topic::ClicksRejected);
    edge.sink.set(Faults { fail_ack: Some(Class::Retriable), topic, ..Faults::default() });
    let mut unknown = event(2);
    unknown["type"] = json!("holiday");
    let answer = edge.post(&batch([event(1), unknown.clone(), event(3)])).await;
    // The visitor's order is kept for what cannot be read as well.
    assert_eq!(answer.verdicts(), ["1 retry", "2 retry"]);
    edge.sink.set(Faults::default());
    let again = edge.post(&batch([unknown, event(3)])).await;
    assert_eq!(again.verdicts(), ["0 rejected unknown_type", "1 duplicate"]);
}

#[tokio::test]
async fn a_record_too_large_for_kafka_is_refused_for_good() {
    let edge = Edge::start_with(|config| config.producer.record_bytes_max = 2_000).await;
    let mut large = event(1);
    large["context"] = json!({"custom": {"a": "x".repeat(2_000)}});
    let answer = edge.post(&batch([large, event(2)])).await;
    assert_eq!(answer.verdicts(), ["0 rejected too_large"]);
    assert!(answer.receipt().limits.is_some());
    assert_eq!(edge.stored(Topic::ClicksRejected)[0]["reason"], "too_large");
    assert_eq!(edge.stored_seqs(), [2]);
}

#[tokio::test]
async fn the_same_id_twice_in_a_batch_counts_once() {
    let edge = Edge::start().await;
    let answer = edge.post(&batch([event(1), event(2), event(1)])).await;
    assert_eq!(answer.receipt().accepted, 2);
    assert_eq!(answer.verdicts(), ["2 duplicate"]);
    assert_eq!(edge.stored_seqs(), [1, 2]);
}

#[tokio::test]
async fn a_copy_waits_for_the_first_ones_fate() {
    let edge = Edge::start().await;
    for (number, fails) in [(1, false), (2, true)] {
        edge.sink.hold();
        let fail_ack = fails.then_some(Class::Retriable);
        edge.sink.set(Faults { fail_ack, ..Faults::default() });
        let sent = batch([event(number)]);
        let (first, copy, ()) = tokio::join!(edge.post(&sent), edge.post(&sent), async {
            until("one is pending", async || {
                edge.metric("clickmill_collector_deliveries_total").await == u64::from(number) * 2
            })
            .await;
            edge.sink.release();
        });
        let mut seen = [first.text, copy.text];
        seen.sort();
        let wanted = if fails { "unavailable" } else { "duplicate" };
        assert!(seen.iter().any(|text| text.contains(wanted)), "{seen:?}");
        assert!(fails || seen.iter().any(|text| text.contains("\"accepted\":1")), "{seen:?}");
    }
    assert_eq!(edge.stored_seqs(), [1]);
}

#[tokio::test]
async fn what_lands_late_is_remembered_all_the_same() {
    let edge =
        Edge::start_with(|config| config.limits.ack_timeout = Duration::from_millis(30)).await;
    edge.sink.hold();
    assert_eq!(edge.post(&batch([event(1)])).await.status, 503);
    // The copy meets the first one on its way.
    assert_eq!(edge.post(&batch([event(1)])).await.status, 503);
    edge.sink.release();
    until("it has landed", async || {
        edge.metric("clickmill_collector_late_events_total").await == 1
    })
    .await;
    let answer = edge.post(&batch([event(1)])).await;
    assert_eq!(answer.verdicts(), ["0 duplicate"]);
    assert_eq!(edge.stored_seqs(), [1]);
}

#[tokio::test]
async fn a_client_that_leaves_takes_nothing_with_it() {
    let edge = Edge::start().await;
    edge.sink.hold();
    let sent = batch([event(1)]);
    let gone = tokio::time::timeout(Duration::from_millis(100), edge.post(&sent)).await;
    assert!(gone.is_err());
    until("its connection is gone", async || {
        edge.metric("http_connections_open{listener=\"public\"}").await == 0
    })
    .await;
    edge.sink.release();
    until("it is durable", async || edge.stored_seqs() == [1]).await;
    let answer = edge.post(&sent).await;
    assert_eq!(answer.verdicts(), ["0 duplicate"]);
    let retry = "clickmill_collector_events_total{outcome=\"retry\",reason=\"\"}";
    assert_eq!(edge.metric(retry).await, 1);
    assert_eq!(edge.metric("clickmill_collector_deliveries_total").await, 2);
}

#[tokio::test]
async fn ids_of_two_tenants_have_nothing_to_do_with_each_other() {
    let edge = Edge::start_with(|config| {
        let other = json!({"write_key": "wk2", "tenant": "other"});
        config.sites.push(crate::testing::site_entry(&other));
    })
    .await;
    let sent = batch_of("v1", [event(1)]);
    assert_eq!(edge.post(&sent).await.receipt().accepted, 1);
    let head = hyper::Request::post("/v1/events?k=wk2");
    assert_eq!(edge.send(head, sent.to_string()).await.receipt().accepted, 1);
    let keys: Vec<_> = edge.sink.stored(Topic::ClicksRaw).into_iter().map(|m| m.key).collect();
    assert_eq!(keys, [Some("shop:v1".into()), Some("other:v1".into())]);
}

#[tokio::test]
async fn consent_decides_about_key_and_signal() {
    let edge = Edge::start().await;
    let mut sent = batch([event(1)]);
    sent["context"]["consent"] = json!({"granted": []});
    let head = edge.delivery().header("sec-gpc", "1");
    let receipt = edge.send(head, sent.to_string()).await.receipt();
    assert_eq!((receipt.accepted, receipt.identity), (1, None));
    let stored = edge.sink.stored(Topic::ClicksRaw);
    assert_eq!(stored[0].key, None);
    let record = &edge.stored(Topic::ClicksRaw)[0];
    assert_eq!(record["context"], json!({"consent": {"granted": [], "gpc": true}}));
}

#[tokio::test]
async fn what_an_address_says_of_somebody_is_not_stored_and_a_site_may_keep_less() {
    let edge = Edge::start_with(|config| {
        let other = json!({
            "write_key": "wk2", "tenant": "other", "query": {"keep": ["sku"], "hide": []},
        });
        config.sites.push(crate::testing::site_entry(&other));
    })
    .await;
    let url = |query: &str| json!({"url": format!("https://shop.example/reset{query}")});
    let mut own = event(2);
    own["context"] = json!({"page": url("?page=2&session_id=1#access_token=2")});
    let mut refused = event(3);
    refused["type"] = json!("No Type");
    let mut sent = batch_of("v1", [event(1), own, refused]);
    sent["context"]["page"] = url("?sku=A&reset_token=a1b2&page=1");
    sent["context"]["referrer"] = json!("https://ada:word@mail.example/?email=ada%40mail.example");
    let receipt = edge.post(&sent).await.receipt();
    assert_eq!((receipt.accepted, receipt.verdicts.len()), (2, 1));
    let head = hyper::Request::post("/v1/events?k=wk2");
    assert_eq!(edge.send(head, sent.to_string()).await.receipt().accepted, 2);
    let stored = edge.stored(Topic::ClicksRaw);
    let pages: Vec<&Value> = stored.iter().map(|record| &record["context"]["page"]).collect();
    let (keeps, keeps_less) = (["?sku=A&page=1", "?page=2"], ["?sku=A", ""]);
    let expected: Vec<Value> = keeps.into_iter().chain(keeps_less).map(url).collect();
    assert_eq!(pages, expected.iter().collect::<Vec<_>>());
    for letter in edge.stored(Topic::ClicksRejected) {
        assert!(!letter["context"].to_string().contains("a1b2"), "{letter}");
    }
    assert!(stored.iter().all(|record| record["context"]["referrer"] == "https://mail.example/"));
}

#[tokio::test]
async fn a_purpose_that_is_not_known_grants_nothing_and_costs_nothing() {
    let edge = Edge::start().await;
    let mut own = event(2);
    own["context"] = json!({"consent": {"granted": ["everything"]}});
    let mut sent = batch([event(1), own]);
    sent["context"]["consent"] = json!({"granted": ["telepathy", "analytics"]});
    assert_eq!(edge.post(&sent).await.receipt().accepted, 2);
    let stored = edge.stored(Topic::ClicksRaw);
    let consents = stored.iter().map(|record| &record["context"]["consent"]["granted"]);
    assert_eq!(consents.collect::<Vec<_>>(), [&json!(["analytics"]), &json!([])]);
    assert_eq!(stored[1]["context"]["visitor"], json!(null));
}

#[tokio::test]
async fn a_retry_says_when() {
    let edge = Edge::start().await;
    edge.sink.set(Faults { by_text: Some(("sku-2\"", Class::QueueFull)), ..Faults::default() });
    let receipt = edge.post(&batch([event(1), event(2)])).await.receipt();
    assert_eq!(receipt.verdicts[0].outcome, Outcome::Retry { after_ms: 500 });
    assert_eq!(edge.sink.handed_over(), 2);
}
