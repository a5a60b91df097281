//! Customers: whoever signs in has a number, and what they ordered says what is known of them.

use std::fmt::Write as _;

use clickmill_sdk_core::wire::{Bought, Customer, CustomerId, IdError, Millis, Sku};
use sha2::{Digest as _, Sha256};

use crate::orders::{Order, Orders};

/// Who has ordered for so much is a gold customer, in hundredths of the currency.
const GOLD_FROM_CENTS: u64 = 30_000;

/// The most products that are told of a customer: those ordered last.
const BOUGHT_MAX: usize = 50;

/// Bytes of the hash that a number is made of.
const NUMBER_BYTES: usize = 8;

/// The number of whoever signs in with this address: always the same, so that a shop that forgets
/// everything when it closes knows them again. A real shop takes it from its table of customers.
pub fn number(email: &str) -> Result<CustomerId, IdError> {
    let mut number = String::from("C-");
    for byte in &Sha256::digest(email.to_lowercase())[..NUMBER_BYTES] {
        // A text takes all that is written into it.
        let _ = write!(number, "{byte:02x}");
    }
    CustomerId::parse(&number)
}

/// What the shop knows of a customer, for decisions to look at.
pub fn known(email: &str, orders: &Orders) -> Result<Customer, IdError> {
    let placed: Vec<&Order> = orders.of(email).collect();
    let spent_cents = placed.iter().map(|order| order.sum.total_cents()).sum();
    let mut bought = Vec::new();
    for order in &placed {
        for line in &order.lines {
            bought.push(Bought { sku: Sku::parse(&line.sku)?, at: Millis(order.at_ms) });
        }
    }
    bought.truncate(BOUGHT_MAX);
    Ok(Customer {
        customer: number(email)?,
        segment: Some(segment(placed.len(), spent_cents).to_owned()),
        orders: u32::try_from(placed.len()).unwrap_or(u32::MAX),
        spent_cents,
        last_order_at: placed.first().map(|order| Millis(order.at_ms)),
        bought,
    })
}

/// The group that a customer belongs to, which rules of promotions name.
fn segment(orders: usize, spent_cents: u64) -> &'static str {
    match (orders, spent_cents) {
        (0, _) => "member",
        (_, GOLD_FROM_CENTS..) => "gold",
        _ => "regular",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_the_same_again_and_says_nothing_of_the_address() {
        let ada = number("ada@example.com").unwrap();
        assert_eq!(number("Ada@Example.com").unwrap(), ada);
        assert_ne!(number("bob@example.com").unwrap(), ada);
        assert!(ada.as_str().starts_with("C-") && !ada.as_str().contains("ada"));
    }

    #[test]
    fn the_segment_follows_what_was_ordered() {
        assert_eq!(segment(0, 0), "member");
        assert_eq!(segment(1, GOLD_FROM_CENTS - 1), "regular");
        assert_eq!(segment(1, GOLD_FROM_CENTS), "gold");
    }
}
