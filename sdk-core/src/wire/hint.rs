//! What the relay tells a visitor's pages.

use std::fmt;

use super::Millis;
use super::id::{EventId, IdError, Slot};
use super::json::{Json, NotJson, ToJson, Value, Writer};

/// One hint. On the wire it is one server-sent event: `id` and `event` are its id and kind, `data`
/// is the rest ([`ToJson`] writes just that).
#[derive(Clone, Debug, PartialEq)]
pub struct Hint {
    /// Its id, the same when the same input is processed again.
    pub id: HintId,
    /// What it is.
    pub kind: HintKind,
    /// The generation of the decider. A hint of an older one is dropped by its receiver.
    pub epoch: u64,
    /// The place on the page it is for; none where it is for the whole page.
    pub slot: Option<Slot>,
    /// What to show: one JSON object, its shape given by the kind.
    pub content: Json,
    /// Why it was decided.
    pub why: Why,
    /// When it stops being true.
    pub expires_at: Millis,
    /// Offset of the newest stock record the decision rests on.
    pub stock_version: Option<u64>,
    /// The event that caused it.
    pub cause: Option<Cause>,
    /// When the relay decided.
    pub decided_at: Millis,
}

/// The kinds of hints there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HintKind {
    /// A promotion applies.
    Promote,
    /// Forget all hints shown so far; the snapshot of those that hold follows.
    Reset,
    /// Something about a product's stock.
    Stock,
    /// Products that fit.
    Suggest,
    /// The arm of an experiment.
    Variant,
    /// A hint that was shown is no longer true.
    Withdraw,
}

impl HintKind {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Promote, Self::Reset, Self::Stock, Self::Suggest, Self::Variant, Self::Withdraw];

    /// The kind's name: the `event` of a server-sent event.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Promote => "promote",
            Self::Reset => "reset",
            Self::Stock => "stock",
            Self::Suggest => "suggest",
            Self::Variant => "variant",
            Self::Withdraw => "withdraw",
        }
    }

    /// The kind of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

/// `<source>.<partition>.<offset>.<n>`: the record that caused the hint, and which of its hints
/// this is. Derived from the input alone, so a hint that is decided again has the same id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HintId {
    /// The input topic's dataset, such as `clicks`: short, and it tells no cluster's names.
    pub source: String,
    /// Its partition.
    pub partition: u32,
    /// The record's offset.
    pub offset: u64,
    /// Which of the record's hints, from 0.
    pub n: u32,
}

impl HintId {
    /// Reads the text form.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        Self::split(text).ok_or(IdError::HINT)
    }

    fn split(text: &str) -> Option<Self> {
        let mut parts = text.rsplitn(4, '.');
        let n = parts.next()?.parse().ok()?;
        let offset = parts.next()?.parse().ok()?;
        let partition = parts.next()?.parse().ok()?;
        let source = parts.next().filter(|source| !source.is_empty() && source.len() <= 64)?;
        let plain = source.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        plain.then(|| Self { source: source.to_owned(), partition, offset, n })
    }
}

impl fmt::Display for HintId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}.{}", self.source, self.partition, self.offset, self.n)
    }
}

/// The explanation in a hint: enough to decide it again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize), serde(default))]
pub struct Why {
    /// The rule or model that decided.
    pub model: String,
    /// What it looked at, such as the products seen last.
    pub inputs: Vec<String>,
    /// On how many visits, orders or sights the first of the products rests.
    pub support: Option<u32>,
    /// How far each table was read: name and offset.
    pub tables: Vec<TableVersion>,
    /// The arm of the experiment that applied.
    pub variant: Option<String>,
}

/// How far a table was read when a decision was made.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize))]
pub struct TableVersion {
    /// The table.
    pub table: String,
    /// The newest record of it that counted.
    pub offset: u64,
}

/// The event a hint answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize))]
pub struct Cause {
    /// The event.
    pub event: EventId,
    /// When the collector received it.
    pub received_at: Millis,
}

