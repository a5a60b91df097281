//! What is taken, what is refused and why, and what is written of it.

use std::sync::Arc;

use clickmill_catalog::{Builtin, Schemas};
use clickmill_kafka::names;
use clickmill_sdk_core::wire::{
    Consent, Context, DeadLetter, Event, Purpose, Record, ToJson as _, VisitorId,
};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::config::LimitsConfig;
use crate::testing::{self, NOW_MS};

const LIMITS: DecodeLimits = DecodeLimits {
    inflated_bytes_max: 65_536,
    batch_events_max: 100,
    context_bytes_max: 4_096,
    event_bytes_max: 4_096,
    depth_max: 8,
};
const DAY_MS: u64 = 86_400_000;

fn quota() -> VisitorQuota {
    VisitorQuota::new(&LimitsConfig::default())
}

fn schemas() -> Arc<SchemaSet> {
    Schemas::open(vec![Box::new(Builtin)]).unwrap().0.load()
}

fn rules<'a>(
    (schemas, visitors): (&'a SchemaSet, &'a VisitorQuota),
    unknown_type: UnknownType,
) -> Rules<'a> {
    Rules {
        limits: &LIMITS,
        record_bytes_max: 10_000,
        event_age_max: Duration::from_secs(7 * 86_400),
        schemas,
        visitors,
        unknown_type,
        pii_without_consent: PiiWithoutConsent::Strip,
    }
}

fn event(kind: &str, at_ms: u64, props: &Value) -> Value {
    json!({"id": testing::event_id(1), "queue": "q", "seq": 1, "type": kind, "at": at_ms,
           "props": props})
}

fn judge_texts(texts: &[&str], delivery: &Delivery, rules: &Rules<'_>) -> Vec<Judged> {
    let sent: Vec<Sent<'_>> = texts.iter().map(|text| Sent::native(text)).collect();
    judge(&sent, delivery, &delivery.common(), rules)
}

fn one(event: &Value, delivery: &Delivery, unknown_type: UnknownType) -> Judged {
    let schemas = schemas();
    let visitors = quota();
    let rules = rules((&schemas, &visitors), unknown_type);
    judge_texts(&[&event.to_string()], delivery, &rules).pop().unwrap()
}

/// The record of an event that is taken.
fn record(judged: &Judged) -> Record {
    assert_eq!(judged.verdict, Ok(()));
    serde_json::from_str(&judged.message.value).unwrap()
}

/// The reason and pointer of a refusal, or the version that was recorded.
fn check(event: &Value, expected: Result<Option<u32>, (Reason, &str, Option<&str>)>) {
    let judged = one(event, &testing::delivery(), UnknownType::Reject);
    match (&judged.verdict, expected) {
        (Ok(()), Ok(version)) => assert_eq!(record(&judged).version, version, "{event}"),
        (Err(rejection), Err((reason, pointer, schema))) => {
            assert_eq!(rejection.reason, reason, "{event}: {rejection:?}");
            assert_eq!(rejection.pointer.as_deref(), Some(pointer), "{event}");
            assert_eq!(rejection.schema.as_deref(), schema, "{event}");
            assert!(rejection.detail.as_ref().is_some_and(|detail| !detail.is_empty()));
        }
        (verdict, expected) => panic!("{event}: {verdict:?}, expected {expected:?}"),
    }
}

#[test]
fn what_is_written_is_the_record_as_its_type_writes_it() {
    let mut delivery = testing::delivery();
    delivery.arrival.user_agent = Some("a \"browser\"".to_owned());
    delivery.arrival.attempt = 2;
    let plain = event("search", NOW_MS - 5, &json!({"query": "k\u{e4}se"}));
    let mut own = plain.clone();
    own["context"] = json!({"locale": "en-GB", "page": {"url": "/x"}, "custom": {"a": 1}});
    own["sample"] = json!(0.25);
    own["version"] = json!(1);
    for sent in [plain, own] {
        let judged = one(&sent, &delivery, UnknownType::Reject);
        let event: Event = serde_json::from_value(sent).unwrap();
        let (tenant, arrival) = (delivery.site.tenant.clone(), delivery.arrival.clone());
        let mut record = Record::new(event, &delivery.shared, tenant, arrival);
        delivery.enforce(&mut record.context);
        record.version = Some(1);
        assert_eq!(judged.message.value, record.to_json());
        assert_eq!(judged.message.key.as_deref(), record.key().as_deref());
    }
}

