//! Compares two compacted topics: what a view holds, and what another run of it has come to.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use ahash::RandomState;
use clickmill_kafka::{Admin, Ends, KafkaConfig, PartitionReader, TopicPartition};

use crate::changelog::{self, Change};
use crate::{Error, Place};

/// How long Kafka may take to tell of topics and their ends.
const ASK_WAIT: Duration = Duration::from_secs(10);

/// How long nothing may come, or a transaction may be open, before reading is given up.
const QUIET_MAX: Duration = Duration::from_secs(30);

/// What is fetched ahead, bytes.
const QUEUE_BYTES: u64 = 32 << 20;

/// How two views differ. Both were read to where they ended when the comparison began; of a view
/// that goes on meanwhile, states that have just changed differ and are no fault.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    /// Keys with a state in either.
    pub keys: usize,
    /// Keys whose states differ.
    pub differing: usize,
    /// Keys that only the first one has.
    pub only_first: usize,
    /// Keys that only the second one has.
    pub only_second: usize,
    /// Some of those keys, in order, with how they differ.
    pub examples: Vec<Example>,
}

/// A key whose states differ, and where the newest of each lies.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Example {
    /// The key, as text as far as it is text.
    pub key: String,
    /// Its state in the first topic.
    pub first: Option<Place>,
    /// Its state in the second one.
    pub second: Option<Place>,
}

impl Comparison {
    /// Whether both say the same.
    pub fn is_alike(&self) -> bool {
        self.differing + self.only_first + self.only_second == 0
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { keys, differing, only_first, only_second, examples } = self;
        write!(
            f,
            "{keys} keys: {differing} differ, {only_first} only in the first, {only_second} only in \
             the second"
        )?;
        examples.iter().try_for_each(|Example { key, first, second }| {
            let place = |place: &Option<Place>| match place {
                Some(place) => place.to_string(),
                None => "nowhere".to_owned(),
            };
            write!(f, "\n{key}: {} and {}", place(first), place(second))
        })
    }
}

/// The newest state of a key: a hash of it, and where it lies.
type Newest = HashMap<Box<[u8]>, (u64, Place), RandomState>;

/// Compares the newest states of two changelogs, byte by byte as far as a hash tells. Blocks.
///
/// # Errors
/// When a topic is not there, or Kafka does not answer.
pub fn compare(
    kafka: &KafkaConfig,
    (first, second): (&str, &str),
    examples_max: usize,
) -> Result<Comparison, Error> {
    // One hasher for both.
    let hasher = RandomState::new();
    let first = newest(kafka, first, &hasher)?;
    let mut second = newest(kafka, second, &hasher)?;
    let mut comparison = Comparison::default();
    let mut examples = Vec::new();
    let mut tell = |key: &[u8], first: Option<Place>, second: Option<Place>| {
        let key = String::from_utf8_lossy(key).into_owned();
        examples.push(Example { key, first, second });
    };
    comparison.keys = first.len();
    for (key, (hash, place)) in &first {
        match second.remove(key) {
            Some((other, _)) if other == *hash => {}
            Some((_, other)) => {
                comparison.differing += 1;
                tell(key, Some(*place), Some(other));
            }
            None => {
                comparison.only_first += 1;
                tell(key, Some(*place), None);
            }
        }
    }
    comparison.only_second = second.len();
    comparison.keys += second.len();
    second.iter().for_each(|(key, (_, place))| tell(key, None, Some(*place)));
    examples.sort_unstable();
    examples.truncate(examples_max);
    Ok(Comparison { examples, ..comparison })
}

fn newest(kafka: &KafkaConfig, topic: &str, hasher: &RandomState) -> Result<Newest, Error> {
    let mut newest = Newest::with_hasher(hasher.clone());
    each_state(kafka, topic, |key, state, place| {
        match state {
            Some(state) => newest.insert(key.into(), (hasher.hash_one(state), place)),
            None => newest.remove(key),
        };
    })?;
    Ok(newest)
}

/// Reads a changelog from its beginning to where it ends now: each key with its state, none where it
/// is forgotten, and where that lies. A key may come more than once; its newest state comes last.
/// Blocks.
///
/// # Errors
/// When the topic is not there, or Kafka does not answer.
pub fn each_state(
    kafka: &KafkaConfig,
    topic: &str,
    mut take: impl FnMut(&[u8], Option<&[u8]>, Place),
) -> Result<(), Error> {
    let ends = Ends::new(kafka, topic)?;
    for partition in 0..partitions(kafka, topic)? {
        let number = i32::try_from(partition).unwrap_or(i32::MAX);
        let at = TopicPartition { topic: topic.to_owned(), partition: number };
        let reader = PartitionReader::new(kafka, at, QUEUE_BYTES)?;
        let bounds = ends.bounds(number, ASK_WAIT)?;
        ends.settled((number, bounds.1), QUIET_MAX, &|| false)?;
        reader.read(bounds, QUIET_MAX, &|| false, |message| {
            let offset = u64::try_from(message.offset()).unwrap_or_default();
            if let Change::State(key, state) = changelog::read(message.key(), message.value()) {
                take(key, state, Place { partition, offset });
            }
        })?;
    }
    Ok(())
}

fn partitions(kafka: &KafkaConfig, topic: &str) -> Result<u32, Error> {
    let thread = |source| Error::Thread { name: "asking for topics".to_owned(), source };
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(thread)?;
    let found = runtime.block_on(Admin::new(kafka, ASK_WAIT)?.partitions(topic))?;
    found.ok_or_else(|| Error::NoTopic(topic.to_owned()))
}
