//! What CloudEvents become, a line per case.

use clickmill_sdk_core::wire::Reason;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::parcel::Form;
use crate::testing::{ASKED, LIMITS};

const ID: &str = "0190163d-8694-739b-8c8a-5d3f0b1c2d3e";

/// A lawful event with other attributes over it.
fn event(over: &Value) -> Value {
    let mut event = json!({"specversion": "1.0", "id": ID, "source": "/shop", "type": "add"});
    for (key, value) in over.as_object().unwrap() {
        event[key] = value.clone();
    }
    event
}

fn form(text: &str) -> Form {
    let config = CloudEventsConfig::default();
    let parcel = read(text, &ASKED, &config).unwrap();
    assert_eq!(parcel.events[0].original, text);
    parcel.events[0].form.clone()
}

fn told(over: &Value) -> Value {
    match form(&event(over).to_string()) {
        Form::Translated(text) => serde_json::from_str(&text).unwrap(),
        other => panic!("{over}: {other:?}"),
    }
}

/// What of the translation is at that pointer.
fn check(over: &Value, pointer: &str, expected: impl Into<Value>) {
    let told = told(over);
    assert_eq!(
        told.pointer(pointer).cloned().unwrap_or_default(),
        expected.into(),
        "{over}: {told}"
    );
}

fn refused(over: &Value, pointer: &str) {
    let event = event(over).to_string();
    let Form::Refused(unreadable) = form(&event) else { panic!("{event} is taken") };
    let rejection = unreadable.rejection;
    assert_eq!(rejection.reason, Reason::Malformed, "{event}: {rejection:?}");
    assert_eq!(rejection.pointer.as_deref(), Some(pointer), "{event}: {rejection:?}");
}

#[test]
fn a_whole_event_is_put_into_our_terms() {
    let told = told(&json!({
        "type": "com.example.product_view.v1", "time": "2027-01-15T07:59:59Z", "subject": "KET-1",
        "datacontenttype": "application/json; charset=utf-8", "data": {"sku": "KET-1"},
        "visitor": "v1", "session": "s1", "customer": "c1", "consent": "analytics personalization",
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "shard": 7,
    }));
    let expected = json!({
        "id": ID, "queue": ID, "seq": 0, "type": "product_view", "version": 1,
        "at": 1_799_999_999_000_u64, "props": {"sku": "KET-1"},
        "context": {
            "visitor": "v1", "session": "s1", "customer": "c1",
            "consent": {"granted": ["analytics", "personalization"]},
            "custom": {"cloudevents": {
                "source": "/shop", "type": "com.example.product_view.v1", "subject": "KET-1",
                "shard": 7,
            }},
        },
    });
    assert_eq!(told, expected);
}

#[test]
fn an_event_has_a_trace_of_its_own_or_none() {
    let config = CloudEventsConfig::default();
    let trace = |over: &Value| {
        let text = event(over).to_string();
        let sent = read(&text, &ASKED, &config).unwrap().events.remove(0);
        sent.traceparent.map(|trace| trace.as_str().to_owned())
    };
    let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    assert_eq!(trace(&json!({ "traceparent": good })).as_deref(), Some(good));
    // Also the letter of an event that is refused tells it.
    assert_eq!(trace(&json!({"traceparent": good, "time": "now"})).as_deref(), Some(good));
    assert_eq!(trace(&json!({})), None);
    assert_eq!(trace(&json!({"traceparent": 7})), None);
    let bad = json!({"traceparent": "00-x-y-01"});
    assert_eq!(trace(&bad), None);
    check(&bad, "/context/custom/cloudevents/traceparent", json!("00-x-y-01"));
}

#[test]
fn an_id_is_its_sources_own() {
    let id = |source: &str, id: &str| told(&json!({"source": source, "id": id}))["id"].clone();
    assert_eq!(id("/a", ID), ID);
    assert_eq!(id("/a", "1"), id("/a", "1"));
    assert_ne!(id("/a", "1"), id("/b", "1"));
    assert_ne!(id("/a", "11"), id("/a1", "1"));
    check(
        &json!({"id": "17"}),
        "/context/custom/cloudevents",
        json!({"id": "17", "source": "/shop"}),
    );
}

