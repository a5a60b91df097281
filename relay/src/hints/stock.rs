//! What a stock record has to say to pages: a hint is taken back, a product is there again, or is
//! running out.

use clickmill_sdk_core::wire::json::Writer;
use clickmill_sdk_core::wire::{Hint, HintId, HintKind, Json, Millis, Product, Sku, Slot, Why};
use clickmill_streams::Place;

use super::frame::Frame;

/// What the ids of hints begin with that tell that a product is back. The rest names the stock record
/// that it was sold out by: whichever record ends that, and whoever tells it, it has one id.
pub const BACK: &str = "back";

/// Why a product must not be shown any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gone {
    /// It is sold out: the record says so.
    SoldOut(Place),
    /// Nobody knows: the source of the record was not heard for too long.
    Stale(Place),
    /// The stock was read anew at that moment, and does not have it; a number tells such products apart.
    ReadAnew(Millis, u32),
}

/// Hints that may show one product to one visitor.
const SHOWING_MAX: u32 = 64;

/// That a product can be had.
#[derive(Clone, Debug)]
pub struct Notice<'a> {
    /// The stock record that says so.
    pub place: Place,
    /// The product.
    pub product: &'a Product,
    /// Pieces that can be had.
    pub available: i64,
    /// Whether they are few.
    pub is_low: bool,
    /// The place on the page that tells it.
    pub slot: &'a Slot,
    /// How long it holds, ms.
    pub lifetime_ms: u64,
}

impl Notice<'_> {
    /// The hint for one who waits for the product since a record by which it was sold out, or only
    /// looks at it.
    pub fn hint(&self, awaited: Option<Place>, (_, epoch): (u32, u64), now: Millis) -> Hint {
        let state = if awaited.is_some() { "back" } else { "low" };
        let source = if awaited.is_some() { BACK } else { "stock" };
        let Place { partition, offset } = awaited.unwrap_or(self.place);
        Hint {
            id: HintId { source: source.to_owned(), partition, offset, n: 0 },
            kind: HintKind::Stock,
            epoch,
            slot: Some(self.slot.clone()),
            content: self.content(state),
            why: why(&format!("{state}_in_stock"), &self.product.sku),
            expires_at: now + self.lifetime_ms,
            stock_version: Some(self.place.offset),
            cause: None,
            decided_at: now,
        }
    }

    /// What the page shows: `back` or `low`.
    pub fn content(&self, state: &str) -> Json {
        let mut w = Writer::with_capacity(256);
        w.object(|w| {
            w.text_field("state", state);
            w.key("available").signed(self.available);
            w.field("product", Some(self.product));
        });
        Json::trusted(w.finish())
    }
}

/// Takes back a hint since a product in it must not be shown any more; `n` tells apart what one
/// record takes back from one visitor.
pub(super) fn withdrawal(
    held: &Frame,
    sku: &Sku,
    (gone, epoch, n): (Gone, u64, u32),
    now: Millis,
) -> Hint {
    let (source, place, model) = match gone {
        Gone::SoldOut(place) => ("stock", place, "sold_out"),
        Gone::Stale(place) => ("stale", place, "stale"),
        // No record of now says so, and those of then lie at places that others have taken.
        Gone::ReadAnew(at, _) => ("anew", Place { partition: 0, offset: at.0 }, "sold_out"),
    };
    let n = match gone {
        Gone::SoldOut(_) => n,
        Gone::ReadAnew(_, number) => number.wrapping_mul(SHOWING_MAX).wrapping_add(n),
        // The same record can be too old again after a heartbeat: the second tells them apart.
        Gone::Stale(_) => n.wrapping_add((now.0 / 1000) as u32),
    };
    let Place { partition, offset } = place;
    let id = HintId { source: source.to_owned(), partition, offset, n };
    Hint {
        stock_version: matches!(gone, Gone::SoldOut(_)).then_some(offset),
        ..held.withdrawal((id, model, std::slice::from_ref(sku)), (epoch, now))
    }
}

fn why(model: &str, sku: &Sku) -> Why {
    Why { model: model.to_owned(), inputs: vec![sku.as_str().to_owned()], ..Why::default() }
}
