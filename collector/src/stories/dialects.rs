//! Strangers' SDKs send in their dialects and read answers that they understand.

use std::io::Write;

use clickmill_kafka::Class;
use clickmill_sdk_core::wire::{RefusalCode, Topic};
use flate2::Compression;
use flate2::write::GzEncoder;
use hyper::Request;
use serde_json::{Value, json};

use super::edge::{Answer, Edge, ORIGIN, batch, event};
use crate::sink::fake::Faults;

/// Basic authorization with the key `wk` and no password.
const BASIC: &str = "Basic d2s6";

fn track(number: u32) -> Value {
    json!({"type": "track", "event": "product_click", "messageId": format!("m-{number}"),
           "anonymousId": "v1", "properties": {"sku": format!("sku-{number}")},
           "timestamp": "2027-01-15T07:59:59Z"})
}

fn segment(events: impl IntoIterator<Item = Value>) -> Value {
    json!({"batch": events.into_iter().collect::<Vec<_>>(), "sentAt": "2027-01-15T08:00:00Z"})
}

async fn post(edge: &Edge, path: &str, body: &Value) -> Answer {
    let head = Request::post(path).header("authorization", BASIC);
    edge.send(head, body.to_string()).await
}

fn said(answer: &Answer) -> Value {
    assert_eq!(answer.status, 200, "{}", answer.text);
    serde_json::from_str(&answer.text).unwrap()
}

#[tokio::test]
async fn segment_is_told_success_and_a_bad_event_costs_only_itself() {
    let edge = Edge::start().await;
    let mut wrong = track(2);
    wrong["properties"] = json!({"price": 5});
    let unheard = json!({"type": "track", "event": "größe", "messageId": "m-4"});
    let sent = segment([track(1), wrong, json!(7), unheard, track(1), track(3)]);
    let answer = post(&edge, "/v1/batch", &sent).await;
    assert_eq!(said(&answer)["success"], true);
    assert_eq!(said(&answer)["accepted"], 2);
    let fates = ["1 rejected schema_violation", "2 rejected malformed", "3 rejected malformed"];
    assert_eq!(answer.verdicts()[..3], fates);
    assert_eq!(answer.verdicts()[3..], ["4 duplicate"]);
    assert_eq!(said(&post(&edge, "/v1/b", &segment([track(1), track(3)])).await)["accepted"], 0);

    let [first, last] = &edge.stored(Topic::ClicksRaw)[..] else { panic!("two are stored") };
    assert_eq!(
        (&first["type"], &first["props"]),
        (&json!("product_click"), &json!({"sku": "sku-1"}))
    );
    assert_eq!((&first["queue"], &first["seq"]), (&first["id"], &json!(0)));
    assert_eq!(first["time"], 1_799_999_999_000_u64);
    assert_eq!(first["context"]["visitor"], "v1");
    assert_eq!(first["context"]["custom"], json!({"segment": {"messageId": "m-1"}}));
    assert_eq!(last["props"]["sku"], "sku-3");
    let letters = edge.stored(Topic::ClicksRejected);
    let original: Value = serde_json::from_str(letters[0]["original"].as_str().unwrap()).unwrap();
    assert_eq!((letters.len(), &original["messageId"]), (3, &json!("m-2")));
}

