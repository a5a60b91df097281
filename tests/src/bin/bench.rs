//! Measures: `clickmill-bench BENCH [--json]`, BENCH being one of those below. Figures are printed one a
//! line.
#![allow(clippy::expect_used)] // A measuring program stops at the first thing that is not as it must be.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use clickmill_tests::bench::collector::fairness;
use clickmill_tests::bench::{
    collector, handover, hints, page, queries, relay, route, rules, sessions, suggest,
};
use clickmill_tests::figure::Style;

/// Measures the route and its parts against a real Kafka.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    bench: Bench,
    /// One JSON object a line.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Bench {
    /// Click to hint at 200 and 2,000 events/s.
    Route {
        /// Seconds measured at each rate.
        #[arg(long, default_value_t = 20)]
        seconds: u64,
    },
    /// The collector's speed, cost and size beside a raw librdkafka producer of the same records.
    Collector {
        /// Events that each phase with batches sends; the phases with single events send a fifth.
        #[arg(long, default_value_t = 1_000_000)]
        events: usize,
        /// Seconds at the fixed rate.
        #[arg(long, default_value_t = 15)]
        seconds: u64,
        /// Only these phases; may be given several times. With one of them and many events there is
        /// time to look at the collector with a profiler; its process id is printed first.
        #[arg(long, value_enum)]
        only: Vec<collector::Phase>,
    },
    /// Keyed state, exactly once: its speed, its cost, and how soon it is back.
    Relay {
        /// Clicks to catch up with.
        #[arg(long, default_value_t = 2_000_000)]
        events: usize,
        /// Who made them.
        #[arg(long, default_value_t = 200_000)]
        visitors: usize,
        /// Seconds at 2,000 clicks a second.
        #[arg(long, default_value_t = 15)]
        seconds: u64,
    },
    /// A web server's questions, asked of the relay that knows and of one that has to ask it, while
    /// 2,000 clicks a second are folded.
    Queries {
        /// Seconds measured.
        #[arg(long, default_value_t = 15)]
        seconds: u64,
    },
    /// Relays that restart, leave for good and join while 2,000 clicks a second come: how long a
    /// partition pauses.
    Handover {
        /// Seconds of clicks before the first relay ends.
        #[arg(long, default_value_t = 10)]
        seconds: u64,
    },
    /// Hints on their way to pages, with many streams open, and what an open stream takes.
    Hints {
        /// Seconds measured each way.
        #[arg(long, default_value_t = 15)]
        seconds: u64,
    },
    /// What the SDK costs a page in Chromium: time, layouts, memory.
    Page {
        /// Events that there are when memory is weighed for the last time.
        #[arg(long, default_value_t = 200_000)]
        events: usize,
    },
    /// What rules of promotions cost an event, without any, with 50 and with 200. Needs no Kafka.
    Rules,
    /// What an event of a visit with 10, 100, 1,000 and 10,000 events costs. Needs no Kafka.
    Sessions,
    /// How often the next product of a recorded visit is among those suggested. Needs no Kafka.
    Suggest {
        /// A folder with click files (`session <tab> item <tab> unix time`) that have "clicks" in
        /// their names: the latest is judged, the others are learned from.
        #[arg(long)]
        data: PathBuf,
    },
    /// An honest site's waits, alone and beside one that sends ten times its quota.
    Fairness {
        /// Seconds measured each way.
        #[arg(long, default_value_t = 15)]
        seconds: u64,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let style = if arguments.json { Style::Json } else { Style::Text };
    match arguments.bench {
        Bench::Route { seconds } => route::measure(seconds, style).await,
        Bench::Collector { events, seconds, only } => {
            let only = only.into_iter().collect();
            collector::measure(collector::Options { events, seconds, only }, style).await;
        }
        Bench::Relay { events, visitors, seconds } => {
            relay::measure(relay::Options { events, visitors, seconds }, style).await;
        }
        Bench::Queries { seconds } => queries::measure(seconds, style).await,
        Bench::Handover { seconds } => handover::measure(seconds, style).await,
        Bench::Hints { seconds } => hints::measure(seconds, style).await,
        Bench::Page { events } => page::measure(events, style).await,
        Bench::Rules => rules::measure(style),
        Bench::Sessions => sessions::measure(style),
        Bench::Suggest { data } => {
            if let Err(problem) = suggest::measure(&data, style) {
                eprintln!("suggest: {problem}");
                return ExitCode::FAILURE;
            }
        }
        Bench::Fairness { seconds } => fairness::measure(seconds, style).await,
    }
    ExitCode::SUCCESS
}
