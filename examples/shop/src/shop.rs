//! The shop as a whole: what it sells, what it knows of its visitors, and how its pages are tracked.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::catalogue::{Catalogue, CatalogueError};
use crate::orders::Orders;
use crate::proof::ProofKey;
use crate::sessions::Sessions;
use crate::stock::{Level, Stock};

/// The shop. One request at a time holds its memory, for as long as a page takes to write.
#[derive(Debug)]
pub struct Shop {
    /// What it sells.
    pub catalogue: Catalogue,
    /// How its pages are tracked; none when they are not.
    pub tracking: Option<Tracking>,
    /// A short text that changes whenever a style or script does.
    pub assets: String,
    memory: Mutex<Memory>,
}

/// What changes while the shop is open.
#[derive(Debug)]
pub struct Memory {
    /// What can still be sold.
    pub stock: Stock,
    /// Who is in the shop.
    pub sessions: Sessions,
    /// What was bought.
    pub orders: Orders,
}

/// Where the pages' SDK sends events to and gets hints from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tracking {
    /// Origin of the collector, such as `http://127.0.0.1:8081`.
    pub collector: String,
    /// Origin of the relay, such as `http://127.0.0.1:8082`.
    pub hints: String,
    /// The site's public key.
    pub write_key: String,
    /// Signs which customer a visitor is; without it nobody is proven.
    pub proofs: Option<ProofKey>,
}

impl Shop {
    /// Opens the shop with the products that come with it.
    pub fn open(tracking: Option<Tracking>) -> Result<Self, CatalogueError> {
        let catalogue = Catalogue::built_in()?;
        let stock = Stock::opening(&catalogue);
        let memory = Memory { stock, sessions: Sessions::default(), orders: Orders::default() };
        let assets = crate::assets::fingerprint();
        Ok(Self { catalogue, tracking, assets, memory: Mutex::new(memory) })
    }

    /// The levels of all products as they are now.
    pub fn levels(&self) -> Vec<Level> {
        self.memory().stock.levels()
    }

    /// What changes while the shop is open. A panic elsewhere leaves it whole enough to go on.
    pub(crate) fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