#[tokio::test]
async fn segments_key_may_stand_in_four_places_and_its_body_in_any_type() {
    let edge = Edge::start().await;
    let mut keyed = track(1);
    keyed["writeKey"] = json!("wk");
    let plain = |path: &'static str| {
        Request::post(path).header("content-type", "application/x-www-form-urlencoded")
    };
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(track(4).to_string().as_bytes()).unwrap();
    for answer in [
        edge.send(plain("/v1/t"), keyed.to_string()).await,
        edge.send(plain("/v1/track?writeKey=wk"), track(2).to_string()).await,
        edge.send(plain("/t?k=wk"), track(3).to_string()).await,
        edge.send(plain("/v1/t").header("authorization", BASIC), gzip.finish().unwrap()).await,
    ] {
        assert_eq!(said(&answer), json!({"success": true, "accepted": 1}));
    }
    let refused = edge.send(plain("/v1/t"), track(5).to_string()).await;
    assert_eq!(
        (refused.status.as_u16(), refused.refusal().error),
        (401, RefusalCode::UnknownWriteKey)
    );
    keyed["writeKey"] = json!("no");
    assert_eq!(edge.send(plain("/v1/t"), keyed.to_string()).await.status, 401);
    let broken = edge.send(plain("/v1/t?k=wk"), "{").await;
    assert_eq!((broken.status.as_u16(), broken.refusal().error), (400, RefusalCode::Malformed));
    for nothing in ["/v1/x", "/track", "/v1/", "/x", "/batch"] {
        assert_eq!(edge.send(plain("/v1/t").uri(nothing), "{}").await.status, 404, "{nothing}");
    }
    assert_eq!(edge.get("/v1/track").await.status, 405);
}

#[tokio::test]
async fn segment_sends_all_of_a_batch_again_until_every_event_has_its_fate() {
    let edge = Edge::start().await;
    let slow = Faults { by_text: Some(("sku-2", Class::Retriable)), ..Faults::default() };
    edge.sink.set(slow);
    let sent = segment([track(1), track(2)]);
    let answer = post(&edge, "/v1/batch", &sent).await;
    // Of this status alone its SDKs read how long to wait.
    assert_eq!((answer.status.as_u16(), answer.refusal().error), (429, RefusalCode::Unavailable));
    assert!(answer.header("retry-after").is_some_and(|seconds| seconds != "0"));
    assert!(answer.refusal().detail.contains("not all events"), "{}", answer.text);
    edge.sink.set(Faults::default());
    let answer = post(&edge, "/v1/batch", &sent).await;
    assert_eq!(answer.verdicts(), ["0 duplicate"]);
    assert_eq!(said(&answer)["accepted"], 1);
    assert_eq!(edge.stored(Topic::ClicksRaw).len(), 2);
    edge.sink.set(Faults { refuse: Some(Class::Retriable), ..Faults::default() });
    assert_eq!(post(&edge, "/v1/batch", &segment([track(3)])).await.status, 429);
    assert_eq!(edge.post(&batch([event(3)])).await.status, 503);
}

#[tokio::test]
async fn segments_page_may_ask_before_it_sends_and_gets_its_settings() {
    let edge = Edge::start_with(|config| config.path_prefix = "/cm".to_owned()).await;
    let ask = async |origin: &'static str| {
        let head = Request::options("/cm/v1/t").header("origin", origin);
        edge.send(head, "").await
    };
    let allowed = ask(ORIGIN).await;
    assert_eq!(allowed.header("access-control-allow-origin"), Some(ORIGIN));
    let headers = allowed.header("access-control-allow-headers").unwrap();
    for name in ["authorization", "content-type", "x-retry-count"] {
        assert!(headers.contains(name), "{headers}");
    }
    let foreign = ask("https://evil.example").await;
    assert_eq!(foreign.header("access-control-allow-origin"), None);

    let settings = edge.get("/cm/v1/projects/wk/settings").await;
    let told: Value = serde_json::from_str(&settings.text).unwrap();
    let integration = &told["integrations"]["Segment.io"];
    assert_eq!(integration["apiKey"], "wk");
    assert!(integration["apiHost"].as_str().is_some_and(|host| host.ends_with("/cm/v1")));
    assert_eq!(settings.header("access-control-allow-origin"), Some(ORIGIN));
    assert_eq!(edge.get("/cm/v1/projects/no/settings").await.status, 401);
}

