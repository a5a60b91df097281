//! The drain of one lane: what lies in its log goes to Kafka, in order, until the lane can open.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use clickmill_kafka::Class;
use tokio::time::{Instant, sleep, timeout_at};

use super::keeper::Core;
use super::lanes::Launch;
use super::log::{ReadLimits, Window};
use super::segment::Stored;
use crate::sink::Underway;

/// Records of the first window after a failure, and of the largest.
const RECORDS_MIN: usize = 16;
const RECORDS_MAX: usize = 4_096;

/// Most bytes in a window.
const WINDOW_BYTES_MAX: usize = 2 << 20;

/// How long it waits after failures.
const PAUSE_MIN: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// How fast a drain goes: ever faster while it works, slower and slower while it does not.
#[derive(Clone, Copy, Debug)]
struct Pace {
    records_max: usize,
    failures: u32,
    /// Whether Kafka took the last window.
    proven: bool,
}

impl Pace {
    const START: Self = Self { records_max: RECORDS_MIN, failures: 0, proven: false };

    fn faster(self) -> Self {
        let records_max = (self.records_max * 4).min(RECORDS_MAX);
        Self { records_max, failures: 0, proven: true }
    }

    fn slower(self) -> Self {
        Self { failures: self.failures.saturating_add(1), ..Self::START }
    }

    /// How long to wait now: twice as long each time, and not all lanes at once.
    fn pause(self) -> Duration {
        let whole = PAUSE_MIN * 2_u32.pow(self.failures.min(6));
        let whole = whole.min(PAUSE_MAX);
        // Seeded by the system, so that collectors differ too.
        let random = RandomState::new().hash_one(self.failures) % 512;
        // Lossless: less than 512.
        whole / 2 + whole * random as u32 / 1_024
    }

    fn limits(self) -> ReadLimits {
        ReadLimits { records_max: self.records_max, bytes_max: WINDOW_BYTES_MAX }
    }
}

/// Drains a lane whenever it is closed. Ends when the spool does.
pub(crate) async fn drain(core: Arc<Core>, lane: usize) {
    let bell = core.lanes().bell(lane);
    let mut pace = Pace::START;
    loop {
        let from = core.lanes().drain_from(lane);
        let Some(from) = from else {
            bell.notified().await;
            continue;
        };
        let window = match core.read(lane, from, pace.limits()).await {
            Ok(window) => window,
            Err(error) => {
                // A few times; then the log reads around it.
                core.metrics.failed_reads.increment(1);
                tracing::error!(lane, %error, "the spool cannot be read");
                pace = pace.slower();
                sleep(pace.pause()).await;
                continue;
            }
        };
        pace = step(&core, lane, window, pace).await;
    }
}

async fn step(core: &Core, lane: usize, window: Window, pace: Pace) -> Pace {
    tell(core, &window);
    let launched = core.lanes().launch(lane, (window, pace.proven), &*core.line);
    let failure = match launched {
        Launch::Wait => {
            let bell = core.lanes().bell(lane);
            bell.notified().await;
            return pace;
        }
        Launch::Again => return pace,
        Launch::Opened => {
            tracing::info!(lane, "the spool's lane is open again");
            return Pace::START;
        }
        Launch::Send(records) => send(core, lane, &records).await,
        Launch::Turned { seqs, underway } => turn(core, lane, &seqs, &*underway).await,
    };
    let Some(class) = failure else { return pace.faster() };
    match class {
        Class::Refused | Class::TooLarge => {
            tracing::error!(lane, %class, "Kafka refuses what lies in the spool; mend the set-up");
        }
        Class::Fatal | Class::QueueFull | Class::Retriable | Class::TimedOut => {
            tracing::debug!(lane, %class, "Kafka does not take what lies in the spool yet");
        }
    }
    let pace = pace.slower();
    sleep(pace.pause()).await;
    pace
}

/// Sends records of a lane that stays closed.
async fn send(core: &Core, lane: usize, records: &[Stored]) -> Option<Class> {
    let messages: Vec<_> = records.iter().map(|stored| &stored.message).collect();
    let underway = core.line.send(&messages);
    underway.wait().await;
    let seqs = records.iter().map(|stored| stored.seq);
    core.lanes().land(lane, seqs.zip(underway.so_far()), core.now_ms())
}

/// Sees through what was left of a lane that is open now.
async fn turn(core: &Core, lane: usize, seqs: &[u64], underway: &dyn Underway) -> Option<Class> {
    let overdue_at = Instant::now() + core.after;
    if timeout_at(overdue_at, underway.wait()).await.is_err() {
        core.lanes().take_over(lane, core.now_ms());
        underway.wait().await;
    }
    let outcomes = seqs.iter().copied().zip(underway.so_far());
    let failure = core.lanes().land(lane, outcomes, core.now_ms());
    if failure.is_none() {
        tracing::info!(lane, "the spool's lane is open again");
    }
    failure
}

/// Says what cannot be read.
fn tell(core: &Core, window: &Window) {
    for damage in &window.damages {
        let (segment, from, to) = (damage.segment.display(), damage.from, damage.to);
        tracing::error!(%segment, from, to, "a spool segment is damaged: events are lost");
        core.metrics.damages.increment(1);
    }
}
