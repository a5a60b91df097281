//! What is shipped: the programs of a release build without symbols, and how large each is.

use std::fs;
use std::process::Command;

use clickmill_xtask::process;

use super::{Build, Failure, ROUTE, Shell};

/// The largest that a program may be, in bytes: it is copied to many machines.
const BYTES_MAX: &[(&str, u64)] = &[("clickmill-collector", 15_000_000)];

/// Puts the route's programs into `target/shipped` without what only a profiler reads, and tells
/// their sizes, and which is too large.
pub(super) fn ship(shell: &Shell) -> Result<(), Failure> {
    let folder = shell.place.target().join("shipped");
    let unwritten = |error| Failure::Told(format!("{}: {error}", folder.display()));
    fs::create_dir_all(&folder).map_err(unwritten)?;
    for program in ROUTE {
        let shipped = folder.join(program);
        let mut strip = Command::new("strip");
        strip.arg("-o").arg(&shipped).arg(shell.place.program(Build::Release.folder(), program));
        process::run("strip", &mut strip, &shell.interrupt)?;
        let bytes = fs::metadata(&shipped).map_err(unwritten)?.len();
        let told = if is_too_large(program, bytes) { ", above its bound" } else { "" };
        eprintln!("{program:<34}{:>7.1} MB{told}", bytes as f64 / 1e6);
    }
    Ok(())
}

fn is_too_large(program: &str, bytes: u64) -> bool {
    BYTES_MAX.iter().any(|(name, max)| *name == program && bytes > *max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_collector_past_its_bound_is_too_large() {
        assert!(!is_too_large("clickmill-collector", 15_000_000));
        assert!(is_too_large("clickmill-collector", 15_000_001));
        assert!(!is_too_large("clickmill-relay", 15_000_001));
    }
}
