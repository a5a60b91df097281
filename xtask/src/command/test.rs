//! `cargo xtask test`: all tests, against one real Kafka and the programs as they are built.

use clickmill_xtask::kafka::Jvm;
use clickmill_xtask::need::Need;
use clickmill_xtask::npm;
use clickmill_xtask::process;
use clickmill_xtask::web::{self, Effort};

use super::{Build, Failure, Shell, TEST_KAFKA};
use crate::words::Words;

/// The accessibility checker, and where the tests find it.
const AXE: (&str, &str) = ("axe-core@4.10.3", "CLICKMILL_AXE");

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
    let (broker, _scratch) = shell.step("Kafka", || shell.fresh_broker(Jvm::Quick))?;

    let mut command = shell.cargo(Build::Dev, "test");
    // The browser shell is no program for this machine.
    command.args(["--workspace", "--exclude", "clickmill-sdk-web", "--no-fail-fast"]);
    command.args(&names).env(TEST_KAFKA, broker.bootstrap()).env(AXE.1, axe);
    if all {
        command.args(["--", "--include-ignored"]);
    }
    // Both are run, so that one failure does not hide another.
    let native =
        shell.step("tests", || Ok(process::run("cargo test", &mut command, &shell.interrupt)?));
    drop(broker);
    let wasm = if names.is_empty() { in_wasm(shell) } else { Ok(()) };
    native.and(wasm)
}

/// `cargo xtask needs`: what the tests need, without the tests.
pub(crate) fn needs(shell: &Shell, words: Words) -> Result<(), Failure> {
    words.end()?;
    bring(shell)
}

fn bring(shell: &Shell) -> Result<(), Failure> {
    shell.step("needs", || shell.needs(&[Need::Browser]))?;
    shell.step("Kafka's jars", || shell.jars())
}

/// The tests of the SDK's logic once more, as wasm.
fn in_wasm(shell: &Shell) -> Result<(), Failure> {
    shell.step("tests in wasm", || Ok(web::test(&shell.place, &shell.interrupt)?))
}
