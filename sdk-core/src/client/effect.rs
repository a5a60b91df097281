//! What a client asks its platform to do.

use crate::wire::{Books, EventId, EventType, HintKind, Outcome};

/// One thing to do. The effects of a step are carried out in their order; none of them may be
/// left out.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Post a batch; answer with `Reply` or `RequestFailed`.
    Send(Send),
    /// Send a body off without waiting for an answer (a beacon): the page goes away.
    Copy {
        /// The batch.
        body: String,
    },
    /// Keep a text, or forget it.
    Store {
        /// Under which name.
        item: Item,
        /// The text; none forgets it.
        text: Option<String>,
    },
    /// Send `Tick` after this long, ms. It replaces an earlier wake.
    Wake {
        /// The wait.
        after_ms: u64,
    },
    /// Open the hint stream.
    OpenStream {
        /// The key to it.
        token: String,
        /// The last event seen on this page: the stream goes on behind it.
        last_event_id: Option<String>,
    },
    /// Close the hint stream.
    CloseStream,
    /// Give a hint to the page.
    Deliver(Delivered),
    /// Tell the page what became of an event.
    Verdict(Settled),
    /// Tell the page that the client's state changed.
    State(State),
}

/// Names one delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestId(pub u32);

/// One delivery.
#[derive(Clone, Debug, PartialEq)]
pub struct Send {
    /// Its name in the answer.
    pub request: RequestId,
    /// The batch as JSON.
    pub body: String,
    /// How to send it.
    pub transport: Transport,
}

/// How a delivery travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// It outlives the page. Browsers allow 64 KiB of such bodies at a time, so a refused one is
    /// tried again in the other way.
    Keepalive,
    /// It ends with the page.
    Plain,
}

/// What storage keeps for a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Item {
    /// An event that waits, by its place in the queue. Belongs to one queue.
    Event(u64),
    /// The visitor's secret and id, and the key to the stream. Shared by all tabs of an origin.
    Me,
    /// The queue's name, range and books. Belongs to one queue.
    Queue,
    /// The running visit, the last events and hints. Shared by all tabs of an origin.
    Visit,
}

/// A hint for the page.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivered {
    /// Its id.
    pub id: String,
    /// What it is.
    pub kind: HintKind,
    /// Its `data` as it came: epoch, slot, content, why, expiry, cause.
    pub data: String,
    /// Time since this browser tracked the event that caused it, ms; none where it did not.
    pub latency_ms: Option<u64>,
    /// Whether this page is the first to show it.
    pub novelty: Novelty,
}

/// Whether a hint was seen before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Novelty {
    /// It arrives for the first time.
    New,
    /// An earlier page had it already.
    Replayed,
}

/// What became of an event.
#[derive(Clone, Debug, PartialEq)]
pub struct Settled {
    /// Its id.
    pub id: EventId,
    /// What happened.
    pub kind: EventType,
    /// Its fate; a `Retry` is not the last word.
    pub outcome: Outcome,
    /// Time since it was tracked, ms.
    pub latency_ms: u64,
}

/// How the client fares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// What the delivery does: `idle`, `in_flight`, `backing_off` or `stopped`.
    pub delivery: &'static str,
    /// What the stream does: `closed`, `open` or `waiting`.
    pub stream: &'static str,
    /// Events that wait.
    pub queued: usize,
    /// The queue's books.
    pub books: Books,
}
