//! W3C trace context: the trace that a request belongs to, and one's own place in it.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

use hyper::header::{HeaderMap, HeaderName};

/// The header that carries it.
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Length of `00-<trace id>-<span id>-<flags>`.
const LENGTH: usize = 55;

/// Where its parts lie.
const TRACE_ID: std::ops::Range<usize> = 3..35;
const SPAN_ID: std::ops::Range<usize> = 36..52;
const FLAGS: std::ops::Range<usize> = 53..55;

/// The place of a request in a trace: a `traceparent` of version 00. It is the text itself, so that
/// who only carries it copies 55 bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TraceParent([u8; LENGTH]);

impl TraceParent {
    /// The place that a request names; none if it names none, more than one, or not exactly as
    /// version 00 has it.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let mut named = headers.get_all(TRACEPARENT).iter();
        let (first, second) = (named.next()?, named.next());
        Self::parse(first.as_bytes()).filter(|_| second.is_none())
    }

    /// Reads one, exactly as version 00 has it. Other versions begin a new trace: what their fields
    /// mean is not known.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let text: [u8; LENGTH] = text.try_into().ok()?;
        let hex = |part: &[u8]| part.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let some = |part: &[u8]| part.iter().any(|b| *b != b'0');
        let (trace, span, flags) = (&text[TRACE_ID], &text[SPAN_ID], &text[FLAGS]);
        let lawful = text.starts_with(b"00-")
            && (text[35], text[52]) == (b'-', b'-')
            && (hex(trace) && hex(span) && hex(flags))
            && (some(trace) && some(span));
        lawful.then_some(Self(text))
    }

    /// The first place of a new trace, which is sampled.
    pub fn root(ids: &TraceIds) -> Self {
        let mut text = [b'0'; LENGTH];
        (text[2], text[35], text[52], text[54]) = (b'-', b'-', b'-', b'1');
        write_hex(&mut text[3..19], ids.next());
        write_hex(&mut text[19..35], ids.next());
        write_hex(&mut text[SPAN_ID], ids.next());
        Self(text)
    }

    /// A place of one's own below this one, which is sampled.
    #[must_use]
    pub fn child(mut self, ids: &TraceIds) -> Self {
        write_hex(&mut self.0[SPAN_ID], ids.next());
        // Further flags are only said to be kept where one does not understand them; version 00
        // asks to send none but those that it knows.
        self.0[FLAGS].copy_from_slice(b"01");
        self
    }

    /// Whether who named it records its part of the trace.
    pub fn is_sampled(&self) -> bool {
        let last = self.0[LENGTH - 1];
        // The lowest bit: odd digits have it.
        let digit = if last <= b'9' { last - b'0' } else { last - b'a' + 10 };
        digit & 1 == 1
    }

    /// The trace's id, 32 digits.
    pub fn trace_id(&self) -> &str {
        self.part(TRACE_ID)
    }

    /// The id of the place itself, 16 digits.
    pub fn span_id(&self) -> &str {
        self.part(SPAN_ID)
    }

    /// All of it.
    pub fn as_str(&self) -> &str {
        self.part(0..LENGTH)
    }

    fn part(&self, range: std::ops::Range<usize>) -> &str {
        // Digits and hyphens are UTF-8.
        std::str::from_utf8(&self.0[range]).unwrap_or_default()
    }
}

impl fmt::Debug for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Makes ids of traces and places that nobody can foresee, and none twice.
#[derive(Debug, Default)]
pub struct TraceIds {
    /// Its keys come from the system.
    hasher: RandomState,
    made: AtomicU64,
}

impl TraceIds {
    fn next(&self) -> u64 {
        let id = self.hasher.hash_one(self.made.fetch_add(1, Ordering::Relaxed));
        // All zeros is no id.
        id.max(1)
    }
}

fn write_hex(into: &mut [u8], number: u64) {
    for (at, digit) in into.iter_mut().rev().enumerate() {
        let value = (number >> (4 * at) & 0xf) as u8;
        *digit = if value < 10 { b'0' + value } else { b'a' + value - 10 };
    }
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn parse(text: &str) -> Option<TraceParent> {
        TraceParent::parse(text.as_bytes())
    }

    #[test]
    fn a_place_is_read_in_its_own_form_alone() {
        let read = parse(GOOD).unwrap();
        assert_eq!(read.trace_id(), "0af7651916cd43dd8448eb211c80319c");
        assert_eq!(read.span_id(), "b7ad6b7169203331");
        assert_eq!(read.as_str(), GOOD);
        for (from, to) in [
            ("00-0a", "01-0a"),
            ("00-0a", "ff-0a"),
            ("0af7", "0AF7"),
            ("0af7", "0gf7"),
            ("0af7651916cd43dd8448eb211c80319c", "00000000000000000000000000000000"),
            ("b7ad6b7169203331", "0000000000000000"),
            ("-b7", "_b7"),
            ("-01", "-1"),
            ("-01", "-01-x"),
            ("-01", "-0x"),
            (GOOD, ""),
        ] {
            assert!(GOOD.contains(from), "{from}");
            assert_eq!(parse(&GOOD.replacen(from, to, 1)), None, "{from} {to}");
        }
    }

    #[test]
    fn the_lowest_flag_says_sampled() {
        for (flags, sampled) in
            [("00", false), ("01", true), ("02", false), ("03", true), ("ff", true), ("fe", false)]
        {
            let text = GOOD.replace("-01", &format!("-{flags}"));
            assert_eq!(parse(&text).unwrap().is_sampled(), sampled, "{flags}");
        }
    }

    #[test]
    fn a_request_that_names_two_places_names_none() {
        let mut headers = HeaderMap::new();
        assert_eq!(TraceParent::of(&headers), None);
        headers.append(TRACEPARENT, HeaderValue::from_static(GOOD));
        assert_eq!(TraceParent::of(&headers), parse(GOOD));
        headers.append(TRACEPARENT, HeaderValue::from_static(GOOD));
        assert_eq!(TraceParent::of(&headers), None);
    }

    #[test]
    fn what_is_made_can_be_read_and_is_not_made_twice() {
        let ids = TraceIds::default();
        let made: std::collections::BTreeSet<String> = (0..1_000)
            .map(|_| {
                let root = TraceParent::root(&ids);
                assert_eq!(parse(root.as_str()), Some(root));
                assert!(root.is_sampled());
                root.as_str().to_owned()
            })
            .collect();
        assert_eq!(made.len(), 1_000);
        let parent = parse(&GOOD.replace("-01", "-02")).unwrap();
        let child = parent.child(&ids);
        assert_eq!(child.trace_id(), parent.trace_id());
        assert_ne!(child.span_id(), parent.span_id());
        assert!(child.is_sampled() && parse(child.as_str()) == Some(child));
    }

    proptest! {
        #[test]
        fn a_number_is_written_as_it_is_read(number in any::<u64>()) {
            let mut text = [0; 16];
            write_hex(&mut text, number);
            let text = std::str::from_utf8(&text).unwrap();
            prop_assert_eq!(u64::from_str_radix(text, 16), Ok(number));
        }
    }
}
