//! Plays a recorded clickstream through a collector, and checks in Kafka that every event arrived
//! once: `clickmill-replay FILE --rate N`.
#![allow(clippy::expect_used)] // A measuring program stops at the first thing that is not as it must be.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::BufReader;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use clap::Parser;
use clickmill_sdk_core::wire::{EventId, Topic};
use clickmill_tests::recording::Recording;
use clickmill_tests::replay::{Replay, Tally};
use clickmill_tests::service::ENRICHED;
use clickmill_tests::until::until;
use clickmill_tests::{Kafka, World};
use indicatif::{ProgressBar, ProgressStyle};
use uuid::Uuid;

/// Plays a recorded clickstream through the whole route.
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

    let raw = Check::of(&ids, &world.kafka, Topic::ClicksRaw).await;
    let out = Check::of(&ids, &world.kafka, Topic::ClicksEnriched).await;
    Ok(raw.print("raw") & out.print("enriched") & sessions_whole(&world, recording.sessions).await)
}

/// What an independent reader found in a topic.
struct Check {
    lost: usize,
    doubled: usize,
    foreign: usize,
}

impl Check {
    async fn of(ids: &HashSet<EventId>, kafka: &Kafka, topic: Topic) -> Self {
        let mut seen: HashMap<String, usize> = HashMap::new();
        for record in kafka.records(topic).await {
            *seen.entry(record.headers.get("ce_id").cloned().unwrap_or_default()).or_default() += 1;
        }
        let lost = ids.iter().filter(|id| !seen.contains_key(&id.to_string())).count();
        let doubled = seen.values().filter(|count| **count > 1).count();
        Self { lost, doubled, foreign: seen.len() + lost - ids.len() }
    }

    fn print(&self, topic: &str) -> bool {
        let Self { lost, doubled, foreign } = self;
        println!("{topic}: {lost} lost, {doubled} doubled, {foreign} unknown ids in Kafka");
        *lost == 0 && *doubled == 0 && *foreign == 0
    }
}

/// Whether Kafka holds as many visits as the recording has sessions.
async fn sessions_whole(world: &World, sessions: usize) -> bool {
    let records = world.read(Topic::ClicksEnriched).await;
    let visits: HashSet<_> =
        records.iter().filter_map(|record| record.enrichment.as_ref()?.session.clone()).collect();
    println!("visits    {:>9} of {sessions} recorded sessions", visits.len());
    visits.len() == sessions
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
