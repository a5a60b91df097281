//! `cargo xtask bench`: figures, one a line.

use std::process::Command;

use clickmill_xtask::kafka::Jvm;
use clickmill_xtask::need::Need;
use clickmill_xtask::process;
use clickmill_xtask::web::{self, Effort};

use super::{Build, Failure, Shell, TEST_KAFKA};
use crate::words::Words;

const TESTS: &str = "clickmill-tests";
const BENCH: &str = "clickmill-bench";
/// The process whose keyed state is measured.
const BENCH_VIEW: &str = "clickmill-bench-view";
/// Tells the measuring program which process the broker is.
const BROKER_PROCESS: &str = "CLICKMILL_BENCH_BROKER";

pub(crate) fn run(shell: &Shell, mut words: Words) -> Result<(), Failure> {
    match words.next().as_deref() {
        Some(which @ ("route" | "collector" | "fairness" | "relay" | "queries" | "handover")) => {
            through_kafka(shell, which, words)
        }
        Some("hints") => {
            // Pages in a browser wait for them, too.
            shell.needs(&[Need::Browser])?;
            web::build(&shell.place, Effort::Release, &shell.interrupt)?;
            through_kafka(shell, "hints", words)
        }
        Some(which @ ("rules" | "sessions" | "suggest")) => without_kafka(shell, which, words),
        Some("sdk") => sdk(shell, words),
        _ => Err(Failure::Usage(
            "bench needs one of route, collector, fairness, relay, queries, handover, hints, rules, \
             sessions, suggest, sdk"
                .to_owned(),
        )),
    }
}

/// Everything optimised, and a fresh broker.
fn through_kafka(shell: &Shell, which: &str, words: Words) -> Result<(), Failure> {
    shell.needs(&[])?;
    shell.jars()?;
    let programs = [(TESTS, BENCH), (TESTS, BENCH_VIEW)];
    shell.step("programs", || shell.build_route(Build::Release, &programs))?;
    // What is to be quick must be as Java is at its best. For its first minute that compiles, on the
    // cores that latencies are measured on.
    let jvm = if matches!(which, "relay" | "collector") { Jvm::Full } else { Jvm::Quick };
    let (broker, _scratch) = shell.step("Kafka", || shell.fresh_broker(jvm))?;
    let mut command = Command::new(shell.place.program(Build::Release.folder(), BENCH));
    command
        .arg(which)
        .args(words.rest())
        .env(TEST_KAFKA, broker.bootstrap())
        .env(BROKER_PROCESS, broker.id().to_string());
    Ok(process::run(BENCH, &mut command, &shell.interrupt)?)
}

/// Optimised, and nothing beside it.
fn without_kafka(shell: &Shell, which: &str, words: Words) -> Result<(), Failure> {
    shell.needs(&[])?;
    shell.step("programs", || shell.build_route(Build::Release, &[(TESTS, BENCH)]))?;
    let mut command = Command::new(shell.place.program(Build::Release.folder(), BENCH));
    command.arg(which).args(words.rest());
    Ok(process::run(BENCH, &mut command, &shell.interrupt)?)
}

/// What the SDK costs: bytes over the wire and, unless they are only held against a budget, what a
/// page in Chromium notices.
fn sdk(shell: &Shell, mut words: Words) -> Result<(), Failure> {
    let json = words.flag("--json").then_some("--json");
    if let Some(budget) = words.option::<String>("--budget")? {
        words.end()?;
        return sizes(shell, json.into_iter().chain(["--budget", &budget]));
    }
    let events = words.option::<u64>("--events")?.map(|events| format!("--events={events}"));
    words.end()?;
    sizes(shell, json.into_iter())?;
    shell.needs(&[Need::Browser])?;
    shell.jars()?;
    shell.step("programs", || shell.build_route(Build::Dev, &[(TESTS, BENCH)]))?;
    let (broker, _scratch) = shell.step("Kafka", || shell.fresh_broker(Jvm::Quick))?;
    let mut command = Command::new(shell.place.program(Build::Dev.folder(), BENCH));
    command.arg("page").args(json).args(events).env(TEST_KAFKA, broker.bootstrap());
    Ok(process::run(BENCH, &mut command, &shell.interrupt)?)
}

fn sizes<'a>(shell: &Shell, words: impl Iterator<Item = &'a str>) -> Result<(), Failure> {
    let out = web::build(&shell.place, Effort::Release, &shell.interrupt)?;
    let mut command = shell.cargo(Build::Dev, "run");
    command.args(["--package", "clickmill-web-build", "--", "sizes", "--dir"]).arg(out).args(words);
    Ok(process::run("the bundler", &mut command, &shell.interrupt)?)
}