#[test]
fn an_event_that_no_record_could_hold_is_refused() {
    let (schemas, visitors) = (schemas(), quota());
    let small =
        Rules { record_bytes_max: 500, ..rules((&schemas, &visitors), UnknownType::Accept) };
    let large = event("x", NOW_MS, &json!({"a": "x".repeat(200)})).to_string();
    let judged = judge_texts(&[&large], &testing::delivery(), &small).pop().unwrap();
    assert_eq!(judged.verdict.unwrap_err().reason, Reason::TooLarge);
    assert_eq!(judged.message.topic, Topic::ClicksRejected);
}

#[test]
fn without_consent_personal_properties_are_stripped_or_refuse_the_event() {
    let refused = Context { consent: Some(Consent::default()), ..testing::delivery().shared };
    let delivery = Delivery { shared: refused, ..testing::delivery() };
    let (schemas, visitors) = (schemas(), quota());
    let search = event("search", NOW_MS, &json!({"query": "q", "results": 3})).to_string();
    let strip = rules((&schemas, &visitors), UnknownType::Reject);
    let judged = judge_texts(&[&search], &delivery, &strip).pop().unwrap();
    assert!(judged.stripped);
    assert_eq!(record(&judged).props.as_str(), r#"{"results":3}"#);
    let refuse = Rules { pii_without_consent: PiiWithoutConsent::Refuse, ..strip };
    let judged = judge_texts(&[&search], &delivery, &refuse).pop().unwrap();
    assert_eq!(judged.verdict.unwrap_err().reason, Reason::ConsentMissing);
    assert!(!judged.message.value.contains("\"q\\\""), "{}", judged.message.value);
    // With consent nothing is touched.
    let judged = judge_texts(&[&search], &testing::delivery(), &refuse).pop().unwrap();
    assert_eq!(record(&judged).props.as_str(), r#"{"query":"q","results":3}"#);
}

#[test]
fn a_schema_decides() {
    check(&event("product_click", NOW_MS, &json!({"sku": "a"})), Ok(Some(1)));
    check(
        &event("basket_add", NOW_MS, &json!({"sku": "a", "quantity": 0})),
        Err((Reason::SchemaViolation, "/props/quantity", Some("basket_add/1"))),
    );
    check(
        &event("basket_add", NOW_MS, &json!({})),
        Err((Reason::SchemaViolation, "/props", Some("basket_add/1"))),
    );
    check(&event("holiday", NOW_MS, &json!({})), Err((Reason::UnknownType, "/type", None)));
    let mut versioned = event("login", NOW_MS, &json!({}));
    versioned["version"] = json!(1);
    check(&versioned, Ok(Some(1)));
    versioned["version"] = json!(9);
    check(&versioned, Err((Reason::UnknownVersion, "/version", Some("login/9"))));
}

#[test]
fn an_unknown_type_may_be_let_in() {
    let mut unknown = event("holiday", NOW_MS, &json!({"x": 1}));
    unknown["version"] = json!(3);
    for (told, topic) in [
        (UnknownType::Accept, Topic::ClicksRaw),
        (UnknownType::Unvalidated, Topic::ClicksUnvalidated),
    ] {
        let judged = one(&unknown, &testing::delivery(), told);
        assert_eq!((record(&judged).version, judged.message.topic), (None, topic));
        assert_eq!(judged.message.headers.first(names::VALUE_SCHEMA_ID), None);
    }
}

#[test]
fn what_is_too_old_is_refused_and_the_future_is_corrected() {
    let login = |at_ms| event("login", at_ms, &json!({}));
    check(&login(NOW_MS - 7 * DAY_MS), Ok(Some(1)));
    check(&login(NOW_MS - 7 * DAY_MS - 1_000), Err((Reason::TooOld, "/at", None)));
    check(&login(0), Err((Reason::TooOld, "/at", None)));
    let ahead = one(&login(NOW_MS + DAY_MS), &testing::delivery(), UnknownType::Reject);
    assert_eq!(record(&ahead).time, Millis(NOW_MS));

    // A sender whose clock is a day ahead: its events are as old as it says, no more.
    let mut delivery = testing::delivery();
    delivery.arrival.sent_at = Millis(NOW_MS + DAY_MS);
    let skewed = one(&login(NOW_MS + DAY_MS - 500), &delivery, UnknownType::Reject);
    assert_eq!(record(&skewed).time, Millis(NOW_MS - 500));
}

fn with_consent(consent: Option<Vec<Purpose>>) -> Context {
    let consent = consent.map(|granted| Consent { granted, gpc: false });
    Context { consent, ..testing::delivery().shared }
}

fn key(delivery: &Delivery) -> Option<String> {
    let judged = one(&event("login", NOW_MS, &json!({})), delivery, UnknownType::Reject);
    let record = record(&judged);
    assert_eq!(judged.key.as_deref(), record.key().as_deref());
    let kept = record.context.visitor.is_some();
    assert_eq!(record.context.session.is_some(), kept);
    assert_eq!(record.context.customer.is_some(), kept);
    assert_eq!(record.queue.as_str() == record.id.to_string(), !kept);
    assert!(record.context.page_view.is_some() && record.context.consent.is_some());
    record.key()
}

#[test]
fn without_consent_there_is_no_stable_id() {
    let mut delivery = testing::delivery();
    let analytics = vec![Purpose::Analytics];
    delivery.shared = with_consent(Some(analytics.clone()));
    assert_eq!(key(&delivery).as_deref(), Some("shop:v1"));
    delivery.shared = with_consent(Some(vec![Purpose::Advertising]));
    assert_eq!(key(&delivery), None);
    // Where nothing was said, the site's default holds.
    delivery.shared = with_consent(None);
    assert_eq!(key(&delivery).as_deref(), Some("shop:v1"));
    let strict = testing::site(&json!({"consent_default": []}));
    delivery.site = strict;
    assert_eq!(key(&delivery), None);
    delivery.shared = with_consent(Some(analytics));
    assert_eq!(key(&delivery).as_deref(), Some("shop:v1"));
}

#[test]
fn where_no_visitor_is_known_a_customer_has_an_order() {
    let mut delivery = testing::delivery();
    let login = event("login", NOW_MS, &json!({}));
    let mut key = |visitor: Option<&str>, granted: Vec<Purpose>| {
        delivery.shared = with_consent(Some(granted));
        delivery.shared.visitor = visitor.map(|id| VisitorId::parse(id).unwrap());
        let judged = one(&login, &delivery, UnknownType::Reject);
        assert_eq!(judged.message.key.as_deref(), record(&judged).key().as_deref());
        judged.message.key.map(|key| key.to_string())
    };
    let analytics = || vec![Purpose::Analytics];
    assert_eq!(key(None, analytics()).as_deref(), Some("shop:customer:c1"));
    assert_eq!(key(Some("v1"), analytics()).as_deref(), Some("shop:v1"));
    assert_eq!(key(None, vec![]), None);
}

#[test]
fn an_event_may_refuse_what_its_batch_allows() {
    let delivery = Delivery {
        shared: with_consent(Some(vec![Purpose::Analytics])),
        gpc: true,
        ..testing::delivery()
    };
    let mut refused = event("login", NOW_MS, &json!({}));
    refused["context"] = json!({"consent": {"granted": []}});
    let record = record(&one(&refused, &delivery, UnknownType::Reject));
    assert_eq!(record.key(), None);
    assert_eq!(record.context.consent, Some(Consent { granted: vec![], gpc: true }));
}

#[test]
fn what_is_too_much_for_one_visitor_leaves_the_stream() {
    let schemas = schemas();
    let visitors = VisitorQuota::new(&LimitsConfig {
        visitor_events_per_s: NonZeroU32::MIN,
        visitor_events_burst: NonZeroU32::MIN,
        ..LimitsConfig::default()
    });
    let rules = rules((&schemas, &visitors), UnknownType::Reject);
    let login = event("login", NOW_MS, &json!({})).to_string();
    let granted = json!({"granted": ["analytics"]});
    let consent = event("consent", NOW_MS, &granted).to_string();
    let judged = judge_texts(&[&login, &login, &consent], &testing::delivery(), &rules);
    let lay = |judged: &Judged| (judged.message.topic, judged.key.as_deref().map(str::to_owned));
    let lain: Vec<_> = judged.iter().map(lay).collect();
    let in_order = (Topic::ClicksRaw, Some("shop:v1".to_owned()));
    // A decision about consent is never beside the stream.
    assert_eq!(lain, [in_order.clone(), (Topic::ClicksOverflow, None), in_order]);
    assert!(judged.iter().all(|judged| judged.verdict.is_ok()));
}

#[test]
fn a_withdrawal_is_recorded_under_the_visitor_it_is_of() {
    let refused = Context { consent: Some(Consent::default()), ..testing::delivery().shared };
    let mut delivery = Delivery { shared: refused, ..testing::delivery() };
    let consent = event("consent", NOW_MS, &json!({"granted": []}));
    let judged = one(&consent, &delivery, UnknownType::Reject);
    assert!(judged.withdraws);
    let told = record(&judged).context;
    assert_eq!(told.visitor.as_ref().map(|id| id.as_str()), Some("v1"));
    assert_eq!((told.session, told.customer), (None, None));
    // The cookie knows better than the page.
    delivery.by_cookie = VisitorId::parse("older").ok();
    let judged = one(&consent, &delivery, UnknownType::Reject);
    assert_eq!(judged.message.key.as_deref(), Some("shop:older"));
    // Nothing else tells who it is of, and a grant is no withdrawal.
    let login = one(&event("login", NOW_MS, &json!({})), &delivery, UnknownType::Reject);
    assert_eq!((login.message.key, login.withdraws), (None, false));
    let granted = json!({"granted": ["analytics"]});
    let given = event("consent", NOW_MS, &granted);
    assert!(!one(&given, &testing::delivery(), UnknownType::Reject).withdraws);
}

#[test]
fn who_has_said_nothing_may_be_counted_for_a_day_and_who_refused_may_not() {
    let of_today = VisitorId::parse("d1").ok();
    let site = testing::site(&json!({"consent_default": []}));
    let mut delivery = Delivery { site, of_today, ..testing::delivery() };
    let key = |delivery: &Delivery| {
        let login = event("login", NOW_MS, &json!({}));
        let judged = one(&login, delivery, UnknownType::Reject);
        assert_eq!(record(&judged).context.session, None);
        judged.message.key
    };
    assert_eq!(key(&delivery).as_deref(), Some("shop:d1"));
    delivery.gpc = true;
    assert_eq!(key(&delivery), None);
    delivery.gpc = false;
    delivery.shared.consent = Some(Consent::default());
    assert_eq!(key(&delivery), None);
}

fn good_or_bad() -> impl Strategy<Value = (String, bool)> {
    let id = (0..1_000_u32).prop_map(testing::event_id);
    prop_oneof![
        id.clone().prop_map(|id| {
            let good = json!({"id": id, "queue": "q", "seq": 1, "type": "login", "at": NOW_MS});
            (good.to_string(), true)
        }),
        id.prop_map(|id| {
            let bad = json!({"id": id, "queue": "q", "seq": 1, "type": "nope", "at": NOW_MS});
            (bad.to_string(), false)
        }),
        Just((r#"{"id":1}"#.to_owned(), false)),
        Just((r#"{"a":1,"a":2}"#.to_owned(), false)),
        Just((format!("[{}]", "[".repeat(50) + &"]".repeat(50)), false)),
        Just(("null".to_owned(), false)),
        Just((format!("\"{}\"", "x".repeat(5_000)), false)),
    ]
}

proptest! {
    #[test]
    fn each_event_of_a_batch_gets_one_judgement_of_its_own(
        events in proptest::collection::vec(good_or_bad(), 0..40)
    ) {
        let (schemas, visitors) = (schemas(), quota());
        let rules = rules((&schemas, &visitors), UnknownType::Reject);
        let texts: Vec<&str> = events.iter().map(|(text, _)| text.as_str()).collect();
        let judged = judge_texts(&texts, &testing::delivery(), &rules);
        prop_assert_eq!(judged.len(), events.len());
        for (judged, (text, good)) in judged.iter().zip(&events) {
            prop_assert_eq!(judged.verdict.is_ok(), *good, "{}", text);
            if !good {
                let letter: DeadLetter = serde_json::from_str(&judged.message.value).unwrap();
                prop_assert_eq!(letter.original.as_str(), text.as_str());
            }
        }
    }

    #[test]
    fn damaged_batches_are_refused_or_judged_but_never_half_of_it(
        cuts in proptest::collection::vec((0..600_usize, any::<u8>()), 1..6)
    ) {
        let (schemas, visitors) = (schemas(), quota());
        let rules = rules((&schemas, &visitors), UnknownType::Accept);
        let good = event("order", NOW_MS, &json!({"lines": [{"sku": "a\u{e4}", "n": 1.5e3}]}));
        let batch = json!({"sent_at": NOW_MS, "events": [good, good], "context": {"custom": {}}});
        let mut bytes = batch.to_string().into_bytes();
        for (at, byte) in cuts {
            let at = at % bytes.len();
            bytes[at] = byte;
        }
        let delivery = testing::delivery();
        let counts = decode::decode(&bytes, &LIMITS, |parcel| {
            let judged = judge(&parcel.events, &delivery, &delivery.common(), &rules);
            (judged.len(), parcel.events.len())
        });
        if let Ok((judged, sent)) = counts {
            prop_assert_eq!(judged, sent);
        }
    }
}
