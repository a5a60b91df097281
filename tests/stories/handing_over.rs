//! A deploy: relays end and start again, one after the other, while clicks go on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clickmill_tests::World;
use clickmill_tests::clicks::Clicks;
use clickmill_tests::rolling::restart_one_by_one;

const PARTITIONS: u32 = 4;
/// Clicks a second: each partition has one every few milliseconds.
const PACE: u32 = 400;
/// The longest pause of a partition. Most of it is the start of a program that is not optimised.
const PAUSE_MAX: Duration = Duration::from_secs(8);

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
    let pauses = restart_one_by_one(&mut world, &mut second).await;
    over.store(true, Ordering::Release);
    clicking.join().expect("the clicks end");
    println!("the longest pause of each partition: {pauses:?}");
    assert_eq!(pauses.len(), PARTITIONS as usize);
    for (partition, pause) in &pauses {
        assert!(*pause < PAUSE_MAX, "partition {partition} was held up for {pause:?}");
    }
}
