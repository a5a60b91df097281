//! The open copy of enriched clicks: for teams that may not see who did something.
//!
//! What is copied is what is known to tell of nobody; the rest is left out, also what a newer
//! collector adds. Properties go along as far as the schema that judged them is known here and does
//! not mark them as personal. Ids are exchanged for others, which are the same for the same visitor
//! and cannot be turned back without the tenant's secret: pseudonyms, so visits can be counted and
//! followed, and nobody known by them.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use clickmill_catalog::{Builtin, Folder, Resolved, SchemaSet, SchemaSource, Schemas, SourceError};
use clickmill_sdk_core::wire::{
    Arrival, Context, CustomerId, Enrichment, Json, Page, QueueId, Record, SessionId, Tenant,
    ToJson as _, Topic, VisitorId, hex,
};
use clickmill_server::config::Secret;
use clickmill_streams::Produce;
use hmac::{Hmac, Mac as _};
use serde_json::Value;
use sha2::Sha256;
use tracing::warn;

use crate::config::OpenConfig;
use crate::event;
use crate::views::visitor::Enriched;

/// Bytes of a pseudonym: none collide, and it is as long as a visitor's id.
const PSEUDONYM_BYTES: usize = 16;

/// Makes open copies for the tenants that have a secret.
#[derive(Clone)]
pub struct Open {
    topic: Arc<str>,
    secrets: HashMap<Tenant, Secret>,
    schemas: Arc<SchemaSet>,
}

impl Open {
    /// Reads the schemas; none where no tenant has a secret.
    ///
    /// # Errors
    /// When a folder of schemas cannot be read.
    pub fn of(config: &OpenConfig, topic_prefix: &str) -> Result<Option<Self>, SourceError> {
        if config.keys.is_empty() {
            return Ok(None);
        }
        let mut sources: Vec<Box<dyn SchemaSource>> = Vec::new();
        if config.builtin {
            sources.push(Box::new(Builtin));
        }
        for folder in &config.folders {
            sources.push(Box::new(Folder::new(folder)));
        }
        let (schemas, refused) = Schemas::open(sources)?;
        for refusal in refused {
            warn!(%refusal, "a schema is no good: properties of its events stay out of the open copy");
        }
        Ok(Some(Self {
            topic: Topic::ClicksOpen.name(topic_prefix).into(),
            secrets: config.keys.iter().map(|k| (k.tenant.clone(), k.secret.clone())).collect(),
            schemas: schemas.load(),
        }))
    }

    /// The open copy of an enriched click; none for a tenant without a secret.
    pub fn copy(&self, enriched: &Enriched) -> Option<Produce> {
        // Most clicks name their tenant before they are read.
        let is_for = |tenant: &Tenant| self.secrets.contains_key(tenant);
        if enriched.signals.as_ref().is_some_and(|signals| !is_for(&signals.tenant)) {
            return None;
        }
        // Whoever wrote it reads it.
        let record: Record = serde_json::from_str(&enriched.text).ok()?;
        let secret = self.secrets.get(&record.tenant)?;
        let record = self.masked(record, secret)?;
        let key = record.key().map(String::into_bytes);
        Some(event::record(&self.topic, (record.id, &record.kind), (key, record.to_json())))
    }

    fn masked(&self, record: Record, secret: &Secret) -> Option<Record> {
        let props = self.props(&record);
        // Every field by name: one that is new is decided on here.
        let Record {
            id,
            tenant,
            kind,
            version,
            at,
            time,
            queue,
            seq,
            arrival,
            context,
            props: _,
            sample,
            proven: _,
            enrichment,
        } = record;
        let Arrival { write_key, sent_at, received_at, attempt, address: _, user_agent: _ } =
            arrival;
        Some(Record {
            id,
            tenant,
            kind,
            version,
            at,
            time,
            queue: QueueId::parse(pseudonym(secret, "queue", queue.as_str())).ok()?,
            seq,
            arrival: Arrival {
                write_key,
                sent_at,
                received_at,
                attempt,
                address: None,
                user_agent: None,
            },
            context: masked_context(context, secret),
            props,
            sample,
            proven: None,
            enrichment: enrichment.map(|known| masked_enrichment(known, secret)),
        })
    }

    /// The properties that are not marked; none where nobody can tell which those are.
    fn props(&self, record: &Record) -> Json {
        let Some(version) = record.version else { return Json::empty() };
        let resolved = self.schemas.resolve(record.kind.as_str(), Some(version));
        let Resolved::Schema(schema) = resolved else { return Json::empty() };
        let marked = schema.pii_pointers();
        if marked.is_empty() {
            return record.props.clone();
        }
        let Ok(mut props) = serde_json::from_str::<Value>(record.props.as_str()) else {
            return Json::empty();
        };
        for pointer in marked {
            clickmill_catalog::take_out(&mut props, pointer);
        }
        Json::trusted(props.to_string())
    }
}

