//! The commands, and what they share.

pub(crate) mod bench;
pub(crate) mod demo;
pub(crate) mod fuzz;
pub(crate) mod kafka;
pub(crate) mod replay;
mod ship;
pub(crate) mod test;
pub(crate) mod tidy;
pub(crate) mod web;

use std::process::Command;
use std::time::Instant;

use clickmill_xtask::interrupt::Interrupt;
use clickmill_xtask::kafka::{Broker, BrokerOptions, Jars, Jvm};
use clickmill_xtask::need::{self, Need};
use clickmill_xtask::place::Place;
use clickmill_xtask::tidy as tidy_rules;
use clickmill_xtask::web as sdk;
use clickmill_xtask::{npm, process};

/// The packages whose programs make up the route.
const ROUTE: [&str; 4] =
    ["clickmill-catalog", "clickmill-collector", "clickmill-relay", "clickmill-shop"];
/// Tells the tests and the measuring programs which broker they share.
const TEST_KAFKA: &str = "CLICKMILL_TEST_KAFKA";

/// What every command works with.
#[derive(Debug)]
pub(crate) struct Shell {
    pub(crate) place: Place,
    pub(crate) interrupt: Interrupt,
}

/// Why a command ended before its end.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The words on the command line mean nothing.
    Usage(String),
    /// One sentence for the person at the terminal.
    Told(String),
    /// A program failed that has said why; its exit code is ours.
    Silent(u8),
}

macro_rules! told {
    ($($error:ty),*) => {$(
        impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                Self::Told(error.to_string())
            }
        }
    )*};
}
told!(
    clickmill_xtask::kafka::Error,
    need::Error,
    npm::Error,
    process::Error,
    sdk::Error,
    tidy_rules::Error
);

/// How a build is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Build {
    /// Quick to build.
    Dev,
    /// Quick to run.
    Release,
}

impl Build {
    /// The folder below cargo's target folder.
    pub(crate) fn folder(self) -> &'static str {
        match self {
            Self::Dev => "debug",
            Self::Release => "release",
        }
    }
}

impl Shell {
    /// A cargo command in the workspace.
    fn cargo(&self, build: Build, verb: &str) -> Command {
        let mut command = sdk::cargo(&self.place);
        command.arg(verb);
        if build == Build::Release {
            command.arg("--release");
        }
        command
    }

    /// Runs one step and tells how long it took.
    fn step<T>(&self, name: &str, run: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
        let start = Instant::now();
        let done = run()?;
        eprintln!("{name:<34}{:>7.1} s", start.elapsed().as_secs_f64());
        Ok(done)
    }

    /// Makes sure of what everything here needs, and of `more`.
    fn needs(&self, more: &[Need]) -> Result<(), Failure> {
        let mut needs = vec![Need::Compiler, Need::Java];
        if !Jars::fetched(&self.place) {
            needs.push(Need::Maven);
        }
        needs.extend(more);
        Ok(need::ensure(&needs, &self.interrupt)?)
    }

    /// Fetches Kafka's jars where they are not here, and checks them.
    fn jars(&self) -> Result<(), Failure> {
        Jars::ready(&self.place, &self.interrupt)?;
        Ok(())
    }

    /// Builds the route's programs, and those of `more` (package and program). What is quick to run is
    /// shipped, too.
    fn build_route(&self, build: Build, more: &[(&str, &str)]) -> Result<(), Failure> {
        let mut command = self.cargo(build, "build");
        for program in ROUTE {
            command.args(["--package", program, "--bin", program]);
        }
        for (package, program) in more {
            command.args(["--package", package, "--bin", program]);
        }
        process::run("cargo build", &mut command, &self.interrupt)?;
        if build == Build::Release { ship::ship(self) } else { Ok(()) }
    }

    /// A broker of this run only, with its folder.
    fn fresh_broker(&self, jvm: Jvm) -> Result<(Broker, Scratch), Failure> {
        let scratch = Scratch::new(&self.place)?;
        let options = BrokerOptions {
            jvm,
            heap_mib_max: 1024,
            interrupt: self.interrupt.clone(),
            ..BrokerOptions::new(scratch.0.join("kafka"))
        };
        Ok((Broker::start(&options)?, scratch))
    }
}

/// A folder of one run, removed at its end.
#[derive(Debug)]
pub(crate) struct Scratch(pub(crate) std::path::PathBuf);

impl Scratch {
    fn new(place: &Place) -> Result<Self, Failure> {
        let folder = place.cache().join(format!("run-{}", std::process::id()));
        std::fs::create_dir_all(&folder)
            .map_err(|error| Failure::Told(format!("{}: {error}", folder.display())))?;
        Ok(Self(folder))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // A folder that stays behind harms nobody.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
