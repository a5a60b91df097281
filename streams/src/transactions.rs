//! The transactions of a running view: one is filled while the one before is committed.
//!
//! What is to be committed is gathered first, and then handed to Kafka, committed and waited for on
//! a thread of its own: whoever folds never waits for Kafka. The records of one transaction are
//! handed over only after the one before was committed, so a key's records keep their order.
//!
//! Two producers take turns. A producer that begins a transaction right after the last one stalls
//! for 100 ms, since the broker is still ending that one; the other producer does not.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::time::{Duration, Instant};

use clickmill_kafka::{
    Class, Failure, GroupMetadata, KafkaConfig, NextOffset, Outgoing, TransactionConfig,
    TransactionalProducer,
};
use metrics::{Counter, Histogram};
use tracing::warn;

use crate::changelog;
use crate::states::Sealed;
use crate::{Advert, At, Error, Produce};

/// When transactions are committed.
#[derive(Clone, Copy, Debug)]
pub struct Pacing {
    /// The shortest time that a transaction is filled: the one that holds while there is nothing
    /// more to read. A commit that takes longer makes the next transaction as long.
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

/// How long each step of a commit takes, s.
#[derive(Clone, Debug)]
pub struct StepMeters {
    /// Handing the records to the producer, as many as are sent at once.
    pub hand_over: Histogram,
    /// Having the group's coordinator take the offsets, while the records are on their way.
    pub offsets: Histogram,
    /// From then on until the brokers have acknowledged all records.
    pub settle: Histogram,
    /// Having the transaction's coordinator end it.
    pub end: Histogram,
}

impl StepMeters {
    /// Counts nothing.
    pub(crate) fn noop() -> Self {
        let histogram = Histogram::noop;
        Self { hand_over: histogram(), offsets: histogram(), settle: histogram(), end: histogram() }
    }
}

/// What is handed to Kafka at once, and acknowledged before there is more, is this part of the
/// largest request. While a partition has a request on its way and more to send, the thread of
/// librdkafka that sends runs in circles at full speed (seen with perf: half of all that a view
/// cost), so no partition is given more than one request can hold.
const ROUND_SHARE: usize = 10;

/// The steps of a commit that may each take as long as Kafka may take for anything: the offsets, the
/// records, the end.
const COMMIT_STEPS: u32 = 3;

/// A commit may take this part of the time that its group waits for a poll: nobody polls while the next
/// transaction is full, nor while all begins anew after it was given up.
const POLL_SHARE: u32 = 2;

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
    pub(crate) states: Sealed,
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
pub(crate) type Instead = Box<dyn Fn(At, &str) -> Option<Produce> + Send>;

/// Where a view's transactions go.
pub(crate) struct Target {
    pub(crate) kafka: KafkaConfig,
    pub(crate) transaction: TransactionConfig,
    /// How long the group waits for whoever reads for it.
    pub(crate) poll_interval_max: Duration,
    pub(crate) changelog: String,
    /// Where the owner of a partition makes itself known.
    pub(crate) advert: Option<Advert>,
    pub(crate) instead: Instead,
    /// Counts states that Kafka never takes.
    pub(crate) poisoned: Counter,
    pub(crate) steps: StepMeters,
}

impl Target {
    /// How long Kafka may take for anything.
    pub(crate) fn wait(&self) -> Duration {
        Duration::from_millis(self.transaction.timeout_ms.into())
    }
}

/// How long a commit may be.
fn commit_max(wait: Duration, poll_interval_max: Duration) -> Duration {
    (wait * COMMIT_STEPS).min(poll_interval_max / POLL_SHARE)
}

/// Two producers that have reached Kafka, and taken nothing over yet.
#[derive(Debug)]
pub(crate) struct Pair([TransactionalProducer; 2]);

impl Pair {
    pub(crate) fn connect(target: &Target) -> Result<Self, Error> {
        let (Target { kafka, transaction, .. }, wait) = (target, target.wait());
        let make = |n: usize| {
            let id = format!("{}-{n}", transaction.id);
            let config = TransactionConfig { id, ..transaction.clone() };
            TransactionalProducer::connect(kafka, &config, wait)
        };
        let (one, other) = both(|| make(0), || make(1))?;
        Ok(Self([one?, other?]))
    }

