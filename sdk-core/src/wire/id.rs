//! Names and ids: newtypes that cannot be built from text that breaks their rule.

use std::fmt;

use smol_str::SmolStr;
use uuid::Uuid;

use super::Millis;
use super::hash::sha256;
use super::json::{ToJson, Writer};

/// The text is no valid id of its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdError {
    kind: &'static str,
    rule: &'static str,
}

impl IdError {
    /// Not the text of a hint's id.
    pub(crate) const HINT: Self =
        Self { kind: "hint id", rule: "a source, partition, offset and number joined by dots" };
}

impl fmt::Display for IdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not a valid {}: it must be {}", self.kind, self.rule)
    }
}

impl std::error::Error for IdError {}

/// What every short id is made of: safe in a Kafka key, a token, a URL and a log line.
fn is_plain(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

/// Lower-case words joined by underscores, as event types and slots are named.
fn is_name(text: &str) -> bool {
    is_joined_by(text, b'_')
}

fn is_slot(text: &str) -> bool {
    is_joined_by(text, b'-')
}

fn is_joined_by(text: &str, joint: u8) -> bool {
    text.bytes().next().is_some_and(|first| first.is_ascii_lowercase())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == joint)
}

/// Anything a site may call its things, without control characters.
fn is_free(text: &str) -> bool {
    !text.chars().any(char::is_control)
}

/// Reads a text and checks it, without a copy in between.
#[cfg(feature = "serde")]
struct Checked<T> {
    parse: fn(&str) -> Result<T, IdError>,
    /// What is expected, for errors.
    what: &'static str,
}

#[cfg(feature = "serde")]
impl<T> serde::de::Visitor<'_> for Checked<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.what)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
        (self.parse)(text).map_err(E::custom)
    }
}

/// Defines a checked text: name, what it is called in errors, its longest length in bytes, its
/// rule and the rule in words. Up to 23 bytes lie in the value itself, and no copy allocates: a
/// visitor's state is read, copied and dropped with every click.
macro_rules! checked_text {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $bytes_max:literal, $rule:expr, $words:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(SmolStr);

        impl $name {
            /// Checks and takes a text.
            pub fn parse(text: impl Into<SmolStr>) -> Result<Self, IdError> {
                let text = text.into();
                let fits = !text.is_empty() && text.len() <= $bytes_max;
                if fits && $rule(&text) {
                    Ok(Self(text))
                } else {
                    Err(IdError { kind: $kind, rule: $words })
                }
            }

            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl ToJson for $name {
            fn write(&self, w: &mut Writer) {
                w.text(&self.0);
            }
        }

        #[cfg(feature = "serde")]
        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                d.deserialize_str(Checked { parse: |text| Self::parse(text), what: "a string" })
            }
        }
    };
}

checked_text!(
    /// One customer of a Clickmill installation: a site or a group of sites that share visitors.
    Tenant,
    "tenant",
    32,
    is_plain,
    "1 to 32 letters, digits, hyphens or underscores"
);
checked_text!(
    /// The public key of a site; it names its tenant, its quota and the origins it may be used on.
    WriteKey,
    "write key",
    64,
    is_plain,
    "1 to 64 letters, digits, hyphens or underscores"
);
checked_text!(
    /// Who: a browser profile. Minted by the SDK as a hash of a secret that only it keeps.
    VisitorId,
    "visitor id",
    64,
    is_plain,
    "1 to 64 letters, digits, hyphens or underscores"
);
checked_text!(
    /// In which visit.
    SessionId,
    "session id",
    64,
    is_plain,
    "1 to 64 letters, digits, hyphens or underscores"
);
checked_text!(
    /// On which page view.
    PageViewId,
    "page view id",
    64,
    is_plain,
    "1 to 64 letters, digits, hyphens or underscores"
);
checked_text!(
    /// One queue of one SDK: events in it are numbered without gaps.
    QueueId,
    "queue id",
    64,
    is_plain,
    "1 to 64 letters, digits, hyphens or underscores"
);
checked_text!(
    /// What happened: lower-case words joined by underscores, such as `product_view`.
    EventType,
    "event type",
    64,
    is_name,
    "1 to 64 lower-case letters, digits or underscores, a letter first"
);
checked_text!(
    /// The site's own id of a customer. From a browser it is a claim until it is proven.
    CustomerId,
    "customer id",
    128,
    is_free,
    "1 to 128 bytes without control characters"
);
checked_text!(
    /// The site's own number of a product.
    Sku,
    "product number",
    64,
    is_free,
    "1 to 64 bytes without control characters"
);
checked_text!(
    /// A system that tells stock levels, such as `erp`.
    StockSource,
    "stock source",
    64,
    is_slot,
    "1 to 64 lower-case letters, digits or hyphens, a letter first"
);
checked_text!(
    /// A place on a page that hints may fill, such as `product-below`.
    Slot,
    "slot name",
    64,
    is_slot,
    "1 to 64 lower-case letters, digits or hyphens, a letter first"
);

checked_text!(
    /// A rule of promotions, such as `descaler-for-kettles`.
    RuleName,
    "rule's name",
    64,
    is_slot,
    "1 to 64 lower-case letters, digits or hyphens, a letter first"
);

