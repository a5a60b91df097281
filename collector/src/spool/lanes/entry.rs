//! A flight in the register: where each of its messages is, and what became of it.

use std::sync::Arc;

use clickmill_kafka::Class;

use crate::sink::{Delivered, Kept, Message};
use crate::spool::Flight;
use crate::spool::hash::lane_of;

/// A flight in the register.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) flight: Arc<Flight>,
    /// None once all are answered for.
    pub(super) messages: Option<Arc<Vec<Message>>>,
    /// The lane of each; empty until somebody asks.
    pub(super) lanes: Vec<usize>,
    /// Where each is; empty while all went straight and none was taken over.
    pub(super) marks: Vec<Mark>,
    /// The lanes that wait for its end, as bits.
    pub(super) holds_up: u32,
}

/// Where a message is, beside what Kafka may have of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    /// Nowhere.
    Straight,
    /// On its way to the disk.
    Queued(u64),
    /// On the disk.
    Stored(u64),
    /// Nowhere: there was no room.
    Refused(Class),
}

impl Entry {
    pub(super) fn new(flight: Arc<Flight>, messages: &Arc<Vec<Message>>) -> Self {
        let messages = Some(Arc::clone(messages));
        Self { flight, messages, lanes: Vec::new(), marks: Vec::new(), holds_up: 0 }
    }

    pub(super) fn mark(&self, index: usize) -> Mark {
        self.marks.get(index).copied().unwrap_or(Mark::Straight)
    }

    pub(super) fn see_lanes(&mut self) {
        if self.lanes.is_empty()
            && let Some(messages) = &self.messages
        {
            self.lanes = messages.iter().map(|m| lane_of(m.key.as_deref())).collect();
        }
    }

    /// What became of one message, if that is known.
    pub(super) fn fate(&self, index: usize, outcome: Option<Delivered>) -> Option<Delivered> {
        match (self.mark(index), outcome) {
            (_, Some(Ok(kept))) => Some(Ok(kept)),
            (Mark::Stored(_), Some(Err(_)) | None) => Some(Ok(Kept::InSpool)),
            (Mark::Queued(_), Some(Err(_)) | None) => None,
            (Mark::Straight | Mark::Refused(_), Some(Err(class))) => Some(Err(class)),
            (Mark::Straight, None) => None,
            // Kafka may still take it.
            (Mark::Refused(class), None) => (!self.flight.is_aboard(index)).then_some(Err(class)),
        }
    }
}

/// Whether that outcome is a failure that passes by itself. The others are the sender's to hear of: a
/// topic that is missing is a fault of the set-up, and a record too large fits nowhere.
pub(super) fn passes(outcome: Delivered) -> bool {
    match outcome {
        Ok(_) | Err(Class::Refused | Class::TooLarge) => false,
        Err(Class::Fatal | Class::QueueFull | Class::Retriable | Class::TimedOut) => true,
    }
}
