//! The products one visitor saw last and ordered last, and what is in the basket.
//!
//! Seen products are ordered by when they were seen, not by when that was heard: a late event finds
//! its place, or none. So it is with the basket: what comes after a later word about the same product
//! neither puts it in nor takes it out, see [`words`].

use clickmill_sdk_core::wire::{BasketWord, Sight, Sku, Word};

use super::click::Doing;
use super::{Limits, words};

/// Products of one visitor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Products {
    /// Newest first, each once.
    pub(super) seen: Vec<Sight>,
    /// Newest last.
    pub(super) basket: Vec<Sku>,
    /// Newest first, each once.
    pub(super) bought: Vec<Sight>,
    /// The last words about products in the basket, newest last, each product once.
    pub(super) words: Vec<BasketWord>,
}

impl Products {
    /// Takes note of what an event does, in a visit. Returns the product that was seen for
    /// the first time in it.
    pub fn take(
        &mut self,
        doing: &Doing,
        (word, visit): (&Word, u32),
        limits: &Limits,
    ) -> Option<Sku> {
        let at = word.at;
        match doing {
            Doing::Sees(sku) => self.see(Sight { sku: sku.clone(), at, visit }, limits),
            Doing::Takes(sku) => {
                if words::is_last(&mut self.words, (sku, word), limits.words_max) {
                    self.basket.retain(|held| held != sku);
                    self.basket.push(sku.clone());
                    if self.basket.len() > limits.basket_max {
                        self.basket.remove(0);
                    }
                }
                self.see(Sight { sku: sku.clone(), at, visit }, limits)
            }
            Doing::PutsBack(sku) => {
                self.put_back(sku, word, limits);
                None
            }
            Doing::Buys(order) => {
                for sku in &order.skus {
                    self.put_back(sku, word, limits);
                    let sight = Sight { sku: sku.clone(), at, visit };
                    put(&mut self.bought, sight, limits.bought_max);
                }
                None
            }
            Doing::Reads(..)
            | Doing::Lists(_)
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

    fn put_back(&mut self, sku: &Sku, word: &Word, limits: &Limits) {
        if words::is_last(&mut self.words, (sku, word), limits.words_max) {
            self.basket.retain(|held| held != sku);
        }
    }

    /// A product seen again in the same visit is no first sight.
    fn see(&mut self, sight: Sight, limits: &Limits) -> Option<Sku> {
        let earlier = self.seen.iter().position(|seen| seen.sku == sight.sku);
        let is_first =
            earlier.is_none_or(|at| self.seen.get(at).is_none_or(|s| s.visit != sight.visit));
        let first = is_first.then(|| sight.sku.clone());
        put(&mut self.seen, sight, limits.recent_max);
        first
    }
}

/// Puts a sight where its time is; a late one of a product that is known with a newer one is none.
fn put(sights: &mut Vec<Sight>, sight: Sight, max: usize) {
    if sights.iter().any(|known| known.sku == sight.sku && known.at > sight.at) {
        return;
    }
    sights.retain(|known| known.sku != sight.sku);
    let at = sights.partition_point(|known| known.at > sight.at);
    sights.insert(at, sight);
    sights.truncate(max);
}
