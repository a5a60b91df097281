//! One lane: open or closed, and how far its log is written, durable and done with.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use tokio::sync::Notify;

use crate::spool::log::{Log, Window};
use crate::spool::store::Job;

/// One lane.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) open: bool,
    /// Flights from before it closed whose messages Kafka may still take.
    pub(super) waiting: usize,
    /// The first sequence number that is not done with.
    pub(super) first: u64,
    /// The next one to be given.
    pub(super) next: u64,
    /// Before this one all is on the disk, or will never be.
    pub(super) durable: u64,
    /// What is done with behind `first`.
    ahead: BTreeSet<u64>,
    /// What is on its way to the disk.
    pub(super) queued: VecDeque<Job>,
    /// When the oldest message was put there.
    pub(super) oldest_ms: Option<u64>,
    /// There may be something to drain.
    pub(super) wake: Arc<Notify>,
}

impl Lane {
    pub(super) fn of(log: &Log) -> Self {
        let (first, next) = (log.cursor(), log.next());
        Self {
            open: first == next,
            waiting: 0,
            first,
            next,
            durable: next,
            ahead: BTreeSet::new(),
            queued: VecDeque::new(),
            oldest_ms: (first < next).then(|| log.oldest_ms()).flatten(),
            wake: Arc::default(),
        }
    }

    pub(super) fn open(&mut self) {
        self.open = true;
        if self.first == self.next {
            self.oldest_ms = None;
        }
    }

    pub(super) fn is_done(&self, seq: u64) -> bool {
        seq < self.first || self.ahead.contains(&seq)
    }

    pub(super) fn settle(&mut self, seq: u64) {
        if seq >= self.first {
            self.ahead.insert(seq);
        }
        while self.ahead.remove(&self.first) {
            self.first += 1;
        }
        if self.first == self.next {
            self.oldest_ms = None;
        }
    }

    /// What should have been in the window and is not can never be read; how many records that are.
    pub(super) fn skip_unreadable(&mut self, window: &Window) -> u64 {
        let read: BTreeSet<u64> = window.records.iter().map(|stored| stored.seq).collect();
        let mut lost = 0;
        for seq in self.first..window.reached.min(self.durable) {
            if !read.contains(&seq) && !self.is_done(seq) {
                self.settle(seq);
                lost += 1;
            }
        }
        lost
    }

    pub(super) fn records(&self) -> u64 {
        (self.next - self.first).saturating_sub(self.ahead.len() as u64)
    }
}
