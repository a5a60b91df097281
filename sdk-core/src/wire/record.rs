//! An event as it lies in Kafka: raw, refused, enriched; and the two tables decisions rest on.

use super::id::{
    CustomerId, EventId, EventType, QueueId, SessionId, Sku, StockSource, Tenant, WriteKey,
};
use super::json::{Json, ToJson, Writer};
use super::{Context, Event, Millis, Rejection};

/// An accepted event, in the raw topic and, with [`Record::enrichment`], in the enriched one. Its key
/// is [`Record::key`].
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize))]
pub struct Record {
    /// The event's own id.
    pub id: EventId,
    /// Whose event it is.
    pub tenant: Tenant,
    /// What happened.
    #[cfg_attr(feature = "serde", serde(rename = "type"))]
    pub kind: EventType,
    /// The schema's version it was judged by; absent where no schema judged it.
    #[cfg_attr(feature = "serde", serde(default))]
    pub version: Option<u32>,
    /// When, by the browser's clock.
    pub at: Millis,
    /// When, corrected by the browser's skew and never later than receipt: stream time.
    pub time: Millis,
    /// The SDK's queue it stood in.
    pub queue: QueueId,
    /// Its place in that queue.
    pub seq: u64,
    /// How it came in.
    pub arrival: Arrival,
    /// Its circumstances, shared and own put together.
    #[cfg_attr(feature = "serde", serde(default))]
    pub context: Context,
    /// Its properties.
    #[cfg_attr(feature = "serde", serde(default))]
    pub props: Json,
    /// The share of visitors whose events of this kind are sent; absent means all.
    #[cfg_attr(feature = "serde", serde(default))]
    pub sample: Option<f64>,
    /// The customer that the visitor was proven to be with this event. Only a collector says so: a
    /// customer in the context is whom the sender claims to be.
    #[cfg_attr(feature = "serde", serde(default))]
    pub proven: Option<CustomerId>,
    /// What was known of the visitor right after the event; absent in the raw topic.
    #[cfg_attr(feature = "serde", serde(default))]
    pub enrichment: Option<Enrichment>,
}

/// How a delivery reached the collector.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize))]
pub struct Arrival {
    /// The key it came with.
    pub write_key: WriteKey,
    /// The sender's clock when sending.
    pub sent_at: Millis,
    /// The collector's clock when receiving.
    pub received_at: Millis,
    /// How often it was tried before.
    #[cfg_attr(feature = "serde", serde(default))]
    pub attempt: u32,
    /// The sender's address, cut as configured.
    #[cfg_attr(feature = "serde", serde(default))]
    pub address: Option<String>,
    /// The sender's `User-Agent`.
    #[cfg_attr(feature = "serde", serde(default))]
    pub user_agent: Option<String>,
}

impl Record {
    /// Puts an event, its batch's context and its arrival together.
    pub fn new(event: Event, shared: &Context, tenant: Tenant, arrival: Arrival) -> Self {
        Self {
            id: event.id,
            tenant,
            kind: event.kind,
            version: event.version,
            at: event.at,
            time: Millis::corrected(event.at, arrival.sent_at, arrival.received_at),
            queue: event.queue,
            seq: event.seq,
            context: shared.overlaid(&event.context),
            props: event.props,
            sample: event.sample,
            proven: None,
            enrichment: None,
            arrival,
        }
    }

    /// Kafka's key: see [`Context::key`].
    pub fn key(&self) -> Option<String> {
        self.context.key(&self.tenant)
    }
}

impl ToJson for Record {
    fn write(&self, w: &mut Writer) {
        let view = RecordView {
            id: self.id,
            tenant: &self.tenant,
            kind: &self.kind,
            version: self.version,
            at: self.at,
            time: self.time,
            queue: &self.queue,
            seq: self.seq,
            arrival: &self.arrival,
            context: &self.context,
            props: &self.props,
            sample: self.sample,
            proven: self.proven.as_ref(),
            enrichment: self.enrichment.as_ref(),
        };
        view.write(w);
    }
}

