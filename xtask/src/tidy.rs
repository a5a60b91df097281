//! The rules of the house that a program can check.

mod edges;
mod links;
mod manifest;
mod text;

use std::fmt;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::process::Command;

use crate::place::Place;

/// One place that breaks a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The file, from the workspace's folder.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// What is wrong and what to do.
    pub what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, what } = self;
        write!(f, "{file}:{line}: {what}")
    }
}

/// Why the rules could not be checked.
#[derive(Debug)]
pub enum Error {
    /// A program that lists what is to be checked failed.
    List {
        /// The command.
        command: String,
        /// What it said.
        said: String,
    },
    /// A file could not be read.
    File {
        /// Its path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::List { command, said } => write!(f, "`{command}` failed: {said}"),
            Self::File { path, source } => write!(f, "{}: {source}", path.display()),
        }
    }
}

impl std::error::Error for Error {}

/// What was checked and what was found.
#[derive(Debug, Default)]
pub struct Report {
    /// Files looked at.
    pub files: usize,
    /// Forbidden edges looked for.
    pub edges: usize,
    /// What breaks a rule.
    pub findings: Vec<Finding>,
}

/// Checks the files that git knows or would take, and the edges between packages.
///
/// # Errors
/// When files or packages cannot be listed or read.
pub fn check(place: &Place) -> Result<Report, Error> {
    let mut report = Report::default();
    let exists = |target: &str| place.root().join(target).exists();
    for file in files(place)? {
        let path = place.root().join(&file);
        // Removed, and git does not know it yet.
        if !path.is_file() {
            continue;
        }
        let bytes = fs::read(&path).map_err(|source| Error::File { path, source })?;
        report.files += 1;
        let Ok(text) = String::from_utf8(bytes) else { continue };
        report.findings.extend(text::check(&file, &text));
        if file.ends_with("Cargo.toml") {
            report.findings.extend(manifest::check(&file, &text));
        }
        if file.ends_with(".md") {
            report.findings.extend(links::check(&file, &text, exists));
        }
    }
    let (looked, found) = edges::check(place)?;
    report.edges = looked;
    report.findings.extend(found);
    Ok(report)
}

/// What is committed or would be with `git add`.
fn files(place: &Place) -> Result<Vec<String>, Error> {
    let arguments = ["ls-files", "--cached", "--others", "--exclude-standard", "-z"];
    let listed =
        said(Command::new("git").args(arguments).current_dir(place.root()), "git ls-files")?;
    let mut files: Vec<String> = listed.split_terminator('\0').map(str::to_owned).collect();
    files.sort();
    files.dedup();
    Ok(files)
}

/// What a command prints.
fn said(command: &mut Command, name: &str) -> Result<String, Error> {
    let failed = |said: String| Error::List { command: name.to_owned(), said };
    let output = command.output().map_err(|error| failed(error.to_string()))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
    }
}