    /// After a crash each may wait for the broker to end what was left open.
    fn take_over(self, wait: Duration) -> Result<[Arc<TransactionalProducer>; 2], Error> {
        let Self([one, other]) = self;
        let (first, second) = both(|| one.take_over(wait), || other.take_over(wait))?;
        first?;
        second?;
        Ok([Arc::new(one), Arc::new(other)])
    }
}

/// Does both at once.
pub(crate) fn both<T, U: Send>(
    one: impl FnOnce() -> T,
    other: impl FnOnce() -> U + Send,
) -> Result<(T, U), Error> {
    std::thread::scope(|scope| {
        let other = scope.spawn(other);
        let one = one();
        let other = other.join().map_err(|_| Error::Broken("a thread".to_owned()))?;
        Ok((one, other))
    })
}

/// The transaction that is being filled, and the thread that commits the one before.
pub(crate) struct Transactions {
    pacing: Pacing,
    filling: Option<Filling>,
    /// Since when a commit is on its way.
    committing: Option<Instant>,
    /// How long one may be.
    commit_max: Duration,
    jobs: SyncSender<Filled>,
    ended: Receiver<Result<Committed, Error>>,
}

struct Filling {
    since: Instant,
    records: usize,
    /// Whether somebody has waited long enough for it.
    is_urgent: bool,
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
    /// Has both producers take over, which ends whatever former ones of these ids left open.
    pub(crate) fn start(pair: Pair, target: Target, pacing: Pacing) -> Result<Self, Error> {
        let wait = target.wait();
        let commit_max = commit_max(wait, target.poll_interval_max);
        let mut committing = Committing::start(pair, target, wait)?;
        let (jobs, to_do) = sync_channel(1);
        let (done, ended) = sync_channel(1);
        let name = "commit".to_owned();
        std::thread::Builder::new()
            .name(name.clone())
            .spawn(move || {
                for filled in to_do {
                    if done.send(committing.run(filled)).is_err() {
                        return;
                    }
                }
            })
            .map_err(|source| Error::Thread { name, source })?;
        Ok(Self { pacing, filling: None, committing: None, commit_max, jobs, ended })
    }

    /// Notes that so many records more are to be committed.
    pub(crate) fn fill(&mut self, records: usize) {
        let since = Instant::now;
        let empty = || Filling { since: since(), records: 0, is_urgent: false };
        self.filling.get_or_insert_with(empty).records += records;
    }

    /// Has what is filled so far committed soon, whatever there is to read.
    pub(crate) fn hurry(&mut self) {
        if let Some(filling) = &mut self.filling {
            filling.is_urgent = true;
        }
    }

    /// Whether the transaction that is being filled should be closed now. `is_behind`: there is more
    /// to read.
    pub(crate) fn is_due(&self, now: Instant, is_behind: bool) -> bool {
        let Pacing { every_min, every_max, records_max } = self.pacing;
        !self.is_committing()
            && self.filling.as_ref().is_some_and(|filling| {
                let every = if is_behind && !filling.is_urgent { every_max } else { every_min };
                filling.records >= records_max || now.duration_since(filling.since) >= every
            })
    }

    /// Whether so much waits for the running commit that reading must wait for it, too.
    pub(crate) fn is_full(&self) -> bool {
        let is_full = |filling: &Filling| filling.records >= self.pacing.records_max;
        self.is_committing() && self.filling.as_ref().is_some_and(is_full)
    }

    pub(crate) fn is_filling(&self) -> bool {
        self.filling.is_some()
    }

    pub(crate) fn is_committing(&self) -> bool {
        self.committing.is_some()
    }

    /// Has a transaction committed. No other may be on its way.
    pub(crate) fn close(&mut self, filled: Filled) -> Result<(), Error> {
        self.filling = None;
        self.committing = Some(Instant::now());
        self.jobs.send(filled).map_err(|_| Error::Broken("commit".to_owned()))
    }

    /// What became of the commit that is on its way, once that is known.
    ///
    /// One that has not ended in its time is given up: whoever begins anew fences it. librdkafka (2.12)
    /// notes until when the group's coordinator may take the offsets and never reads that: where its
    /// broker cannot be reached, sending them waits until some connection changes.
    pub(crate) fn ended(&mut self, now: Instant) -> Result<Option<Committed>, Error> {
        let Some(since) = self.committing else { return Ok(None) };
        let committed = match self.ended.try_recv() {
            Err(TryRecvError::Empty) if now.duration_since(since) > self.commit_max => {
                return Err(Error::Overdue(self.commit_max));
            }
            Err(TryRecvError::Empty) => return Ok(None),
            Err(TryRecvError::Disconnected) => Err(Error::Broken("commit".to_owned())),
            Ok(ended) => ended,
        }?;
        self.committing = None;
        Ok(Some(committed))
    }
}

/// The two producers, on the thread that waits for Kafka.
struct Committing {
    pair: [Arc<TransactionalProducer>; 2],
    turn: usize,
    wait: Duration,
    changelog: String,
    advert: Option<Advert>,
    instead: Instead,
    poisoned: Counter,
    steps: StepMeters,
    round_bytes: usize,
}

impl Committing {
    fn start(pair: Pair, target: Target, wait: Duration) -> Result<Self, Error> {
        let Target { transaction, changelog, advert, instead, poisoned, steps, .. } = target;
        let request_bytes = transaction.producer.record_bytes_max as usize;
        let round_bytes = request_bytes - request_bytes / ROUND_SHARE;
        let pair = pair.take_over(wait)?;
        let turn = 0;
        Ok(Self { pair, turn, wait, changelog, advert, instead, poisoned, steps, round_bytes })
    }

