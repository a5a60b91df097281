//! A moment as both sides write it: milliseconds since 1970, UTC.

use std::ops::{Add, RangeInclusive, Sub};

/// Milliseconds since the Unix epoch; also used for spans, where the name says so (`…_ms`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize), serde(transparent))]
pub struct Millis(pub u64);

impl Millis {
    /// The span from `earlier` to `self`, zero if `self` comes first: clocks jump.
    pub fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// The moment of an HTTP date in the form that senders write today, `Sun, 06 Nov 1994 08:49:37 GMT`;
    /// none for anything else.
    pub fn of_http_date(text: &str) -> Option<Self> {
        const MONTHS: [&str; 12] =
            ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
        let mut parts = text.split_once(", ")?.1.split(' ');
        let mut part = || parts.next();
        let day = number(part()?, 1..=31)?;
        let name = part()?;
        let month = MONTHS.iter().position(|month| *month == name)? as u64;
        let year = number(part()?, 1970..=9999)?;
        let mut time = part()?.splitn(3, ':');
        let hours = number(time.next()?, 0..=23)?;
        let minutes = number(time.next()?, 0..=59)?;
        let seconds = number(time.next()?, 0..=60)?;
        if part()? != "GMT" || part().is_some() {
            return None;
        }
        // Years that begin in March: the day that some have more is their last.
        let (year, month) = if month < 2 { (year - 1, month + 10) } else { (year, month - 2) };
        let leaps = year / 4 - year / 100 + year / 400;
        // Days of that calendar until the first of 1970.
        let days = (year * 365 + leaps + (153 * month + 2) / 5 + day - 1).checked_sub(719_468)?;
        Some(Self((((days * 24 + hours) * 60 + minutes) * 60 + seconds) * 1000))
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

/// A number of digits alone, within bounds.
fn number(digits: &str, within: RangeInclusive<u64>) -> Option<u64> {
    let number = digits.parse().ok().filter(|number| within.contains(number))?;
    digits.bytes().all(|byte| byte.is_ascii_digit()).then_some(number)
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
    fn an_http_date_is_a_moment() {
        for (date, seconds) in [
            ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
            ("Sun, 06 Nov 1994 08:49:37 GMT", 784_111_777),
            ("Tue, 29 Feb 2000 23:59:59 GMT", 951_868_799),
            ("Wed, 01 Mar 2000 00:00:00 GMT", 951_868_800),
            ("Mon, 23 Nov 2026 23:20:00 GMT", 1_795_476_000),
            ("Fri, 31 Dec 9999 23:59:59 GMT", 253_402_300_799),
        ] {
            assert_eq!(Millis::of_http_date(date), Some(Millis(seconds * 1000)), "{date}");
        }
        for none in [
            "",
            "soon",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
            "Sun, 06 Nov 1994 08:49:37",
            "Sun, 06 Nov 1994 08:49:37 CET",
            "Sun, 06 Nov 1994 8h49 GMT",
            "Sun, 32 Nov 1994 08:49:37 GMT",
            "Sun, +6 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1969 08:49:37 GMT",
        ] {
            assert_eq!(Millis::of_http_date(none), None, "{none}");
        }
    }

    #[test]
    fn stream_time_is_never_later_than_receipt() {
        assert_eq!(Millis::corrected(Millis(99), Millis(50), Millis(60)), Millis(60));
    }
}
