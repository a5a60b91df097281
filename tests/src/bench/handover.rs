//! Relays that restart, leave for good and join under load: how long a partition's output pauses.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::clicks::Clicks;
use crate::figure::{Figure, Style};
use crate::rolling::{join, leave, restart_one_by_one};
use crate::world::World;

const PARTITIONS: u32 = 4;
/// Clicks a second, and who makes them.
const PACE: u32 = 2_000;
const VISITORS: usize = 20_000;

/// Measures and prints. Clicks go on for `seconds` before the first relay ends.
pub async fn measure(seconds: u64, style: Style) {
    let mut world = World::builder().partitions(PARTITIONS).start().await;
    let mut second = world.second_relay().await;
    let over = Arc::new(AtomicBool::new(false));
    let clicking = {
        let (clicks, over) = (Clicks::of(&world.kafka, VISITORS), Arc::clone(&over));
        std::thread::spawn(move || clicks.run(PACE, &over))
    };
    world.is_shared_with(&second).await;
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let restarted = restart_one_by_one(&mut world, &mut second).await;
    let left = leave(&world, second).await;
    let (mut third, joined) = join(&world).await;
    assert!(third.stop().await.success(), "the third relay ends as it should");
    over.store(true, Ordering::Release);
    let clicks = clicking.join().expect("the clicks end");

    let print = |name, value, unit| Figure { bench: "handover", name, value, unit }.print(style);
    let pauses =
        [("handover_pause_ms", &restarted), ("leave_pause_ms", &left), ("join_pause_ms", &joined)];
    for (name, pauses) in pauses {
        let longest = pauses.values().max().copied().unwrap_or_default();
        print(name, longest.as_secs_f64() * 1e3, "ms");
    }
    print("partitions", restarted.len() as f64, "partitions");
    print("clicks_per_s", clicks, "clicks/s");
}
