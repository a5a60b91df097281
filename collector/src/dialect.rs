//! Dialects: what strangers' SDKs say, in our own terms, and our answers in theirs.
//!
//! Each is a room of its own: it finds the write key, reads a text into a [`Parcel`] by a pure
//! function, and puts our answer as its SDK expects it. What is done with a parcel in between knows
//! no dialect. A new one is a new room, a variant of [`Dialect`] and its line in the table of
//! routes.

pub(crate) mod cloudevents;
mod fields;
pub(crate) mod segment;
mod translate;

use std::borrow::Cow;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use clickmill_sdk_core::wire::{Consent, Millis, Outcome, Receipt, ToJson};
use clickmill_server::query;
use clickmill_server::reply::Body;
use hyper::http::request::Parts;
use hyper::{Response, StatusCode};

use self::segment::{Call, Shape};
use crate::config::DialectsConfig;
use crate::decode::{self, DecodeError, DecodeLimits};
use crate::error::IngestError;
use crate::parcel::{Form, Parcel};

/// How a request is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// CloudEvents 1.0, in any of its three forms.
    CloudEvents,
    /// Our own batch.
    Native,
    /// What Segment's SDKs send, in the shape that the path says.
    Segment(Shape),
}

/// What a dialect knows of a request besides its text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    /// The collector's clock.
    pub(crate) now: Millis,
    /// A random number of the request's own: from it ids are minted where the sender gives none.
    pub(crate) seed: u64,
    /// How often the sender says it tried before.
    pub(crate) attempt: u32,
    /// The bounds of what is read.
    pub(crate) limits: &'a DecodeLimits,
    /// What counts as granted while a visitor has said nothing.
    pub(crate) consent: &'a Consent,
}

impl<'a> Asked<'a> {
    /// What a dialect knows of a request with that head.
    pub(crate) fn new(
        head: &Parts,
        now: Millis,
        limits: &'a DecodeLimits,
        consent: &'a Consent,
    ) -> Self {
        let attempt = head.headers.get("x-retry-count").and_then(|value| value.to_str().ok());
        let attempt = attempt.and_then(|text| text.parse().ok()).unwrap_or_default();
        Self { now, seed: RandomState::new().hash_one(now), attempt, limits, consent }
    }
}

impl Dialect {
    /// The write key in a request's head; none where it may be in the body.
    pub(crate) fn key(self, head: &Parts) -> Result<Option<Cow<'_, str>>, IngestError> {
        match self {
            Self::CloudEvents | Self::Native => {
                query::find(&head.uri, "k").map(Some).ok_or(IngestError::NoWriteKey)
            }
            Self::Segment(_) => Ok(segment::write_key(head)),
        }
    }

    /// The write key in a body.
    pub(crate) fn key_inside(self, text: &str) -> Result<String, IngestError> {
        let key = match self {
            Self::CloudEvents | Self::Native => None,
            Self::Segment(_) => segment::write_key_inside(text),
        };
        key.ok_or(IngestError::NoWriteKey)
    }

    /// The text of a body, whose form shows in its bytes.
    pub(crate) fn text<'a>(
        self,
        head: &Parts,
        body: &'a [u8],
        limits: &DecodeLimits,
    ) -> Result<Cow<'a, str>, DecodeError> {
        if self == Self::CloudEvents && cloudevents::binary::is_binary(&head.headers) {
            let data = decode::inflate(body, limits.inflated_bytes_max)?;
            return cloudevents::binary::structured(&head.headers, &data).map(Cow::Owned);
        }
        decode::unpack(body, limits)
    }

    /// Reads a text.
    pub(crate) fn read<'a>(
        self,
        text: &'a str,
        asked: &Asked<'_>,
        config: &DialectsConfig,
    ) -> Result<Parcel<'a>, DecodeError> {
        match self {
            Self::CloudEvents => cloudevents::read(text, asked, &config.cloudevents),
            Self::Native => decode::read(text),
            Self::Segment(shape) => segment::read(text, shape, asked, &config.segment),
        }
    }

    /// The body of a success answer. Where an SDK knows no verdicts, events without a fate turn the
    /// whole answer into a refusal.
    pub(crate) fn reply(self, receipt: &Receipt) -> Result<String, IngestError> {
        match self {
            Self::CloudEvents | Self::Native => Ok(receipt.to_json()),
            Self::Segment(_) => match longest_wait(receipt) {
                Some(wait) => Err(IngestError::Incomplete { wait }),
                None => Ok(segment::reply(receipt)),
            },
        }
    }

    /// The answer to a delivery that is refused.
    pub(crate) fn refuse(self, refused: &IngestError) -> Response<Body> {
        let mut response = refused.response();
        let is_segment = matches!(self, Self::Segment(_));
        if is_segment && response.status() == StatusCode::SERVICE_UNAVAILABLE {
            // Of this status alone its SDKs look at how long to wait, and it uses up no tries.
            *response.status_mut() = StatusCode::TOO_MANY_REQUESTS;
        }
        response
    }
}

