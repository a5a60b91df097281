//! `cargo xtask kafka`: one broker in the foreground.

use std::path::PathBuf;
use std::time::Duration;

use clickmill_xtask::kafka::{Broker, BrokerOptions, Jars, Jvm};
use clickmill_xtask::need::{self, Need};

use super::{Failure, Shell};
use crate::words::Words;

pub(crate) fn run(shell: &Shell, mut words: Words) -> Result<(), Failure> {
    let port = words.option("--port")?.unwrap_or(9092);
    let data = words.option::<PathBuf>("--data")?;
    let pin = words.flag("pin");
    words.end()?;
    if pin {
        let list = Jars::pin(&shell.place, &shell.interrupt)?;
        println!("{} holds the sums of what came; look at its changes", list.display());
        return Ok(());
    }
    need::ensure(&[Need::Java], &shell.interrupt)?;
    let options = BrokerOptions {
        port,
        jvm: Jvm::Full,
        interrupt: shell.interrupt.clone(),
        ..BrokerOptions::new(data.unwrap_or_else(|| shell.place.cache().join("kafka")))
    };
    let mut broker = Broker::start(&options)?;
    println!("Kafka serves on {}, its log is {}", broker.bootstrap(), broker.log().display());
    while !shell.interrupt.wait(Duration::from_millis(500)) {
        if broker.ended() {
            return Err(Failure::Told(format!("Kafka ended; see {}", broker.log().display())));
        }
    }
    eprintln!("stopping Kafka");
    broker.stop();
    Ok(())
}
