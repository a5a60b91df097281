//! What a site knows of a customer, and that a visitor is one.

use super::Millis;
use super::id::{CustomerId, Sku};
use super::json::{ToJson, Writer};

/// A customer, as decisions may look at them. Key: `tenant:customer`; a tombstone forgets them.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize))]
pub struct Customer {
    /// The site's own id.
    pub customer: CustomerId,
    /// The group that the site puts them into, such as `gold`.
    #[cfg_attr(feature = "serde", serde(default))]
    pub segment: Option<String>,
    /// Orders so far.
    #[cfg_attr(feature = "serde", serde(default))]
    pub orders: u32,
    /// What they have spent so far, in hundredths of the site's currency.
    #[cfg_attr(feature = "serde", serde(default))]
    pub spent_cents: u64,
    /// When they last ordered.
    #[cfg_attr(feature = "serde", serde(default))]
    pub last_order_at: Option<Millis>,
    /// The products ordered last, on whatever device, newest first.
    #[cfg_attr(feature = "serde", serde(default))]
    pub bought: Vec<Bought>,
}

/// A product that a customer ordered.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize))]
pub struct Bought {
    /// The product.
    pub sku: Sku,
    /// When.
    pub at: Millis,
}

/// The customer that a visitor was proven to be.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize))]
pub struct Proven {
    /// The site's own id.
    pub id: CustomerId,
    /// Until when that holds without another proof.
    pub until: Millis,
}

impl ToJson for Customer {
    fn write(&self, w: &mut Writer) {
        w.object(|w| {
            w.field("customer", Some(&self.customer));
            w.field("segment", self.segment.as_ref());
            w.field("orders", Some(&self.orders));
            w.number_field("spent_cents", self.spent_cents);
            w.field("last_order_at", self.last_order_at.as_ref());
            w.list_field("bought", &self.bought);
        });
    }
}

impl ToJson for Bought {
    fn write(&self, w: &mut Writer) {
        w.object(|w| {
            w.field("sku", Some(&self.sku));
            w.field("at", Some(&self.at));
        });
    }
}

impl ToJson for Proven {
    fn write(&self, w: &mut Writer) {
        w.object(|w| {
            w.field("id", Some(&self.id));
            w.field("until", Some(&self.until));
        });
    }
}
