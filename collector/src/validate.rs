//! Validate: judges each event of a batch by its own rules, its time, its consent and its schema.

use std::time::Duration;

use clickmill_catalog::{Resolved, SchemaSet};
use clickmill_kafka::SchemaId;
use clickmill_sdk_core::wire::{EventId, Json, Reason, Record, Rejection, VisitorId};
use serde_json::Value;

use crate::config::UnknownType;
use crate::decode::{self, DecodeLimits, Opened};
use crate::delivery::Delivery;

/// What events are judged by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules<'a> {
    pub(crate) limits: &'a DecodeLimits,
    /// How old an event may be when it arrives.
    pub(crate) event_age_max: Duration,
    pub(crate) schemas: &'a SchemaSet,
    pub(crate) unknown_type: UnknownType,
}

/// One event with the judgement on it.
#[derive(Clone, Debug)]
pub(crate) struct Judged {
    /// Its id, where it could be read.
    pub(crate) id: Option<EventId>,
    /// Whose order it belongs to; none if nobody's.
    pub(crate) visitor: Option<VisitorId>,
    /// The event as it came.
    pub(crate) original: Json,
    pub(crate) verdict: Result<Fit, Rejection>,
}

/// An event that may be stored.
#[derive(Clone, Debug)]
pub(crate) struct Fit {
    pub(crate) record: Box<Record>,
    /// The schema that it was judged by.
    pub(crate) schema: Option<SchemaId>,
}

/// Judges the events of one batch, in their order: one judgement for each.
pub(crate) fn judge(events: Vec<Json>, delivery: &Delivery, rules: &Rules<'_>) -> Vec<Judged> {
    events.into_iter().map(|event| judge_one(event, delivery, rules)).collect()
}

fn judge_one(original: Json, delivery: &Delivery, rules: &Rules<'_>) -> Judged {
    let opened = match decode::open(&original, rules.limits) {
        Ok(opened) => opened,
        Err(unreadable) => {
            // It is most likely the visitor's that the batch names.
            let mut context = delivery.shared.clone();
            delivery.enforce(&mut context);
            let (id, verdict) = (unreadable.id, Err(unreadable.rejection));
            return Judged { id, visitor: context.visitor, original, verdict };
        }
    };
    let Opened { event, props } = opened;
    let (tenant, arrival) = (delivery.site.tenant.clone(), delivery.arrival.clone());
    let mut record = Box::new(Record::new(event, &delivery.shared, tenant, arrival));
    delivery.enforce_on(&mut record);
    let (id, visitor) = (Some(record.id), record.context.visitor.clone());
    let verdict = by_time(&record, rules.event_age_max)
        .and_then(|()| by_schema(&mut record, &props, rules))
        .map(|schema| Fit { record, schema });
    Judged { id, visitor, original, verdict }
}

/// An event from the future is corrected by the sender's skew when the record is made; one from
/// before the horizon cannot be told from a copy any more.
fn by_time(record: &Record, age_max: Duration) -> Result<(), Rejection> {
    let age = Duration::from_millis(record.arrival.received_at.since(record.time));
    if age <= age_max {
        return Ok(());
    }
    let days = age_max.as_secs_f64() / 86_400.0;
    let detail = format!("the event is older than {days:.1} days, counted from `sent_at`");
    Err(refuse(Reason::TooOld, None, "/at", detail))
}

fn by_schema(
    record: &mut Record,
    props: &Value,
    rules: &Rules<'_>,
) -> Result<Option<SchemaId>, Rejection> {
    let kind = record.kind.as_str();
    match rules.schemas.resolve(kind, record.version) {
        Resolved::Schema(schema) => {
            schema.validate(props).map_err(|violation| {
                let pointer = format!("/props{}", violation.pointer);
                let schema = Some(schema.label().to_owned());
                refuse(Reason::SchemaViolation, schema, &pointer, violation.detail)
            })?;
            record.version = Some(schema.version());
            Ok(Some(schema.id()))
        }
        Resolved::UnknownType => match rules.unknown_type {
            UnknownType::Accept => {
                // A version that no schema stands behind would claim a judgement.
                record.version = None;
                Ok(None)
            }
            UnknownType::Reject => {
                let detail = format!("no schema is known for the event type `{kind}`");
                Err(refuse(Reason::UnknownType, None, "/type", detail))
            }
        },
        Resolved::UnknownVersion => {
            let version = record.version.unwrap_or_default();
            let detail = format!("the event type `{kind}` has no version {version}");
            let schema = Some(format!("{kind}/{version}"));
            Err(refuse(Reason::UnknownVersion, schema, "/version", detail))
        }
    }
}

