//! What everybody's models are compared with.

use std::collections::{HashMap, HashSet};

use clickmill_sdk_core::wire::{Millis, Sku};

use super::{Model, Visit, best};

/// Neighbours that a session-kNN asks, out of the newest that share a product. Both are as large as
/// helps it here.
const NEIGHBOURS: usize = 500;
const SAMPLE: usize = 1_000;

/// What is clicked most.
#[derive(Debug)]
pub(super) struct Popularity(Vec<(Sku, f64)>);

impl Popularity {
    pub(super) fn learn(visits: &[Visit]) -> Self {
        let mut counts: HashMap<&Sku, f64> = HashMap::new();
        for (sku, _) in visits.iter().flat_map(|visit| &visit.clicks) {
            *counts.entry(sku).or_default() += 1.0;
        }
        Self(counts.into_iter().map(|(sku, count)| (sku.clone(), count)).collect())
    }
}

impl Model for Popularity {
    fn next(&mut self, seen: &[Sku], _: Millis, with_seen: bool) -> Vec<Sku> {
        let all = self.0.iter().filter(|(sku, _)| with_seen || !seen.contains(sku));
        best(all.map(|(sku, count)| (sku, *count)).collect())
    }
}

/// What was clicked in the same visits as the last product, by how often; the product itself counts
/// as often as it was clicked again.
#[derive(Debug)]
pub(super) struct CoView(HashMap<Sku, HashMap<Sku, f64>>);

impl CoView {
    pub(super) fn learn(visits: &[Visit]) -> Self {
        let mut pairs: HashMap<Sku, HashMap<Sku, f64>> = HashMap::new();
        for visit in visits {
            for (at, (one, _)) in visit.clicks.iter().enumerate() {
                for (other_at, (other, _)) in visit.clicks.iter().enumerate() {
                    if at != other_at {
                        let near = pairs.entry(one.clone()).or_default();
                        *near.entry(other.clone()).or_default() += 1.0;
                    }
                }
            }
        }
        Self(pairs)
    }
}

impl Model for CoView {
    fn next(&mut self, seen: &[Sku], _: Millis, with_seen: bool) -> Vec<Sku> {
        let near = seen.first().and_then(|last| self.0.get(last)).into_iter().flatten();
        let all = near.filter(|(sku, _)| with_seen || !seen.contains(sku));
        best(all.map(|(sku, count)| (sku, *count)).collect())
    }
}

/// Plain session-based nearest neighbours: the cosine between the sets of products.
#[derive(Debug)]
pub(super) struct SessionKnn {
    /// The products of each visit, each once; the later visit has the higher number.
    visits: Vec<HashSet<Sku>>,
    seen_by: HashMap<Sku, Vec<usize>>,
}

impl SessionKnn {
    pub(super) fn learn(visits: &[Visit]) -> Self {
        let sets = visits.iter().map(|visit| visit.clicks.iter().map(|(sku, _)| sku.clone()));
        let visits: Vec<HashSet<Sku>> = sets.map(Iterator::collect).collect();
        let mut seen_by: HashMap<Sku, Vec<usize>> = HashMap::new();
        for (number, visit) in visits.iter().enumerate() {
            for sku in visit {
                seen_by.entry(sku.clone()).or_default().push(number);
            }
        }
        Self { visits, seen_by }
    }

    /// The visits that share a product, the newest `SAMPLE` of them, and how many they share.
    fn sharing(&self, seen: &[Sku]) -> Vec<(usize, f64)> {
        let mut shared: HashMap<usize, f64> = HashMap::new();
        for visit in seen.iter().filter_map(|sku| self.seen_by.get(sku)).flatten() {
            *shared.entry(*visit).or_default() += 1.0;
        }
        let mut shared: Vec<(usize, f64)> = shared.into_iter().collect();
        shared.sort_unstable_by_key(|(visit, _)| std::cmp::Reverse(*visit));
        shared.truncate(SAMPLE);
        shared
    }
}

impl Model for SessionKnn {
    fn next(&mut self, seen: &[Sku], _: Millis, with_seen: bool) -> Vec<Sku> {
        let cosine = |(visit, shared): (usize, f64)| {
            (visit, shared / ((self.visits[visit].len() * seen.len()) as f64).sqrt())
        };
        let mut near: Vec<(usize, f64)> = self.sharing(seen).into_iter().map(cosine).collect();
        near.sort_by(|(a, x), (b, y)| y.total_cmp(x).then_with(|| b.cmp(a)));
        near.truncate(NEIGHBOURS);
        let mut scores: HashMap<&Sku, f64> = HashMap::new();
        for (visit, similarity) in near {
            for sku in self.visits[visit].iter().filter(|sku| with_seen || !seen.contains(sku)) {
                *scores.entry(sku).or_default() += similarity;
            }
        }
        best(scores.into_iter().collect())
    }
}
