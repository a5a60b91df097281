//! One broker as a child process: formatted if new, started, waited for, stopped or killed.

use std::fs::{self, File};
use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::settings::{LOGGING, Settings, cluster_id};
use super::{Error, Jars};
use crate::interrupt::Interrupt;
use crate::need;
use crate::place::Place;
use crate::process::{Launch, Running, last_lines};

/// How long a start may take: seconds on an idle machine, more beside a build.
const START_PATIENCE: Duration = Duration::from_secs(90);
/// How long an orderly end may take.
const STOP_GRACE: Duration = Duration::from_secs(30);
/// Starts on fresh ports, when somebody else was quicker to take the free ones we had found.
const FREE_PORT_TRIES_MAX: usize = 5;
/// What the broker logs when it serves.
const SERVING: &str = "Kafka Server started";

/// How the Java machine is set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Jvm {
    /// Ready soonest and smallest: for stories and the demo.
    #[default]
    Quick,
    /// As Java comes: for figures.
    Full,
}

/// What kind of broker is wanted.
#[derive(Clone, Debug)]
pub struct BrokerOptions {
    /// The folder of its data, settings and log. One that was used before goes on with its data.
    pub data_dir: PathBuf,
    /// Its port on loopback; 0 takes a free one.
    pub port: u16,
    /// Its controller's port on loopback; 0 takes a free one, where it is not one of a cluster.
    pub controller_port: u16,
    /// Its place in a cluster; none where it is alone.
    pub membership: Option<Membership>,
    /// The most that its heap may grow to, MiB.
    pub heap_mib_max: u32,
    /// How the Java machine is set.
    pub jvm: Jvm,
    /// A second way in; none but for stories of bad networks.
    pub door: Option<Door>,
    /// Settings on top of ours, as in `server.properties`.
    pub properties: Vec<(String, String)>,
    /// Lets go of a start that takes long.
    pub interrupt: Interrupt,
}

impl BrokerOptions {
    /// A quick broker on free ports with this folder.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            port: 0,
            controller_port: 0,
            membership: None,
            heap_mib_max: 512,
            jvm: Jvm::default(),
            door: None,
            properties: Vec::new(),
            interrupt: Interrupt::default(),
        }
    }
}

/// A second listener on loopback of which clients are told another port: whoever listens there
/// stands between them and the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Door {
    /// The port that the broker listens on.
    pub port: u16,
    /// The port that it tells its clients.
    pub told: u16,
}

/// A broker's place among the nodes of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    /// The cluster's id.
    pub cluster_id: String,
    /// Its own number, from 1.
    pub node: usize,
    /// The controllers' ports of all nodes, in the order of their numbers.
    pub controller_ports: Vec<u16>,
}

/// A running broker; killed when dropped.
#[derive(Debug)]
pub struct Broker {
    options: BrokerOptions,
    java: PathBuf,
    jars: Jars,
    port: u16,
    running: Running,
}

impl Broker {
    /// Starts a broker and waits until it serves.
    ///
    /// # Errors
    /// When Java or the jars cannot be had, a port is taken, or it does not come up; the last lines
    /// of its log are in the error.
    pub fn start(options: &BrokerOptions) -> Result<Self, Error> {
        let jars = Jars::ready(&Place::here(), &options.interrupt)?;
        let java = need::java()?;
        fs::create_dir_all(&options.data_dir).map_err(Error::file(&options.data_dir))?;
        let mut options = options.clone();
        options.data_dir =
            fs::canonicalize(&options.data_dir).map_err(Error::file(&options.data_dir))?;
        let (port, running) = launch(&options, &java, &jars)?;
        Ok(Self { options, java, jars, port, running })
    }

    /// Its address, for `bootstrap.servers`.
    pub fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.running.id()
    }

    /// Its log.
    pub fn log(&self) -> &Path {
        self.running.log()
    }

    /// Whether it has ended.
    pub fn ended(&mut self) -> bool {
        self.running.ended()
    }

    /// Ends it in order (SIGTERM), by force (SIGKILL) if that takes too long. Its data stays.
    pub fn stop(&mut self) {
        self.running.stop(STOP_GRACE);
    }

    /// Ends it at once (SIGKILL), as a crash would. Its data stays.
    pub fn kill(&mut self) {
        self.running.kill();
    }

    /// Halts it where it stands (SIGSTOP): its connections stay open, and nothing answers.
    pub fn freeze(&self) {
        self.running.freeze();
    }

    /// Lets it go on after [`Self::freeze`] (SIGCONT).
    pub fn thaw(&self) {
        self.running.thaw();
    }

    /// Starts it again, with its data and on its port. One that still runs is stopped first.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn restart(&mut self) -> Result<(), Error> {
        self.stop();
        self.options.port = self.port;
        (self.port, self.running) = launch(&self.options, &self.java, &self.jars)?;
        Ok(())
    }
}

