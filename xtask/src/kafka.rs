//! A real Apache Kafka, one broker or a cluster of some, as child processes: its jars fetched once
//! and checked, its data in a folder of the caller's choice.

mod broker;
mod cluster;
pub(crate) mod jars;
mod settings;

use std::fmt;
use std::path::PathBuf;

pub use broker::{Broker, BrokerOptions, Door, Jvm, Membership};
pub use cluster::{Cluster, ClusterOptions};
pub use jars::Jars;

use crate::trouble::{Trouble, made_of_trouble};

/// Why there is no Kafka.
#[derive(Debug)]
pub enum Error {
    /// The jars are not here and no network reaches Maven's repository.
    NoNetwork {
        /// Maven's own words.
        log: PathBuf,
    },
    /// Maven could not bring the jars.
    Fetch {
        /// Maven's own words.
        log: PathBuf,
        /// The last of them.
        said: String,
    },
    /// A jar is not the one whose sum is pinned.
    WrongSum {
        /// Its path.
        jar: PathBuf,
    },
    /// A jar whose sum is pinned is not there.
    NoJar {
        /// Its path.
        jar: PathBuf,
    },
    /// A jar is there that nobody pinned.
    StrangeJar {
        /// Its path.
        jar: PathBuf,
    },
    /// Somebody else listens on the port.
    PortTaken {
        /// The port.
        port: u16,
    },
    /// The data folder could not be made into a broker's.
    Format {
        /// The tool's own words.
        log: PathBuf,
        /// The last of them.
        said: String,
    },
    /// A tool, a child process or a file of ours.
    Trouble(Trouble),
}

made_of_trouble!(Error);

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoNetwork { log } => write!(
                f,
                "Kafka's jars are not here yet and no network reaches the Maven repository to \
                 fetch them from (Maven's words are in {})",
                log.display()
            ),
            Self::Fetch { log, said } => {
                write!(f, "Maven could not fetch Kafka's jars: {said} (more in {})", log.display())
            }
            Self::WrongSum { jar } => write!(
                f,
                "{} is not the jar whose SHA-256 sum is pinned in xtask/kafka/jars.sha256; \
                 remove its folder to fetch the jars anew",
                jar.display()
            ),
            Self::NoJar { jar } => write!(
                f,
                "{} is missing although it is pinned in xtask/kafka/jars.sha256; \
                 remove its folder to fetch the jars anew",
                jar.display()
            ),
            Self::StrangeJar { jar } => write!(
                f,
                "{} is not pinned in xtask/kafka/jars.sha256; \
                 remove its folder to fetch the jars anew",
                jar.display()
            ),
            Self::PortTaken { port } => {
                write!(f, "port {port} of 127.0.0.1 is taken by another program")
            }
            Self::Format { log, said } => write!(
                f,
                "Kafka's data folder cannot be formatted; the end of {}:\n{said}",
                log.display()
            ),
            Self::Trouble(trouble) => trouble.fmt(f),
        }
    }
}

impl std::error::Error for Error {}
