//! What is learned from all visitors of a tenant: which products are seen in one visit, and how
//! often each is seen, both fading with time.
//!
//! Fading is exact and costs nothing: a sight counts the more the later it is, doubling every
//! half-life from a fixed origin, and only ratios are ever looked at.

use std::collections::HashMap;

use clickmill_sdk_core::wire::{Millis, Sku};

use crate::views::visitor::Lesson;

/// How much is learned.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// After this long a sight counts half, ms.
    pub half_life_ms: u64,
    /// Neighbours of one product; beyond it the weakest goes.
    pub near_max: usize,
    /// Products; beyond it those seen longest ago are forgotten.
    pub products_max: usize,
    /// How many products seen before one count as seen together with it.
    pub company_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            half_life_ms: 7 * 24 * 60 * 60 * 1000,
            near_max: 64,
            products_max: 50_000,
            company_max: 8,
        }
    }
}

/// What was learned of one tenant's products.
#[derive(Debug)]
pub struct CoViews {
    limits: Limits,
    ids: HashMap<Sku, u32>,
    products: Vec<Learned>,
    /// The time at which a sight counts 1.
    origin: Option<Millis>,
}

#[derive(Debug)]
struct Learned {
    sku: Sku,
    seen: f64,
    last: Millis,
    /// Neighbours and how much was seen of the pair.
    near: Vec<(u32, f64)>,
}

impl CoViews {
    /// Nothing learned yet.
    pub fn new(limits: Limits) -> Self {
        Self { limits, ids: HashMap::new(), products: Vec::new(), origin: None }
    }

    /// Learns from a product seen at a time.
    pub fn learn(&mut self, lesson: &Lesson, time: Millis) {
        let count = self.count(time);
        let id = self.note(&lesson.sku, time);
        self.products[id as usize].seen += count;
        for (distance, sku) in lesson.with.iter().take(self.limits.company_max).enumerate() {
            let Some(other) = self.ids.get(sku).copied() else { continue };
            // The product seen just before says more than the one seen eight before.
            let weight = count / (distance + 1) as f64;
            self.bind(id, other, weight);
            self.bind(other, id, weight);
        }
        if self.products.len() > self.limits.products_max {
            self.forget();
        }
    }

    /// What one sight counts at a time.
    pub fn count(&mut self, time: Millis) -> f64 {
        let origin = *self.origin.get_or_insert(time);
        self.count_since(origin, time)
    }

    /// What one sight counts at a time, without learning anything.
    pub fn count_at(&self, time: Millis) -> f64 {
        self.origin.map_or(1.0, |origin| self.count_since(origin, time))
    }

    fn count_since(&self, origin: Millis, time: Millis) -> f64 {
        let span_ms = time.0 as f64 - origin.0 as f64;
        (span_ms / self.limits.half_life_ms.max(1) as f64).clamp(-1000.0, 1000.0).exp2()
    }

    /// How much was seen of a product.
    pub fn seen(&self, sku: &Sku) -> f64 {
        self.learned(sku).map_or(0.0, |learned| learned.seen)
    }

    /// The neighbours of a product: how much was seen of each pair, and of the neighbour.
    pub fn near(&self, sku: &Sku) -> impl Iterator<Item = (&Sku, f64, f64)> {
        let near = self.learned(sku).map(|learned| learned.near.as_slice()).unwrap_or_default();
        near.iter().filter_map(|(id, weight)| {
            let neighbour = self.products.get(*id as usize)?;
            Some((&neighbour.sku, *weight, neighbour.seen))
        })
    }

    /// How many products are known.
    pub fn len(&self) -> usize {
        self.products.len()
    }

    /// Whether nothing was learned.
    pub fn is_empty(&self) -> bool {
        self.products.is_empty()
    }

    fn learned(&self, sku: &Sku) -> Option<&Learned> {
        self.products.get(*self.ids.get(sku)? as usize)
    }

    fn note(&mut self, sku: &Sku, time: Millis) -> u32 {
        if let Some(id) = self.ids.get(sku) {
            let learned = &mut self.products[*id as usize];
            learned.last = learned.last.max(time);
            return *id;
        }
        // Bounded by `products_max`, far below what an id can count.
        let id = u32::try_from(self.products.len()).unwrap_or(u32::MAX);
        self.ids.insert(sku.clone(), id);
        self.products.push(Learned { sku: sku.clone(), seen: 0.0, last: time, near: Vec::new() });
        id
    }

