//! From the numbers and texts of the glue to the client's inputs. A text that has several parts has
//! [`PART`] between them; only its last part may hold such bytes itself.

use clickmill_sdk_core::client::{
    Client, ClientOptions, Effect, Facts, Input, Remembered, Reply, RequestId, Storage,
    StreamEvent, Track,
};
use clickmill_sdk_core::wire::{Consent, EventId, EventType, Json, Millis, Purpose, SiteConfig};

use crate::PART;

/// Bits of the number that a beginning and a consent come with; the bits below are the granted
/// purposes, in the order of [`Purpose::ALL`].
const GPC: u32 = 16;
const KEPT: u32 = 32;
const SAID: u32 = 64;

/// From here on, what happened is an answer, and its number the HTTP status.
const STATUS: u32 = 100;

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
        client.remind(remembered(text));
        return Vec::new();
    }
    match input(what, number, text) {
        Some(input) => client.step(now, input),
        None => Vec::new(),
    }
}

/// A client on what storage kept: a seed, and what [`remembered`] reads.
fn begin(heard: &[u8], flags: u32) -> Option<Client> {
    let (seed, text) = heard.split_first_chunk::<SEED_BYTES>()?;
    let options = ClientOptions {
        consent: (flags & SAID != 0).then(|| consent(flags)),
        storage: if flags & KEPT != 0 { Storage::Kept } else { Storage::Denied },
        ..ClientOptions::default()
    };
    Some(Client::new(options, remembered(std::str::from_utf8(text).ok()?), *seed))
}

/// Visitor, visit and queue, then each event with its place before it. What storage does not have
/// is an empty text, and as good as none.
fn remembered(mut text: &str) -> Remembered {
    let rest = &mut text;
    let [me, visit, queue] = [(); 3].map(|()| Some(part(rest).to_owned()));
    let mut events = Vec::new();
    while !rest.is_empty() {
        events.push((number(part(rest)), part(rest).to_owned()));
    }
    Remembered { me, visit, queue, events }
}

/// Takes the next part off a text.
fn part<'a>(rest: &mut &'a str) -> &'a str {
    let end = rest.bytes().position(|byte| char::from(byte) == PART).unwrap_or(rest.len());
    let part = &rest[..end];
    *rest = rest.get(end + 1..).unwrap_or_default();
    part
}

/// A whole number in decimal digits.
fn number(digits: &str) -> u64 {
    digits
        .bytes()
        .fold(0, |number: u64, digit| number.wrapping_mul(10).wrapping_add(u64::from(digit & 15)))
}

fn consent(flags: u32) -> Consent {
    let granted = |at: &usize| flags & 1 << at != 0;
    let granted = (0..Purpose::ALL.len()).filter(granted).map(|at| Purpose::ALL[at]).collect();
    Consent { granted, gpc: flags & GPC != 0 }
}

fn input(what: u32, number: f64, mut text: &str) -> Option<Input> {
    let request = RequestId(number as u32);
    let rest = &mut text;
    Some(match what {
        2 => Input::ConsentSet(consent(number as u32)),
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
        13 => Input::StreamEvent(StreamEvent {
            id: part(rest).to_owned(),
            event: part(rest).to_owned(),
            data: (*rest).to_owned(),
        }),
        14 => Input::Track(Track {
            id: Some(EventId::parse(part(rest)).ok()?),
            kind: EventType::parse(part(rest)).ok()?,
            props: Json::trusted((*rest).to_owned()),
            at: Some(Millis(number as u64)),
        }),
        STATUS.. => Input::Reply(Reply {
            request,
            status: what as u16,
            retry_after: Some(part(rest).to_owned()),
            body: (*rest).to_owned(),
        }),
        _ => return None,
    })
}
