//! A request that is made once and sent many times: ids, places and times change where they stand.

use std::io::Write as _;

use clickmill_sdk_core::wire::{Event, ToJson};
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::page::{Page, now};

/// The first place in a queue, so that all have ten digits.
const SEQ_FIRST: u64 = 1_000_000_000;
/// Digits of a moment until the year 2286.
const TIME_DIGITS: usize = 13;
/// Digits of a place in a queue.
const SEQ_DIGITS: usize = 10;
/// Where the last group of a UUID begins, and its digits.
const SERIAL: (usize, usize) = (24, 12);

/// What the page of a shop is like: the context and headers of a browser.
const TITLE: &str = "Kettles and teapots, page 2";
const HEADERS: &str = "content-type: text/plain;charset=UTF-8\r\n\
    origin: https://shop.test\r\n\
    referer: https://shop.test/\r\n\
    accept: */*\r\n\
    accept-encoding: gzip, deflate, br\r\n\
    accept-language: en-GB,en;q=0.9\r\n\
    user-agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) \
    Chrome/140.0.0.0 Safari/537.36\r\n";

/// One visitor's batch as a whole HTTP/1.1 request.
#[derive(Clone, Debug)]
pub(super) struct Request {
    head: String,
    bytes: Vec<u8>,
    body: usize,
    places: Places,
}

/// Where in the bytes the parts stand that change.
#[derive(Clone, Debug)]
struct Places {
    ids: Vec<usize>,
    seqs: Vec<usize>,
    times: Vec<usize>,
}

impl Request {
    /// A batch of `events` clicks of a new visitor; the body is what the SDK's own code writes.
    pub(super) fn new(write_key: &str, events: usize) -> Self {
        let mut page = Page::new(("", ""), write_key);
        page.context.locale = Some("en-GB".to_owned());
        if let Some(shown) = &mut page.context.page {
            shown.title = Some(TITLE.to_owned());
        }
        let events: Vec<Event> = (0..events).map(|n| click(&page, n)).collect();
        let body = page.batch(events).to_json();
        let head =
            format!("POST /v1/events?k={write_key} HTTP/1.1\r\nhost: in.shop.test\r\n{HEADERS}");
        let bytes = whole(&head, body.as_bytes());
        let start = bytes.len() - body.len();
        let after = |mark| places(&bytes, start, mark);
        let times = [after(r#""at":"#), after(r#""sent_at":"#)].concat();
        let places = Places { ids: after(r#""id":""#), seqs: after(r#""seq":"#), times };
        Self { head, bytes, body: start, places }
    }

    /// The same batch with new events, numbered from `serial`, of this moment.
    pub(super) fn renew(&mut self, serial: u64) -> &[u8] {
        let Self { bytes, places, .. } = self;
        for (number, (&id, &seq)) in (serial..).zip(places.ids.iter().zip(&places.seqs)) {
            put::<16>(bytes, (id + SERIAL.0, SERIAL.1), number);
            put::<10>(bytes, (seq, SEQ_DIGITS), SEQ_FIRST + number);
        }
        let now = now().0;
        for &time in &places.times {
            put::<10>(bytes, (time, TIME_DIGITS), now);
        }
        bytes
    }

    /// The request as it is, its body packed as a browser packs it.
    pub(super) fn packed(&self) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        let written = encoder.write_all(self.body()).and_then(|()| encoder.finish());
        whole(&self.head, &written.expect("writing to memory succeeds"))
    }

    /// Its body as it is.
    pub(super) fn body(&self) -> &[u8] {
        &self.bytes[self.body..]
    }
}

fn whole(head: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes = format!("{head}content-length: {}\r\n\r\n", body.len()).into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

/// Where the mark ends, behind `start`.
fn places(bytes: &[u8], start: usize, mark: &str) -> Vec<usize> {
    let windows = bytes[start..].windows(mark.len()).enumerate();
    let found = windows.filter(|(_, window)| *window == mark.as_bytes());
    found.map(|(at, _)| start + at + mark.len()).collect()
}

/// A click of usual size: the event alone has some 390 bytes.
fn click(page: &Page, n: usize) -> Event {
    let props = format!(
        r#"{{"sku":"SKU-{n:06}","category":"kitchen/kettles-and-teapots","price_cents":{},"currency":"GBP","list":"category/kitchen/kettles-and-teapots","position":{},"slot":"list-row-3","hint":"0199163d86947a9b8c8a5d3f0b1c2d3e"}}"#,
        1999 + n,
        n % 48
    );
    let event = page.event("product_click", &props);
    Event { seq: SEQ_FIRST + event.seq, ..event }
}

/// Writes a number's last digits, most significant first.
fn put<const BASE: u64>(bytes: &mut [u8], (at, digits): (usize, usize), mut number: u64) {
    for place in bytes[at..at + digits].iter_mut().rev() {
        *place = b"0123456789abcdef"[(number % BASE) as usize];
        number /= BASE;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::io::Read;

    use clickmill_sdk_core::wire::Batch;
    use flate2::read::GzDecoder;

    use super::*;

    fn events(body: &[u8]) -> Vec<Event> {
        serde_json::from_slice::<Batch<Event>>(body).expect("a batch").events
    }

    #[test]
    fn a_request_says_how_long_its_body_is_and_where_it_goes() {
        let request = Request::new("wk", 3);
        let text = std::str::from_utf8(&request.bytes).unwrap();
        assert!(text.starts_with("POST /v1/events?k=wk HTTP/1.1\r\nhost: "), "{text}");
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.ends_with(&format!("content-length: {}", body.len())), "{head}");
        assert_eq!(body.as_bytes(), request.body());
    }

    #[test]
    fn every_event_of_every_renewal_is_a_new_one() {
        let mut request = Request::new("wk", 3);
        let mut seen = Vec::new();
        for serial in [0, 3, 6, 1 << 30] {
            request.renew(serial);
            seen.extend(events(request.body()));
        }
        let ids: HashSet<_> = seen.iter().map(|event| event.id).collect();
        assert_eq!(ids.len(), 12);
        assert!(seen.is_sorted_by_key(|event| event.seq));
        assert!(seen.iter().all(|event| now().0 - event.at.0 < 60_000));
    }

    #[test]
    fn a_packed_request_unpacks_to_the_same_body() {
        let mut request = Request::new("wk", 20);
        request.renew(7);
        let packed = request.packed();
        let at = packed.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
        let mut plain = Vec::new();
        GzDecoder::new(&packed[at + 4..]).read_to_end(&mut plain).unwrap();
        assert_eq!(plain, request.body());
        assert!(packed.len() < request.bytes.len() / 2);
    }

    #[test]
    fn an_event_has_some_400_bytes() {
        let bytes = Request::new("wk-shop", 20).body().len() / 20;
        assert!((380..=420).contains(&bytes), "{bytes}");
    }
}
