//! The keeper: owns the disk, and does in one go what has come together meanwhile (group commit).

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use clickmill_server::clock::SharedClock;
use tokio::sync::oneshot;
use tokio::time::{MissedTickBehavior, interval};

use super::lanes::Lanes;
use super::log::{ReadLimits, Window};
use super::store::{Read, Store, Work};
use crate::metrics::SpoolMetrics;
use crate::sink::Line;

/// How often it writes down how far it is drained, tries a disk that fails, and shows its numbers.
const TICK: Duration = Duration::from_secs(1);

/// What the spool's tasks share.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) line: Arc<dyn Line>,
    pub(crate) clock: SharedClock,
    pub(crate) after: Duration,
    pub(crate) metrics: SpoolMetrics,
    lanes: Mutex<Lanes>,
    reads: Mutex<Vec<Read>>,
}

impl Core {
    pub(crate) fn new(
        line: Arc<dyn Line>,
        clock: SharedClock,
        after: Duration,
        (lanes, metrics): (Lanes, SpoolMetrics),
    ) -> Self {
        Self { line, clock, after, metrics, lanes: Mutex::new(lanes), reads: Mutex::default() }
    }

    /// The state of all lanes.
    pub(crate) fn lanes(&self) -> MutexGuard<'_, Lanes> {
        // Nothing in there panics, and the state would be whole if it did.
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The wall time.
    pub(crate) fn now_ms(&self) -> u64 {
        self.clock.now_ms()
    }

    /// Reads what lies in a lane.
    pub(crate) async fn read(
        &self,
        lane: usize,
        seq: u64,
        limits: ReadLimits,
    ) -> io::Result<Window> {
        let (answer, answered) = oneshot::channel();
        self.questions().push(Read { lane, seq, limits, answer });
        let work = Arc::clone(&self.lanes().work);
        work.notify_one();
        answered.await.unwrap_or_else(|_| Err(io::Error::other("the spool is closed")))
    }

    fn questions(&self) -> MutexGuard<'_, Vec<Read>> {
        self.reads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the disk has to do; none when that is nothing.
    fn work(&self, done: &[u64], tick: bool) -> Option<Work> {
        let reads = std::mem::take(&mut *self.questions());
        let mut lanes = self.lanes();
        let (appends, cursors) = (lanes.take_jobs(), lanes.cursors());
        let save = tick || lanes.is_stopped();
        let trial = tick && lanes.is_failing();
        let look_aside = tick && lanes.has_aside();
        let nothing = appends.is_empty() && reads.is_empty() && !trial && !look_aside;
        let idle = nothing && cursors == done && !lanes.is_stopped();
        (!idle).then_some(Work { appends, reads, cursors, save, trial, look_aside })
    }

    fn show(&self) {
        let now_ms = self.now_ms();
        let stand = self.lanes().stand(now_ms);
        self.metrics.show(&stand, now_ms);
    }
}

/// Keeps the disk until the spool is stopped and nothing is left to do.
pub(crate) async fn keep(core: Arc<Core>, mut store: Store) {
    let work_bell = Arc::clone(&core.lanes().work);
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut saved: Vec<u64> = Vec::new();
    loop {
        let tick = tokio::select! {
            biased;
            () = work_bell.notified() => false,
            _ = ticks.tick() => true,
        };
        let stopped = core.lanes().is_stopped();
        if let Some(work) = core.work(&saved, tick) {
            let cursors = work.save.then(|| work.cursors.clone());
            let commit = tokio::task::spawn_blocking(move || {
                let done = store.commit(work);
                (store, done)
            });
            let Ok((back, done)) = commit.await else {
                // The runtime ends, or the disk's owner is lost: nothing can be promised any more.
                core.lanes().stop();
                return;
            };
            store = back;
            if let Some(took) = done.took {
                core.metrics.sync_seconds.record(took.as_secs_f64());
            }
            core.lanes().report(done);
            if let Some(cursors) = cursors {
                saved = cursors;
            }
        }
        core.show();
        if stopped {
            return;
        }
    }
}
