//! `cargo xtask test`: all tests, against one real Kafka and the programs as they are built.

use clickmill_xtask::kafka::{Broker, Jvm};
use clickmill_xtask::need::Need;
use clickmill_xtask::npm;
use clickmill_xtask::process;
use clickmill_xtask::registry::Installed;
use clickmill_xtask::web::{self, Effort};

use super::{Build, Failure, Shell, TEST_KAFKA};
use crate::words::Words;

/// The accessibility checker, and where the tests find it.
const AXE: (&str, &str) = ("axe-core@4.10.3", "CLICKMILL_AXE");

/// The stories that need a real schema registry.
const REGISTRY_STORIES: &str = "real_registry::";

/// Where the tests find the folder with Segment's clients.
const SEGMENT: &str = "CLICKMILL_SEGMENT";

pub(crate) fn run(shell: &Shell, mut words: Words) -> Result<(), Failure> {
    if words.flag("--wasm") {
        words.end()?;
        return in_wasm(shell);
    }
    let all = words.flag("--all");
    let names = words.rest();
    bring(shell)?;
    shell.step("programs", || shell.build_route(Build::Dev, &[]))?;
    shell.step("SDK", || Ok(web::build(&shell.place, Effort::Everyday, &shell.interrupt)?))?;
    let axe = shell.step("accessibility checker", || {
        let file = npm::file(&shell.place, AXE.0, "axe.min.js", &shell.interrupt);
        file.map_err(|error| Failure::Told(error.to_string()))
    })?;
    let segment = shell.step("Segment's clients", || {
        let folder = npm::folder(&shell.place, &npm::SEGMENT, &shell.interrupt);
        folder.map_err(|error| Failure::Told(error.to_string()))
    })?;
    let (broker, _scratch) = shell.step("Kafka", || shell.fresh_broker(Jvm::Quick))?;

    let mut command = shell.cargo(Build::Dev, "test");
    command.args(["--workspace", "--no-fail-fast"]);
    command.args(&names).env(TEST_KAFKA, broker.bootstrap()).env(AXE.1, axe).env(SEGMENT, segment);
    if all {
        command.args(["--", "--include-ignored", "--skip", REGISTRY_STORIES]);
    }
    // All are run, so that one failure does not hide another.
    let native =
        shell.step("tests", || Ok(process::run("cargo test", &mut command, &shell.interrupt)?));
    let asked = names.is_empty() || names.iter().any(|name| name.contains("registry"));
    let registry = if asked { with_registry(shell, &broker) } else { Ok(()) };
    drop(broker);
    let wasm = if names.is_empty() { in_wasm(shell) } else { Ok(()) };
    native.and(registry).and(wasm)
}

/// The stories that need a real schema registry: run where the machine has what it takes, and
/// otherwise named as not run.
fn with_registry(shell: &Shell, broker: &Broker) -> Result<(), Failure> {
    if let Err(error) = Installed::ready(&shell.place, &shell.interrupt) {
        eprintln!("skipped, not passed: the stories in {REGISTRY_STORIES}; {error}");
        return Ok(());
    }
    let mut command = shell.cargo(Build::Dev, "test");
    command.args(["--package", "clickmill-tests", "--test", "stories", REGISTRY_STORIES]);
    command.args(["--", "--ignored"]).env(TEST_KAFKA, broker.bootstrap());
    shell.step("tests with a schema registry", || {
        Ok(process::run("cargo test", &mut command, &shell.interrupt)?)
    })
}

/// `cargo xtask needs`: what the tests need, without the tests.
pub(crate) fn needs(shell: &Shell, words: Words) -> Result<(), Failure> {
    words.end()?;
    bring(shell)
}

fn bring(shell: &Shell) -> Result<(), Failure> {
    shell.step("needs", || shell.needs(&[Need::Browser]))?;
    shell.step("Kafka's jars", || shell.jars())?;
    shell.step("schema registry", || {
        // Not every machine has what it takes, and most tests do without.
        if let Err(error) = Installed::ready(&shell.place, &shell.interrupt) {
            eprintln!("{error}");
        }
        Ok(())
    })
}

/// The tests of the SDK's logic once more, as wasm.
fn in_wasm(shell: &Shell) -> Result<(), Failure> {
    shell.step("tests in wasm", || Ok(web::test(&shell.place, &shell.interrupt)?))
}
