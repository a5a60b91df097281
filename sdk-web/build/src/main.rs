//! Turns the compiled browser core into the bundle that pages load, and weighs it.

mod bundle;
mod npm;
mod sizes;
mod thin;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;

#[derive(Debug, Parser)]
#[command(about)]
enum Command {
    /// Write stub, glue and core into a folder.
    Bundle(Bundle),
    /// Put the npm package together.
    Npm(Npm),
    /// Print the compressed sizes of a bundle, and fail where one is above its budget.
    Sizes(Sizes),
}

#[derive(Debug, clap::Args)]
struct Bundle {
    /// The core as cargo compiled it.
    #[arg(long)]
    wasm: PathBuf,
    /// The folder to write to.
    #[arg(long)]
    out: PathBuf,
}

#[derive(Debug, clap::Args)]
struct Npm {
    /// The folder of the bundle.
    #[arg(long)]
    dir: PathBuf,
    /// The folder to write to; what is in it goes.
    #[arg(long)]
    out: PathBuf,
}

#[derive(Debug, clap::Args)]
struct Sizes {
    /// The folder of the bundle.
    #[arg(long)]
    dir: PathBuf,
    /// A file of budgets: lines of a size's name and the most bytes it may have.
    #[arg(long)]
    budget: Option<PathBuf>,
    /// One JSON object a line.
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let done = match Command::parse() {
        Command::Bundle(args) => bundle::write(&args.wasm, &args.out),
        Command::Npm(args) => npm::write(&args.dir, &args.out),
        Command::Sizes(args) => print_sizes(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("clickmill-web-build: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn print_sizes(args: &Sizes) -> anyhow::Result<()> {
    let sizes = sizes::weigh(&args.dir)?;
    sizes.iter().for_each(|size| match args.json {
        true => println!("{}", size.json()),
        false => println!("{:>8}  {}", size.bytes, size.name),
    });
    let Some(path) = &args.budget else { return Ok(()) };
    let text = fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    sizes::keep(&sizes, &text).with_context(|| format!("the budget in {}", path.display()))
}
