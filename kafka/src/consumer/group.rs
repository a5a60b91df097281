//! A consumer group's member: chosen offsets on assignment, a last word on revocation, commits by hand.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use rdkafka::config::FromClientConfigAndContext as _;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, RebalanceProtocol};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::util::Timeout;
use rdkafka::{ClientContext, Offset, TopicPartitionList};
use tracing::{info, warn};

use super::{
    GroupConfig, Message, NextOffset, StartAt, TopicPartition, list, offsets_of, partitions,
};
use crate::context::{Reporter, report_through_reporter};
use crate::{Error, GroupMetadata, KafkaConfig, OnStatistics};

/// Commits and reads back a group's offsets, also from inside a rebalance.
pub trait Commit {
    /// Commits, and waits until the group's coordinator has it.
    ///
    /// # Errors
    /// When the coordinator refuses, for instance because the partitions are no longer ours.
    fn commit(&self, offsets: &[NextOffset]) -> Result<(), Error>;

    /// Starts a commit and does not wait; a failure is logged.
    ///
    /// # Errors
    /// When it could not be started.
    fn commit_later(&self, offsets: &[NextOffset]) -> Result<(), Error>;

    /// What the group has committed of these partitions; those without a commit are missing.
    ///
    /// # Errors
    /// When the coordinator does not answer in time.
    fn committed(
        &self,
        of: &[TopicPartition],
        wait: Duration,
    ) -> Result<BTreeMap<TopicPartition, i64>, Error>;

    /// The first offset of a partition that there is, and the one behind its newest record.
    ///
    /// # Errors
    /// When Kafka does not answer in time, or there is no such partition.
    fn bounds(&self, of: &TopicPartition, wait: Duration) -> Result<(i64, i64), Error>;

    /// Who this member is, for a transaction that takes its offsets along; none before it has
    /// joined.
    fn metadata(&self) -> Option<GroupMetadata>;

    /// Stops fetching these partitions, which stay ours.
    ///
    /// # Errors
    /// When one is not assigned.
    fn pause(&self, which: &[TopicPartition]) -> Result<(), Error>;

    /// Goes on fetching these partitions. One that is taken away while it is paused is still paused
    /// when it comes back.
    ///
    /// # Errors
    /// When one is not assigned.
    fn resume(&self, which: &[TopicPartition]) -> Result<(), Error>;
}

/// How partitions were lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Revocation {
    /// They are ours until the hook returns: finish and commit.
    Asked,
    /// They have others already: drop what belongs to them, commits would fail.
    Lost,
}

/// What happens when partitions come and go. Called inside [`GroupConsumer::poll`], on the thread
/// that polls, and once more when the consumer is closed or dropped.
pub trait Rebalance: Send + Sync + 'static {
    /// Partitions of other topics that go with a partition which the group gives out. They are read,
    /// added and taken away together with it; the group itself knows nothing of them.
    fn siblings(&self, of: &TopicPartition) -> Vec<TopicPartition> {
        let _ = of;
        Vec::new()
    }

    /// Partitions were added. Returns where to start in each, in their order; missing entries mean
    /// [`StartAt::Committed`].
    fn assigned(&self, group: &dyn Commit, added: &[TopicPartition]) -> Vec<StartAt>;

    /// Partitions are taken away.
    fn revoked(&self, group: &dyn Commit, removed: &[TopicPartition], how: Revocation);
}

/// Starts where the group left off, and does nothing on revocation.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoRebalance;

impl Rebalance for NoRebalance {
    fn assigned(&self, _: &dyn Commit, _: &[TopicPartition]) -> Vec<StartAt> {
        Vec::new()
    }

    fn revoked(&self, _: &dyn Commit, _: &[TopicPartition], _: Revocation) {}
}

/// A member of a consumer group. Poll it from one thread of its own; polling blocks that thread.
pub struct GroupConsumer<R: Rebalance> {
    inner: BaseConsumer<Context<R>>,
}

impl<R: Rebalance> GroupConsumer<R> {
    /// Makes the consumer, which looks for the group's coordinator from now on.
    ///
    /// # Errors
    /// Names the setting or property that is wrong.
    pub fn new(kafka: &KafkaConfig, config: &GroupConfig, hooks: Hooks<R>) -> Result<Self, Error> {
        let reporter = Reporter::new(hooks.on_statistics);
        let mut client = kafka.client()?;
        config.put(&mut client)?;
        let interval_ms = reporter.interval_ms(kafka.statistics_interval_ms);
        client.set("statistics.interval.ms", interval_ms.to_string());
        let context = Context { reporter, hook: hooks.rebalance };
        let inner =
            BaseConsumer::from_config_and_context(&client, context).map_err(Error::making)?;
        Ok(Self { inner })
    }

