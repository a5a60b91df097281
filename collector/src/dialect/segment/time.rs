//! When a Segment event happened.

use clickmill_sdk_core::wire::{Millis, Rejection};

use crate::dialect::fields::Fields;
use crate::dialect::translate::moment;

/// When the event happened, by the clock that the parcel's `sent_at` was read from; without one, by
/// ours.
///
/// The sender's own date is `originalTimestamp` where there is one, else `timestamp`. What was with
/// Segment before has `receivedAt`; its `timestamp` is corrected already and is taken as told by our
/// clock. An event without a date happened when it was sent.
pub(super) fn at(
    fields: &mut Fields<'_>,
    sent_at: Option<Millis>,
    now: Millis,
) -> Result<Millis, Rejection> {
    let parcel = sent_at.unwrap_or(now);
    let original = date(fields, "originalTimestamp")?;
    let timestamp = date(fields, "timestamp")?;
    let sent = date(fields, "sentAt")?;
    let corrected = timestamp.filter(|_| fields.take("receivedAt").is_some());
    let (told, clock) = match corrected {
        Some(corrected) => (Some(corrected), now),
        None => (original.or(timestamp), sent.unwrap_or(parcel)),
    };
    // How long before it was sent is what counts, whatever clock says so.
    Ok(told.map_or(parcel, |told| parcel - clock.since(told)))
}

fn date(fields: &mut Fields<'_>, key: &str) -> Result<Option<Millis>, Rejection> {
    let Some(text) = fields.label(key)? else { return Ok(None) };
    let wrong = || fields.wrong(key, "this must be a date such as 2027-01-15T08:00:00.000Z");
    moment(&text).map(Some).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Millis = Millis(1_800_000_000_000);

    fn check(text: &str, sent_at: Option<u64>, expected: u64) {
        let mut fields = Fields::read(text).unwrap();
        let at = at(&mut fields, sent_at.map(Millis), NOW);
        assert_eq!(at, Ok(Millis(expected)), "{text}");
        assert!(fields.is_empty(), "{text}");
    }

    #[test]
    fn a_date_is_told_by_the_parcels_clock() {
        let (now, second) = (NOW.0, 1_000);
        check("{}", None, now);
        check("{}", Some(now - 5), now - 5);
        check(r#"{"timestamp":"2027-01-15T07:59:58Z"}"#, None, now - 2 * second);
        // The sender's clock is an hour behind; what counts is the second between.
        check(r#"{"timestamp":"2027-01-15T06:59:59Z"}"#, Some(now - 3_600_000), now - 3_601_000);
        // An event that carries its own `sentAt`, as RudderStack's do.
        let own = r#"{"originalTimestamp":"2027-01-15T06:59:59Z","sentAt":"2027-01-15T07:00:00Z"}"#;
        check(own, None, now - second);
        // `timestamp` is another clock's where the original is told.
        let both =
            r#"{"originalTimestamp":"2027-01-15T07:59:59Z","timestamp":"2027-01-15T07:00:00Z"}"#;
        check(both, Some(now), now - second);
        // What comes from Segment is corrected already, however late it comes.
        let forwarded = r#"{"originalTimestamp":"2027-01-14T00:00:00Z","sentAt":"2027-01-14T00:00:01Z",
            "timestamp":"2027-01-15T07:00:00Z","receivedAt":"2027-01-15T07:00:01Z"}"#;
        check(forwarded, Some(now - 7), now - 7 - 3_600_000);
    }

    #[test]
    fn what_is_later_than_its_sending_happened_then() {
        check(r#"{"timestamp":"2027-01-15T09:00:00Z"}"#, None, NOW.0);
    }

    #[test]
    fn a_date_that_is_none_is_named() {
        let mut fields = Fields::read(r#"{"timestamp":"yesterday"}"#).unwrap();
        let rejection = at(&mut fields, None, NOW).unwrap_err();
        assert_eq!(rejection.pointer.as_deref(), Some("/timestamp"));
    }
}
