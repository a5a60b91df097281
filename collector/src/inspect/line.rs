//! One event and what became of it, as those read it who look.

use std::sync::Arc;

use clickmill_kafka::names;
use clickmill_sdk_core::wire::json::Writer;
use clickmill_sdk_core::wire::{EventId, Outcome, Reason, Topic};
use serde::Deserialize;

use crate::delivery::Delivery;
use crate::sink::Message;
use crate::validate::Judged;

/// Longest record or dead letter that a line carries, in bytes: the ring holds many lines.
const VALUE_BYTES_MAX: usize = 16 * 1024;

/// What is said of an event whose client did not wait.
const CLIENT_LEFT: &str = "the client left before its answer";

/// An event before its fate is known.
#[derive(Debug)]
pub(crate) struct Sighting {
    id: Option<EventId>,
    /// Its record's key: tenant and visitor.
    key: Option<Arc<str>>,
    kind: Option<String>,
    /// Its record or dead letter, unless that is too long.
    value: Result<String, usize>,
}

impl From<&Judged> for Sighting {
    fn from(judged: &Judged) -> Self {
        let value = &judged.message.value;
        let fits = value.len() <= VALUE_BYTES_MAX;
        Self {
            id: judged.id,
            key: judged.key.clone(),
            kind: kind(&judged.message),
            value: if fits { Ok(value.clone()) } else { Err(value.len()) },
        }
    }
}

/// The event's type; a dead letter is itself an event of another type, and tells of this one.
fn kind(message: &Message) -> Option<String> {
    let letter = message.topic == Topic::ClicksRejected;
    let name = if letter { names::CE_SUBJECT } else { names::CE_TYPE };
    Some(String::from_utf8_lossy(message.headers.first(name)?).into_owned())
}

/// What became of an event.
struct Fate<'a> {
    outcome: &'a Outcome,
    /// What its outcome does not say.
    note: Option<&'static str>,
}

/// An event and its fate.
#[derive(Debug)]
pub(crate) struct Line {
    pub(super) outcome: &'static str,
    pub(super) reason: Option<Reason>,
    pub(super) kind: Option<String>,
    pub(super) visitor: Option<String>,
    pub(super) write_key: String,
    /// All of it, as JSON without line breaks.
    pub(super) json: String,
}

impl Line {
    pub(super) fn new(sighting: Sighting, outcome: &Outcome, delivery: &Delivery) -> Self {
        Self::write(sighting, &Fate { outcome, note: None }, delivery)
    }

    /// The line of an event whose client left before its answer. What was durable by then is a
    /// duplicate when it comes again.
    pub(super) fn unheard(sighting: Sighting, delivery: &Delivery) -> Self {
        let outcome = &Outcome::Retry { after_ms: 0 };
        Self::write(sighting, &Fate { outcome, note: Some(CLIENT_LEFT) }, delivery)
    }

    fn write(sighting: Sighting, fate: &Fate<'_>, delivery: &Delivery) -> Self {
        let Fate { outcome, note } = fate;
        let Sighting { id, key, kind, value } = sighting;
        let rejection = match outcome {
            Outcome::Rejected(rejection) => Some(rejection),
            Outcome::Accepted | Outcome::Duplicate | Outcome::Retry { .. } => None,
        };
        let tenant = delivery.site.tenant.as_str();
        let visitor = key.as_deref().and_then(|key| key.strip_prefix(tenant)?.strip_prefix(':'));
        let schema = rejection.and_then(|rejection| rejection.schema.clone());
        let judged_by = || value.as_deref().ok().zip(kind.as_deref()).and_then(schema_of);
        let schema = schema.or_else(judged_by);
        let mut w = Writer::with_capacity(512 + value.as_ref().map_or(0, String::len));
        w.object(|w| {
            w.text_field("outcome", outcome.as_str());
            w.field("reason", rejection.map(|rejection| &rejection.reason));
            w.field("schema", schema.as_ref());
            w.field("pointer", rejection.and_then(|rejection| rejection.pointer.as_ref()));
            w.field("detail", rejection.and_then(|rejection| rejection.detail.as_ref()));
            if let Outcome::Retry { after_ms } = outcome {
                w.number_field("after_ms", *after_ms);
            }
            w.field("note", *note);
            w.field("id", id.as_ref());
            w.field("type", kind.as_ref());
            w.field("write_key", Some(&delivery.arrival.write_key));
            w.text_field("tenant", tenant);
            w.field("visitor", visitor);
            w.field("received_at", Some(&delivery.arrival.received_at));
            match &value {
                // Records and letters are written by us, without line breaks between their parts,
                // but properties and contexts are as they were sent.
                Ok(value) => w.key("value").raw(&one_line(value)),
                Err(bytes) => w.number_field("value_left_out_bytes", *bytes as u64),
            }
        });
        Self {
            outcome: outcome.as_str(),
            reason: rejection.map(|rejection| rejection.reason),
            visitor: visitor.map(str::to_owned),
            write_key: delivery.arrival.write_key.as_str().to_owned(),
            kind,
            json: w.finish(),
        }
    }
}

