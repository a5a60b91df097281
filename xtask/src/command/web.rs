//! `cargo xtask web`: the SDK's bundle, its package, and the reference of that.

use std::fs;
use std::process::Command;

use clickmill_xtask::web::{self, Effort};
use clickmill_xtask::{npm, process};

use super::{Failure, Shell};
use crate::words::Words;

pub(crate) fn run(shell: &Shell, mut words: Words) -> Result<(), Failure> {
    let effort = if words.flag("--release") { Effort::Release } else { Effort::Everyday };
    let with_reference = words.flag("--reference");
    words.end()?;
    let out = shell.step("SDK", || Ok(web::build(&shell.place, effort, &shell.interrupt)?))?;
    let read = |error| Failure::Told(format!("{}: {error}", out.display()));
    let mut files = Vec::new();
    for entry in fs::read_dir(&out).map_err(read)? {
        let entry = entry.map_err(read)?;
        let bytes = entry.metadata().map_err(read)?.len();
        files.push((entry.path(), bytes));
    }
    files.sort();
    for (path, bytes) in files {
        println!("{bytes:>9} bytes  {}", path.display());
    }
    if with_reference { shell.step("reference", || reference(shell)) } else { Ok(()) }
}

/// Writes the pages that tell of the package's functions and types, out of its types.
fn reference(shell: &Shell) -> Result<(), Failure> {
    let tools = npm::folder(&shell.place, &npm::TYPES, &shell.interrupt)?;
    let out = shell.place.target().join("reference");
    let mut typedoc = Command::new("node");
    typedoc.arg(tools.join("node_modules/typedoc/bin/typedoc")).arg("--options");
    typedoc.arg(shell.place.target().join("npm/typedoc.json")).arg("--out").arg(&out);
    process::run("TypeDoc", &mut typedoc, &shell.interrupt)?;
    println!("{}", out.join("index.html").display());
    Ok(())
}
