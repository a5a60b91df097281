//! Judges the event in a dead letter again, as it would be judged if it arrived as it did.

use std::sync::Arc;

use clickmill_catalog::SchemaSet;
use clickmill_kafka::names;
use clickmill_sdk_core::wire::{Context, DeadLetter, EventId, Millis, QueueId, Reason, Tenant};
use clickmill_server::trace::TraceParent;
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::collector::decode_limits;
use crate::config::Config;
use crate::decode::DecodeLimits;
use crate::delivery::Delivery;
use crate::overflow::VisitorQuota;
use crate::parcel::Sent;
use crate::sink::Message;
use crate::site::Sites;
use crate::validate::{self, Rules};

/// All that letters are judged by.
pub(super) struct Judge {
    config: Config,
    sites: Sites,
    limits: DecodeLimits,
    schemas: Arc<SchemaSet>,
    /// Letters come all at once here; that says nothing of their visitors.
    visitors: VisitorQuota,
}

/// What is found about a letter.
#[derive(Debug)]
pub(super) enum Found {
    /// It is good now.
    Good { id: EventId, tenant: Tenant, message: Box<Message> },
    /// It is still bad.
    Bad(Reason),
    /// Its site is not configured here.
    NoSite,
    /// It keeps nothing of the event.
    Nothing,
}

impl Judge {
    pub(super) fn new(config: &Config, schemas: Arc<SchemaSet>, now_ms: u64) -> Self {
        Self {
            sites: Sites::new(config, Millis(now_ms)),
            limits: decode_limits(&config.limits),
            schemas,
            visitors: VisitorQuota::boundless(),
            config: config.clone(),
        }
    }

    /// Judges a letter; the trace is that of its delivery.
    pub(super) fn again(&self, letter: &DeadLetter, traceparent: Option<TraceParent>) -> Found {
        let site = self.sites.find(letter.arrival.write_key.as_str());
        let Some(site) = site.filter(|site| site.tenant == letter.tenant) else {
            return Found::NoSite;
        };
        let delivery = Delivery {
            site: Arc::clone(site),
            arrival: letter.arrival.clone(),
            // The letter's context has the browser's signal in it.
            gpc: letter.context.consent.as_ref().is_some_and(|consent| consent.gpc),
            shared: letter.context.clone(),
            // A letter keeps neither, so nobody is known again by it.
            by_cookie: None,
            of_today: None,
            traceparent,
        };
        let kept = letter.translated.as_ref().unwrap_or(&letter.original);
        if kept.is_empty() {
            return Found::Nothing;
        }
        let text = with_queue(kept, letter, &delivery);
        let sent = Sent::native(text.as_deref().unwrap_or(kept));
        let rules = Rules {
            limits: &self.limits,
            record_bytes_max: self.config.producer.record_bytes_max as usize,
            event_age_max: self.config.limits.event_age_max,
            schemas: &self.schemas,
            visitors: &self.visitors,
            unknown_type: self.config.schemas.unknown_type,
            pii_without_consent: self.config.privacy.pii_without_consent,
        };
        let judged = validate::judge(&[sent], &delivery, &delivery.common(), &rules).pop();
        match judged.map(|judged| (judged.verdict, judged.id, judged.message)) {
            Some((Ok(()), Some(id), message)) => {
                Found::Good { id, tenant: letter.tenant.clone(), message: Box::new(message) }
            }
            Some((Err(rejection), ..)) => Found::Bad(rejection.reason),
            // Whatever is good has an id, and one event has one judgement.
            Some((Ok(()), None, _)) | None => Found::Bad(Reason::Malformed),
        }
    }
}

/// The event with the queue that its record would have had: of a visitor who may not be known again
/// a letter keeps none. Only where it had one, which is so where it was refused for what it says.
fn with_queue(kept: &str, letter: &DeadLetter, delivery: &Delivery) -> Option<String> {
    #[derive(Deserialize)]
    struct Glance {
        queue: Option<IgnoredAny>,
        context: Option<Context>,
    }
    let readable = match letter.rejection.reason {
        Reason::SchemaViolation
        | Reason::TooLarge
        | Reason::TooOld
        | Reason::UnknownType
        | Reason::UnknownVersion => true,
        Reason::ConsentMissing | Reason::DuplicateKey | Reason::Malformed | Reason::TooDeep => {
            false
        }
    };
    let glance = serde_json::from_str::<Glance>(kept).ok().filter(|_| readable)?;
    let own = glance.context.unwrap_or_default();
    if glance.queue.is_some() || delivery.may_recognise(&letter.context.overlaid(&own)) {
        return None;
    }
    let fields = kept.trim_ascii_start().strip_prefix('{')?;
    Some(format!("{{\"queue\":\"{}\",{fields}", QueueId::of(letter.id?)))
}