/// Writes the settings, formats a new folder, starts the broker and waits until it serves.
fn launch(options: &BrokerOptions, java: &Path, jars: &Jars) -> Result<(u16, Running), Error> {
    let free_ports = options.port == 0 || options.controller_port == 0;
    for port in [options.port, options.controller_port] {
        claim(port)?;
    }
    for _ in 1..FREE_PORT_TRIES_MAX {
        let started = try_launch(options, java, jars);
        let taken = matches!(&started, Err(Error::PortTaken { .. }));
        if !(taken && free_ports) {
            return started;
        }
    }
    try_launch(options, java, jars)
}

fn try_launch(options: &BrokerOptions, java: &Path, jars: &Jars) -> Result<(u16, Running), Error> {
    let folder = &options.data_dir;
    // Both are held at once, so that they differ.
    let (broker, controller) = (claim(options.port)?, claim(options.controller_port)?);
    let (port, controller_port) = (number(&broker)?, number(&controller)?);
    let (settings, logging) = (folder.join("server.properties"), folder.join("log4j2.properties"));
    let logs = folder.join("logs");
    let alone = Membership {
        cluster_id: cluster_id_from_system()?,
        node: 1,
        controller_ports: vec![controller_port],
    };
    let Membership { cluster_id, node, controller_ports } =
        options.membership.as_ref().unwrap_or(&alone);
    let (door, properties) = (options.door, &options.properties);
    let settings_of =
        Settings { node: *node, port, controller_ports, door, logs: &logs, properties };
    let text = settings_of.text();
    fs::write(&settings, text).map_err(Error::file(&settings))?;
    fs::write(&logging, LOGGING).map_err(Error::file(&logging))?;
    if !logs.join("meta.properties").exists() {
        format(java, jars, folder, cluster_id)?;
    }
    drop((broker, controller));

    let mut arguments = vec!["-Xms64m".to_owned(), format!("-Xmx{}m", options.heap_mib_max)];
    if options.jvm == Jvm::Quick {
        arguments.extend(["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"].map(str::to_owned));
    }
    arguments.push("-Djava.awt.headless=true".to_owned());
    arguments.push(format!("-Dlog4j2.configurationFile={}", logging.display()));
    arguments.push("-cp".to_owned());
    arguments.push(jars.class_path().display().to_string());
    arguments.push("kafka.Kafka".to_owned());
    arguments.push(settings.display().to_string());
    let log = folder.join("server.log");
    let mut running = Running::start(&Launch {
        name: "Kafka".to_owned(),
        program: java.to_owned(),
        arguments: arguments.into_iter().map(Into::into).collect(),
        environment: Vec::new(),
        folder: folder.clone(),
        log: log.clone(),
    })?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let serves = || {
        fs::read_to_string(&log).is_ok_and(|text| text.contains(SERVING))
            && TcpStream::connect(address).is_ok()
    };
    match running.wait_until_ready(START_PATIENCE, &options.interrupt, serves) {
        Ok(()) => Ok((port, running)),
        Err(_) if said(&log, "Address already in use") => Err(Error::PortTaken { port }),
        Err(error) => Err(error.into()),
    }
}

/// Makes a new folder a broker's.
fn format(java: &Path, jars: &Jars, folder: &Path, id: &str) -> Result<(), Error> {
    let log = folder.join("format.log");
    let file = File::create(&log).map_err(Error::file(&log))?;
    let errors = file.try_clone().map_err(Error::file(&log))?;
    let status = Command::new(java)
        .args(["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp"])
        .arg(jars.class_path())
        .args(["kafka.tools.StorageTool", "format", "--cluster-id", id, "--config"])
        .arg(folder.join("server.properties"))
        .stdin(Stdio::null())
        .stdout(file)
        .stderr(errors)
        .status()
        .map_err(Error::file(java))?;
    if status.success() { Ok(()) } else { Err(Error::Format { said: last_lines(&log), log }) }
}

pub(super) fn cluster_id_from_system() -> Result<String, Error> {
    const SOURCE: &str = "/dev/urandom";
    let mut source = File::open(SOURCE).map_err(Error::file(SOURCE))?;
    // More than ever needed: one id in 64 begins with a dash and is drawn again.
    let mut drawn = [[0; 16]; 32];
    for id in &mut drawn {
        source.read_exact(id).map_err(Error::file(SOURCE))?;
    }
    let mut ids = drawn.into_iter().cycle();
    Ok(cluster_id(|| ids.next().unwrap_or_default()))
}

/// Holds a port of loopback, so that nobody else takes it; 0 holds a free one.
pub(super) fn claim(port: u16) -> Result<TcpListener, Error> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map_err(|_| Error::PortTaken { port })
}

pub(super) fn number(listener: &TcpListener) -> Result<u16, Error> {
    let address = listener.local_addr().map_err(Error::file("a listening socket"))?;
    Ok(address.port())
}

fn said(log: &Path, words: &str) -> bool {
    fs::read_to_string(log).is_ok_and(|text| text.contains(words))
}