/// What a [`Record`] is written from. Its larger parts may be anything that writes the same JSON:
/// the collector writes arrival and context once for all events of a batch.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "each field is the record's of that name")]
pub struct RecordView<'a, A, C, P> {
    pub id: EventId,
    pub tenant: &'a Tenant,
    pub kind: &'a EventType,
    pub version: Option<u32>,
    pub at: Millis,
    pub time: Millis,
    pub queue: &'a QueueId,
    pub seq: u64,
    pub arrival: A,
    pub context: C,
    pub props: P,
    pub sample: Option<f64>,
    pub proven: Option<&'a CustomerId>,
    pub enrichment: Option<&'a Enrichment>,
}

impl<A: ToJson, C: ToJson, P: ToJson> ToJson for RecordView<'_, A, C, P> {
    fn write(&self, w: &mut Writer) {
        w.object(|w| {
            w.field("id", Some(&self.id));
            w.field("tenant", Some(self.tenant));
            w.field("type", Some(self.kind));
            w.field("version", self.version.as_ref());
            w.field("at", Some(&self.at));
            w.field("time", Some(&self.time));
            w.field("queue", Some(self.queue));
            w.field("seq", Some(&self.seq));
            w.field("arrival", Some(&self.arrival));
            w.field("context", Some(&self.context));
            w.field("props", Some(&self.props));
            if let Some(sample) = self.sample {
                w.key("sample").share(sample);
            }
            w.field("proven", self.proven);
            w.field("enrichment", self.enrichment);
        });
    }
}

impl ToJson for Arrival {
    fn write(&self, w: &mut Writer) {
        w.object(|w| {
            w.field("write_key", Some(&self.write_key));
            w.field("sent_at", Some(&self.sent_at));
            w.field("received_at", Some(&self.received_at));
            if self.attempt > 0 {
                w.field("attempt", Some(&self.attempt));
            }
            w.field("address", self.address.as_ref());
            w.field("user_agent", self.user_agent.as_ref());
        });
    }
}

/// A refused event in the dead-letter topic, with all that is needed to judge it again.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize))]
pub struct DeadLetter {
    /// The event's id, where it could be read.
    #[cfg_attr(feature = "serde", serde(default))]
    pub id: Option<EventId>,
    /// Whose event it is.
    pub tenant: Tenant,
    /// How it came in.
    pub arrival: Arrival,
    /// Why it was refused.
    #[cfg_attr(feature = "serde", serde(flatten))]
    pub rejection: Rejection,
    /// The context of its batch.
    #[cfg_attr(feature = "serde", serde(default))]
    pub context: Context,
    /// The event's bytes as they came, as one text.
    pub original: String,
    /// The event in our own terms, where it came in a dialect and could be translated.
    #[cfg_attr(feature = "serde", serde(default))]
    pub translated: Option<String>,
}

impl ToJson for DeadLetter {
    fn write(&self, w: &mut Writer) {
        w.object(|w| {
            w.field("id", self.id.as_ref());
            w.field("tenant", Some(&self.tenant));
            w.field("arrival", Some(&self.arrival));
            w.field("reason", Some(&self.rejection.reason));
            w.field("schema", self.rejection.schema.as_ref());
            w.field("pointer", self.rejection.pointer.as_ref());
            w.field("detail", self.rejection.detail.as_ref());
            w.field("context", Some(&self.context));
            w.text_field("original", &self.original);
            w.field("translated", self.translated.as_ref());
        });
    }
}

/// A raw record that the relay could not read, with all that is needed to find out why.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize))]
pub struct Poisoned {
    /// A stable code, such as `malformed`.
    pub reason: String,
    /// One sentence for whoever looks into it.
    pub detail: String,
    /// The partition of the raw topic it lies in.
    pub partition: u32,
    /// Its offset there.
    pub offset: u64,
    /// Its value where that is a text.
    #[cfg_attr(feature = "serde", serde(default))]
    pub original: Option<String>,
    /// Its value as hexadecimal digits where it is none.
    #[cfg_attr(feature = "serde", serde(default))]
    pub original_hex: Option<String>,
}

impl ToJson for Poisoned {
    fn write(&self, w: &mut Writer) {
        w.object(|w| {
            w.text_field("reason", &self.reason);
            w.text_field("detail", &self.detail);
            w.field("partition", Some(&self.partition));
            w.number_field("offset", self.offset);
            w.field("original", self.original.as_ref());
            w.field("original_hex", self.original_hex.as_ref());
        });
    }
}