/// The trace in a letter's headers.
pub(super) fn traceparent(letter: &clickmill_kafka::Message<'_>) -> Option<TraceParent> {
    TraceParent::parse(letter.header(names::TRACEPARENT)?)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use clickmill_catalog::{Builtin, Folder, SchemaSource, Schemas};
    use clickmill_sdk_core::wire::Topic;
    use serde_json::{Value, json};

    use super::*;
    use crate::parcel::Form;
    use crate::testing::{self, NOW_MS};

    /// A judge that knows the built-in schemas and those of the shop.
    fn judge(wider: bool) -> Judge {
        let shop =
            PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../examples/shop/contracts/schemas");
        let more = wider.then(|| Box::new(Folder::new(shop)) as Box<dyn SchemaSource>);
        let sources = std::iter::once(Box::new(Builtin) as Box<dyn SchemaSource>).chain(more);
        let schemas = Schemas::open(sources.collect()).unwrap().0.load();
        let config = Config { sites: vec![testing::site_entry(&json!({}))], ..Config::default() };
        Judge::new(&config, schemas, NOW_MS + 90 * 86_400_000)
    }

    fn event() -> Value {
        json!({"id": testing::event_id(1), "queue": "q", "seq": 3, "type": "wishlist_add",
               "at": NOW_MS - 5, "props": {"sku": "a"}})
    }

    /// The letter of an event, refused for want of its schema.
    fn letter(form: &Form, original: &str, delivery: &Delivery) -> DeadLetter {
        let judge = judge(false);
        let rules = Rules {
            limits: &judge.limits,
            record_bytes_max: 1_000_000,
            event_age_max: judge.config.limits.event_age_max,
            schemas: &judge.schemas,
            visitors: &judge.visitors,
            unknown_type: judge.config.schemas.unknown_type,
            pii_without_consent: judge.config.privacy.pii_without_consent,
        };
        let sent = Sent { original, form: form.clone(), traceparent: None };
        let judged = validate::judge(&[sent], delivery, &delivery.common(), &rules).pop().unwrap();
        assert_eq!(judged.message.topic, Topic::ClicksRejected);
        assert_eq!(judged.message.headers.first(names::CE_SUBJECT), Some(&b"wishlist_add"[..]));
        serde_json::from_str(&judged.message.value).unwrap()
    }

    fn good(letter: &DeadLetter) -> (Message, Value) {
        match judge(true).again(letter, None) {
            Found::Good { message, .. } => {
                let record = serde_json::from_str(&message.value).unwrap();
                (*message, record)
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_event_becomes_the_record_that_it_would_have_been_then() {
        let delivery = testing::delivery();
        let letter = letter(&Form::Native, &event().to_string(), &delivery);
        assert!(matches!(judge(false).again(&letter, None), Found::Bad(Reason::UnknownType)));
        let (message, record) = good(&letter);
        assert_eq!((message.topic, message.key.as_deref()), (Topic::ClicksRaw, Some("shop:v1")));
        assert_eq!(record["id"], testing::event_id(1));
        assert_eq!((&record["time"], &record["queue"]), (&json!(NOW_MS - 5), &json!("q")));
        assert_eq!(record["arrival"]["received_at"], NOW_MS);
        assert_eq!(record["context"]["session"], "s1");
    }

    #[test]
    fn an_event_of_a_visitor_without_consent_comes_back_without_a_queue_of_its_own() {
        let mut delivery = testing::delivery();
        delivery.site = testing::site(&json!({"consent_default": []}));
        let letter = letter(&Form::Native, &event().to_string(), &delivery);
        assert!(!letter.original.contains("queue"));
        let (message, record) = good(&letter);
        assert_eq!((message.key, &record["queue"]), (None, &json!(testing::event_id(1))));
    }

    #[test]
    fn a_strangers_event_is_judged_by_its_translation() {
        let delivery = testing::delivery();
        let form = Form::Translated(event().to_string());
        let letter = letter(&form, r#"{"type":"track","event":"Wish"}"#, &delivery);
        assert_eq!(letter.original, r#"{"type":"track","event":"Wish"}"#);
        assert_eq!(good(&letter).1["type"], "wishlist_add");
    }

    #[test]
    fn what_cannot_be_judged_is_told_apart() {
        let delivery = testing::delivery();
        let letter = letter(&Form::Native, &event().to_string(), &delivery);
        let nothing = DeadLetter { original: String::new(), ..letter.clone() };
        assert!(matches!(judge(true).again(&nothing, None), Found::Nothing));
        let tenant = Tenant::parse("other").unwrap();
        let elsewhere = DeadLetter { tenant, ..letter.clone() };
        assert!(matches!(judge(true).again(&elsewhere, None), Found::NoSite));
        let broken = DeadLetter { original: "{".to_owned(), ..letter };
        assert!(matches!(judge(true).again(&broken, None), Found::Bad(Reason::Malformed)));
    }
}
