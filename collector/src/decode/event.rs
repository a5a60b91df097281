//! Opens one event: its own fields by their rules, its properties as a value.

use std::fmt;

use clickmill_catalog::Tree;
use clickmill_sdk_core::wire::{Context, EventId, EventType, Millis, QueueId, Reason, Rejection};
use serde::de::{self, DeserializeOwned, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::DecodeLimits;
use super::strict::{self, Fault, Name, Trail};

/// An event that can be read.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Opened<'a> {
    pub(crate) id: EventId,
    pub(crate) queue: QueueId,
    pub(crate) seq: u64,
    pub(crate) kind: EventType,
    pub(crate) version: Option<u32>,
    pub(crate) at: Millis,
    /// The properties: the text they came as, and what it says.
    pub(crate) props: (&'a str, Tree<'a>),
    /// What differs from the batch's context.
    pub(crate) context: Option<Context>,
    pub(crate) sample: Option<f64>,
}

/// An event that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unreadable {
    /// Its id, where that much can be read.
    pub(crate) id: Option<EventId>,
    /// What is wrong with it.
    pub(crate) rejection: Rejection,
}

/// Opens one event of a batch.
pub(crate) fn open<'a>(text: &'a str, limits: &DecodeLimits) -> Result<Opened<'a>, Unreadable> {
    let rejected = |rejection| Unreadable { id: find_id(text), rejection };
    if text.len() > limits.event_bytes_max {
        return Err(rejected(Rejection {
            reason: Reason::TooLarge,
            schema: None,
            pointer: None,
            detail: Some(format!("an event may have {} bytes", limits.event_bytes_max)),
        }));
    }
    let mut trail = Trail::default();
    let mut source = serde_json::Deserializer::from_str(text);
    let reader = Reader { trail: &mut trail, depth_max: limits.depth_max };
    let opened = source.deserialize_any(reader);
    opened.and_then(|opened| source.end().map(|()| opened)).map_err(|error| {
        let Fault { reason, pointer, detail } = trail.fault(&error);
        rejected(Rejection { reason, schema: None, pointer: Some(pointer), detail: Some(detail) })
    })
}

/// The id of an event that is otherwise unreadable.
fn find_id(text: &str) -> Option<EventId> {
    #[derive(Deserialize)]
    struct OnlyId {
        id: EventId,
    }
    serde_json::from_str::<OnlyId>(text).ok().map(|only| only.id)
}

/// The type of an event that is refused, where that much can be read.
pub(crate) fn find_type(text: &str) -> Option<EventType> {
    #[derive(Deserialize)]
    struct OnlyType {
        #[serde(rename = "type")]
        kind: EventType,
    }
    serde_json::from_str::<OnlyType>(text).ok().map(|only| only.kind)
}

struct Reader<'t> {
    trail: &'t mut Trail,
    depth_max: u32,
}

/// The fields as they come in.
#[derive(Default)]
struct Fields<'a> {
    id: Option<EventId>,
    queue: Option<QueueId>,
    seq: Option<u64>,
    kind: Option<EventType>,
    version: Option<Option<u32>>,
    at: Option<Millis>,
    props: Option<(&'a str, Tree<'a>)>,
    context: Option<Context>,
    sample: Option<Option<f64>>,
}

impl<'de> Visitor<'de> for Reader<'_> {
    type Value = Opened<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an event, which is a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut source: A) -> Result<Opened<'de>, A::Error> {
        let mut fields = Fields::default();
        while let Some(Name(key)) = source.next_key()? {
            if let Err(error) = self.field(&key, &mut fields, &mut source) {
                self.trail.step(key);
                return Err(error);
            }
        }
        self.finish(fields)
    }
}

