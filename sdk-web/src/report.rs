//! What the page is told, as the JSON of the DOM events' details.

use clickmill_sdk_core::client::{Delivered, Novelty, Settled, State};
use clickmill_sdk_core::wire::Outcome;
use clickmill_sdk_core::wire::json::Writer;

/// `clickmill:hint`: the hint's own data, with id, kind, latency and whether it was seen before.
pub(crate) fn hint(hint: &Delivered) -> String {
    let mut w = Writer::with_capacity(hint.data.len() + 128);
    w.object(|w| {
        w.text_field("id", &hint.id);
        w.text_field("kind", hint.kind.as_str());
        w.field("latency_ms", hint.latency_ms.as_ref());
        w.key("replayed").boolean(hint.novelty == Novelty::Replayed);
    });
    let mut text = w.finish();
    // The data is an object with fields of its own, or it would not have been read.
    if let Some(rest) = hint.data.trim_start().strip_prefix('{') {
        text.pop();
        text.push(',');
        text.push_str(rest);
    }
    text
}

/// `clickmill:verdict`.
pub(crate) fn verdict(settled: &Settled) -> String {
    let mut w = Writer::default();
    w.object(|w| {
        w.field("id", Some(&settled.id));
        w.field("type", Some(&settled.kind));
        w.text_field("outcome", settled.outcome.as_str());
        if let Outcome::Rejected(rejection) = &settled.outcome {
            w.field("reason", Some(&rejection.reason));
            w.field("pointer", rejection.pointer.as_ref());
            w.field("detail", rejection.detail.as_ref());
        }
        w.number_field("latency_ms", settled.latency_ms);
    });
    w.finish()
}

/// `clickmill:state`.
pub(crate) fn state(state: &State) -> String {
    let mut w = Writer::default();
    w.object(|w| {
        w.text_field("delivery", state.delivery);
        w.text_field("stream", state.stream);
        w.number_field("queued", state.queued as u64);
        w.field("books", Some(&state.books));
    });
    w.finish()
}