impl QueueId {
    /// A queue that holds this one event: where nothing may connect it with another.
    pub fn of(event: EventId) -> Self {
        let text = event.0.as_hyphenated().encode_lower(&mut Uuid::encode_buffer()).into();
        Self(text)
    }
}

/// An event's own id: a UUID, version 7 where our SDK made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId(Uuid);

impl EventId {
    /// Mints a version 7 id from a moment and ten random bytes.
    pub fn mint(at: Millis, random: &[u8; 10]) -> Self {
        Self(uuid::Builder::from_unix_timestamp_millis(at.0, random).into_uuid())
    }

    /// Takes any UUID.
    pub fn from_uuid(uuid: Uuid) -> Self {
        Self(uuid)
    }

    /// The UUID itself.
    pub fn uuid(self) -> Uuid {
        self.0
    }

    /// Reads the hyphenated form (36 characters); the shorter forms of a UUID are refused, so that
    /// one id has one text.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        let error = IdError { kind: "event id", rule: "a hyphenated UUID" };
        if text.len() != 36 {
            return Err(error);
        }
        Uuid::try_parse(text).map(Self).map_err(|_| error)
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_hyphenated().encode_lower(&mut Uuid::encode_buffer()))
    }
}

impl ToJson for EventId {
    fn write(&self, w: &mut Writer) {
        w.text(self.0.as_hyphenated().encode_lower(&mut Uuid::encode_buffer()));
    }
}

#[cfg(feature = "serde")]
impl<'de> serde::Deserialize<'de> for EventId {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        d.deserialize_str(Checked { parse: Self::parse, what: "a hyphenated UUID" })
    }
}

/// The secret behind a visitor id. Showing it proves that the id is one's own; it is never stored
/// or logged by a server.
#[derive(Clone, PartialEq, Eq)]
pub struct Proof(String);

impl Proof {
    /// Makes a proof from 32 random bytes.
    pub fn mint(random: &[u8; 32]) -> Self {
        Self(hex(random))
    }

    /// Checks and takes the text form: 64 hexadecimal digits in lower case.
    pub fn parse(text: impl Into<String>) -> Result<Self, IdError> {
        let text = text.into();
        if text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            Ok(Self(text))
        } else {
            Err(IdError { kind: "proof", rule: "64 hexadecimal digits in lower case" })
        }
    }

    /// The visitor this proof belongs to: half a SHA-256 of it, so the id gives the secret away to
    /// nobody.
    pub fn visitor(&self) -> VisitorId {
        VisitorId(visitor_of(self.0.as_bytes()).into_iter().map(char::from).collect())
    }

    /// The secret itself, for the place that keeps or sends it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Proof(…)")
    }
}

impl ToJson for Proof {
    fn write(&self, w: &mut Writer) {
        w.text(&self.0);
    }
}

#[cfg(feature = "serde")]
impl<'de> serde::Deserialize<'de> for Proof {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Self::parse(String::deserialize(d)?).map_err(serde::de::Error::custom)
    }
}

/// The visitor that a proof's text belongs to.
pub(crate) fn visitor_of(proof: &[u8]) -> Vec<u8> {
    digits(&sha256(&[b"clickmill visitor:", proof])[..16])
}

/// Lower-case hexadecimal digits of some bytes.
pub fn hex(bytes: &[u8]) -> String {
    digits(bytes).into_iter().map(char::from).collect()
}

/// These digits as bytes.
#[inline(never)]
pub(crate) fn digits(bytes: &[u8]) -> Vec<u8> {
    let mut digits = Vec::new();
    for at in 0..bytes.len() * 2 {
        let digit = bytes[at / 2] >> (4 - at % 2 * 4) & 15;
        digits.push(digit + if digit < 10 { b'0' } else { b'a' - 10 });
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_that_would_break_a_key_or_a_url_is_refused() {
        for bad in ["", "a:b", "a.b", "a b", "ä", "x/y", &"x".repeat(65)] {
            assert!(VisitorId::parse(bad).is_err(), "{bad}");
        }
        assert!(EventType::parse("Product View").is_err());
        assert!(EventType::parse("1st").is_err());
        assert!(Slot::parse("product-below").is_ok());
        assert!(EventId::parse("0190163d8694739b8c8a5d3f0b1c2d3e").is_err());
    }

    #[test]
    fn a_proof_names_its_visitor_and_hides_itself() {
        let proof = Proof::mint(&[7; 32]);
        assert_eq!(proof.visitor(), Proof::parse(proof.expose()).unwrap().visitor());
        assert_eq!(proof.visitor().as_str().len(), 32);
        assert_ne!(proof.visitor(), Proof::mint(&[8; 32]).visitor());
        assert_eq!(format!("{proof:?}"), "Proof(…)");
    }

    #[test]
    fn a_minted_event_id_carries_its_time_and_version() {
        let id = EventId::mint(Millis(1_700_000_000_000), &[1; 10]);
        assert_eq!(id.uuid().get_version_num(), 7);
        assert_eq!(EventId::parse(&id.to_string()), Ok(id));
        assert!(id < EventId::mint(Millis(1_700_000_000_001), &[0; 10]));
    }
}