    /// Asks for partitions of these topics; joining the group happens while it is polled.
    ///
    /// # Errors
    /// When a topic's name is none.
    pub fn subscribe(&self, topics: &[&str]) -> Result<(), Error> {
        self.inner
            .subscribe(topics)
            .map_err(|error| Error::doing(format!("subscribing to {}", topics.join(", ")), &error))
    }

    /// The next record, or none when `wait` is over or a rebalance came in between.
    ///
    /// # Errors
    /// Of class [`Fatal`](crate::Class::Fatal) when a new consumer must be made. Others, such as a
    /// topic that is missing for now, pass while polling goes on.
    pub fn poll(&self, wait: Duration) -> Option<Result<Message<'_>, Error>> {
        let polled = self.inner.poll(wait)?;
        Some(polled.map(Message).map_err(|error| Error::doing("polling the group", &error)))
    }

    /// Reads a partition from here on.
    ///
    /// # Errors
    /// When it is not assigned, or not being read yet.
    pub fn seek(&self, at: &TopicPartition, start: StartAt, wait: Duration) -> Result<(), Error> {
        self.inner
            .seek(&at.topic, at.partition, start.into(), wait)
            .map_err(|error| Error::doing(format!("going back in {at}"), &error))
    }

    /// The partitions that are ours now.
    ///
    /// # Errors
    /// When the client is closed.
    pub fn assignment(&self) -> Result<Vec<TopicPartition>, Error> {
        let assignment = self.inner.assignment();
        assignment
            .map(|list| partitions(&list))
            .map_err(|error| Error::doing("asking for the assignment", &error))
    }

    /// How many partitions a topic has; none where there is no such topic.
    ///
    /// # Errors
    /// When Kafka does not answer in time.
    pub fn partitions(&self, topic: &str, wait: Duration) -> Result<Option<u32>, Error> {
        // Asked about all topics: asking about one by name could create it.
        let metadata = self.inner.fetch_metadata(None, wait);
        let metadata = metadata.map_err(|error| Error::doing("asking for the topics", &error))?;
        let found = metadata.topics().iter().find(|found| found.name() == topic);
        Ok(found.map(|found| u32::try_from(found.partitions().len()).unwrap_or(u32::MAX)))
    }

    /// The hook, to share state with it.
    pub fn rebalance(&self) -> &R {
        &self.inner.context().hook
    }
}

impl<R: Rebalance> Commit for GroupConsumer<R> {
    fn commit(&self, offsets: &[NextOffset]) -> Result<(), Error> {
        Commit::commit(&self.inner, offsets)
    }

    fn commit_later(&self, offsets: &[NextOffset]) -> Result<(), Error> {
        self.inner.commit_later(offsets)
    }

    fn committed(
        &self,
        of: &[TopicPartition],
        wait: Duration,
    ) -> Result<BTreeMap<TopicPartition, i64>, Error> {
        Commit::committed(&self.inner, of, wait)
    }

    fn bounds(&self, of: &TopicPartition, wait: Duration) -> Result<(i64, i64), Error> {
        self.inner.bounds(of, wait)
    }

    fn metadata(&self) -> Option<GroupMetadata> {
        Commit::metadata(&self.inner)
    }

    fn pause(&self, which: &[TopicPartition]) -> Result<(), Error> {
        Commit::pause(&self.inner, which)
    }

    fn resume(&self, which: &[TopicPartition]) -> Result<(), Error> {
        Commit::resume(&self.inner, which)
    }
}

impl<R: Rebalance> fmt::Debug for GroupConsumer<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GroupConsumer").finish_non_exhaustive()
    }
}

/// What a group consumer calls back.
pub struct Hooks<R> {
    /// When partitions come and go.
    pub rebalance: R,
    /// With each report of the client's statistics.
    pub on_statistics: Option<OnStatistics>,
}

impl<R> Hooks<R> {
    /// A rebalance hook, and no statistics.
    pub fn new(rebalance: R) -> Self {
        Self { rebalance, on_statistics: None }
    }
}

impl<R> fmt::Debug for Hooks<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hooks").field("statistics", &self.on_statistics.is_some()).finish()
    }
}

struct Context<R> {
    reporter: Reporter,
    hook: R,
}

impl<R: Rebalance> ClientContext for Context<R> {
    report_through_reporter!();
}

