//! `cargo xtask replay`: a recorded clickstream through the whole route.

use std::path::Path;

use clickmill_xtask::kafka::Jvm;
use clickmill_xtask::process;

use super::{Build, Failure, Shell, TEST_KAFKA};
use crate::words::Words;

const TESTS: &str = "clickmill-tests";
const REPLAY: &str = "clickmill-replay";

pub(crate) fn run(shell: &Shell, words: Words) -> Result<(), Failure> {
    let mut words = words.rest();
    if let Some(file) = words.iter_mut().find(|word| Path::new(word).is_file()) {
        // The program runs in the workspace's folder.
        let absolute = std::path::absolute(&file)
            .map_err(|error| Failure::Told(format!("{file}: {error}")))?;
        *file = absolute.display().to_string();
    }
    shell.needs(&[])?;
    shell.step("programs", || shell.build_route(Build::Release, &[(TESTS, REPLAY)]))?;
    let mut command = shell.cargo(Build::Release, "run");
    command.args(["--package", TESTS, "--bin", REPLAY, "--"]).args(words);
    shell.jars()?;
    let (broker, _scratch) = shell.step("Kafka", || shell.fresh_broker(Jvm::Full))?;
    command.env(TEST_KAFKA, broker.bootstrap());
    Ok(process::run(REPLAY, &mut command, &shell.interrupt)?)
}
