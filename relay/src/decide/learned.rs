//! What is learned of one tenant's visitors: what visits see, and what orders hold.

use clickmill_sdk_core::wire::Millis;

use super::orders::Orders;
use super::visits::{self, Visits};
use crate::views::visitor::Lesson;

/// How much is learned.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Limits {
    /// Of visits.
    pub visits: visits::Limits,
    /// After this long an order counts half, ms.
    pub order_half_life_ms: u64,
}

/// What was learned of one tenant's visitors.
#[derive(Debug)]
pub struct Learned {
    /// From what visits see.
    pub visits: Visits,
    /// From what is ordered.
    pub orders: Orders,
}

impl Learned {
    /// Nothing learned yet.
    pub fn new(limits: Limits) -> Self {
        let orders = Orders::new(limits.order_half_life_ms);
        Self { visits: Visits::new(limits.visits), orders }
    }

    /// Learns one lesson. One that was learned before teaches nothing.
    pub fn learn(&mut self, lesson: &Lesson, time: Millis) {
        match lesson {
            Lesson::Saw(visit, sku) => self.visits.learn(visit, sku, time),
            Lesson::Bought(order, skus) => self.orders.learn(order, skus, time),
        }
    }
}
