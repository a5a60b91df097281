//! What the collector answers: a verdict per event, or a refusal of the whole delivery.

use super::Millis;
use super::id::{EventId, VisitorId};
use super::json::{NotJson, ToJson, Value, Writer};

/// The answer to a batch that could be read.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize), serde(default))]
pub struct Receipt {
    /// How many events were accepted: durable from now on.
    pub accepted: u32,
    /// The events that were not plainly accepted, by their place in the batch.
    pub verdicts: Vec<Verdict>,
    /// Accepted events that were more than one visitor can send, by their places: they are kept beside
    /// the stream, without order, and feed no visitor's view.
    pub overflow: Vec<u32>,
    /// Accepted `identify` events that prove nothing: whom they name is a claim, which opens nothing.
    pub claims: Vec<Claim>,
    /// Where accepted events lie in Kafka, if the sender asked with `positions=1`.
    pub positions: Vec<Placed>,
    /// What the sender should keep to from now on.
    pub limits: Option<Limits>,
    /// The share of visitors whose events should be sent; absent means all.
    pub sample: Option<f64>,
    /// Who the visitor is to the collector, and the key to the hint stream.
    pub identity: Option<Identity>,
}

/// The fate of one event.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize))]
pub struct Verdict {
    /// The event's place in the batch, from 0.
    pub index: u32,
    /// Its id, where it could be read.
    #[cfg_attr(feature = "serde", serde(default))]
    pub id: Option<EventId>,
    /// What became of it.
    #[cfg_attr(feature = "serde", serde(flatten))]
    pub outcome: Outcome,
}

/// The single fate of an event. Receipt, metric and dead letter all derive from it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Deserialize),
    serde(tag = "outcome", rename_all = "snake_case")
)]
pub enum Outcome {
    /// Durable.
    Accepted,
    /// Durable since an earlier copy.
    Duplicate,
    /// Never to be sent again.
    Rejected(Rejection),
    /// Not durable; to be sent again, after this wait.
    Retry {
        /// How long to wait, ms.
        after_ms: u64,
    },
}

impl Outcome {
    /// The outcome's name, as receipts and metrics write it.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Duplicate => "duplicate",
            Self::Rejected(_) => "rejected",
            Self::Retry { .. } => "retry",
        }
    }

    /// How long an event that is not settled has to wait, ms.
    pub fn after_ms(&self) -> Option<u64> {
        match self {
            Self::Retry { after_ms } => Some(*after_ms),
            Self::Accepted | Self::Duplicate | Self::Rejected(_) => None,
        }
    }

    /// Reads one from the small reader.
    pub(crate) fn from_value(value: &Value) -> Option<Self> {
        let owned = |name: &str| value.get(name).and_then(Value::text).map(str::to_owned);
        Some(match value.get("outcome")?.text()? {
            "accepted" => Self::Accepted,
            "duplicate" => Self::Duplicate,
            "retry" => {
                let after_ms = value.get("after_ms").and_then(Value::number).unwrap_or_default();
                Self::Retry { after_ms }
            }
            "rejected" => Self::Rejected(Rejection {
                reason: Reason::parse(value.get("reason")?.text()?)?,
                schema: owned("schema"),
                pointer: owned("pointer"),
                detail: owned("detail"),
            }),
            _ => return None,
        })
    }
}

/// Why an event is refused for good.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize))]
pub struct Rejection {
    /// The stable code.
    pub reason: Reason,
    /// The schema it was judged by, such as `product_view/2`.
    #[cfg_attr(feature = "serde", serde(default))]
    pub schema: Option<String>,
    /// Where in the event the fault lies: a JSON pointer.
    #[cfg_attr(feature = "serde", serde(default))]
    pub pointer: Option<String>,
    /// One sentence for the developer of the page.
    #[cfg_attr(feature = "serde", serde(default))]
    pub detail: Option<String>,
}