/// What any dialect makes of a request, as the JSON of our own events: for a fuzzer, to whom nothing
/// of this may panic and all of it is JSON. `seed` stands for what differs when a sender tries again.
pub fn translations(head: &Parts, body: &[u8], limits: &DecodeLimits, seed: u64) -> Vec<String> {
    let dialects = [
        Dialect::CloudEvents,
        Dialect::Segment(Shape::Batch),
        Dialect::Segment(Shape::One(Call::Page)),
        Dialect::Segment(Shape::One(Call::Track)),
    ];
    let (config, consent) = (DialectsConfig::default(), Consent::full());
    let asked = Asked { seed, ..Asked::new(head, Millis(seed), limits, &consent) };
    let mut translations = Vec::new();
    for dialect in dialects {
        let Ok(text) = dialect.text(head, body, limits) else { continue };
        let Ok(parcel) = dialect.read(&text, &asked, &config) else { continue };
        translations.extend(parcel.events.into_iter().filter_map(|sent| match sent.form {
            Form::Translated(text) => Some(text),
            Form::Native | Form::Refused(_) => None,
        }));
    }
    translations
}

fn longest_wait(receipt: &Receipt) -> Option<Duration> {
    let waits = receipt.verdicts.iter().filter_map(|verdict| match verdict.outcome {
        Outcome::Retry { after_ms } => Some(Duration::from_millis(after_ms)),
        Outcome::Accepted | Outcome::Duplicate | Outcome::Rejected(_) => None,
    });
    waits.max()
}

#[cfg(test)]
mod tests {
    use hyper::Request;
    use proptest::prelude::*;
    use serde_json::value::RawValue;

    use super::*;
    use crate::testing::LIMITS;

    /// JSON with the keys that dialects look for, more or less.
    fn any_json() -> impl Strategy<Value = String> {
        let key = prop_oneof![
            Just("type"),
            Just("event"),
            Just("messageId"),
            Just("context"),
            Just("properties"),
            Just("batch"),
            Just("id"),
            Just("source"),
            Just("specversion"),
            Just("data"),
            Just("page"),
            Just("url"),
            Just("traits"),
            Just("timestamp"),
        ];
        let leaf = prop_oneof![
            Just("null".to_owned()),
            Just("1e9".to_owned()),
            Just(r#""track""#.to_owned()),
            Just(r#""1.0""#.to_owned()),
            Just(r#""\ud800""#.to_owned()),
            "\"[a-z#?/ ]{0,6}\"",
        ];
        leaf.prop_recursive(4, 40, 6, move |inner| {
            let fields = proptest::collection::vec((key.clone(), inner.clone()), 0..6);
            let list = proptest::collection::vec(inner, 0..3);
            prop_oneof![
                4 => fields.prop_map(|fields| {
                    let fields = fields.iter().map(|(key, value)| format!("{key:?}:{value}"));
                    format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
                }),
                1 => list.prop_map(|list| format!("[{}]", list.join(","))),
            ]
        })
    }

    proptest! {
        #[test]
        fn whatever_is_translated_is_json(text in any_json()) {
            let head = Request::new(()).into_parts().0;
            for translated in translations(&head, text.as_bytes(), &LIMITS, 0) {
                let read = serde_json::from_str::<&RawValue>(&translated);
                prop_assert!(read.is_ok(), "{} becomes {}", text, translated);
            }
        }
    }
}
