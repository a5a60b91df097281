//! A Rust compiler for wasm: rustup's where it has the target, Debian's where it does not. What is
//! published is built with a standard library made small from its source, whoever brings that.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::{Effort, Error, Target, forget_our_package};
use crate::interrupt::Interrupt;
use crate::need::{self, Need};
use crate::place::on_path;
use crate::process;

/// How long rustup may try to fetch the target; where no network reaches its server it fails at
/// once or hangs.
const RUSTUP_PATIENCE: Duration = Duration::from_secs(120);
/// Where Debian's cargo and compiler lie, whatever else comes first on `PATH`.
const DEBIAN_CARGO: &str = "/usr/bin/cargo";
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
/// The standard library's source, from Debian's package of it.
const DEBIAN_SOURCE: &str = "/usr/lib/rustlib/src/rust/library/std/src/lib.rs";

/// The part of rustup's toolchain that is the standard library's source, and where it lies.
const RUSTUP_SOURCE: (&str, &str) = ("rust-src", "lib/rustlib/src/rust/library/std/src/lib.rs");

/// What makes the core a third smaller: no machinery that words a panic, and no places it would name.
/// It takes a standard library that is built from its source.
const SMALL: &str = "-Zunstable-options -Cpanic=immediate-abort -Zlocation-detail=none";
const SMALL_LIBRARY: &str = "-Zbuild-std=std,panic_abort";

/// Flags of the environment that would go over those of a target.
const FLAGS_OVER_ALL: [&str; 2] = ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS"];

/// The C library of WASI programs, from Debian's package of it.
const WASI_LIBRARY: &str = "/usr/lib/wasm32-wasi";

/// A cargo that compiles for a wasm target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compiler {
    target: Target,
    whose: Whose,
}

/// Who brought the compiler.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Whose {
    /// The toolchain that built us has the target.
    Rustup,
    /// The toolchain that built us has the source of the target's standard library.
    Source,
    /// Debian's compiler builds the standard library from its source, and links with this linker
    /// that rustup's toolchain carries.
    Debian(PathBuf),
}

impl Compiler {
    /// Finds one, or brings one.
    ///
    /// # Errors
    /// When neither rustup nor Debian has one.
    pub fn find(target: Target, effort: Effort, interrupt: &Interrupt) -> Result<Self, Error> {
        if effort == Effort::Release {
            return Self::small(target, interrupt);
        }
        if rustup_has(target) {
            return Ok(Self { target, whose: Whose::Rustup });
        }
        let debian: &[Need] = match target {
            Target::Browser => &[Need::WasmCompiler],
            Target::Wasi => &[Need::WasmCompiler, Need::WasiLibrary],
        };
        if debian.iter().all(|need| need.met()) {
            return Self::debian(target);
        }
        eprintln!("missing: Rust's {target} target; asking rustup for it");
        if add(["target", "add", target.triple()], interrupt)? && rustup_has(target) {
            return Ok(Self { target, whose: Whose::Rustup });
        }
        eprintln!("rustup has no way to it; taking Debian's compiler");
        match need::ensure(debian, interrupt) {
            Ok(()) => Self::debian(target),
            Err(need::Error::Interrupted) => Err(process::Error::Interrupted.into()),
            Err(error) => Err(Error::NoCompiler { target, last: error.to_string() }),
        }
    }

    /// One that builds the standard library, too.
    fn small(target: Target, interrupt: &Interrupt) -> Result<Self, Error> {
        let (component, file) = RUSTUP_SOURCE;
        let has_source = || sysroot().is_some_and(|root| root.join(file).is_file());
        let source = Ok(Self { target, whose: Whose::Source });
        if has_source() {
            return source;
        }
        if Need::WasmCompiler.met()
            && let Ok(debian) = Self::debian(target)
        {
            return Ok(debian);
        }
        eprintln!("missing: the standard library's source; asking rustup for it");
        if add(["component", "add", component], interrupt)? && has_source() {
            return source;
        }
        eprintln!("rustup has no way to it; taking Debian's compiler");
        match need::ensure(&[Need::WasmCompiler], interrupt) {
            Ok(()) => Self::debian(target),
            Err(need::Error::Interrupted) => Err(process::Error::Interrupted.into()),
            Err(error) => Err(Error::NoSource { target, last: error.to_string() }),
        }
    }

    fn debian(target: Target) -> Result<Self, Error> {
        let found = said(Command::new(DEBIAN_RUSTC).arg("--version")).unwrap_or_default();
        if minor_version(&found) < minor_version(concat!("rustc ", env!("CARGO_PKG_RUST_VERSION")))
        {
            return Err(Error::OldCompiler { target, found: found.trim().to_owned() });
        }
        Ok(Self { target, whose: Whose::Debian(linker()?) })
    }

    /// The beginning of a cargo command for its target.
    pub fn cargo(&self, verb: &str) -> Command {
        let mut command = match &self.whose {
            Whose::Rustup => our_cargo(verb),
            Whose::Source => {
                let mut command = our_cargo(verb);
                // Building the standard library is a nightly feature of cargo, and ours is no nightly.
                command
                    .arg(SMALL_LIBRARY)
                    .env("RUSTC_BOOTSTRAP", "1")
                    .env(self.target.variable("RUSTFLAGS"), SMALL);
                remove(&mut command, &FLAGS_OVER_ALL);
                command
            }
            Whose::Debian(linker) => debian_cargo(verb, self.target, linker),
        };
        forget_our_package(&mut command);
        command.args(["--target", self.target.triple()]);
        command
    }
}

