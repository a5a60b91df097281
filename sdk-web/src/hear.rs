//! From the numbers and texts of the glue to the client's inputs.

use std::vec;

use clickmill_sdk_core::client::{
    Client, ClientOptions, Effect, Facts, Input, Remembered, Reply, RequestId, Storage,
    StreamEvent, Track,
};
use clickmill_sdk_core::wire::json::Value;
use clickmill_sdk_core::wire::{Consent, EventId, EventType, Json, Millis, Purpose, SiteConfig};

/// Bits of the number that a beginning and a consent come with.
const KEPT: u32 = 1;
const GPC: u32 = 2;
const SAID: u32 = 4;

/// Bytes of randomness before the text of a beginning.
const SEED_BYTES: usize = 32;

/// Takes one report and returns what is to be done. What the glue could not have made is passed
/// over.
pub(crate) fn hear(
    slot: &mut Option<Client>,
    heard: &[u8],
    (what, number): (u32, f64),
    now: Millis,
) -> Vec<Effect> {
    if what == 0 {
        *slot = begin(heard, number as u32);
        return Vec::new();
    }
    let (Some(client), Ok(text)) = (slot, std::str::from_utf8(heard)) else {
        return Vec::new();
    };
    if what == 1 {
        client.remind(remembered(&mut list(text)));
        return Vec::new();
    }
    match input(what, number, text) {
        Some(input) => client.step(now, input),
        None => Vec::new(),
    }
}

/// A client on what storage kept: a seed, the granted purposes, and what [`remembered`] reads.
fn begin(heard: &[u8], flags: u32) -> Option<Client> {
    let (seed, text) = heard.split_first_chunk::<SEED_BYTES>()?;
    let mut parts = list(std::str::from_utf8(text).ok()?);
    let consent = consent(&text_of(&mut parts)?, flags);
    let options = ClientOptions {
        consent: (flags & SAID != 0).then_some(consent),
        storage: if flags & KEPT != 0 { Storage::Kept } else { Storage::Denied },
        ..ClientOptions::default()
    };
    Some(Client::new(options, remembered(&mut parts), *seed))
}

/// Visitor, visit and queue, then each event with its place before it. What storage does not have
/// is an empty text, and as good as none.
fn remembered(parts: &mut vec::IntoIter<Value>) -> Remembered {
    let [me, visit, queue] = [(); 3].map(|()| text_of(parts));
    let mut events = Vec::new();
    while let (Some(place), Some(event)) = (parts.next(), text_of(parts)) {
        if let Some(place) = place.number() {
            events.push((place, event));
        }
    }
    Remembered { me, visit, queue, events }
}

/// The parts of a text that is a list.
fn list(text: &str) -> vec::IntoIter<Value> {
    let list = match Value::read(text) {
        Ok(Value::List(list)) => list,
        _ => Vec::new(),
    };
    list.into_iter()
}

/// The next part, if it is a text.
fn text_of(parts: &mut vec::IntoIter<Value>) -> Option<String> {
    match parts.next() {
        Some(Value::Text(text)) => Some(text),
        _ => None,
    }
}

/// Names of purposes, joined by commas.
fn consent(granted: &str, flags: u32) -> Consent {
    let granted = granted.split(',').filter_map(|name| Purpose::parse(name.trim_ascii())).collect();
    Consent { granted, gpc: flags & GPC != 0 }
}

fn input(what: u32, number: f64, text: &str) -> Option<Input> {
    let request = RequestId(number as u32);
    let plain = match what {
        2 => Input::ConsentSet(consent(text, number as u32)),
        3 => Input::Flush,
        4 => Input::Hidden,
        5 => Input::Page(Facts::read(text)),
        6 => Input::PageGone,
        7 => Input::PageBack,
        8 => Input::RequestFailed(request),
        9 => Input::SiteConfigRead(SiteConfig::read(text).ok()?),
        10 => Input::StreamFailed,
        11 => Input::StreamOpened,
        12 => Input::Tick,
        _ => return of_parts(what, number, &mut list(text)),
    };
    Some(plain)
}

fn of_parts(what: u32, number: f64, parts: &mut vec::IntoIter<Value>) -> Option<Input> {
    let (first, second, third) = (parts.next()?, text_of(parts), text_of(parts)?);
    Some(match (what, first) {
        (13, Value::Number(status)) => Input::Reply(Reply {
            request: RequestId(number as u32),
            status: status as u16,
            retry_after: second,
            body: third,
        }),
        (14, Value::Text(id)) => {
            Input::StreamEvent(StreamEvent { id, event: second?, data: third })
        }
        (15, Value::Text(id)) => Input::Track(Track {
            id: Some(EventId::parse(&id).ok()?),
            kind: EventType::parse(second?).ok()?,
            props: Json::trusted(third),
            at: Some(Millis(number as u64)),
        }),
        _ => return None,
    })
}
