//! Dead letters are put through again once their schema is mended: each once, as it came then.

use clickmill_sdk_core::wire::{Record, Topic};
use clickmill_tests::World;
use clickmill_tests::http::{Ask, Http};
use clickmill_tests::world::WorldBuilder;
use serde_json::{Value, json};

/// A schema of wishes whose number must be at most this.
fn schema(max: u32) -> String {
    format!(
        r#"{{"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object",
            "properties": {{"count": {{"type": "integer", "maximum": {max}}}}},
            "required": ["count"]}}"#
    )
}

/// The collector knows wishes by a schema among the story's files.
fn wishing() -> WorldBuilder {
    World::builder().set(|setup, folder| {
        std::fs::create_dir_all(folder.path().join("schemas/wish")).expect("a folder");
        folder.write("schemas/wish/1.json", &schema(5));
        setup.schemas = Some(folder.path().join("schemas"));
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_segment_event_refused_by_a_schema_goes_through_once_it_is_mended() {
    let world = wishing().start().await;
    let track = |name: &str, count: u32| {
        let consent = json!({"categoryPreferences": {"Analytics": true}});
        json!({"type": "track", "event": "Wish", "messageId": name, "userId": "ada",
               "context": {"consent": consent},
               "timestamp": "2026-01-01T00:00:00Z", "sentAt": "2026-01-01T00:00:01Z",
               "properties": {"count": count}})
    };
    let send = async |events: &[&Value]| {
        let url = format!("{}/v1/batch?k={}", world.collector.url, world.write_key());
        let body = json!({"batch": events, "sentAt": "2026-01-01T00:00:01Z"}).to_string();
        let answer = Http::default().ask(Ask::post(url, body)).await.expect("an answer");
        let said: Value = serde_json::from_str(&answer.body).expect("JSON");
        said["accepted"].as_u64()
    };
    let (good, refused) = (track("wish-1", 1), track("wish-2", 9));
    assert_eq!(send(&[&good, &refused]).await, Some(1));

    world.folder().write("schemas/wish/1.json", &schema(50));
    let replay = async || world.collector.command("replay-rejected", &[]).await;
    let first = replay().await;
    assert!(first.contains("looked at: 1\nput through: 1\n"), "{first}");
    let again = replay().await;
    assert!(again.contains("put through: 0\nthere already: 1\n"), "{again}");

    let lying = world.kafka.records(Topic::ClicksRaw).await;
    let [first, second] = &lying[..] else { panic!("{lying:?}") };
    // Without a visitor it is the customer whose order they keep.
    let customers = Some("shop:customer:ada");
    assert_eq!((first.key.as_deref(), second.key.as_deref()), (customers, customers));
    assert_eq!(first.partition, second.partition);
    let records: Vec<Record> = world.read(Topic::ClicksRaw).await;
    let [before, mended] = &records[..] else { panic!("{records:?}") };
    assert_eq!((&mended.arrival, mended.version), (&before.arrival, Some(1)));
    assert_eq!(mended.props.as_str(), r#"{"count":9}"#);
    assert_eq!(mended.time, before.time);
    // Its own sender's name for it is still there.
    let named = mended.context.custom.as_ref().expect("what has no place of its own");
    assert!(named.as_str().contains(r#""messageId":"wish-2""#), "{named:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn events_refused_by_a_schema_go_through_once_it_is_mended() {
    let world = wishing().start().await;
    let page = world.page();
    let wish = |count: u32| page.event("wish", &format!(r#"{{"count":{count}}}"#));
    let (good, mended, still_bad) = (wish(1), wish(9), wish(99));
    let unknown = page.event("moon_landing", "{}");
    let sent = [&good, &mended, &still_bad, &unknown].map(Clone::clone).to_vec();
    assert_eq!(page.send(sent).await.accepted, 1);
    assert_eq!(world.ids(Topic::ClicksRaw).await, [good.id.to_string()]);

    world.folder().write("schemas/wish/1.json", &schema(50));
    let replay = async |options: &[&str]| world.collector.command("replay-rejected", options).await;
    let dry = replay(&["--dry-run"]).await;
    assert!(dry.contains("put through: 1\n") && dry.contains("dry run"), "{dry}");
    let other = replay(&["--type", "moon_landing"]).await;
    assert!(other.contains("looked at: 1\nput through: 0\n"), "{other}");
    assert!(other.contains("unknown_type: 1"), "{other}");
    assert_eq!(world.ids(Topic::ClicksRaw).await.len(), 1);

    let first = replay(&["--reason", "schema_violation"]).await;
    assert!(first.contains("looked at: 2\nput through: 1\n"), "{first}");
    assert!(first.contains("still bad: 1\n  schema_violation: 1\n"), "{first}");
    let again = replay(&["--since", "1h"]).await;
    assert!(again.contains("put through: 0\nthere already: 1\n"), "{again}");

    let raw: Vec<Record> = world.read(Topic::ClicksRaw).await;
    let ids: Vec<_> = raw.iter().map(|record| record.id).collect();
    assert_eq!(ids.len(), 2);
    let record = raw.iter().find(|record| record.id == mended.id).expect("the mended event");
    let before = raw.iter().find(|record| record.id == good.id).expect("the good event");
    assert_eq!((&record.arrival, &record.context), (&before.arrival, &before.context));
    assert_eq!((record.seq, record.version), (mended.seq, Some(1)));
    let lying = world.kafka.records(Topic::ClicksRaw).await;
    assert_eq!(lying[0].key, lying[1].key);
    // What is left in the dead-letter topic is what was there: no second letter.
    assert_eq!(world.kafka.records(Topic::ClicksRejected).await.len(), 3);
    // The relay takes it as one of the visitor's events, once.
    let enriched = world.enriched(2).await;
    assert_eq!(enriched.iter().filter(|record| record.id == mended.id).count(), 1);
}
