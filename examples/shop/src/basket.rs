//! A basket: what is in it and what it comes to.

use crate::catalogue::{Catalogue, Product};

/// The most different products in a basket.
pub const LINES_MAX: usize = 20;

/// The most pieces of one product in a basket.
pub const QUANTITY_MAX: u32 = 9;

/// Delivery costs this much below [`DELIVERY_FREE_FROM_CENTS`].
pub const DELIVERY_CENTS: u64 = 495;

/// From this value on delivery is free.
pub const DELIVERY_FREE_FROM_CENTS: u64 = 5_000;

/// What somebody means to buy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Basket {
    lines: Vec<Line>,
}

/// One product of a basket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The product.
    pub sku: String,
    /// How many, from 1 to [`QUANTITY_MAX`].
    pub quantity: u32,
}

/// What a basket comes to, in hundredths of the currency.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    /// The products alone.
    pub goods_cents: u64,
    /// Their delivery.
    pub delivery_cents: u64,
}

/// Why something was not put into the basket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// There are no more pieces of it than the basket holds.
    #[error("that is all we have of it")]
    NoneLeft,
    /// There are too many different products in it.
    #[error("the basket is full: it holds {LINES_MAX} different products")]
    Full,
    /// There are too many pieces of it.
    #[error("we sell no more than {QUANTITY_MAX} of one product at a time")]
    TooMany,
}

impl Basket {
    /// What is in it, in the order it was put in.
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// How many pieces are in it.
    pub fn pieces(&self) -> u32 {
        self.lines.iter().map(|line| line.quantity).sum()
    }

    /// Puts pieces of a product in, of which `available` can be had; returns how many went in,
    /// which may be fewer than asked for.
    pub fn add(&mut self, wanted: &Line, available: u32) -> Result<u32, Refused> {
        let place = self.lines.iter().position(|line| line.sku == wanted.sku);
        let held = place.map_or(0, |place| self.lines[place].quantity);
        if held >= QUANTITY_MAX {
            return Err(Refused::TooMany);
        }
        let room = available.min(QUANTITY_MAX).saturating_sub(held);
        let added = wanted.quantity.clamp(1, QUANTITY_MAX).min(room);
        if added == 0 {
            return Err(Refused::NoneLeft);
        }
        match place {
            Some(place) => self.lines[place].quantity += added,
            None if self.lines.len() >= LINES_MAX => return Err(Refused::Full),
            None => self.lines.push(Line { sku: wanted.sku.clone(), quantity: added }),
        }
        Ok(added)
    }

    /// Takes pieces of a product out, all of them where no number is given; returns how many.
    pub fn remove(&mut self, sku: &str, quantity: Option<u32>) -> u32 {
        let Some(place) = self.lines.iter().position(|line| line.sku == sku) else { return 0 };
        let held = self.lines[place].quantity;
        let removed = quantity.unwrap_or(held).min(held);
        self.lines[place].quantity -= removed;
        self.lines.retain(|line| line.quantity > 0);
        removed
    }

    /// Takes everything out.
    pub fn clear(&mut self) {
        self.lines.clear();
    }

    /// The lines with their products; a product that is no longer sold is passed over.
    pub fn items<'a>(
        &'a self,
        catalogue: &'a Catalogue,
    ) -> impl Iterator<Item = (&'a Product, u32)> {
        self.lines.iter().filter_map(|line| Some((catalogue.product(&line.sku)?, line.quantity)))
    }

    /// What it comes to.
    pub fn sum(&self, catalogue: &Catalogue) -> Sum {
        let goods_cents = self
            .items(catalogue)
            .map(|(product, quantity)| product.price_cents * u64::from(quantity))
            .sum();
        let delivery_cents = match goods_cents {
            0 | DELIVERY_FREE_FROM_CENTS.. => 0,
            _ => DELIVERY_CENTS,
        };
        Sum { goods_cents, delivery_cents }
    }
}

impl Sum {
    /// Goods and delivery.
    pub fn total_cents(self) -> u64 {
        self.goods_cents + self.delivery_cents
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(sku: &str, quantity: u32) -> Line {
        Line { sku: sku.into(), quantity }
    }

    fn basket(lines: &[(&str, u32)]) -> Basket {
        Basket { lines: lines.iter().map(|(sku, quantity)| line(sku, *quantity)).collect() }
    }

    fn check_sum(lines: &[(&str, u32)], expected: (u64, u64)) {
        let catalogue = Catalogue::built_in().unwrap();
        let sum = basket(lines).sum(&catalogue);
        assert_eq!((sum.goods_cents, sum.delivery_cents), expected, "{lines:?}");
    }

    #[test]
    fn the_sum_counts_pieces_and_delivery() {
        check_sum(&[], (0, 0));
        check_sum(&[("KET-1", 1)], (3_999, DELIVERY_CENTS));
        check_sum(&[("KET-1", 2)], (7_998, 0));
        check_sum(&[("KET-1", 1), ("TOA-1", 1)], (7_449, 0));
        check_sum(&[("GONE-1", 3)], (0, 0));
    }

    #[test]
    fn no_more_goes_in_than_can_be_had() {
        let mut basket = Basket::default();
        assert_eq!(basket.add(&line("A-1", 2), 3), Ok(2));
        assert_eq!(basket.add(&line("A-1", 2), 3), Ok(1));
        assert_eq!(basket.add(&line("A-1", 1), 3), Err(Refused::NoneLeft));
        assert_eq!(basket.add(&line("B-1", 0), 3), Ok(1));
        assert_eq!(basket.pieces(), 4);
    }

    #[test]
    fn a_basket_is_bounded() {
        let mut basket = Basket::default();
        assert_eq!(basket.add(&line("A-1", u32::MAX), u32::MAX), Ok(QUANTITY_MAX));
        assert_eq!(basket.add(&line("A-1", 1), u32::MAX), Err(Refused::TooMany));
        for n in 1..LINES_MAX {
            assert_eq!(basket.add(&line(&format!("B-{n}"), 1), 9), Ok(1));
        }
        assert_eq!(basket.add(&line("C-1", 1), 9), Err(Refused::Full));
        assert_eq!(basket.lines().len(), LINES_MAX);
    }

    #[test]
    fn taking_out_ends_at_nothing() {
        let mut basket = basket(&[("A-1", 3), ("B-1", 1)]);
        assert_eq!(basket.remove("A-1", Some(1)), 1);
        assert_eq!(basket.remove("A-1", Some(9)), 2);
        assert_eq!(basket.remove("A-1", None), 0);
        assert_eq!(basket.lines(), [line("B-1", 1)]);
        assert_eq!(basket.remove("B-1", None), 1);
        assert!(basket.is_empty());
    }
}
