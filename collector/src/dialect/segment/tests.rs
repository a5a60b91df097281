//! What events of Segment's become, a line per case.

use clickmill_sdk_core::wire::{EventType, Millis, Outcome, Purpose, Reason, Verdict};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::parcel::Form;
use crate::testing::{ASKED, LIMITS};

const ID: &str = "0190163d-8694-739b-8c8a-5d3f0b1c2d3e";

fn config() -> SegmentConfig {
    SegmentConfig {
        types: [("Product Viewed".to_owned(), EventType::parse("product_view").unwrap())].into(),
        consent: [("Mine".to_owned(), Purpose::Analytics)].into(),
    }
}

fn form(text: &str) -> Form {
    let batch = format!(r#"{{"batch":[{text}],"sentAt":"2027-01-15T08:00:00Z"}}"#);
    let (config, parcel) = (config(), batch);
    let parcel = read(&parcel, Shape::Batch, &ASKED, &config).unwrap();
    assert_eq!(parcel.events[0].original, text);
    parcel.events[0].form.clone()
}

/// The event in our terms.
fn told(event: &Value) -> Value {
    match form(&event.to_string()) {
        Form::Translated(text) => serde_json::from_str(&text).unwrap(),
        other => panic!("{event}: {other:?}"),
    }
}

/// A lawful event with other fields over it.
fn event(over: &Value) -> Value {
    let mut event = json!({"type": "track", "event": "add", "messageId": ID});
    for (key, value) in over.as_object().unwrap() {
        event[key] = value.clone();
    }
    event
}

/// What of the translation is at that pointer.
fn check(over: &Value, pointer: &str, expected: impl Into<Value>) {
    let told = told(&event(over));
    assert_eq!(
        told.pointer(pointer).cloned().unwrap_or_default(),
        expected.into(),
        "{over}: {told}"
    );
}

/// A date that clients write, of years that they can write.
fn moment_of(at: Millis) -> String {
    const YEAR_10_000_MS: u64 = 253_402_300_800_000;
    let at = std::time::Duration::from_millis(at.0 % YEAR_10_000_MS);
    humantime::format_rfc3339_millis(std::time::UNIX_EPOCH + at).to_string()
}

fn refused(event: &str, reason: Reason, pointer: &str, id: Option<&str>) {
    let Form::Refused(unreadable) = form(event) else { panic!("{event} is taken") };
    let (read_id, rejection) = (unreadable.id, unreadable.rejection);
    assert_eq!(rejection.reason, reason, "{event}: {rejection:?}");
    assert_eq!(rejection.pointer.as_deref(), Some(pointer), "{event}: {rejection:?}");
    assert_eq!(read_id.map(|id| id.to_string()).as_deref(), id, "{event}");
}

#[test]
fn a_whole_event_is_put_into_our_terms() {
    let text = r#"{"timestamp":"2027-01-15T07:59:59.900Z","integrations":{},"event":"Product Viewed",
        "type":"track","properties":{"sku":"a","n":1.50},"context":{"page":{"url":"https://x/y?q#f",
        "title":"T","referrer":"https://r/","path":"/y","search":"?q"},"locale":"en-GB","ip":"1.2.3.4",
        "timezone":"Europe/London","userAgent":"Mozilla","campaign":{"name":"spring","id":7},
        "library":{"name":"analytics.js","version":"next-1.84.3"}},"userId":"u1",
        "anonymousId":"anon-1","messageId":"ajs-next-1795543294629-0190163d-8694-739b-8c8a-5d3f0b1c2d3e",
        "_metadata":{"bundled":["Segment.io"]},"writeKey":"wk"}"#;
    let Form::Translated(told) = form(text) else { panic!("it is taken") };
    // The properties keep their text.
    assert!(told.contains(r#""props":{"sku":"a","n":1.50}"#), "{told}");
    let expected = json!({
        "id": ID, "queue": ID, "seq": 0, "type": "product_view", "at": 1_799_999_999_900_u64,
        "props": {"sku": "a", "n": 1.5},
        "context": {
            "visitor": "anon-1", "customer": "u1", "page": {"url": "https://x/y?q", "title": "T"},
            "referrer": "https://r/", "campaign": {"name": "spring"}, "locale": "en-GB",
            "time_zone": "Europe/London", "sdk": {"name": "analytics.js", "version": "next-1.84.3"},
            "custom": {"segment": {
                "context": {"userAgent": "Mozilla", "campaign": {"id": 7}},
                "messageId": format!("ajs-next-1795543294629-{ID}"), "event": "Product Viewed",
            }},
        },
    });
    assert_eq!(serde_json::from_str::<Value>(&told).unwrap(), expected);
}

#[test]
fn a_message_has_one_id() {
    let id = |name: &str| told(&event(&json!({ "messageId": name })))["id"].clone();
    assert_eq!(id(ID), ID);
    assert_eq!(id(&ID.to_uppercase()), ID);
    assert_eq!(id(&format!("node-next-1795543294629-{ID}")), ID);
    let own = id("order-17");
    assert_eq!((&own, own.as_str().unwrap().as_bytes()[14]), (&id("order-17"), b'8'));
    // The same order may have been placed and paid: only an SDK's own prefix is left out.
    assert_ne!(id(&format!("placed-{ID}")), id(&format!("paid-{ID}")));
    assert_ne!(id(&format!("placed-{ID}")), ID);
    check(
        &json!({"messageId": "order-17"}),
        "/context/custom/segment/messageId",
        json!("order-17"),
    );
    check(&json!({}), "/context", Value::Null);
}

#[test]
fn two_messages_without_a_name_are_two() {
    let text = r#"{"batch":[{"type":"track","event":"a"},{"type":"track","event":"a"}]}"#;
    let (config, id) = (config(), |form: &Form| {
        let Form::Translated(text) = form else { panic!("{form:?}") };
        serde_json::from_str::<Value>(text).unwrap()["id"].as_str().unwrap().to_owned()
    });
    let parcel = read(text, Shape::Batch, &ASKED, &config).unwrap();
    let [first, second] = parcel.events.as_slice() else { panic!("{parcel:?}") };
    assert_ne!(id(&first.form), id(&second.form));
    let again = Asked { seed: ASKED.seed + 1, ..ASKED };
    assert_ne!(
        id(&read(text, Shape::Batch, &again, &config).unwrap().events[0].form),
        id(&first.form)
    );
}

#[test]
fn each_call_says_its_own() {
    let says = |call: &str, over: &Value, kind: &str, props: &Value| {
        let mut over = over.clone();
        over["type"] = json!(call);
        let told = told(&event(&over));
        assert_eq!((&told["type"], &told["props"]), (&json!(kind), props), "{over}");
    };
    says("track", &json!({"event": "Sign Up"}), "sign_up", &json!({}));
    says("track", &json!({"event": "Product Viewed"}), "product_view", &json!({}));
    // What the configuration does not name and Segment's own specification does.
    let added =
        json!({"event": "Product Added", "properties": {"product_id": "KET-1", "price": 2}});
    says("track", &added, "basket_add", &json!({"sku": "KET-1", "price_cents": 200}));
    says("track", &json!({"event": "productRemoved"}), "basket_remove", &json!({}));
    says("track", &json!({"properties": null}), "add", &json!({}));
    says("page", &json!({}), "page_view", &json!({}));
    let page =
        json!({"name": "Home", "category": "Docs", "properties": {"name": "Home", "plan": 1}});
    says("page", &page, "page_view", &json!({"name": "Home", "category": "Docs"}));
    says("page", &json!({"properties": {"category": "C"}}), "page_view", &json!({"category": "C"}));
    says("screen", &json!({"name": "Cart"}), "screen_view", &json!({"name": "Cart"}));
    let traits = json!({"email": "a@b"});
    says("identify", &json!({"traits": traits}), "identify", &json!({"traits": traits}));
    says("identify", &json!({}), "identify", &json!({}));
    let group = json!({"groupId": 7, "traits": traits});
    says("group", &group, "group", &json!({"group": "7", "traits": traits}));
    says("alias", &json!({"previousId": "anon-1"}), "alias", &json!({"previous": "anon-1"}));
}

#[test]
fn what_of_a_shop_event_has_no_place_stays_unless_consent_is_lacking() {
    let properties = json!({"sku": "KET-1", "price": 2, "name": "Kettle", "email": "a@b"});
    let mut added = json!({"event": "Product Added", "properties": properties});
    check(&added, "/props/sku", "KET-1");
    check(&added, "/context/custom/segment", json!({"event": "Product Added"}));
    added["context"] = json!({"consent": {"categoryPreferences": {"Analytics": true}}});
    let left = json!({"name": "Kettle", "email": "a@b"});
    check(&added, "/context/custom/segment/properties", left);
}

#[test]
fn a_pages_facts_come_from_its_properties_and_its_context() {
    let page = |properties: Value, page: Value| {
        told(&event(&json!({"type": "page", "event": null, "properties": properties,
            "context": {"page": page}})))["context"]
            .clone()
    };
    let whole = json!({"url": "https://x/y?q#f", "path": "/y", "search": "?q", "title": "T",
        "referrer": ""});
    let plain = json!({"page": {"url": "https://x/y?q", "title": "T"}});
    assert_eq!(page(whole.clone(), whole.clone()), plain);
    assert_eq!(page(Value::Null, whole.clone()), plain);
    // Where they differ the call's own count, and the others stay.
    let mut other = whole.clone();
    other["title"] = json!("Other");
    let told = page(whole, other);
    assert_eq!(told["page"]["title"], "T");
    assert_eq!(told["custom"], json!({"segment": {"context": {"page": {"title": "Other"}}}}));
    // Who has not consented tells no more than our schemas know.
    let free = page(json!({"plan": "gold"}), json!({"path": "/y"}));
    let left = json!({"context": {"page": {"path": "/y"}}});
    assert_eq!(free, json!({"custom": {"segment": left}}));
}

#[test]
fn who_it_is() {
    check(&json!({"anonymousId": ID}), "/context/visitor", json!(ID));
    check(&json!({"anonymousId": 7}), "/context/visitor", json!("7"));
    check(&json!({"anonymousId": ""}), "/context/visitor", Value::Null);
    check(&json!({"anonymousId": null, "userId": ""}), "/context", Value::Null);
    check(&json!({"userId": "ada@example.org"}), "/context/customer", json!("ada@example.org"));
    check(&json!({"userId": 12}), "/context/customer", json!("12"));
    let hashed = told(&event(&json!({"anonymousId": "a b"})));
    assert_eq!(hashed["context"]["visitor"].as_str().unwrap().len(), 32);
}

#[test]
fn circumstances_are_ours_where_they_fit() {
    let context = |context: Value, pointer: &str, expected: Value| {
        check(&json!({ "context": context }), &format!("/context{pointer}"), expected);
    };
    let left = "/custom/segment/context";
    context(json!({"locale": 7}), "/locale", Value::Null);
    context(json!({"locale": 7}), left, json!({"locale": 7}));
    context(json!({"ip": "1.2.3.4"}), "", Value::Null);
    // What tells of a person stays only if it may.
    context(json!({"traits": {"plan": 1}}), "", Value::Null);
    let mut allowed = json!({"traits": {"plan": 1}});
    allowed["consent"] = json!({"categoryPreferences": {"Analytics": true}});
    context(allowed.clone(), left, allowed);
    let browser = json!({"width": 9, "height": 8, "innerWidth": 7, "innerHeight": 6, "density": 2});
    let ours = json!({"width": 9, "height": 8, "view_width": 7, "view_height": 6});
    context(json!({ "screen": browser }), "/screen", ours);
    context(json!({ "screen": browser }), left, json!({"screen": {"density": 2}}));
    let app = json!({"width": 9, "height": 8, "view_width": 9, "view_height": 8});
    context(json!({"screen": {"width": 9, "height": 8}}), "/screen", app);
    context(json!({"screen": {"width": 9.5, "height": 8}}), "/screen", Value::Null);
    context(json!({"sessionId": 17}), "/session", json!("17"));
    context(json!({"sessionId": "a b"}), "/session", Value::Null);
    context(json!({"library": {"name": "x"}}), "/sdk", Value::Null);
    context(json!("none"), left, json!("none"));
}

#[test]
fn consent_is_what_their_categories_stand_for() {
    let consent = |told: Value, granted: Value| {
        let over = json!({"context": {"consent": {"categoryPreferences": told}}});
        check(&over, "/context/consent", json!({ "granted": granted }));
        check(&over, "/context/custom/segment/context", over["context"].clone());
    };
    consent(json!({"Analytics": true, "Advertising": false}), json!(["analytics"]));
    consent(
        json!({"C0002": true, "C0003": true, "C0004": true, "C0001": true}),
        json!(["advertising", "analytics", "personalization"]),
    );
    consent(json!({"Mine": true}), json!(["analytics"]));
    consent(json!({"Mine": true, "Performance": false}), json!([]));
    consent(json!({"Unheard": true}), json!([]));
    check(&json!({"context": {"consent": {}}}), "/context/consent", Value::Null);
}

#[test]
fn what_cannot_be_put_into_our_terms_costs_only_itself() {
    refused("7", Reason::Malformed, "", None);
    refused(r#"{"messageId":{}}"#, Reason::Malformed, "/messageId", None);
    refused(r#"{"messageId":"a","messageId":"b"}"#, Reason::DuplicateKey, "/messageId", None);
    let named = |rest: &str, pointer: &str| {
        refused(&format!(r#"{{"messageId":"{ID}"{rest}}}"#), Reason::Malformed, pointer, Some(ID));
    };
    named("", "/type");
    named(r#","type":"merge""#, "/type");
    named(r#","type":7"#, "/type");
    named(r#","type":"track""#, "/event");
    named(r#","type":"track","event":"größe""#, "/event");
    named(r#","type":"track","event":"a","timestamp":"now""#, "/timestamp");
    named(r#","type":"track","event":"a","userId":"\u0000""#, "/userId");
    named(r#","type":"track","event":"a","userId":true"#, "/userId");
    named(r#","type":"track","event":"a","anonymousId":[]"#, "/anonymousId");
    named(r#","type":"group","groupId":{}"#, "/groupId");
}

#[test]
fn a_body_is_a_batch_or_an_event_as_its_path_says() {
    let config = config();
    let sent = |text: &str, path: &str| {
        let shape = Shape::of(path).unwrap();
        read(text, shape, &ASKED, &config).map(|parcel| (parcel.events.len(), parcel.sent_at))
    };
    assert_eq!(sent(r#"{"batch":[],"writeKey":"wk"}"#, "b"), Ok((0, None)));
    let at = Some(Millis(1_800_000_000_000));
    let dated = r#"{"event":"a","sentAt":"2027-01-15T08:00:00Z"}"#;
    assert_eq!(sent(dated, "t"), Ok((1, at)));
    assert_eq!(
        sent(r#"{"batch":[{}],"sentAt":"2027-01-15T09:00:00+01:00"}"#, "batch"),
        Ok((1, at))
    );
    assert_eq!(sent(r#"{"batch":[{}],"sentAt":"x"}"#, "batch"), Ok((1, None)));
    assert!(matches!(sent("{", "batch"), Err(DecodeError::NotBatch(_))));
    assert!(matches!(sent("{}", "batch"), Err(DecodeError::NotBatch(_))));
    assert!(matches!(sent("{", "t"), Err(DecodeError::NotBatch(_))));
    let many = format!(r#"{{"batch":[{}0]}}"#, "0,".repeat(LIMITS.batch_events_max));
    assert!(matches!(sent(&many, "b"), Err(DecodeError::TooManyEvents { .. })));
    let large =
        format!(r#"{{"batch":[],"context":{{"a":"{}"}}}}"#, "x".repeat(LIMITS.context_bytes_max));
    assert!(matches!(sent(&large, "b"), Err(DecodeError::ContextTooLarge(_))));

    for (name, shape) in [
        ("batch", Some(Shape::Batch)),
        ("track", Some(Shape::One(Call::Track))),
        ("s", Some(Shape::One(Call::Screen))),
        ("i", Some(Shape::One(Call::Identify))),
        ("g", Some(Shape::One(Call::Group))),
        ("a", Some(Shape::One(Call::Alias))),
        ("p", Some(Shape::One(Call::Page))),
        ("merge", None),
        ("", None),
        ("tr", None),
    ] {
        assert_eq!(Shape::of(name), shape, "{name}");
    }
}

#[test]
fn events_share_the_context_of_their_batch() {
    let text = r#"{"batch":[
        {"type":"track","event":"a","messageId":"1"},
        {"type":"track","event":"a","messageId":"2","context":{"locale":"de"}}],
        "context":{"locale":"en","timezone":"UTC"}}"#;
    let config = config();
    let parcel = read(text, Shape::Batch, &ASKED, &config).unwrap();
    let context = |place: usize| {
        let Form::Translated(text) = &parcel.events[place].form else { panic!("{parcel:?}") };
        let told: Value = serde_json::from_str(text).unwrap();
        (told["context"]["locale"].clone(), told["context"]["time_zone"].clone())
    };
    assert_eq!(context(0), (json!("en"), json!("UTC")));
    assert_eq!(context(1), (json!("de"), json!("UTC")));
}

#[test]
fn the_answer_says_success_and_names_what_was_refused() {
    assert_eq!(
        reply(&Receipt { accepted: 2, ..Receipt::default() }),
        r#"{"success":true,"accepted":2}"#
    );
    let verdict = Verdict { index: 1, id: None, outcome: Outcome::Duplicate };
    let receipt = Receipt { accepted: 1, verdicts: vec![verdict], ..Receipt::default() };
    assert_eq!(
        reply(&receipt),
        r#"{"success":true,"accepted":1,"verdicts":[{"index":1,"outcome":"duplicate"}]}"#
    );
}

#[test]
fn the_key_is_found_wherever_their_sdks_put_it() {
    let found = |uri: &str, authorization: &str| {
        let request = hyper::Request::get(uri).header("authorization", authorization);
        let head = request.body(()).unwrap().into_parts().0;
        write_key(&head).map(Cow::into_owned)
    };
    let key = Some("wk".to_owned());
    assert_eq!(found("/v1/t", "Basic d2s6"), key);
    assert_eq!(found("/v1/t", "basic d2s"), None);
    assert_eq!(found("/v1/t", "Basic d2s="), key);
    assert_eq!(found("/v1/t", "Bearer d2s6"), None);
    assert_eq!(found("/v1/t", "Basic Og=="), None);
    assert_eq!(found("/v1/t?writeKey=wk", ""), key);
    assert_eq!(found("/v1/t?k=wk", "Basic eDo="), key);
    assert_eq!(write_key_inside(r#"{"a":[],"writeKey":"wk"}"#), key);
    assert_eq!(write_key_inside(r#"{"batch":[]}"#), None);
    assert_eq!(site_of("/v1/projects/wk/settings"), Some("wk"));
    assert_eq!(site_of("/v1/projects/a/b/settings"), None);
}

#[test]
fn the_settings_lead_all_events_here() {
    let told: Value = serde_json::from_str(&settings("wk", Some("in.shop.example/v1"))).unwrap();
    let place = json!({"apiKey": "wk", "apiHost": "in.shop.example/v1"});
    assert_eq!(told["integrations"], json!({ "Segment.io": place }));
    assert_eq!(told["plan"]["track"]["__default"]["enabled"], true);
    assert_eq!(told["metrics"]["sampleRate"], 0);
}

proptest! {
    #[test]
    fn any_text_gives_an_answer(text in ".{0,80}", event in r#"\{("[a-z]{1,4}":(1|"x"|null|\{\}),?){0,4}\}"#) {
        let config = config();
        for shape in [Shape::Batch, Shape::One(Call::Track)] {
            let _ = read(&text, shape, &ASKED, &config);
            let _ = read(&event, shape, &ASKED, &config);
            let _ = read(&format!(r#"{{"batch":[{event}]}}"#), shape, &ASKED, &config);
        }
    }

    /// Whatever differs when a client tries again: the event keeps its id, and another has another.
    #[test]
    fn an_id_stays_when_a_message_comes_again(
        name in "\\PC{1,40}", other in "\\PC{1,40}",
        now in 0..u64::MAX / 2, seed in any::<u64>(), attempt in 1..9_u32, before in 0..5_usize,
    ) {
        let config = config();
        let sent = |asked: &Asked<'_>, before: usize, name: &str| {
            let message = json!({"type": "track", "event": "a", "messageId": name});
            let mut batch = vec![json!({"type": "track", "event": "b"}); before];
            batch.push(message);
            let batch = json!({"batch": batch, "sentAt": moment_of(asked.now)}).to_string();
            let parcel = read(&batch, Shape::Batch, asked, &config).unwrap();
            let Form::Translated(text) = &parcel.events[before].form else { panic!("{batch}") };
            serde_json::from_str::<Value>(text).unwrap()["id"].clone()
        };
        let again = Asked { now: Millis(now), seed, attempt, ..ASKED };
        let id = sent(&ASKED, 0, &name);
        prop_assert_eq!(&sent(&again, before, &name), &id);
        let same = name.eq_ignore_ascii_case(&other);
        prop_assert!(same || sent(&again, before, &other) != id, "{} and {}", name, other);
    }

    /// What is translated is always JSON that can be opened.
    #[test]
    fn what_is_translated_is_json(
        event in "\\PC{0,20}", id in "\\PC{0,40}", context in "[\"a-z:{},]{0,20}",
    ) {
        let text = json!({"type": "track", "event": format!("a{event}"), "messageId": id,
            "anonymousId": event, "context": {"locale": context, "page": {"url": context}}});
        if let Form::Translated(text) = form(&text.to_string()) {
            prop_assert!(serde_json::from_str::<clickmill_sdk_core::wire::Event>(&text).is_ok(), "{}", text);
        }
    }
}
