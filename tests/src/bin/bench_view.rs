//! The process whose keyed state is measured: started by `clickmill-bench relay`.
#![allow(clippy::expect_used)] // A measuring program stops at the first thing that is not as it must be.

use std::path::PathBuf;

use clap::Parser;
use clickmill_tests::bench::relay::joined::{Options, run};
use tikv_jemallocator::Jemalloc;

/// As in the relay.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

/// Runs the view that `clickmill-bench relay` measures.
#[derive(Debug, Parser)]
struct Arguments {
    /// Some brokers.
    #[arg(long)]
    bootstrap: String,
    /// What topic names begin with.
    #[arg(long)]
    prefix: String,
    /// Where states lie.
    #[arg(long)]
    state: PathBuf,
}

#[tokio::main(worker_threads = 1)]
async fn main() {
    let Arguments { bootstrap, prefix, state } = Arguments::parse();
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    run(Options { bootstrap, prefix, state }).await;
}
