//! A real schema registry, Apicurio's, as a child process: for the stories that need one. Its
//! archive is fetched once and checked. It needs a newer Java than Kafka does, so not every machine
//! has what it takes.

use std::fmt;
use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::interrupt::Interrupt;
use crate::kafka::jars::{COPY, first_error, no_network, parse_sums, sum};
use crate::need::{self, Need};
use crate::place::Place;
use crate::process::{self, Launch, Running};
use crate::trouble::{Trouble, made_of_trouble};

/// The oldest Java that runs it.
pub const JAVA_VERSION_MIN: u32 = 21;

/// What Maven reads.
const POM: &str = include_str!("../registry/pom.xml");
/// `<sha256>  <archive>`, as `sha256sum` writes it.
const SUM: &str = include_str!("../registry/archive.sha256");
/// How long a start may take: seconds on an idle machine, more beside a build.
const START_PATIENCE: Duration = Duration::from_secs(120);

/// Why there is no registry.
#[derive(Debug)]
pub enum Error {
    /// No Java is new enough.
    NoJava,
    /// It could not be fetched or unpacked, or is not the pinned one.
    Fetch(String),
    /// A tool, a child process or a file of ours.
    Trouble(Trouble),
}

made_of_trouble!(Error);

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoJava => write!(
                f,
                "the schema registry needs Java {JAVA_VERSION_MIN} or newer, and this machine has \
                 none"
            ),
            Self::Fetch(problem) => write!(f, "the schema registry cannot be fetched: {problem}"),
            Self::Trouble(trouble) => trouble.fmt(f),
        }
    }
}

impl std::error::Error for Error {}

/// A registry that can be started: a Java and the unpacked archive.
#[derive(Clone, Debug)]
pub struct Installed {
    java: PathBuf,
    folder: PathBuf,
}

impl Installed {
    /// Finds Java, and fetches, checks and unpacks the archive where that was not done before. Runs
    /// at the same time wait for each other.
    ///
    /// # Errors
    /// When there is no Java for it, or the pinned archive cannot be had.
    pub fn ready(place: &Place, interrupt: &Interrupt) -> Result<Self, Error> {
        let java = need::java_from(JAVA_VERSION_MIN).ok_or(Error::NoJava)?;
        let name: String = SUM.chars().take(12).collect();
        let home = place.cache().join(format!("registry-{name}"));
        fs::create_dir_all(&home).map_err(Error::file(&home))?;
        let lock = File::create(home.join("lock")).map_err(Error::file(home.join("lock")))?;
        lock.lock().map_err(Error::file(home.join("lock")))?;
        let folder = home.join("app");
        if !folder.is_dir() {
            let archive = fetch(&home, interrupt)?;
            unpack(&archive, &home.join("unpacked"), &folder, interrupt)?;
            // It is 150 MB and was only wanted for this.
            fs::remove_file(&archive).map_err(Error::file(&archive))?;
        }
        Ok(Self { java, folder })
    }
}

/// Lets Maven bring the archive, and checks it.
fn fetch(home: &Path, interrupt: &Interrupt) -> Result<PathBuf, Error> {
    need::ensure(&[Need::Maven], interrupt)?;
    eprintln!("fetching the schema registry, some 150 MB");
    let (fresh, pom, log) = (home.join("fresh"), home.join("pom.xml"), home.join("maven.log"));
    fs::write(&pom, POM).map_err(Error::file(&pom))?;
    let words = File::create(&log).map_err(Error::file(&log))?;
    let mut maven = Command::new("mvn");
    maven
        .args(["--batch-mode", "--no-transfer-progress", "-Dstyle.color=never", "--file"])
        .arg(&pom)
        .args([COPY, "-DincludeScope=runtime"])
        .arg(format!("-DoutputDirectory={}", fresh.display()))
        .stdin(Stdio::null())
        .stderr(words.try_clone().map_err(Error::file(&log))?)
        .stdout(words);
    let status = process::status("mvn", &mut maven, interrupt)?;
    if !status.success() {
        let said = fs::read_to_string(&log).unwrap_or_default();
        let why = if no_network(&said) {
            "no network reaches the Maven repository".to_owned()
        } else {
            first_error(&said)
        };
        return Err(Error::Fetch(format!("{why} (Maven's words are in {})", log.display())));
    }
    let pinned = parse_sums(SUM).pop_first();
    let (name, pinned) = pinned.ok_or_else(|| Error::Fetch("no sum is pinned".to_owned()))?;
    let archive = fresh.join(name);
    let found = sum(&archive).map_err(|error| Error::Fetch(error.to_string()))?;
    if found == pinned {
        return Ok(archive);
    }
    let what = "is not the archive whose SHA-256 sum is pinned in xtask/registry/archive.sha256";
    Err(Error::Fetch(format!("{} {what}", archive.display())))
}

