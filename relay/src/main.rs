//! The relay's program: configuration, logs, sockets, run.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use clickmill_relay::config::Config;
use clickmill_server::listen::Listeners;
use clickmill_server::shutdown::{Shutdown, Signals};
use clickmill_server::telemetry;
use tikv_jemallocator::Jemalloc;

/// As in the collector: for Rust's own allocations and librdkafka's.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

/// From Kafka to hints.
#[derive(Debug, Parser)]
#[command(name = "clickmill-relay", version)]
struct Arguments {
    /// The configuration file; every key can also come from the environment
    /// (CLICKMILL_RELAY__...).
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> ExitCode {
    match start().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Logs may not be set up yet, and this is for the person who started it.
            eprintln!("clickmill-relay: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn start() -> Result<(), Box<dyn std::error::Error>> {
    let config = Config::load(Arguments::parse().config.as_deref())?;
    telemetry::init(&config.log)?;
    let signals = Signals::install()?;
    let listeners = Listeners::bind(&config.listen).await?;
    let shutdown = Shutdown::new();
    tokio::select! {
        done = clickmill_relay::run(config, listeners, shutdown.clone()) => Ok(done?),
        () = signals.drive(&shutdown) => Err("the drain was given up".into()),
    }
}