fn refuse(reason: Reason, schema: Option<String>, pointer: &str, detail: String) -> Rejection {
    Rejection { reason, schema, pointer: Some(pointer.to_owned()), detail: Some(detail) }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use clickmill_catalog::{Builtin, Schemas};
    use clickmill_sdk_core::wire::{Consent, Context, Millis, Purpose};
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::testing::{self, NOW_MS};

    const LIMITS: DecodeLimits = DecodeLimits {
        inflated_bytes_max: 65_536,
        batch_events_max: 100,
        context_bytes_max: 4_096,
        event_bytes_max: 4_096,
        depth_max: 8,
    };
    const DAY_MS: u64 = 86_400_000;

    fn schemas() -> Arc<SchemaSet> {
        Schemas::open(vec![Box::new(Builtin)]).unwrap().0.load()
    }

    fn rules(schemas: &SchemaSet, unknown_type: UnknownType) -> Rules<'_> {
        let event_age_max = Duration::from_secs(7 * 86_400);
        Rules { limits: &LIMITS, event_age_max, schemas, unknown_type }
    }

    fn event(kind: &str, at_ms: u64, props: &Value) -> Value {
        json!({"id": testing::event_id(1), "queue": "q", "seq": 1, "type": kind, "at": at_ms,
               "props": props})
    }

    fn one(event: &Value, delivery: &Delivery, unknown_type: UnknownType) -> Judged {
        let events = vec![Json::trusted(event.to_string())];
        judge(events, delivery, &rules(&schemas(), unknown_type)).pop().unwrap()
    }

    /// The reason and pointer of a refusal, or the version that was recorded.
    fn check(event: &Value, expected: Result<Option<u32>, (Reason, &str, Option<&str>)>) {
        let verdict = one(event, &testing::delivery(), UnknownType::Reject).verdict;
        match (verdict, expected) {
            (Ok(fit), Ok(version)) => assert_eq!(fit.record.version, version, "{event}"),
            (Err(rejection), Err((reason, pointer, schema))) => {
                assert_eq!(rejection.reason, reason, "{event}: {rejection:?}");
                assert_eq!(rejection.pointer.as_deref(), Some(pointer), "{event}");
                assert_eq!(rejection.schema.as_deref(), schema, "{event}");
                assert!(rejection.detail.is_some_and(|detail| !detail.is_empty()));
            }
            (verdict, expected) => panic!("{event}: {verdict:?}, expected {expected:?}"),
        }
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
        let fit = one(&unknown, &testing::delivery(), UnknownType::Accept).verdict.unwrap();
        assert_eq!((fit.record.version, fit.schema), (None, None));
    }

    #[test]
    fn what_is_too_old_is_refused_and_the_future_is_corrected() {
        let login = |at_ms| event("login", at_ms, &json!({}));
        check(&login(NOW_MS - 7 * DAY_MS), Ok(Some(1)));
        check(&login(NOW_MS - 7 * DAY_MS - 1_000), Err((Reason::TooOld, "/at", None)));
        check(&login(0), Err((Reason::TooOld, "/at", None)));
        let ahead = one(&login(NOW_MS + DAY_MS), &testing::delivery(), UnknownType::Reject);
        assert_eq!(ahead.verdict.unwrap().record.time, Millis(NOW_MS));

        // A sender whose clock is a day ahead: its events are as old as it says, no more.
        let mut delivery = testing::delivery();
        delivery.arrival.sent_at = Millis(NOW_MS + DAY_MS);
        let skewed = one(&login(NOW_MS + DAY_MS - 500), &delivery, UnknownType::Reject);
        assert_eq!(skewed.verdict.unwrap().record.time, Millis(NOW_MS - 500));
    }

    fn with_consent(consent: Option<Vec<Purpose>>) -> Context {
        let consent = consent.map(|granted| Consent { granted, gpc: false });
        Context { consent, ..testing::delivery().shared }
    }

    fn key(delivery: &Delivery) -> Option<String> {
        let judged = one(&event("login", NOW_MS, &json!({})), delivery, UnknownType::Reject);
        let record = judged.verdict.unwrap().record;
        assert_eq!(judged.visitor, record.context.visitor);
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
    fn an_event_may_refuse_what_its_batch_allows() {
        let delivery = Delivery {
            shared: with_consent(Some(vec![Purpose::Analytics])),
            gpc: true,
            ..testing::delivery()
        };
        let mut refused = event("login", NOW_MS, &json!({}));
        refused["context"] = json!({"consent": {"granted": []}});
        let record = one(&refused, &delivery, UnknownType::Reject).verdict.unwrap().record;
        assert_eq!(record.key(), None);
        assert_eq!(record.context.consent, Some(Consent { granted: vec![], gpc: true }));
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
            let schemas = schemas();
            let rules = rules(&schemas, UnknownType::Reject);
            let texts = events.iter().map(|(text, _)| Json::trusted(text.clone())).collect();
            let judged = judge(texts, &testing::delivery(), &rules);
            prop_assert_eq!(judged.len(), events.len());
            for (judged, (text, good)) in judged.iter().zip(&events) {
                prop_assert_eq!(judged.verdict.is_ok(), *good, "{}", text);
                prop_assert_eq!(judged.original.as_str(), text.as_str());
            }
        }

        #[test]
        fn damaged_batches_are_refused_or_judged_but_never_half_of_it(
            cuts in proptest::collection::vec((0..600_usize, any::<u8>()), 1..6)
        ) {
            let schemas = schemas();
            let rules = rules(&schemas, UnknownType::Accept);
            let good = event("order", NOW_MS, &json!({"lines": [{"sku": "a\u{e4}", "n": 1.5e3}]}));
            let batch = json!({"sent_at": NOW_MS, "events": [good, good], "context": {"custom": {}}});
            let mut bytes = batch.to_string().into_bytes();
            for (at, byte) in cuts {
                let at = at % bytes.len();
                bytes[at] = byte;
            }
            if let Ok(batch) = decode::decode(&bytes, &LIMITS) {
                let count = batch.events.len();
                prop_assert_eq!(judge(batch.events, &testing::delivery(), &rules).len(), count);
            }
        }
    }
}
