//! Clicks through a running demo in a headless Chromium and says whether everything came back.

use std::process::ExitCode;

use clap::Parser;
use clickmill_tests::browser::Browser;
use clickmill_tests::demo::{Addresses, click_through};

/// Clicks through a running demo.
#[derive(Debug, Parser)]
struct Arguments {
    /// The shop's address.
    #[arg(long)]
    shop: String,
    /// The collector's admin address.
    #[arg(long)]
    collector_admin: String,
    /// The relay's admin address.
    #[arg(long)]
    relay_admin: String,
}

#[tokio::main]
async fn main() -> ExitCode {
    let Arguments { shop, collector_admin, relay_admin } = Arguments::parse();
    let browser = Browser::start().await;
    let count = click_through(&browser, &Addresses { shop, collector_admin, relay_admin }).await;
    browser.close().await;
    println!("{count}");
    let missing = count.missing();
    for line in &missing {
        eprintln!("missing: {line}");
    }
    if missing.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
