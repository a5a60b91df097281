//! A Java that is new enough, wherever it lies.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::Error;
use crate::place::on_path;

/// The oldest Java that runs Kafka 4.
pub const JAVA_VERSION_MIN: u32 = 17;
/// Where Linux distributions put their Javas.
const JVMS: &str = "/usr/lib/jvm";

/// The first Java that runs Kafka: of `JAVA_HOME`, of `PATH`, of the machine's folder of Javas.
///
/// # Errors
/// When there is none.
pub fn java() -> Result<PathBuf, Error> {
    java_from(JAVA_VERSION_MIN).ok_or_else(|| Error::Missing {
        what: format!("Java {JAVA_VERSION_MIN} or newer (JAVA_HOME, PATH and {JVMS} have none)"),
        command: on_path("apt-get").map(|_| "apt-get install default-jre-headless".to_owned()),
    })
}

/// The first Java that is at least this new, looked for in the same places.
pub fn java_from(version_min: u32) -> Option<PathBuf> {
    candidates().find(|java| version(java).is_some_and(|version| version >= version_min))
}

fn candidates() -> impl Iterator<Item = PathBuf> {
    let home = env::var_os("JAVA_HOME").map(|home| Path::new(&home).join("bin/java"));
    let mut installed: Vec<PathBuf> = fs::read_dir(JVMS)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path().join("bin/java"))
        .collect();
    installed.sort();
    home.into_iter().chain(on_path("java")).chain(installed).filter(|java| java.is_file())
}

/// The major version that this Java says it is.
fn version(java: &Path) -> Option<u32> {
    let output = Command::new(java).arg("-version").output().ok()?;
    parse_version(&String::from_utf8_lossy(&output.stderr))
}

/// `openjdk version "17.0.15" 2025-04-15` → 17; `java version "1.8.0_402"` → 8.
fn parse_version(text: &str) -> Option<u32> {
    let quoted = text.split('"').nth(1)?;
    let mut parts = quoted.split(['.', '_', '-', '+']);
    match parts.next()?.parse().ok()? {
        1 => parts.next()?.parse().ok(),
        major => Some(major),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_javas_print_them() {
        for (text, version) in [
            ("openjdk version \"17.0.15\" 2025-04-15\nOpenJDK Runtime", Some(17)),
            ("openjdk version \"25\" 2025-09-16", Some(25)),
            ("openjdk version \"22-ea\" 2024-03-19", Some(22)),
            ("java version \"1.8.0_402\"", Some(8)),
            ("no such thing", None),
        ] {
            assert_eq!(parse_version(text), version, "{text}");
        }
    }
}
