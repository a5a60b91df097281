//! The products that one visitor waits for: they were sold out when they were wanted.
//!
//! Whether a product can be had is looked up as the event is folded. An event that is folded again
//! after a crash is judged by the stock of then; what was told goes by the stock record that a mark
//! names, so it is told once whatever dies.

use clickmill_sdk_core::wire::{Millis, Sku, Tenant, Wait};
use clickmill_streams::Place;

use super::click::Doing;
use crate::tables::{Standing, Tables};

/// Where the fold looks up whether a product can be had.
#[derive(Clone, Debug)]
pub struct Stock {
    /// The levels, and how they are read.
    pub tables: Tables,
    /// How long it is told that a product is back, ms.
    pub lifetime_ms: u64,
}

/// What is waited for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Waits(pub(super) Vec<Wait>);

impl Stock {
    /// Where the record lies that a product was sold out by when an event was received: also where it
    /// has come back since.
    fn sold_out(&self, tenant: &Tenant, sku: &Sku, received_at: Millis) -> Option<Place> {
        let at = (self.tables.rule, received_at);
        self.tables.stock.read().sold_out_at(tenant, sku, at).map(|level| level.place)
    }

    fn standing(&self, tenant: &Tenant, sku: &Sku, now: Millis) -> Standing {
        self.tables.stock.read().standing(tenant, sku, (self.tables.rule, now))
    }
}

impl Waits {
    /// Takes note of an event that hints answer. Returns what is waited for now; what has come back
    /// since the event before it is not marked so yet.
    pub(super) fn take(
        &mut self,
        (tenant, doing): (&Tenant, &Doing),
        (received_at, now): (Millis, Millis),
        (stock, waits_max): (&Stock, usize),
    ) -> Vec<Wait> {
        self.0.retain(|wait| wait.back.is_none_or(|back| now.since(back) < stock.lifetime_ms));
        let wanted = match doing {
            Doing::Sees(sku) | Doing::Takes(sku) => Some(sku),
            _ => None,
        };
        let is_known = |wait: &Wait| Some(&wait.sku) == wanted;
        if let Some(sku) = wanted.filter(|_| !self.0.iter().any(is_known))
            && let Some(Place { partition, offset }) = stock.sold_out(tenant, sku, received_at)
        {
            if self.0.len() >= waits_max {
                self.0.remove(0);
            }
            self.0.push(Wait { sku: sku.clone(), partition, offset, back: None });
        }
        let mut before = Vec::with_capacity(self.0.len());
        for wait in &mut self.0 {
            let standing = stock.standing(tenant, &wait.sku, now);
            if let Standing::SoldOut(level) = standing {
                // It may have been back meanwhile: from now on this record is the one.
                (wait.partition, wait.offset) = (level.place.partition, level.place.offset);
                wait.back = None;
            }
            before.push(wait.clone());
            if let Standing::InStock(_) = standing {
                wait.back = wait.back.or(Some(now));
            }
        }
        before
    }

    /// Nothing more is waited for.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}
