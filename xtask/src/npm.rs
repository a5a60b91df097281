//! Packages of npm that checks and builds call as tools, each in a folder of its own version, and
//! those that tests drive, with all they depend on pinned by sums.

use std::fmt;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use sha2::{Digest, Sha256};

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
        /// Name and version, or what belongs together.
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

/// Packages that belong together.
#[derive(Clone, Copy, Debug)]
pub struct Project {
    name: &'static str,
    /// What npm reads: the packages wanted.
    manifest: &'static str,
    /// And all that they need, by exact versions and sums.
    lock: &'static str,
}

/// The clients of Segment's.
pub const SEGMENT: Project = Project {
    name: "the clients of Segment's",
    manifest: include_str!("../npm/segment/package.json"),
    lock: include_str!("../npm/segment/package-lock.json"),
};

/// What the types of the SDK's package are checked with.
pub const TYPES: Project = Project {
    name: "TypeScript and React",
    manifest: include_str!("../npm/types/package.json"),
    lock: include_str!("../npm/types/package-lock.json"),
};

/// The folder with a project's `node_modules`; fetched first where it is not here. npm checks the
/// sums, and none of the packages' own install scripts are run.
///
/// # Errors
/// When Node.js is missing or npm cannot bring the packages.
pub fn folder(place: &Place, project: &Project, interrupt: &Interrupt) -> Result<PathBuf, Error> {
    need::ensure(&[Need::Node], interrupt).map_err(Error::Need)?;
    let sum = Sha256::new().chain_update(project.manifest).chain_update(project.lock).finalize();
    let home =
        place.cache().join(format!("npm-{:02x}{:02x}{:02x}{:02x}", sum[0], sum[1], sum[2], sum[3]));
    // npm writes this one last.
    if home.join("node_modules/.package-lock.json").is_file() {
        return Ok(home);
    }
    let folder = |source| Error::Folder { path: home.clone(), source };
    fs::create_dir_all(&home).map_err(folder)?;
    fs::write(home.join("package.json"), project.manifest).map_err(folder)?;
    fs::write(home.join("package-lock.json"), project.lock).map_err(folder)?;
    eprintln!("fetching {} from npm", project.name);
    let mut command = npm("ci");
    command.arg("--prefix").arg(&home);
    let fetched = process::run("npm", &mut command, interrupt);
    fetched.map_err(|source| Error::Fetch { package: project.name, source })?;
    Ok(home)
}

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
    let mut command = npm("install");
    command.args(["--no-package-lock", "--prefix"]).arg(&home).arg(package);
    let fetched = process::run("npm", &mut command, interrupt);
    fetched.map_err(|source| Error::Fetch { package, source })?;
    Ok(file)
}

/// npm at a task that runs nobody's scripts and talks to nobody else.
fn npm(task: &str) -> Command {
    let mut command = Command::new("npm");
    command
        .args([task, "--no-audit", "--no-fund", "--ignore-scripts"])
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    command
}
