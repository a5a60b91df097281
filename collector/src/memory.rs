//! Memory: one budget of bytes for all deliveries that are inside at once, so that strangers fill
//! it and not the machine.
//!
//! A delivery takes its share before its body is read, changes it as it learns what it holds, and
//! gives it back when its flight has landed. Nobody waits for a share: a queue would be memory too.
//! The shares are upper bounds that are cheap to know, not what the allocator says. Beside the
//! budget stand the connections' own buffers (`connections`), the producer's queue
//! (`producer.queue_bytes_max`) and what a worker thread needs for the one body that it decodes.

use std::sync::Arc;

use clickmill_server::metrics::Counter;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config::LimitsConfig;
use crate::decode::Packing;
use crate::parcel::{Form, Sent};

/// The pieces of a body are joined in a buffer that doubles when it is full.
const BODY_FACTOR: usize = 2;

/// While a body is decoded, there is the plain text and a copy of each event in it.
const DECODE_FACTOR: usize = 2;

/// The text of an event is there as it came, in its record and in the message for Kafka.
const EVENT_FACTOR: usize = 3;

/// The shared context is there once more in each of the latter two.
const CONTEXT_FACTOR: usize = 2;

/// What else there is of an event, in bytes: ids, arrival with the user agent, headers.
const EVENT_BYTES: usize = 2 * 1024;

/// Deflate packs no better than 1032 to 1.
const INFLATE_FACTOR_MAX: usize = 1_032;

/// The budget is counted in units of this many bytes, so that a share always fits in 32 bits.
const UNIT_BYTES: usize = 1024;

/// The budget has not enough left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoRoom;

/// What all deliveries may hold together. Clones are the same budget.
#[derive(Clone, Debug)]
pub(crate) struct Memory {
    left: Arc<Semaphore>,
    bytes_max: usize,
    /// Counts those that found no room.
    refused: Counter,
}

/// The share of one delivery; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Share {
    units: OwnedSemaphorePermit,
}

impl Memory {
    pub(crate) fn new(bytes_max: usize, refused: Counter) -> Self {
        let units = (bytes_max / UNIT_BYTES).min(Semaphore::MAX_PERMITS);
        Self { left: Arc::new(Semaphore::new(units)), bytes_max, refused }
    }

    /// Takes a share of that many bytes.
    pub(crate) fn take(&self, bytes: usize) -> Result<Share, NoRoom> {
        let units = Arc::clone(&self.left).try_acquire_many_owned(units(bytes));
        units.map(|units| Share { units }).map_err(|_| {
            self.refused.increment(1);
            NoRoom
        })
    }

    /// Makes a share larger or smaller. One that finds no room stays as it is.
    pub(crate) fn resize(&self, share: &mut Share, bytes: usize) -> Result<(), NoRoom> {
        let (have, want) = (share.units.num_permits(), units(bytes) as usize);
        if want > have {
            let more = self.take((want - have).saturating_mul(UNIT_BYTES))?;
            share.units.merge(more.units);
        } else {
            drop(share.units.split(have - want));
        }
        Ok(())
    }

    /// How many bytes are taken.
    pub(crate) fn taken(&self) -> usize {
        self.bytes_max.saturating_sub(self.left.available_permits().saturating_mul(UNIT_BYTES))
    }
}

fn units(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(UNIT_BYTES)).unwrap_or(u32::MAX)
}

/// For a body that is still to be read: as long as announced, or else as it may be.
pub(crate) fn for_reading(announced: Option<u64>, body_bytes_max: usize) -> usize {
    let announced = announced.and_then(|bytes| usize::try_from(bytes).ok());
    announced.map_or(body_bytes_max, |bytes| bytes.min(body_bytes_max)).saturating_mul(BODY_FACTOR)
}

/// For a body that is there and still to be decoded.
pub(crate) fn for_decoding(
    body_bytes: usize,
    packing: Packing,
    inflated_bytes_max: usize,
) -> usize {
    let plain_bytes_max = match packing {
        Packing::Gzip => body_bytes.saturating_mul(INFLATE_FACTOR_MAX).min(inflated_bytes_max),
        Packing::Plain => body_bytes,
    };
    body_bytes.saturating_add(plain_bytes_max.saturating_mul(DECODE_FACTOR))
}

/// For the events of a batch from here to the landing.
pub(crate) fn for_events(events: &[Sent<'_>], context_bytes: usize) -> usize {
    let longer = |event: &Sent<'_>| match &event.form {
        Form::Native | Form::Refused(_) => event.original.len(),
        Form::Translated(text) => event.original.len().max(text.len()),
    };
    let text_bytes = events.iter().map(longer).sum();
    of_events(events.len(), text_bytes, context_bytes)
}

fn of_events(count: usize, text_bytes: usize, context_bytes: usize) -> usize {
    let each = context_bytes.saturating_mul(CONTEXT_FACTOR).saturating_add(EVENT_BYTES);
    let all = each.saturating_mul(count).saturating_add(context_bytes);
    text_bytes.saturating_mul(EVENT_FACTOR).saturating_add(all)
}

/// The most that one delivery within these limits takes.
pub(crate) fn largest(limits: &LimitsConfig) -> usize {
    let (body, inflated) = (limits.body_bytes_max, limits.inflated_bytes_max);
    let count = usize::try_from(limits.batch_events_max.get()).unwrap_or(usize::MAX);
    for_reading(None, body)
        .max(for_decoding(body, Packing::Gzip, inflated))
        .max(of_events(count, inflated, limits.context_bytes_max))
        .saturating_add(UNIT_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_taken_resized_and_given_back() {
        let memory = Memory::new(10 * UNIT_BYTES, Counter::noop());
        let mut first = memory.take(4 * UNIT_BYTES - 1).unwrap();
        let second = memory.take(6 * UNIT_BYTES).unwrap();
        assert_eq!(memory.taken(), 10 * UNIT_BYTES);
        assert_eq!(memory.take(1).unwrap_err(), NoRoom);
        assert_eq!(memory.resize(&mut first, 5 * UNIT_BYTES), Err(NoRoom));
        memory.resize(&mut first, UNIT_BYTES).unwrap();
        assert_eq!(memory.taken(), 7 * UNIT_BYTES);
        drop(second);
        memory.resize(&mut first, 10 * UNIT_BYTES).unwrap();
        assert_eq!(memory.taken(), 10 * UNIT_BYTES);
        drop(first);
        assert_eq!(memory.taken(), 0);
    }

    #[test]
    fn a_body_is_counted_as_announced_but_never_above_its_bound() {
        assert_eq!(for_reading(Some(100), 1_000), 200);
        assert_eq!(for_reading(Some(u64::MAX), 1_000), 2_000);
        assert_eq!(for_reading(None, 1_000), 2_000);
        assert_eq!(for_decoding(100, Packing::Plain, 5_000), 300);
        assert_eq!(for_decoding(2, Packing::Gzip, 5_000), 2 + 2 * 2_064);
        assert_eq!(for_decoding(100, Packing::Gzip, 5_000), 100 + 10_000);
    }

    #[test]
    fn each_event_carries_the_context_along() {
        let event = Sent::native("{}");
        let bytes = for_events(&[event.clone(), event], 15);
        assert_eq!(bytes, 4 * 3 + 2 * (2 * 15 + EVENT_BYTES) + 15);
        let limits = LimitsConfig::default();
        assert!(largest(&limits) > 500 * 2 * limits.context_bytes_max);
        assert!(largest(&limits) * 8 < limits.memory_bytes_max);
    }
}
