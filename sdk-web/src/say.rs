//! From the client's effects to the one text that the glue reads.
//!
//! Each effect begins with [`EFFECT`] and its number, and each of its parts with [`PART`]. Texts that
//! are JSON already (bodies, what storage keeps, hints) stand there as they are, which is what makes
//! this quick: no JSON has such bytes in it, since its strings escape them. All else is written as
//! JSON.

use clickmill_sdk_core::client::{Delivered, Effect, Item, Novelty, Settled, State, Transport};
use clickmill_sdk_core::wire::Outcome;
use clickmill_sdk_core::wire::json::Writer;

use crate::PART;

const EFFECT: char = '\u{1e}';

/// Writes effects down, in their order.
pub(crate) fn say(effects: &[Effect]) -> String {
    let mut w = Writer::default();
    effects.iter().for_each(|effect| write(effect, &mut w));
    w.finish()
}

fn write(effect: &Effect, w: &mut Writer) {
    match effect {
        Effect::Send(send) => {
            begin(0, w);
            part(w).number(u64::from(send.request.0));
            part(w).raw(&send.body);
            part(w).boolean(send.transport == Transport::Keepalive);
        }
        Effect::Copy { body } => {
            begin(1, w);
            part(w).raw(body);
        }
        Effect::Store { item, text } => {
            begin(2, w);
            match item {
                Item::Me => part(w).raw("me"),
                Item::Visit => part(w).raw("visit"),
                Item::Queue => part(w).raw("queue"),
                Item::Event(place) => part(w).number(*place),
            }
            text.iter().for_each(|text| part(w).raw(text));
        }
        Effect::Wake { after_ms } => {
            begin(3, w);
            part(w).number(*after_ms);
        }
        Effect::OpenStream { token, last_event_id } => {
            begin(4, w);
            part(w).text(token);
            last_event_id.iter().for_each(|id| part(w).text(id));
        }
        Effect::CloseStream => begin(5, w),
        Effect::Deliver(delivered) => {
            begin(6, w);
            hint(delivered, part(w));
            part(w).raw(&delivered.data);
        }
        Effect::Verdict(settled) => {
            begin(7, w);
            verdict(settled, part(w));
        }
        Effect::State(told) => {
            begin(8, w);
            state(told, part(w));
        }
    }
}

/// Begins an effect.
fn begin(number: u64, w: &mut Writer) {
    w.divide(EFFECT);
    w.number(number);
}

/// Begins a part of an effect.
fn part(w: &mut Writer) -> &mut Writer {
    w.divide(PART);
    w
}

/// `clickmill:hint`: id, kind, latency and whether it was seen before; the hint's own data follows.
fn hint(hint: &Delivered, w: &mut Writer) {
    w.object(|w| {
        w.text_field("id", &hint.id);
        w.text_field("kind", hint.kind.as_str());
        w.field("latency_ms", hint.latency_ms.as_ref());
        w.key("replayed").boolean(hint.novelty == Novelty::Replayed);
    });
}

/// `clickmill:verdict`.
fn verdict(settled: &Settled, w: &mut Writer) {
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
}

/// `clickmill:state`.
fn state(state: &State, w: &mut Writer) {
    w.object(|w| {
        w.text_field("delivery", state.delivery);
        w.text_field("stream", state.stream);
        w.number_field("queued", state.queued as u64);
        w.field("books", Some(&state.books));
    });
}
