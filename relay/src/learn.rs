//! Learns from the enriched clicks of before, so that a relay that starts suggests as one that has
//! run on, and from those of other relays, so that each knows what visitors do at all of them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use clickmill_kafka::{Class, Error, KafkaConfig, Message, Reader, ReaderConfig, StartAt, Step};
use clickmill_sdk_core::wire::{Consent, EventType, Millis, SessionId, Tenant};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::watch;
use tracing::{info, warn};

use crate::hints::hub::Hub;
use crate::react::React;
use crate::views::visitor::{self, Lesson};

/// How long the topic may take to be opened.
const OPEN_WAIT: Duration = Duration::from_secs(5);

/// After so long the topic is opened again. What was learned before teaches nothing then.
const AGAIN_AFTER: Duration = Duration::from_millis(500);

/// How long one look for records may take.
const POLL_WAIT: Duration = Duration::from_millis(50);

/// How often it is looked which partitions are decided elsewhere.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// What is learned from, and how much of it.
#[derive(Clone, Debug)]
pub struct Learning {
    /// How to reach Kafka.
    pub kafka: KafkaConfig,
    /// The topic of enriched clicks, in full.
    pub topic: String,
    /// Clicks of before, of each partition, that are read at the most.
    pub records_max: u32,
    /// Whether to go on with what other relays enrich.
    pub from_others: bool,
}

/// What an enriched click teaches.
#[derive(Debug)]
pub struct Taught {
    /// Whose.
    pub tenant: Tenant,
    /// When.
    pub time: Millis,
    /// What.
    pub lesson: Lesson,
    /// What its visitor said about personalization; none if nothing.
    pub personalization: Option<bool>,
}

/// The parts of an enriched click that teach.
#[derive(Deserialize)]
struct Read<'a> {
    tenant: Tenant,
    #[serde(rename = "type")]
    kind: EventType,
    time: Millis,
    #[serde(default)]
    context: ReadContext,
    #[serde(borrow, default)]
    props: Option<&'a RawValue>,
    #[serde(default)]
    enrichment: ReadEnrichment,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ReadContext {
    consent: Option<Consent>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ReadEnrichment {
    session: Option<SessionId>,
}

impl Taught {
    /// Reads an enriched click. What cannot be read teaches nothing.
    pub fn read(value: &[u8]) -> Option<Self> {
        let read: Read<'_> = serde_json::from_slice(value).ok()?;
        let props = read.props.map_or("{}", RawValue::get);
        Some(Self {
            tenant: read.tenant,
            time: read.time,
            lesson: visitor::lesson((read.kind.as_str(), props), read.enrichment.session)?,
            personalization: visitor::personalization(read.context.consent.as_ref()),
        })
    }
}

/// Learns from what lies in the topic, says so once that is done, and goes on with what others add.
/// Blocks until it is stopped. A relay can do without it, so nothing that goes wrong here holds it up.
pub fn learn(
    learning: &Learning,
    (react, hub): (&Arc<React>, &Hub),
    (is_stopped, learned): (&dyn Fn() -> bool, &watch::Sender<bool>),
) {
    while let Err(error) = follow(learning, (react, hub), (is_stopped, learned)) {
        warn!(%error, "enriched clicks cannot be learned from, and are opened again");
        if is_stopped() {
            return;
        }
        // Nobody unparks this thread.
        std::thread::park_timeout(AGAIN_AFTER);
    }
}

fn follow(
    learning: &Learning,
    (react, hub): (&Arc<React>, &Hub),
    (is_stopped, learned): (&dyn Fn() -> bool, &watch::Sender<bool>),
) -> Result<(), Error> {
    let config = ReaderConfig {
        from: StartAt::Tail(learning.records_max),
        ..ReaderConfig::new(learning.topic.clone())
    };
    let mut reader = Reader::open(&learning.kafka, &config, OPEN_WAIT)?;
    let (started, mut records) = (Instant::now(), 0_u64);
    let mut looked = started;
    while !is_stopped() {
        if reader.is_caught_up() && looked.elapsed() >= LOOK_EVERY {
            looked = Instant::now();
            // What is decided here is learned as it is decided.
            reader.keep_to(&|partition| !decides(hub, partition))?;
        }
        match reader.poll(POLL_WAIT) {
            Ok(Step::CaughtUp) => {
                info!(records, took_ms = started.elapsed().as_millis(), "learned");
                learned.send_replace(true);
                if !learning.from_others {
                    break;
                }
            }
            Ok(Step::Idle) => {}
            Ok(Step::Message(message)) => {
                records += 1;
                if let Some(taught) = teaches(&message).then(|| message.value()).flatten() {
                    Taught::read(taught).iter().for_each(|taught| react.recall_lesson(taught));
                }
            }
            Err(error) if error.class() == Class::Fatal => return Err(error),
            Err(error) => warn!(%error, "reading enriched clicks is held up"),
        }
    }
    Ok(())
}

/// Whether it is worth reading: most events teach nothing, and their headers say so.
fn teaches(message: &Message<'_>) -> bool {
    let kind = message.header("ce_type").and_then(|kind| std::str::from_utf8(kind).ok());
    kind.is_none_or(visitor::may_teach)
}

/// The topic of enriched clicks has the partitions of the raw one.
fn decides(hub: &Hub, partition: i32) -> bool {
    u32::try_from(partition).is_ok_and(|partition| hub.epoch(partition).is_some())
}
