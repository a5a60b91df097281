//! Packages of npm that checks and builds call as tools, each in a folder of its own version.

use std::fmt;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::interrupt::Interrupt;
use crate::need::{self, Need};
use crate::place::Place;
use crate::process;

/// Why a package is not here.
#[derive(Debug)]
pub enum Error {
    /// Node.js is missing.
    Need(need::Error),
    /// npm could not bring it.
    Fetch {
        /// Name and version.
        package: &'static str,
        /// How npm ended.
        source: process::Error,
    },
    /// The folder it should go to cannot be used.
    Folder {
        /// Its path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Need(need) => need.fmt(f),
            Self::Fetch { package, source } => {
                write!(f, "{package} could not be fetched from npm: {source}")
            }
            Self::Folder { path, source } => write!(f, "{}: {source}", path.display()),
        }
    }
}

impl std::error::Error for Error {}

/// A file of a package, `name@exact version`; fetched first where it is not here. None of the
/// package's own install scripts are run.
///
/// # Errors
/// When Node.js is missing or npm cannot bring the package.
pub fn file(
    place: &Place,
    package: &'static str,
    path: &str,
    interrupt: &Interrupt,
) -> Result<PathBuf, Error> {
    need::ensure(&[Need::Node], interrupt).map_err(Error::Need)?;
    let name = package.rsplit_once('@').map_or(package, |(name, _)| name);
    let home = place.cache().join(package.replace('@', "-"));
    let file = home.join("node_modules").join(name).join(path);
    if file.is_file() {
        return Ok(file);
    }
    fs::create_dir_all(&home).map_err(|source| Error::Folder { path: home.clone(), source })?;
    eprintln!("fetching {package} from npm");
    let mut command = Command::new("npm");
    command
        .args(["install", "--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts"])
        .arg("--prefix")
        .arg(&home)
        .arg(package)
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    let fetched = process::run("npm", &mut command, interrupt);
    fetched.map_err(|source| Error::Fetch { package, source })?;
    Ok(file)
}