fn masked_context(context: Context, secret: &Secret) -> Context {
    let Context {
        visitor,
        session,
        page_view: _,
        customer,
        page,
        referrer,
        campaign,
        screen,
        locale,
        time_zone,
        consent,
        sdk,
        custom: _,
    } = context;
    let of = |what, id: &str| pseudonym(secret, what, id);
    Context {
        visitor: visitor.and_then(|id| VisitorId::parse(of("visitor", id.as_str())).ok()),
        session: session.and_then(|id| masked_session(&id, secret)),
        page_view: None,
        customer: customer.and_then(|id| CustomerId::parse(of("customer", id.as_str())).ok()),
        page: page.map(|Page { url, title: _ }| Page { url: bare(&url), title: None }),
        referrer: referrer.map(|url| bare(&url)),
        campaign,
        screen,
        locale,
        time_zone,
        consent,
        sdk,
        custom: None,
    }
}

fn masked_enrichment(known: Enrichment, secret: &Secret) -> Enrichment {
    let session = known.session.as_ref().and_then(|id| masked_session(id, secret));
    Enrichment { session, ..known }
}

fn masked_session(id: &SessionId, secret: &Secret) -> Option<SessionId> {
    SessionId::parse(pseudonym(secret, "session", id.as_str())).ok()
}

/// An address without what a form or a link has put into it: user, query, fragment.
fn bare(url: &str) -> String {
    let end = url.find(['?', '#']).unwrap_or(url.len());
    let bare = &url[..end];
    let Some((scheme, rest)) = bare.split_once("://") else { return bare.to_owned() };
    let host_end = rest.find('/').unwrap_or(rest.len());
    let (host, path) = rest.split_at(host_end);
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    format!("{scheme}://{host}{path}")
}

/// Another id in place of one; of another kind it is another one.
fn pseudonym(secret: &Secret, kind: &str, id: &str) -> String {
    // HMAC takes a key of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.expose()) else { return String::new() };
    for part in [kind, "\0", id] {
        mac.update(part.as_bytes());
    }
    hex(&mac.finalize().into_bytes()[..PSEUDONYM_BYTES])
}

impl fmt::Debug for Open {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Open").field("tenants", &self.secrets.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ServerKey;

    const ENRICHED: &str = include_str!("../../sdk-core/golden/record_enriched.json");

    fn open() -> Open {
        let key = r#"{"tenant":"shop","secret":"a secret of this test"}"#;
        let keys: Vec<ServerKey> = vec![serde_json::from_str(key).unwrap()];
        let config = OpenConfig { keys, builtin: true, folders: Vec::new() };
        Open::of(&config, "").unwrap().unwrap()
    }

    fn copied(text: &str) -> Option<(String, String)> {
        let Record { id, kind, .. } = serde_json::from_str(text).unwrap();
        let (key, text, exposed, signals) = (None, text.to_owned(), None, None);
        let produce = open().copy(&Enriched { id, kind, key, text, exposed, signals })?;
        assert_eq!(&*produce.topic, "web.clicks.enriched.open.v1");
        let text = |bytes: Option<Vec<u8>>| String::from_utf8(bytes.unwrap()).unwrap();
        Some((text(produce.key), text(produce.value)))
    }

    #[test]
    fn an_open_copy_names_nobody_and_the_same_visitor_alike() {
        let (key, value) = copied(ENRICHED.trim_end()).unwrap();
        for known in [
            "5d1c0d8a6e0f4b7c9a2e3f4051627384",
            "s-0190163d86947",
            "q-1",
            "192.0.2.0",
            "Mozilla",
            "custom",
        ] {
            assert!(ENRICHED.contains(known), "{known}");
            assert!(!value.contains(known) && !key.contains(known), "{known} in {key} {value}");
        }
        let record: Record = serde_json::from_str(&value).unwrap();
        assert_eq!(record.key().as_deref(), Some(key.as_str()));
        assert_eq!(record.props.as_str(), r#"{"sku":"KET-1","price_cents":3999}"#);
        let enrichment = record.enrichment.unwrap();
        assert_eq!((enrichment.session_events, enrichment.recent.len()), (2, 1));
        // Pseudonyms: the same each time, and others with another secret.
        assert_eq!(copied(ENRICHED.trim_end()).unwrap().0, key);
        let other = ENRICHED.trim_end().replace("5d1c0d8a", "6d1c0d8a");
        assert_ne!(copied(&other).unwrap().0, key);
    }

    #[test]
    fn what_no_schema_vouches_for_stays_out() {
        let of = |from: &str, to: &str| {
            assert!(ENRICHED.contains(from));
            let (_, value) = copied(&ENRICHED.trim_end().replace(from, to)).unwrap();
            serde_json::from_str::<Record>(&value).unwrap().props.as_str().to_owned()
        };
        assert_eq!(of(r#""version":1,"#, ""), "{}");
        assert_eq!(of(r#""version":1,"#, r#""version":77,"#), "{}");
        assert_eq!(of("product_click", "never_heard_of"), "{}");
        // Of another tenant nothing at all is copied.
        assert!(copied(&ENRICHED.replace(r#""tenant":"shop""#, r#""tenant":"other""#)).is_none());
    }

    #[test]
    fn addresses_lose_what_was_put_into_them() {
        let check = |url: &str, left: &str| assert_eq!(bare(url), left);
        check("https://shop.example/p/1?q=a@b.c#top", "https://shop.example/p/1");
        check("https://ann:pw@shop.example/p", "https://shop.example/p");
        check("https://shop.example?x=/@y", "https://shop.example");
        check("/p/1#a@b.c", "/p/1");
        check("https://shop.example/a@b", "https://shop.example/a@b");
    }
}
