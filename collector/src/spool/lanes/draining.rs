//! What drains ask of the lanes, and tell them.

use clickmill_kafka::Class;

use super::Lanes;
use crate::sink::{Delivered, Line, Message, Underway};
use crate::spool::log::Window;
use crate::spool::segment::Stored;
use crate::spool::store::Job;

/// With that many messages left or fewer a lane opens.
const TURN_MAX: usize = 512;

/// What a drain is to do next.
#[derive(Debug)]
pub(crate) enum Launch {
    /// Wait to be woken.
    Wait,
    /// Read on.
    Again,
    /// The lane is open: there was nothing left.
    Opened,
    /// Send these; the lane stays closed.
    Send(Vec<Stored>),
    /// All that was left is underway, and the lane is open behind it.
    Turned { seqs: Vec<u64>, underway: Box<dyn Underway> },
}

impl Lanes {
    /// From where a lane is to be read; none while there is nothing to do or Kafka may still take
    /// what lies there.
    pub(crate) fn drain_from(&self, lane: usize) -> Option<u64> {
        let lane = self.lanes.get(lane).filter(|lane| !lane.open && lane.waiting == 0)?;
        (!self.stopped).then_some(lane.first)
    }

    /// Decides about what was read from `from`. `proven` says that Kafka took the last window.
    pub(crate) fn launch(
        &mut self,
        number: usize,
        (window, proven): (Window, bool),
        line: &dyn Line,
    ) -> Launch {
        let Some(lane) = self.lanes.get_mut(number).filter(|lane| !lane.open && lane.waiting == 0)
        else {
            return Launch::Wait;
        };
        if lane.first == lane.next {
            lane.open();
            self.closed -= 1;
            return Launch::Opened;
        }
        let before = lane.first;
        self.lost += lane.skip_unreadable(&window);
        let mut records = window.records;
        records.retain(|stored| !lane.is_done(stored.seq));
        if let Some(oldest) = records.first() {
            lane.oldest_ms = Some(oldest.taken_ms);
        }
        let all = window.reached >= lane.durable;
        // What was read may be so fresh that its report is still to come.
        let ahead = |job: &&Job| job.seq >= window.reached && !lane.is_done(job.seq);
        let queued = || lane.queued.iter().filter(ahead);
        let left = records.len() + queued().count();
        if !(all && proven && left <= TURN_MAX) {
            return match (records.is_empty(), lane.first > before || !all) {
                (false, _) => Launch::Send(records),
                (true, true) => Launch::Again,
                (true, false) => Launch::Wait,
            };
        }
        let read = records.iter().map(|stored| (stored.seq, &stored.message));
        let queued = queued().filter_map(|job| Some((job.seq, job.messages.get(job.index)?)));
        let (seqs, messages): (Vec<u64>, Vec<&Message>) = read.chain(queued).unzip();
        let underway = line.send(&messages);
        lane.open();
        self.closed -= 1;
        Launch::Turned { seqs, underway }
    }

    /// Takes what became of messages that were drained. Yields the first failure; the lane is closed
    /// then.
    pub(crate) fn land(
        &mut self,
        lane: usize,
        outcomes: impl IntoIterator<Item = (u64, Option<Delivered>)>,
        now_ms: u64,
    ) -> Option<Class> {
        let mut failure = None;
        for (seq, outcome) in outcomes {
            match outcome.unwrap_or(Err(Class::TimedOut)) {
                Ok(_) => {
                    self.drained += 1;
                    self.settle(lane, seq);
                }
                Err(class) => {
                    failure.get_or_insert(class);
                }
            }
        }
        if failure.is_some() {
            self.take_over(lane, now_ms);
        }
        failure
    }
}