impl Reader<'_> {
    fn field<'de, A: MapAccess<'de>>(
        &mut self,
        key: &str,
        fields: &mut Fields<'de>,
        source: &mut A,
    ) -> Result<(), A::Error> {
        match key {
            "id" => self.plain(key, &mut fields.id, source),
            "queue" => self.plain(key, &mut fields.queue, source),
            "seq" => self.plain(key, &mut fields.seq, source),
            "type" => self.plain(key, &mut fields.kind, source),
            "version" => self.plain(key, &mut fields.version, source),
            "at" => self.plain(key, &mut fields.at, source),
            "props" => self.props(&mut fields.props, source),
            "context" => self.context(&mut fields.context, source),
            "sample" => {
                self.plain(key, &mut fields.sample, source)?;
                match fields.sample.flatten() {
                    Some(share) if !(share > 0.0 && share <= 1.0) => Err(self.trail.refuse(
                        Reason::Malformed,
                        "a share must be above 0 and at most 1".to_owned(),
                    )),
                    Some(_) | None => Ok(()),
                }
            }
            _ => {
                let detail = "an event has no such field; use `props`".to_owned();
                Err(self.trail.refuse(Reason::Malformed, detail))
            }
        }
    }

    fn plain<'de, A: MapAccess<'de>, T: DeserializeOwned>(
        &mut self,
        key: &str,
        field: &mut Option<T>,
        source: &mut A,
    ) -> Result<(), A::Error> {
        self.once(key, field.is_some())?;
        *field = Some(source.next_value()?);
        Ok(())
    }

    fn props<'de, A: MapAccess<'de>>(
        &mut self,
        field: &mut Option<(&'de str, Tree<'de>)>,
        source: &mut A,
    ) -> Result<(), A::Error> {
        self.once("props", field.is_some())?;
        let text = source.next_value::<&'de RawValue>()?.get();
        *field = Some((text, self.object(text)?));
        Ok(())
    }

    fn context<'de, A: MapAccess<'de>>(
        &mut self,
        field: &mut Option<Context>,
        source: &mut A,
    ) -> Result<(), A::Error> {
        self.once("context", field.is_some())?;
        let context: Context = source.next_value()?;
        if let Some(custom) = &context.custom {
            self.object(custom.as_str()).inspect_err(|_| self.trail.step("custom"))?;
        }
        *field = Some(context);
        Ok(())
    }

    /// Reads a text inside the event that must be an object without doubled keys.
    fn object<'a, E: de::Error>(&mut self, text: &'a str) -> Result<Tree<'a>, E> {
        strict::object(text, self.depth_max, self.trail)
            .map_err(|error| E::custom(strict::plain(&error)))
    }

    fn once<E: de::Error>(&mut self, key: &str, seen: bool) -> Result<(), E> {
        if seen { Err(self.trail.refuse(Reason::DuplicateKey, strict::twice(key))) } else { Ok(()) }
    }

    fn finish<'a, E: de::Error>(self, fields: Fields<'a>) -> Result<Opened<'a>, E> {
        let trail = self.trail;
        Ok(Opened {
            id: needed("id", fields.id, trail)?,
            queue: needed("queue", fields.queue, trail)?,
            seq: needed("seq", fields.seq, trail)?,
            kind: needed("type", fields.kind, trail)?,
            version: fields.version.flatten(),
            at: needed("at", fields.at, trail)?,
            props: fields.props.unwrap_or_else(|| ("{}", Tree::Object(Vec::new()))),
            context: fields.context.filter(|context| !context.is_empty()),
            sample: fields.sample.flatten(),
        })
    }
}