#[test]
fn attributes_find_their_places() {
    check(&json!({}), "/at", json!(ASKED.now.0));
    check(&json!({"time": "2027-01-15T09:00:00+01:00"}), "/at", json!(1_800_000_000_000_u64));
    check(&json!({"dataschema": "https://s.example/add/3"}), "/version", json!(3));
    check(
        &json!({"dataschema": "https://s.example/add/3", "type": "x.add.v2"}),
        "/version",
        json!(3),
    );
    check(&json!({"dataschema": "https://s.example/x"}), "/version", Value::Null);
    let left = "/context/custom/cloudevents/dataschema";
    check(&json!({"dataschema": "https://s.example/x"}), left, json!("https://s.example/x"));
    check(&json!({"consent": "none"}), "/context/consent", json!({"granted": []}));
    let some = json!({"consent": "everything analytics"});
    check(&some, "/context/consent", json!({"granted": ["analytics"]}));
    check(&json!({"consent": null}), "/context/consent", Value::Null);
    let hashed = told(&json!({"visitor": "ada@example.org"}));
    assert_eq!(hashed["context"]["visitor"].as_str().unwrap().len(), 32);
}

#[test]
fn data_is_json_however_it_is_packed() {
    check(&json!({}), "/props", json!({}));
    check(&json!({"data": {"a": 1}}), "/props", json!({"a": 1}));
    check(&json!({"data_base64": "eyJhIjoxfQ=="}), "/props", json!({"a": 1}));
    check(&json!({"datacontenttype": "application/vnd.x+json", "data": {}}), "/props", json!({}));
    // What is no object is found when it is judged.
    check(&json!({"data": [1]}), "/props", json!([1]));
    refused(&json!({"datacontenttype": "text/xml", "data": "<a/>"}), "/datacontenttype");
    refused(&json!({"data_base64": "!"}), "/data_base64");
    refused(&json!({"data_base64": "PGEvPg=="}), "/data_base64");
    refused(&json!({"data_base64": "e30=", "data": {}}), "/data_base64");
}

#[test]
fn what_breaks_the_specification_costs_only_itself() {
    for needed in ["specversion", "id", "source", "type"] {
        refused(&json!({ needed: null }), &format!("/{needed}"));
        refused(&json!({ needed: "" }), &format!("/{needed}"));
        refused(&json!({ needed: 7 }), &format!("/{needed}"));
    }
    refused(&json!({"specversion": "0.3"}), "/specversion");
    refused(&json!({"type": "com.example.größe"}), "/type");
    refused(&json!({"time": "now"}), "/time");
    refused(&json!({"session": "a b"}), "/session");
    refused(&json!({"customer": "\u{0}"}), "/customer");
    assert!(matches!(form("7"), Form::Refused(_)));
}

#[test]
fn one_comes_alone_and_many_in_a_list() {
    let config = CloudEventsConfig::default();
    let count = |text: &str| read(text, &ASKED, &config).map(|parcel| parcel.events.len());
    assert_eq!(count("{}"), Ok(1));
    assert_eq!(count(" [{},7,{}] "), Ok(3));
    assert_eq!(count("[]"), Ok(0));
    assert!(matches!(count("[{]"), Err(DecodeError::NotBatch(_))));
    assert!(matches!(count(""), Err(DecodeError::NotBatch(_))));
    let many = format!("[{}0]", "0,".repeat(LIMITS.batch_events_max));
    assert!(matches!(count(&many), Err(DecodeError::TooManyEvents { .. })));
}

proptest! {
    #[test]
    fn any_text_gives_an_answer(text in ".{0,80}", event in r#"\{("[a-z]{1,4}":(1|"x"|null|\{\}),?){0,4}\}"#) {
        let config = CloudEventsConfig::default();
        let _ = read(&text, &ASKED, &config);
        let _ = read(&event, &ASKED, &config);
    }
}
