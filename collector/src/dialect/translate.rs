//! What all dialects need to put an event into our terms: ids from names, types from titles,
//! moments from dates.

use clickmill_sdk_core::wire::{
    Context, Event, EventId, EventType, Json, Millis, QueueId, ToJson, VisitorId,
};
use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use time::format_description::well_known::{Iso8601, Rfc3339};
use uuid::{Builder, Uuid};

use crate::parcel::Form;

/// An event in our terms.
#[derive(Clone, Debug)]
pub(super) struct Translation {
    pub(super) id: EventId,
    pub(super) kind: EventType,
    pub(super) version: Option<u32>,
    pub(super) at: Millis,
    pub(super) props: Json,
    pub(super) context: Context,
}

impl From<Translation> for Form {
    /// Strangers number no queue: each event stands in one of its own.
    fn from(translation: Translation) -> Self {
        let Translation { id, kind, version, at, props, context } = translation;
        let queue = QueueId::of(id);
        let event = Event { id, queue, seq: 0, kind, version, at, props, context, sample: None };
        Self::Translated(event.to_json())
    }
}

/// A name that is not a UUID as an id: always the same one, so that a copy is recognised. The parts
/// are kept apart, and dialects from each other.
pub(super) fn hashed_id(dialect: &str, parts: &[&str]) -> EventId {
    EventId::from_uuid(Builder::from_custom_bytes(digest(dialect, parts)).into_uuid())
}

/// An id for the event at `place` of a request, where the stranger gave none: a copy of it cannot
/// be recognised.
pub(super) fn minted_id(now: Millis, seed: u64, place: usize) -> EventId {
    let bytes = digest("minted", &[&now.0.to_string(), &seed.to_string(), &place.to_string()]);
    let mut random = [0; 10];
    random.copy_from_slice(&bytes[..10]);
    EventId::mint(now, &random)
}

/// The stranger's id of a visitor, or where it breaks our rule, a hash of it.
pub(super) fn visitor(text: &str) -> Option<VisitorId> {
    let hashed = || Uuid::from_bytes(digest("visitor", &[text])).simple().to_string();
    VisitorId::parse(text).or_else(|_| VisitorId::parse(hashed())).ok()
}

fn digest(purpose: &str, parts: &[&str]) -> [u8; 16] {
    let mut hash = Sha256::new().chain_update("clickmill ").chain_update(purpose);
    for part in parts {
        hash.update(part.len().to_be_bytes());
        hash.update(part);
    }
    let mut half = [0; 16];
    half.copy_from_slice(&hash.finalize()[..16]);
    half
}

/// The moment that a date of ISO 8601 names; none where it names no moment since 1970, as without
/// an offset from UTC.
pub(super) fn moment(text: &str) -> Option<Millis> {
    let date = OffsetDateTime::parse(text, &Rfc3339)
        .or_else(|_| OffsetDateTime::parse(text, &Iso8601::PARSING))
        .ok()?;
    u64::try_from(date.unix_timestamp_nanos() / 1_000_000).ok().map(Millis)
}

/// The type that a title names: its words in lower case, joined by underscores, so `Product Viewed`
/// and `productViewed` are `product_viewed`. None where that is no type: words of other letters
/// than ours would be lost, and two titles one.
pub(super) fn event_type(title: &str) -> Option<EventType> {
    let letters: Vec<char> = title.chars().collect();
    let mut name = String::with_capacity(title.len() + 8);
    let mut fresh = true;
    for (at, letter) in letters.iter().enumerate() {
        if !letter.is_alphanumeric() {
            fresh = true;
            continue;
        }
        if !letter.is_ascii() {
            return None;
        }
        let before = at.checked_sub(1).map(|at| letters[at]);
        let after = letters.get(at + 1);
        let begins = letter.is_ascii_uppercase()
            && (before.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
                || after.is_some_and(char::is_ascii_lowercase));
        if (fresh || begins) && !name.is_empty() {
            name.push('_');
        }
        name.push(letter.to_ascii_lowercase());
        fresh = false;
    }
    EventType::parse(name).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_is_a_type_in_words() {
        let check = |title: &str, name: Option<&str>| {
            assert_eq!(event_type(title).as_ref().map(EventType::as_str), name, "{title}");
        };
        check("Product Viewed", Some("product_viewed"));
        check("product_view", Some("product_view"));
        check("orderCompleted", Some("order_completed"));
        check("HTTPRequest sent", Some("http_request_sent"));
        check("Step2Done", Some("step2_done"));
        check("  Sign-Up: Done! ", Some("sign_up_done"));
        check("$pageview", Some("pageview"));
        check("AB", Some("ab"));
        check("Größe gewählt", None);
        check("購入", None);
        check("2FA enabled", None);
        check("!", None);
        check("", None);
        check(&"long ".repeat(20), None);
    }

    #[test]
    fn a_date_is_a_moment() {
        let check =
            |text: &str, at: Option<u64>| assert_eq!(moment(text), at.map(Millis), "{text}");
        check("2027-01-15T08:00:00.250Z", Some(1_800_000_000_250));
        check("2027-01-15T08:00:00Z", Some(1_800_000_000_000));
        check("2027-01-15T09:00:00.123456+01:00", Some(1_800_000_000_123));
        check("2027-01-15T08:00:00.1234567891Z", Some(1_800_000_000_123));
        check("20270115T080000Z", Some(1_800_000_000_000));
        check("2027-01-15T08:00:00", None);
        check("2027-01-15", None);
        check("1969-12-31T23:59:59Z", None);
        check("9999-12-31T23:59:59Z", Some(253_402_300_799_000));
        check("soon", None);
        check("", None);
    }

    #[test]
    fn the_same_name_is_the_same_id_and_another_is_another() {
        let id = hashed_id("segment", &["a", "b"]);
        assert_eq!(id, hashed_id("segment", &["a", "b"]));
        assert_eq!(id.uuid().get_version_num(), 8);
        for other in [
            hashed_id("segment", &["ab", ""]),
            hashed_id("segment", &["ab"]),
            hashed_id("x", &["a", "b"]),
        ] {
            assert_ne!(id, other);
        }
        let minted = minted_id(Millis(5), 1, 0);
        assert_eq!(minted.uuid().get_version_num(), 7);
        assert_ne!(minted, minted_id(Millis(5), 1, 1));
        assert_ne!(minted, minted_id(Millis(5), 2, 0));
    }

    #[test]
    fn a_visitor_keeps_its_name_where_it_may() {
        let named = |text: &str| visitor(text).unwrap().to_string();
        let uuid = "0190163d-8694-739b-8c8a-5d3f0b1c2d3e";
        assert_eq!(named(uuid), uuid);
        let hashed = named("ada@example.org");
        assert_eq!((hashed.len(), &hashed), (32, &named("ada@example.org")));
        assert_ne!(hashed, named("bob@example.org"));
        assert_eq!(named(&"x".repeat(500)).len(), 32);
    }
}
