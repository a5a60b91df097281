//! The collector as a program: reads its configuration, binds its ports, runs.

use std::fmt::Display;
use std::io::{self, Write};
#[cfg(target_os = "linux")]
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use clickmill_collector::inspect::{self, ReplayOptions, TailOptions};
use clickmill_collector::{CheckOptions, Config, Source};
use clickmill_server::listen::Listeners;
use clickmill_server::shutdown::{Shutdown, Signals};
use clickmill_server::telemetry;
use tikv_jemallocator::Jemalloc;

/// For Rust's own allocations; librdkafka's take the same way, since the crate stands in for `malloc`.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

/// Something is worse than it should be, and that was to count as a failure.
const EXIT_WARNED: u8 = 3;

/// Takes events over HTTP, judges each, and answers once they are durable in Kafka.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// The configuration file; variables named CLICKMILL_COLLECTOR__… lie over it.
    #[arg(long, short, global = true)]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Says whether the configuration is good, with its certificate and schemas and the topics that it
    /// would write to, and what it looked at. Ends with 0, also with warnings; with 1 if a collector
    /// would not start or not keep its word.
    CheckConfig(CheckOptions),
    /// Shows events as they come to a running collector, and what becomes of them.
    Tail(TailOptions),
    /// Judges dead letters again by the schemas as they are now, and puts through what is good: as
    /// it would have been taken when it came, with its id, time and key. The rest stays where it is.
    ReplayRejected(ReplayOptions),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    wake_in_time();
    act(&arguments)
}

/// Lets the threads that start from here on, librdkafka's among them, wake when they asked to: by
/// default the kernel takes 50 µs more to join wake-ups, and each record waits for a timer.
#[cfg(target_os = "linux")]
fn wake_in_time() {
    const SLACK_NS: NonZeroU64 = NonZeroU64::new(1_000).unwrap();
    // Where it is forbidden, all is a little later and nothing else.
    let _ = rustix::thread::set_current_timer_slack(Some(SLACK_NS));
}

#[cfg(not(target_os = "linux"))]
fn wake_in_time() {}

#[tokio::main]
async fn act(arguments: &Arguments) -> ExitCode {
    let done = match &arguments.command {
        Some(Command::CheckConfig(options)) => check(arguments, options).await,
        Some(Command::Tail(options)) => tail(arguments, options).await,
        Some(Command::ReplayRejected(options)) => replay(arguments, options).await,
        None => serve(arguments).await,
    };
    match done {
        Ok(code) => code,
        Err(why) => {
            eprintln!("clickmill-collector: {why}");
            ExitCode::FAILURE
        }
    }
}

async fn check(arguments: &Arguments, options: &CheckOptions) -> Result<ExitCode, String> {
    let report = clickmill_collector::check(&load(arguments)?, options).await;
    println!("{report}");
    Ok(match (report.errors(), report.warnings()) {
        (0, 1..) if options.strict => ExitCode::from(EXIT_WARNED),
        (0, _) => ExitCode::SUCCESS,
        (1.., _) => ExitCode::FAILURE,
    })
}

async fn tail(arguments: &Arguments, options: &TailOptions) -> Result<ExitCode, String> {
    let told = options.admin.is_some() && options.token.is_some();
    let config = if told { None } else { Some(load(arguments)?) };
    let show = |line: &str| writeln!(io::stdout(), "{line}");
    inspect::tail(options, config.as_ref(), show).await.map_err(text)?;
    Ok(ExitCode::SUCCESS)
}

async fn replay(arguments: &Arguments, options: &ReplayOptions) -> Result<ExitCode, String> {
    let tally = inspect::replay(load(arguments)?, options.clone()).await.map_err(text)?;
    println!("{tally}");
    if options.dry_run {
        println!("nothing was put through: this was a dry run");
    }
    Ok(if tally.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn serve(arguments: &Arguments) -> Result<ExitCode, String> {
    let config = load(arguments)?;
    let log = telemetry::init(&config.log).map_err(text)?;
    let source = Source { file: arguments.config.clone(), log: Some(log) };
    let signals = Signals::install().map_err(text)?;
    let listeners = Listeners::bind(&config.listen).await.map_err(text)?;
    tracing::info!(public = %config.listen.public, admin = %config.listen.admin, "listening");
    let shutdown = Shutdown::new();
    tokio::select! {
        ended = clickmill_collector::run(config, source, listeners, shutdown.clone()) => {
            ended.map(|()| ExitCode::SUCCESS).map_err(text)
        }
        // A second signal gives the drain up.
        () = signals.drive(&shutdown) => Ok(ExitCode::FAILURE),
    }
}

fn load(arguments: &Arguments) -> Result<Config, String> {
    Config::load(arguments.config.as_deref()).map_err(text)
}

fn text(error: impl Display) -> String {
    error.to_string()
}