impl<R: Rebalance> ConsumerContext for Context<R> {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        event: RDKafkaRespErr,
        list: &mut TopicPartitionList,
    ) {
        let done = match event {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => self.assign(consumer, list),
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS => self.revoke(consumer, list),
            other => Err(KafkaError::Rebalance(other.into())),
        };
        if let Err(error) = done {
            warn!(%error, "a rebalance of the consumer group failed");
        }
    }

    fn commit_callback(&self, result: KafkaResult<()>, _: &TopicPartitionList) {
        match result {
            // "No offset" says that there was nothing to commit.
            Ok(()) | Err(KafkaError::ConsumerCommit(RDKafkaErrorCode::NoOffset)) => {}
            Err(error) => warn!(%error, "offsets could not be committed"),
        }
    }

    fn main_queue_min_poll_interval(&self) -> Timeout {
        Timeout::After(Duration::from_millis(100))
    }
}

impl<R: Rebalance> Context<R> {
    fn assign(&self, consumer: &BaseConsumer<Self>, list: &TopicPartitionList) -> KafkaResult<()> {
        let added = self.with_siblings(list);
        info!(added = added.len(), "partitions were assigned");
        let mut list = TopicPartitionList::with_capacity(added.len());
        let starts = if added.is_empty() { vec![] } else { self.hook.assigned(consumer, &added) };
        let starts = starts.into_iter().chain(std::iter::repeat(StartAt::Committed));
        for (at, start) in added.iter().zip(starts) {
            list.add_partition_offset(&at.topic, at.partition, start.into())?;
        }
        match consumer.rebalance_protocol() {
            RebalanceProtocol::Cooperative => consumer.incremental_assign(&list)?,
            RebalanceProtocol::Eager | RebalanceProtocol::None => consumer.assign(&list)?,
        }
        Ok(())
    }

    fn revoke(&self, consumer: &BaseConsumer<Self>, list: &TopicPartitionList) -> KafkaResult<()> {
        let removed = self.with_siblings(list);
        let how = if consumer.assignment_lost() { Revocation::Lost } else { Revocation::Asked };
        info!(removed = removed.len(), ?how, "partitions were revoked");
        if !removed.is_empty() {
            self.hook.revoked(consumer, &removed, how);
        }
        match consumer.rebalance_protocol() {
            RebalanceProtocol::Cooperative => {
                let mut list = TopicPartitionList::with_capacity(removed.len());
                for at in &removed {
                    list.add_partition(&at.topic, at.partition);
                }
                consumer.incremental_unassign(&list)
            }
            RebalanceProtocol::Eager | RebalanceProtocol::None => consumer.unassign(),
        }
    }

    /// The partitions of a list, and behind them those that go with them.
    fn with_siblings(&self, list: &TopicPartitionList) -> Vec<TopicPartition> {
        let mut all = partitions(list);
        let siblings: Vec<_> = all.iter().flat_map(|at| self.hook.siblings(at)).collect();
        all.extend(siblings);
        all
    }
}

impl<R: Rebalance> Commit for BaseConsumer<Context<R>> {
    fn commit(&self, offsets: &[NextOffset]) -> Result<(), Error> {
        commit(self, offsets, CommitMode::Sync)
    }

    fn commit_later(&self, offsets: &[NextOffset]) -> Result<(), Error> {
        commit(self, offsets, CommitMode::Async)
    }

    fn committed(
        &self,
        of: &[TopicPartition],
        wait: Duration,
    ) -> Result<BTreeMap<TopicPartition, i64>, Error> {
        let asked = list(of.iter().map(|at| (at, Offset::Invalid)))?;
        let committed = self
            .committed_offsets(asked, wait)
            .map_err(|error| Error::doing("asking for committed offsets", &error))?;
        Ok(offsets_of(&committed))
    }

    fn bounds(&self, of: &TopicPartition, wait: Duration) -> Result<(i64, i64), Error> {
        self.fetch_watermarks(&of.topic, of.partition, wait)
            .map_err(|error| Error::doing(format!("asking for the ends of {of}"), &error))
    }

    fn metadata(&self) -> Option<GroupMetadata> {
        self.group_metadata().map(GroupMetadata)
    }

    fn pause(&self, which: &[TopicPartition]) -> Result<(), Error> {
        let list = list(which.iter().map(|at| (at, Offset::Invalid)))?;
        Consumer::pause(self, &list).map_err(|error| Error::doing("pausing partitions", &error))
    }

    fn resume(&self, which: &[TopicPartition]) -> Result<(), Error> {
        let list = list(which.iter().map(|at| (at, Offset::Invalid)))?;
        Consumer::resume(self, &list).map_err(|error| Error::doing("resuming partitions", &error))
    }
}

fn commit<R: Rebalance>(
    consumer: &BaseConsumer<Context<R>>,
    offsets: &[NextOffset],
    mode: CommitMode,
) -> Result<(), Error> {
    if offsets.is_empty() {
        return Ok(());
    }
    let list = list(offsets.iter().map(|next| (&next.at, Offset::Offset(next.offset))))?;
    Consumer::commit(consumer, &list, mode)
        .map_err(|error| Error::doing("committing offsets", &error))
}
