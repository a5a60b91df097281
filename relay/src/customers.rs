//! Customers: what the site knows of them, as a table that every relay holds whole, and how long a
//! visitor counts as one.

use std::collections::HashMap;
use std::time::Duration;

use clickmill_sdk_core::wire::{Customer, CustomerId, Tenant};
use clickmill_server::config::duration;
use clickmill_streams::{Poison, Raw, Rows, Table, Watch};
use serde::Deserialize;
use tracing::warn;

use crate::metrics::ReactMeters;

/// The longest segment, bytes.
pub const SEGMENT_BYTES_MAX: usize = 64;

/// The most products ordered last that are kept of a customer.
pub const BOUGHT_MAX: usize = 30;

/// What an operator sets of customers.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CustomersConfig {
    /// Whether the topic of customers is read: every relay holds all of them.
    pub topic: bool,
    /// How long after the last proof a visitor counts as that customer.
    #[serde(with = "duration")]
    pub proven_for: Duration,
}

impl Default for CustomersConfig {
    fn default() -> Self {
        Self { topic: false, proven_for: Duration::from_secs(30 * 24 * 3_600) }
    }
}

impl CustomersConfig {
    /// The same in milliseconds.
    pub fn proven_ms(&self) -> u64 {
        u64::try_from(self.proven_for.as_millis()).unwrap_or(u64::MAX)
    }
}

/// All customers, by tenant.
#[derive(Debug, Default)]
pub struct Customers(HashMap<Tenant, HashMap<CustomerId, Customer>>);

impl Customers {
    /// What is known of a customer.
    pub fn get(&self, tenant: &Tenant, customer: &CustomerId) -> Option<&Customer> {
        self.0.get(tenant)?.get(customer)
    }
}

impl Rows for Customers {
    fn apply(&mut self, raw: &Raw<'_>) -> Result<(), Poison> {
        let (tenant, id) = row_key(raw)?;
        let of_tenant = self.0.entry(tenant).or_default();
        let Some(value) = raw.value else {
            of_tenant.remove(&id);
            return Ok(());
        };
        let mut customer: Customer = serde_json::from_slice(value).map_err(Poison::malformed)?;
        if customer.customer != id {
            let detail = "the key names another customer than the value".to_owned();
            return Err(Poison { reason: "wrong_key", detail });
        }
        if customer.segment.as_ref().is_some_and(|name| name.len() > SEGMENT_BYTES_MAX) {
            let detail = format!("a segment has {SEGMENT_BYTES_MAX} bytes at the most");
            return Err(Poison::malformed(detail));
        }
        customer.bought.truncate(BOUGHT_MAX);
        customer.bought.shrink_to_fit();
        of_tenant.insert(id, customer);
        Ok(())
    }
}

/// Reads the key of a row: `tenant:customer`.
fn row_key(raw: &Raw<'_>) -> Result<(Tenant, CustomerId), Poison> {
    let key = std::str::from_utf8(raw.key.unwrap_or_default()).map_err(Poison::malformed)?;
    let wrong = || Poison::malformed("the key is not a tenant and a customer");
    let (tenant, id) = key.split_once(':').ok_or_else(wrong)?;
    let tenant = Tenant::parse(tenant).map_err(Poison::malformed)?;
    Ok((tenant, CustomerId::parse(id).map_err(Poison::malformed)?))
}

/// Counts customer records that cannot be read.
#[derive(Debug)]
pub struct CustomerWatch(pub ReactMeters);

impl Watch<Customers> for CustomerWatch {
    fn applied(&self, _: &Table<Customers>, _: &Raw<'_>) {}

    fn poisoned(&self, raw: &Raw<'_>, poison: &Poison) {
        self.0.poisoned("customers", poison.reason);
        warn!(place = %raw.place, %poison, "a customer's record is passed over");
    }
}

#[cfg(test)]
mod tests {
    use clickmill_streams::Place;
    use serde_json::json;

    use super::*;

    fn row(key: &str, value: Option<&serde_json::Value>) -> (Customers, Result<(), Poison>) {
        let mut rows = Customers::default();
        let applied = put(&mut rows, key, value);
        (rows, applied)
    }

    fn put(
        rows: &mut Customers,
        key: &str,
        value: Option<&serde_json::Value>,
    ) -> Result<(), Poison> {
        let text = value.map(|value| value.to_string());
        let place = Place { partition: 0, offset: 0 };
        let value = text.as_deref().map(str::as_bytes);
        let key = Some(key.as_bytes());
        rows.apply(&Raw { source: 0, place, key, value, timestamp_ms: 0 })
    }

    fn orders(rows: &Customers, tenant: &str) -> Option<u32> {
        let (tenant, id) = (Tenant::parse(tenant).unwrap(), CustomerId::parse("a:b").unwrap());
        rows.get(&tenant, &id).map(|customer| customer.orders)
    }

    #[test]
    fn a_customer_is_of_one_tenant_and_goes_with_a_tombstone() {
        let ada = json!({"customer": "a:b", "segment": "gold", "orders": 3, "later": {}});
        let (mut rows, applied) = row("shop:a:b", Some(&ada));
        applied.unwrap();
        assert_eq!((orders(&rows, "shop"), orders(&rows, "other")), (Some(3), None));
        put(&mut rows, "shop:a:b", None).unwrap();
        assert_eq!(orders(&rows, "shop"), None);
    }

    #[test]
    fn what_is_no_customer_is_refused_and_what_is_much_is_cut() {
        for (key, value) in [
            ("shop", json!({"customer": "a"})),
            ("shop:b", json!({"customer": "a"})),
            ("shop:a", json!({"segment": "gold"})),
            ("shop:a", json!({"customer": "a", "orders": -1})),
            ("shop:a", json!({"customer": "a", "segment": "x".repeat(65)})),
        ] {
            assert!(row(key, Some(&value)).1.is_err(), "{key} {value}");
        }
        let bought: Vec<_> = (0..50).map(|n| json!({"sku": n.to_string(), "at": n})).collect();
        let (rows, _) = row("shop:a:b", Some(&json!({"customer": "a:b", "bought": bought})));
        let (tenant, id) = (Tenant::parse("shop").unwrap(), CustomerId::parse("a:b").unwrap());
        assert_eq!(rows.get(&tenant, &id).unwrap().bought.len(), BOUGHT_MAX);
    }
}
