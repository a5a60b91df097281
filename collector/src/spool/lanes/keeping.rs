//! What the disk's keeper asks of the lanes, and tells them.

use clickmill_kafka::Class;

use super::Lanes;
use super::entry::Mark;
use crate::spool::store::{Done, Job};

impl Lanes {
    /// What the disk has to do.
    pub(crate) fn take_jobs(&mut self) -> Vec<Job> {
        std::mem::take(&mut self.jobs)
    }

    /// How far each lane is done with.
    pub(crate) fn cursors(&self) -> Vec<u64> {
        self.lanes.iter().map(|lane| lane.first).collect()
    }

    pub(crate) fn is_failing(&self) -> bool {
        self.failing.is_some()
    }

    pub(crate) fn has_aside(&self) -> bool {
        self.aside > 0
    }

    /// Takes what the disk has done.
    pub(crate) fn report(&mut self, done: Done) {
        (self.disk_bytes, self.aside) = (done.bytes, done.aside);
        if let Some(error) = &done.error {
            if self.failing.is_none() {
                tracing::error!(%error, "the spool's disk takes nothing more");
            }
            self.failing = Some(error.to_string());
        } else if (done.room || !done.appended.is_empty()) && self.failing.take().is_some() {
            tracing::warn!("the spool's disk works again");
        }
        for (job, durable) in done.appended {
            self.appended_one(&job, durable);
        }
        // A little room, or every message would be a coin toss.
        let enough = self.bounds.bytes_max - self.bounds.bytes_max / 16;
        if self.full && self.disk_bytes + self.waiting_bytes <= enough {
            self.full = false;
        }
    }

    fn appended_one(&mut self, job: &Job, durable: bool) {
        self.waiting_bytes = self.waiting_bytes.saturating_sub(job.bytes());
        if let Some(lane) = self.lanes.get_mut(job.lane) {
            // Jobs of one lane come back in their order.
            lane.queued.pop_front();
            lane.durable = job.seq + 1;
            lane.wake.notify_one();
        }
        self.appended += u64::from(durable);
        let mark = if durable {
            Mark::Stored(job.seq)
        } else {
            // It will never be there.
            self.settle(job.lane, job.seq);
            Mark::Refused(Class::Retriable)
        };
        self.mark(job.flight, job.index, mark);
        if let Some(entry) = self.flights.get(&job.flight) {
            entry.flight.changed.notify_one();
        }
    }
}
