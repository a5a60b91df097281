//! Plays a recorded clickstream through a collector, and checks in Kafka that every event arrived
//! once: `clickmill-replay FILE --rate N`.
#![allow(clippy::expect_used)] // A measuring program stops at the first thing that is not as it must be.

use std::fs::File;
use std::io::BufReader;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use clap::Parser;
use clickmill_sdk_core::wire::Topic;
use clickmill_tests::World;
use clickmill_tests::recording::Recording;
use clickmill_tests::replay::{Found, Replay, Tally};
use clickmill_tests::service::ENRICHED;
use clickmill_tests::until::until;
use indicatif::{ProgressBar, ProgressStyle};
use uuid::Uuid;

/// Plays a recorded clickstream through the whole route. Each session becomes one visitor with one
/// visit, its clicks in order; the pauses between clicks are not kept, only the rate is.
#[derive(Debug, Parser)]
struct Arguments {
    /// Lines of `session <tab> item <tab> unix time`, or of our own JSON
    /// (`{"session","at","type","props"}`).
    file: PathBuf,
    /// Events per second.
    #[arg(long, default_value_t = 1000)]
    rate: u64,
    /// Partitions of the topics.
    #[arg(long, default_value_t = 4)]
    partitions: u32,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("replay: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Plays, counts and prints; whether every event arrived exactly once.
async fn run(arguments: Arguments) -> Result<bool, Box<dyn std::error::Error + Send + Sync>> {
    let file = File::open(&arguments.file)
        .map_err(|error| format!("{}: {error}", arguments.file.display()))?;
    let recording = Recording::read(BufReader::new(file))
        .map_err(|error| format!("{}: {error}", arguments.file.display()))?;
    let clicks = recording.clicks.len();
    eprintln!("{} sessions with {clicks} clicks", recording.sessions);

    let world = World::builder().partitions(arguments.partitions).start().await;
    let items = recording.items();
    let stocked: Vec<(&str, i64)> = items.iter().map(|item| (item.as_str(), 100)).collect();
    world.kafka.stock(&stocked);

    let tally = Arc::new(Tally::default());
    let bar = progress(clicks as u64);
    let replay = Replay {
        intake: format!("{}/v1/events?k={}", world.collector.url, world.write_key()),
        rate: arguments.rate,
        run: format!("r{}", Uuid::now_v7().simple()),
    };
    let watch = tokio::spawn(watch(Arc::clone(&tally), bar.clone()));
    let ids = replay.play(&recording, &tally).await?;
    watch.abort();
    bar.finish_and_clear();

    let enriched = until("every click is enriched", || async {
        let enriched = world.relay.metric(ENRICHED).await;
        (enriched >= clicks as f64).then_some(enriched)
    })
    .await;
    let hints = world.relay.metric("clickmill_relay_hints_total").await;
    let count = |n: &std::sync::atomic::AtomicU64| n.load(Ordering::Relaxed);
    println!("sent      {:>9}", count(&tally.sent));
    println!("accepted  {:>9}", count(&tally.accepted));
    println!("duplicate {:>9}", count(&tally.duplicate));
    println!("rejected  {:>9}", count(&tally.rejected));
    println!("retried   {:>9}", count(&tally.retried));
    println!("enriched  {enriched:>9}");
    println!("hints     {hints:>9}");

    let raw = Found::of(&ids, &world, Topic::ClicksRaw).await;
    let out = Found::of(&ids, &world, Topic::ClicksEnriched).await;
    println!("raw topic: {raw}\nenriched topic: {out}");
    println!("every visit's clicks lie in the recording's order: {}", out.in_order);
    Ok(raw.is_whole() && out.is_whole())
}

/// Moves the bar with the verdicts.
async fn watch(tally: Arc<Tally>, bar: ProgressBar) {
    let mut ticks = tokio::time::interval(Duration::from_millis(100));
    loop {
        ticks.tick().await;
        bar.set_position(tally.settled());
    }
}

fn progress(clicks: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} events  {per_sec}  {eta} left");
    ProgressBar::new(clicks).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
