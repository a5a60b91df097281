//! What a relay makes of bad records, and of topics and disks that are not what they should be.

use clickmill_sdk_core::wire::{Poisoned, Topic};
use clickmill_tests::clicks::Clicks;
use clickmill_tests::kafka::{Kafka, TENANT};
use clickmill_tests::until::{PATIENCE, until};
use clickmill_tests::{Page, World};
use rdkafka::producer::{BaseRecord, Producer as _};

/// The relay's count of new beginnings after a failure.
const RESTARTS: &str = "clickmill_relay_view_restarts_total";

/// A key and a value that make no click.
type Bad<'a> = (Option<&'a str>, Option<&'a [u8]>);

/// Sends so many views of one visitor.
async fn send(page: &Page, count: usize) {
    let views = (0..count).map(|_| page.views("kettle")).collect();
    assert_eq!(page.send(views).await.accepted as usize, count);
}

#[tokio::test(flavor = "multi_thread")]
async fn poison_goes_to_a_topic_of_its_own_and_holds_nobody_up() {
    let world = World::start().await;
    let (page, producer) = (world.page(), world.kafka.producer());
    let (topic, key) =
        (world.kafka.topic(Topic::ClicksRaw), format!("{TENANT}:{}", page.visitor()));
    let bad: [Bad<'_>; 5] = [
        (Some(&key), Some(b"not JSON")),
        (Some(&key), Some(b"\xff\xfe")),
        (Some(&key), Some(b"{}")),
        (Some(&key), None),
        (None, Some(b"[]")),
    ];
    // A broker that is slow may not lead new topics yet, and then the view begins anew.
    send(&page, 1).await;
    world.enriched(1).await;
    let restarts = world.relay.metric(RESTARTS).await;
    for _ in 0..20 {
        send(&page, 1).await;
        for (key, value) in &bad {
            let mut record = BaseRecord::<str, [u8]>::to(&topic);
            (record.key, record.payload) = (*key, *value);
            producer.send(record).map_err(|(error, _)| error).expect("a record is taken");
        }
        producer.flush(PATIENCE).expect("all records arrive");
    }
    assert_eq!(world.enriched(21).await.len(), 21);
    let letters = until("the dead letters", || async {
        let letters = world.kafka.records(Topic::ClicksPoisoned).await;
        (letters.len() >= 100).then_some(letters)
    })
    .await;
    assert_eq!(letters.len(), 100);
    for letter in &letters {
        let told: Poisoned = serde_json::from_str(&letter.value).expect("a dead letter");
        assert_eq!(told.reason, "malformed");
        assert!(!told.detail.is_empty());
    }
    assert_eq!(world.relay.metric(RESTARTS).await, restarts, "poison is no failure");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_is_made_anew_is_read_from_its_beginning() {
    let mut world = World::start().await;
    // Past the collector, whose producer has troubles of its own with that.
    let clicks = |kafka: &Kafka, numbers: std::ops::Range<usize>| {
        let clicks = Clicks::of(kafka, 1);
        numbers.for_each(|n| clicks.send(n));
        clicks
    };
    let _first = clicks(&world.kafka, 0..30);
    world.enriched(30).await;

    // Under a relay that runs: what it is to read next is behind the end of the new topic.
    world.kafka.remake(Topic::ClicksRaw, 2).await;
    let _second = clicks(&world.kafka, 30..33);
    assert_eq!(world.enriched(33).await.len(), 33);

    // And while it is away.
    assert!(world.relay.stop().await.success());
    world.kafka.remake(Topic::ClicksRaw, 2).await;
    let _third = clicks(&world.kafka, 33..35);
    world.restart_relay().await;
    let enriched = world.enriched(35).await;
    assert_eq!(enriched.len(), 35);
    // What was known of the visitor is known still.
    let events = enriched.iter().filter_map(|one| Some(one.enrichment.as_ref()?.session_events));
    assert_eq!(events.max(), Some(35));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_that_the_changelog_lacks_is_named_and_taken_up_once_it_is_there() {
    let mut world = World::start().await;
    send(&world.page(), 1).await;
    world.enriched(1).await;
    world.kafka.add_partitions(Topic::ClicksRaw, 3).await;
    until("the missing partition is named", || async {
        let why = "sessions.view.pii.v1 has no partition 2: it must have as many";
        world.relay.log().contains(why).then_some(())
    })
    .await;
    // Nothing is lost meanwhile.
    let pages: Vec<Page> = (0..12).map(|_| world.page()).collect();
    for page in &pages {
        send(page, 1).await;
    }
    world.kafka.add_partitions(Topic::SessionsView, 3).await;
    assert_eq!(world.enriched(13).await.len(), 13);
    world.relay.is_ready().await;
}

/// What a real disk with an end does; run where one may be mounted, see `cargo xtask test`.
mod small_disk {
    use clickmill_tests::reference::Difference;
    use clickmill_tests::service::ENRICHED;
    use clickmill_tests::until::until_enough;

    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    #[ignore = "needs to mount a small disk: cargo xtask test --all"]
    async fn a_full_disk_costs_the_local_copy_and_not_the_view() {
        let mut world = World::start().await;
        assert!(world.relay.stop().await.success());
        world.relay.reconfigure(|text| format!("view.write_every = \"100ms\"\n{text}"));
        world.relay.gets_a_disk_of(2 << 20);
        world.restart_relay().await;
        let clicks = Clicks::of(&world.kafka, 3_000);
        let told = "the disk does not take states any more";
        let enriched = async || world.relay.metric(ENRICHED).await as usize;
        let mut sent = 0;
        let mut after_it = 0;
        // What comes once it is full is answered as ever, of visitors old and new.
        while after_it < 6 {
            assert!(sent < 60_000, "the disk takes too much");
            (sent..sent + 500).for_each(|n| clicks.send(n));
            sent += 500;
            until_enough("all clicks are enriched", enriched, |n| *n >= sent).await;
            after_it += u32::from(world.relay.log().contains(told));
        }
        assert_eq!(world.relay.metric(RESTARTS).await, 0.0, "it is no failure of the view");
        assert_eq!(world.relay.log().matches(told).count(), 1, "told once");

        // All states come back from Kafka, killed or not.
        world.relay.kill();
        world.restart_relay().await;
        (sent..sent + 500).for_each(|n| clicks.send(n));
        let enriched = async || world.relay.metric(ENRICHED).await as usize;
        until_enough("all clicks are enriched", enriched, |n| *n >= 500).await;
        let difference = Difference::of(&world.kafka).await;
        assert_eq!(difference.count, 0, "{difference}");
        assert_eq!(difference.inputs, sent + 500);
    }
}
