//! A moment as both sides write it: milliseconds since 1970, UTC.

use std::ops::{Add, Sub};

/// Milliseconds since the Unix epoch; also used for spans, where the name says so (`…_ms`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize), serde(transparent))]
pub struct Millis(pub u64);

impl Millis {
    /// The span from `earlier` to `self`, zero if `self` comes first: clocks jump.
    pub fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Stream time of something that a browser dated: its own clock corrected by the skew seen
    /// between sending and receiving, and never later than when it was received.
    ///
    /// `sent_at` is the browser's clock at the moment of sending, so `received - sent_at` is its
    /// skew plus the time on the wire, and what happened `sent_at - at` before sending happened
    /// that long before `received`.
    pub fn corrected(at: Self, sent_at: Self, received: Self) -> Self {
        let age = sent_at.since(at);
        Self(received.0.saturating_sub(age))
    }
}

impl Add<u64> for Millis {
    type Output = Self;

    fn add(self, span_ms: u64) -> Self {
        Self(self.0.saturating_add(span_ms))
    }
}

impl Sub<u64> for Millis {
    type Output = Self;

    fn sub(self, span_ms: u64) -> Self {
        Self(self.0.saturating_sub(span_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_an_hour_ahead_is_corrected() {
        let ahead = 3_600_000;
        let at = Millis(10_000 + ahead);
        let sent_at = Millis(12_000 + ahead);
        assert_eq!(Millis::corrected(at, sent_at, Millis(12_050)), Millis(10_050));
    }

    #[test]
    fn stream_time_is_never_later_than_receipt() {
        assert_eq!(Millis::corrected(Millis(99), Millis(50), Millis(60)), Millis(60));
    }
}
