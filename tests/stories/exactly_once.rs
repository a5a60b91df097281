//! Whatever dies, the relay's committed output is what one thread would have said, record by record.

use std::sync::Arc;
use std::time::Duration;

use clickmill_sdk_core::wire::Topic;
use clickmill_tests::World;
use clickmill_tests::kafka::Kafka;
use clickmill_tests::recording::Recording;
use clickmill_tests::reference::Difference;
use clickmill_tests::replay::Replay;
use clickmill_tests::service::FOLDED;
use clickmill_tests::until::{PATIENCE, until};
use clickmill_tests::wire::Wire;
use tokio::time::Instant;

/// Clicks of many sessions that overlap; made by a rule, the same each time.
pub(crate) fn recording(sessions: usize) -> Recording {
    let mut lines = String::new();
    for session in 0..sessions {
        for click in 0..=(session * 7919) % 9 {
            let item = (session * 31 + click * click) % 700;
            let time = session as f64 * 0.05 + click as f64 * 2.5;
            lines.push_str(&format!("s{session}\ti{item}\t{time}\n"));
        }
    }
    Recording::read(lines.as_bytes()).expect("a recording")
}

pub(crate) fn replay(world: &World, run: &str, rate: u64) -> Replay {
    let intake = format!("{}/v1/events?k={}", world.collector.url, world.write_key());
    Replay { intake, rate, run: run.to_owned() }
}

/// Waits until as much was said as there were clicks, and compares.
pub(crate) async fn check(world: &World, clicks: usize) {
    let deadline = Instant::now() + Duration::from_secs(90);
    while world.kafka.records(Topic::ClicksEnriched).await.len() < clicks {
        assert!(Instant::now() < deadline, "not every click was enriched in time");
    }
    let difference = Difference::of(&world.kafka).await;
    println!("{difference}");
    assert_eq!(difference.count, 0, "{difference}");
    assert_eq!(difference.inputs, clicks);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_killed_under_load_says_what_one_thread_would() {
    let (mut world, recording) = (World::start().await, recording(1_500));
    let clicks = recording.clicks.len();
    let replay = replay(&world, "killed", 2_000);
    let playing = tokio::spawn(async move { replay.play(&recording, &Arc::default()).await });
    for _ in 0..2 {
        until("the relay is at work", || async {
            (world.relay.metric(FOLDED).await > 500.0).then_some(())
        })
        .await;
        world.relay.kill();
        world.restart_relay().await;
    }
    playing.await.expect("the replay ends").expect("the collector takes all");
    check(&world, clicks).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_whose_connections_are_cut_says_what_one_thread_would() {
    let wire = Wire::lay().await;
    let world = World::builder().kafka(Kafka::behind(&wire, 2)).start().await;
    let recording = recording(1_500);
    let clicks = recording.clicks.len();
    let replay = replay(&world, "cut", 2_000);
    let playing = tokio::spawn(async move { replay.play(&recording, &Arc::default()).await });
    let mut cuts = 0;
    while !playing.is_finished() {
        wire.is_cut();
        cuts += 1;
        wait(&playing, Duration::from_millis(300)).await;
    }
    println!("{cuts} cuts");
    assert!(cuts > 5, "{cuts} cuts");
    playing.await.expect("the replay ends").expect("the collector takes all");
    check(&world, clicks).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_with_memory_for_few_visitors_says_what_one_thread_would() {
    const BYTES_MAX: f64 = 50_000.0;
    let settings = format!("view.state_bytes_max = {BYTES_MAX}\nview.write_every = \"100ms\"");
    let world = World::builder().relay(settings).start().await;
    // Between two clicks of a visitor come more others than memory has room for.
    let recording = recording(1_500);
    let replay = replay(&world, "few", 2_000);
    replay.play(&recording, &Arc::default()).await.expect("the collector takes all");
    // It makes room when it has committed something.
    let (page, mut sent, deadline) = (world.page(), 0, Instant::now() + PATIENCE);
    while world.relay.metric("clickmill_relay_state_bytes").await > 2.0 * BYTES_MAX {
        assert!(Instant::now() < deadline, "memory is not within its bounds");
        assert_eq!(page.send(vec![page.views("kettle")]).await.accepted, 1);
        sent += 1;
    }
    let known = world.relay.metric("clickmill_relay_visitors_known").await;
    assert!(known > 0.0 && known < 400.0, "{known} of 1,500 visitors in memory");
    check(&world, recording.clicks.len() + sent).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_stood_still_while_another_took_over_says_nothing_twice() {
    const PARTITIONS: &str = "clickmill_relay_partitions";
    let (world, mut second) = World::builder().two_relays(&[]).await;
    let recording = recording(3_000);
    let clicks = recording.clicks.len();
    let replay = replay(&world, "zombie", 600);
    let playing = tokio::spawn(async move { replay.play(&recording, &Arc::default()).await });
    until("both are at work", || async {
        let (one, two) = (world.relay.metric(FOLDED).await, second.metric(FOLDED).await);
        (one > 200.0 && two > 200.0).then_some(())
    })
    .await;
    // In the middle of whatever it does, and for longer than its group waits for it.
    second.freeze();
    until("the other one has all", || async {
        (world.relay.metric(PARTITIONS).await == 4.0).then_some(())
    })
    .await;
    let folded = world.relay.metric(FOLDED).await;
    until("and goes on", || async {
        (world.relay.metric(FOLDED).await > folded + 200.0).then_some(())
    })
    .await;
    second.thaw();
    playing.await.expect("the replay ends").expect("the collector takes all");
    check(&world, clicks).await;
    assert!(second.stop().await.success());
}

/// Lets the load run for a while.
pub(crate) async fn wait<T>(playing: &tokio::task::JoinHandle<T>, span: Duration) {
    let until = Instant::now() + span;
    while Instant::now() < until && !playing.is_finished() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
