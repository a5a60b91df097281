//! A stream's contract: what a topic holds, whose it is, who reads it, and how it is kept.

mod name;
mod read;

use std::collections::BTreeMap;
use std::path::PathBuf;

pub(crate) use self::name::NAME_BYTES_MAX;
pub use self::name::{Privacy, TopicName};

/// The contract of one topic, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contract {
    /// The topic's name, which also says whether its content is personal.
    pub name: TopicName,
    /// The team that answers for it.
    pub owner: String,
    /// What lies in it, in a sentence.
    pub description: String,
    /// Programs that write it.
    pub produced_by: Vec<String>,
    /// Programs that are known to read it.
    pub consumed_by: Vec<String>,
    /// What a record's key is.
    pub key: Key,
    /// What a record's value is.
    pub value: Value,
    /// How many partitions.
    pub partitions: u32,
    /// On how many brokers each partition lies.
    pub replication: u16,
    /// How many of those must have a record before it counts as written.
    pub min_insync_replicas: u16,
    /// What happens to old records.
    pub cleanup: Cleanup,
    /// Further topic settings by Kafka's own names.
    pub config: BTreeMap<String, String>,
}

impl Contract {
    /// Reads a contract from TOML. `file` is what errors call it.
    ///
    /// # Errors
    /// Names the file and the key that is wrong.
    pub fn read(file: &str, toml: &str) -> Result<Self, ContractError> {
        read::contract(file, toml)
    }

    /// Whether a record's place depends on its key, so that the partition count must never change.
    pub fn is_keyed(&self) -> bool {
        self.key.format != KeyFormat::None
    }
}

/// What a record's key is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// How it is written.
    pub format: KeyFormat,
    /// What stands in it, such as `tenant:visitor`; empty without a key.
    pub holds: String,
    /// Whether records without a key occur.
    pub nullable: bool,
}

/// How a key is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyFormat {
    /// As a JSON value.
    Json,
    /// There is none.
    None,
    /// As UTF-8 text.
    Text,
}

/// What a record's value is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    /// How it is written. JSON is all there is so far.
    pub format: ValueFormat,
    /// Where its shape is laid down.
    pub schema: SchemaReference,
}

/// How a value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ValueFormat {
    /// As a JSON value.
    Json,
}

/// Where a value's shape is laid down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SchemaReference {
    /// `file:…`: a JSON Schema beside the contract, given by its path from there.
    File(PathBuf),
    /// `subject:…`: a subject of the schema registry.
    Subject(String),
    /// `wire:…`: one of the types that collector and relay share.
    Wire(String),
}

impl SchemaReference {
    /// The types of `clickmill-sdk-core` that lie on topics, and `Owner` of `clickmill-streams`.
    pub const WIRE_TYPES: [&str; 11] = [
        "Customer",
        "DeadLetter",
        "Lease",
        "Owner",
        "Poisoned",
        "Product",
        "Promoted",
        "Promotion",
        "Record",
        "SessionView",
        "Stock",
    ];
}

/// What happens to old records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cleanup {
    /// The newest record of each key stays for ever.
    Compact,
    /// The newest record of each key stays for this long.
    CompactAndDelete {
        /// How long, in hours.
        retention_hours: u32,
    },
    /// Records go when they are this old.
    Delete {
        /// How old, in hours.
        retention_hours: u32,
    },
}

impl Cleanup {
    /// The topic settings that say so.
    pub(crate) fn settings(self) -> [(&'static str, String); 2] {
        let (policy, hours) = match self {
            Self::Compact => ("compact", None),
            Self::CompactAndDelete { retention_hours } => ("compact,delete", Some(retention_hours)),
            Self::Delete { retention_hours } => ("delete", Some(retention_hours)),
        };
        let retention =
            hours.map_or("-1".to_owned(), |hours| (u64::from(hours) * 3_600_000).to_string());
        [("cleanup.policy", policy.to_owned()), ("retention.ms", retention)]
    }
}

/// What is wrong with a contract or its folder.
#[derive(Debug, thiserror::Error)]
pub enum ContractError {
    /// Two files of a catalogue say different things about one topic.
    #[error("{second}: the topic {name} already has a contract in {first}")]
    Twice {
        /// The topic.
        name: String,
        /// The file that was read first.
        first: String,
        /// The file that was read second.
        second: String,
    },
    /// A file or folder cannot be read.
    #[error("{file} cannot be read: {source}")]
    Unreadable {
        /// The file or folder.
        file: String,
        /// Why.
        source: std::io::Error,
    },
    /// A key of a contract is missing, unknown or holds something wrong.
    #[error("{file}: `{key}` {problem}")]
    Wrong {
        /// The file.
        file: String,
        /// The key, dotted from the top where it is known.
        key: String,
        /// What is wrong with it.
        problem: String,
    },
}
