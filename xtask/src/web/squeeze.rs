//! `wasm-opt`, for what is published. It comes from npm, since Debian's is too old to read what
//! today's compiler writes.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::Error;
use crate::interrupt::Interrupt;
use crate::npm;
use crate::place::Place;
use crate::process;

/// The package and its exact version.
const PACKAGE: &str = "binaryen@132.0.0";

/// What the compiler itself writes, and no more: given `--all-features`, wasm-opt uses proposals
/// that today's browsers refuse to load.
const OPTIONS: [&str; 8] = [
    "-Oz",
    "--enable-bulk-memory",
    "--enable-bulk-memory-opt",
    "--enable-sign-ext",
    "--enable-mutable-globals",
    "--enable-nontrapping-float-to-int",
    "--enable-reference-types",
    "--enable-multivalue",
];

/// Squeezes a wasm file in place.
pub(super) fn squeeze(place: &Place, wasm: &Path, interrupt: &Interrupt) -> Result<(), Error> {
    let program = npm::file(place, PACKAGE, "bin/wasm-opt", interrupt)
        .map_err(|source| Error::NoSqueezer { source })?;
    let squeezed = wasm.with_extension("squeezed");
    let mut command = Command::new("node");
    command.arg(program).args(OPTIONS).arg(wasm).arg("-o").arg(&squeezed);
    process::run("wasm-opt", &mut command, interrupt)?;
    fs::rename(&squeezed, wasm).map_err(Error::file(wasm))
}
