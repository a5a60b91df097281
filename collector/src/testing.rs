//! What several tests need: a site, a delivery, event ids.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clickmill_sdk_core::wire::{Arrival, Consent, Context, Millis};
use clickmill_server::config::Secret;
use clickmill_server::token::SigningKey;
use hmac::{Hmac, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::config::{Config, SiteEntry};
use crate::decode::DecodeLimits;
use crate::delivery::Delivery;
use crate::dialect::Asked;
use crate::site::{Site, Sites};

/// The moment at which tests take place.
pub(crate) const NOW_MS: u64 = 1_800_000_000_000;

/// Bounds that no usual event meets.
pub(crate) const LIMITS: DecodeLimits = DecodeLimits {
    inflated_bytes_max: 65_536,
    batch_events_max: 100,
    context_bytes_max: 4_096,
    event_bytes_max: 4_096,
    depth_max: 8,
};

/// A dialect's request at that moment.
pub(crate) const ASKED: Asked<'static> =
    Asked { now: Millis(NOW_MS), seed: 1, attempt: 0, limits: &LIMITS, consent: &CONSENT };

/// Nothing is granted.
const CONSENT: Consent = Consent { granted: Vec::new(), gpc: false };

/// An event id for a number.
pub(crate) fn event_id(number: u32) -> String {
    format!("01900000-0000-7000-8000-{number:012}")
}

/// What a site's backend writes with a secret: a proof of key, tenant, customer and visitor until a
/// second.
pub(crate) fn proof(secret: &str, said: [&str; 4], until: u64) -> String {
    let [key, tenant, customer, visitor] = said;
    let lines = ["clickmill proof", "1", key, tenant, customer, visitor, &until.to_string()];
    let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    let mac = mac.chain_update(lines.join("\n")).finalize().into_bytes();
    format!("1.{key}.{until}.{}", URL_SAFE_NO_PAD.encode(mac))
}

/// The entry of a site with the key `wk` and the tenant `shop` that allows analytics, with other
/// settings over it.
pub(crate) fn site_entry(over: &Value) -> SiteEntry {
    let mut entry = json!({
        "write_key": "wk", "tenant": "shop", "origins": ["https://shop.example"],
        "consent_default": ["analytics"],
    });
    for (key, value) in over.as_object().into_iter().flatten() {
        entry[key] = value.clone();
    }
    serde_json::from_value(entry).unwrap()
}

/// A configuration with one site, as [`site_entry`] has it, and one key.
pub(crate) fn config() -> Config {
    let mut config = Config { sites: vec![site_entry(&json!({}))], ..Config::default() };
    let secret = Secret::new("0123456789abcdef");
    config.tokens.keys = vec![SigningKey { id: "k".to_owned(), secret }];
    config
}

/// The site of that entry.
pub(crate) fn site(over: &Value) -> Arc<Site> {
    let config = Config { sites: vec![site_entry(over)], ..Config::default() };
    Arc::clone(Sites::new(&config, Millis(NOW_MS)).find("wk").unwrap())
}

/// A delivery of the visitor `v1` that was sent and received at [`NOW_MS`].
pub(crate) fn delivery() -> Delivery {
    let site = site(&json!({}));
    let shared: Context = serde_json::from_value(json!({
        "visitor": "v1", "session": "s1", "page_view": "p1", "customer": "c1",
    }))
    .unwrap();
    Delivery {
        arrival: Arrival {
            write_key: site.write_key.clone(),
            sent_at: Millis(NOW_MS),
            received_at: Millis(NOW_MS),
            attempt: 0,
            address: None,
            user_agent: None,
        },
        site,
        shared,
        gpc: false,
        traceparent: None,
        by_cookie: None,
        of_today: None,
    }
}