/// Unpacks it beside its place first, so that a half one is never taken for the whole.
fn unpack(
    archive: &Path,
    beside: &Path,
    folder: &Path,
    interrupt: &Interrupt,
) -> Result<(), Error> {
    if beside.exists() {
        fs::remove_dir_all(beside).map_err(Error::file(beside))?;
    }
    fs::create_dir_all(beside).map_err(Error::file(beside))?;
    let mut tar = Command::new("tar");
    tar.arg("xzf").arg(archive).arg("-C").arg(beside);
    process::run("tar", &mut tar, interrupt)?;
    fs::rename(beside, folder).map_err(Error::file(folder))
}

/// A running registry that keeps its schemas in a folder; killed when dropped.
#[derive(Debug)]
pub struct Registry {
    installed: Installed,
    data: PathBuf,
    port: u16,
    running: Running,
}

impl Registry {
    /// Starts one on a free port and waits until it answers.
    ///
    /// # Errors
    /// When it does not come up; the last lines of its log are in the error.
    pub fn start(installed: &Installed, data: &Path) -> Result<Self, Error> {
        fs::create_dir_all(data).map_err(Error::file(data))?;
        let data = fs::canonicalize(data).map_err(Error::file(data))?;
        let port = free_port()?;
        let running = launch(installed, &data, port)?;
        Ok(Self { installed: installed.clone(), data, port, running })
    }

    /// The address of its API in Confluent's form.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}{API}", self.port)
    }

    /// Ends it at once (SIGKILL), as a crash would. Its schemas stay.
    pub fn kill(&mut self) {
        self.running.kill();
    }

    /// Starts it again with its schemas on its port.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn restart(&mut self) -> Result<(), Error> {
        self.running.kill();
        self.running = launch(&self.installed, &self.data, self.port)?;
        Ok(())
    }
}

/// Where its API in Confluent's form begins.
const API: &str = "/apis/ccompat/v7";

fn launch(installed: &Installed, data: &Path, port: u16) -> Result<Running, Error> {
    // Without these two it would listen on all addresses for its managers.
    let management = free_port()?;
    let settings = [
        ("quarkus.http.host", "127.0.0.1".to_owned()),
        ("quarkus.http.port", port.to_string()),
        ("quarkus.management.host", "127.0.0.1".to_owned()),
        ("quarkus.management.port", management.to_string()),
        ("apicurio.datasource.url", format!("jdbc:h2:file:{}/h2", data.display())),
        ("apicurio.datasource.jdbc.initial-size", "2".to_owned()),
        ("apicurio.datasource.jdbc.min-size", "2".to_owned()),
    ];
    let mut arguments =
        ["-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"].map(str::to_owned).to_vec();
    arguments.extend(settings.map(|(key, value)| format!("-D{key}={value}")));
    let jar = installed.folder.join("quarkus-run.jar").display().to_string();
    arguments.extend(["-jar".to_owned(), jar]);
    let mut running = Running::start(&Launch {
        name: "the schema registry".to_owned(),
        program: installed.java.clone(),
        arguments: arguments.into_iter().map(Into::into).collect(),
        environment: Vec::new(),
        folder: data.to_owned(),
        log: data.join("registry.log"),
    })?;
    let log = data.join("registry.log");
    let address = std::net::SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let serves = || {
        fs::read_to_string(&log).is_ok_and(|text| text.contains("Listening on"))
            && std::net::TcpStream::connect(address).is_ok()
    };
    running.wait_until_ready(START_PATIENCE, &Interrupt::default(), serves)?;
    Ok(running)
}

fn free_port() -> Result<u16, Error> {
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|held| held.local_addr());
    Ok(port.map_err(Error::file("a listening socket"))?.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_archive_is_pinned_and_its_version_is_the_poms() {
        let pinned = parse_sums(SUM);
        let [(name, sum)] = pinned.into_iter().collect::<Vec<_>>()[..] else { panic!("{SUM}") };
        assert_eq!(sum.len(), 64);
        let version = name.trim_start_matches("apicurio-registry-app-");
        let version = version.trim_end_matches("-all.tar.gz");
        assert!(POM.contains(&format!("<version>{version}</version>")), "{name}");
    }
}
