//! What a client is told.

use super::Facts;
use super::effect::RequestId;
use crate::wire::{Consent, EventId, EventType, Json, Millis, SiteConfig};

/// One thing that happened around the client.
#[derive(Clone, Debug)]
pub enum Input {
    /// What the visitor allows has changed.
    ConsentSet(Consent),
    /// Everything that waits is to be sent now.
    Flush,
    /// The page went out of sight; it may never come back.
    Hidden,
    /// The page shows something else from here on: its circumstances.
    Page(Facts),
    /// The page goes away now.
    PageGone,
    /// The page is back from the back/forward cache.
    PageBack,
    /// A delivery was answered.
    Reply(Reply),
    /// A delivery failed without an answer.
    RequestFailed(RequestId),
    /// The site's settings have arrived.
    SiteConfigRead(SiteConfig),
    /// An event came through the hint stream.
    StreamEvent(StreamEvent),
    /// The hint stream is closed for good: the browser will not try again by itself.
    StreamFailed,
    /// The hint stream is open.
    StreamOpened,
    /// The time of the last `Wake` has come.
    Tick,
    /// Something happened on the page.
    Track(Track),
}

/// An event as the page reports it.
#[derive(Clone, Debug)]
pub struct Track {
    /// What happened.
    pub kind: EventType,
    /// Its properties: one JSON object.
    pub props: Json,
    /// Its id, where it was minted when it was captured.
    pub id: Option<EventId>,
    /// When it happened, where that was before this step.
    pub at: Option<Millis>,
}

impl Track {
    /// An event that happens in this step.
    pub fn new(kind: EventType, props: Json) -> Self {
        Self { kind, props, id: None, at: None }
    }
}

/// The answer to a delivery.
#[derive(Clone, Debug)]
pub struct Reply {
    /// Which delivery.
    pub request: RequestId,
    /// HTTP status.
    pub status: u16,
    /// The `Retry-After` header, where it could be read.
    pub retry_after: Option<String>,
    /// The body.
    pub body: String,
}

/// A server-sent event.
#[derive(Clone, Debug)]
pub struct StreamEvent {
    /// Its `id`.
    pub id: String,
    /// Its `event`: the kind of hint.
    pub event: String,
    /// Its `data`.
    pub data: String,
}
