//! Bodies of deliveries: refused as a whole, or each event judged once, and written as what it is.

use std::sync::Arc;

use clickmill_catalog::{Builtin, Schemas};
use clickmill_collector::Config;
use clickmill_collector::decode::DecodeLimits;
use clickmill_collector::dialect;
use clickmill_collector::fuzzing::{self, Court, Judgement};
use clickmill_sdk_core::wire::{DeadLetter, EventId, Record, ToJson, Topic};
use hyper::Request;
use hyper::http::request::Parts;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::json;
use serde_json::value::RawValue;

use crate::{Target, lines};

/// Narrow, so that each is met.
const LIMITS: DecodeLimits = DecodeLimits {
    inflated_bytes_max: 16_384,
    batch_events_max: 20,
    context_bytes_max: 600,
    event_bytes_max: 2_048,
    depth_max: 5,
};

/// A complaint is a sentence, not a copy of what was sent. In bytes.
const COMPLAINT_BYTES_MAX: usize = 2_000;

const WORDS: &[&[u8]] = &[
    br#"{"sent_at":1800000000000,"events":[{}]}"#,
    br#""events":["#,
    br#","sent_at":1"#,
    br#","attempt":1"#,
    br#","context":{}"#,
    br#""custom":{"a":1}"#,
    br#""visitor":"v1""#,
    br#""consent":{"granted":["analytics"]}"#,
    br#","consent":{"granted":[]}"#,
    br#","id":"01900000-0000-7000-8000-000000000001""#,
    br#","type":"search""#,
    br#""props":{"query":"q"}"#,
    br#","version":1"#,
    br#","sample":0.5"#,
    br#""\u0061":1"#,
    br#""a":1,"a":2,"#,
    br#""\ud800""#,
    br#""\udc00\ud800""#,
    br#""\u0000""#,
    br#""\ud83d\ude00""#,
    b"{}",
    b"{},",
    b"[]",
    b"[",
    b"{\"a\":",
    b"null",
    b"true",
    b"1800000000000",
    b"1e5",
    b"-1.5E-7",
    b"12345678901234567890123456789012345678901234567890",
    b"0.1000000000000000055511151231257827021181583404541015625",
    b"\\",
    b"\"",
];

const TARGET: Target = Target { name: "bodies", words: WORDS, bytes_max: 32_768, packed: true };

pub(crate) fn court(over: &serde_json::Value) -> Court {
    let mut config = json!({
        "sites": [{
            "write_key": "wk", "tenant": "shop", "origins": ["https://shop.example"],
            "consent_default": ["analytics"],
        }],
    });
    for (key, value) in over.as_object().expect("an object") {
        config[key] = value.clone();
    }
    let config: Config = serde_json::from_value(config).expect("a configuration");
    let (schemas, refused) = Schemas::open(vec![Box::new(Builtin)]).expect("our own schemas");
    assert!(refused.is_empty());
    Court::new(config, LIMITS, Arc::clone(&schemas.load())).expect("a site")
}

#[test]
fn bodies_are_refused_whole_or_every_event_gets_one_judgement() {
    let courts = [
        court(&json!({})),
        court(&json!({
            "schemas": {"unknown_type": "unvalidated"},
            "privacy": {"pii_without_consent": "refuse"},
        })),
    ];
    TARGET.run(|body| courts.each_ref().map(|court| judged(court, body)).join(" | "));
}

fn judged(court: &Court, body: &[u8]) -> String {
    if let Ok((bytes, held)) = fuzzing::unpacked(body, &LIMITS) {
        assert!(bytes <= LIMITS.inflated_bytes_max, "{bytes} bytes");
        // What a delivery's share of the memory is reckoned by.
        assert!(held <= 2 * LIMITS.inflated_bytes_max + 64, "{held} bytes for {bytes}");
    }
    let judgements = match court.judge(body) {
        Ok(judgements) => judgements,
        Err(error) => {
            let text = error.to_string();
            assert!(text.len() <= COMPLAINT_BYTES_MAX, "{text}");
            return kind_of(&text);
        }
    };
    assert!(judgements.originals.len() <= LIMITS.batch_events_max);
    assert_eq!(judgements.all.len(), judgements.originals.len());
    let pairs = judgements.all.iter().zip(&judgements.originals);
    let mut behaviours: Vec<String> = pairs.map(|(one, original)| fate(one, original)).collect();
    behaviours.sort_unstable();
    behaviours.dedup();
    behaviours.join(",")
}

/// What became of one event, held to what is promised of it.
fn fate(judgement: &Judgement, original: &str) -> String {
    let value = &judgement.value;
    match &judgement.verdict {
        Ok(()) => {
            assert!(matches!(judgement.topic, Topic::ClicksRaw | Topic::ClicksUnvalidated));
            assert!(judgement.wire_bytes >= value.len());
            let record: Record = serde_json::from_str(value).expect("a record");
            assert_eq!(Some(record.id), judgement.id);
            assert_eq!(record.key().as_deref(), judgement.key.as_deref());
            assert!(record.time <= record.arrival.received_at);
            assert_eq!(&record.to_json(), value);
            // A record that only serde understands is none: other readers are stricter.
            let plain: serde_json::Value = serde_json::from_str(value).expect("plain JSON");
            assert!(plain["props"].is_object());
            format!("{:?} {:?} {}", judgement.topic, record.version, judgement.key.is_some())
        }
        Err(rejection) => {
            assert_eq!(judgement.topic, Topic::ClicksRejected);
            let letter: DeadLetter = serde_json::from_str(value).expect("a dead letter");
            assert_eq!((letter.id, &letter.rejection), (judgement.id, rejection));
            let context = &letter.context;
            let who = [context.visitor.is_some(), context.session.is_some()];
            // Without consent a letter names nobody, and its original is cleaned of names; proofs of
            // who a visitor is are never kept.
            let may_prove = original.contains("proof") || original.contains('\\');
            assert!(!who.contains(&true) || may_prove || letter.original == original, "{value}");
            let said = rejection.detail.as_deref().unwrap_or_default();
            assert!(!said.is_empty() && said.len() <= COMPLAINT_BYTES_MAX);
            format!("{:?} {}", rejection.reason, kind_of(said))
        }
    }
}

