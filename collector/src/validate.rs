//! Validate: judges each event of a parcel by its own rules, its time, its consent and its schema,
//! and writes what is to be stored of it.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use clickmill_catalog::{Resolved, SchemaRef, SchemaSet};
use clickmill_sdk_core::wire::{EventId, Millis, QueueId, Reason, Rejection, Topic};
use clickmill_server::trace::TraceParent;

use crate::config::{PiiWithoutConsent, UnknownType};
use crate::customer::{self, IDENTIFY, Named};
use crate::decode::{self, DecodeLimits, Opened, Unreadable};
use crate::delivery::{Circumstances, Common, Delivery};
use crate::overflow::VisitorQuota;
use crate::parcel::{Form, Sent};
use crate::privacy;
use crate::record::{self, Fit, Refused};
use crate::sink::Message;

/// The type of a visitor's decision about consent.
const CONSENT: &str = "consent";

/// What events are judged by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules<'a> {
    pub(crate) limits: &'a DecodeLimits,
    /// The largest record that Kafka takes, in bytes.
    pub(crate) record_bytes_max: usize,
    /// How old an event may be when it arrives.
    pub(crate) event_age_max: Duration,
    pub(crate) schemas: &'a SchemaSet,
    pub(crate) visitors: &'a VisitorQuota,
    pub(crate) unknown_type: UnknownType,
    pub(crate) pii_without_consent: PiiWithoutConsent,
}

/// One event with the judgement on it.
#[derive(Clone, Debug)]
pub(crate) struct Judged {
    /// Its id, where it could be read.
    pub(crate) id: Option<EventId>,
    /// Its record's key: whose order it belongs to; none if nobody's.
    pub(crate) key: Option<Arc<str>>,
    /// The SDK's queue that it stood in, if it may be stored.
    pub(crate) queue: Option<QueueId>,
    pub(crate) verdict: Result<(), Rejection>,
    /// Its record or its dead letter.
    pub(crate) message: Message,
    /// Whether it counts against what a visitor may send: refused ones are kept beside the stream
    /// anyway, and a decision about consent must not be.
    pub(crate) streams: bool,
    /// Whether personal properties were taken out of it.
    pub(crate) stripped: bool,
    /// Whether it says that the visitor may not be known again.
    pub(crate) withdraws: bool,
    /// Which customer it proves the visitor to be, if it says so and may be stored.
    pub(crate) named: Option<Named>,
}

/// An event that may be stored.
struct Accepted {
    message: Message,
    stripped: bool,
    named: Option<Named>,
}

/// Judges the events of one parcel, in their order: one judgement for each.
pub(crate) fn judge(
    events: &[Sent<'_>],
    delivery: &Delivery,
    common: &Common,
    rules: &Rules<'_>,
) -> Vec<Judged> {
    let judge = Judge { delivery, common, rules };
    let judged = events.iter().enumerate().map(|(number, sent)| judge.one(number, sent));
    let mut judged: Vec<Judged> = judged.collect();
    spill(&mut judged, rules.visitors);
    judged
}

/// Diverts the records of a visitor who sends more than a visitor can. A batch is mostly one
/// visitor's and within what may be sent, so it is charged as a whole first.
fn spill(judged: &mut [Judged], visitors: &VisitorQuota) {
    let of_a_visitor = |judged: &&mut Judged| judged.streams && judged.key.is_some();
    let mut streaming: Vec<&mut Judged> = judged.iter_mut().filter(of_a_visitor).collect();
    let same = |one: &&mut Judged, other: &&mut Judged| one.key == other.key;
    for run in streaming.chunk_by_mut(same) {
        let Some(key) = run.first().and_then(|judged| judged.key.clone()) else { continue };
        let count = u32::try_from(run.len()).ok().and_then(NonZeroU32::new);
        if count.is_some_and(|count| visitors.holds(&key, count)) {
            continue;
        }
        for judged in run.iter_mut().filter(|_| visitors.spills(&key)) {
            judged.key = None;
            judged.message.topic = Topic::ClicksOverflow;
            judged.message.key = None;
        }
    }
}

#[derive(Clone, Copy)]
struct Judge<'a> {
    delivery: &'a Delivery,
    common: &'a Common,
    rules: &'a Rules<'a>,
}

