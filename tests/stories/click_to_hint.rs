//! The whole route: what one visitor looked at together is suggested to another.

use std::time::Duration;

use clickmill_sdk_core::wire::{HintKind, Record, Topic};
use clickmill_tests::{TENANT, World};
use serde_json::Value;

use crate::{PATIENCE, skus};

/// Enough that something is left to suggest to a visitor who has seen two.
const SIX: [(&str, i64); 6] =
    [("kettle", 5), ("toaster", 5), ("mixer", 5), ("oven", 5), ("hob", 5), ("fridge", 5)];

#[tokio::test(flavor = "multi_thread")]
async fn a_click_comes_back_as_a_suggestion_of_what_others_saw_with_it() {
    let world = World::start().await;
    world.kafka.stock(&[("kettle", 5), ("toaster", 5), ("mixer", 0)]);

    // Somebody looks at three things in one visit; one of them is sold out.
    let first = world.page();
    let seen = vec![first.views("kettle"), first.views("toaster"), first.views("mixer")];
    assert_eq!(first.send(seen).await.accepted, 3);
    world.enriched(3).await;

    // Somebody else looks at the first: the second is suggested, the sold-out one is not.
    let second = world.page();
    let mut stream = second.listen().await;
    let click = second.views("kettle");
    let clicked = click.id;
    assert_eq!(second.send(vec![click]).await.accepted, 1);
    let (hint, _) = stream.hint(PATIENCE).await.expect("a hint");

    assert_eq!(hint.kind, HintKind::Suggest);
    assert_eq!(hint.cause.map(|cause| cause.event), Some(clicked));
    assert_eq!(skus(&hint), ["toaster"]);
    assert_eq!(hint.why.inputs, ["kettle"]);
    assert!(hint.expires_at > hint.decided_at);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_lies_in_kafka_is_the_event_with_its_circumstances_and_its_visit() {
    let world = World::start().await;
    let page = world.page();
    let (view, click) = (page.event("page_view", "{}"), page.views("kettle"));
    let ids = [view.id, click.id];
    assert_eq!(page.send(vec![view, click]).await.accepted, 2);

    let key = format!("{TENANT}:{}", page.visitor());
    let raw = world.kafka.records(Topic::ClicksRaw).await;
    assert_eq!(raw.len(), 2);
    for (record, id) in raw.iter().zip(ids) {
        assert_eq!(record.key.as_deref(), Some(key.as_str()));
        assert_eq!(record.headers["ce_id"], id.to_string());
        assert_eq!(record.headers["ce_specversion"], "1.0");
        let read: Record = serde_json::from_str(&record.value).expect("a record");
        assert_eq!((read.id, read.context.visitor), (id, Some(page.visitor())));
        assert!(read.time <= read.arrival.received_at);
    }

    let enriched = world.enriched(2).await;
    let last = enriched.last().and_then(|record| record.enrichment.clone()).expect("enrichment");
    assert_eq!(last.session, page.context.session);
    assert_eq!((last.session_events, last.session_pages, last.visits), (2, 1, 1));
    assert_eq!(last.recent.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_breaks_goes_on_where_it_was() {
    let world = World::start().await;
    world.kafka.stock(&SIX);
    let page = world.page();
    page.send(vec![page.views("kettle"), page.views("toaster")]).await;
    world.enriched(2).await;

    let mut stream = page.listen().await;
    let click = page.views("kettle");
    let clicked = click.id;
    page.send(vec![click]).await;
    // The snapshot of what holds comes first.
    let mut first = stream.hint(PATIENCE).await.expect("a hint").0;
    while first.cause.map(|cause| cause.event) != Some(clicked) {
        first = stream.hint(PATIENCE).await.expect("the hint of the click").0;
    }
    let last = stream.last_event_id.clone().expect("the id of the last hint");
    drop(stream);

    // While nobody listens, another hint is decided.
    page.send(vec![page.views("toaster")]).await;
    world.enriched(4).await;
    let mut stream = page.resume(Some(&last)).await;
    let (second, _) = stream.hint(PATIENCE).await.expect("the hint that was missed");
    assert_eq!(second.epoch, first.epoch);
    assert!(second.id > first.id, "{} comes after {}", second.id, first.id);
    assert!(stream.hint(Duration::from_millis(500)).await.is_none(), "nothing comes twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_the_relay_never_gave_gets_a_reset_and_what_holds_now() {
    let world = World::start().await;
    world.kafka.stock(&SIX);
    let page = world.page();
    page.send(vec![page.views("kettle"), page.views("toaster")]).await;
    world.enriched(2).await;

    let mut stream = page.resume(Some("clicks.0.999999.0")).await;
    let mut reset = None;
    while reset.is_none() {
        match stream.next(PATIENCE).await.expect("a frame") {
            clickmill_tests::Frame::Reset(data) => reset = Some(data),
            clickmill_tests::Frame::Hint(hint, _) => panic!("{} before the reset", hint.id),
            _ => {}
        }
    }
    let reset: Value = serde_json::from_str(&reset.unwrap_or_default()).expect("reset's data");
    assert!(reset["epoch"].is_u64());
    let (hint, _) = stream.hint(PATIENCE).await.expect("the snapshot");
    assert_eq!(hint.kind, HintKind::Suggest);
}
