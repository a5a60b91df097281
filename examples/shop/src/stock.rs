//! What can still be sold.

use std::collections::HashMap;

use crate::catalogue::{Catalogue, Product};

/// From this many pieces down a product counts as running out.
pub const LOW_AT: u32 = 5;

/// Pieces left of every product.
#[derive(Debug)]
pub struct Stock {
    left: HashMap<String, u32>,
}

/// The new level of one product, to be told to the world.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Level {
    /// The product.
    pub sku: String,
    /// Pieces left.
    pub available: u32,
}

/// How well a product is stocked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// More than enough.
    Plenty,
    /// So many are left.
    Low(u32),
    /// Sold out.
    None,
}

/// There are fewer left than wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Short {
    /// The product.
    pub sku: String,
    /// Pieces left.
    pub available: u32,
}

impl Stock {
    /// The stock with which the shop opens.
    pub fn opening(catalogue: &Catalogue) -> Self {
        let level = |product: &Product| (product.sku.clone(), product.stock);
        Self { left: catalogue.products().iter().map(level).collect() }
    }

    /// Pieces left; none of an unknown product.
    pub fn available(&self, sku: &str) -> u32 {
        self.left.get(sku).copied().unwrap_or(0)
    }

    /// How well a product is stocked.
    pub fn standing(&self, sku: &str) -> Standing {
        match self.available(sku) {
            0 => Standing::None,
            left @ 1..=LOW_AT => Standing::Low(left),
            _ => Standing::Plenty,
        }
    }

    /// Takes all of the wanted pieces or none: the new levels, or the first product that is short.
    pub fn take<'a, W>(&mut self, wanted: W) -> Result<Vec<Level>, Short>
    where
        W: Iterator<Item = (&'a str, u32)> + Clone,
    {
        let short = wanted.clone().find(|(sku, quantity)| self.available(sku) < *quantity);
        if let Some((sku, _)) = short {
            return Err(Short { sku: sku.to_owned(), available: self.available(sku) });
        }
        let mut levels = Vec::new();
        for (sku, quantity) in wanted {
            if let Some(left) = self.left.get_mut(sku) {
                *left = left.saturating_sub(quantity);
                levels.push(Level { sku: sku.to_owned(), available: *left });
            }
        }
        Ok(levels)
    }

    /// The levels of all products, sorted by number.
    pub fn levels(&self) -> Vec<Level> {
        let mut levels: Vec<Level> = self
            .left
            .iter()
            .map(|(sku, available)| Level { sku: sku.clone(), available: *available })
            .collect();
        levels.sort_by(|a, b| a.sku.cmp(&b.sku));
        levels
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stock(levels: &[(&str, u32)]) -> Stock {
        Stock { left: levels.iter().map(|(sku, left)| ((*sku).to_owned(), *left)).collect() }
    }

    #[test]
    fn taking_is_all_or_nothing() {
        let mut stock = stock(&[("A-1", 3), ("B-1", 1)]);
        let short = stock.take([("A-1", 2), ("B-1", 2)].into_iter()).unwrap_err();
        assert_eq!(short, Short { sku: "B-1".into(), available: 1 });
        assert_eq!(stock.available("A-1"), 3);
        let levels = stock.take([("A-1", 3), ("B-1", 1)].into_iter()).unwrap();
        assert!(levels.iter().all(|level| level.available == 0));
        assert_eq!(stock.standing("A-1"), Standing::None);
    }

    #[test]
    fn an_unknown_product_is_sold_out() {
        let mut stock = stock(&[]);
        assert!(stock.take([("A-1", 1)].into_iter()).is_err());
        assert_eq!(stock.standing("A-1"), Standing::None);
    }

    #[test]
    fn the_standing_follows_the_level() {
        let stock = stock(&[("A-1", 6), ("B-1", 5)]);
        assert_eq!(stock.standing("A-1"), Standing::Plenty);
        assert_eq!(stock.standing("B-1"), Standing::Low(5));
    }
}