    fn bind(&mut self, from: u32, to: u32, weight: f64) {
        if from == to {
            return;
        }
        let near = &mut self.products[from as usize].near;
        if let Some((_, held)) = near.iter_mut().find(|(id, _)| *id == to) {
            *held += weight;
            return;
        }
        if near.len() >= self.limits.near_max {
            let weakest = near
                .iter()
                .enumerate()
                .min_by(|(_, (a, x)), (_, (b, y))| x.total_cmp(y).then(b.cmp(a)))
                .map(|(at, _)| at);
            if let Some(at) = weakest {
                near.swap_remove(at);
            }
        }
        near.push((to, weight));
    }

    /// Forgets the quarter of the products that were seen longest ago.
    fn forget(&mut self) {
        let mut order: Vec<usize> = (0..self.products.len()).collect();
        order.sort_by(|a, b| {
            let (a, b) = (&self.products[*a], &self.products[*b]);
            b.last.cmp(&a.last).then_with(|| a.sku.cmp(&b.sku))
        });
        order.truncate(self.products.len() - self.products.len().div_ceil(4));
        let mut moved = vec![None; self.products.len()];
        for (new, old) in order.iter().enumerate() {
            moved[*old] = u32::try_from(new).ok();
        }
        let mut old: Vec<Option<Learned>> =
            std::mem::take(&mut self.products).into_iter().map(Some).collect();
        self.products = order.iter().filter_map(|at| old[*at].take()).collect();
        for learned in &mut self.products {
            learned.near = std::mem::take(&mut learned.near)
                .into_iter()
                .filter_map(|(id, weight)| Some((moved[id as usize]?, weight)))
                .collect();
        }
        self.ids = self
            .products
            .iter()
            .enumerate()
            .filter_map(|(id, learned)| Some((learned.sku.clone(), u32::try_from(id).ok()?)))
            .collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sku(name: &str) -> Sku {
        Sku::parse(name).unwrap()
    }

    fn learn(views: &mut CoViews, name: &str, with: &[&str], time: u64) {
        let with = with.iter().map(|name| sku(name)).collect();
        views.learn(&Lesson { sku: sku(name), with }, Millis(time));
    }

    fn near(views: &CoViews, name: &str) -> Vec<(String, f64)> {
        let name = sku(name);
        let mut near: Vec<_> =
            views.near(&name).map(|(sku, weight, _)| (sku.as_str().to_owned(), weight)).collect();
        near.sort_by(|a, b| a.0.cmp(&b.0));
        near
    }

    #[test]
    fn pairs_count_both_ways_and_by_distance() {
        let mut views = CoViews::new(Limits::default());
        learn(&mut views, "A", &[], 0);
        learn(&mut views, "B", &["A"], 0);
        learn(&mut views, "C", &["B", "A"], 0);
        assert_eq!(near(&views, "A"), [("B".into(), 1.0), ("C".into(), 0.5)]);
        assert_eq!(near(&views, "C"), [("A".into(), 0.5), ("B".into(), 1.0)]);
        assert_eq!(views.seen(&sku("A")), 1.0);
    }

    #[test]
    fn what_was_seen_a_half_life_ago_counts_half() {
        let mut views = CoViews::new(Limits { half_life_ms: 1000, ..Limits::default() });
        learn(&mut views, "A", &[], 0);
        learn(&mut views, "B", &["A"], 0);
        learn(&mut views, "C", &["A"], 1000);
        let near = near(&views, "A");
        assert_eq!(near[1].1 / near[0].1, 2.0);
        assert_eq!(views.count_at(Millis(2000)), 4.0);
    }

    #[test]
    fn the_weakest_neighbour_makes_room() {
        let mut views = CoViews::new(Limits { near_max: 2, ..Limits::default() });
        learn(&mut views, "A", &[], 0);
        for (name, times) in [("B", 3), ("C", 1), ("D", 1)] {
            for _ in 0..times {
                learn(&mut views, name, &["A"], 0);
            }
        }
        assert_eq!(near(&views, "A"), [("B".into(), 3.0), ("D".into(), 1.0)]);
    }

    #[test]
    fn the_products_are_bounded_and_what_is_left_stays_right() {
        let mut views = CoViews::new(Limits { products_max: 8, ..Limits::default() });
        for n in 0..100_u64 {
            learn(&mut views, &format!("S{n}"), &[&format!("S{}", n.saturating_sub(1))], n);
            assert!(views.len() <= 8);
        }
        assert_eq!(near(&views, "S99").len(), 1);
        assert_eq!(near(&views, "S99")[0].0, "S98");
        assert!(views.near(&sku("S1")).next().is_none());
    }
}
