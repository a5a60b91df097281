//! The transactions of a running view: one is filled while the one before is committed.
//!
//! Two producers take turns. A producer that begins a transaction right after the last one stalls
//! for 100 ms, since the broker is still ending that one; the other producer does not. The order
//! of a key's records holds all the same: a transaction is filled only after all records of the
//! one before were acknowledged.
//!
//! Committing blocks, so a thread does it.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, sync_channel};
use std::time::{Duration, Instant};

use clickmill_kafka::{
    Class, Failure, GroupMetadata, KafkaConfig, NextOffset, Outgoing, TransactionConfig,
    TransactionalProducer,
};

use crate::Error;

/// When transactions are committed.
#[derive(Clone, Copy, Debug)]
pub struct Pacing {
    /// The shortest and the longest time that a transaction is filled. In between it is twice as
    /// long as the last commit took: quick on a quiet cluster, larger on a busy one.
    pub every_min: Duration,
    /// See above.
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

/// The two producers and the thread that commits.
pub(crate) struct Transactions {
    pair: [Arc<TransactionalProducer>; 2],
    turn: usize,
    pacing: Pacing,
    /// How long Kafka may take for anything.
    wait: Duration,
    filling: Option<Filling>,
    committing: Option<Instant>,
    /// How long the last one took from its closing to its end.
    took: Duration,
    jobs: SyncSender<Job>,
    ended: Receiver<Result<(), clickmill_kafka::Error>>,
}

struct Filling {
    since: Instant,
    records: usize,
}

struct Job {
    producer: Arc<TransactionalProducer>,
    next: Vec<NextOffset>,
    group: GroupMetadata,
}

/// What became of a commit.
#[derive(Clone, Debug)]
pub(crate) struct Committed {
    /// By whom.
    pub(crate) producer: Arc<TransactionalProducer>,
}

impl Transactions {
    /// Makes both producers, which ends whatever former ones of these ids left open.
    pub(crate) fn start(
        kafka: &KafkaConfig,
        config: &TransactionConfig,
        pacing: Pacing,
    ) -> Result<Self, Error> {
        let wait = Duration::from_millis(config.timeout_ms.into());
        let make = |n: usize| {
            let id = format!("{}-{n}", config.id);
            let config = TransactionConfig { id, ..config.clone() };
            TransactionalProducer::new(kafka, &config, wait).map(Arc::new)
        };
        let pair = [make(0)?, make(1)?];
        let (jobs, to_do) = sync_channel::<Job>(1);
        let (done, ended) = sync_channel(1);
        let name = "commit".to_owned();
        std::thread::Builder::new()
            .name(name.clone())
            .spawn(move || {
                for Job { producer, next, group } in to_do {
                    if done.send(producer.commit(&next, &group, wait)).is_err() {
                        return;
                    }
                }
            })
            .map_err(|source| Error::Thread { name, source })?;
        Ok(Self {
            pair,
            turn: 0,
            pacing,
            wait,
            filling: None,
            committing: None,
            took: Duration::ZERO,
            jobs,
            ended,
        })
    }

    /// Notes that something is to be committed.
    pub(crate) fn open(&mut self) -> Result<(), Error> {
        if self.filling.is_none() {
            self.producer().begin().map_err(Error::Transaction)?;
            self.filling = Some(Filling { since: Instant::now(), records: 0 });
        }
        Ok(())
    }

    /// Hands a record in. [`Class::TooLarge`] leaves it out and the transaction whole.
    pub(crate) fn put(
        &mut self,
        record: &Outgoing<'_>,
        mark: Option<usize>,
    ) -> Result<Result<(), Failure>, Error> {
        self.open()?;
        match self.producer().put(record, mark) {
            Ok(()) => {
                if let Some(filling) = &mut self.filling {
                    filling.records += 1;
                }
                Ok(Ok(()))
            }
            Err(failure) if failure.class == Class::TooLarge => Ok(Err(failure)),
            Err(failure) => Err(Error::Output { topic: record.topic.to_owned(), failure }),
        }
    }

    /// Whether the transaction that is being filled should be closed now.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        let Pacing { every_min, every_max, records_max } = self.pacing;
        let every = (self.took * 2).clamp(every_min, every_max);
        self.committing.is_none()
            && self.filling.as_ref().is_some_and(|filling| {
                filling.records >= records_max || now.duration_since(filling.since) >= every
            })
    }

    /// Whether so much waits for the running commit that reading must wait for it, too.
    pub(crate) fn is_full(&self) -> bool {
        let records_max = self.pacing.records_max;
        let filling = self.filling.as_ref();
        self.committing.is_some() && filling.is_some_and(|filling| filling.records >= records_max)
    }

    pub(crate) fn is_filling(&self) -> bool {
        self.filling.is_some()
    }

    pub(crate) fn is_committing(&self) -> bool {
        self.committing.is_some()
    }

    /// Closes the transaction that is being filled: waits for its records to be acknowledged, and
    /// has it committed with these offsets. None may be on its way.
    pub(crate) fn close(
        &mut self,
        next: Vec<NextOffset>,
        group: GroupMetadata,
    ) -> Result<(), Error> {
        let started = Instant::now();
        let producer = Arc::clone(self.producer());
        producer.settle(started + self.wait).map_err(Error::Transaction)?;
        if self.jobs.send(Job { producer, next, group }).is_err() {
            return Err(Error::Broken("commit".to_owned()));
        }
        self.filling = None;
        self.committing = Some(started);
        self.turn = 1 - self.turn;
        Ok(())
    }

    /// What became of the commit that is on its way, once that is known; waits for it up to `wait`.
    pub(crate) fn ended(&mut self, wait: Duration) -> Result<Option<Committed>, Error> {
        let Some(started) = self.committing else { return Ok(None) };
        let ended = if wait.is_zero() {
            match self.ended.try_recv() {
                Err(TryRecvError::Empty) => return Ok(None),
                Err(TryRecvError::Disconnected) => Err(Error::Broken("commit".to_owned()))?,
                Ok(ended) => ended,
            }
        } else {
            match self.ended.recv_timeout(wait) {
                Err(RecvTimeoutError::Timeout) => return Ok(None),
                Err(RecvTimeoutError::Disconnected) => Err(Error::Broken("commit".to_owned()))?,
                Ok(ended) => ended,
            }
        };
        ended.map_err(Error::Transaction)?;
        self.committing = None;
        self.took = started.elapsed();
        Ok(Some(Committed { producer: Arc::clone(&self.pair[1 - self.turn]) }))
    }

    /// How long a call may take.
    pub(crate) fn wait(&self) -> Duration {
        self.wait
    }

    fn producer(&self) -> &Arc<TransactionalProducer> {
        &self.pair[self.turn]
    }
}
