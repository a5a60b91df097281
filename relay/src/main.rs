//! The relay's program: configuration, logs, sockets, run.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use clickmill_relay::config::Config;
use clickmill_relay::promotions::simulate::{Plan, Telling, Traffic, simulate};
use clickmill_relay::rebuild;
use clickmill_sdk_core::wire::{Tenant, Topic};
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
#[derive(Clone, Debug, Subcommand)]
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
    /// Runs rules of promotions against recorded traffic and tells who would have seen what; ends
    /// with 2 where a rule is refused.
    Simulate(Simulate),
}

#[derive(Clone, Debug, Args)]
struct Simulate {
    /// A folder with files of rules.
    #[arg(long, value_name = "DIR")]
    rules: PathBuf,
    /// Another folder of rules, to compare with.
    #[arg(long, value_name = "DIR")]
    against: Option<PathBuf>,
    /// A recording: lines of `session <tab> item <tab> unix time`, or of JSON.
    #[arg(long, value_name = "FILE", conflicts_with = "topic", required_unless_present = "topic")]
    recording: Option<PathBuf>,
    /// The topic to read instead, by the configuration: `raw` or `enriched`.
    #[arg(long, value_name = "TOPIC", value_parser = ["raw", "enriched"])]
    topic: Option<String>,
    /// A file of products, a list as JSON; others are taken to be in stock and in no category.
    #[arg(long, value_name = "FILE")]
    products: Option<PathBuf>,
    /// A file of customers, a list as JSON: what is known of those whom events prove their visitors to be.
    #[arg(long, value_name = "FILE")]
    customers: Option<PathBuf>,
    /// Whose recording, products and customers they are.
    #[arg(long, value_name = "TENANT", default_value = "shop")]
    tenant: String,
    /// Names the visitors whom each rule is shown to, and who are held out of it.
    #[arg(long)]
    who: bool,
    /// Tells it as JSON.
    #[arg(long)]
    json: bool,
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

async fn start() -> Result<ExitCode, Box<dyn Error>> {
    let arguments = Arguments::parse();
    if let Some(Command::Simulate(simulate)) = arguments.command {
        let config = arguments.config;
        return Ok(tokio::task::spawn_blocking(move || simulated(&simulate, config.as_deref()))
            .await?
            .map_err(|error| error.to_string())?);
    }
    let config = Config::load(arguments.config.as_deref())?;
    telemetry::init(&config.log)?;
    match arguments.command {
        None | Some(Command::Simulate(_)) => serve(config).await,
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

/// The exit code that says: compared, and not alike; or simulated, and not all rules are good.
const DIFFERENT: u8 = 2;

/// Runs a simulation and prints its report. The configuration is read where one is named or Kafka is;
/// otherwise the relay is one of which nothing is set.
fn simulated(
    asked: &Simulate,
    config: Option<&Path>,
) -> Result<ExitCode, Box<dyn Error + Send + Sync>> {
    let relay = match (config, &asked.topic) {
        (None, None) => Config::default(),
        (config, _) => Config::load(config)?,
    };
    let traffic = match (&asked.recording, asked.topic.as_deref()) {
        (Some(file), _) => Traffic::File(file.clone()),
        (None, topic) => {
            let topic = if topic == Some("raw") { Topic::ClicksRaw } else { Topic::ClicksEnriched };
            Traffic::Topic(Box::new(relay.kafka.clone()), topic.name(&relay.topic_prefix))
        }
    };
    let plan = Plan {
        relay,
        rules: asked.rules.clone(),
        against: asked.against.clone(),
        products: asked.products.clone(),
        customers: asked.customers.clone(),
        tenant: Tenant::parse(asked.tenant.as_str())?,
    };
    let (report, against) = simulate(&plan, &traffic)?;
    let against = against.as_ref();
    let telling = Telling { against, who: asked.who };
    let text = if asked.json { report.json(telling) } else { report.table(telling) };
    println!("{}", text.trim_end());
    let mut reports = [Some(&report), against].into_iter().flatten();
    Ok(if reports.all(|report| report.refusals().is_empty()) {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(DIFFERENT)
    })
}

async fn serve(config: Config) -> Result<ExitCode, Box<dyn Error>> {
    let signals = Signals::install()?;
    let listeners = Listeners::bind(&config.listen).await?;
    let shutdown = Shutdown::new();
    tokio::select! {
        done = clickmill_relay::run(config, listeners, shutdown.clone()) => Ok(done.map(|()| ExitCode::SUCCESS)?),
        () = signals.drive(&shutdown) => Err("the drain was given up".into()),
    }
}
