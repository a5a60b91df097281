//! The delivery: one batch on its way at a time, and what happens after it was answered.

use super::effect::{RequestId, Transport};
use crate::wire::Millis;

/// What the delivery does. Times are steady ones.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Delivery {
    /// Nothing is on its way; the next batch goes as soon as one is due.
    Idle,
    /// A batch waits for its answer.
    InFlight(Flight),
    /// Nothing is sent before a moment has come.
    BackingOff { until: Millis, failures: u32 },
    /// The collector does not want this page's events; nothing is sent until the site's settings
    /// change.
    Stopped,
}

/// A batch on its way: the first events of the queue.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Flight {
    pub(super) request: RequestId,
    /// How many events.
    pub(super) count: usize,
    pub(super) transport: Transport,
    pub(super) body_bytes: usize,
    /// Whether it shows the proof, to get a token.
    pub(super) asks: bool,
    /// Failures in a row before it.
    pub(super) failures: u32,
    /// Without an answer by then it counts as failed.
    pub(super) deadline: Millis,
}

impl Delivery {
    /// The state's name for the page.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::InFlight(_) => "in_flight",
            Self::BackingOff { .. } => "backing_off",
            Self::Stopped => "stopped",
        }
    }

    /// How many events, from the front of the queue, are on their way.
    pub(super) fn in_flight(&self) -> usize {
        match self {
            Self::InFlight(flight) => flight.count,
            Self::Idle | Self::BackingOff { .. } | Self::Stopped => 0,
        }
    }

    /// Ends the flight that an answer is for. An answer to any other one is late, and none.
    pub(super) fn land(&mut self, request: RequestId) -> Option<Flight> {
        match std::mem::replace(self, Self::Idle) {
            Self::InFlight(flight) if flight.request == request => Some(flight),
            other => {
                *self = other;
                None
            }
        }
    }
}
