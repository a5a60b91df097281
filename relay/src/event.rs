//! An event as the relay writes it to Kafka: its JSON, and CloudEvents' headers around it.

use std::sync::Arc;

use clickmill_kafka::{CloudEvent, Headers};
use clickmill_sdk_core::wire::{EventId, EventType};
use clickmill_streams::Produce;

/// The record of an event under a key.
pub fn record(
    topic: &Arc<str>,
    (id, kind): (EventId, &EventType),
    (key, text): (Option<Vec<u8>>, String),
) -> Produce {
    let event = CloudEvent {
        id: &id.to_string(),
        source: "/clickmill/relay",
        kind: kind.as_str(),
        content_type: Some("application/json"),
        ..CloudEvent::default()
    };
    Produce {
        topic: Arc::clone(topic),
        key,
        value: Some(text.into_bytes()),
        headers: Headers::with_capacity(256).with_event(&event),
    }
}
