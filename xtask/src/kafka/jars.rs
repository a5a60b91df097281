//! Kafka's jars: fetched by Maven once, so that a site's own settings hold, and checked against
//! pinned sums each time they are used.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use super::Error;
use crate::interrupt::Interrupt;
use crate::need::{self, Need};
use crate::place::Place;
use crate::process;

/// What Maven reads.
const POM: &str = include_str!("../../kafka/pom.xml");
/// `<sha256>  <jar>` a line, as `sha256sum` writes it.
const SUMS: &str = include_str!("../../kafka/jars.sha256");
/// The part of Maven that copies jars, by exact version.
pub(crate) const COPY: &str =
    "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies";
/// Between two lines of progress where there is no terminal to draw on.
const PROGRESS_EVERY: Duration = Duration::from_secs(2);

/// The checked jars of a broker.
#[derive(Clone, Debug)]
pub struct Jars {
    folder: PathBuf,
}

impl Jars {
    /// The checked jars; fetched first where they are not here. Runs at the same time wait for
    /// each other.
    ///
    /// # Errors
    /// When they cannot be fetched or are not the pinned ones.
    pub fn ready(place: &Place, interrupt: &Interrupt) -> Result<Self, Error> {
        let home = home(place);
        let jars = Self { folder: home.join("jars") };
        let pinned = parse_sums(SUMS);
        fs::create_dir_all(&home).map_err(Error::file(&home))?;
        let lock = File::create(home.join("lock")).map_err(Error::file(home.join("lock")))?;
        lock.lock().map_err(Error::file(home.join("lock")))?;
        if !jars.folder.is_dir() {
            let fresh = fetch(&home, pinned.len(), interrupt)?;
            check(&fresh, &pinned)?;
            fs::rename(&fresh, &jars.folder).map_err(Error::file(&jars.folder))?;
        } else {
            check(&jars.folder, &pinned)?;
        }
        Ok(jars)
    }

    /// Whether they were fetched before.
    pub fn fetched(place: &Place) -> bool {
        home(place).join("jars").is_dir()
    }

    /// Fetches what the pom names now and writes the sums to pin into the workspace. For whoever
    /// changes a version there and has looked at what came.
    ///
    /// # Errors
    /// When they cannot be fetched or the list cannot be written.
    pub fn pin(place: &Place, interrupt: &Interrupt) -> Result<PathBuf, Error> {
        let home = home(place);
        fs::create_dir_all(&home).map_err(Error::file(&home))?;
        let fresh = fetch(&home, parse_sums(SUMS).len(), interrupt)?;
        let mut text = String::new();
        for (name, path) in jars_in(&fresh)? {
            text.push_str(&format!("{}  {name}\n", sum(&path)?));
        }
        let list = place.root().join("xtask/kafka/jars.sha256");
        fs::write(&list, text).map_err(Error::file(&list))?;
        fs::remove_dir_all(&fresh).map_err(Error::file(&fresh))?;
        Ok(list)
    }

    /// As Java's `-cp` wants them.
    pub fn class_path(&self) -> PathBuf {
        self.folder.join("*")
    }
}

/// The folder of this list of jars: another list gets another folder.
fn home(place: &Place) -> PathBuf {
    let list: String = hex(&Sha256::digest(SUMS)).chars().take(12).collect();
    place.cache().join(format!("kafka-{list}"))
}

/// Lets Maven bring the jars into a new folder.
fn fetch(home: &Path, expected: usize, interrupt: &Interrupt) -> Result<PathBuf, Error> {
    need::ensure(&[Need::Java, Need::Maven], interrupt)?;
    let (fresh, pom, log) = (home.join("fresh"), home.join("pom.xml"), home.join("maven.log"));
    if fresh.exists() {
        fs::remove_dir_all(&fresh).map_err(Error::file(&fresh))?;
    }
    fs::write(&pom, POM).map_err(Error::file(&pom))?;
    let file = File::create(&log).map_err(Error::file(&log))?;
    let mut child = Command::new("mvn")
        .args(["--batch-mode", "--file"])
        .arg(&pom)
        .args([COPY, "-DincludeScope=runtime"])
        .arg(format!("-DoutputDirectory={}", fresh.display()))
        // Without colours its words can be read.
        .arg("-Dstyle.color=never")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(file.try_clone().map_err(Error::file(&log))?)
        .spawn()
        .map_err(|source| process::Error::Start { name: "mvn".into(), source })?;
    let said = match child.stdout.take() {
        Some(words) => follow(BufReader::new(words), expected, file).map_err(Error::file(&log))?,
        None => String::new(),
    };
    let status = child.wait().map_err(Error::file("mvn"))?;
    if interrupt.requested() {
        return Err(process::Error::Interrupted.into());
    }
    if status.success() {
        return Ok(fresh);
    }
    if no_network(&said) {
        return Err(Error::NoNetwork { log });
    }
    Err(Error::Fetch { log, said: first_error(&said) })
}

