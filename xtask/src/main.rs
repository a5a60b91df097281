//! The commands around cargo: `cargo xtask help` lists them.

mod command;
mod words;

use std::process::ExitCode;

use clickmill_xtask::interrupt::Interrupt;
use clickmill_xtask::place::Place;
use command::{Failure, Shell};
use words::Words;

const HELP: &str = "\
cargo xtask COMMAND

  demo [--port N]        start everything and serve the shop; Ctrl-C ends it
       [--check]         on free ports, clicked through by a headless Chromium
  test [--all] [NAME...] all tests against a real Kafka; --all adds the long ones and
                         those in Firefox and WebKit; a NAME is a part of the
                         names of those to run
       [--wasm]          only those of the SDK's logic that run as wasm
  fuzz [NAME...] [--seconds N]
                         feed hard inputs to all that reads strangers' bytes, each
                         target for a minute; what is found stays in tests/corpus
  web [--release]        build the SDK's bundle into target/sdk, its package for npm
                         into target/npm
      [--reference]      and the pages on its functions into target/reference
  bench route|collector|fairness|relay|queries|handover|hints|rules|sessions|suggest|sdk
       [--json] [...]    measure; what follows goes to the measuring program
  replay FILE [--rate N] [...]
                         play a recorded clickstream through the collector and
                         check in Kafka that all of it arrived once
  kafka [--port N] [--data DIR]
                         one broker in the foreground
  kafka pin              pin the sums of the jars that xtask/kafka/pom.xml names
  needs [--all]          find or install all that the tests need, and stop there
  tidy                   check the rules of the house

What is kept between runs lies in .clickmill, or where CLICKMILL_HOME says.
";

fn main() -> ExitCode {
    let mut words = Words::new(std::env::args().skip(1));
    let command = words.next();
    let shell = match Interrupt::listen() {
        Ok(interrupt) => Shell { place: Place::here(), interrupt },
        Err(error) => {
            eprintln!("Ctrl-C cannot be listened to: {error}");
            return ExitCode::FAILURE;
        }
    };
    let done = match command.as_deref() {
        Some("demo") => command::demo::run(&shell, words),
        Some("test") => command::test::run(&shell, words),
        Some("fuzz") => command::fuzz::run(&shell, words),
        Some("web") => command::web::run(&shell, words),
        Some("bench") => command::bench::run(&shell, words),
        Some("replay") => command::replay::run(&shell, words),
        Some("kafka") => command::kafka::run(&shell, words),
        Some("needs") => command::test::needs(&shell, words),
        Some("tidy") => command::tidy::run(&shell, words),
        None | Some("help" | "--help" | "-h") => {
            print!("{HELP}");
            Ok(())
        }
        Some(other) => Err(Failure::Usage(format!("there is no command {other:?}"))),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        // What the child had to say it has said.
        Err(Failure::Silent(code)) => ExitCode::from(code),
        Err(_) if shell.interrupt.requested() => {
            eprintln!("stopped");
            ExitCode::from(130)
        }
        Err(Failure::Usage(what)) => {
            eprintln!("{what}\n\n{HELP}");
            ExitCode::from(2)
        }
        Err(Failure::Told(sentence)) => {
            eprintln!("cargo xtask: {sentence}");
            ExitCode::FAILURE
        }
    }
}