    /// Commits a transaction from its beginning to its end.
    fn run(&mut self, filled: Filled) -> Result<Committed, Error> {
        let producer = Arc::clone(&self.pair[self.turn]);
        self.turn = 1 - self.turn;
        let Filled { parts, next, group, outputs } = filled;
        let mut began = Instant::now();
        let mut done = |step: &Histogram| {
            let now = Instant::now();
            step.record(now.duration_since(std::mem::replace(&mut began, now)));
        };
        producer.begin().map_err(Error::Transaction)?;
        let mut left: Vec<Left> = parts.into_iter().map(Left::from).collect();
        self.put_rounds(&producer, &mut left)?;
        done(&self.steps.hand_over);
        // While the first records are on their way: it is the coordinators that are asked.
        producer.send_offsets(&next, &group, self.wait).map_err(Error::Transaction)?;
        done(&self.steps.offsets);
        while !left.is_empty() {
            producer.settle(Instant::now() + self.wait).map_err(Error::Transaction)?;
            left.retain(|part| !part.is_empty());
            self.put_rounds(&producer, &mut left)?;
        }
        done(&self.steps.settle);
        producer.commit(self.wait).map_err(Error::Transaction)?;
        done(&self.steps.end);
        Ok(Committed { producer, outputs })
    }

    fn put_rounds(&self, producer: &TransactionalProducer, left: &mut [Left]) -> Result<(), Error> {
        left.iter_mut().try_for_each(|part| self.put_round(producer, part))
    }

    /// Hands over what fits one request of outputs, and one of states.
    fn put_round(&self, producer: &TransactionalProducer, left: &mut Left) -> Result<(), Error> {
        if let Some(epoch) = left.epoch.take() {
            self.put_epoch(producer, (left.partition, epoch))?;
        }
        let mut bytes = 0;
        while bytes < self.round_bytes
            && let Some((at, record)) = left.outputs.next()
        {
            bytes += RECORD_BYTES + record.bytes();
            self.put_output(producer, at, &record)?;
        }
        let mut bytes = 0;
        while bytes < self.round_bytes
            && let Some((key, state, touched_ms)) = left.states.get(left.states_put)
        {
            left.states_put += 1;
            bytes += RECORD_BYTES + key.len() + state.map_or(0, <[u8]>::len);
            let at = (self.changelog.as_str(), left.partition);
            let record = changelog::state(at, (key, state), touched_ms);
            if put(producer, &record, Some(left.partition as usize))?.is_err() {
                self.poisoned.increment(1);
                // It was looked at when it was sealed.
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
        if let Some(letter) = (self.instead)(at, &record.topic)
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
            topic: &self.changelog,
            key: Some(changelog::TASK_KEY),
            value: Some(&value),
            partition: i32::try_from(partition).ok(),
            ..Outgoing::default()
        };
        let output = |topic: &str, failure| Error::Output { topic: topic.to_owned(), failure };
        put(producer, &record, Some(partition as usize))?
            .map_err(|failure| output(&self.changelog, failure))?;
        let Some(advert) = &self.advert else { return Ok(()) };
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
    states: Sealed,
    /// How many of them were handed over.
    states_put: usize,
}

impl Left {
    fn is_empty(&self) -> bool {
        self.outputs.len() == 0 && self.states_put == self.states.len()
    }
}

impl From<Part> for Left {
    fn from(part: Part) -> Self {
        let Part { partition, epoch, outputs, states } = part;
        Self { partition, epoch, outputs: outputs.into_iter(), states, states_put: 0 }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_is_given_up_before_the_group_gives_us_up() {
        let seconds = Duration::from_secs;
        assert_eq!(commit_max(seconds(10), seconds(60)), seconds(30));
        assert_eq!(commit_max(seconds(5), seconds(60)), seconds(15));
        assert_eq!(commit_max(seconds(60), seconds(60)), seconds(30));
    }

    #[test]
    fn a_commit_that_does_not_end_in_its_time_is_given_up() {
        let commit_max = Duration::from_secs(30);
        let (jobs, _to_do) = sync_channel(1);
        let (done, ended) = sync_channel(1);
        let (began, pacing) = (Instant::now(), Pacing::default());
        let committing = Some(began);
        let mut transactions =
            Transactions { pacing, filling: None, committing, commit_max, jobs, ended };
        assert!(matches!(transactions.ended(began + commit_max), Ok(None)));
        let late = began + commit_max + Duration::from_millis(1);
        assert!(matches!(transactions.ended(late), Err(Error::Overdue(max)) if max == commit_max));
        // What it says at last is heard by nobody then.
        drop(transactions);
        assert!(done.send(Err(Error::Lost)).is_err());
    }
}