/// What the relay knows of a visitor right after an event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize), serde(default))]
pub struct Enrichment {
    /// The visit: the SDK's own id, or one the relay gave.
    pub session: Option<SessionId>,
    /// When the visit began, stream time.
    pub session_started: Millis,
    /// Events in the visit so far, this one included.
    pub session_events: u32,
    /// Page views in the visit so far.
    pub session_pages: u32,
    /// Visits of this visitor so far, this one included.
    pub visits: u32,
    /// The products seen last, newest first.
    pub recent: Vec<Sku>,
}

impl ToJson for Enrichment {
    fn write(&self, w: &mut Writer) {
        let Self { session, session_started, session_events, session_pages, visits, recent } = self;
        let parts = EnrichmentParts {
            session: session.as_ref(),
            session_started: *session_started,
            session_events: *session_events,
            session_pages: *session_pages,
            visits: *visits,
            recent: || recent.iter(),
        };
        parts.write(w);
    }
}

/// The parts of an [`Enrichment`], to be written from where they are.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "each field is the enrichment's of that name")]
pub struct EnrichmentParts<'a, R> {
    pub session: Option<&'a SessionId>,
    pub session_started: Millis,
    pub session_events: u32,
    pub session_pages: u32,
    pub visits: u32,
    pub recent: R,
}

impl<'a, R: Fn() -> I, I: Iterator<Item = &'a Sku>> ToJson for EnrichmentParts<'a, R> {
    fn write(&self, w: &mut Writer) {
        w.object(|w| {
            w.field("session", self.session);
            w.field("session_started", Some(&self.session_started));
            w.field("session_events", Some(&self.session_events));
            w.field("session_pages", Some(&self.session_pages));
            w.field("visits", Some(&self.visits));
            let mut recent = (self.recent)().peekable();
            if recent.peek().is_some() {
                w.key("recent").array(|w| recent.for_each(|sku| sku.write(w)));
            }
        });
    }
}

/// A product on sale, as a hint needs it. Key: `tenant:sku`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize))]
pub struct Product {
    /// The site's number of it.
    pub sku: Sku,
    /// Its name.
    pub name: String,
    /// Its category.
    pub category: String,
    /// Its price in hundredths of the currency.
    pub price_cents: u64,
    /// The currency's ISO 4217 code.
    pub currency: String,
    /// Address of its page, relative to the site.
    pub url: String,
    /// Address of its picture, relative to the site.
    #[cfg_attr(feature = "serde", serde(default))]
    pub image: Option<String>,
}

impl ToJson for Product {
    fn write(&self, w: &mut Writer) {
        w.object(|w| {
            w.field("sku", Some(&self.sku));
            w.text_field("name", &self.name);
            w.text_field("category", &self.category);
            w.number_field("price_cents", self.price_cents);
            w.text_field("currency", &self.currency);
            w.text_field("url", &self.url);
            w.field("image", self.image.as_ref());
        });
    }
}

/// How much of a product can be had. Key: `tenant:sku`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize))]
pub struct Stock {
    /// The product.
    pub sku: Sku,
    /// Pieces that can be sold; negative where more was promised than there is.
    pub available: i64,
    /// When this was so, by the source's clock.
    pub at: Millis,
    /// The system that says so, where there are several.
    #[cfg_attr(feature = "serde", serde(default))]
    pub source: Option<StockSource>,
}

/// That a source of stock levels lives: whatever has changed until then is in this partition before
/// this record. Key: `tenant!source`, or `tenant!` for the source without a name. It goes to every
/// partition of the topic.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize))]
pub struct StockBeat {
    /// Until when, by the source's clock.
    pub at: Millis,
}

impl ToJson for StockBeat {
    fn write(&self, w: &mut Writer) {
        w.object(|w| w.field("at", Some(&self.at)));
    }
}

impl ToJson for Stock {
    fn write(&self, w: &mut Writer) {
        w.object(|w| {
            w.field("sku", Some(&self.sku));
            w.key("available").signed(self.available);
            w.field("at", Some(&self.at));
            w.field("source", self.source.as_ref());
        });
    }
}
