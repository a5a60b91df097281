//! The transactions of a running view: one is filled while those before are committed.
//!
//! What is to be committed is gathered first, and then handed to Kafka, committed and waited for on
//! threads of their own: whoever folds never waits for Kafka. The records of one transaction are
//! handed over only after those of the one before were acknowledged, so a key's records keep their
//! order, and it is ended only after the one before was committed, so offsets and states do, too.
//! Between the two, one transaction ends while the next one's records are on their way.
//!
//! Three producers take turns. A producer that begins a transaction right after its last one
//! stalls for 100 ms, since the broker is still ending that one; one that has rested for a turn
//! does not.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel};
use std::time::{Duration, Instant};

use clickmill_kafka::{
    Class, Failure, GroupMetadata, KafkaConfig, NextOffset, Outgoing, TransactionConfig,
    TransactionalProducer,
};
use metrics::Counter;
use tracing::warn;

use crate::changelog;
use crate::store::Entry;
use crate::turns::Turns;
use crate::{Advert, At, Error, Produce};

/// When transactions are committed.
#[derive(Clone, Copy, Debug)]
pub struct Pacing {
    /// The shortest time that a transaction is filled: the one that holds while there is nothing
    /// more to read. It is filled for longer while the records of the one before are delivered.
    pub every_min: Duration,
    /// The longest time: the one that holds while there is more to read.
    pub every_max: Duration,
    /// A transaction with so many records is committed at once.
    pub records_max: usize,
}

impl Default for Pacing {
    fn default() -> Self {
        Self {
            every_min: Duration::from_millis(5),
            every_max: Duration::from_millis(100),
            records_max: 10_000,
        }
    }
}

/// What is handed to Kafka at once, and acknowledged before there is more, is this part of the
/// largest request. While a partition has a request on its way and more to send, the thread of
/// librdkafka that sends runs in circles at full speed (seen with perf: half of all that a view
/// cost), so no partition is given more than one request can hold.
const ROUND_SHARE: usize = 10;

/// What librdkafka adds to a record of ours when it reckons a request's size, at the most.
const RECORD_BYTES: usize = 96;

/// What one partition adds to a transaction.
#[derive(Debug, Default)]
pub(crate) struct Part {
    pub(crate) partition: u32,
    /// The epoch of its task, where that begins.
    pub(crate) epoch: Option<u64>,
    /// What was said about its records.
    pub(crate) outputs: Vec<(At, Produce)>,
    /// What its keys' states became.
    pub(crate) states: Vec<Entry>,
}

/// A transaction that is full.
#[derive(Debug)]
pub(crate) struct Filled {
    pub(crate) parts: Vec<Part>,
    /// How far the group has read with it.
    pub(crate) next: Vec<NextOffset>,
    pub(crate) group: GroupMetadata,
    /// How many outputs are in it.
    pub(crate) outputs: u64,
}

/// Says what to write instead of a record that Kafka never takes.
pub(crate) type Instead = Box<dyn Fn(At, &str) -> Option<Produce> + Send + Sync>;

/// Where a view's transactions go.
pub(crate) struct Target {
    pub(crate) kafka: KafkaConfig,
    pub(crate) transaction: TransactionConfig,
    pub(crate) changelog: String,
    /// Where the owner of a partition makes itself known.
    pub(crate) advert: Option<Advert>,
    pub(crate) instead: Instead,
    /// Counts states that Kafka never takes.
    pub(crate) poisoned: Counter,
}

/// Transactions that may be on their way: one that ends, and one whose records are delivered.
const UNDER_WAY_MAX: u64 = 2;

/// Producers that take turns: one more than are at work, so that each rests.
const PRODUCERS: usize = 3;

