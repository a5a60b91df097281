//! `clickmill-catalog`: shows what a cluster lacks by the contracts, and puts it right; writes types
//! of the events.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clickmill_catalog::{
    Builtin, Catalogue, Folder, Language, Plan, PlanOptions, SchemaSource, apply, codegen, observe,
    plan,
};
use clickmill_kafka::{Admin, KafkaConfig};

/// Something is refused; nothing was changed.
const EXIT_REFUSED: u8 = 3;

#[derive(Parser)]
#[command(
    name = "clickmill-catalog",
    about = "The contracts of all streams, the topics that keep them, and types of their events"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Show what differs between contracts and cluster; change nothing
    Plan(Target),
    /// Make and change topics until the cluster is as the contracts say
    Apply(Target),
    /// Write the event types of schema folders as TypeScript or Rust
    Codegen(Codegen),
}

#[derive(Args)]
struct Codegen {
    /// What to write them in
    language: Written,
    /// A folder with further schemas, <event type>/<version>.json; may be given more than once
    #[arg(long, value_name = "DIR")]
    schemas: Vec<PathBuf>,
    /// Leave the schemas out that Clickmill brings along
    #[arg(long)]
    no_builtin: bool,
    /// The file to write; standard output where it is missing
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Written {
    Rust,
    // Not `type-script`.
    #[value(name = "typescript")]
    TypeScript,
}

#[derive(Args)]
struct Target {
    /// Address of a broker, host:port; overrides the one of --kafka
    #[arg(long, value_name = "ADDR", required_unless_present = "kafka")]
    bootstrap: Option<String>,
    /// A TOML file that says how to reach the cluster: bootstrap, [security], [properties]
    #[arg(long, value_name = "FILE")]
    kafka: Option<PathBuf>,
    /// A folder with further contracts, *.toml; may be given more than once
    #[arg(long, value_name = "DIR")]
    contracts: Vec<PathBuf>,
    /// Comes before every topic's name
    #[arg(long, value_name = "PREFIX", default_value = "")]
    topic_prefix: String,
    /// Replicas of new topics, where the cluster has fewer brokers than the contracts ask for
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    replication: Option<u16>,
    /// Partitions of new topics, instead of each contract's number
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    partitions: Option<u32>,
    /// How long to wait for the cluster, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 15)]
    wait: u16,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(Cli::parse().command).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("clickmill-catalog: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let plan = match &command {
        Command::Plan(target) => compare(target, Then::Tell).await?,
        Command::Apply(target) => compare(target, Then::Apply).await?,
        Command::Codegen(options) => {
            write_types(options)?;
            return Ok(ExitCode::SUCCESS);
        }
    };
    Ok(if plan.is_refused() { ExitCode::from(EXIT_REFUSED) } else { ExitCode::SUCCESS })
}

/// Writes types, whole or not at all.
fn write_types(options: &Codegen) -> Result<(), Box<dyn std::error::Error>> {
    let mut sources: Vec<Box<dyn SchemaSource>> = Vec::new();
    if !options.no_builtin {
        sources.push(Box::new(Builtin));
    }
    for folder in &options.schemas {
        sources.push(Box::new(Folder::new(folder)));
    }
    let language = match options.language {
        Written::Rust => Language::Rust,
        Written::TypeScript => Language::TypeScript,
    };
    let text = codegen(&sources, language)?;
    match &options.out {
        Some(file) => fs::write(file, text)
            .map_err(|error| format!("{} cannot be written: {error}", file.display()))?,
        None => print!("{text}"),
    }
    Ok(())
}

/// What follows a comparison.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Then {
    Tell,
    Apply,
}

async fn compare(target: &Target, then: Then) -> Result<Plan, Box<dyn std::error::Error>> {
    let mut catalogue = Catalogue::builtin()?;
    for folder in &target.contracts {
        catalogue.add_folder(folder)?;
    }
    let options = PlanOptions {
        topic_prefix: target.topic_prefix.clone(),
        replication: target.replication,
        partitions: target.partitions,
    };
    let admin = Admin::new(&target.cluster()?, Duration::from_secs(target.wait.into()))?;
    let cluster = observe(&admin, catalogue.contracts(), &options).await?;
    let plan = plan(catalogue.contracts(), &cluster, &options);
    for action in &plan.actions {
        println!("{action}");
    }
    if plan.is_refused() {
        eprintln!("clickmill-catalog: something is refused, so nothing was changed");
    } else if then == Then::Apply {
        apply(&admin, &plan).await?;
    }
    Ok(plan)
}

impl Target {
    fn cluster(&self) -> Result<KafkaConfig, Box<dyn std::error::Error>> {
        let mut config = match &self.kafka {
            Some(file) => {
                let text = fs::read_to_string(file)
                    .map_err(|error| format!("{} cannot be read: {error}", file.display()))?;
                toml::from_str(&text).map_err(|error| format!("{}: {error}", file.display()))?
            }
            None => KafkaConfig::default(),
        };
        if let Some(bootstrap) = &self.bootstrap {
            config.bootstrap.clone_from(bootstrap);
        }
        Ok(config)
    }
}