/// Reads Maven's words to their end, keeps them in a file and tells how far it is.
fn follow(words: impl BufRead, expected: usize, mut log: impl Write) -> io::Result<String> {
    let (mut text, mut progress) = (String::new(), Progress::new(expected));
    for line in words.lines() {
        let line = line?;
        writeln!(log, "{line}")?;
        if let Some(bytes) = downloaded(&line) {
            progress.add(bytes);
        }
        text.push_str(&line);
        text.push('\n');
    }
    progress.end();
    Ok(text)
}

/// The bytes of a jar that this line of Maven's reports as fetched.
fn downloaded(line: &str) -> Option<f64> {
    let (_, rest) = line.split_once("Downloaded from ")?;
    let (address, rest) = rest.split_once(" (")?;
    if !address.ends_with(".jar") {
        return None;
    }
    let mut words = rest.split(' ');
    let number: f64 = words.next()?.parse().ok()?;
    let unit = match words.next()? {
        "B" => 1.0,
        "kB" => 1e3,
        "MB" => 1e6,
        "GB" => 1e9,
        _ => return None,
    };
    Some(number * unit)
}

/// How far the download is, drawn on a terminal or told every now and then.
struct Progress {
    jars: usize,
    bytes: f64,
    expected: usize,
    terminal: bool,
    told: Instant,
}

impl Progress {
    fn new(expected: usize) -> Self {
        eprintln!("fetching Kafka's {expected} jars");
        let terminal = io::stderr().is_terminal();
        Self { jars: 0, bytes: 0.0, expected, terminal, told: Instant::now() }
    }

    fn add(&mut self, bytes: f64) {
        self.jars += 1;
        self.bytes += bytes;
        if self.terminal {
            eprint!("\r{}  ", self.line());
        } else if self.told.elapsed() >= PROGRESS_EVERY {
            eprintln!("{}", self.line());
            self.told = Instant::now();
        }
    }

    fn end(&self) {
        if self.terminal && self.jars > 0 {
            eprintln!("\r{}  ", self.line());
        } else if self.jars > 0 {
            eprintln!("{}", self.line());
        }
    }

    /// Maven's own parts come as jars too, so there may be more than Kafka's.
    fn line(&self) -> String {
        let of = self.expected.max(self.jars);
        format!("  {} of about {of} jars, {:.1} MB", self.jars, self.bytes / 1e6)
    }
}

/// Whether Maven's words mean that nothing answers where the jars are.
pub(crate) fn no_network(said: &str) -> bool {
    // Somebody answered, but not as Java's list of authorities or the repository would have it.
    if ["PKIX", "certificate", "status code"].iter().any(|sign| said.contains(sign)) {
        return false;
    }
    [
        "Temporary failure in name resolution",
        "Name or service not known",
        "Unknown host",
        "UnknownHostException",
        "Network is unreachable",
        "Connection refused",
        "Connection timed out",
        "Connect timed out",
        "No route to host",
        ": transfer failed for",
    ]
    .iter()
    .any(|sign| said.contains(sign))
}

pub(crate) fn first_error(said: &str) -> String {
    let begins = |sign: &str| said.lines().find_map(|line| line.strip_prefix(sign));
    let error = begins("[FATAL] ").or_else(|| begins("[ERROR] "));
    error.unwrap_or("it gave no reason").to_owned()
}

/// The pinned sums by jar.
pub(crate) fn parse_sums(text: &str) -> BTreeMap<&str, &str> {
    text.lines().filter_map(|line| line.split_once("  ")).map(|(sum, jar)| (jar, sum)).collect()
}

