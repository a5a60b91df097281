//! What is learned from orders: which products are bought together. Who looks at one or has it in the
//! basket may need the other one, too.
//!
//! An order is learned like a visit that has no order in it, apart from the visits: what is seen
//! together stands in for each other, what is bought together belongs together. A product that is in
//! every other order says little, so a score counts less the more often its product is bought: the
//! cosine between the orders of both (Linden et al., "Amazon.com recommendations", 2003).

use clickmill_sdk_core::wire::{Millis, Sku};

use super::visits::{Candidate, Limits, Visits};

/// What was learned of one tenant's orders.
#[derive(Debug)]
pub struct Orders(Visits);

impl Orders {
    /// Nothing learned yet. After a half-life, ms, an order counts half.
    pub fn new(half_life_ms: u64) -> Self {
        Self(Visits::new(Limits {
            half_life_ms,
            visits_max: 50_000,
            // All that lies in a basket counts alike, in whatever order it came there.
            inputs_max: 20,
            input_reach: f64::INFINITY,
            neighbour_reach: f64::INFINITY,
            before_share: 1.0,
            shared_share: 0.0,
            ..Limits::default()
        }))
    }

    /// Learns that products were bought in one order. One that was learned before teaches nothing.
    pub fn learn(&mut self, order: &str, skus: &[Sku], time: Millis) {
        skus.iter().for_each(|sku| self.0.learn(order, sku, time));
    }

    /// The products that were bought with these, in no order.
    pub fn beside(&mut self, skus: &[Sku], now: Millis) -> Vec<Candidate> {
        let mut found = self.0.follow(skus, now);
        found.retain(|one| one.score > 0.0);
        for one in &mut found {
            one.score /= self.0.seen_of(one).sqrt();
        }
        found
    }

    /// The product that a candidate is.
    pub fn sku(&self, candidate: &Candidate) -> &Sku {
        self.0.sku(candidate)
    }

    /// How many orders are known.
    pub fn orders(&self) -> usize {
        self.0.visits()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn skus(names: &[&str]) -> Vec<Sku> {
        names.iter().map(|name| Sku::parse(*name).unwrap()).collect()
    }

    fn learned(all: &[&[&str]]) -> Orders {
        let mut orders = Orders::new(1_000);
        for (n, names) in all.iter().enumerate() {
            orders.learn(&n.to_string(), &skus(names), Millis(0));
        }
        orders
    }

    /// What is bought with these, best first, and on how many orders that rests.
    fn beside(orders: &mut Orders, names: &[&str], now: u64) -> Vec<(String, u32)> {
        let mut found = orders.beside(&skus(names), Millis(now));
        found.sort_by(|a, b| b.score.total_cmp(&a.score));
        found.iter().map(|one| (orders.sku(one).as_str().to_owned(), one.support)).collect()
    }

    #[test]
    fn what_is_bought_together_is_found_from_either_side() {
        let mut orders = learned(&[&["Kettle", "Filter"], &["Filter", "Kettle"], &["Iron"]]);
        assert_eq!(beside(&mut orders, &["Kettle"], 0), [("Filter".to_owned(), 2)]);
        assert_eq!(beside(&mut orders, &["Filter"], 0), [("Kettle".to_owned(), 2)]);
        assert!(beside(&mut orders, &["Iron"], 0).is_empty());
    }

    #[test]
    fn what_everybody_buys_comes_behind_what_belongs_to_it() {
        let mut all: Vec<&[&str]> = vec![&["Bag", "Other"]; 60];
        all.extend([&["Kettle", "Filter", "Bag"][..]; 4]);
        all.push(&["Kettle", "Bag"]);
        let found = beside(&mut learned(&all), &["Kettle"], 0);
        assert_eq!(found, [("Filter".to_owned(), 4), ("Bag".to_owned(), 5)]);
    }

    #[test]
    fn an_order_that_is_told_twice_counts_once() {
        let mut orders = Orders::new(1_000);
        for _ in 0..3 {
            orders.learn("4711", &skus(&["A", "B"]), Millis(0));
        }
        assert_eq!(orders.orders(), 1);
        assert_eq!(beside(&mut orders, &["A"], 0), [("B".to_owned(), 1)]);
    }

    #[test]
    fn orders_fade_with_their_age() {
        let mut orders = learned(&[&["A", "Old"], &["A", "Old"], &["X"], &["Y"]]);
        orders.learn("new", &skus(&["A", "New"]), Millis(5_000));
        assert_eq!(beside(&mut orders, &["A"], 5_000)[0].0, "New");
    }
}
