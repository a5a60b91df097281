//! Starts the example shop.

use std::process::ExitCode;

use clap::Parser;
use clickmill_server::clock::SystemClock;
use clickmill_server::listen;
use clickmill_server::shutdown::{Shutdown, Signals};
use clickmill_server::telemetry::{self, LogConfig};
use clickmill_shop::config::Options;
use clickmill_shop::run::run;

#[tokio::main]
async fn main() -> ExitCode {
    match open(Options::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("clickmill-shop: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn open(options: Options) -> Result<(), Box<dyn std::error::Error>> {
    telemetry::init(&LogConfig { filter: options.log.clone(), ..LogConfig::default() })?;
    let listen = options.listen;
    let config = options.config()?;
    let listener = listen::bind(listen, "--listen").await?;
    let signals = Signals::install()?;
    let shutdown = Shutdown::new();
    tracing::info!(address = %format_args!("http://{}", listener.local_addr()?), "the shop is opening");
    tokio::select! {
        done = run(config, listener, SystemClock::shared(), shutdown.clone()) => Ok(done?),
        () = signals.drive(&shutdown) => Ok(()),
    }
}