/// What a receiver must know of a hint to pass it on or drop it; the rest goes to the page unread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HintHead {
    /// The generation of the decider.
    pub epoch: u64,
    /// The place on the page.
    pub slot: Option<Slot>,
    /// When it stops being true.
    pub expires_at: Millis,
    /// The event that caused it.
    pub cause: Option<EventId>,
}

impl HintHead {
    /// Reads the head from the `data` of a server-sent event.
    pub fn read(data: &str) -> Result<Self, NotJson> {
        let value = Value::read(data)?;
        let number = |name: &str| value.get(name).and_then(Value::number).ok_or(NotJson);
        let slot = value.get("slot").and_then(Value::text);
        let cause = value.get("cause").and_then(|cause| cause.get("event")?.text());
        Ok(Self {
            epoch: number("epoch")?,
            slot: slot.and_then(|slot| Slot::parse(slot).ok()),
            expires_at: Millis(number("expires_at")?),
            cause: cause.and_then(|id| EventId::parse(id).ok()),
        })
    }
}

/// A hint's `data` as servers and tests read it.
#[cfg(feature = "serde")]
#[derive(Clone, Debug, PartialEq, serde::Deserialize)]
struct HintData {
    epoch: u64,
    #[serde(default)]
    slot: Option<Slot>,
    content: Json,
    why: Why,
    expires_at: Millis,
    #[serde(default)]
    stock_version: Option<u64>,
    #[serde(default)]
    cause: Option<Cause>,
    decided_at: Millis,
}

#[cfg(feature = "serde")]
impl Hint {
    /// Puts the parts of a server-sent event together.
    pub fn from_parts(id: HintId, kind: HintKind, data: &str) -> Result<Self, serde_json::Error> {
        let data: HintData = serde_json::from_str(data)?;
        Ok(Self {
            id,
            kind,
            epoch: data.epoch,
            slot: data.slot,
            content: data.content,
            why: data.why,
            expires_at: data.expires_at,
            stock_version: data.stock_version,
            cause: data.cause,
            decided_at: data.decided_at,
        })
    }
}

impl ToJson for Hint {
    fn write(&self, w: &mut Writer) {
        w.object(|w| {
            w.field("epoch", Some(&self.epoch));
            w.field("slot", self.slot.as_ref());
            w.field("content", Some(&self.content));
            w.field("why", Some(&self.why));
            w.field("expires_at", Some(&self.expires_at));
            w.field("stock_version", self.stock_version.as_ref());
            w.field("cause", self.cause.as_ref());
            w.field("decided_at", Some(&self.decided_at));
        });
    }
}

impl ToJson for Why {
    fn write(&self, w: &mut Writer) {
        w.object(|w| {
            w.text_field("model", &self.model);
            w.list_field("inputs", &self.inputs);
            w.field("support", self.support.as_ref());
            w.list_field("tables", &self.tables);
            w.field("variant", self.variant.as_ref());
        });
    }
}

impl ToJson for TableVersion {
    fn write(&self, w: &mut Writer) {
        w.object(|w| {
            w.text_field("table", &self.table);
            w.number_field("offset", self.offset);
        });
    }
}

impl ToJson for Cause {
    fn write(&self, w: &mut Writer) {
        w.object(|w| {
            w.field("event", Some(&self.event));
            w.field("received_at", Some(&self.received_at));
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_id_has_one_text() {
        let id = HintId { source: "clicks".into(), partition: 3, offset: 1234, n: 0 };
        assert_eq!(id.to_string(), "clicks.3.1234.0");
        assert_eq!(HintId::parse("clicks.3.1234.0"), Ok(id));
        for bad in ["", "clicks.3.1234", "clicks.3.x.0", ".3.1.0", "Clicks\n.3.1.0"] {
            assert!(HintId::parse(bad).is_err(), "{bad}");
        }
    }
}
