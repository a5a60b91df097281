//! The in-stock guarantee: follows stock records and the age of their sources, takes hints back, and
//! tells who waits.
//!
//! A decision holds the tables until its hint is said, and what a record means is looked at after it
//! was applied. So of a decision and a record one is always first, and in either case the hint is
//! not made or is found here.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use clickmill_sdk_core::wire::{Millis, Product, Sku, Slot, Tenant, Wait};
use clickmill_server::clock::SharedClock;
use clickmill_streams::{Place, Poison, Raw, Table, Watch};
use tokio::time::sleep;
use tracing::warn;

use crate::hints::hub::{Awaited, Hub, Interest};
use crate::hints::stock::{Gone, Notice};
use crate::metrics::{ReactMeters, StockMeters};
use crate::tables::{Level, Levels, Products, Shelf, Standing, StockRule, Tables, Voice, row_key};
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
        Some(self.notice_of(shelf.product(sku)?, level))
    }

    fn notice_of<'a>(&'a self, product: &'a Product, level: Level) -> Notice<'a> {
        Notice {
            place: level.place,
            product,
            available: level.available,
            is_low: level.available <= self.low_at,
            slot: &self.slot,
            lifetime_ms: self.lifetime_ms,
        }
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
                self.tell((&tenant, &sku), level, when);
            }
        }
    }

    fn replaced(&self, table: &Table<Levels>) {
        let now = Millis(self.clock.now_ms());
        let all = self.hub.tenants();
        let tenants = all.iter().collect();
        let standing = |tenant: &Tenant, sku: &Sku| {
            table.read().standing(tenant, sku, (self.policy.rule, now))
        };
        for (number, (tenant, sku)) in (0..).zip(pairs(&tenants, &self.hub.shown())) {
            if let Standing::Unknown | Standing::SoldOut(_) = standing(tenant, sku) {
                self.hub.take_back((tenant, sku), Gone::ReadAnew(now, number), (now, now));
            }
        }
        for (tenant, sku) in pairs(&tenants, &self.hub.wanted()) {
            if let Standing::InStock(level) = standing(tenant, sku) {
                self.tell((tenant, sku), level, (now, now));
            }
        }
    }

    fn poisoned(&self, raw: &Raw<'_>, poison: &Poison) {
        self.meters.poisoned("stock", poison.reason);
        warn!(place = %raw.place, %poison, "a stock record is passed over");
    }
}

impl StockWatch {
    /// Tells those who wait for a product, or look at it, that it can be had.
    fn tell(&self, (tenant, sku): (&Tenant, &Sku), level: Level, when: (Millis, Millis)) {
        let products = self.products.read();
        let Some(product) = products.product(tenant, sku) else { return };
        self.hub.notice((tenant, sku), &self.policy.notice_of(product, level), when);
    }
}

/// Follows the age of the sources of stock levels.
#[derive(Debug)]
pub struct AgeWatch {
    tables: Tables,
    policy: StockPolicy,
    hub: Arc<Hub>,
    meters: StockMeters,
    /// The sources that were not heard for too long when they were looked at last.
    silent: BTreeSet<Voice>,
}

impl AgeWatch {
    /// Of these tables.
    pub fn new(
        tables: Tables,
        policy: StockPolicy,
        (hub, meters): (Arc<Hub>, StockMeters),
    ) -> Self {
        Self { tables, policy, hub, meters, silent: BTreeSet::new() }
    }

    /// Looks again and again; never resolves.
    pub async fn run(mut self, clock: &SharedClock) -> Infallible {
        loop {
            sleep(LOOK_EVERY).await;
            self.hub.show_quantiles();
            let were_heard = self.silent.is_empty();
            if self.look(Millis(clock.now_ms())) && were_heard {
                warn!(
                    "a source of stock levels was not heard for too long: its products are not shown"
                );
            }
        }
    }

    /// Takes back what shows a product whose source was not heard for too long, and tells who waits for
    /// one whose source is heard again. Whether one is silent.
    pub fn look(&mut self, now: Millis) -> bool {
        let silent = {
            let stock = self.tables.stock.read();
            self.meters.age.set(stock.age_ms(now) as f64 / 1000.0);
            stock.silent(self.tables.rule, now)
        };
        let tenants: BTreeSet<&Tenant> = silent.iter().map(|voice| &voice.tenant).collect();
        self.meters.stale_tenants.set(tenants.len() as f64);
        if !tenants.is_empty() {
            let shown = self.hub.shown();
            for (tenant, sku) in pairs(&tenants, &shown) {
                if let Standing::Stale(level) = self.tables.shelf(tenant, now).standing(sku) {
                    self.hub.take_back((tenant, sku), Gone::Stale(level.place), (now, now));
                }
            }
        }
        let heard: BTreeSet<&Voice> = self.silent.difference(&silent).collect();
        if !heard.is_empty() {
            self.tell_heard(&heard, now);
        }
        self.silent = silent;
        !self.silent.is_empty()
    }

    /// What came back while its source was silent was told to nobody then.
    fn tell_heard(&self, heard: &BTreeSet<&Voice>, now: Millis) {
        let tenants = heard.iter().map(|voice| &voice.tenant).collect();
        for (tenant, sku) in pairs(&tenants, &self.hub.wanted()) {
            let shelf = self.tables.shelf(tenant, now);
            let Standing::InStock(level) = shelf.standing(sku) else { continue };
            if heard.contains(&shelf.voice(&level))
                && let Some(notice) = self.policy.notice(sku, &shelf)
            {
                self.hub.notice((tenant, sku), &notice, (now, now));
            }
        }
    }
}

fn pairs<'a>(
    tenants: &BTreeSet<&'a Tenant>,
    skus: &'a BTreeSet<Sku>,
) -> impl Iterator<Item = (&'a Tenant, &'a Sku)> {
    tenants.iter().flat_map(move |tenant| skus.iter().map(move |sku| (*tenant, sku)))
}