fn remove(command: &mut Command, variables: &[&str]) {
    for variable in variables {
        command.env_remove(variable);
    }
}

fn our_cargo(verb: &str) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or("cargo".into()));
    command.arg(verb);
    command
}

fn debian_cargo(verb: &str, target: Target, linker: &Path) -> Command {
    let mut command = Command::new(DEBIAN_CARGO);
    command.arg(verb).arg(match target {
        Target::Browser => SMALL_LIBRARY,
        Target::Wasi => "-Zbuild-std=std,panic_abort,test",
    });
    // What rustup's cargo told us leads to rustup's libraries.
    remove(&mut command, &["LD_LIBRARY_PATH", "RUSTUP_TOOLCHAIN", "RUSTC", "RUSTDOC", "CARGO"]);
    remove(&mut command, &FLAGS_OVER_ALL);
    let flags = match target {
        Target::Browser => SMALL.to_owned(),
        // Debian's C library is older than what the standard library would like: the thread
        // functions that it lacks are never called where there are no threads.
        Target::Wasi => format!(
            "-Clink-self-contained=no -Clink-arg={WASI_LIBRARY}/crt1-command.o \
             -Clink-arg=-L{WASI_LIBRARY} -Clink-arg=-lc -Clink-arg=--unresolved-symbols=ignore-all"
        ),
    };
    command
        .env("PATH", first_on_path("/usr/bin"))
        .env("RUSTC_BOOTSTRAP", "1")
        .env(target.variable("LINKER"), linker)
        .env(target.variable("RUSTFLAGS"), flags);
    command
}

/// Whether Debian's C library of WASI programs is installed.
pub(crate) fn wasi_library() -> bool {
    Path::new(WASI_LIBRARY).join("crt1-command.o").is_file()
}

/// Debian's cargo for wasm, where compiler, cargo and library source are installed.
pub fn debian_compiler() -> Option<PathBuf> {
    let all =
        [DEBIAN_CARGO, DEBIAN_RUSTC, DEBIAN_SOURCE].iter().all(|file| Path::new(file).exists());
    all.then(|| DEBIAN_CARGO.into())
}

fn rustup_has(target: Target) -> bool {
    let triple = target.triple();
    // Without rustup, the compiler's own folder tells.
    let installed = said(Command::new("rustup").args(["target", "list", "--installed"]));
    match installed {
        Some(targets) => targets.lines().any(|target| target.trim() == triple),
        None => sysroot().is_some_and(|root| root.join("lib/rustlib").join(triple).is_dir()),
    }
}

/// Asks rustup for something; whether it says that it went well.
fn add(asked: [&str; 3], interrupt: &Interrupt) -> Result<bool, Error> {
    if on_path("rustup").is_none() {
        return Ok(false);
    }
    let mut child = Command::new("rustup")
        .args(asked)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(Error::file("rustup"))?;
    let deadline = Instant::now() + RUSTUP_PATIENCE;
    loop {
        if let Some(status) = child.try_wait().map_err(Error::file("rustup"))? {
            return Ok(status.success());
        }
        let interrupted = interrupt.wait(Duration::from_millis(50));
        if interrupted || Instant::now() > deadline {
            // Both fail only when it has ended after all.
            let _ = child.kill();
            let _ = child.wait();
            let stopped = process::Error::Interrupted.into();
            return if interrupted { Err(stopped) } else { Ok(false) };
        }
    }
}

/// The linker that every rustup toolchain carries for its host.
fn linker() -> Result<PathBuf, Error> {
    let host = said(Command::new("rustc").arg("-vV"))
        .and_then(|text| {
            text.lines().find_map(|line| line.strip_prefix("host: ")).map(str::to_owned)
        })
        .unwrap_or_default();
    let path = sysroot().unwrap_or_default().join("lib/rustlib").join(host).join("bin/rust-lld");
    if path.is_file() { Ok(path) } else { Err(Error::NoLinker { path }) }
}

fn sysroot() -> Option<PathBuf> {
    said(Command::new("rustc").args(["--print", "sysroot"])).map(|root| root.trim().into())
}

/// What a command prints, when it goes well.
fn said(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// `rustc 1.96.0 (…)` → 96.
fn minor_version(version: &str) -> u32 {
    let number = version.split(' ').nth(1).unwrap_or_default();
    number.split('.').nth(1).and_then(|minor| minor.parse().ok()).unwrap_or(0)
}

fn first_on_path(folder: &str) -> OsString {
    let old = env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(PathBuf::from(folder)).chain(env::split_paths(&old));
    // Parts of a PATH can be joined again.
    env::join_paths(folders).unwrap_or(old)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_by_their_minor_number() {
        for (version, minor) in
            [("rustc 1.96.0 (ac68faa20 2026-05-25)", 96), ("rustc 1.95", 95), ("", 0)]
        {
            assert_eq!(minor_version(version), minor, "{version}");
        }
    }

    #[test]
    fn debians_cargo_hears_nothing_of_rustups() {
        let command = debian_cargo("build", Target::Browser, Path::new("/linker"));
        let set: Vec<_> = command.get_envs().collect();
        let value = |key: &str| set.iter().find(|(k, _)| *k == key).map(|(_, value)| *value);
        assert_eq!(value("RUSTUP_TOOLCHAIN"), Some(None));
        assert_eq!(value("LD_LIBRARY_PATH"), Some(None));
        assert_eq!(
            value("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER"),
            Some(Some("/linker".as_ref()))
        );
        let path = value("PATH").flatten().unwrap().to_string_lossy().into_owned();
        assert!(path.starts_with("/usr/bin:"), "{path}");
    }
}
