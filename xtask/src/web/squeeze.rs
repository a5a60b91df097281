//! `wasm-opt` and a minifier of scripts, for what is published. Both come from npm: Debian's
//! wasm-opt is too old to read what today's compiler writes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::Error;
use crate::interrupt::Interrupt;
use crate::npm;
use crate::place::Place;
use crate::process;

/// The packages and their exact versions; neither needs another one.
const BINARYEN: &str = "binaryen@132.0.0";
const UGLIFY: &str = "uglify-js@3.19.3";

/// Twice with the code taken apart and put together anew, which finds what the compiler's own shape
/// hides, and with functions made for the arguments that they are called with. The lowest addresses
/// are the far end of a stack that never grows that deep, so no address is a small number; and
/// nothing reads where there is no memory. Proposals are what the compiler itself writes, and no more:
/// given `--all-features`, wasm-opt uses some that today's browsers refuse to load.
const OPTIONS: [&str; 23] = [
    "--low-memory-unused",
    "--ignore-implicit-traps",
    "-Oz",
    "--flatten",
    "--rereloop",
    "-Oz",
    "--flatten",
    "--rereloop",
    "-Oz",
    "--converge",
    "--monomorphize",
    "-Oz",
    "--reorder-functions",
    "--strip-debug",
    "--strip-producers",
    "--strip-target-features",
    "--enable-bulk-memory",
    "--enable-bulk-memory-opt",
    "--enable-sign-ext",
    "--enable-mutable-globals",
    "--enable-nontrapping-float-to-int",
    "--enable-reference-types",
    "--enable-multivalue",
];

/// What the glue takes from the core. The linker offers two addresses besides, for tools of others.
const EXPORTS: &str = r#"[
    {"name": "glue", "root": true, "reaches": ["memory", "new", "room", "said", "step"]},
    {"name": "memory", "export": "memory"},
    {"name": "new", "export": "new"},
    {"name": "room", "export": "room"},
    {"name": "said", "export": "said"},
    {"name": "step", "export": "step"}
]"#;

/// Squeezes a copy of a wasm file, and gives its path back.
pub(super) fn wasm(place: &Place, made: &Path, interrupt: &Interrupt) -> Result<PathBuf, Error> {
    let file = &made.with_extension("small.wasm");
    fs::copy(made, file).map_err(Error::file(file))?;
    let exports = file.with_extension("exports");
    fs::write(&exports, EXPORTS).map_err(Error::file(&exports))?;
    let graph = ["-f", &exports.display().to_string()];
    let proposals = OPTIONS.iter().filter(|option| option.starts_with("--enable-"));
    let options: Vec<&str> = graph.into_iter().chain(proposals.copied()).collect();
    in_place(place, (BINARYEN, "bin/wasm-metadce"), file, &options, interrupt)?;
    fs::remove_file(&exports).map_err(Error::file(&exports))?;
    in_place(place, (BINARYEN, "bin/wasm-opt"), file, &OPTIONS, interrupt)?;
    Ok(file.clone())
}

/// Squeezes a script in place: names that nobody outside sees become short. What they were is in a
/// source map beside it.
pub(super) fn script(place: &Place, file: &Path, interrupt: &Interrupt) -> Result<(), Error> {
    let folder = file.parent().unwrap_or(file).display();
    let map = format!("includeSources,base='{folder}'");
    let options = ["--module", "--compress", "passes=3", "--mangle", "--source-map", &map];
    in_place(place, (UGLIFY, "bin/uglifyjs"), file, &options, interrupt)?;
    let (written, map) = (file.with_extension("squeezed.map"), file.with_extension("js.map"));
    fs::rename(&written, &map).map_err(Error::file(&written))
}

fn in_place(
    place: &Place,
    (package, program): (&'static str, &str),
    file: &Path,
    options: &[&str],
    interrupt: &Interrupt,
) -> Result<(), Error> {
    let program = npm::file(place, package, program, interrupt)
        .map_err(|source| Error::NoSqueezer { package, source })?;
    let squeezed = file.with_extension("squeezed");
    let mut command = Command::new("node");
    command.arg(program).arg(file).args(options).arg("-o").arg(&squeezed);
    // What it left out.
    command.stdout(Stdio::null());
    process::run(package, &mut command, interrupt)?;
    fs::rename(&squeezed, file).map_err(Error::file(file))
}
