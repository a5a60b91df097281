//! Record headers: CloudEvents in binary mode, W3C trace context, the schema id in Confluent's form.

use rdkafka::message::{Header, OwnedHeaders};

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

/// The headers of one record, in the order in which they are added: one run of bytes, so that many
/// records can share a beginning, and a disk can keep it as it is.
///
/// Each header is the length of its name (2 bytes, little-endian) and of its value (4 bytes), then
/// name and value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers(Vec<u8>);

/// Bytes that are no headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("these bytes are no record headers")]
pub struct NotHeaders;

impl Headers {
    /// No headers yet, with room for that many bytes.
    pub fn with_capacity(bytes: usize) -> Self {
        Self(Vec::with_capacity(bytes))
    }

    /// The same headers, with room for that many bytes of further ones.
    #[must_use]
    pub fn with_room(&self, bytes: usize) -> Self {
        let mut run = Vec::with_capacity(self.0.len() + bytes);
        run.extend_from_slice(&self.0);
        Self(run)
    }

    /// Takes what [`as_bytes`](Self::as_bytes) gave.
    ///
    /// # Errors
    /// When it is anything else.
    pub fn from_bytes(bytes: impl Into<Vec<u8>>) -> Result<Self, NotHeaders> {
        let bytes = bytes.into();
        let mut left = bytes.as_slice();
        while !left.is_empty() {
            let (name, _, rest) = split(left).ok_or(NotHeaders)?;
            std::str::from_utf8(name).map_err(|_| NotHeaders)?;
            left = rest;
        }
        Ok(Self(bytes))
    }

    /// All of them as one run of bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Adds one header. A name is cut at 65,535 bytes, a value at 4 GiB.
    pub fn push(&mut self, name: &str, value: impl AsRef<[u8]>) {
        let name = name.as_bytes();
        let name_len = u16::try_from(name.len()).unwrap_or(u16::MAX);
        let value = value.as_ref();
        let value_len = u32::try_from(value.len()).unwrap_or(u32::MAX);
        self.0.extend_from_slice(&name_len.to_le_bytes());
        self.0.extend_from_slice(&value_len.to_le_bytes());
        self.0.extend_from_slice(&name[..usize::from(name_len)]);
        // Lossless: no target that we build for has addresses of less than 32 bits.
        self.0.extend_from_slice(&value[..value_len as usize]);
    }

    /// Adds one header.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.push(name, value);
        self
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

    /// The headers, name and value, in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        let mut left = self.0.as_slice();
        std::iter::from_fn(move || {
            let (name, value, rest) = split(left)?;
            left = rest;
            // Only text was ever put there.
            Some((std::str::from_utf8(name).unwrap_or_default(), value))
        })
    }

    /// The first header called `name`.
    pub fn first(&self, name: &str) -> Option<&[u8]> {
        self.iter().find(|(have, _)| *have == name).map(|(_, value)| value)
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        let mut left = self.0.as_slice();
        std::iter::from_fn(|| split(left).map(|(_, _, rest)| left = rest)).count()
    }

    /// The same as librdkafka keeps them.
    pub(crate) fn to_native(&self) -> Option<OwnedHeaders> {
        let count = self.count();
        (count > 0).then(|| {
            self.iter().fold(OwnedHeaders::new_with_capacity(count), |native, (key, value)| {
                native.insert(Header { key, value: Some(value) })
            })
        })
    }
}

/// The first header of a run, and what follows it.
fn split(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (name_len, rest) = bytes.split_first_chunk::<2>()?;
    let (value_len, rest) = rest.split_first_chunk::<4>()?;
    let (name, rest) = rest.split_at_checked(u16::from_le_bytes(*name_len).into())?;
    let value_len = usize::try_from(u32::from_le_bytes(*value_len)).ok()?;
    let (value, rest) = rest.split_at_checked(value_len)?;
    Some((name, value, rest))
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
    fn a_run_of_bytes_is_headers_again_or_is_refused() {
        let headers = Headers::default().with("a", "1").with("b", "").with("c", [0, 255]);
        assert_eq!(Headers::from_bytes(headers.as_bytes()), Ok(headers.clone()));
        let pairs: Vec<_> = headers.iter().collect();
        assert_eq!(pairs, [("a", &b"1"[..]), ("b", b""), ("c", &[0, 255])]);
        for cut in 1..headers.as_bytes().len() {
            let cut = &headers.as_bytes()[..cut];
            let whole = [8, 15].contains(&cut.len());
            assert_eq!(Headers::from_bytes(cut).is_ok(), whole, "{cut:?}");
        }
        assert_eq!(Headers::from_bytes([1, 0, 0, 0, 0, 0, 255]), Err(NotHeaders));
    }

    #[test]
    fn other_schema_headers_are_not_understood() {
        for header in [&b""[..], b"\x00\x01", b"\x01short", b"\x02aaaaaaaaaaaaaaaa"] {
            assert_eq!(SchemaId::read(header), None);
        }
    }
}
