//! Open loop: requests at planned moments, whatever became of those before, each timed from its
//! planned moment.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use super::Site;
use super::answer::Answer;
use super::request::Request;
use crate::figure::Latencies;

/// Requests a second.
pub(super) const RATE: u32 = 500;
/// Senders that take turns. Each waits in a thread of its own: the kernel wakes a thread within
/// some 50 µs of its time, tokio's timer within a millisecond.
const SENDERS: u32 = 16;
/// Not counted: connections open, the broker learns the new rhythm.
const WARM_UP: Duration = Duration::from_secs(2);

/// What was timed.
#[derive(Debug, Default)]
pub(super) struct Paced {
    /// From the planned moment until the receipt was read.
    pub(super) answered: Latencies,
    /// From the planned moment until the request was being sent: the generator's own lateness.
    pub(super) late: Latencies,
}

/// Sends batches of `batch` for that long; occupies the thread.
pub(super) fn pace(site: &Site, batch: usize, span: Duration) -> Paced {
    let start = Instant::now() + Duration::from_millis(100);
    let senders: Vec<_> = (0..SENDERS)
        .map(|turn| {
            let (site, plan) = (site.clone(), Plan { start, turn, span: WARM_UP + span });
            thread::spawn(move || Sender::open(&site, batch).run(plan))
        })
        .collect();
    let mut paced = Paced::default();
    for sender in senders {
        let part = sender.join().expect("a sender ends well");
        paced.answered.join(&part.answered);
        paced.late.join(&part.late);
    }
    paced
}

/// The moments of one sender.
#[derive(Clone, Copy, Debug)]
struct Plan {
    start: Instant,
    turn: u32,
    span: Duration,
}

impl Plan {
    fn moments(self) -> impl Iterator<Item = Instant> {
        let step = Duration::from_secs(1) / RATE;
        let own = (self.turn..).step_by(SENDERS as usize).map(move |turn| step * turn);
        own.take_while(move |after| *after < self.span).map(move |after| self.start + after)
    }
}

/// One of those that take turns.
#[derive(Debug)]
struct Sender {
    stream: TcpStream,
    request: Request,
    answer: Answer,
    site: Site,
    batch: usize,
}

impl Sender {
    fn open(site: &Site, batch: usize) -> Self {
        let stream = TcpStream::connect(site.collector).expect("a connection");
        stream.set_nodelay(true).expect("a socket without delay");
        let request = Request::new(site.write_key, batch);
        Self { stream, request, answer: Answer::default(), site: site.clone(), batch }
    }

    fn run(mut self, plan: Plan) -> Paced {
        let mut paced = Paced::default();
        for planned in plan.moments() {
            wait_until(planned);
            let late = planned.elapsed();
            self.exchange();
            if planned >= plan.start + WARM_UP {
                paced.late.add(late);
                paced.answered.add(planned.elapsed());
            }
        }
        paced
    }

    fn exchange(&mut self) {
        let bytes = self.request.renew(self.site.serials.take(self.batch));
        self.stream.write_all(bytes).expect("a request is sent");
        loop {
            let read = self.stream.read(self.answer.room()).expect("an answer");
            if self.answer.grows(read, self.batch) {
                return;
            }
        }
    }
}

fn wait_until(moment: Instant) {
    // A thread that is parked may wake early.
    while let Some(left) = moment.checked_duration_since(Instant::now()) {
        if left.is_zero() {
            return;
        }
        thread::park_timeout(left);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn senders_share_one_rhythm() {
        let start = Instant::now();
        let span = Duration::from_secs(1);
        let plan = |turn| Plan { start, turn, span }.moments();
        let mut all: Vec<Instant> = (0..SENDERS).flat_map(plan).collect();
        all.sort();
        let step = Duration::from_secs(1) / RATE;
        let wanted: Vec<Instant> = (0..RATE).map(|n| start + step * n).collect();
        assert_eq!(all, wanted);
    }
}
