//! Decode: turns the bytes of a body into a batch whose events are still closed, and opens events.
//!
//! Everything here is a pure function of bytes, so a fuzzer can call it. A body that is no batch is
//! refused as a whole; what is wrong inside one event is found later, by [`open`], and costs only
//! that event.

mod event;
#[cfg(test)]
mod hard;
mod strict;

use std::borrow::Cow;
use std::io::Read;

use clickmill_sdk_core::wire::{Batch, Context, ToJson};
use flate2::bufread::GzDecoder;
use serde_json::value::RawValue;

pub(crate) use event::{Opened, Unreadable, find_type, open};
use strict::Trail;

use crate::parcel::{Parcel, Sent};

/// What a gzip stream begins with. No JSON text does.
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Longest sentence about a fault, and longest step of a pointer to it, in characters.
const DETAIL_CHARS_MAX: usize = 200;

/// The bounds of what is decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodeLimits {
    /// Longest body after inflating, in bytes.
    pub inflated_bytes_max: usize,
    /// Most events in a batch.
    pub batch_events_max: usize,
    /// Longest context that the events of a batch share, in bytes: each record carries a copy.
    pub context_bytes_max: usize,
    /// Longest event, in bytes.
    pub event_bytes_max: usize,
    /// How deep objects and arrays may lie inside each other in properties; 1 is a flat object.
    pub depth_max: u32,
}

/// Why a body is no batch.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// There is nothing in it.
    #[error("the body is empty; it must be a JSON object with `sent_at` and `events`")]
    Empty,
    /// The gzip stream is damaged, ends early or has something behind it.
    #[error("the body is not one whole gzip stream: {0}")]
    Gzip(String),
    /// It inflates to more than is taken.
    #[error("the body inflates to more than {0} bytes")]
    InflatedTooLarge(usize),
    /// It is not text.
    #[error("the body is not UTF-8: byte {0} is wrong")]
    NotUtf8(usize),
    /// It is not JSON, or not the JSON of a batch.
    #[error("the body is not a batch: {0}")]
    NotBatch(String),
    /// Too many events.
    #[error("the batch has {found} events, at most {max} are taken")]
    TooManyEvents {
        /// How many it has.
        found: usize,
        /// How many it may have.
        max: usize,
    },
    /// The shared context is too large.
    #[error("the context of the batch is longer than {0} bytes")]
    ContextTooLarge(usize),
}

/// The text of a body, inflated if it is gzip.
///
/// # Errors
/// Says what is wrong in one sentence that may be shown to the sender.
pub(crate) fn unpack<'a>(
    body: &'a [u8],
    limits: &DecodeLimits,
) -> Result<Cow<'a, str>, DecodeError> {
    let not_utf8 = |error: std::str::Utf8Error| DecodeError::NotUtf8(error.valid_up_to() + 1);
    match inflate(body, limits.inflated_bytes_max)? {
        Cow::Borrowed(plain) => std::str::from_utf8(plain).map(Cow::Borrowed).map_err(not_utf8),
        Cow::Owned(plain) => {
            String::from_utf8(plain).map(Cow::Owned).map_err(|error| not_utf8(error.utf8_error()))
        }
    }
}

/// Opens the envelope of our own batch.
///
/// # Errors
/// Says what is wrong in one sentence that may be shown to the sender.
pub(crate) fn read(text: &str) -> Result<Parcel<'_>, DecodeError> {
    if text.trim_ascii().is_empty() {
        return Err(DecodeError::Empty);
    }
    let batch: Batch<&RawValue> =
        serde_json::from_str(text).map_err(|error| not_batch(text, &error))?;
    Ok(Parcel {
        sent_at: Some(batch.sent_at),
        attempt: batch.attempt,
        proof: batch.proof,
        renewed: batch.renewed,
        context: batch.context,
        events: batch.events.into_iter().map(native).collect(),
    })
}

fn native(event: &RawValue) -> Sent<'_> {
    Sent::native(event.get())
}

