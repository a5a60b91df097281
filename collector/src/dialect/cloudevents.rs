//! CloudEvents 1.0: events in the form that systems pass on to each other.
//!
//! | of a CloudEvent | becomes |
//! |---|---|
//! | `id` | the id if it is a UUID; otherwise a hash of `source` and `id`, its identity |
//! | `type` | the type, see [`kind`]; the last part `v1` its version |
//! | `dataschema` | the version, where it ends as ours do: `/product_view/2` |
//! | `time` | `at`; now, where there is none |
//! | `data`, `data_base64` | the properties: one JSON object |
//! | `visitor`, `session`, `customer`, `consent` | those of our context |
//! | `traceparent` | the trace of this event alone, in the record's header of that name |
//! | what is left | `context.custom.cloudevents`, as it came |
//!
//! What is sent in HTTP headers is first put into the one form that is read, see [`binary`].

pub(crate) mod binary;
mod event;
mod kind;

use clickmill_sdk_core::wire::Context;
use serde_json::value::RawValue;

use super::Asked;
use crate::config::CloudEventsConfig;
use crate::decode::DecodeError;
use crate::parcel::Parcel;

/// Reads a body: one event, or many in a list. Which it is shows in the text.
pub(crate) fn read<'a>(
    text: &'a str,
    asked: &Asked<'_>,
    config: &CloudEventsConfig,
) -> Result<Parcel<'a>, DecodeError> {
    let not_batch =
        |error: serde_json::Error| DecodeError::NotBatch(super::fields::brief(&error.to_string()));
    let events: Vec<&'a RawValue> = if text.trim_start().starts_with('[') {
        serde_json::from_str(text).map_err(not_batch)?
    } else {
        vec![serde_json::from_str(text).map_err(not_batch)?]
    };
    let (found, max) = (events.len(), asked.limits.batch_events_max);
    if found > max {
        return Err(DecodeError::TooManyEvents { found, max });
    }
    let sent = |event: &'a RawValue| event::read(event.get(), asked, config);
    Ok(Parcel {
        sent_at: None,
        attempt: 0,
        proof: None,
        renewed: false,
        context: Context::default(),
        events: events.into_iter().map(sent).collect(),
    })
}

#[cfg(test)]
mod tests;
