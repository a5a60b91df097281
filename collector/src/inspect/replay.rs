//! Replay: judges dead letters again by the schemas as they are now, and puts through what is good.
//!
//! What is put through is the record that the event would have become when it arrived: the letter
//! keeps how it came, so id, time, key and `received_at` are those of then. Its age is that at its
//! arrival, so a letter does not grow too old by waiting. What is still bad stays where it is.
//!
//! Each run puts an event through once: what lies in the topic already since the first of these
//! letters was written is left out. Two runs at the same time do not see each other.

mod judge;
mod letters;
mod options;
mod tally;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use clickmill_kafka::{Reader, ReaderConfig, StartAt, Step};
use clickmill_sdk_core::wire::Topic;
use clickmill_server::clock::{SharedClock, SystemClock};
use clickmill_server::metrics::{Metrics, MetricsError};
use tokio::runtime::Handle;
use tokio::time::Instant;

use self::judge::Judge;
use self::letters::{Goods, Id, collect};
pub use self::options::ReplayOptions;
pub use self::tally::Tally;
use crate::config::{BadConfig, Config};
use crate::metrics::TABLE;
use crate::run::{self, RunError};
use crate::sink::{KafkaSettings, KafkaSink, Message, Sink};

/// How many records are handed over at once.
const BATCH_RECORDS: usize = 500;

/// How long Kafka may tell nothing while a topic is read.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// What is fetched ahead, in bytes.
const QUEUE_BYTES_MAX: u64 = 16 << 20;

/// Why a replay ended early.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The configuration, its schemas or the producer.
    #[error(transparent)]
    Start(#[from] RunError),
    /// Reading a topic.
    #[error("kafka: {0}")]
    Kafka(#[from] clickmill_kafka::Error),
    /// Kafka is silent.
    #[error("kafka: nothing came of {topic} for {SILENCE_MAX:?}")]
    Silent {
        /// The topic.
        topic: String,
    },
    /// The runtime ended.
    #[error("the replay was interrupted")]
    Interrupted,
}

impl From<BadConfig> for ReplayError {
    fn from(error: BadConfig) -> Self {
        Self::Start(error.into())
    }
}

impl From<MetricsError> for ReplayError {
    fn from(error: MetricsError) -> Self {
        Self::Start(error.into())
    }
}

/// Puts dead letters through again; from where the options say to the topic's end as it is now.
///
/// # Errors
/// When it cannot start, or when Kafka cannot be read. What Kafka did not take is in the tally.
pub async fn replay(config: Config, options: ReplayOptions) -> Result<Tally, ReplayError> {
    config.check()?;
    let metrics = Metrics::new(TABLE)?;
    let clock: SharedClock = SystemClock::shared();
    let schemas = run::open_schemas(&config).await?;
    // It need not be kept fresh, but what was mended just now must be there.
    run::open_registry(&config, Duration::MAX, &schemas, (&clock, &metrics)).await?;
    let settings = KafkaSettings {
        kafka: config.kafka.clone(),
        producer: config.producer.clone(),
        topic_prefix: config.topic_prefix.clone(),
    };
    let sink = KafkaSink::new(settings, metrics)?;
    let judge = Judge::new(&config, schemas.load(), clock.now_ms());
    let replay =
        Replay { config, options, judge, sink: Arc::new(sink), runtime: Handle::current() };
    // Reading blocks.
    let ended = tokio::task::spawn_blocking(move || replay.run(clock.now_ms())).await;
    ended.map_err(|_| ReplayError::Interrupted)?
}

struct Replay {
    config: Config,
    options: ReplayOptions,
    judge: Judge,
    sink: Arc<dyn Sink>,
    runtime: Handle,
}

impl Replay {
    fn run(&self, now_ms: u64) -> Result<Tally, ReplayError> {
        let mut tally = Tally::default();
        let from = self.options.since_ms(now_ms).map_or(StartAt::Beginning, StartAt::Time);
        let mut goods = Goods::default();
        self.read(Topic::ClicksRejected, from, |message| {
            let want = &self.options;
            collect(message, want, &self.judge, (&mut goods, &mut tally))
        })?;
        let there = self.lying(&goods)?;
        let messages = goods.without(&there);
        tally.there = there.len();
        if self.options.dry_run {
            tally.replayed = messages.len();
        } else {
            self.produce(messages, &mut tally);
        }
        Ok(tally)
    }

    /// Which of them lie in their topics already.
    fn lying(&self, goods: &Goods) -> Result<HashSet<Id>, ReplayError> {
        let mut there = HashSet::new();
        for topic in goods.topics() {
            let from = StartAt::Time(goods.oldest_ms());
            self.read(topic, from, |message| {
                there.extend(letters::id_of(message).filter(|id| goods.has(id)));
                true
            })?;
        }
        Ok(there)
    }

    /// Hands each record to `each` until the topic's end as it is now, or until that has enough.
    fn read(
        &self,
        topic: Topic,
        from: StartAt,
        mut each: impl FnMut(&clickmill_kafka::Message<'_>) -> bool,
    ) -> Result<(), ReplayError> {
        let name = topic.name(&self.config.topic_prefix);
        let reading = ReaderConfig {
            from,
            queue_bytes_max: QUEUE_BYTES_MAX,
            ..ReaderConfig::new(name.clone())
        };
        let mut reader = Reader::open(&self.config.kafka, &reading, SILENCE_MAX)?;
        loop {
            match reader.poll(SILENCE_MAX) {
                Ok(Step::CaughtUp) => return Ok(()),
                Ok(Step::Message(message)) => {
                    if !each(&message) {
                        return Ok(());
                    }
                }
                Ok(Step::Idle) => return Err(ReplayError::Silent { topic: name }),
                Err(error) if error.class() == clickmill_kafka::Class::Retriable => {
                    tracing::warn!(%error, "reading goes on");
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn produce(&self, messages: Vec<Message>, tally: &mut Tally) {
        let mut left = messages.into_iter().peekable();
        while left.peek().is_some() {
            let batch: Vec<Message> = left.by_ref().take(BATCH_RECORDS).collect();
            for delivered in self.runtime.block_on(self.sink.hand_over(batch)) {
                match delivered {
                    Ok(_) => tally.replayed += 1,
                    Err(_) => tally.failed += 1,
                }
            }
        }
        // All have their outcome; this only lets the producer go in order.
        let _ = self.runtime.block_on(self.sink.flush(Instant::now() + SILENCE_MAX));
    }
}
