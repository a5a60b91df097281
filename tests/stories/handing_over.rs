//! A deploy: relays end and start again, one after the other, while clicks go on.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clickmill_sdk_core::wire::Topic;
use clickmill_tests::World;
use clickmill_tests::clicks::Clicks;
use clickmill_tests::kafka::{Kafka, reads_committed};
use clickmill_tests::until::until;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::Message as _;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

const PARTITIONS: u32 = 4;
/// Clicks a second: each partition has one every few milliseconds.
const PACE: u32 = 400;
/// The longest pause of a partition. Most of it is the start of a program that is not optimised.
const PAUSE_MAX: Duration = Duration::from_secs(8);

/// Watches the committed enriched clicks of each partition, and remembers the longest pause between
/// two.
fn watch(kafka: &Kafka, over: Arc<AtomicBool>) -> std::thread::JoinHandle<BTreeMap<i32, Duration>> {
    let consumer: BaseConsumer = reads_committed(&kafka.bootstrap)
        .set("fetch.wait.max.ms", "20")
        .create()
        .expect("a consumer");
    let (topic, mut list) = (kafka.topic(Topic::ClicksEnriched), TopicPartitionList::new());
    for partition in 0..PARTITIONS.cast_signed() {
        list.add_partition_offset(&topic, partition, Offset::Beginning).expect("an offset");
    }
    consumer.assign(&list).expect("an assignment");
    std::thread::spawn(move || {
        let mut pauses: BTreeMap<i32, (Instant, Duration)> = BTreeMap::new();
        while !over.load(Ordering::Acquire) {
            let Some(Ok(message)) = consumer.poll(Duration::from_millis(5)) else { continue };
            let now = Instant::now();
            let (last, longest) =
                pauses.entry(message.partition()).or_insert((now, Duration::ZERO));
            *longest = (*longest).max(now - *last);
            *last = now;
        }
        // What has not come by now is a pause, too.
        let end = Instant::now();
        let whole = |(last, longest): (Instant, Duration)| longest.max(end - last);
        pauses.into_iter().map(|(partition, seen)| (partition, whole(seen))).collect()
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_restart_holds_no_partition_up_for_long() {
    let mut world = World::builder().partitions(PARTITIONS).start().await;
    let mut second = world.second_relay().await;
    let (over, clicks) = (Arc::new(AtomicBool::new(false)), Clicks::of(&world.kafka, 100));
    let clicking = {
        let over = Arc::clone(&over);
        std::thread::spawn(move || clicks.run(PACE, &over))
    };
    world.is_shared_with(&second).await;
    caught_up(&world.kafka).await;

    let stop_watching = Arc::new(AtomicBool::new(false));
    let watching = watch(&world.kafka, Arc::clone(&stop_watching));
    assert!(second.stop().await.success());
    second.restart().await;
    caught_up(&world.kafka).await;
    assert!(world.relay.stop().await.success());
    world.restart_relay().await;
    caught_up(&world.kafka).await;
    stop_watching.store(true, Ordering::Release);
    let pauses = watching.join().expect("the reader ends");
    over.store(true, Ordering::Release);
    clicking.join().expect("the clicks end");
    println!("the longest pause of each partition: {pauses:?}");
    assert_eq!(pauses.len(), PARTITIONS as usize);
    for (partition, pause) in &pauses {
        assert!(*pause < PAUSE_MAX, "partition {partition} was held up for {pause:?}");
    }
}

/// Waits until all clicks but those of the last second are enriched.
async fn caught_up(kafka: &Kafka) {
    until("the relays have caught up", || async {
        let written: i64 = kafka.ends(Topic::ClicksRaw).iter().map(|(_, end)| *end).sum();
        let said = kafka.records(Topic::ClicksEnriched).await.len();
        (said + PACE as usize > usize::try_from(written).expect("a count")).then_some(())
    })
    .await;
}
