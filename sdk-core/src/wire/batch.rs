//! What the browser sends: events, and the parcel they travel in.

use super::id::{EventId, EventType, Proof, QueueId};
use super::json::{Json, ToJson, Writer};
use super::{Context, Millis};

/// One delivery of events: the body of `POST /v1/events`.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize))]
pub struct Batch<E = Event> {
    /// The sender's clock at the moment of sending.
    pub sent_at: Millis,
    /// How often these events were tried before; 0 the first time.
    #[cfg_attr(feature = "serde", serde(default))]
    pub attempt: u32,
    /// The secret behind the visitor id, sent when a token for the hint stream is wanted.
    #[cfg_attr(feature = "serde", serde(default))]
    pub proof: Option<Proof>,
    /// Whether the visitor took another's place in this browser, as after a log-out: the proof then
    /// goes over what the browser's cookie says.
    #[cfg_attr(feature = "serde", serde(default))]
    pub renewed: bool,
    /// What the events share.
    #[cfg_attr(feature = "serde", serde(default))]
    pub context: Context,
    /// The events, oldest first; none when only a token is wanted.
    pub events: Vec<E>,
}

/// A batch whose events are still closed: each is judged on its own, so that a bad one costs only
/// itself.
pub type RawBatch = Batch<Json>;

impl<E: ToJson> ToJson for Batch<E> {
    fn write(&self, w: &mut Writer) {
        w.object(|w| {
            w.field("sent_at", Some(&self.sent_at));
            if self.attempt > 0 {
                w.field("attempt", Some(&self.attempt));
            }
            w.field("proof", self.proof.as_ref());
            if self.renewed {
                w.field("renewed", Some(&true));
            }
            w.field("context", Some(&self.context));
            w.key("events").array(|w| self.events.iter().for_each(|event| event.write(w)));
        });
    }
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize), serde(deny_unknown_fields))]
pub struct Event {
    /// Its own id; a copy keeps it.
    pub id: EventId,
    /// The SDK's queue it stood in.
    pub queue: QueueId,
    /// Its place in that queue.
    pub seq: u64,
    /// What happened.
    #[cfg_attr(feature = "serde", serde(rename = "type"))]
    pub kind: EventType,
    /// The schema's version the page was written for; absent means the newest.
    #[cfg_attr(feature = "serde", serde(default))]
    pub version: Option<u32>,
    /// When, by the browser's clock.
    pub at: Millis,
    /// Its properties: one JSON object.
    #[cfg_attr(feature = "serde", serde(default))]
    pub props: Json,
    /// What differs from the batch's context.
    #[cfg_attr(feature = "serde", serde(default))]
    pub context: Context,
    /// The share of visitors whose events of this kind are sent; absent means all.
    #[cfg_attr(feature = "serde", serde(default))]
    pub sample: Option<f64>,
}

impl ToJson for Event {
    fn write(&self, w: &mut Writer) {
        w.object(|w| {
            w.field("id", Some(&self.id));
            w.field("queue", Some(&self.queue));
            w.number_field("seq", self.seq);
            w.field("type", Some(&self.kind));
            w.field("version", self.version.as_ref());
            w.field("at", Some(&self.at));
            w.field("props", Some(&self.props));
            if !self.context.is_empty() {
                w.field("context", Some(&self.context));
            }
            if let Some(sample) = self.sample {
                w.key("sample").share(sample);
            }
        });
    }
}
