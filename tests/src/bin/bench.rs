//! Measures: `clickmill-bench route|collector [--json]`. Figures are printed one a line.
#![allow(clippy::expect_used)] // A measuring program stops at the first thing that is not as it must be.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use clickmill_tests::bench::{collector, route};
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
    /// The collector's throughput beside a raw librdkafka producer of the same records.
    Collector {
        /// Events sent.
        #[arg(long, default_value_t = 500_000)]
        events: usize,
        /// Events in a batch.
        #[arg(long, default_value_t = 20)]
        batch: usize,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let style = if arguments.json { Style::Json } else { Style::Text };
    match arguments.bench {
        Bench::Route { seconds } => route::measure(seconds, style).await,
        Bench::Collector { events, batch } => collector::measure(events, batch, style).await,
    }
    ExitCode::SUCCESS
}
