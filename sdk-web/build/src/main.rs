//! Turns the compiled browser core into the bundle that pages load, and weighs it.

mod bundle;
mod sizes;
mod thin;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

#[derive(Debug, Parser)]
#[command(about)]
enum Command {
    /// Write stub, glue and core into a folder.
    Bundle(Bundle),
    /// Print the compressed sizes of a bundle.
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
    /// Another stub than the one this program was built with.
    #[arg(long)]
    stub: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
struct Sizes {
    /// The folder of the bundle.
    #[arg(long)]
    dir: PathBuf,
    /// One JSON object a line.
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let done = match Command::parse() {
        Command::Bundle(args) => bundle::write(&args.wasm, &args.out, args.stub.as_deref()),
        Command::Sizes(args) => sizes::weigh(&args.dir).map(|sizes| {
            sizes.iter().for_each(|size| match args.json {
                true => println!("{}", size.json()),
                false => println!("{:>8}  {}", size.bytes, size.name),
            });
        }),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("clickmill-web-build: {error:#}");
            ExitCode::FAILURE
        }
    }
}
