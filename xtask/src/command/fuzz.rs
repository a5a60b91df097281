//! `cargo xtask fuzz`: the fuzz targets for as long as one likes; what they find stays in the corpus.

use clickmill_xtask::process;

use super::{Build, Failure, Shell};
use crate::words::Words;

/// How long each target runs where nothing is said.
const SECONDS: u64 = 60;

pub(crate) fn run(shell: &Shell, mut words: Words) -> Result<(), Failure> {
    let seconds: u64 = words.option("--seconds")?.unwrap_or(SECONDS);
    let names = words.rest();
    let mut command = shell.cargo(Build::Dev, "test");
    command.args(["--package", "clickmill-tests", "--test", "fuzz", "--"]).args(&names);
    command.args(["--nocapture"]);
    command.env("CLICKMILL_FUZZ_SECONDS", seconds.to_string()).env("CLICKMILL_FUZZ_KEEP", "true");
    shell.step("fuzzing", || Ok(process::run("cargo test", &mut command, &shell.interrupt)?))
}