/// Holds a parcel to the limits that concern it as a whole.
///
/// # Errors
/// Says what is wrong in one sentence that may be shown to the sender.
pub(crate) fn check(
    context: &Context,
    events: &[Sent<'_>],
    limits: &DecodeLimits,
) -> Result<(), DecodeError> {
    let (found, max) = (events.len(), limits.batch_events_max);
    if found > max {
        return Err(DecodeError::TooManyEvents { found, max });
    }
    check_shared(context, limits)
}

/// All of it: for a fuzzer, and for tests.
#[cfg(test)]
pub(crate) fn decode<T>(
    body: &[u8],
    limits: &DecodeLimits,
    then: impl FnOnce(Parcel<'_>) -> T,
) -> Result<T, DecodeError> {
    let text = unpack(body, limits)?;
    let parcel = read(&text)?;
    check(&parcel.context, &parcel.events, limits)?;
    Ok(then(parcel))
}

/// How a body is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Packing {
    Gzip,
    Plain,
}

impl Packing {
    /// Told from the first bytes, not from a header that a proxy may have left.
    pub(crate) fn of(body: &[u8]) -> Self {
        if body.starts_with(&GZIP_MAGIC) { Self::Gzip } else { Self::Plain }
    }
}

/// The body itself, or what is packed in it. Never reads more than the bound and one byte; its buffer
/// may hold twice that.
pub(crate) fn inflate(body: &[u8], bytes_max: usize) -> Result<Cow<'_, [u8]>, DecodeError> {
    if Packing::of(body) == Packing::Plain {
        if body.len() > bytes_max {
            return Err(DecodeError::InflatedTooLarge(bytes_max));
        }
        return Ok(Cow::Borrowed(body));
    }
    let mut decoder = GzDecoder::new(body);
    // JSON packs to about a fifth; a guess beyond the bound would only be a gift to an attacker.
    let mut plain = Vec::with_capacity(bytes_max.min(body.len().saturating_mul(5)));
    let room = u64::try_from(bytes_max).unwrap_or(u64::MAX).saturating_add(1);
    decoder
        .by_ref()
        .take(room)
        .read_to_end(&mut plain)
        .map_err(|error| DecodeError::Gzip(error.to_string()))?;
    if plain.len() > bytes_max {
        return Err(DecodeError::InflatedTooLarge(bytes_max));
    }
    if !decoder.into_inner().is_empty() {
        return Err(DecodeError::Gzip("something follows it".to_owned()));
    }
    Ok(Cow::Owned(plain))
}

