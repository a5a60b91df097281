//! The products one visitor saw last, and what is in the basket.
//!
//! Seen products are ordered by when they were seen, not by when that was heard: a late event finds
//! its place, or none.

use clickmill_sdk_core::wire::{Millis, Sight, Sku};

use super::Limits;
use super::click::Doing;

/// Products of one visitor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Products {
    /// Newest first, each once.
    pub(super) seen: Vec<Sight>,
    /// Newest last.
    pub(super) basket: Vec<Sku>,
}

impl Products {
    /// Takes note of what an event does, at a time, in a visit. Returns the product that was seen for
    /// the first time in it.
    pub fn take(
        &mut self,
        doing: &Doing,
        (at, visit): (Millis, u32),
        limits: &Limits,
    ) -> Option<Sku> {
        match doing {
            Doing::Sees(sku) => self.see(Sight { sku: sku.clone(), at, visit }, limits),
            Doing::Takes(sku) => {
                self.basket.retain(|held| held != sku);
                self.basket.push(sku.clone());
                if self.basket.len() > limits.basket_max {
                    self.basket.remove(0);
                }
                self.see(Sight { sku: sku.clone(), at, visit }, limits)
            }
            Doing::PutsBack(sku) => {
                self.basket.retain(|held| held != sku);
                None
            }
            Doing::Buys(skus) => {
                self.basket.retain(|held| !skus.contains(held));
                None
            }
            Doing::Reads
            | Doing::Searches(_)
            | Doing::Engages(_)
            | Doing::Exposes(_)
            | Doing::Other => None,
        }
    }

    /// The products seen last, newest first.
    pub fn seen(&self) -> impl Iterator<Item = &Sku> {
        self.seen.iter().map(|sight| &sight.sku)
    }

    /// The products in the basket.
    pub fn basket(&self) -> &[Sku] {
        &self.basket
    }

    /// A product seen again in the same visit is no first sight.
    fn see(&mut self, sight: Sight, limits: &Limits) -> Option<Sku> {
        let earlier = self.seen.iter().position(|seen| seen.sku == sight.sku);
        let is_first =
            earlier.is_none_or(|at| self.seen.get(at).is_none_or(|s| s.visit != sight.visit));
        let first = is_first.then(|| sight.sku.clone());
        match earlier.and_then(|at| self.seen.get(at)) {
            // A late sight of a product that was seen since.
            Some(seen) if seen.at > sight.at => {}
            Some(_) | None => {
                self.seen.retain(|seen| seen.sku != sight.sku);
                let at = self.seen.partition_point(|seen| seen.at > sight.at);
                self.seen.insert(at, sight);
                self.seen.truncate(limits.recent_max);
            }
        }
        first
    }
}
