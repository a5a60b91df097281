//! The relay's program: configuration, logs, sockets, run.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use clickmill_relay::config::Config;
use clickmill_relay::rebuild;
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
    #[command(subcommand)]
    command: Option<Command>,
}

/// What is done beside serving.
#[derive(Clone, Copy, Debug, Subcommand)]
enum Command {
    /// Makes another version of the visitor view from the raw clicks, up to where the served version
    /// is, and ends. It may be run again to go on.
    Rebuild {
        /// The version to make; its topic must be there.
        #[arg(long)]
        version: u32,
    },
    /// Tells how another version of the visitor view differs from the served one; ends with 2 where
    /// it does.
    Compare {
        /// The version to compare.
        #[arg(long)]
        version: u32,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    match start().await {
        Ok(code) => code,
        Err(error) => {
            // Logs may not be set up yet, and this is for the person who started it.
            eprintln!("clickmill-relay: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn start() -> Result<ExitCode, Box<dyn std::error::Error>> {
    let arguments = Arguments::parse();
    let config = Config::load(arguments.config.as_deref())?;
    telemetry::init(&config.log)?;
    match arguments.command {
        None => serve(config).await,
        Some(Command::Rebuild { version }) => {
            rebuild::rebuild(&config, version).await?;
            Ok(ExitCode::SUCCESS)
        }
        Some(Command::Compare { version }) => {
            let comparison = rebuild::compare_with(&config, version).await?;
            println!("{comparison}");
            Ok(if comparison.is_alike() { ExitCode::SUCCESS } else { ExitCode::from(DIFFERENT) })
        }
    }
}

/// The exit code that says: compared, and not alike.
const DIFFERENT: u8 = 2;

async fn serve(config: Config) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let signals = Signals::install()?;
    let listeners = Listeners::bind(&config.listen).await?;
    let shutdown = Shutdown::new();
    tokio::select! {
        done = clickmill_relay::run(config, listeners, shutdown.clone()) => Ok(done.map(|()| ExitCode::SUCCESS)?),
        () = signals.drive(&shutdown) => Err("the drain was given up".into()),
    }
}
