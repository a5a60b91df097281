//! `cargo xtask test`: all tests, against one real Kafka and the programs as they are built.

use std::process::{Command, Stdio};

use clickmill_xtask::browsers;
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

/// The tests that need a real schema registry, by the name of their module.
const REGISTRY_TESTS: &str = "real_registry::";

/// The tests that need to mount a disk of a few megabytes for themselves, which not every machine
/// lets one do; likewise.
const SMALL_DISK_TESTS: &str = "small_disk::";

/// The tests in the engines that `--all` adds, by how their names end.
const FIREFOX_TESTS: &str = "::firefox";
const WEBKIT_TESTS: &str = "::webkit";

/// What tests drive of npm, by what it is and where they find its folder.
const PROJECTS: [(&npm::Project, &str); 2] =
    [(&npm::SEGMENT, "CLICKMILL_SEGMENT"), (&npm::TYPES, "CLICKMILL_TYPES")];

pub(crate) fn run(shell: &Shell, mut words: Words) -> Result<(), Failure> {
    if words.flag("--wasm") {
        words.end()?;
        return in_wasm(shell);
    }
    let all = words.flag("--all");
    let names = words.rest();
    bring(shell)?;
    let absent = if all { bring_engines(shell)? } else { Vec::new() };
    shell.step("programs", || shell.build_route(Build::Dev, &[]))?;
    shell.step("SDK", || Ok(web::build(&shell.place, Effort::Everyday, &shell.interrupt)?))?;
    let axe = shell.step("accessibility checker", || {
        let file = npm::file(&shell.place, AXE.0, "axe.min.js", &shell.interrupt);
        file.map_err(|error| Failure::Told(error.to_string()))
    })?;
    let projects = shell.step("packages of npm", || {
        let folder = |(project, name)| {
            let folder = npm::folder(&shell.place, project, &shell.interrupt);
            folder.map(|folder| (name, folder)).map_err(|error| Failure::Told(error.to_string()))
        };
        PROJECTS.into_iter().map(folder).collect::<Result<Vec<_>, _>>()
    })?;
    let (broker, _scratch) = shell.step("Kafka", || shell.fresh_broker(Jvm::Quick))?;

    let mut command = shell.cargo(Build::Dev, "test");
    command.args(["--workspace", "--no-fail-fast"]);
    command.env(TEST_KAFKA, broker.bootstrap()).env(AXE.1, axe).envs(projects);
    // Behind it there may be several names.
    command.arg("--").args(names.iter().filter(|name| *name != "--"));
    if all {
        command.arg("--include-ignored");
        for tests in [REGISTRY_TESTS, SMALL_DISK_TESTS].iter().chain(&absent) {
            command.args(["--skip", tests]);
        }
    }
    // All are run, so that one failure does not hide another.
    let native =
        shell.step("tests", || Ok(process::run("cargo test", &mut command, &shell.interrupt)?));
    let asked = |about: &str| names.is_empty() || names.iter().any(|name| name.contains(about));
    let registry = || Installed::ready(&shell.place, &shell.interrupt).map_err(|e| e.to_string());
    let registry = if asked("registry") {
        where_possible(shell, &broker, REGISTRY_TESTS, registry().map(drop))
    } else {
        Ok(())
    };
    let small_disk = if all && (asked("disk") || asked("spooling")) {
        where_possible(shell, &broker, SMALL_DISK_TESTS, may_mount())
    } else {
        Ok(())
    };
    drop(broker);
    let wasm = if names.is_empty() { in_wasm(shell) } else { Ok(()) };
    native.and(registry).and(small_disk).and(wasm)
}

/// Tests that need what not every machine has: ignored in the run of all, run here where the machine
/// has it, and otherwise named as not run.
fn where_possible(
    shell: &Shell,
    broker: &Broker,
    tests: &str,
    possible: Result<(), String>,
) -> Result<(), Failure> {
    if let Err(why) = possible {
        not_run(tests, &why);
        return Ok(());
    }
    let mut command = shell.cargo(Build::Dev, "test");
    command.args(["--package", "clickmill-tests", "--lib", "--test", "stories", tests]);
    command.args(["--", "--ignored"]).env(TEST_KAFKA, broker.bootstrap());
    shell.step(&format!("tests in {tests}"), || {
        Ok(process::run("cargo test", &mut command, &shell.interrupt)?)
    })
}

fn not_run(tests: &str, why: &str) {
    eprintln!("not run, so not passed: the tests in {tests}; {why}");
}

/// Whether a program may mount a disk that it alone sees.
fn may_mount() -> Result<(), String> {
    const TRIAL: &str = "mount -t tmpfs -o size=65536 none /tmp";
    let mut command = Command::new("unshare");
    command.args(["--map-root-user", "--mount", "sh", "-c", TRIAL]).stdin(Stdio::null());
    let tried = command.output().map_err(|error| format!("unshare: {error}"))?;
    if tried.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&tried.stderr);
    Err(format!("nobody may mount a small disk here: {}", said.trim()))
}

/// `cargo xtask needs`: what the tests need, without the tests.
pub(crate) fn needs(shell: &Shell, mut words: Words) -> Result<(), Failure> {
    let all = words.flag("--all");
    words.end()?;
    bring(shell)?;
    if all {
        bring_engines(shell)?;
    }
    Ok(())
}

/// Firefox and WebKit, which not every machine can have; tells which tests are not run without them.
fn bring_engines(shell: &Shell) -> Result<Vec<&'static str>, Failure> {
    let mut absent = Vec::new();
    shell.step("Firefox and WebKit", || {
        let firefox = browsers::bring_firefox(&shell.place, &shell.interrupt);
        let webkit = browsers::bring_webkit(&shell.interrupt);
        for (tests, brought) in [(FIREFOX_TESTS, firefox), (WEBKIT_TESTS, webkit)] {
            if let Err(why) = brought {
                not_run(tests, &why);
                absent.push(tests);
            }
        }
        Ok(())
    })?;
    Ok(absent)
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