/// The transaction that is being filled, and the threads that commit those before.
pub(crate) struct Transactions {
    pacing: Pacing,
    /// How long Kafka may take for anything.
    wait: Duration,
    filling: Option<Filling>,
    /// Transactions that were closed, and those of them that have ended.
    closed: u64,
    ended: u64,
    turns: Arc<Turns>,
    /// To each producer's thread.
    jobs: Vec<Sender<(u64, Filled)>>,
    outcomes: Receiver<Result<Committed, Error>>,
}

struct Filling {
    since: Instant,
    records: usize,
}

/// A transaction that was committed.
#[derive(Clone, Debug)]
pub(crate) struct Committed {
    /// By whom.
    pub(crate) producer: Arc<TransactionalProducer>,
    /// How many outputs were in it.
    pub(crate) outputs: u64,
}

impl Transactions {
    /// Makes the producers, which ends whatever former ones of these ids left open.
    pub(crate) fn start(target: Target, pacing: Pacing) -> Result<Self, Error> {
        let wait = Duration::from_millis(target.transaction.timeout_ms.into());
        let (turns, target) = (Arc::new(Turns::default()), Arc::new(target));
        let (tell, outcomes) = channel();
        let mut jobs = Vec::with_capacity(PRODUCERS);
        for (n, producer) in producers(&target, wait)?.into_iter().enumerate() {
            let (hand_over, to_do) = channel::<(u64, Filled)>();
            jobs.push(hand_over);
            let committing = Committing {
                producer: Arc::new(producer),
                target: Arc::clone(&target),
                turns: Arc::clone(&turns),
                wait,
            };
            let leaving = Leaving { turns: Arc::clone(&turns), tell: tell.clone() };
            let name = format!("commit-{n}");
            std::thread::Builder::new()
                .name(name.clone())
                .spawn(move || {
                    for (turn, filled) in to_do {
                        let outcome = committing.run(turn, filled);
                        if outcome.is_err() {
                            leaving.turns.give_up();
                        }
                        if leaving.tell.send(outcome).is_err() {
                            return;
                        }
                    }
                })
                .map_err(|source| Error::Thread { name, source })?;
        }
        Ok(Self { pacing, wait, filling: None, closed: 0, ended: 0, turns, jobs, outcomes })
    }

    /// Notes that so many records more are to be committed.
    pub(crate) fn fill(&mut self, records: usize) {
        let since = Instant::now;
        let filling = self.filling.get_or_insert_with(|| Filling { since: since(), records: 0 });
        filling.records += records;
    }

    /// Whether the transaction that is being filled should be closed now. `is_behind`: there is more
    /// to read. `alone`: no other may be under way.
    pub(crate) fn is_due(&self, now: Instant, (is_behind, alone): (bool, bool)) -> bool {
        let Pacing { every_min, every_max, records_max } = self.pacing;
        let every = if is_behind { every_max } else { every_min };
        let under_way_max = if alone { 1 } else { UNDER_WAY_MAX };
        // Before the last one's records are delivered it would only wait, and take no more in.
        let has_way = self.under_way() < under_way_max && self.turns.delivered() >= self.closed;
        has_way
            && self.filling.as_ref().is_some_and(|filling| {
                filling.records >= records_max || now.duration_since(filling.since) >= every
            })
    }

    /// Whether so much waits for running commits that reading must wait for them, too.
    pub(crate) fn is_full(&self) -> bool {
        let is_full = |filling: &Filling| filling.records >= self.pacing.records_max;
        self.is_committing() && self.filling.as_ref().is_some_and(is_full)
    }

    pub(crate) fn is_filling(&self) -> bool {
        self.filling.is_some()
    }

    pub(crate) fn is_committing(&self) -> bool {
        self.under_way() > 0
    }

    fn under_way(&self) -> u64 {
        self.closed - self.ended
    }

    /// Has a transaction committed, after those that are under way.
    pub(crate) fn close(&mut self, filled: Filled) -> Result<(), Error> {
        self.filling = None;
        self.closed += 1;
        let job = (self.closed, filled);
        let thread = &self.jobs[self.closed as usize % self.jobs.len()];
        thread.send(job).map_err(|_| Error::Broken("commit".to_owned()))
    }

