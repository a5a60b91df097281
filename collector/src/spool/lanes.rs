//! The state of all lanes and of what is in flight, behind one lock. Nothing in here waits.
//!
//! While all lanes are open a flight costs one entry in a map and its removal.

mod draining;
mod entry;
mod keeping;
mod lane;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use clickmill_kafka::Class;
use tokio::sync::Notify;

pub(crate) use self::draining::Launch;
use self::entry::{Entry, Mark, passes};
use self::lane::Lane;
use super::hash::lane_of;
use super::log::Log;
use super::segment;
use super::store::Job;
use super::{Flight, LANES};
use crate::sink::{Delivered, Message};

/// Most bytes that may wait for the disk before new messages are refused. What was taken over from
/// Kafka comes on top: its bound is the producer's queue.
const WAITING_BYTES_MAX: u64 = 64 << 20;

/// What limits the spool.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) bytes_max: u64,
    pub(crate) age_ms_max: u64,
}

/// The state of all lanes.
#[derive(Debug)]
pub(crate) struct Lanes {
    bounds: Bounds,
    lanes: Vec<Lane>,
    /// How many are not open.
    closed: usize,
    flights: BTreeMap<u64, Entry>,
    flights_ever: u64,
    /// What the disk gets next.
    jobs: Vec<Job>,
    /// Bytes that are on their way to the disk.
    waiting_bytes: u64,
    disk_bytes: u64,
    /// Whether it was filled to its bound, until there is a little room again.
    full: bool,
    /// What the disk said when it last failed, until it works again.
    failing: Option<String>,
    stopped: bool,
    /// There is something for the disk to do.
    pub(crate) work: Arc<Notify>,
    appended: u64,
    drained: u64,
    lost: u64,
    /// Segments that are kept aside, since not all of them could be read.
    aside: usize,
}

/// How the spool stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stand {
    pub(crate) bytes: u64,
    pub(crate) records: u64,
    pub(crate) oldest_ms: Option<u64>,
    pub(crate) closed: usize,
    /// Why new messages find no room.
    pub(crate) no_room: Option<String>,
    pub(crate) appended: u64,
    pub(crate) drained: u64,
    /// Records that could not be read again.
    pub(crate) lost: u64,
    /// Segments that are kept aside, since not all of them could be read.
    pub(crate) aside: usize,
}

impl Lanes {
    /// Takes up what an earlier run left.
    pub(crate) fn new(bounds: Bounds, logs: &[Log]) -> Self {
        let lanes: Vec<Lane> = logs.iter().map(Lane::of).collect();
        Self {
            bounds,
            closed: lanes.iter().filter(|lane| !lane.open).count(),
            lanes,
            flights: BTreeMap::new(),
            flights_ever: 0,
            jobs: Vec::new(),
            waiting_bytes: 0,
            disk_bytes: logs.iter().map(Log::bytes).sum(),
            full: false,
            failing: None,
            stopped: false,
            work: Arc::default(),
            appended: 0,
            drained: 0,
            lost: 0,
            aside: logs.iter().map(Log::aside).sum(),
        }
    }

    /// The bell of a lane's drain.
    pub(crate) fn bell(&self, lane: usize) -> Arc<Notify> {
        self.lanes.get(lane).map(|lane| Arc::clone(&lane.wake)).unwrap_or_default()
    }

    /// Takes a flight into the register. What belongs to a closed lane goes behind its log.
    pub(crate) fn register(
        &mut self,
        messages: &Arc<Vec<Message>>,
        now_ms: u64,
    ) -> (u64, Arc<Flight>) {
        let number = self.flights_ever;
        self.flights_ever += 1;
        let count = messages.len();
        if self.closed == 0 && !self.stopped {
            let entry = Entry::new(Arc::new(Flight::new(count, None)), messages);
            let flight = Arc::clone(&entry.flight);
            self.flights.insert(number, entry);
            return (number, flight);
        }
        let lanes: Vec<usize> = messages.iter().map(|m| lane_of(m.key.as_deref())).collect();
        let (mut marks, mut aboard) = (Vec::with_capacity(count), Vec::new());
        for (index, (message, lane)) in messages.iter().zip(&lanes).enumerate() {
            if !self.stopped && self.lanes.get(*lane).is_some_and(|lane| lane.open) {
                aboard.push(index);
                marks.push(Mark::Straight);
                continue;
            }
            marks.push(match self.room(*lane, message, now_ms) {
                Ok(()) => {
                    let seq = self.queue(*lane, (number, index, messages), now_ms);
                    Mark::Queued(seq)
                }
                Err(class) => Mark::Refused(class),
            });
        }
        let flight = Arc::new(Flight::new(count, Some(aboard)));
        let entry = Entry { lanes, marks, ..Entry::new(Arc::clone(&flight), messages) };
        self.flights.insert(number, entry);
        (number, flight)
    }