/// A complaint without what it repeats: the first words that are of our own making.
fn kind_of(text: &str) -> String {
    let words = text.split([' ', ':']).filter(|word| word.bytes().all(|b| b.is_ascii_alphabetic()));
    words.take(8).collect::<Vec<_>>().join(" ")
}

const DIALECTS: Target = Target {
    name: "dialects",
    words: &[
        br#""type":"track""#,
        br#""type":"identify""#,
        br#""type":"page""#,
        br#""event":"Product Viewed""#,
        br#""event":"Order Completed""#,
        br#""products":[{"sku":"a","price":1.5,"quantity":2}]"#,
        br#""messageId":"m1""#,
        br#""anonymousId":"v1""#,
        br#""userId":"c1""#,
        br#""context":{"page":{"url":"https://shop.example/a?b#c"}}"#,
        br#""properties":{"sku":"a"}"#,
        br#""traits":{"email":"a@b.example"}"#,
        br#""timestamp":"2027-01-15T08:00:00.000Z""#,
        br#""sentAt":"2027-01-15T08:00:00.000Z""#,
        br#""batch":["#,
        br#""specversion":"1.0""#,
        br#""source":"/s""#,
        br#""data_base64":"e30=""#,
        br#""datacontenttype":"application/json""#,
        br#""time":"2027-01-15T08:00:00Z""#,
        br#""\ud800""#,
        b"{}",
        b"[",
        b"null",
        b"9999-12-31T23:59:60+14:00",
        b"1e999",
    ],
    bytes_max: 16_384,
    packed: true,
};

#[test]
fn what_a_dialect_says_is_judged_as_our_own_events_are() {
    let court = court(&json!({"schemas": {"unknown_type": "accept"}}));
    DIALECTS.run(|body| judged_in_our_terms(&court, &bare(), body));
}

const BINARY: Target = Target {
    name: "binary",
    words: &[
        b"ce-specversion:1.0\n",
        b"ce-id:1\n",
        b"ce-source:/s\n",
        b"ce-type:com.example.search.v1\n",
        b"ce-time:2027-01-15T08:00:00Z\n",
        b"ce-visitor:v1\n",
        b"ce-customer:c1\n",
        b"ce-consent:analytics\n",
        b"ce-dataschema:/search/1\n",
        b"ce-traceparent:00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\n",
        b"content-type:application/json\n",
        b"content-type:application/cloudevents+json\n",
        br#"{"query":"q"}"#,
        b"%41",
        b"%",
        b"%ff",
        b"\"a \\\"b\\\"\"",
        b"\n\n",
        b"ce-",
    ],
    bytes_max: 8_192,
    packed: false,
};

#[test]
fn an_event_in_headers_is_judged_as_our_own_are_or_refused() {
    let court = court(&json!({"schemas": {"unknown_type": "accept"}}));
    BINARY.run(|bytes| {
        let Some((headers, body)) = lines::message(bytes) else { return "no headers".to_owned() };
        let mut head = bare();
        head.headers = headers;
        judged_in_our_terms(&court, &head, body)
    });
}

/// A head that says nothing.
fn bare() -> Parts {
    Request::new(()).into_parts().0
}

/// Judges what dialects make of a request.
fn judged_in_our_terms(court: &Court, head: &Parts, body: &[u8]) -> String {
    let mut translated = dialect::translations(head, body, &LIMITS, 0);
    let again = dialect::translations(head, body, &LIMITS, 1_800_000_000_000);
    assert_eq!(translated.len(), again.len());
    for (first, again) in translated.iter().zip(&again) {
        // As text: a number beyond measure is the judge's business.
        let plain: &RawValue = serde_json::from_str(first).expect("JSON");
        assert!(plain.get().starts_with('{'), "{first}");
        comes_again_as_itself(first, again);
    }
    translated.truncate(LIMITS.batch_events_max);
    let events = translated.join(",");
    let batch = format!(r#"{{"sent_at":1800000000000,"events":[{events}]}}"#);
    // What is too long as a whole says nothing of the single ones.
    let fits = batch.len() <= LIMITS.inflated_bytes_max;
    if fits {
        let judgements = court.judge(batch.as_bytes()).expect("a batch");
        assert_eq!(judgements.originals, translated);
    }
    format!("{} {}", translated.len(), judged(court, batch.as_bytes()))
}

/// An event that comes again has the id it had, unless its sender gave it none.
fn comes_again_as_itself(first: &str, again: &str) {
    let glance = |text| serde_json::from_str::<Glance>(text).expect("an event of ours");
    let (first, again) = (glance(first), glance(again));
    if first.id != again.id {
        // What has a name was hashed from it; what has none was minted, in the version with a time.
        let name = first.context.custom.segment.message_id;
        assert!(name.is_none() && first.id.uuid().get_version_num() == 7, "{}", first.id);
    }
}

/// What tells whether an event was named by its sender.
#[derive(Deserialize)]
struct Glance {
    id: EventId,
    #[serde(default)]
    context: Circumstances,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Circumstances {
    custom: Custom,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Custom {
    segment: Left,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Left {
    #[serde(rename = "messageId")]
    message_id: Option<IgnoredAny>,
}