    /// What became of the oldest commit that is under way, once that is known; waits for it up to
    /// `wait`.
    pub(crate) fn ended(&mut self, wait: Duration) -> Result<Option<Committed>, Error> {
        if !self.is_committing() {
            return Ok(None);
        }
        // They end in their order.
        let outcome = match self.outcomes.try_recv() {
            Err(TryRecvError::Empty) if wait.is_zero() => return Ok(None),
            Err(TryRecvError::Empty) => match self.outcomes.recv_timeout(wait) {
                Err(RecvTimeoutError::Timeout) => return Ok(None),
                Err(RecvTimeoutError::Disconnected) => Err(Error::Broken("commit".to_owned())),
                Ok(outcome) => outcome,
            },
            Err(TryRecvError::Disconnected) => Err(Error::Broken("commit".to_owned())),
            Ok(outcome) => outcome,
        };
        let committed = outcome?;
        self.ended += 1;
        Ok(Some(committed))
    }

    /// How long a call may take.
    pub(crate) fn wait(&self) -> Duration {
        self.wait
    }
}

impl Drop for Transactions {
    fn drop(&mut self) {
        // What has not begun to end must not: nobody takes note of it any more.
        self.turns.give_up();
    }
}

/// A thread that ends, for whatever reason: nobody must wait for it.
struct Leaving {
    turns: Arc<Turns>,
    tell: Sender<Result<Committed, Error>>,
}

impl Drop for Leaving {
    fn drop(&mut self) {
        self.turns.give_up();
        // Usually everybody has left already.
        let _ = self.tell.send(Err(Error::Broken("commit".to_owned())));
    }
}

/// Makes all at once: after a crash each may wait for the broker to end what was left open.
fn producers(target: &Target, wait: Duration) -> Result<Vec<TransactionalProducer>, Error> {
    let make = |n: usize| {
        let id = format!("{}-{n}", target.transaction.id);
        let config = TransactionConfig { id, ..target.transaction.clone() };
        TransactionalProducer::new(&target.kafka, &config, wait)
    };
    std::thread::scope(|scope| {
        let making: Vec<_> = (0..PRODUCERS).map(|n| scope.spawn(move || make(n))).collect();
        let made = making.into_iter().map(|making| {
            making.join().map_err(|_| Error::Broken("a producer".to_owned()))?.map_err(Error::from)
        });
        made.collect()
    })
}

/// One of the producers, on the thread that waits for Kafka.
struct Committing {
    producer: Arc<TransactionalProducer>,
    target: Arc<Target>,
    turns: Arc<Turns>,
    wait: Duration,
}

impl Committing {
    /// Commits a transaction from its beginning to its end.
    fn run(&self, turn: u64, filled: Filled) -> Result<Committed, Error> {
        let producer = &self.producer;
        let Filled { parts, next, group, outputs } = filled;
        let mut left: Vec<Left> = parts.into_iter().map(Left::from).collect();
        self.turns.wait_to_deliver(turn)?;
        producer.begin().map_err(Error::Transaction)?;
        while !left.is_empty() {
            for part in &mut left {
                self.put_round(producer, part)?;
            }
            producer.settle(Instant::now() + self.wait).map_err(Error::Transaction)?;
            left.retain(|part| !part.is_empty());
        }
        self.turns.has_delivered(turn);
        self.turns.wait_to_end(turn)?;
        producer.send_offsets(&next, &group, self.wait).map_err(Error::Transaction)?;
        producer.commit(self.wait).map_err(Error::Transaction)?;
        self.turns.has_ended(turn);
        Ok(Committed { producer: Arc::clone(producer), outputs })
    }

