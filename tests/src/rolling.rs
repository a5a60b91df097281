//! A deploy: relays end and start again, one after the other, while clicks go on; and how long that
//! holds a partition up.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use clickmill_sdk_core::wire::Topic;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::Message as _;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::kafka::{Kafka, reads_committed};
use crate::service::Relay;
use crate::until::until;
use crate::world::World;

/// The longest pause of each partition between two committed outputs.
pub type Pauses = BTreeMap<i32, Duration>;

/// Restarts two relays, the second first, and tells the pauses of partitions.
///
/// # Panics
/// When a relay does not end as it should, or does not come back.
pub async fn restart_one_by_one(world: &mut World, second: &mut Relay) -> Pauses {
    let watch = Watch::counting(world).await;
    assert!(second.stop().await.success(), "the second relay ends as it should");
    second.restart().await;
    watch.caught_up(&world.kafka).await;
    assert!(world.relay.stop().await.success(), "the first relay ends as it should");
    world.restart_relay().await;
    watch.caught_up(&world.kafka).await;
    watch.end()
}

/// Has a relay join another, and tells the pauses of partitions.
pub async fn join(world: &World) -> (Relay, Pauses) {
    let watch = Watch::counting(world).await;
    let second = world.second_relay().await;
    world.is_shared_with(&second).await;
    watch.caught_up(&world.kafka).await;
    (second, watch.end())
}

/// Has the second of two relays leave for good, and tells the pauses of partitions.
///
/// # Panics
/// When it does not end as it should.
pub async fn leave(world: &World, mut second: Relay) -> Pauses {
    let watch = Watch::counting(world).await;
    assert!(second.stop().await.success(), "the second relay ends as it should");
    watch.caught_up(&world.kafka).await;
    watch.end()
}

/// Reads the committed enriched clicks of each partition.
struct Watch {
    /// Whether pauses count yet.
    is_counting: Arc<AtomicBool>,
    is_over: Arc<AtomicBool>,
    /// How many each partition has.
    seen: Arc<[AtomicI64]>,
    reading: JoinHandle<Pauses>,
}

impl Watch {
    /// One that has seen all that is there, and counts from now on.
    async fn counting(world: &World) -> Self {
        let watch = Self::begin(&world.kafka, world.partitions());
        watch.caught_up(&world.kafka).await;
        watch.is_counting.store(true, Ordering::Release);
        watch
    }

    fn begin(kafka: &Kafka, partitions: u32) -> Self {
        let consumer: BaseConsumer = reads_committed(&kafka.bootstrap)
            .set("fetch.wait.max.ms", "20")
            .create()
            .expect("a consumer");
        let (topic, mut list) = (kafka.topic(Topic::ClicksEnriched), TopicPartitionList::new());
        for partition in 0..partitions.cast_signed() {
            list.add_partition_offset(&topic, partition, Offset::Beginning).expect("an offset");
        }
        consumer.assign(&list).expect("an assignment");
        let (is_counting, is_over) = <(Arc<AtomicBool>, Arc<AtomicBool>)>::default();
        let seen: Arc<[AtomicI64]> = (0..partitions).map(|_| AtomicI64::new(0)).collect();
        let reading = {
            let (is_counting, is_over) = (Arc::clone(&is_counting), Arc::clone(&is_over));
            let seen = Arc::clone(&seen);
            std::thread::spawn(move || read(&consumer, (&is_counting, &is_over), &seen))
        };
        Self { is_counting, is_over, seen, reading }
    }

    /// Waits until all clicks that are there now are enriched: what comes behind a pause is among them.
    async fn caught_up(&self, kafka: &Kafka) {
        let written = kafka.ends(Topic::ClicksRaw);
        until("the relays have caught up", || async {
            let is_done = |(partition, end): &(i32, i64)| {
                let seen = usize::try_from(*partition).ok().and_then(|at| self.seen.get(at));
                let seen = seen.map_or(0, |seen| seen.load(Ordering::Acquire));
                seen > 0 && seen >= *end
            };
            written.iter().all(is_done).then_some(())
        })
        .await;
    }

    fn end(self) -> Pauses {
        self.is_over.store(true, Ordering::Release);
        self.reading.join().expect("the reader ends")
    }
}

fn read(
    consumer: &BaseConsumer,
    (is_counting, is_over): (&AtomicBool, &AtomicBool),
    seen: &[AtomicI64],
) -> Pauses {
    let mut pauses: BTreeMap<i32, (Instant, Duration)> = BTreeMap::new();
    while !is_over.load(Ordering::Acquire) {
        let Some(Ok(message)) = consumer.poll(Duration::from_millis(5)) else { continue };
        let now = Instant::now();
        let partition = message.partition();
        if let Some(seen) = usize::try_from(partition).ok().and_then(|at| seen.get(at)) {
            seen.fetch_add(1, Ordering::AcqRel);
        }
        let (last, longest) = pauses.entry(partition).or_insert((now, Duration::ZERO));
        if is_counting.load(Ordering::Acquire) {
            *longest = (*longest).max(now - *last);
        }
        *last = now;
    }
    // What has not come by now is a pause, too.
    let end = Instant::now();
    let whole = |(last, longest): (Instant, Duration)| longest.max(end - last);
    pauses.into_iter().map(|(partition, seen)| (partition, whole(seen))).collect()
}
