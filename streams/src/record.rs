//! A record as it comes in, one as it goes out, and why one cannot be read.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use clickmill_kafka::{Headers, Message, Outgoing};

/// Where a record lies in its topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The partition.
    pub partition: u32,
    /// The offset in it.
    pub offset: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.partition, self.offset)
    }
}

/// A record as Kafka gave it, not read yet.
#[derive(Clone, Copy, Debug)]
pub struct Raw<'a> {
    /// The topic it is of: 0 for the one that drives the view, from 1 on its siblings in the order
    /// of [`RuntimeConfig::siblings`](crate::RuntimeConfig::siblings).
    pub source: usize,
    /// Where it lies.
    pub place: Place,
    /// Its key.
    pub key: Option<&'a [u8]>,
    /// Its value; none is a tombstone.
    pub value: Option<&'a [u8]>,
    /// Its time in Kafka, ms since 1970.
    pub timestamp_ms: u64,
}

impl<'a> Raw<'a> {
    /// The same record with a time that can be, by our own clock and what clocks may differ by. One
    /// from the future would have stream time run ahead and everybody's state expire.
    pub(crate) fn not_from_the_future(self, now_ms: u64, ahead_max_ms: u64) -> Self {
        let timestamp_ms = self.timestamp_ms.min(now_ms.saturating_add(ahead_max_ms));
        Self { timestamp_ms, ..self }
    }

    /// A message as a consumer gave it.
    pub fn of(message: &'a Message<'_>) -> Self {
        Self {
            source: 0,
            place: Place {
                partition: u32::try_from(message.partition()).unwrap_or_default(),
                offset: u64::try_from(message.offset()).unwrap_or_default(),
            },
            key: message.key(),
            value: message.value(),
            // A record without one bounds nothing.
            timestamp_ms: message
                .timestamp_ms()
                .and_then(|ms| u64::try_from(ms).ok())
                .unwrap_or(u64::MAX),
        }
    }
}

/// A record that cannot be read. It is passed over and reported, and never read again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}: {detail}")]
pub struct Poison {
    /// A stable code for metrics and dead letters, such as `malformed`.
    pub reason: &'static str,
    /// One sentence for whoever looks into it.
    pub detail: String,
}

impl Poison {
    /// A record whose bytes are not what they should be.
    pub fn malformed(detail: impl fmt::Display) -> Self {
        Self { reason: "malformed", detail: detail.to_string() }
    }

    /// Asks what may panic; that is poison then.
    pub(crate) fn unless_panics<T>(
        (reason, detail): (&'static str, &str),
        ask: impl FnOnce() -> T,
    ) -> Result<T, Self> {
        catch_unwind(AssertUnwindSafe(ask)).map_err(|_| Self { reason, detail: detail.to_owned() })
    }
}

/// A record to be produced.
#[derive(Clone, Debug)]
pub struct Produce {
    /// The topic, in full.
    pub topic: Arc<str>,
    /// The key that places it.
    pub key: Option<Vec<u8>>,
    /// The value; none is a tombstone.
    pub value: Option<Vec<u8>>,
    /// The headers.
    pub headers: Headers,
}

impl Produce {
    /// What it takes in a request, about.
    pub(crate) fn bytes(&self) -> usize {
        let length = |part: &Option<Vec<u8>>| part.as_ref().map_or(0, Vec::len);
        length(&self.key) + length(&self.value) + self.headers.as_bytes().len()
    }

    pub(crate) fn outgoing(&self) -> Outgoing<'_> {
        Outgoing {
            topic: &self.topic,
            key: self.key.as_deref(),
            value: self.value.as_deref(),
            headers: Some(&self.headers),
            ..Outgoing::default()
        }
    }
}