/// Defines a closed list of codes with their names on the wire.
macro_rules! codes {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[cfg_attr(feature = "serde", derive(serde::Deserialize))]
        pub enum $name {
            $($(#[$variant_doc])* #[cfg_attr(feature = "serde", serde(rename = $text))] $variant,)*
        }

        impl $name {
            /// Every code there is.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The code on the wire.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }

            /// The code of that name.
            pub fn parse(text: &str) -> Option<Self> {
                match text {
                    $($text => Some(Self::$variant),)*
                    _ => None,
                }
            }
        }

        impl ToJson for $name {
            fn write(&self, w: &mut Writer) {
                w.text(self.as_str());
            }
        }
    };
}

codes!(
    /// Why one event is refused for good.
    Reason {
        /// The visitor has not allowed what this event needs.
        ConsentMissing = "consent_missing",
        /// An object has the same key twice.
        DuplicateKey = "duplicate_key",
        /// The event's own fields break their rules.
        Malformed = "malformed",
        /// The properties break the schema.
        SchemaViolation = "schema_violation",
        /// Objects lie deeper inside each other than is read.
        TooDeep = "too_deep",
        /// The event is larger than an event may be.
        TooLarge = "too_large",
        /// The event is older than duplicates are remembered.
        TooOld = "too_old",
        /// No schema has this event type.
        UnknownType = "unknown_type",
        /// The event type has no such version.
        UnknownVersion = "unknown_version",
    }
);

codes!(
    /// Why a whole delivery is refused.
    RefusalCode {
        /// The body ended early or broke off.
        BodyBroken = "body_broken",
        /// The body is larger than a batch may be, before or after inflating.
        BodyTooLarge = "body_too_large",
        /// The body came too slowly.
        BodyTooSlow = "body_too_slow",
        /// The collector is going down; another try will reach another one.
        Draining = "draining",
        /// The body is not a batch.
        Malformed = "malformed",
        /// The method does not exist on this path.
        MethodNotAllowed = "method_not_allowed",
        /// There is nothing at this path.
        NotFound = "not_found",
        /// This write key may not be used from that origin.
        OriginNotAllowed = "origin_not_allowed",
        /// Too much for now, from this address or for this write key.
        RateLimited = "rate_limited",
        /// The proof or token is missing, forged or expired.
        Unauthorized = "unauthorized",
        /// Nothing behind the collector takes events at the moment.
        Unavailable = "unavailable",
        /// The write key is missing or unknown.
        UnknownWriteKey = "unknown_write_key",
    }
);

/// An event that names a customer without proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize))]
pub struct Claim {
    /// The event's place in the batch.
    pub index: u32,
    /// Why its proof is none.
    pub why: Doubt,
}

codes!(
    /// Why an event does not prove which customer its visitor is.
    Doubt {
        /// The proof was good, once.
        Expired = "expired",
        /// The signature is not the site's over this customer of this tenant and this visitor.
        Forged = "forged",
        /// The proof is not written as one.
        Malformed = "malformed",
        /// There is no proof.
        Missing = "missing",
        /// It names no customer, or another one than its context.
        NoCustomer = "no_customer",
        /// There is no visitor whom it could be about, as without consent.
        NoVisitor = "no_visitor",
        /// The proof would hold for longer than the site allows.
        TooLong = "too_long",
        /// The site has no key of that name (any more).
        UnknownKey = "unknown_key",
    }
);

/// Where an event lies in Kafka.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize))]
pub struct Placed {
    /// The event's place in the batch.
    pub index: u32,
    /// Partition of the raw topic.
    pub partition: u32,
    /// Offset in it.
    pub offset: u64,
}

/// What a sender keeps to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize))]
pub struct Limits {
    /// Largest body, bytes before compression.
    pub batch_bytes_max: u64,
    /// Most events in a batch.
    pub batch_events_max: u32,
    /// Largest event, bytes.
    pub event_bytes_max: u64,
}

/// Who the visitor is to the collector.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize))]
pub struct Identity {
    /// The visitor the token is for. Where it differs from the sender's own, the sender lost its
    /// memory and takes this id for new events.
    pub visitor: VisitorId,
    /// Opens the hint stream.
    pub token: String,
    /// When the token ends.
    pub expires_at: Millis,
}

impl Receipt {
    /// Reads one in the browser.
    pub fn read(text: &str) -> Result<Self, NotJson> {
        Self::from_value(&Value::read(text)?)
    }

    /// Takes one from the small reader. A verdict with a word that is not known here is passed over.
    pub(crate) fn from_value(value: &Value) -> Result<Self, NotJson> {
        let list = |name: &str| value.get(name).map(Value::list).unwrap_or_default();
        Ok(Self {
            accepted: small(value.get("accepted")).ok_or(NotJson)?,
            verdicts: list("verdicts").iter().filter_map(Verdict::from_value).collect(),
            overflow: list("overflow").iter().filter_map(|at| small(Some(at))).collect(),
            claims: list("claims").iter().filter_map(Claim::from_value).collect(),
            positions: list("positions").iter().filter_map(Placed::from_value).collect(),
            limits: value.get("limits").and_then(Limits::from_value),
            sample: value.get("sample").and_then(Value::float),
            identity: value.get("identity").and_then(Identity::from_value),
        })
    }
}

/// A number that fits 32 bits.
fn small(value: Option<&Value>) -> Option<u32> {
    value?.number().and_then(|number| u32::try_from(number).ok())
}

impl Verdict {
    fn from_value(value: &Value) -> Option<Self> {
        let outcome = Outcome::from_value(value)?;
        let id = value.get("id").and_then(Value::text).and_then(|id| EventId::parse(id).ok());
        Some(Self { index: small(value.get("index"))?, id, outcome })
    }
}

impl Claim {
    fn from_value(value: &Value) -> Option<Self> {
        let why = Doubt::parse(value.get("why")?.text()?)?;
        Some(Self { index: small(value.get("index"))?, why })
    }
}

impl Placed {
    fn from_value(value: &Value) -> Option<Self> {
        Some(Self {
            index: small(value.get("index"))?,
            partition: small(value.get("partition"))?,
            offset: value.get("offset")?.number()?,
        })
    }
}

impl Limits {
    fn from_value(value: &Value) -> Option<Self> {
        Some(Self {
            batch_bytes_max: value.get("batch_bytes_max")?.number()?,
            batch_events_max: small(value.get("batch_events_max"))?,
            event_bytes_max: value.get("event_bytes_max")?.number()?,
        })
    }
}

impl Identity {
    fn from_value(value: &Value) -> Option<Self> {
        Some(Self {
            visitor: VisitorId::parse(value.get("visitor")?.text()?).ok()?,
            token: value.get("token")?.text()?.to_owned(),
            expires_at: Millis(value.get("expires_at")?.number()?),
        })
    }
}

impl ToJson for Receipt {
    fn write(&self, w: &mut Writer) {
        w.object(|w| {
            w.field("accepted", Some(&self.accepted));
            w.list_field("verdicts", &self.verdicts);
            w.list_field("overflow", &self.overflow);
            w.list_field("claims", &self.claims);
            w.list_field("positions", &self.positions);
            w.field("limits", self.limits.as_ref());
            if let Some(sample) = self.sample {
                w.key("sample").share(sample);
            }
            w.field("identity", self.identity.as_ref());
        });
    }
}

impl ToJson for Verdict {
    fn write(&self, w: &mut Writer) {
        w.object(|w| {
            w.field("index", Some(&self.index));
            w.field("id", self.id.as_ref());
            w.text_field("outcome", self.outcome.as_str());
            match &self.outcome {
                Outcome::Accepted | Outcome::Duplicate => {}
                Outcome::Retry { after_ms } => w.number_field("after_ms", *after_ms),
                Outcome::Rejected(rejection) => {
                    w.field("reason", Some(&rejection.reason));
                    w.field("schema", rejection.schema.as_ref());
                    w.field("pointer", rejection.pointer.as_ref());
                    w.field("detail", rejection.detail.as_ref());
                }
            }
        });
    }
}

impl ToJson for Claim {
    fn write(&self, w: &mut Writer) {
        w.object(|w| {
            w.field("index", Some(&self.index));
            w.field("why", Some(&self.why));
        });
    }
}

impl ToJson for Placed {
    fn write(&self, w: &mut Writer) {
        w.object(|w| {
            w.field("index", Some(&self.index));
            w.field("partition", Some(&self.partition));
            w.field("offset", Some(&self.offset));
        });
    }
}

impl ToJson for Limits {
    fn write(&self, w: &mut Writer) {
        w.object(|w| {
            w.field("batch_bytes_max", Some(&self.batch_bytes_max));
            w.field("batch_events_max", Some(&self.batch_events_max));
            w.field("event_bytes_max", Some(&self.event_bytes_max));
        });
    }
}

impl ToJson for Identity {
    fn write(&self, w: &mut Writer) {
        w.object(|w| {
            w.field("visitor", Some(&self.visitor));
            w.text_field("token", &self.token);
            w.field("expires_at", Some(&self.expires_at));
        });
    }
}

/// The answer to a delivery that was refused as a whole; its events stay with the sender.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize))]
pub struct Refusal {
    /// The stable code.
    pub error: RefusalCode,
    /// One sentence that names what is wrong.
    pub detail: String,
    /// How long to wait before another try, ms; absent where another try is useless.
    #[cfg_attr(feature = "serde", serde(default))]
    pub retry_after_ms: Option<u64>,
}

impl Refusal {
    /// Reads one in the browser.
    pub fn read(text: &str) -> Result<Self, NotJson> {
        let value = Value::read(text)?;
        let code = value.get("error").and_then(Value::text).and_then(RefusalCode::parse);
        Ok(Self {
            error: code.ok_or(NotJson)?,
            detail: value.get("detail").and_then(Value::text).unwrap_or_default().to_owned(),
            retry_after_ms: value.get("retry_after_ms").and_then(Value::number),
        })
    }
}

impl ToJson for Refusal {
    fn write(&self, w: &mut Writer) {
        w.object(|w| {
            w.field("error", Some(&self.error));
            w.text_field("detail", &self.detail);
            w.field("retry_after_ms", self.retry_after_ms.as_ref());
        });
    }
}
