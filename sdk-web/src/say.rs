//! From the client's effects to the one text that the glue reads: a list of lists, each with the
//! effect's number first.

use clickmill_sdk_core::client::{Delivered, Effect, Item, Novelty, Settled, State, Transport};
use clickmill_sdk_core::wire::Outcome;
use clickmill_sdk_core::wire::json::Writer;

/// Writes effects down, in their order.
pub(crate) fn say(effects: Vec<Effect>) -> String {
    let mut w = Writer::default();
    w.array(|w| effects.into_iter().for_each(|effect| w.array(|w| write(&effect, w))));
    w.finish()
}

fn write(effect: &Effect, w: &mut Writer) {
    match effect {
        Effect::Send(send) => {
            w.number(0);
            w.number(u64::from(send.request.0));
            w.text(&send.body);
            w.boolean(send.transport == Transport::Keepalive);
        }
        Effect::Copy { body } => {
            w.number(1);
            w.text(body);
        }
        Effect::Store { item, text } => {
            w.number(2);
            match item {
                Item::Me => w.text("me"),
                Item::Visit => w.text("visit"),
                Item::Queue => w.text("queue"),
                Item::Event(place) => w.number(*place),
            }
            text.iter().for_each(|text| w.text(text));
        }
        Effect::Wake { after_ms } => {
            w.number(3);
            w.number(*after_ms);
        }
        Effect::OpenStream { token, last_event_id } => {
            w.number(4);
            w.text(token);
            last_event_id.iter().for_each(|id| w.text(id));
        }
        Effect::CloseStream => w.number(5),
        Effect::Deliver(hint) => {
            w.number(6);
            self::hint(hint, w);
        }
        Effect::Verdict(settled) => {
            w.number(7);
            verdict(settled, w);
        }
        Effect::State(state) => {
            w.number(8);
            self::state(state, w);
        }
    }
}

/// `clickmill:hint`: id, kind, latency and whether it was seen before; then the hint's own data.
fn hint(hint: &Delivered, w: &mut Writer) {
    w.object(|w| {
        w.text_field("id", &hint.id);
        w.text_field("kind", hint.kind.as_str());
        w.field("latency_ms", hint.latency_ms.as_ref());
        w.key("replayed").boolean(hint.novelty == Novelty::Replayed);
    });
    w.text(&hint.data);
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
