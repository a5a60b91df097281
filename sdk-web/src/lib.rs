//! The browser shell: runs the SDK's state machine inside a page.
//!
//! The stub (`stub/clickmill.js`) is the page's eyes and hands: it sees clicks and page views,
//! posts bodies and dispatches DOM events, with or without this core. The core is the memory and
//! the judgement: queue, delivery, identity, consent, hints. It is loaded when the page is idle;
//! from then on the stub passes everything on to [`Core`].
//!
//! Nothing in here may throw into the page: what the browser refuses (storage, a stream) is lived
//! without.

mod host;
mod report;
mod shell;
mod store;
mod stream;
mod timer;

use std::rc::Rc;

use clickmill_sdk_core::client::{Facts, Input, Reply, RequestId, Track};
use clickmill_sdk_core::wire::{EventId, EventType, Json, Millis, SiteConfig};
use wasm_bindgen::prelude::wasm_bindgen;

use crate::host::Host;
use crate::shell::Shell;

/// The running core, as the stub holds it.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Core {
    shell: Rc<Shell>,
}

#[wasm_bindgen]
impl Core {
    /// Starts the core in a page. `site` is the text of the site's settings, where they came.
    #[allow(clippy::needless_pass_by_value)] // wasm-bindgen passes by value
    pub fn start(host: Host, site: Option<String>) -> Self {
        let site = site.and_then(|text| SiteConfig::read(&text).ok());
        Self { shell: Shell::start(host, site) }
    }

    /// The page shows something else from here on; `facts` is a context as JSON.
    #[allow(clippy::needless_pass_by_value)]
    pub fn page(&self, facts: String) {
        self.shell.step(Input::Page(Facts::read(&facts)));
    }

    /// Something happened. What the stub could not have made is passed over.
    pub fn track(&self, id: &str, kind: &str, at: f64, props: String) {
        let (Ok(id), Ok(kind)) = (EventId::parse(id), EventType::parse(kind)) else {
            return;
        };
        let (props, at) = (Json::trusted(props), Some(Millis(at as u64)));
        self.shell.step(Input::Track(Track { kind, props, id: Some(id), at }));
    }

    /// Sends what waits.
    pub fn flush(&self) {
        self.shell.step(Input::Flush);
    }

    /// What the visitor allows: names of purposes, joined by commas.
    pub fn consent(&self, granted: &str) {
        self.shell.step(Input::ConsentSet(self.shell.consent(granted)));
    }

    /// The page went out of sight.
    pub fn hidden(&self) {
        self.shell.step(Input::Hidden);
    }

    /// The page goes away.
    pub fn gone(&self) {
        self.shell.leave();
    }

    /// The page came back from the back/forward cache.
    pub fn back(&self) {
        self.shell.come_back();
    }

    /// A delivery was answered; a status of 0 stands for no answer.
    pub fn reply(&self, request: u32, status: u16, retry_after: Option<String>, body: String) {
        let request = RequestId(request);
        self.shell.step(match status {
            0 => Input::RequestFailed(request),
            _ => Input::Reply(Reply { request, status, retry_after, body }),
        });
    }
}
