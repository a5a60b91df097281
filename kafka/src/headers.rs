//! Record headers: CloudEvents in binary mode, W3C trace context, the schema id in Confluent's form.

use rdkafka::message::{Header, Headers as _, OwnedHeaders};

/// The headers' names.
pub mod names {
    /// Version of the CloudEvents specification; always `1.0`.
    pub const CE_SPECVERSION: &str = "ce_specversion";
    /// The event's id.
    pub const CE_ID: &str = "ce_id";
    /// Where the event comes from, a URI reference.
    pub const CE_SOURCE: &str = "ce_source";
    /// The event's type.
    pub const CE_TYPE: &str = "ce_type";
    /// When it happened, RFC 3339.
    pub const CE_TIME: &str = "ce_time";
    /// What it is about within its source.
    pub const CE_SUBJECT: &str = "ce_subject";
    /// Which schema the value follows, a URI.
    pub const CE_DATASCHEMA: &str = "ce_dataschema";
    /// The value's media type (CloudEvents maps `datacontenttype` to this name).
    pub const CONTENT_TYPE: &str = "content-type";
    /// W3C trace context.
    pub const TRACEPARENT: &str = "traceparent";
    /// Id of the value's schema.
    pub const VALUE_SCHEMA_ID: &str = "__value_schema_id";
}

/// The attributes of a CloudEvent in Kafka's binary mode. Absent ones are not written.
#[derive(Clone, Copy, Debug, Default)]
pub struct CloudEvent<'a> {
    /// The event's id, unique within its source.
    pub id: &'a str,
    /// Where the event comes from, a URI reference.
    pub source: &'a str,
    /// The event's type.
    pub kind: &'a str,
    /// When it happened, RFC 3339.
    pub time: Option<&'a str>,
    /// What it is about within its source.
    pub subject: Option<&'a str>,
    /// Which schema the value follows, a URI.
    pub schema: Option<&'a str>,
    /// The value's media type.
    pub content_type: Option<&'a str>,
}

/// The headers of one record, in the order in which they are added.
#[derive(Clone, Debug, Default)]
pub struct Headers(OwnedHeaders);

impl Headers {
    /// No headers yet, with room for `count`.
    pub fn with_capacity(count: usize) -> Self {
        Self(OwnedHeaders::new_with_capacity(count))
    }

    /// Adds one header.
    #[must_use]
    pub fn with(self, name: &str, value: impl AsRef<[u8]>) -> Self {
        Self(self.0.insert(Header { key: name, value: Some(value.as_ref()) }))
    }

    /// Adds the attributes of a CloudEvent.
    #[must_use]
    pub fn with_event(self, event: &CloudEvent<'_>) -> Self {
        let required = self
            .with(names::CE_SPECVERSION, "1.0")
            .with(names::CE_ID, event.id)
            .with(names::CE_SOURCE, event.source)
            .with(names::CE_TYPE, event.kind);
        [
            (names::CE_TIME, event.time),
            (names::CE_SUBJECT, event.subject),
            (names::CE_DATASCHEMA, event.schema),
            (names::CONTENT_TYPE, event.content_type),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .fold(required, |headers, (name, value)| headers.with(name, value))
    }

    /// Adds the schema id of the value.
    #[must_use]
    pub fn with_schema(self, id: SchemaId) -> Self {
        match id {
            SchemaId::Number(_) => self.with(names::VALUE_SCHEMA_ID, &id.to_bytes()[..5]),
            SchemaId::Guid(_) => self.with(names::VALUE_SCHEMA_ID, id.to_bytes()),
        }
    }

    /// The first header called `name`.
    pub fn first(&self, name: &str) -> Option<&[u8]> {
        self.0.iter().find(|header| header.key == name)?.value
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.count()
    }

    pub(crate) fn into_native(self) -> Option<OwnedHeaders> {
        (self.count() > 0).then_some(self.0)
    }
}

/// How a record names its schema in the header `__value_schema_id`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SchemaId {
    /// A registry's number: a zero byte, then 4 bytes, big-endian.
    Number(u32),
    /// A globally unique id: a byte 1, then 16 bytes.
    Guid([u8; 16]),
}

impl SchemaId {
    /// Reads the header's value; none for any other form.
    pub fn read(header: &[u8]) -> Option<Self> {
        match header {
            [0, number @ ..] => Some(Self::Number(u32::from_be_bytes(number.try_into().ok()?))),
            [1, guid @ ..] => Some(Self::Guid(guid.try_into().ok()?)),
            _ => None,
        }
    }

    /// The header's value, padded with zeros: a number takes the first 5 bytes.
    fn to_bytes(self) -> [u8; 17] {
        let mut bytes = [0; 17];
        match self {
            Self::Number(number) => bytes[1..5].copy_from_slice(&number.to_be_bytes()),
            Self::Guid(guid) => {
                bytes[0] = 1;
                bytes[1..].copy_from_slice(&guid);
            }
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_in_binary_mode_leaves_out_what_is_absent() {
        let headers = Headers::with_capacity(8).with_event(&CloudEvent {
            id: "1",
            source: "/s",
            kind: "click",
            time: Some("2026-01-01T00:00:00Z"),
            ..CloudEvent::default()
        });
        assert_eq!(headers.first(names::CE_SPECVERSION), Some(&b"1.0"[..]));
        assert_eq!(headers.first(names::CE_TIME), Some(&b"2026-01-01T00:00:00Z"[..]));
        assert_eq!(headers.first(names::CE_SUBJECT), None);
        assert_eq!(headers.count(), 5);
    }

    #[test]
    fn schema_ids_survive_the_header() {
        for id in [SchemaId::Number(0x0102_0304), SchemaId::Guid([7; 16])] {
            let headers = Headers::default().with_schema(id);
            let bytes = headers.first(names::VALUE_SCHEMA_ID).unwrap();
            assert_eq!(SchemaId::read(bytes), Some(id));
        }
        let number = Headers::default().with_schema(SchemaId::Number(258));
        assert_eq!(number.first(names::VALUE_SCHEMA_ID), Some(&[0, 0, 0, 1, 2][..]));
    }

    #[test]
    fn other_schema_headers_are_not_understood() {
        for header in [&b""[..], b"\x00\x01", b"\x01short", b"\x02aaaaaaaaaaaaaaaa"] {
            assert_eq!(SchemaId::read(header), None);
        }
    }
}
