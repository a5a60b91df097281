//! The partitions as the consumer calls them back.

use std::collections::BTreeMap;
use std::sync::Arc;

use clickmill_kafka::{Commit, Rebalance, Revocation, StartAt, TopicPartition};
use tracing::{info, warn};

use super::super::starting::{Start, starts};
use super::held::Held;
use super::{Partitions, number};
use crate::{Error, Sink, View};

/// The partitions as the consumer calls them back.
pub(in crate::runtime) struct Hook<V: View, S>(pub(in crate::runtime) Arc<Partitions<V, S>>);

impl<V: View, S: Sink<V::Output>> Rebalance for Hook<V, S> {
    fn siblings(&self, of: &TopicPartition) -> Vec<TopicPartition> {
        self.0.at(number(of)).skip(1).collect()
    }

    fn assigned(&self, group: &dyn Commit, added: &[TopicPartition]) -> Vec<StartAt> {
        // Read before the changelog, and only stable ones: a transaction that somebody is still
        // committing would otherwise be in one and not in the other.
        let starts = loop {
            match starts(group, added) {
                Ok(starts) => break starts,
                Err(error) => warn!(%error, "where to start is not known yet"),
            }
            if self.0.status.is_stopped() {
                self.0.lock().broken = Some(Error::Lost);
                return Vec::new();
            }
        };
        let mut core = self.0.lock();
        // Sorted by partition, each has its sources in their order.
        let mut by_number = BTreeMap::<u32, Vec<Start>>::new();
        for (at, start) in added.iter().zip(&starts) {
            by_number.entry(number(at)).or_default().push(*start);
        }
        for (number, starts) in by_number {
            self.0.open(&mut core, number, &starts);
        }
        self.0.tell(&core);
        starts.into_iter().map(Start::at).collect()
    }

    fn revoked(&self, group: &dyn Commit, removed: &[TopicPartition], how: Revocation) {
        let numbers: Vec<u32> =
            removed.iter().filter(|at| at.topic == self.0.config.topic).map(number).collect();
        let is_given_up = self.0.lock().means.is_none();
        let finished = match how {
            // There is nothing to finish.
            _ if is_given_up => Ok(()),
            Revocation::Asked => self.0.finish(group, &numbers),
            Revocation::Lost => Err(Error::Lost),
        };
        if finished.is_err() {
            self.0.give_up();
        }
        let mut core = self.0.lock();
        // Whoever pauses takes the pause back: it would be there when the partition comes back.
        let stalled =
            numbers.iter().filter(|number| core.held.get(number).is_some_and(Held::is_stalled));
        let stalled: Vec<_> = stalled.flat_map(|number| self.0.at(*number)).collect();
        if !stalled.is_empty()
            && let Err(error) = group.resume(&stalled)
        {
            warn!(%error, "partitions that go cannot be resumed");
        }
        if let Err(error) = finished {
            warn!(%error, "what was not committed yet will be done again by who comes next");
            core.broken = Some(error);
        }
        for number in &numbers {
            if let Some(held) = core.held.remove(number) {
                held.stop_restoring();
                self.0.sink.closed(*number);
            }
        }
        self.0.tell(&core);
        info!(view = self.0.config.name, partitions = ?numbers, ?how, "partitions are given up");
    }
}
