//! Bodies and events that were made to hurt: each has its one answer.

use std::fmt::Write as _;
use std::io::Write as _;

use clickmill_sdk_core::wire::Reason;
use flate2::Compression;
use flate2::write::GzEncoder;

use super::{DecodeLimits, decode, open};

const LIMITS: DecodeLimits = DecodeLimits {
    inflated_bytes_max: 1 << 20,
    batch_events_max: 100,
    context_bytes_max: 600,
    event_bytes_max: 1 << 19,
    depth_max: 4,
};

fn pack(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

/// The number of a body's events, or a part of the complaint about it.
fn body(body: impl AsRef<[u8]>, expected: Result<usize, &str>) {
    let read = decode(body.as_ref(), &LIMITS, |parcel| parcel.events.len());
    match (read, expected) {
        (Ok(count), Ok(wanted)) => assert_eq!(count, wanted),
        (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{error}"),
        (read, _) => panic!("{read:?}, expected {expected:?}"),
    }
}

/// What is said of an event with these fields more.
fn event(more: &str, expected: Result<(), (Reason, &str)>) {
    let id = "01900000-0000-7000-8000-000000000001";
    let text = format!(r#"{{"id":"{id}","queue":"q","type":"click"{more}}}"#);
    let read = open(&text, &LIMITS).map(drop).map_err(|unreadable| {
        let rejection = unreadable.rejection;
        (rejection.reason, rejection.pointer.unwrap_or_default())
    });
    assert_eq!(read, expected.map_err(|(reason, place)| (reason, place.to_owned())), "{more:.80}");
}

/// The same for its properties.
fn props(props: &str, expected: Result<(), (Reason, &str)>) {
    event(&format!(r#","seq":1,"at":5,"props":{props}"#), expected);
}

#[test]
fn depth_is_refused_and_costs_no_stack() {
    let deep = |count: usize| format!("{}{}", "[".repeat(count), "]".repeat(count));
    props(&format!(r#"{{"a":{}}}"#, deep(3)), Ok(()));
    for count in [4, 127, 128, 100_000] {
        props(&format!(r#"{{"a":{}}}"#, deep(count)), Err((Reason::TooDeep, "/props/a/0/0/0")));
    }
    props(&r#"{"a":"#.repeat(50_000), Err((Reason::Malformed, "/props")));
    body("[".repeat(500_000), Err("not a batch"));
    body(format!(r#"{{"sent_at":1,"events":{}}}"#, deep(200_000)), Ok(1));
}

#[test]
fn numbers_without_measure_are_refused_and_none_is_rounded() {
    let digits = |count: usize| "9".repeat(count);
    props(&format!(r#"{{"a":{}}}"#, digits(400)), Err((Reason::Malformed, "/props/a")));
    props(r#"{"a":[0,-1e999]}"#, Err((Reason::Malformed, "/props/a/1")));
    props(r#"{"a":1e-999,"b":-0,"c":5e-324}"#, Ok(()));
    event(&format!(r#","at":5,"seq":{}"#, digits(400)), Err((Reason::Malformed, "/seq")));
    event(r#","seq":1,"at":1e999"#, Err((Reason::Malformed, "/at")));
    event(r#","seq":18446744073709551616"#, Err((Reason::Malformed, "/seq")));
    body(format!(r#"{{"sent_at":{},"events":[]}}"#, digits(400)), Err("number out of range"));
    let long = format!(r#"{{"a":{}}}"#, digits(300));
    let text = format!(
        r#"{{"id":"01900000-0000-7000-8000-000000000001","queue":"q","type":"click","seq":1,"at":5,"props":{long}}}"#
    );
    assert_eq!(open(&text, &LIMITS).unwrap().props.0, long);
}

#[test]
fn text_that_is_none_is_refused() {
    for lone in [r"\ud800", r"\udfff", r"\ud800\ud800", r"\udc00\ud800", r"\ud83dx"] {
        props(&format!(r#"{{"a":"{lone}"}}"#), Err((Reason::Malformed, "/props/a")));
        props(&format!(r#"{{"{lone}":1}}"#), Err((Reason::Malformed, "/props")));
    }
    props(r#"{"\ud83d\ude00":"\u0000"}"#, Ok(()));
    body("{\"sent_at\":1,\"events\":[\"\0\"]}", Err("control character"));
    body("\u{feff}{\"sent_at\":1,\"events\":[]}", Err("not a batch"));
    body("{\"sent_at\":1,\"events\":[]}\0", Err("trailing characters"));
    for wrong in [b"\xc0\xaf".as_slice(), b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xff", b"\xe4"] {
        body([br#"{"sent_at":1,"events":[""#, wrong, b"\"]}"].concat(), Err("not UTF-8: byte 25"));
    }
}

#[test]
fn no_spelling_hides_that_a_key_stands_twice() {
    props(r#"{"a":1,"\u0061":2}"#, Err((Reason::DuplicateKey, "/props/a")));
    props(r#"{"/":1,"\/":2}"#, Err((Reason::DuplicateKey, "/props/~1")));
    props(r#"{"é":1,"\u00e9":2}"#, Err((Reason::DuplicateKey, "/props/é")));
    // Equal to the eye alone.
    props(r#"{"é":1,"e\u0301":2}"#, Ok(()));
    event(r#","s\u0065q":1,"seq":2"#, Err((Reason::DuplicateKey, "/seq")));
    body(r#"{"sent_at":1,"events":[],"sent\u005fat":2}"#, Err("duplicate field `sent_at`"));
}

#[test]
fn very_many_and_very_long_things_are_counted_and_not_feared() {
    let many = vec!["{}"; 100_000].join(",");
    body(format!(r#"{{"sent_at":1,"events":[{many}]}}"#), Err("has 100000 events, at most 100"));
    props(&format!(r#"{{"a":[{many}]}}"#), Ok(()));
    props(&format!(r#"{{"{}":1}}"#, "k".repeat(400_000)), Ok(()));
    let keys = (0..30_000).fold(String::new(), |mut keys, number| {
        write!(keys, r#""k{number}":1,"#).unwrap();
        keys
    });
    props(&format!(r#"{{{keys}"last":1}}"#), Ok(()));
    props(&format!(r#"{{{keys}"k0":1}}"#), Err((Reason::DuplicateKey, "/props/k0")));
}

#[test]
fn packing_hides_nothing() {
    let whole = pack(br#"{"sent_at":1,"events":[]}"#);
    body(&whole, Ok(0));
    body([&whole[..], &whole].concat(), Err("something follows it"));
    body([&pack(b"")[..], &whole].concat(), Err("something follows it"));
    body(pack(&whole), Err("not UTF-8: byte 2"));
    body(pack(b""), Err("the body is empty"));
    body(pack(&vec![b' '; 50_000_000]), Err("inflates to more than 1048576 bytes"));
}
