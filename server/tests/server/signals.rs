//! Real signals to this very process.

use std::process::Command;

use clickmill_server::shutdown::{Shutdown, Signals};

use crate::harness::eventually;

fn send(signal: &str) {
    let line = format!("kill -{signal} {}", std::process::id());
    assert!(Command::new("sh").args(["-c", &line]).status().unwrap().success());
}

#[tokio::test]
async fn the_first_signal_begins_the_drain_and_the_second_gives_it_up() {
    let shutdown = Shutdown::new();
    let signals = Signals::install().unwrap();
    let driven = shutdown.clone();
    let driver = tokio::spawn(async move { signals.drive(&driven).await });
    send("TERM");
    shutdown.triggered().await;
    assert!(!driver.is_finished());
    send("INT");
    eventually("the second signal was heard", || driver.is_finished()).await;
}
