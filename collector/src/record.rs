//! The message of an event: its record, or the dead letter of one that is refused.

use std::time::{Duration, UNIX_EPOCH};

use clickmill_kafka::{Headers, SchemaId, names};
use clickmill_sdk_core::wire::json::Writer;
use clickmill_sdk_core::wire::{
    CustomerId, DeadLetter, EventId, EventType, Millis, QueueId, RecordView, Rejection, ToJson,
    Topic,
};
use clickmill_server::trace::TraceParent;

use crate::decode::Opened;
use crate::delivery::{Circumstances, Common, Delivery};
use crate::sink::Message;

/// Longest text of a refused event in its dead letter, in bytes: the letter must always fit.
const ORIGINAL_BYTES_MAX: usize = 64 * 1024;

/// The type of a dead letter, as CloudEvents names it.
const DEAD_LETTER: &str = "clickmill.dead_letter";

/// What a record takes beside its context, arrival and properties, in bytes.
const FRAME_BYTES: usize = 320;

/// Room for the headers that only one event has, in bytes.
const OWN_HEADERS_BYTES: usize = 256;

/// An event that may be stored.
#[derive(Debug)]
pub(crate) struct Fit<'a> {
    pub(crate) event: &'a Opened<'a>,
    /// When it happened, stream time.
    pub(crate) time: Millis,
    pub(crate) circumstances: &'a Circumstances,
    /// Its properties as they are stored.
    pub(crate) props: &'a str,
    /// The version of the schema that judged it.
    pub(crate) version: Option<u32>,
    pub(crate) schema: Option<SchemaId>,
    pub(crate) topic: Topic,
    /// The trace of this event alone.
    pub(crate) traceparent: Option<TraceParent>,
    /// The customer that the visitor is proven to be.
    pub(crate) proven: Option<&'a CustomerId>,
}

/// The record of an event.
pub(crate) fn record(fit: &Fit<'_>, common: &Common, delivery: &Delivery) -> Message {
    let Fit { event, circumstances, props, .. } = fit;
    // A queue outlives the page like a visitor's id does.
    let own = (!circumstances.recognised).then(|| QueueId::of(event.id));
    let size = circumstances.context.0.len() + common.arrival.0.len() + props.len() + FRAME_BYTES;
    let mut w = Writer::with_capacity(size);
    let view = RecordView {
        id: event.id,
        tenant: &delivery.site.tenant,
        kind: &event.kind,
        version: fit.version,
        at: event.at,
        time: fit.time,
        queue: own.as_ref().unwrap_or(&event.queue),
        seq: if own.is_some() { 0 } else { event.seq },
        arrival: &common.arrival,
        context: &circumstances.context,
        props: Raw(props),
        sample: event.sample,
        proven: fit.proven,
        enrichment: None,
    };
    view.write(&mut w);
    let mut headers = shared(common, fit.traceparent);
    tell(&mut headers, &event.id.to_string(), event.kind.as_str(), fit.time);
    let headers = match fit.schema {
        Some(schema) => headers.with_schema(schema),
        None => headers,
    };
    Message { topic: fit.topic, key: circumstances.key.clone(), value: w.finish(), headers }
}

/// A refused event.
#[derive(Debug)]
pub(crate) struct Refused<'a> {
    /// Its id, where it could be read.
    pub(crate) id: Option<EventId>,
    /// Its place in the batch.
    pub(crate) number: usize,
    pub(crate) rejection: &'a Rejection,
    /// Its text, as far as it may be kept.
    pub(crate) original: &'a str,
    /// The event in our own terms, where it came in others' and may be kept.
    pub(crate) translated: Option<&'a str>,
    /// Its type, where it could be read.
    pub(crate) kind: Option<&'a EventType>,
    /// Whether the visitor may be known again.
    pub(crate) recognised: bool,
    /// The trace of this event alone.
    pub(crate) traceparent: Option<TraceParent>,
}

/// The dead letter of a refused event. It belongs to no order, so it has no key.
pub(crate) fn letter(refused: &Refused<'_>, common: &Common, delivery: &Delivery) -> Message {
    let mut context = delivery.shared.clone();
    delivery.enforce(&mut context);
    if !refused.recognised {
        (context.visitor, context.session, context.customer) = (None, None, None);
    }
    let letter = DeadLetter {
        id: refused.id,
        tenant: delivery.site.tenant.clone(),
        arrival: delivery.arrival.clone(),
        rejection: refused.rejection.clone(),
        context,
        original: cut(refused.original).to_owned(),
        translated: refused
            .translated
            .filter(|text| text.len() <= ORIGINAL_BYTES_MAX)
            .map(str::to_owned),
    };
    let received_at = delivery.arrival.received_at;
    let id = match refused.id {
        Some(id) => id.to_string(),
        // A CloudEvent must have an id; this one tells two letters of a batch apart.
        None => format!("{}-{}-{}", delivery.site.write_key, received_at.0, refused.number),
    };
    let mut headers = shared(common, refused.traceparent);
    tell(&mut headers, &id, DEAD_LETTER, received_at);
    if let Some(kind) = refused.kind {
        headers.push(names::CE_SUBJECT, kind.as_str());
    }
    Message { topic: Topic::ClicksRejected, key: None, value: letter.to_json(), headers }
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(ORIGINAL_BYTES_MAX)]
}

/// The headers that a batch's events share, for an event with a trace of its own in the place of the
/// request's.
fn shared(common: &Common, traceparent: Option<TraceParent>) -> Headers {
    let Some(trace) = traceparent else { return common.headers.with_room(OWN_HEADERS_BYTES) };
    let mut headers = Headers::default();
    let others = common.headers.iter().filter(|(name, _)| *name != names::TRACEPARENT);
    others.for_each(|(name, value)| headers.push(name, value));
    headers.push(names::TRACEPARENT, trace.as_str());
    headers
}

/// Adds the headers that only this event has.
fn tell(headers: &mut Headers, id: &str, kind: &str, time: Millis) {
    headers.push(names::CE_ID, id);
    headers.push(names::CE_TYPE, kind);
    if let Some(time) = rfc3339(time) {
        headers.push(names::CE_TIME, time);
    }
}

/// The moment in words; none past the year 9999, which the form cannot write.
pub(crate) fn rfc3339(time: Millis) -> Option<String> {
    const YEAR_10_000_MS: u64 = 253_402_300_800_000;
    let time = (time.0 < YEAR_10_000_MS).then(|| UNIX_EPOCH + Duration::from_millis(time.0))?;
    Some(humantime::format_rfc3339_millis(time).to_string())
}

/// A JSON text of somebody else's.
struct Raw<'a>(&'a str);

impl ToJson for Raw<'_> {
    fn write(&self, w: &mut Writer) {
        w.raw(self.0);
    }
}

impl Message {
    /// What librdkafka holds against the largest record, or a little more.
    pub(crate) fn wire_bytes(&self) -> usize {
        // Lengths and counters of the record format.
        const FRAME: usize = 128;
        let key = self.key.as_ref().map_or(0, |key| key.len());
        key + self.value.len() + self.headers.as_bytes().len() + FRAME
    }
}
