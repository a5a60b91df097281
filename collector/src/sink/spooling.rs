//! The sink that falls back on the spool: straight to Kafka while that works, to the disk when not.

use std::sync::Arc;
use std::time::Duration;

use clickmill_server::clock::SharedClock;
use clickmill_server::metrics::Metrics;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::{Delivered, Health, Line, Message, Sink, Standing};
use crate::config::SpoolConfig;
use crate::metrics::SpoolMetrics;
use crate::spool::disk::{Disk, RealDisk};
use crate::spool::drain::drain;
use crate::spool::keeper::{Core, keep};
use crate::spool::lanes::{Bounds, Lanes};
use crate::spool::log::LogSettings;
use crate::spool::store::Store;
use crate::spool::{Flight, LANES, SpoolError};

/// How long before a flush's deadline what Kafka has not taken goes to the disk.
const FLUSH_MARGIN: Duration = Duration::from_secs(1);

/// How often a flush looks whether all have their answer.
const FLUSH_STEP: Duration = Duration::from_millis(5);

/// How long closing the disk may take after a flush's deadline.
const CLOSE_TIME_MAX: Duration = Duration::from_secs(5);

/// Kafka with the spool before it.
#[derive(Debug)]
pub(crate) struct Spooling {
    core: Arc<Core>,
    drains: tokio::sync::Mutex<JoinSet<()>>,
    keeper: tokio::sync::Mutex<JoinSet<()>>,
}

impl Spooling {
    /// Opens the spool's folder and begins to drain what lies there. Needs a tokio runtime.
    pub(crate) async fn open(
        config: &SpoolConfig,
        line: Arc<dyn Line>,
        clock: SharedClock,
        metrics: &Metrics,
    ) -> Result<Self, SpoolError> {
        Self::open_on(Arc::new(RealDisk), config, line, (clock, metrics)).await
    }

    /// The same on any disk.
    pub(crate) async fn open_on(
        disk: Arc<dyn Disk>,
        config: &SpoolConfig,
        line: Arc<dyn Line>,
        (clock, metrics): (SharedClock, &Metrics),
    ) -> Result<Self, SpoolError> {
        let settings = LogSettings { disk, segment_bytes_max: config.segment_bytes_max };
        let folder = config.dir.clone().unwrap_or_default();
        let opened = tokio::task::spawn_blocking(move || Store::open(&folder, settings)).await;
        let store = opened.map_err(|_| SpoolError::Interrupted)??;
        let age_ms_max = u64::try_from(config.age_max.as_millis()).unwrap_or(u64::MAX);
        let bounds = Bounds { bytes_max: config.bytes_max, age_ms_max };
        let lanes = Lanes::new(bounds, store.logs());
        let left = lanes.stand(clock.now_ms());
        if left.records > 0 {
            tracing::info!(
                records = left.records,
                bytes = left.bytes,
                "the spool is drained first"
            );
        }
        let parts = (lanes, SpoolMetrics::new(metrics));
        let core = Arc::new(Core::new(line, clock, config.after, parts));
        let (mut drains, mut keeper) = (JoinSet::new(), JoinSet::new());
        keeper.spawn(keep(Arc::clone(&core), store));
        for lane in 0..LANES {
            drains.spawn(drain(Arc::clone(&core), lane));
        }
        Ok(Self { core, drains: drains.into(), keeper: keeper.into() })
    }

    /// How it stands.
    #[cfg(test)]
    pub(crate) fn stand(&self) -> crate::spool::lanes::Stand {
        self.core.lanes().stand(self.core.now_ms())
    }

    /// Flights without an answer.
    #[cfg(test)]
    pub(crate) fn unanswered(&self) -> usize {
        self.core.lanes().unanswered()
    }

    /// Waits until every flight has its answer.
    async fn all_answered(&self, deadline: Instant) -> bool {
        while self.core.lanes().unanswered() > 0 {
            if Instant::now() >= deadline {
                return false;
            }
            sleep_until(deadline.min(Instant::now() + FLUSH_STEP)).await;
        }
        true
    }

    /// Lets the disk go once it has done what it has to.
    async fn close(&self, deadline: Instant) {
        self.drains.lock().await.shutdown().await;
        self.core.lanes().stop();
        let mut keeper = self.keeper.lock().await;
        let closed = timeout_at(deadline, async { while keeper.join_next().await.is_some() {} });
        if closed.await.is_err() {
            tracing::error!("the spool's disk does not answer");
        }
    }
}