#[tokio::test]
async fn without_consent_nobody_is_known_again_in_segments_terms_either() {
    let edge = Edge::start().await;
    let refused = json!({"consent": {"categoryPreferences": {"Analytics": false}},
                         "traits": {"email": "ada@example.org"}});
    let mut click = track(1);
    click["userId"] = json!("ada@example.org");
    click["context"] = refused.clone();
    let mut wrong = click.clone();
    (wrong["messageId"], wrong["properties"]) = (json!("m-2"), json!({}));
    let identify = json!({"type": "identify", "messageId": "m-3", "userId": "ada@example.org",
                          "traits": {"email": "ada@example.org"}, "context": refused});
    let answer = post(&edge, "/v1/batch", &segment([click, wrong, identify])).await;
    assert_eq!(said(&answer)["accepted"], 2);
    let (records, letters) = (edge.stored(Topic::ClicksRaw), edge.stored(Topic::ClicksRejected));
    assert_eq!((records.len(), letters.len()), (2, 1));
    for stored in records.iter().chain(&letters) {
        let text = stored.to_string();
        assert!(!text.contains("ada@example.org") && !text.contains("\"v1\""), "{text}");
        assert!(!text.contains("anonymousId"), "{text}");
    }
}

fn cloud(id: &str, over: &Value) -> Value {
    let mut event = json!({"specversion": "1.0", "id": id, "source": "/shop",
        "type": "com.example.product_click.v1", "time": "2027-01-15T07:59:59Z",
        "visitor": "v1", "data": {"sku": "KET-1"}});
    for (key, value) in over.as_object().unwrap() {
        event[key] = value.clone();
    }
    event
}

#[tokio::test]
async fn cloudevents_come_alone_in_a_list_or_in_headers() {
    let edge = Edge::start().await;
    let post =
        |kind: &'static str| Request::post("/v1/cloudevents?k=wk").header("content-type", kind);
    let one = cloud("1", &json!({})).to_string();
    let structured = post("application/cloudevents+json; charset=utf-8");
    assert_eq!(edge.send(structured, one.clone()).await.receipt().accepted, 1);

    let wrong = cloud("2", &json!({"data": {"price": 1}}));
    let xml = cloud("3", &json!({"datacontenttype": "text/xml", "data": "<a/>"}));
    let many = json!([cloud("1", &json!({})), wrong, xml, cloud("4", &json!({}))]).to_string();
    let answer = edge.send(post("application/cloudevents-batch+json"), many).await;
    assert_eq!(answer.receipt().accepted, 1);
    let fates = ["0 duplicate", "1 rejected schema_violation", "2 rejected malformed"];
    assert_eq!(answer.verdicts(), fates);

    let binary = || {
        let head = post("application/json").header("ce-specversion", "1.0");
        let head = head.header("ce-source", "/shop").header("ce-type", "com.example.product_click");
        head.header("ce-time", "2027-01-15T07:59:59Z").header("ce-visitor", "v1")
    };
    let head = binary().header("ce-id", "5").header("ce-subject", "Tee%20%E2%98%95");
    assert_eq!(edge.send(head, r#"{"sku":"TEA-1"}"#).await.receipt().accepted, 1);
    let same = binary().header("ce-id", "1");
    assert_eq!(edge.send(same, "{}").await.verdicts(), ["0 rejected schema_violation"]);
    let packed = binary().header("ce-id", "6");
    assert_eq!(edge.send(packed, &b"\xff\xfe"[..]).await.verdicts(), ["0 rejected malformed"]);
    let broken = binary().header("ce-id", "%zz");
    assert_eq!(edge.send(broken, "{}").await.refusal().error, RefusalCode::Malformed);

    let stored = edge.stored(Topic::ClicksRaw);
    assert_eq!(stored.len(), 3);
    assert_eq!((&stored[0]["version"], &stored[0]["props"]["sku"]), (&json!(1), &json!("KET-1")));
    assert_eq!(stored[0]["time"], 1_799_999_999_000_u64);
    assert_eq!(stored[2]["context"]["custom"]["cloudevents"]["subject"], "Tee ☕");
    let letters = edge.stored(Topic::ClicksRejected);
    let original: Value = serde_json::from_str(letters[2]["original"].as_str().unwrap()).unwrap();
    assert_eq!(original["id"], "1", "a dead letter holds all of an event in headers");
    let missing = edge.send(Request::post("/v1/cloudevents"), one).await;
    assert_eq!(missing.refusal().error, RefusalCode::UnknownWriteKey);
}
