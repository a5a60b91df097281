//! Sites: what a write key stands for.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use clickmill_sdk_core::wire::{Consent, Limits, Millis, SiteConfig, Tenant, ToJson, WriteKey};
use clickmill_server::cors::Origins;
use hyper::header::HeaderValue;

use crate::admit::EventQuota;
use crate::config::{Config, SiteEntry};
use crate::customer::Proofs;
use crate::privacy::QueryRule;

/// One site.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) write_key: WriteKey,
    pub(crate) tenant: Tenant,
    /// Stands for the tenant where a small key is wanted.
    pub(crate) tenant_number: u32,
    pub(crate) origins: Origins,
    /// What counts as granted while a visitor has said nothing.
    pub(crate) consent: Consent,
    /// Whether who has said nothing is known for a day.
    pub(crate) cookieless: bool,
    /// Of what share of its visitors its pages tell; none where of all.
    pub(crate) sample: Option<f64>,
    /// Which parameters of its pages' addresses are kept.
    pub(crate) query: QueryRule,
    pub(crate) quota: Arc<EventQuota>,
    /// Judges who says to be which customer.
    pub(crate) proofs: Proofs,
    /// What the SDK is told.
    pub(crate) told: Told,
}

/// The answer of `GET /v1/config`, written once.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) json: String,
    pub(crate) etag: HeaderValue,
}

/// All sites by their keys.
#[derive(Debug, Default)]
pub(crate) struct Sites {
    /// By their numbers, which outlive a reload: copies are recognised by them.
    tenants: Vec<Tenant>,
    by_key: HashMap<String, Arc<Site>>,
}

impl Sites {
    /// Takes the sites of a configuration; `as_of` is the moment it came into force.
    pub(crate) fn new(config: &Config, as_of: Millis) -> Self {
        Self::default().renewed(config, as_of)
    }

    /// The sites of another configuration. What a key has spent of its quota stays spent, unless
    /// the quota itself is another.
    pub(crate) fn renewed(&self, config: &Config, as_of: Millis) -> Self {
        let mut tenants = self.tenants.clone();
        for entry in &config.sites {
            if !tenants.contains(&entry.tenant) {
                tenants.push(entry.tenant.clone());
            }
        }
        let sites = config.sites.iter().map(|entry| {
            let number = tenants.iter().position(|tenant| *tenant == entry.tenant);
            let site = Site {
                write_key: entry.write_key.clone(),
                tenant: entry.tenant.clone(),
                tenant_number: number.and_then(|n| u32::try_from(n).ok()).unwrap_or(u32::MAX),
                origins: entry.origins.clone(),
                consent: Consent { granted: entry.consent_default.clone(), gpc: false },
                cookieless: entry.cookieless,
                sample: (entry.sample < 1.0).then_some(entry.sample),
                query: entry.query.clone(),
                quota: self.quota(entry),
                proofs: Proofs::new(&entry.proofs),
                told: tell(entry, config, as_of),
            };
            (entry.write_key.as_str().to_owned(), Arc::new(site))
        });
        Self { by_key: sites.collect(), tenants }
    }

    fn quota(&self, entry: &SiteEntry) -> Arc<EventQuota> {
        let known = self.find(entry.write_key.as_str()).map(|site| &site.quota);
        match known.filter(|quota| quota.is(entry.events_per_s, entry.events_burst)) {
            Some(quota) => Arc::clone(quota),
            None => Arc::new(EventQuota::new(entry.events_per_s, entry.events_burst)),
        }
    }

    /// The site of that key.
    pub(crate) fn find(&self, write_key: &str) -> Option<&Arc<Site>> {
        self.by_key.get(write_key)
    }

    /// Whether pages of that origin may use the key of any site.
    pub(crate) fn allow(&self, origin: &HeaderValue) -> bool {
        self.by_key.values().any(|site| site.origins.allow(origin))
    }
}

/// What senders keep to: the SDK's own limits where this collector's are wider.
pub(crate) fn limits_told(config: &Config) -> Limits {
    let (own, ours) = (Limits::default(), &config.limits);
    let narrower = |own: u64, ours: usize| own.min(u64::try_from(ours).unwrap_or(u64::MAX));
    Limits {
        batch_bytes_max: narrower(own.batch_bytes_max, ours.body_bytes_max),
        batch_events_max: own.batch_events_max.min(ours.batch_events_max.get()),
        event_bytes_max: narrower(own.event_bytes_max, ours.event_bytes_max),
    }
}

fn tell(entry: &SiteEntry, config: &Config, as_of: Millis) -> Told {
    let own = SiteConfig::default();
    let site = SiteConfig {
        urgent: entry.urgent.clone().unwrap_or(own.urgent),
        flush: entry.flush,
        limits: limits_told(config),
        consent: Consent { granted: entry.consent_default.clone(), gpc: false },
        experiments: entry.experiments.clone(),
        as_of,
    };
    let json = site.to_json();
    let mut hasher = DefaultHasher::new();
    json.hash(&mut hasher);
    let etag = format!("\"{:016x}\"", hasher.finish());
    // Quotes and hexadecimal digits are always a valid header.
    let etag = HeaderValue::from_str(&etag).unwrap_or(HeaderValue::from_static("\"\""));
    Told { json, etag }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tenants_that_share_a_name_share_a_number() {
        let entry = |key: &str, tenant: &str| -> SiteEntry {
            serde_json::from_value(serde_json::json!({ "write_key": key, "tenant": tenant }))
                .unwrap()
        };
        let sites = vec![entry("a", "t2"), entry("b", "t1"), entry("c", "t2")];
        let config = Config { sites, ..Config::default() };
        let sites = Sites::new(&config, Millis(1));
        let number = |key| sites.find(key).unwrap().tenant_number;
        assert_eq!(number("a"), number("c"));
        assert_ne!(number("a"), number("b"));
        assert!(sites.find("d").is_none());
    }

    #[test]
    fn the_sdk_reads_what_it_is_told() {
        let entry: SiteEntry = serde_json::from_value(serde_json::json!({
            "write_key": "a", "tenant": "t", "consent_default": ["analytics"], "urgent": ["order"],
        }))
        .unwrap();
        let mut config = Config { sites: vec![entry], ..Config::default() };
        config.limits.event_bytes_max = 1_000;
        let sites = Sites::new(&config, Millis(7));
        let told = &sites.find("a").unwrap().told;
        let read = SiteConfig::read(&told.json).unwrap();
        assert_eq!(read.limits.event_bytes_max, 1_000);
        assert_eq!(read.limits.batch_events_max, 100);
        assert_eq!((read.urgent.len(), read.as_of), (1, Millis(7)));
        assert_ne!(told.etag, Sites::new(&config, Millis(8)).find("a").unwrap().told.etag);
    }
}
