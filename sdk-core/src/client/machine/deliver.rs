//! The delivery: one batch on its way at a time, and what happens after it was answered.

/// What the delivery does. Times are steady ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Delivery {
    /// Nothing is on its way; the next batch goes as soon as one is due and a moment has come.
    Free {
        /// Failures in a row.
        failures: u32,
        /// The moment.
        until: u64,
    },
    /// A batch waits for its answer.
    InFlight(Flight),
    /// The collector does not want this page's events; nothing is sent until the site's settings
    /// change.
    Stopped,
}

/// A batch on its way: the first events of the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Flight {
    pub(super) request: u64,
    /// How many events.
    pub(super) count: usize,
    /// Its body where that outlives the page, bytes; otherwise 0.
    pub(super) keepalive_bytes: usize,
    /// Whether it shows the proof, to get a token.
    pub(super) asks: bool,
    /// Failures in a row before it.
    pub(super) failures: u32,
    /// Without an answer by then it counts as failed.
    pub(super) deadline: u64,
}

impl Delivery {
    /// The state's name for the page.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Free { until: 0, .. } => "idle",
            Self::InFlight(_) => "in_flight",
            Self::Free { .. } => "backing_off",
            Self::Stopped => "stopped",
        }
    }

    /// How many events, from the front of the queue, are on their way.
    pub(super) fn in_flight(&self) -> usize {
        match self {
            Self::InFlight(flight) => flight.count,
            Self::Free { .. } | Self::Stopped => 0,
        }
    }
}
