//! The SDK in wasm: the browser core compiled and put together by the bundler of `sdk-web/build`,
//! and the tests of its logic run in a wasm engine.

mod compiler;
mod squeeze;

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest, Sha256};

pub(crate) use compiler::wasi_library;
pub use compiler::{Compiler, debian_compiler};

use crate::interrupt::Interrupt;
use crate::need::{self, Need};
use crate::npm;
use crate::place::Place;
use crate::process;
use crate::trouble::{Trouble, made_of_trouble};

/// What wasm is compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// What browsers run.
    Browser,
    /// What runs by itself in Node.js, with words and an exit code: for tests.
    Wasi,
}

impl Target {
    /// As rustc calls it.
    pub fn triple(self) -> &'static str {
        match self {
            Self::Browser => "wasm32-unknown-unknown",
            Self::Wasi => "wasm32-wasip1",
        }
    }

    /// The variable that tells cargo something about this target.
    fn variable(self, what: &str) -> String {
        format!("CARGO_TARGET_{}_{what}", self.triple().to_uppercase().replace('-', "_"))
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.triple())
    }
}

/// The cargo profile of the browser core.
const PROFILE: &str = "web";
/// The name of the bundle's wasm file.
const CORE: &str = "clickmill_core_bg.wasm";

/// How much is done for the bundle's size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effort {
    /// What the compiler does.
    Everyday,
    /// `wasm-opt` and a minifier on top, for what is published.
    Release,
}

/// Why there is no bundle.
#[derive(Debug)]
pub enum Error {
    /// Neither rustup nor Debian brings a compiler for browsers.
    NoCompiler {
        /// What was to be compiled for.
        target: Target,
        /// Why the last way failed.
        last: String,
    },
    /// Neither rustup nor Debian brings the source of the standard library.
    NoSource {
        /// What was to be compiled for.
        target: Target,
        /// Why the last way failed.
        last: String,
    },
    /// Debian's compiler is older than the workspace asks for.
    OldCompiler {
        /// What was to be compiled for.
        target: Target,
        /// What it says it is.
        found: String,
    },
    /// The linker of the rustup toolchain is not where it should be.
    NoLinker {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// `wasm-opt` or the minifier could not be brought.
    NoSqueezer {
        /// The package of npm.
        package: &'static str,
        /// Why.
        source: npm::Error,
    },
    /// The bundler ran well and left no bundle.
    NoBundle {
        /// The file that should be there.
        path: PathBuf,
    },
    /// A tool, a child process or a file of ours.
    Trouble(Trouble),
}

made_of_trouble!(Error);

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoCompiler { target, last } => write!(
                f,
                "no Rust compiler for {target}: run `rustup target add {target}` where a network \
                 reaches Rust's own server, or install Debian's rustc-web, rust-web-src and \
                 cargo-web ({last})"
            ),
            Self::NoSource { target, last } => write!(
                f,
                "no source of the standard library, which the published core for {target} is built \
                 with: run `rustup component add rust-src` where a network reaches Rust's own server, \
                 or install Debian's rustc-web, rust-web-src and cargo-web ({last})"
            ),
            Self::OldCompiler { target, found } => write!(
                f,
                "Debian's compiler is {found}, older than the workspace's rust-version; run \
                 `rustup target add {target}` and `rustup component add rust-src` instead"
            ),
            Self::NoLinker { path } => {
                write!(f, "the Rust toolchain lacks its linker {}", path.display())
            }
            Self::NoSqueezer { package, source } => {
                write!(f, "what is published cannot be squeezed without {package}: {source}")
            }
            Self::NoBundle { path } => write!(f, "the bundler made no {}", path.display()),
            Self::Trouble(trouble) => trouble.fmt(f),
        }
    }
}

impl std::error::Error for Error {}

/// Builds the bundle into the target folder's `sdk` and gives that folder back. What has not
/// changed is not done again.
///
/// # Errors
/// When no compiler can be had, or a step fails.
pub fn build(place: &Place, effort: Effort, interrupt: &Interrupt) -> Result<PathBuf, Error> {
    let wasm = compile(place, effort, interrupt)?;
    let (out, stamp) = (place.sdk(), place.target().join("sdk.stamp"));
    let inputs = inputs(place, &wasm, effort)?;
    let is_there = out.join(CORE).is_file() && place.npm().join("index.js").is_file();
    if is_there && fs::read_to_string(&stamp).is_ok_and(|was| was == inputs) {
        return Ok(out);
    }
    // A half-made bundle must not look finished, and an old source map not like one of these files.
    let _ = fs::remove_file(&stamp);
    for map in with_ending(&out, "map")? {
        fs::remove_file(&map).map_err(Error::file(&map))?;
    }
    // The core comes first: the glue is given its sum.
    let core = match effort {
        Effort::Everyday => wasm,
        Effort::Release => squeeze::wasm(place, &wasm, interrupt)?,
    };
    bundle(place, &core, &out, interrupt)?;
    if !out.join(CORE).is_file() {
        return Err(Error::NoBundle { path: out.join(CORE) });
    }
    if effort == Effort::Release {
        for script in with_ending(&out, "js")? {
            squeeze::script(place, &script, interrupt)?;
        }
    }
    package(place, &out, interrupt)?;
    fs::write(&stamp, inputs).map_err(Error::file(&stamp))?;
    Ok(out)
}