    /// Whether a message may go behind a lane's log.
    fn room(&mut self, lane: usize, message: &Message, now_ms: u64) -> Result<(), Class> {
        let bytes = segment::bytes_of(message) as u64;
        let oldest_ms = self.lanes.get(lane).and_then(|lane| lane.oldest_ms);
        let age_ms = oldest_ms.map_or(0, |oldest_ms| now_ms.saturating_sub(oldest_ms));
        if self.disk_bytes + self.waiting_bytes + bytes > self.bounds.bytes_max {
            self.full = true;
        }
        let busy = self.waiting_bytes + bytes > WAITING_BYTES_MAX;
        if self.stopped || self.full || busy || age_ms > self.bounds.age_ms_max {
            return Err(Class::Retriable);
        }
        Ok(())
    }

    /// Puts a message behind a lane's log.
    fn queue(
        &mut self,
        lane: usize,
        (flight, index, messages): (u64, usize, &Arc<Vec<Message>>),
        taken_ms: u64,
    ) -> u64 {
        let Some(at) = self.lanes.get_mut(lane) else { return 0 };
        let seq = at.next;
        at.next += 1;
        at.oldest_ms.get_or_insert(taken_ms);
        let job = Job { lane, seq, taken_ms, messages: Arc::clone(messages), index, flight };
        self.waiting_bytes += job.bytes();
        at.queued.push_back(job.clone());
        self.jobs.push(job);
        self.work.notify_one();
        seq
    }

    /// Closes a lane, if it is open: all that Kafka has not acknowledged of it goes into its log, in
    /// order.
    pub(crate) fn take_over(&mut self, lane: usize, now_ms: u64) {
        let Some(at) = self.lanes.get_mut(lane).filter(|lane| lane.open) else { return };
        at.open = false;
        self.closed += 1;
        let wake = Arc::clone(&at.wake);
        let numbers: Vec<u64> = self.flights.keys().copied().collect();
        for number in numbers {
            self.take_from(number, lane, now_ms);
        }
        wake.notify_one();
    }

    fn take_from(&mut self, number: u64, lane: usize, now_ms: u64) {
        let Some(entry) = self.flights.get_mut(&number) else { return };
        let Some(messages) = entry.messages.clone() else { return };
        entry.see_lanes();
        let outcomes = entry.flight.so_far();
        let settled = entry.flight.is_settled();
        let concerned = |index: &usize| {
            entry.lanes.get(*index) == Some(&lane)
                && entry.mark(*index) == Mark::Straight
                && outcomes.get(*index).copied().flatten().is_none_or(passes)
        };
        let indices: Vec<usize> = (0..messages.len()).filter(concerned).collect();
        if indices.is_empty() {
            return;
        }
        if !settled {
            entry.holds_up |= 1 << lane;
            if let Some(lane) = self.lanes.get_mut(lane) {
                lane.waiting += 1;
            }
        }
        for index in indices {
            let Some(message) = messages.get(index) else { continue };
            // Bytes that wait for the disk do not count here: these messages are inside already.
            let bytes = segment::bytes_of(message) as u64;
            if self.stopped || self.disk_bytes + self.waiting_bytes + bytes > self.bounds.bytes_max
            {
                self.full |= !self.stopped;
                self.mark(number, index, Mark::Refused(Class::Retriable));
            } else {
                let seq = self.queue(lane, (number, index, &messages), now_ms);
                self.mark(number, index, Mark::Queued(seq));
            }
        }
        if let Some(entry) = self.flights.get(&number) {
            entry.flight.changed.notify_one();
        }
    }

    /// Closes all lanes.
    pub(crate) fn take_over_all(&mut self, now_ms: u64) {
        for lane in 0..LANES {
            self.take_over(lane, now_ms);
        }
    }

