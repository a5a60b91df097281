//! Binary mode: a CloudEvent whose attributes are HTTP headers and whose data is the body.

use std::borrow::Cow;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use clickmill_sdk_core::wire::json::Writer;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use serde_json::value::RawValue;

use crate::decode::DecodeError;

/// What the names of attributes begin with.
const PREFIX: &str = "ce-";

/// Whether the head is that of an event in binary mode: a media type of CloudEvents says that the
/// attributes are in the body.
pub(crate) fn is_binary(headers: &HeaderMap) -> bool {
    let inside = headers.get(CONTENT_TYPE).is_some_and(|value| {
        value.as_bytes().to_ascii_lowercase().starts_with(b"application/cloudevents")
    });
    headers.contains_key("ce-specversion") && !inside
}

/// The same event in structured mode: there is one reader, and a dead letter holds all of it.
pub(crate) fn structured(headers: &HeaderMap, body: &[u8]) -> Result<String, DecodeError> {
    let mut attributes = Vec::new();
    for (name, value) in headers {
        let Some(attribute) = name.as_str().strip_prefix(PREFIX) else { continue };
        let value = decoded(value).ok_or_else(|| {
            DecodeError::NotBatch(format!("the header `{name}` is not percent-encoded UTF-8"))
        })?;
        attributes.push((attribute, value));
    }
    let media_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let mut w = Writer::with_capacity(body.len() + 256);
    w.object(|w| {
        for (attribute, value) in &attributes {
            w.any_key(attribute).text(value);
        }
        w.field("datacontenttype", media_type);
        match serde_json::from_slice::<&RawValue>(body) {
            Ok(json) => w.key("data").raw(json.get()),
            Err(_) if body.is_empty() => {}
            Err(_) => w.text_field("data_base64", &BASE64_STANDARD.encode(body)),
        }
    });
    Ok(w.finish())
}

/// The value of an attribute: a quoted text is unquoted, then percent-encoding is undone, once.
fn decoded(value: &HeaderValue) -> Option<String> {
    let text = unquoted(std::str::from_utf8(value.as_bytes()).ok()?);
    String::from_utf8(undone(text.as_bytes())?).ok()
}

fn unquoted(text: &str) -> Cow<'_, str> {
    let inner = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    let Some(inner) = inner.filter(|_| text.len() > 1) else { return Cow::Borrowed(text) };
    let mut plain = String::with_capacity(inner.len());
    let mut letters = inner.chars();
    while let Some(letter) = letters.next() {
        plain.extend(if letter == '\\' { letters.next() } else { Some(letter) });
    }
    Cow::Owned(plain)
}

/// None where two hexadecimal digits do not follow a percent sign.
fn undone(text: &[u8]) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut plain = Vec::with_capacity(text.len());
    let mut bytes = text.iter().copied();
    while let Some(byte) = bytes.next() {
        plain.push(match byte {
            b'%' => digit(bytes.next()?)? << 4 | digit(bytes.next()?)?,
            _ => byte,
        });
    }
    Some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(headers: &[(&'static str, &'static [u8])], body: &[u8], expected: Result<&str, &str>) {
        let pair = |(name, value): &(&'static str, &'static [u8])| {
            (name.parse().unwrap(), HeaderValue::from_bytes(value).unwrap())
        };
        let headers: HeaderMap = headers.iter().map(pair).collect();
        let written = structured(&headers, body).map_err(|error| error.to_string());
        match expected {
            Ok(text) => assert_eq!(written.as_deref(), Ok(text)),
            Err(part) => assert!(written.as_ref().unwrap_err().contains(part), "{written:?}"),
        }
    }

    #[test]
    fn headers_become_attributes_and_the_body_data() {
        check(
            &[("ce-id", b"1"), ("content-type", b"application/json"), ("host", b"x")],
            br#" {"a": 1} "#,
            Ok(r#"{"id":"1","datacontenttype":"application/json","data":{"a": 1}}"#),
        );
        check(&[("ce-id", b"1")], b"", Ok(r#"{"id":"1"}"#));
        check(&[("ce-id", b"1")], b"\xff<", Ok(r#"{"id":"1","data_base64":"/zw="}"#));
    }

    #[test]
    fn values_are_unquoted_and_percent_decoded_once() {
        for (value, text) in [
            (&b"Euro%20%E2%82%AC%20%F0%9F%98%80"[..], "Euro \u{20ac} \u{1f600}"),
            (b"100%25%2520", "100%%20"),
            (br#""a \"b\" %41""#, r#"a \"b\" A"#),
            (b"\"", r#"\""#),
            ("größe".as_bytes(), "größe"),
        ] {
            check(&[("ce-x", value)], b"", Ok(&format!(r#"{{"x":"{text}"}}"#)));
        }
        for wrong in [&b"%"[..], b"%4", b"%zz", b"%ff", b"\xff"] {
            check(&[("ce-x", wrong)], b"", Err("the header `ce-x`"));
        }
    }
}
