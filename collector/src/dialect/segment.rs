//! Segment: what its SDKs send, and those of its kin such as RudderStack's, and what they expect.
//!
//! | of a Segment event | becomes |
//! |---|---|
//! | `messageId` | the id, see [`event`] |
//! | `type`, `event`, `name`, `properties`, `traits`, ... | type and properties, see [`call`] |
//! | the e-commerce events and their properties | ours, see [`shop`] |
//! | `anonymousId` | the visitor, or a hash of it where it breaks the rule of visitor ids |
//! | `userId` | the customer: a claim |
//! | `timestamp`, `originalTimestamp`, `sentAt`, `receivedAt` | `at`, see [`time`] |
//! | `context` | our context, see [`context`] |
//! | `_metadata`, `context.ip`, empty `integrations` | nothing |
//! | what is left | `context.custom.segment`, as it came |

mod call;
mod context;
mod event;
mod key;
mod settings;
mod shop;
mod time;

use std::borrow::Cow;

use clickmill_sdk_core::wire::json::Writer;
use clickmill_sdk_core::wire::{Context, Receipt};
use serde::Deserialize;
use serde_json::value::RawValue;

pub(crate) use call::Call;
pub(crate) use key::{write_key, write_key_inside};
pub(crate) use settings::{settings, site_of};

use super::Asked;
use super::fields::Fields;
use super::translate::moment;
use crate::config::SegmentConfig;
use crate::decode::{DecodeError, DecodeLimits};
use crate::parcel::{Parcel, Sent};

/// What a path takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Many events under `batch`, each with its `type`.
    Batch,
    /// One event, of this call where it does not name another.
    One(Call),
}

impl Shape {
    /// The shape that the last part of a path stands for: `batch` and the calls, or their first
    /// letters.
    pub(crate) fn of(name: &str) -> Option<Self> {
        match name {
            "b" | "batch" => Some(Self::Batch),
            _ => Call::ALL
                .into_iter()
                .find(|call| call.name() == name || call.name().get(..1) == Some(name))
                .map(Self::One),
        }
    }
}

/// A batch as it comes.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    batch: Vec<&'a RawValue>,
    #[serde(borrow, default, rename = "sentAt")]
    sent_at: Option<Cow<'a, str>>,
    /// What the events share.
    #[serde(borrow, default)]
    context: Option<&'a RawValue>,
}

/// Reads a body.
pub(crate) fn read<'a>(
    text: &'a str,
    shape: Shape,
    asked: &Asked<'_>,
    config: &SegmentConfig,
) -> Result<Parcel<'a>, DecodeError> {
    let envelope = match shape {
        Shape::Batch => open(text, asked.limits)?,
        Shape::One(_) => alone(text)?,
    };
    let shared = envelope.context.map(|context| Fields::read(context.get())).transpose();
    let reader = event::Reader {
        shape,
        asked,
        config,
        sent_at: envelope.sent_at.and_then(|date| moment(&date)),
        shared: shared.map_err(|_| not_batch(&"its `context` is no lawful object"))?,
    };
    let sent = |(place, event): (usize, &&'a RawValue)| Sent {
        original: event.get(),
        form: reader.form(event.get(), place),
        traceparent: None,
    };
    Ok(Parcel {
        sent_at: reader.sent_at,
        attempt: asked.attempt,
        proof: None,
        renewed: false,
        context: Context::default(),
        events: envelope.batch.iter().enumerate().map(sent).collect(),
    })
}

fn open<'a>(text: &'a str, limits: &DecodeLimits) -> Result<Envelope<'a>, DecodeError> {
    let envelope: Envelope<'_> = serde_json::from_str(text).map_err(|error| not_batch(&error))?;
    let (found, max) = (envelope.batch.len(), limits.batch_events_max);
    if found > max {
        return Err(DecodeError::TooManyEvents { found, max });
    }
    // Each event carries a copy.
    let shared_bytes = envelope.context.map_or(0, |context| context.get().len());
    if shared_bytes > limits.context_bytes_max {
        return Err(DecodeError::ContextTooLarge(limits.context_bytes_max));
    }
    Ok(envelope)
}

/// The batch of one that a body without `batch` is.
fn alone(text: &str) -> Result<Envelope<'_>, DecodeError> {
    #[derive(Deserialize)]
    struct Dated<'a> {
        #[serde(borrow, default, rename = "sentAt")]
        sent_at: Option<&'a RawValue>,
    }
    let event: &RawValue = serde_json::from_str(text).map_err(|error| not_batch(&error))?;
    let dated: Option<Dated<'_>> = serde_json::from_str(text).ok();
    let sent_at = dated.and_then(|dated| dated.sent_at);
    let sent_at = sent_at.and_then(|date| serde_json::from_str::<String>(date.get()).ok());
    Ok(Envelope { batch: vec![event], sent_at: sent_at.map(Cow::Owned), context: None })
}

fn not_batch(error: &impl ToString) -> DecodeError {
    DecodeError::NotBatch(super::fields::brief(&error.to_string()))
}

/// The body of the answer: `success`, which is all that the SDKs read, and for people who look at
/// their network log, what was not plainly accepted.
pub(crate) fn reply(receipt: &Receipt) -> String {
    let mut w = Writer::default();
    w.object(|w| {
        w.field("success", Some(&true));
        w.field("accepted", Some(&receipt.accepted));
        w.list_field("verdicts", &receipt.verdicts);
        w.field("limits", receipt.limits.as_ref());
    });
    w.finish()
}

#[cfg(test)]
mod tests;