/// Compares a folder with the pinned sums: the same jars, the same bytes.
fn check(folder: &Path, pinned: &BTreeMap<&str, &str>) -> Result<(), Error> {
    let mut found = jars_in(folder)?;
    for (name, pinned) in pinned {
        let jar = found.remove(*name).ok_or_else(|| Error::NoJar { jar: folder.join(name) })?;
        if sum(&jar)? != *pinned {
            return Err(Error::WrongSum { jar });
        }
    }
    // On the class path a strange jar would run.
    match found.pop_first() {
        Some((_, jar)) => Err(Error::StrangeJar { jar }),
        None => Ok(()),
    }
}

fn jars_in(folder: &Path) -> Result<BTreeMap<String, PathBuf>, Error> {
    let mut jars = BTreeMap::new();
    for entry in fs::read_dir(folder).map_err(Error::file(folder))? {
        let path = entry.map_err(Error::file(folder))?.path();
        if let Some(name) = path.file_name() {
            jars.insert(name.to_string_lossy().into_owned(), path.clone());
        }
    }
    Ok(jars)
}

/// The SHA-256 sum of a file, in hexadecimal.
pub(crate) fn sum(path: &Path) -> Result<String, Error> {
    let mut file = File::open(path).map_err(Error::file(path))?;
    let (mut hash, mut block) = (Sha256::new(), vec![0; 1 << 16]);
    loop {
        let n = file.read(&mut block).map_err(Error::file(path))?;
        if n == 0 {
            return Ok(hex(&hash.finalize()));
        }
        hash.update(&block[..n]);
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder with these jars of text.
    fn folder(name: &str, jars: &[(&str, &str)]) -> PathBuf {
        let folder =
            std::env::temp_dir().join(format!("clickmill-jars-{}-{name}", std::process::id()));
        // Left over from a run that was killed.
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        for (name, text) in jars {
            fs::write(folder.join(name), text).unwrap();
        }
        folder
    }

    fn sums_of(jars: &[(&str, &str)]) -> String {
        jars.iter()
            .map(|(name, text)| format!("{}  {name}\n", hex(&Sha256::digest(text))))
            .collect()
    }

    #[test]
    fn only_the_pinned_bytes_pass() {
        let jars = [("a.jar", "one"), ("b.jar", "two")];
        let sums = sums_of(&jars);
        let pinned = parse_sums(&sums);
        check(&folder("same", &jars), &pinned).unwrap();
        for (name, jars, words) in [
            ("other", vec![jars[0], ("b.jar", "tow")], "is not the jar whose SHA-256"),
            ("fewer", vec![jars[0]], "is missing although it is pinned"),
            ("more", vec![jars[0], jars[1], ("c.jar", "")], "c.jar is not pinned"),
        ] {
            let error = check(&folder(name, &jars), &pinned).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
            assert!(!error.contains('\n'), "one sentence: {error}");
        }
    }

    #[test]
    fn the_pinned_list_is_a_list_of_jars() {
        let pinned = parse_sums(SUMS);
        assert_eq!(pinned.len(), SUMS.lines().count());
        assert!(pinned.keys().any(|jar| jar.starts_with("kafka_2.13-4.3.1")));
        for (jar, sum) in pinned {
            assert!(jar.ends_with(".jar") && sum.len() == 64, "{sum}  {jar}");
        }
    }

    #[test]
    fn a_downloaded_jar_is_counted_by_its_size() {
        for (line, bytes) in [
            (
                "[INFO] Downloaded from central: https://host/a/b.jar (1.2 MB at 3.4 MB/s)",
                Some(1.2e6),
            ),
            ("[INFO] Downloaded from mirror: https://host/a/b.jar (88 kB at 3.4 MB/s)", Some(88e3)),
            ("[INFO] Downloaded from central: https://host/a/b.pom (88 kB at 3.4 MB/s)", None),
            ("[INFO] Downloading from central: https://host/a/b.jar", None),
        ] {
            assert_eq!(downloaded(line), bytes, "{line}");
        }
    }

    #[test]
    fn a_missing_network_is_told_from_a_missing_jar() {
        for (said, missing) in [
            ("x from/to central (y): transfer failed for y: Unknown host", true),
            ("transfer failed for y: PKIX path building failed", false),
            ("x from/to central (y): transfer failed for y, status code: 503", false),
            ("Could not find artifact org.apache.kafka:kafka_2.13:jar:9.9.9 in central", false),
        ] {
            assert_eq!(no_network(said), missing, "{said}");
        }
    }
}