impl Sink for Spooling {
    fn hand_over(&self, messages: Vec<Message>) -> BoxFuture<'static, Vec<Delivered>> {
        let messages = Arc::new(messages);
        let (number, flight) = self.core.lanes().register(&messages, self.core.now_ms());
        let aboard: Vec<&Message> = flight.aboard().filter_map(|at| messages.get(at)).collect();
        if !aboard.is_empty() {
            flight.depart(self.core.line.send(&aboard));
        }
        let core = Arc::clone(&self.core);
        let rider = Rider { core, number, flight, landed: false };
        rider.ride().boxed()
    }

    fn probe(&self) -> BoxFuture<'_, Standing> {
        async move {
            let way = self.core.line.probe().await.way;
            let stand = self.core.lanes().stand(self.core.now_ms());
            let takes = stand.no_room.is_none();
            let spool = match stand.no_room {
                None if stand.aside > 0 => Health::Bearable(format!(
                    "{} segments could not be read whole and are kept aside, *.damaged; the log names \
                     them",
                    stand.aside
                )),
                None => Health::Good,
                // Nothing is in its way as long as Kafka takes everything.
                Some(why) if stand.closed == 0 => Health::Bearable(why),
                Some(why) => Health::Away(why),
            };
            let way = match way {
                Health::Away(why) if takes => {
                    Health::Bearable(format!("away, and the spool takes what comes: {why}"))
                }
                other => other,
            };
            Standing { way, spool: Some(spool) }
        }
        .boxed()
    }

    fn flush(&self, deadline: Instant) -> BoxFuture<'_, Result<(), String>> {
        async move {
            let left = deadline.saturating_duration_since(Instant::now());
            let last_moment = deadline - FLUSH_MARGIN.min(left / 2);
            if !self.all_answered(last_moment).await {
                self.core.lanes().take_over_all(self.core.now_ms());
            }
            let answered = self.all_answered(deadline).await;
            self.close(deadline + CLOSE_TIME_MAX).await;
            if answered {
                return Ok(());
            }
            let left = self.core.lanes().unanswered();
            Err(format!("{left} batches are neither in Kafka nor in the spool"))
        }
        .boxed()
    }
}

/// Sees a flight through, even when nobody asks for it any more.
struct Rider {
    core: Arc<Core>,
    number: u64,
    flight: Arc<Flight>,
    landed: bool,
}

impl Rider {
    async fn ride(mut self) -> Vec<Delivered> {
        let overdue_at = self.flight.since + self.core.after;
        let mut first = self.flight.has_failed() || self.flight.is_settled();
        loop {
            if !std::mem::replace(&mut first, false) {
                self.wait(overdue_at).await;
            }
            let overdue = Instant::now() >= overdue_at;
            let mut lanes = self.core.lanes();
            if let Some(outcomes) = lanes.resolve(self.number, overdue, self.core.now_ms()) {
                let more_to_come = lanes.leave(self.number);
                drop(lanes);
                self.landed = true;
                if more_to_come {
                    tokio::spawn(outlive(Arc::clone(&self.core), self.number, self.flight.clone()));
                }
                return outcomes;
            }
        }
    }

    /// Waits until something has become of the flight, or should have.
    async fn wait(&self, overdue_at: Instant) {
        let (flight, overdue) = (&self.flight, Instant::now() >= overdue_at);
        tokio::select! {
            () = flight.settled(), if !flight.is_settled() => {}
            () = flight.changed.notified() => {}
            () = sleep_until(overdue_at), if !overdue => {}
        }
    }
}

impl Drop for Rider {
    fn drop(&mut self) {
        if self.landed {
            return;
        }
        // Who asked has gone away. Without a runtime everything ends anyway.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let (core, flight) = (Arc::clone(&self.core), Arc::clone(&self.flight));
            // This one needs nobody after it: a runtime that is ending drops it at once.
            let rider = Self { core, number: self.number, flight, landed: true };
            runtime.spawn(async move { drop(rider.ride().await) });
        }
    }
}

/// Waits for Kafka's last word on a flight whose messages are durable already.
async fn outlive(core: Arc<Core>, number: u64, flight: Arc<Flight>) {
    flight.settled().await;
    core.lanes().forget(number);
}
