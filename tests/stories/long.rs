//! What takes too long for every day: `cargo xtask test --all`.

use std::sync::Arc;

use clickmill_sdk_core::wire::Topic;
use clickmill_tests::World;
use clickmill_tests::recording::Recording;
use clickmill_tests::replay::{Found, Replay, Tally};

/// Clicks of many sessions that overlap, as in a shop: made by a rule, the same each time.
fn recording(sessions: usize, clicks_max: usize) -> Recording {
    let mut lines = String::new();
    for session in 0..sessions {
        for click in 0..=(session * 7919) % clicks_max {
            let item = (session * 31 + click * click) % 700;
            let time = session as f64 * 0.05 + click as f64 * 2.5;
            lines.push_str(&format!("s{session}\ti{item}\t{time}\n"));
        }
    }
    Recording::read(lines.as_bytes()).expect("a recording")
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes long: cargo xtask test --all"]
async fn a_long_recording_arrives_whole_and_in_order() {
    let (world, recording) = (World::start().await, recording(8000, 10));
    let ids = play(&world, &recording).await;
    world.enriched(ids.len()).await;
    for topic in [Topic::ClicksRaw, Topic::ClicksEnriched] {
        let found = Found::of(&ids, &world, topic).await;
        assert!(found.is_whole(), "{topic:?}: {found:?}");
    }
}

fn replay(world: &World) -> Replay {
    let intake = format!("{}/v1/events?k={}", world.collector.url, world.write_key());
    Replay { intake, rate: 3000, run: "long".to_owned() }
}

async fn play(
    world: &World,
    recording: &Recording,
) -> std::collections::HashSet<clickmill_sdk_core::wire::EventId> {
    let tally = Arc::new(Tally::default());
    let ids = replay(world).play(recording, &tally).await.expect("the collector takes all");
    assert_eq!(tally.settled() as usize, recording.clicks.len());
    ids
}
