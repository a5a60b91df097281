//! The in-stock guarantee: follows stock records and the age of their sources, takes hints back, and
//! tells who waits.
//!
//! A decision holds the tables until its hint is said, and what a record means is looked at after it
//! was applied. So of a decision and a record one is always first, and in either case the hint is
//! not made or is found here.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use clickmill_sdk_core::wire::{Millis, Sku, Slot, Wait};
use clickmill_server::clock::SharedClock;
use clickmill_streams::{Place, Poison, Raw, Table, Watch};
use tokio::time::sleep;
use tracing::warn;

use crate::hints::hub::{Awaited, Hub, Interest};
use crate::hints::stock::{Gone, Notice};
use crate::metrics::{ReactMeters, StockMeters};
use crate::tables::{Levels, Products, Shelf, Standing, StockRule, Tables, row_key};
use crate::views::visitor::Signals;

/// How often the age of sources is looked at: what a hint may outlive it by.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// How stock is told.
#[derive(Clone, Debug)]
pub struct StockPolicy {
    /// When a product may be shown.
    pub rule: StockRule,
    /// From so many pieces down it is running low; 0 tells nobody.
    pub low_at: i64,
    /// The place on a page that tells it.
    pub slot: Slot,
    /// How long that holds, ms.
    pub lifetime_ms: u64,
}

impl StockPolicy {
    /// The products whose stock matters to a visitor: those that were sold out when they were wanted
    /// are waited for until they are back, and the last one and the basket's are looked at.
    pub fn interest(
        &self,
        signals: &Signals,
        (shelf, source): (&Shelf<'_>, (u32, u64)),
    ) -> Interest {
        let mut interest = Interest { source, ..Interest::default() };
        for Wait { sku, partition, offset, .. } in &signals.waits {
            if matches!(shelf.standing(sku), Standing::InStock(_)) {
                interest.back.push(sku.clone());
            } else {
                let place = Place { partition: *partition, offset: *offset };
                interest.waits.push(Awaited { sku: sku.clone(), place });
            }
        }
        interest.watches = self.looked_at(signals, shelf).cloned().collect();
        interest
    }

    /// The products that a visitor looks at, and that it is told of when they run low.
    pub fn looked_at<'a>(
        &self,
        signals: &'a Signals,
        shelf: &Shelf<'_>,
    ) -> impl Iterator<Item = &'a Sku> {
        let all = signals.seen.first().into_iter().chain(&signals.basket);
        let is_told = self.low_at > 0;
        all.filter(move |sku| is_told && !matches!(shelf.standing(sku), Standing::SoldOut(_)))
    }

    /// That a product can be had.
    pub fn notice<'a>(&'a self, sku: &Sku, shelf: &'a Shelf<'_>) -> Option<Notice<'a>> {
        let Standing::InStock(level) = shelf.standing(sku) else { return None };
        Some(Notice {
            place: level.place,
            product: shelf.product(sku)?,
            available: level.available,
            is_low: level.available <= self.low_at,
            slot: &self.slot,
            lifetime_ms: self.lifetime_ms,
        })
    }

    /// That a product is running low, where it is.
    pub fn low<'a>(&'a self, sku: &Sku, shelf: &'a Shelf<'_>) -> Option<Notice<'a>> {
        self.notice(sku, shelf).filter(|notice| notice.is_low)
    }
}

/// Follows the table of stock.
#[derive(Debug)]
pub struct StockWatch {
    /// How stock is told.
    pub policy: StockPolicy,
    /// What products are called.
    pub products: Table<Products>,
    /// Where it is told.
    pub hub: Arc<Hub>,
    /// What is counted.
    pub meters: ReactMeters,
    /// The wall clock.
    pub clock: SharedClock,
}

impl Watch<Levels> for StockWatch {
    fn applied(&self, table: &Table<Levels>, raw: &Raw<'_>) {
        // A heartbeat is no row.
        let Ok((tenant, sku)) = row_key(raw) else { return };
        let now = Millis(self.clock.now_ms());
        let when = (Millis(raw.timestamp_ms), now);
        let standing = table.read().standing(&tenant, &sku, (self.policy.rule, now));
        match standing {
            Standing::Unknown | Standing::SoldOut(_) => {
                self.hub.take_back((&tenant, &sku), Gone::SoldOut(raw.place), when);
            }
            // The look at all sources will find it.
            Standing::Stale(_) => {}
            Standing::InStock(level) => {
                let products = self.products.read();
                let Some(product) = products.product(&tenant, &sku) else { return };
                let notice = Notice {
                    place: level.place,
                    product,
                    available: level.available,
                    is_low: level.available <= self.policy.low_at,
                    slot: &self.policy.slot,
                    lifetime_ms: self.policy.lifetime_ms,
                };
                self.hub.notice((&tenant, &sku), &notice, when);
            }
        }
    }

    fn poisoned(&self, raw: &Raw<'_>, poison: &Poison) {
        self.meters.poisoned("stock", poison.reason);
        warn!(place = %raw.place, %poison, "a stock record is passed over");
    }
}

/// Looks at the age of all sources again and again; never resolves.
pub async fn watch_ages(
    tables: &Tables,
    hub: &Hub,
    (meters, clock): (&StockMeters, &SharedClock),
) -> Infallible {
    let mut was_stale = false;
    loop {
        sleep(LOOK_EVERY).await;
        let now = Millis(clock.now_ms());
        hub.show_quantiles();
        let is_stale = look_at_ages(tables, hub, (meters, now));
        if is_stale && !was_stale {
            warn!(
                "a source of stock levels was not heard for too long: its products are not shown"
            );
        }
        was_stale = is_stale;
    }
}

/// Takes back what shows a product whose source was not heard for too long. Whether there is one.
pub fn look_at_ages(tables: &Tables, hub: &Hub, (meters, now): (&StockMeters, Millis)) -> bool {
    let stale = {
        let stock = tables.stock.read();
        meters.age.set(stock.age_ms(now) as f64 / 1000.0);
        stock.stale_tenants(tables.rule, now)
    };
    meters.stale_tenants.set(stale.len() as f64);
    if stale.is_empty() {
        return false;
    }
    let shown = hub.shown();
    for tenant in &stale {
        for sku in &shown {
            let standing = tables.stock.read().standing(tenant, sku, (tables.rule, now));
            if let Standing::Stale(level) = standing {
                hub.take_back((tenant, sku), Gone::Stale(level.place), (now, now));
            }
        }
    }
    true
}
