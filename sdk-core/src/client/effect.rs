//! What a client asks its platform to do.

use super::machine::text::{EFFECT, PART};
use crate::wire::json::Value;
use crate::wire::{Books, EventId, EventType, HintKind, Millis, Outcome};

/// One thing to do. The effects of a step are carried out in their order; none of them may be
/// left out.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Post a batch; answer with `Reply` or `RequestFailed`.
    Send(Send),
    /// Send a body off without waiting for an answer once the page has ended. It takes the place of the
    /// copy before.
    Copy {
        /// The batch.
        body: String,
        /// Whether the page goes away now: a beacon will do. Otherwise it is only out of sight, and the
        /// copy is for whoever can have it sent when the page is killed; others pass it over.
        is_gone: bool,
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
    /// The queue's name, range and books; to forget it is to forget its events, too. Belongs to one
    /// queue.
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
    /// Its fate; a `Retry` is not the last word. None where the collector, newer than this client, says
    /// a word that is not known here: it is not to be sent again.
    pub outcome: Option<Outcome>,
    /// Time since it was tracked, ms.
    pub latency_ms: u64,
}

/// How the client fares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// What the delivery does: `idle`, `in_flight`, `backing_off` or `stopped`.
    pub delivery: String,
    /// What the stream does: `closed`, `open` or `waiting`.
    pub stream: String,
    /// Events that wait.
    pub queued: usize,
    /// The queue's books.
    pub books: Books,
}

/// Reads what the machine says. What no machine says is passed over.
pub(super) fn read(said: &[u8]) -> Vec<Effect> {
    let said = String::from_utf8_lossy(said);
    said.split(char::from(EFFECT)).skip(1).filter_map(one).collect()
}

fn one(effect: &str) -> Option<Effect> {
    let mut parts = effect.split(char::from(PART));
    let number = parts.next()?;
    let mut part = || parts.next();
    let own = str::to_owned;
    Some(match number {
        "0" => Effect::Send(Send {
            request: RequestId(part()?.parse().ok()?),
            body: part().map(own)?,
            transport: if part()? == "1" { Transport::Keepalive } else { Transport::Plain },
        }),
        "1" => Effect::Copy { body: part().map(own)?, is_gone: part()? == "1" },
        "2" => Effect::Store {
            item: match part()? {
                "me" => Item::Me,
                "visit" => Item::Visit,
                "queue" => Item::Queue,
                place => Item::Event(place.parse().ok()?),
            },
            text: part().map(own),
        },
        "3" => Effect::Wake { after_ms: part()?.parse().ok()? },
        "4" => Effect::OpenStream {
            token: part().map(own)?,
            last_event_id: part().filter(|id| !id.is_empty()).map(own),
        },
        "5" => Effect::CloseStream,
        "6" => Effect::Deliver(Delivered {
            id: part().map(own)?,
            kind: HintKind::parse(part()?)?,
            latency_ms: part()?.parse().ok(),
            novelty: if part()? == "1" { Novelty::Replayed } else { Novelty::New },
            data: part().map(own)?,
        }),
        "7" => Effect::Verdict(Settled {
            id: EventId::parse(part()?).ok()?,
            kind: EventType::parse(part()?.trim_matches('"')).ok()?,
            latency_ms: part()?.parse().ok()?,
            outcome: match Value::read(part()?) {
                Ok(verdict) => Outcome::from_value(&verdict),
                Err(_) => Some(Outcome::Accepted),
            },
        }),
        "8" => Effect::State(State {
            delivery: part().map(own)?,
            stream: part().map(own)?,
            queued: part()?.parse().ok()?,
            books: books(&Value::read(part()?).ok()?),
        }),
        _ => return None,
    })
}

fn books(value: &Value) -> Books {
    let number = |name| value.get(name).and_then(Value::number).unwrap_or_default();
    Books {
        created: number("created"),
        settled: number("settled"),
        dropped_full: number("dropped_full"),
        dropped_old: number("dropped_old"),
        dropped_large: number("dropped_large"),
        dropped_consent: number("dropped_consent"),
        since: Millis(number("since")),
    }
}