/// The schema that a record says it was judged by.
fn schema_of((value, kind): (&str, &str)) -> Option<String> {
    #[derive(Deserialize)]
    struct Glance {
        version: Option<u32>,
    }
    let version = serde_json::from_str::<Glance>(value).ok()?.version?;
    Some(format!("{kind}/{version}"))
}

/// The same JSON without line breaks. In valid JSON they only stand between tokens.
fn one_line(json: &str) -> String {
    json.replace(['\n', '\r'], " ")
}

#[cfg(test)]
mod tests {
    use clickmill_kafka::Headers;
    use clickmill_sdk_core::wire::Rejection;
    use serde_json::{Value, json};

    use super::*;
    use crate::testing::{self, NOW_MS};

    fn line(value: &str, outcome: &Outcome) -> (Line, Value) {
        let message = Message {
            topic: Topic::ClicksRaw,
            key: None,
            value: value.to_owned(),
            headers: Headers::default().with(names::CE_TYPE, "page_view"),
        };
        let judged = Judged {
            id: None,
            key: Some("shop:v1".into()),
            queue: None,
            verdict: Ok(()),
            message,
            streams: true,
            stripped: false,
            withdraws: false,
            named: None,
        };
        let line = Line::new(Sighting::from(&judged), outcome, &testing::delivery());
        assert!(!line.json.contains('\n'));
        let read = serde_json::from_str(&line.json).unwrap();
        (line, read)
    }

    #[test]
    fn a_line_tells_all_there_is() {
        let (line, told) = line("{\"version\":2,\n\"props\":{}}", &Outcome::Accepted);
        assert_eq!(
            (line.kind.as_deref(), line.visitor.as_deref()),
            (Some("page_view"), Some("v1"))
        );
        let whole = json!({"outcome": "accepted", "schema": "page_view/2", "type": "page_view",
            "write_key": "wk", "tenant": "shop", "visitor": "v1", "received_at": NOW_MS,
            "value": {"version": 2, "props": {}}});
        assert_eq!(told, whole);
    }

    #[test]
    fn a_rejection_is_told_with_its_place() {
        let rejection = Rejection {
            reason: Reason::SchemaViolation,
            schema: Some("page_view/1".to_owned()),
            pointer: Some("/props/a".to_owned()),
            detail: Some("no".to_owned()),
        };
        let (line, told) = line("{}", &Outcome::Rejected(rejection));
        assert_eq!((line.outcome, line.reason), ("rejected", Some(Reason::SchemaViolation)));
        let told = ["reason", "schema", "pointer", "detail"].map(|name| told[name].clone());
        assert_eq!(told, ["schema_violation", "page_view/1", "/props/a", "no"].map(Value::from));
    }

    #[test]
    fn a_record_that_is_too_long_is_left_out_and_said_so() {
        let long = format!("\"{}\"", "x".repeat(VALUE_BYTES_MAX));
        let (_, told) = line(&long, &Outcome::Retry { after_ms: 5 });
        assert_eq!(told["value_left_out_bytes"], long.len());
        assert_eq!((&told["value"], &told["after_ms"]), (&Value::Null, &json!(5)));
    }
}