/// Runs the tests of the SDK's logic as wasm, in Node.js: the same tests that run natively.
///
/// # Errors
/// When no compiler can be had, or a test fails.
pub fn test(place: &Place, interrupt: &Interrupt) -> Result<(), Error> {
    need::ensure(&[Need::Node], interrupt)?;
    let compiler = Compiler::find(Target::Wasi, Effort::Everyday, interrupt)?;
    let runner = place.root().join("xtask/wasi.mjs");
    let mut command = compiler.cargo("test");
    command
        .current_dir(place.root())
        .args(["--package", "clickmill-sdk-core", "--features", "serde", "--test", "*"])
        .arg("--target-dir")
        .arg(place.target().join("web"))
        .env(Target::Wasi.variable("RUNNER"), format!("node --no-warnings {}", runner.display()));
    Ok(process::run("the tests in wasm", &mut command, interrupt)?)
}

/// Compiles the browser core.
fn compile(place: &Place, effort: Effort, interrupt: &Interrupt) -> Result<PathBuf, Error> {
    let compiler = Compiler::find(Target::Browser, effort, interrupt)?;
    // Each in a folder of its own: they differ in flags, and cargo would begin anew with every turn.
    let target = place.target().join(match effort {
        Effort::Everyday => "web",
        Effort::Release => "web-small",
    });
    let mut command = compiler.cargo("build");
    command
        .current_dir(place.root())
        .args(["--package", "clickmill-sdk-web", "--profile", PROFILE, "--target-dir"])
        .arg(&target);
    process::run("the build of the browser core", &mut command, interrupt)?;
    Ok(target.join(Target::Browser.triple()).join(PROFILE).join("clickmill_sdk_web.wasm"))
}

/// Lets the bundler make the files that pages load.
fn bundle(place: &Place, wasm: &Path, out: &Path, interrupt: &Interrupt) -> Result<(), Error> {
    let mut command = cargo(place);
    command
        .args(["run", "--package", "clickmill-web-build", "--", "bundle", "--wasm"])
        .arg(wasm)
        .arg("--out")
        .arg(out);
    Ok(process::run("the bundler", &mut command, interrupt)?)
}

/// Lets it make the package for npm out of them.
fn package(place: &Place, sdk: &Path, interrupt: &Interrupt) -> Result<(), Error> {
    let mut command = cargo(place);
    command
        .args(["run", "--package", "clickmill-web-build", "--", "npm", "--dir"])
        .arg(sdk)
        .arg("--out")
        .arg(place.npm());
    Ok(process::run("the packager", &mut command, interrupt)?)
}

/// The files below a folder whose names end like that.
fn with_ending(folder: &Path, ending: &str) -> Result<Vec<PathBuf>, Error> {
    let mut files = Vec::new();
    collect(folder, &mut files)?;
    files.retain(|file| file.extension().is_some_and(|found| found == ending));
    Ok(files)
}

/// Everything the bundle is made of, as one sum.
fn inputs(place: &Place, wasm: &Path, effort: Effort) -> Result<String, Error> {
    let mut files = vec![wasm.to_owned()];
    for folder in ["sdk-web/stub", "sdk-web/npm", "sdk-web/build"] {
        collect(&place.root().join(folder), &mut files)?;
    }
    let mut hash = Sha256::new();
    hash.update(format!("{effort:?}"));
    for file in files {
        let bytes = fs::read(&file).map_err(Error::file(&file))?;
        hash.update(Sha256::digest(&bytes));
    }
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// All files below a folder, in a steady order; none where there is no such folder.
fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), Error> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(()) };
    let mut paths = Vec::new();
    for entry in entries {
        paths.push(entry.map_err(Error::file(folder))?.path());
    }
    paths.sort();
    for path in paths {
        if path.is_dir() {
            collect(&path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}

/// The cargo that runs us, without what it told us about our own package: a build script that reads
/// such a variable would run again.
pub fn cargo(place: &Place) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    forget_our_package(&mut command);
    command.current_dir(place.root());
    command
}

fn forget_our_package(command: &mut Command) {
    for (key, _) in std::env::vars_os() {
        let name = key.to_string_lossy();
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&key);
        }
    }
}
