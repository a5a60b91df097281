//! One fate per event: a bad one costs only itself, a copy counts once.

use std::io::Write;

use clickmill_sdk_core::wire::{DeadLetter, Json, Outcome, Reason, ToJson, Topic};
use clickmill_tests::World;
use flate2::Compression;
use flate2::write::GzEncoder;

#[tokio::test(flavor = "multi_thread")]
async fn bad_event_costs_only_itself() {
    let world = World::start().await;
    let page = world.page();
    let good = [page.views("a"), page.views("b")];
    let without_sku = page.event("product_view", r#"{"price_cents":1}"#);
    let twice = page.event("product_view", r#"{"sku":"x","sku":"y"}"#);
    let unknown = page.event("moon_landing", "{}");
    let raw = |event: &clickmill_sdk_core::wire::Event| Json::trusted(event.to_json());
    let broken = Json::trusted(r#"{"id":"no id"}"#.to_owned());
    let batch = page.batch(vec![
        raw(&good[0]),
        raw(&without_sku),
        broken,
        raw(&twice),
        raw(&unknown),
        raw(&good[1]),
    ]);
    let receipt = page.deliver(&batch).await;

    assert_eq!(receipt.accepted, 2);
    let reasons: Vec<(u32, Reason)> = receipt
        .verdicts
        .iter()
        .map(|verdict| match &verdict.outcome {
            Outcome::Rejected(rejection) => (verdict.index, rejection.reason),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(
        reasons,
        [
            (1, Reason::SchemaViolation),
            (2, Reason::Malformed),
            (3, Reason::DuplicateKey),
            (4, Reason::UnknownType),
        ]
    );
    let Outcome::Rejected(violation) = &receipt.verdicts[0].outcome else { panic!() };
    assert_eq!(violation.schema.as_deref(), Some("product_view/1"));
    assert!(violation.detail.as_ref().is_some_and(|detail| detail.contains("sku")));

    let raw = world.ids(Topic::ClicksRaw).await;
    assert_eq!(raw, good.map(|event| event.id.to_string()));
    let letters = world.kafka.records(Topic::ClicksRejected).await;
    assert_eq!(letters.len(), 4);
    for (letter, (index, reason)) in letters.iter().zip(reasons) {
        let letter: DeadLetter = serde_json::from_str(&letter.value).expect("a dead letter");
        assert_eq!(letter.rejection.reason, reason);
        let sent = batch.events[index as usize].as_str();
        assert_eq!(letter.original, sent, "the original bytes are kept");
    }
    world.books_balance().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn duplicate_counts_once() {
    let world = World::start().await;
    let page = world.page();
    let (first, second) = (page.views("a"), page.views("b"));
    assert_eq!(page.send(vec![first.clone()]).await.accepted, 1);

    // The same event again, within a batch of its own, with a new one, and twice in one batch.
    let receipt = page.send(vec![first.clone(), second.clone(), second.clone()]).await;
    assert_eq!(receipt.accepted, 1);
    let places: Vec<_> = receipt.verdicts.iter().map(|v| (v.index, v.outcome.as_str())).collect();
    assert_eq!(places, [(0, "duplicate"), (2, "duplicate")]);

    assert_eq!(world.ids(Topic::ClicksRaw).await, [first.id.to_string(), second.id.to_string()]);
    world.books_balance().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_copies_at_once_are_one_event() {
    let world = World::start().await;
    let page = world.page();
    let event = page.views("a");
    let copies = (0..8).map(|_| page.send(vec![event.clone()]));
    let receipts = futures_util::future::join_all(copies).await;
    let accepted: u32 = receipts.iter().map(|receipt| receipt.accepted).sum();
    let duplicates = receipts.iter().flat_map(|r| &r.verdicts);
    assert_eq!(accepted, 1);
    assert_eq!(duplicates.filter(|v| v.outcome == Outcome::Duplicate).count(), 7);
    assert_eq!(world.ids(Topic::ClicksRaw).await, [event.id.to_string()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_duplicate_that_reaches_kafka_is_enriched_once() {
    let world = World::start().await;
    let page = world.page();
    let event = page.views("a");
    page.send(vec![event.clone()]).await;
    // Another collector, whose window does not know the first one's, takes the copy.
    let other = world.second_collector().await;
    assert_eq!(page_at(&world, &other, &page).send(vec![event.clone()]).await.accepted, 1);
    let last = page.views("b");
    page.send(vec![last.clone()]).await;

    assert_eq!(world.ids(Topic::ClicksRaw).await.len(), 3);
    let enriched = world.enriched(2).await;
    let ids: Vec<_> = enriched.iter().map(|record| record.id).collect();
    assert_eq!(ids, [event.id, last.id]);
}

fn page_at(
    world: &World,
    collector: &clickmill_tests::Collector,
    page: &clickmill_tests::Page,
) -> clickmill_tests::Page {
    let mut other =
        clickmill_tests::Page::new((&collector.url, &world.relay.url), world.write_key());
    other.proof = page.proof.clone();
    other.context = page.context.clone();
    other
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compressed_body_is_known_by_its_first_bytes() {
    let world = World::start().await;
    let page = world.page();
    let event = page.views("a");
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(page.batch(vec![event.clone()]).to_json().as_bytes()).expect("gzip");
    let answer = page.post(gzip.finish().expect("gzip")).await.expect("an answer");
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(world.ids(Topic::ClicksRaw).await, [event.id.to_string()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_refused_with_its_reason() {
    let world = World::start().await;
    let page = world.page();
    for (body, status, names) in [
        ("", 400, "malformed"),
        ("{", 400, "malformed"),
        (r#"{"events":[]}"#, 400, "sent_at"),
        (r#"{"sent_at":1,"events":{}}"#, 400, "events"),
    ] {
        let answer = page.post(body).await.expect("an answer");
        assert_eq!(answer.status, status, "{body}: {}", answer.body);
        assert!(answer.body.contains(names), "{body}: {} names {names}", answer.body);
    }
    let stranger =
        clickmill_tests::Page::new((&world.collector.url, &world.relay.url), "wk-nobody");
    let answer = stranger.post(stranger.batch(vec![stranger.views("a")]).to_json()).await;
    let answer = answer.expect("an answer");
    assert_eq!(answer.status, 401, "{}", answer.body);
    assert!(answer.body.contains("unknown_write_key"), "{}", answer.body);
}