    fn mark(&mut self, number: u64, index: usize, mark: Mark) {
        let Some(entry) = self.flights.get_mut(&number) else { return };
        if entry.marks.is_empty() {
            entry.marks = vec![Mark::Straight; entry.messages.as_ref().map_or(0, |all| all.len())];
        }
        if let Some(held) = entry.marks.get_mut(index) {
            *held = mark;
        }
    }

    /// What became of a flight's messages, once that is known of all. Those of which Kafka should
    /// have said something by now, or has said no, have their lanes taken over.
    pub(crate) fn resolve(
        &mut self,
        number: u64,
        overdue: bool,
        now_ms: u64,
    ) -> Option<Vec<Delivered>> {
        let entry = self.flights.get_mut(&number)?;
        let outcomes = entry.flight.so_far();
        let stuck = |index: usize, outcome: &Option<Delivered>| {
            entry.mark(index) == Mark::Straight && outcome.map_or(overdue, passes)
        };
        let stuck: Vec<usize> =
            outcomes.iter().enumerate().filter(|(i, o)| stuck(*i, o)).map(|(i, _)| i).collect();
        if !stuck.is_empty() {
            entry.see_lanes();
            let lanes: BTreeSet<usize> =
                stuck.iter().filter_map(|index| entry.lanes.get(*index).copied()).collect();
            for lane in lanes {
                self.take_over(lane, now_ms);
            }
        }
        let entry = self.flights.get(&number)?;
        outcomes.into_iter().enumerate().map(|(i, outcome)| entry.fate(i, outcome)).collect()
    }

    /// Lets go of a flight that is answered for. Says whether Kafka's part is still to come.
    pub(crate) fn leave(&mut self, number: u64) -> bool {
        let Some(entry) = self.flights.get_mut(&number) else { return false };
        if entry.flight.is_settled() {
            self.forget(number);
            return false;
        }
        entry.messages = None;
        true
    }

    /// Takes a flight of which all is known from the register. What Kafka took is done with.
    pub(crate) fn forget(&mut self, number: u64) {
        let Some(entry) = self.flights.remove(&number) else { return };
        if entry.marks.is_empty() && entry.holds_up == 0 {
            return;
        }
        let outcomes = entry.flight.so_far();
        for ((mark, lane), outcome) in entry.marks.iter().zip(&entry.lanes).zip(outcomes) {
            if let (Mark::Queued(seq) | Mark::Stored(seq), Some(Ok(_))) = (mark, outcome) {
                self.settle(*lane, *seq);
            }
        }
        for (number, lane) in self.lanes.iter_mut().enumerate() {
            if entry.holds_up & (1 << number) != 0 {
                lane.waiting = lane.waiting.saturating_sub(1);
                lane.wake.notify_one();
            }
        }
    }

    /// A message in a lane's log is done with.
    fn settle(&mut self, lane: usize, seq: u64) {
        let Some(lane) = self.lanes.get_mut(lane) else { return };
        lane.settle(seq);
        // The disk learns of it, and deletes.
        self.work.notify_one();
    }

    /// Flights that nobody has an answer for yet.
    pub(crate) fn unanswered(&self) -> usize {
        self.flights.values().filter(|entry| entry.messages.is_some()).count()
    }

    /// Nothing new comes in from now on.
    pub(crate) fn stop(&mut self) {
        self.stopped = true;
        self.work.notify_one();
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped
    }

    /// How the spool stands.
    pub(crate) fn stand(&self, now_ms: u64) -> Stand {
        let oldest_ms = self.lanes.iter().filter_map(|lane| lane.oldest_ms).min();
        let old = oldest_ms
            .is_some_and(|oldest_ms| now_ms.saturating_sub(oldest_ms) > self.bounds.age_ms_max);
        let no_room = match &self.failing {
            Some(error) => Some(format!("its disk fails: {error}")),
            None if self.full => Some("its bytes_max is used up".to_owned()),
            None => old.then(|| "its oldest message is older than age_max".to_owned()),
        };
        Stand {
            bytes: self.disk_bytes,
            records: self.lanes.iter().map(Lane::records).sum(),
            oldest_ms,
            closed: self.closed,
            no_room,
            appended: self.appended,
            drained: self.drained,
            lost: self.lost,
            aside: self.aside,
        }
    }
}
