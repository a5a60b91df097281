//! The hint stream, closed when it is dropped.

use clickmill_sdk_core::client::{Input, StreamEvent};
use clickmill_sdk_core::wire::HintKind;
use wasm_bindgen::prelude::{Closure, JsCast, JsValue};
use web_sys::{EventSource, MessageEvent};

type Listener = Closure<dyn FnMut(MessageEvent)>;

/// An open hint stream. Short breaks the browser mends by itself.
#[derive(Debug)]
#[must_use = "a dropped stream is closed"]
pub(crate) struct Stream {
    source: EventSource,
    _listeners: [Listener; 2],
}

impl Stream {
    /// Opens the stream at `url`; tells what comes by `hear`. None where the browser refuses.
    pub(crate) fn open(url: &str, hear: impl Fn(Input) + Clone + 'static) -> Option<Self> {
        let source = EventSource::new(url).ok()?;
        let hint = {
            let hear = hear.clone();
            Listener::new(move |event: MessageEvent| {
                hear(Input::StreamEvent(StreamEvent {
                    id: event.last_event_id(),
                    event: event.type_(),
                    data: event.data().as_string().unwrap_or_default(),
                }));
            })
        };
        let watched = source.clone();
        let change = Listener::new(move |_: MessageEvent| match watched.ready_state() {
            EventSource::OPEN => hear(Input::StreamOpened),
            EventSource::CLOSED => hear(Input::StreamFailed),
            // The browser is trying again.
            _ => {}
        });
        for kind in HintKind::ALL {
            listen(&source, kind.as_str(), &hint);
        }
        listen(&source, "open", &change);
        listen(&source, "error", &change);
        Some(Self { source, _listeners: [hint, change] })
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // A closed source calls no listener, so they may go with it.
        self.source.close();
    }
}

fn listen(source: &EventSource, name: &str, listener: &Listener) {
    let function: &JsValue = listener.as_ref();
    // Fails for no name and no function.
    let _ = source.add_event_listener_with_callback(name, function.unchecked_ref());
}