    /// Hands over what fits one request of outputs, and one of states.
    fn put_round(&self, producer: &TransactionalProducer, left: &mut Left) -> Result<(), Error> {
        let request_bytes = self.target.transaction.producer.record_bytes_max as usize;
        let round_bytes = request_bytes - request_bytes / ROUND_SHARE;
        if let Some(epoch) = left.epoch.take() {
            self.put_epoch(producer, (left.partition, epoch))?;
        }
        let mut bytes = 0;
        while bytes < round_bytes
            && let Some((at, record)) = left.outputs.next()
        {
            bytes += RECORD_BYTES + record.bytes();
            self.put_output(producer, at, &record)?;
        }
        let mut bytes = 0;
        while bytes < round_bytes
            && let Some(Entry { key, bytes: state, touched_ms }) = left.states.next()
        {
            let state = state.as_deref();
            bytes += RECORD_BYTES + key.len() + state.map_or(0, <[u8]>::len);
            let at = (self.target.changelog.as_str(), left.partition);
            let record = changelog::state(at, (&key, state), touched_ms);
            if put(producer, &record, Some(left.partition as usize))?.is_err() {
                self.target.poisoned.increment(1);
                warn!(partition = left.partition, "a state is too large for the changelog");
            }
        }
        Ok(())
    }

    /// A record that Kafka never takes must not hold up the others.
    fn put_output(
        &self,
        producer: &TransactionalProducer,
        at: At,
        record: &Produce,
    ) -> Result<(), Error> {
        if put(producer, &record.outgoing(), None)?.is_ok() {
            return Ok(());
        }
        if let Some(letter) = (self.target.instead)(at, &record.topic)
            && let Err(failure) = put(producer, &letter.outgoing(), None)?
        {
            warn!(topic = %letter.topic, %failure, "a dead letter is lost");
        }
        Ok(())
    }

    fn put_epoch(
        &self,
        producer: &TransactionalProducer,
        (partition, epoch): (u32, u64),
    ) -> Result<(), Error> {
        let value = changelog::task(epoch);
        let record = Outgoing {
            topic: &self.target.changelog,
            key: Some(changelog::TASK_KEY),
            value: Some(&value),
            partition: i32::try_from(partition).ok(),
            ..Outgoing::default()
        };
        let output = |topic: &str, failure| Error::Output { topic: topic.to_owned(), failure };
        put(producer, &record, Some(partition as usize))?
            .map_err(|failure| output(&self.target.changelog, failure))?;
        let Some(advert) = &self.target.advert else { return Ok(()) };
        let (key, value) = advert.row((partition, epoch));
        let record = Outgoing {
            topic: &advert.topic,
            key: Some(key.as_bytes()),
            value: Some(&value),
            ..Outgoing::default()
        };
        put(producer, &record, None)?.map_err(|failure| output(&advert.topic, failure))
    }
}

/// What of a part is not handed over yet.
struct Left {
    partition: u32,
    epoch: Option<u64>,
    outputs: std::vec::IntoIter<(At, Produce)>,
    states: std::vec::IntoIter<Entry>,
}

impl Left {
    fn is_empty(&self) -> bool {
        self.outputs.len() == 0 && self.states.len() == 0
    }
}

impl From<Part> for Left {
    fn from(part: Part) -> Self {
        let Part { partition, epoch, outputs, states } = part;
        Self { partition, epoch, outputs: outputs.into_iter(), states: states.into_iter() }
    }
}

/// Hands a record in. [`Class::TooLarge`] leaves it out and the transaction whole.
fn put(
    producer: &TransactionalProducer,
    record: &Outgoing<'_>,
    mark: Option<usize>,
) -> Result<Result<(), Failure>, Error> {
    match producer.put(record, mark) {
        Ok(()) => Ok(Ok(())),
        Err(failure) if failure.class == Class::TooLarge => Ok(Err(failure)),
        Err(failure) => Err(Error::Output { topic: record.topic.to_owned(), failure }),
    }
}