impl Judge<'_> {
    fn one(&self, number: usize, sent: &Sent<'_>) -> Judged {
        let text = match &sent.form {
            Form::Native => sent.original,
            Form::Translated(text) => text,
            Form::Refused(unreadable) => {
                let circumstances = &self.common.circumstances;
                return self.refuse(number, sent, unreadable.clone(), circumstances);
            }
        };
        let opened = match decode::open(text, self.rules.limits) {
            Ok(opened) => opened,
            // It is most likely of the visitor that the parcel names.
            Err(unreadable) => {
                return self.refuse(number, sent, unreadable, &self.common.circumstances);
            }
        };
        let own = self.own_circumstances(&opened);
        let circumstances = own.as_ref().unwrap_or(&self.common.circumstances);
        match self.accept(&opened, circumstances, sent.traceparent) {
            Ok(Accepted { message, stripped, named }) => {
                let decides = opened.kind.as_str() == CONSENT;
                Judged {
                    id: Some(opened.id),
                    key: message.key.clone(),
                    queue: Some(opened.queue),
                    verdict: Ok(()),
                    message,
                    streams: !decides,
                    stripped,
                    withdraws: decides && !circumstances.recognised,
                    named,
                }
            }
            Err(rejection) => {
                let unreadable = Unreadable { id: Some(opened.id), rejection };
                self.refuse(number, sent, unreadable, circumstances)
            }
        }
    }

    /// The circumstances of an event that are not those of its batch.
    fn own_circumstances(&self, event: &Opened<'_>) -> Option<Circumstances> {
        let shared = &self.delivery.shared;
        let own = event.context.as_ref().map(|own| shared.overlaid(own));
        if event.kind.as_str() == CONSENT {
            return Some(self.delivery.decision(own.as_ref().unwrap_or(shared)));
        }
        own.map(|own| self.delivery.circumstances(&own))
    }

    /// The record of an event that may be stored, and what was found out on the way.
    fn accept(
        &self,
        event: &Opened<'_>,
        circumstances: &Circumstances,
        traceparent: Option<TraceParent>,
    ) -> Result<Accepted, Rejection> {
        let time = self.by_time(event)?;
        let schema = self.by_schema(event)?;
        let pii = schema.filter(|_| !circumstances.recognised).map(|schema| schema.pii_pointers());
        let stripped = privacy::strip(&event.props.1, pii.unwrap_or_default());
        if stripped.is_some() && self.rules.pii_without_consent == PiiWithoutConsent::Refuse {
            let detail = "the visitor has not allowed the personal properties in it".to_owned();
            return Err(refuse(Reason::ConsentMissing, None, "/props", detail));
        }
        let named = (event.kind.as_str() == IDENTIFY).then(|| self.name(event, circumstances));
        let bare = named.is_some().then(|| customer::bare(&event.props.1, pii)).flatten();
        let fit = Fit {
            event,
            time,
            circumstances,
            traceparent,
            props: bare.as_deref().or(stripped.as_deref()).unwrap_or(event.props.0),
            // A version that no schema stands behind would claim a judgement.
            version: schema.map(|schema| schema.version()),
            schema: schema.map(|schema| schema.id()),
            proven: named.as_ref().and_then(|named| named.as_ref().ok()),
            topic: match (schema, self.rules.unknown_type) {
                (None, UnknownType::Unvalidated) => Topic::ClicksUnvalidated,
                (None, UnknownType::Accept | UnknownType::Reject) | (Some(_), _) => {
                    Topic::ClicksRaw
                }
            },
        };
        let message = record::record(&fit, self.common, self.delivery);
        if message.wire_bytes() > self.rules.record_bytes_max {
            let detail = "the event with its context is larger than a record may be".to_owned();
            return Err(Rejection { pointer: None, ..refuse(Reason::TooLarge, None, "", detail) });
        }
        Ok(Accepted { message, stripped: stripped.is_some(), named })
    }

    /// Which customer an event proves its visitor to be.
    fn name(&self, event: &Opened<'_>, circumstances: &Circumstances) -> Named {
        let Delivery { site, arrival, .. } = self.delivery;
        site.proofs.judge(&event.props.1, (&site.tenant, circumstances), arrival.received_at)
    }

    /// The event's time, corrected by the sender's skew, so that none is from the future; one from
    /// before the horizon cannot be told from a copy any more.
    fn by_time(&self, event: &Opened<'_>) -> Result<Millis, Rejection> {
        let arrival = &self.delivery.arrival;
        let time = Millis::corrected(event.at, arrival.sent_at, arrival.received_at);
        let age_max = self.rules.event_age_max;
        if Duration::from_millis(arrival.received_at.since(time)) <= age_max {
            return Ok(time);
        }
        let days = age_max.as_secs_f64() / 86_400.0;
        let detail = format!("the event is older than {days:.1} days, counted from `sent_at`");
        Err(refuse(Reason::TooOld, None, "/at", detail))
    }

    /// The schema that finds the event good; none where none is asked for.
    fn by_schema(&self, event: &Opened<'_>) -> Result<Option<&SchemaRef>, Rejection> {
        let kind = event.kind.as_str();
        match self.rules.schemas.resolve(kind, event.version) {
            Resolved::Schema(schema) => {
                schema.validate(&event.props.1).map_err(|violation| {
                    let pointer = format!("/props{}", violation.pointer);
                    let schema = Some(schema.label().to_owned());
                    refuse(Reason::SchemaViolation, schema, &pointer, violation.detail)
                })?;
                Ok(Some(schema))
            }
            Resolved::UnknownType => match self.rules.unknown_type {
                UnknownType::Accept | UnknownType::Unvalidated => Ok(None),
                UnknownType::Reject => {
                    let detail = format!("no schema is known for the event type `{kind}`");
                    Err(refuse(Reason::UnknownType, None, "/type", detail))
                }
            },
            Resolved::UnknownVersion => {
                let version = event.version.unwrap_or_default();
                let detail = format!("the event type `{kind}` has no version {version}");
                let schema = Some(format!("{kind}/{version}"));
                Err(refuse(Reason::UnknownVersion, schema, "/version", detail))
            }
        }
    }

    /// An event that is refused, with its dead letter.
    fn refuse(
        &self,
        number: usize,
        sent: &Sent<'_>,
        unreadable: Unreadable,
        circumstances: &Circumstances,
    ) -> Judged {
        let Unreadable { id, rejection } = unreadable;
        let recognised = circumstances.recognised;
        let original = privacy::original(sent.original, recognised, &rejection);
        let translated = match &sent.form {
            Form::Translated(text) => Some(privacy::original(text, recognised, &rejection)),
            Form::Native | Form::Refused(_) => None,
        };
        let kind = decode::find_type(translated.as_deref().unwrap_or(sent.original));
        let refused = Refused {
            id,
            number,
            rejection: &rejection,
            original: &original,
            translated: translated.as_deref().filter(|text| !text.is_empty()),
            kind: kind.as_ref(),
            recognised,
            traceparent: sent.traceparent,
        };
        let message = record::letter(&refused, self.common, self.delivery);
        let key = circumstances.key.clone();
        Judged {
            id,
            key,
            queue: None,
            verdict: Err(rejection),
            message,
            streams: false,
            stripped: false,
            withdraws: false,
            named: None,
        }
    }
}

fn refuse(reason: Reason, schema: Option<String>, pointer: &str, detail: String) -> Rejection {
    Rejection { reason, schema, pointer: Some(pointer.to_owned()), detail: Some(detail) }
}

#[cfg(test)]
mod tests;
