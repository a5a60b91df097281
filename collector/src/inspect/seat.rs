//! A reader's seat: what is written to one who looks, until they have enough or the service ends.

use std::fmt;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use clickmill_server::shutdown::Shutdown;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, sleep_until};

use super::filter::{Filter, Form, Wish};
use super::hub::Place;

/// How long nothing may be written: proxies close idle connections, and a dead one must show.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// A reader.
pub(super) struct Seat {
    place: Place,
    filter: Filter,
    form: Form,
    /// Lines that may still come.
    left: Option<u64>,
    ends_at: Option<Instant>,
    beat: Interval,
    stop: Pin<Box<dyn Future<Output = ()> + Send>>,
    /// Whether something was written, so that the head is on its way.
    greeted: bool,
    stopped: bool,
}

impl Seat {
    pub(super) fn new(place: Place, wish: Wish, form: Form, stop: &Shutdown) -> Self {
        let mut beat = interval_at(Instant::now() + HEARTBEAT, HEARTBEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            place,
            filter: wish.filter,
            form,
            left: wish.limit.map(u64::from),
            ends_at: wish.span.and_then(|span| Instant::now().checked_add(span)),
            beat,
            stop: Box::pin(stop.triggered()),
            greeted: false,
            stopped: false,
        }
    }

    /// What is written next; none when it is over. What waits when the service ends is still
    /// written.
    pub(super) async fn next(&mut self) -> Option<Bytes> {
        if !std::mem::replace(&mut self.greeted, true) {
            return Some(self.form.heartbeat());
        }
        while self.left != Some(0) {
            let line = match self.step().await? {
                Step::Beat => return Some(self.form.heartbeat()),
                Step::Stopped => continue,
                Step::Line(line) => line,
                Step::Lost(lines) => {
                    self.place.lose(lines);
                    self.beat.reset();
                    return Some(self.form.lost(lines));
                }
            };
            if self.filter.takes(&line) {
                self.left = self.left.map(|left| left - 1);
                self.beat.reset();
                return Some(self.form.line(&line.json));
            }
        }
        None
    }

    async fn step(&mut self) -> Option<Step> {
        if self.stopped {
            return match self.place.lines.try_recv() {
                Ok(line) => Some(Step::Line(line)),
                Err(TryRecvError::Lagged(lines)) => Some(Step::Lost(lines)),
                Err(TryRecvError::Empty | TryRecvError::Closed) => None,
            };
        }
        let ends_at = self.ends_at;
        let ended = async move {
            match ends_at {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            // The lines last: there may be more of them than can ever be filtered.
            biased;
            () = ended => None,
            _ = self.beat.tick() => Some(Step::Beat),
            () = &mut self.stop => {
                self.stopped = true;
                Some(Step::Stopped)
            }
            line = self.place.lines.recv() => match line {
                Ok(line) => Some(Step::Line(line)),
                Err(RecvError::Lagged(lines)) => Some(Step::Lost(lines)),
                Err(RecvError::Closed) => None,
            },
        }
    }
}

impl fmt::Debug for Seat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seat").field("filter", &self.filter).finish_non_exhaustive()
    }
}

/// What happened.
enum Step {
    Beat,
    Line(std::sync::Arc<super::line::Line>),
    /// So many lines passed unread.
    Lost(u64),
    Stopped,
}

impl Form {
    fn heartbeat(self) -> Bytes {
        Bytes::from_static(match self {
            Self::Json => b"\n",
            Self::Sse => b":\n\n",
        })
    }

    fn line(self, json: &str) -> Bytes {
        match self {
            Self::Json => format!("{json}\n").into(),
            Self::Sse => format!("data: {json}\n\n").into(),
        }
    }

    fn lost(self, lines: u64) -> Bytes {
        match self {
            Self::Json => format!("{{\"lost\":{lines}}}\n").into(),
            Self::Sse => format!("event: lost\ndata: {{\"lost\":{lines}}}\n\n").into(),
        }
    }
}
