//! `wasm-opt`, for what is published. It comes from npm, since Debian's is too old to read what
//! today's compiler writes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::Error;
use crate::interrupt::Interrupt;
use crate::need::{self, Need};
use crate::place::Place;
use crate::process;

/// The package and its exact version.
const PACKAGE: &str = "binaryen@132.0.0";

/// Squeezes a wasm file in place.
pub(super) fn squeeze(place: &Place, wasm: &Path, interrupt: &Interrupt) -> Result<(), Error> {
    let program = program(place, interrupt)?;
    let squeezed = wasm.with_extension("squeezed");
    let mut command = Command::new("node");
    command.arg(program).args(["-Oz", "--all-features"]).arg(wasm).arg("-o").arg(&squeezed);
    process::run("wasm-opt", &mut command, interrupt)?;
    fs::rename(&squeezed, wasm).map_err(Error::file(wasm))
}

/// Where `wasm-opt` lies; fetched first where it is not here.
fn program(place: &Place, interrupt: &Interrupt) -> Result<PathBuf, Error> {
    need::ensure(&[Need::Node], interrupt)?;
    let home = place.cache().join(PACKAGE.replace('@', "-"));
    let program = home.join("node_modules/binaryen/bin/wasm-opt");
    if program.is_file() {
        return Ok(program);
    }
    fs::create_dir_all(&home).map_err(Error::file(&home))?;
    eprintln!("fetching wasm-opt ({PACKAGE})");
    let mut command = Command::new("npm");
    command
        .args(["install", "--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts"])
        .arg("--prefix")
        .arg(&home)
        .arg(PACKAGE)
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    let fetched = process::run("npm", &mut command, interrupt);
    fetched.map_err(|source| Error::NoSqueezer { source })?;
    Ok(program)
}