fn needed<T, E: de::Error>(key: &str, field: Option<T>, trail: &mut Trail) -> Result<T, E> {
    field.ok_or_else(|| {
        trail.step(key);
        trail.refuse(Reason::Malformed, format!("the field `{key}` is missing"))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::super::tests::LIMITS;
    use super::*;

    const ID: &str = "0190163d-8694-739b-8c8a-5d3f0b1c2d3e";

    fn event(rest: &str) -> String {
        format!(r#"{{"id":"{ID}","queue":"q","seq":1,"type":"click","at":5{rest}}}"#)
    }

    fn read(text: &str) -> Result<Opened<'_>, Unreadable> {
        open(text, &LIMITS)
    }

    fn check(text: &str, reason: Reason, pointer: &str) {
        let unreadable = read(text).unwrap_err();
        let rejection = unreadable.rejection;
        assert_eq!(rejection.reason, reason, "{text}: {rejection:?}");
        assert_eq!(rejection.pointer.as_deref(), Some(pointer), "{text}: {rejection:?}");
        assert!(rejection.detail.is_some_and(|detail| !detail.is_empty()));
    }

    #[test]
    fn an_event_is_read_as_it_is_written() {
        let text = event(
            r#","props":{"sku":"a","n":[1,2.50]},"context":{"locale":"en-GB","custom":{"a":1}},"sample":0.5"#,
        );
        let opened = read(&text).unwrap();
        let event: clickmill_sdk_core::wire::Event = serde_json::from_str(&text).unwrap();
        assert_eq!((opened.id, &opened.queue, opened.seq), (event.id, &event.queue, event.seq));
        assert_eq!((&opened.kind, opened.version, opened.at), (&event.kind, None, event.at));
        assert_eq!((opened.context, opened.sample), (Some(event.context), event.sample));
        assert_eq!(opened.props.0, r#"{"sku":"a","n":[1,2.50]}"#);
        let n = opened.props.1.get("n").map(Value::from);
        assert_eq!(n, Some(serde_json::json!([1, 2.5])));
    }

    #[test]
    fn properties_may_be_left_out() {
        let text = event(r#","version":null,"context":{}"#);
        let opened = read(&text).unwrap();
        assert_eq!((opened.props.0, opened.version, opened.context), ("{}", None, None));
        assert_eq!(opened.props.1, Tree::Object(Vec::new()));
    }

    #[test]
    fn a_fault_is_named_with_its_place() {
        check(&event(r#","props":{"sku":"a","sku":"b"}"#), Reason::DuplicateKey, "/props/sku");
        check(&event(r#","props":{"a":{"b":{"c":{"d":{}}}}}"#), Reason::TooDeep, "/props/a/b/c/d");
        check(&event(r#","props":{"a":"\udfff"}"#), Reason::Malformed, "/props/a");
        check(&event(r#","props":[]"#), Reason::Malformed, "/props");
        check(&event(r#","props":null"#), Reason::Malformed, "/props");
        check(&event(r#","seq":2"#), Reason::DuplicateKey, "/seq");
        check(&event(r#","props":{},"props":{}"#), Reason::DuplicateKey, "/props");
        check(&event(r#","version":-1"#), Reason::Malformed, "/version");
        check(&event(r#","sample":0"#), Reason::Malformed, "/sample");
        check(&event(r#","sample":1.5"#), Reason::Malformed, "/sample");
        check(&event(r#","user":"x""#), Reason::Malformed, "/user");
        check(&event(r#","context":{"visitor":"a b"}"#), Reason::Malformed, "/context");
        check(
            &event(r#","context":{"locale":"a","locale":"b"}"#),
            Reason::DuplicateKey,
            "/context",
        );
        let custom = r#","context":{"custom":{"a":[{"b":1,"b":1}]}}"#;
        check(&event(custom), Reason::DuplicateKey, "/context/custom/a/0/b");
        check(&event(r#","context":{"custom":7}"#), Reason::Malformed, "/context/custom");
    }

    #[test]
    fn a_missing_or_wrong_field_is_named() {
        for (key, wrong) in [
            ("id", r#""0190163d8694739b8c8a5d3f0b1c2d3e""#),
            ("queue", r#""a:b""#),
            ("seq", "1.5"),
            ("type", r#""Product View""#),
            ("at", r#""now""#),
        ] {
            let mut whole: serde_json::Map<String, Value> =
                serde_json::from_str(&event("")).unwrap();
            whole.remove(key);
            check(&Value::from(whole.clone()).to_string(), Reason::Malformed, &format!("/{key}"));
            whole.insert(key.to_owned(), serde_json::from_str(wrong).unwrap());
            check(&Value::from(whole).to_string(), Reason::Malformed, &format!("/{key}"));
        }
    }

    #[test]
    fn what_is_no_object_is_no_event() {
        for text in ["1", "[]", "null", "\"x\""] {
            check(text, Reason::Malformed, "");
        }
    }

    #[test]
    fn the_id_is_told_wherever_it_can_be_read() {
        let read_id = |text: &str| read(text).unwrap_err().id.map(|id| id.to_string());
        assert_eq!(read_id(&event(r#","x":1"#)).as_deref(), Some(ID));
        assert_eq!(read_id(&format!(r#"{{"x":1,"id":"{ID}"}}"#)).as_deref(), Some(ID));
        assert_eq!(read_id(&event(&format!(r#","id":"{ID}""#))), None);
        assert_eq!(read_id("7"), None);
    }

    #[test]
    fn a_complaint_does_not_repeat_all_that_was_sent() {
        let long = "x".repeat(400);
        for text in [format!("\"{long}\""), event(&format!(r#","{long}":1"#))] {
            let rejection = read(&text).unwrap_err().rejection;
            assert!(rejection.detail.is_some_and(|detail| detail.chars().count() <= 201));
            assert!(rejection.pointer.is_some_and(|pointer| pointer.chars().count() <= 202));
        }
    }

    #[test]
    fn a_large_event_is_refused_by_itself() {
        let large = event(&format!(r#","props":{{"a":"{}"}}"#, "x".repeat(512)));
        let unreadable = read(&large).unwrap_err();
        assert_eq!(unreadable.rejection.reason, Reason::TooLarge);
        assert!(unreadable.id.is_some());
    }
}
