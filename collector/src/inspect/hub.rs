//! The hub: takes the fates of a batch while somebody looks, and is one load of a number otherwise.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use clickmill_server::metrics::Metrics;
use tokio::sync::broadcast;

use super::line::{Line, Sighting};
use crate::config::InspectConfig;
use crate::delivery::Delivery;
use crate::metrics::InspectMetrics;
use crate::produce::Landed;
use crate::validate::Judged;

/// Shows events to those who look. Clones share it.
///
/// Bounded in all it holds: the ring keeps `inspect.lines_max` lines for the slowest reader, and
/// each line only as much of its record as [`line`](super::line) says. While somebody looks, the
/// deliveries inside hold a second copy of that much.
#[derive(Clone, Debug)]
pub(crate) struct Inspector {
    hub: Arc<Hub>,
}

#[derive(Debug)]
struct Hub {
    lines: broadcast::Sender<Arc<Line>>,
    readers: AtomicU32,
    readers_max: u32,
    metrics: InspectMetrics,
}

impl Inspector {
    pub(crate) fn new(config: &InspectConfig, metrics: &Metrics) -> Self {
        let hub = Hub {
            lines: broadcast::Sender::new(config.lines_max),
            readers: AtomicU32::new(0),
            readers_max: config.readers_max.get(),
            metrics: InspectMetrics::new(metrics),
        };
        Self { hub: Arc::new(hub) }
    }

    /// Copies what readers need of a delivery's events before they go their way; nothing when nobody
    /// looks.
    pub(crate) fn watch<'a>(
        &'a self,
        judged: &[Judged],
        delivery: &'a Delivery,
    ) -> Option<Watch<'a>> {
        // Whoever has just come may miss the batches that are inside already.
        let watched = self.hub.readers.load(Ordering::Relaxed) > 0;
        let seen = || judged.iter().map(Sighting::from).collect();
        watched.then(|| Watch { lines: &self.hub.lines, seen: seen(), delivery })
    }

    /// A place to look from; none while all are taken.
    pub(super) fn join(&self) -> Option<Place> {
        let more = |readers| (readers < self.hub.readers_max).then_some(readers + 1);
        self.hub.readers.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        self.hub.metrics.readers.increment(1.0);
        Some(Place { lines: self.hub.lines.subscribe(), hub: Arc::clone(&self.hub) })
    }
}

/// A delivery's events on their way, while somebody looks. They are shown also when their client
/// leaves before its answer, and as the books count them then: who got no answer sends again.
#[derive(Debug)]
pub(crate) struct Watch<'a> {
    lines: &'a broadcast::Sender<Arc<Line>>,
    seen: Vec<Sighting>,
    delivery: &'a Delivery,
}

impl Watch<'_> {
    /// Shows what became of them.
    pub(crate) fn close(mut self, landed: &[Landed]) {
        for (sighting, landed) in std::mem::take(&mut self.seen).into_iter().zip(landed) {
            self.show(Line::new(sighting, &landed.outcome, self.delivery));
        }
    }

    fn show(&self, line: Line) {
        // The last reader may have gone meanwhile.
        let _ = self.lines.send(Arc::new(line));
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        for sighting in std::mem::take(&mut self.seen) {
            self.show(Line::unheard(sighting, self.delivery));
        }
    }
}

/// A place to look from; free again when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) lines: broadcast::Receiver<Arc<Line>>,
    hub: Arc<Hub>,
}

impl Place {
    /// Counts lines that passed before they were read.
    pub(super) fn lose(&self, lines: u64) {
        self.hub.metrics.lost.increment(lines);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.hub.readers.fetch_sub(1, Ordering::Relaxed);
        self.hub.metrics.readers.decrement(1.0);
    }
}