/// The beginning of a text that may repeat what was sent, such as the library's error messages.
fn brief(text: &str) -> String {
    match text.char_indices().nth(DETAIL_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Holds the shared context to the rules of a record: each event carries it on.
fn check_shared(context: &Context, limits: &DecodeLimits) -> Result<(), DecodeError> {
    if context.to_json().len() > limits.context_bytes_max {
        return Err(DecodeError::ContextTooLarge(limits.context_bytes_max));
    }
    let Some(custom) = &context.custom else { return Ok(()) };
    let mut trail = Trail::default();
    let checked = strict::object(custom.as_str(), limits.depth_max, &mut trail);
    checked.map(drop).map_err(|error| {
        let fault = trail.within("custom").within("context").fault(&error);
        DecodeError::NotBatch(format!("{} (at {})", fault.detail, fault.pointer))
    })
}

/// Names the field that is wrong. Only here is the body read with an eye on where one is: it costs.
fn not_batch(text: &str, error: &serde_json::Error) -> DecodeError {
    let mut again = serde_json::Deserializer::from_str(text);
    let place = match serde_path_to_error::deserialize::<_, Batch<&RawValue>>(&mut again) {
        Err(found) if found.path().iter().len() > 0 => format!(" (at {})", found.path()),
        _ => String::new(),
    };
    DecodeError::NotBatch(format!("{}{}", brief(&error.to_string()), brief(&place)))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use proptest::prelude::*;

    use super::*;

    pub(super) const LIMITS: DecodeLimits = DecodeLimits {
        inflated_bytes_max: 4096,
        batch_events_max: 3,
        context_bytes_max: 600,
        event_bytes_max: 512,
        depth_max: 4,
    };

    fn pack(plain: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(plain).unwrap();
        encoder.finish().unwrap()
    }

    /// The complaint about a body, or the number of its events.
    fn check(body: impl AsRef<[u8]>, expected: Result<usize, &str>) {
        let body = body.as_ref();
        let read = decode(body, &LIMITS, |parcel| parcel.events.len());
        let shown = String::from_utf8_lossy(body);
        match (read, expected) {
            (Ok(count), Ok(wanted)) => assert_eq!(count, wanted, "{shown}"),
            (Err(error), Err(part)) => {
                assert!(error.to_string().contains(part), "{shown}: {error}");
            }
            (read, _) => panic!("{shown}: {read:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn a_batch_comes_plain_or_packed() {
        check(r#"{"sent_at":1,"events":[]}"#, Ok(0));
        check(r#" {"sent_at":1,"events":[1,{"a":[]},"x"],"new":{"x":1,"x":2}} "#, Ok(3));
        check(pack(br#"{"sent_at":1,"events":[{}]}"#), Ok(1));
    }

    #[test]
    fn what_is_no_batch_is_named() {
        check("", Err("the body is empty"));
        check(" \n", Err("the body is empty"));
        check("{", Err("EOF while parsing"));
        check("[]", Err("not a batch"));
        check(r#"{"events":[]}"#, Err("missing field `sent_at`"));
        check(r#"{"sent_at":1}"#, Err("missing field `events`"));
        check(r#"{"sent_at":-1,"events":[]}"#, Err("(at sent_at)"));
        check(r#"{"sent_at":1,"events":{}}"#, Err("(at events)"));
        check(r#"{"sent_at":1,"sent_at":2,"events":[]}"#, Err("duplicate field `sent_at`"));
        check(r#"{"sent_at":1,"events":[]}x"#, Err("trailing characters"));
        check(r#"{"sent_at":1,"events":[{}"#, Err("EOF while parsing"));
        check(r#"{"sent_at":1,"events":[1,2,3,4]}"#, Err("has 4 events, at most 3"));
        check(r#"{"sent_at":1,"events":[],"proof":"short"}"#, Err("not a valid proof"));
        check(b"{\"sent_at\":1,\"events\":[\"\xff\"]}".as_slice(), Err("not UTF-8: byte 25"));
    }

    #[test]
    fn a_shared_context_keeps_a_records_rules() {
        let with = |custom: &str| {
            format!(r#"{{"sent_at":1,"events":[],"context":{{"custom":{custom}}}}}"#)
        };
        check(with(r#"{"a":1}"#), Ok(0));
        check(with(r#"{"a":1,"a":2}"#), Err("the key \"a\" stands twice (at /context/custom/a)"));
        check(with("[]"), Err("must be a JSON object (at /context/custom)"));
        check(with(r#"{"a":{"b":{"c":{"d":[]}}}}"#), Err("(at /context/custom/a/b/c/d)"));
        check(with(&format!("{{\"a\":\"{}\"}}", "x".repeat(600))), Err("longer than 600 bytes"));
    }

    #[test]
    fn a_bomb_is_refused_within_the_bound() {
        let bomb = pack(&vec![b' '; 10_000_000]);
        assert!(bomb.len() < 20_000);
        check(&bomb, Err("inflates to more than 4096 bytes"));
        assert!(inflate(&bomb, 4096).is_err());
        check(vec![b' '; 4097], Err("inflates to more than 4096 bytes"));
    }

    #[test]
    fn a_damaged_stream_is_refused() {
        let whole = pack(br#"{"sent_at":1,"events":[]}"#);
        check(&whole[..whole.len() - 1], Err("not one whole gzip stream"));
        check([&whole[..], b"more"].concat(), Err("something follows it"));
        let mut wrong = whole;
        let last = wrong.len() - 6;
        wrong[last] ^= 1;
        check(&wrong, Err("not one whole gzip stream"));
        check([0x1f, 0x8b], Err("not one whole gzip stream"));
    }

    #[test]
    fn a_complaint_does_not_repeat_all_that_was_sent() {
        let long = "ä".repeat(1_000);
        let error =
            decode(format!(r#"{{"sent_at":"{long}"}}"#).as_bytes(), &LIMITS, |_| ()).unwrap_err();
        assert!(error.to_string().chars().count() < DETAIL_CHARS_MAX + 50, "{error}");
    }

    #[test]
    fn depth_costs_no_stack() {
        let deep =
            format!(r#"{{"sent_at":1,"events":[{}1{}]}}"#, "[".repeat(1900), "]".repeat(1900));
        check(deep, Ok(1));
    }

    proptest! {
        #[test]
        fn any_bytes_give_an_answer(body in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = decode(&body, &LIMITS, |_| ());
            let _ = decode(&[&GZIP_MAGIC[..], &body].concat(), &LIMITS, |_| ());
        }
    }
}
