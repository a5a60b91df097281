//! What is learned from all visitors of a tenant: which products one visit saw, in which order. Who
//! is somewhere now most likely goes where visits went that were at the same products.
//!
//! The method is nearest neighbours by session with the refinements of V-SKNN (Ludewig and Jannach,
//! "Evaluation of session-based recommendation algorithms", 2018) and STAN (Garg et al., "Sequence
//! and time aware neighborhood for session-based recommendations", 2019): the product seen last
//! counts most, rare products say more than popular ones, visits fade with their age, and in a
//! neighbour's visit what lies near the shared product counts more than what lies far from it, and
//! what came after it more than what came before. There is no training: a click is learned in the
//! time that it takes to append it.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, Hash, RandomState};

use clickmill_sdk_core::wire::{Millis, Sku};

/// How many of the products that are seen most are known in order.
const HOT_MAX: usize = 64;

/// How much is learned, and what counts how much.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// After this long a visit counts half, ms.
    pub half_life_ms: u64,
    /// Visits; beyond it the one begun first is forgotten.
    pub visits_max: usize,
    /// Products of one visit; what a visit sees beyond it teaches nothing.
    pub visit_products_max: usize,
    /// Products; beyond it those seen longest ago are forgotten.
    pub products_max: usize,
    /// How many visits of one product are looked at, the newest.
    pub neighbours_max: usize,
    /// How many products seen last are looked at.
    pub inputs_max: usize,
    /// After so many products seen since, one counts 1/e.
    pub input_reach: f64,
    /// So many products away from the shared one, another one of the neighbour counts 1/e.
    pub neighbour_reach: f64,
    /// What a product counts that the neighbour saw before the shared one, of what it counts behind.
    pub before_share: f64,
    /// What the shared product itself counts.
    pub shared_share: f64,
    /// How much the rarity of a shared product counts: its idf is raised to this power.
    pub rarity: f64,
    /// How much less long visits say: a visit counts 1 / products^this.
    pub length_damping: f64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            half_life_ms: 3 * 24 * 60 * 60 * 1000,
            visits_max: 100_000,
            visit_products_max: 64,
            products_max: 50_000,
            neighbours_max: 500,
            inputs_max: 8,
            input_reach: 1.5,
            neighbour_reach: 3.0,
            before_share: 0.6,
            shared_share: 0.6,
            rarity: 1.2,
            length_damping: 0.4,
        }
    }
}

/// What was learned of one tenant's visitors.
#[derive(Debug)]
pub struct Visits {
    limits: Limits,
    ids: HashMap<Sku, u32>,
    products: Vec<Product>,
    /// The slots of visits; the one at `next` is the next to be used.
    visits: Vec<Visit>,
    next: usize,
    /// The slots by the visits' names, of which only hashes are kept.
    slots: HashMap<u64, u32>,
    hasher: RandomState,
    /// The time at which a sight counts 1.
    origin: Option<Millis>,
    /// Visits and products that have a score at the moment.
    scored: (Vec<u32>, Vec<u32>),
    /// The products seen most, best first. What is seen only grows, so that what is not in here gets
    /// in by being seen alone.
    hot: Vec<u32>,
}

/// A product that an answer may have in it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Candidate {
    /// Its number here, for [`Visits::sku`].
    id: u32,
    /// Better ones have higher scores, which mean nothing beside those of another question.
    pub score: f64,
    /// On how many visits that rests.
    pub support: u32,
}

#[derive(Debug)]
struct Product {
    sku: Sku,
    /// How much was seen of it, fading: see [`Visits::count`].
    seen: f64,
    last: Millis,
    /// The newest visits that saw it, newest last.
    visits: VecDeque<u32>,
    /// Its weight as an input, and its score; 0 between questions.
    input: f32,
    score: f32,
    /// Visits that its score rests on.
    support: u32,
}

#[derive(Debug)]
struct Visit {
    name: u64,
    last: Millis,
    /// Each once, in the order in which they were first seen.
    products: Vec<u32>,
    /// 0 between questions.
    score: f32,
}

impl Visits {
    /// Nothing learned yet.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            ids: HashMap::new(),
            products: Vec::new(),
            visits: Vec::new(),
            next: 0,
            slots: HashMap::new(),
            hasher: RandomState::new(),
            origin: None,
            scored: Default::default(),
            hot: Vec::new(),
        }
    }

    /// Learns that a visit saw a product. One that the visit saw before teaches nothing.
    pub fn learn(&mut self, visit: &(impl Hash + ?Sized), sku: &Sku, time: Millis) {
        let slot = self.slot(self.hasher.hash_one(visit), time);
        let id = self.note(sku, time);
        let visit = &mut self.visits[slot as usize];
        visit.last = visit.last.max(time);
        if visit.products.len() >= self.limits.visit_products_max || visit.products.contains(&id) {
            return;
        }
        visit.products.push(id);
        let count = self.count(time);
        let product = &mut self.products[id as usize];
        product.seen += count;
        product.visits.push_back(slot);
        if product.visits.len() > self.limits.neighbours_max {
            product.visits.pop_front();
        }
        self.warm(id);
        if self.products.len() > self.limits.products_max {
            self.forget();
        }
    }

    /// The products that follow from those seen, newest first; in no order, and those seen among
    /// them.
    pub fn follow(&mut self, seen: &[Sku], now: Millis) -> Vec<Candidate> {
        let inputs = self.weigh(seen);
        self.meet(&inputs);
        self.score(now);
        for id in inputs {
            self.products[id as usize].input = 0.0;
        }
        let Self { products, scored, .. } = self;
        let answer = |id: u32| {
            let product = &mut products[id as usize];
            let score = std::mem::take(&mut product.score).into();
            Candidate { id, score, support: std::mem::take(&mut product.support) }
        };
        scored.1.drain(..).map(answer).collect()
    }

    /// The product that a candidate is.
    pub fn sku(&self, candidate: &Candidate) -> &Sku {
        &self.products[candidate.id as usize].sku
    }

    /// How much was seen of a product, fading; to be compared with that of another one.
    pub fn seen(&self, sku: &Sku) -> f64 {
        self.ids.get(sku).map_or(0.0, |id| self.products[*id as usize].seen)
    }

    /// How much was seen of a candidate, like [`seen`](Self::seen).
    pub fn seen_of(&self, candidate: &Candidate) -> f64 {
        self.products[candidate.id as usize].seen
    }

    /// What was seen at other times, in sights of now.
    pub fn sights(&self, seen: f64, now: Millis) -> u32 {
        let sights = self.origin.map_or(0.0, |origin| seen / self.growth(origin, now));
        // Bounded by what memory holds, and never below 0.
        sights.round() as u32
    }

    /// The products seen most, best first.
    pub fn hot(&self) -> impl Iterator<Item = (&Sku, f64)> {
        self.hot.iter().map(|id| &self.products[*id as usize]).map(|one| (&one.sku, one.seen))
    }

    /// How many products are known.
    pub fn products(&self) -> usize {
        self.products.len()
    }

    /// How many clicks are known: the products of all visits.
    pub fn clicks(&self) -> usize {
        self.visits.iter().map(|visit| visit.products.len()).sum()
    }

    /// How many visits are known.
    pub fn visits(&self) -> usize {
        self.slots.len()
    }

    /// Gives the products seen last their weights as inputs, and returns those that are known.
    fn weigh(&mut self, seen: &[Sku]) -> Vec<u32> {
        let mut inputs = Vec::with_capacity(self.limits.inputs_max);
        for (since, sku) in seen.iter().take(self.limits.inputs_max).enumerate() {
            let Some(id) = self.ids.get(sku) else { continue };
            let input = &mut self.products[*id as usize].input;
            if *input == 0.0 {
                *input = faded(since, self.limits.input_reach);
                inputs.push(*id);
            }
        }
        inputs
    }

    /// Gives each visit that saw one of the inputs the sum of their weights.
    fn meet(&mut self, inputs: &[u32]) {
        let known = self.visits.len() as f64;
        for id in inputs {
            let product = &self.products[*id as usize];
            let idf = (known / (product.visits.len() as f64 + 1.0)).ln().max(0.1);
            let weight = product.input * idf.powf(self.limits.rarity) as f32;
            for slot in &product.visits {
                let visit = &mut self.visits[*slot as usize];
                if visit.score == 0.0 {
                    self.scored.0.push(*slot);
                }
                visit.score += weight;
            }
        }
    }

    /// Hands the scores of visits on to what they saw.
    fn score(&mut self, now: Millis) {
        let Self { limits, products, visits, scored, .. } = self;
        for slot in scored.0.drain(..) {
            let visit = &mut visits[slot as usize];
            let age = now.since(visit.last) as f64 / limits.half_life_ms.max(1) as f64;
            let length = (visit.products.len() as f64).powf(limits.length_damping);
            let weight = std::mem::take(&mut visit.score) * ((-age).exp2() / length) as f32;
            // Where it shares the input that counts most.
            let input = |at: &usize| products[visit.products[*at] as usize].input;
            let shared = (0..visit.products.len()).max_by(|a, b| input(a).total_cmp(&input(b)));
            let Some(shared) = shared else { continue };
            for (at, id) in visit.products.iter().enumerate() {
                let share = match at.cmp(&shared) {
                    std::cmp::Ordering::Equal => limits.shared_share as f32,
                    std::cmp::Ordering::Greater => faded(at - shared - 1, limits.neighbour_reach),
                    std::cmp::Ordering::Less => {
                        let before = faded(shared - at - 1, limits.neighbour_reach);
                        before * limits.before_share as f32
                    }
                };
                let product = &mut products[*id as usize];
                if product.support == 0 {
                    scored.1.push(*id);
                }
                product.score += weight * share;
                product.support += 1;
            }
        }
    }

    /// The slot of a visit; a new one takes the slot of the visit begun first, if all are taken.
    fn slot(&mut self, name: u64, time: Millis) -> u32 {
        if let Some(slot) = self.slots.get(&name) {
            return *slot;
        }
        let visit = Visit { name, last: time, products: Vec::new(), score: 0.0 };
        let at = self.next;
        self.next = (at + 1) % self.limits.visits_max.max(1);
        // Bounded by `visits_max`, far below what a slot can count.
        let slot = u32::try_from(at).unwrap_or(u32::MAX);
        if at < self.visits.len() {
            let old = std::mem::replace(&mut self.visits[at], visit);
            self.slots.remove(&old.name);
            for id in old.products {
                self.products[id as usize].visits.retain(|seen_by| *seen_by != slot);
            }
        } else {
            self.visits.push(visit);
        }
        self.slots.insert(name, slot);
        slot
    }

    fn note(&mut self, sku: &Sku, time: Millis) -> u32 {
        if let Some(id) = self.ids.get(sku) {
            let product = &mut self.products[*id as usize];
            product.last = product.last.max(time);
            return *id;
        }
        // Bounded by `products_max`, far below what an id can count.
        let id = u32::try_from(self.products.len()).unwrap_or(u32::MAX);
        self.ids.insert(sku.clone(), id);
        self.products.push(Product {
            sku: sku.clone(),
            seen: 0.0,
            last: time,
            visits: VecDeque::new(),
            input: 0.0,
            score: 0.0,
            support: 0,
        });
        id
    }

    /// What one sight counts at a time: the more the later, doubling every half-life. Only ratios
    /// are ever looked at, so fading costs nothing.
    fn count(&mut self, time: Millis) -> f64 {
        let origin = *self.origin.get_or_insert(time);
        self.growth(origin, time)
    }

    fn growth(&self, origin: Millis, time: Millis) -> f64 {
        let span_ms = time.0 as f64 - origin.0 as f64;
        (span_ms / self.limits.half_life_ms.max(1) as f64).clamp(-1000.0, 1000.0).exp2()
    }

    /// A product that was just seen finds its place among those seen most.
    fn warm(&mut self, id: u32) {
        let Self { hot, products, .. } = self;
        let known = hot.iter().position(|hot| *hot == id);
        let mut at = match known {
            Some(at) => at,
            None => {
                let last = hot.last().map_or(0.0, |last| products[*last as usize].seen);
                if hot.len() >= HOT_MAX && products[id as usize].seen <= last {
                    return;
                }
                hot.truncate(HOT_MAX - 1);
                hot.push(id);
                hot.len() - 1
            }
        };
        while at > 0 && products[hot[at - 1] as usize].seen < products[id as usize].seen {
            hot.swap(at - 1, at);
            at -= 1;
        }
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
        let mut old: Vec<Option<Product>> =
            std::mem::take(&mut self.products).into_iter().map(Some).collect();
        self.products = order.iter().filter_map(|at| old[*at].take()).collect();
        for visit in &mut self.visits {
            visit.products = visit.products.iter().filter_map(|id| moved[*id as usize]).collect();
        }
        self.hot = self.hot.iter().filter_map(|id| moved[*id as usize]).collect();
        self.ids.retain(|_, id| match moved[*id as usize] {
            Some(new) => {
                *id = new;
                true
            }
            None => false,
        });
    }
}

/// What is left of 1 after some steps.
fn faded(steps: usize, reach: f64) -> f32 {
    (-(steps as f64) / reach).exp() as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sku(name: &str) -> Sku {
        Sku::parse(name).unwrap()
    }

    fn learn(visits: &mut Visits, visit: &str, names: &[&str], time: u64) {
        for name in names {
            visits.learn(visit, &sku(name), Millis(time));
        }
    }

    fn learned(all: &[&[&str]]) -> Visits {
        let mut visits = Visits::new(Limits::default());
        for (n, names) in all.iter().enumerate() {
            learn(&mut visits, &format!("s{n}"), names, 0);
        }
        visits
    }

    /// What follows, best first, without what was seen.
    fn follow(visits: &mut Visits, seen: &[&str], now: u64) -> Vec<String> {
        let seen: Vec<Sku> = seen.iter().map(|name| sku(name)).collect();
        let found = visits.follow(&seen, Millis(now));
        let mut found: Vec<_> = found.iter().map(|one| (visits.sku(one), one.score)).collect();
        found.retain(|(sku, _)| !seen.contains(sku));
        found.sort_by(|(a, x), (b, y)| y.total_cmp(x).then_with(|| a.cmp(b)));
        found.into_iter().map(|(sku, _)| sku.as_str().to_owned()).collect()
    }

    /// What is seen most, best first.
    fn hot(visits: &Visits) -> Vec<&str> {
        visits.hot().map(|(sku, _)| sku.as_str()).collect()
    }

    #[test]
    fn what_visits_saw_near_and_behind_comes_before_what_they_saw_far_or_before() {
        let mut visits = learned(&[&["Before", "A", "Behind", "Far"], &["X"], &["Y"]]);
        assert_eq!(follow(&mut visits, &["A"], 0), ["Behind", "Far", "Before"]);
        assert!(follow(&mut visits, &["Z"], 0).is_empty());
    }

    #[test]
    fn the_product_seen_last_counts_most_and_more_of_them_agree() {
        let mut visits = learned(&[&["A", "C"], &["B", "D"], &["B", "A", "E"], &["X"], &["Y"]]);
        assert_eq!(follow(&mut visits, &["A", "B"], 0), ["E", "C", "D"]);
        assert_eq!(follow(&mut visits, &["B", "A"], 0), ["D", "E", "C"]);
    }

    #[test]
    fn a_rare_product_says_more_than_one_that_everybody_saw() {
        let mut all: Vec<&[&str]> = vec![&["All", "Usual"]; 20];
        all.push(&["Rare", "Special"]);
        let mut visits = learned(&all);
        visits.limits.input_reach = 1e9;
        assert_eq!(follow(&mut visits, &["All", "Rare"], 0), ["Special", "Usual"]);
        visits.limits.rarity = 0.0;
        assert_eq!(follow(&mut visits, &["All", "Rare"], 0), ["Usual", "Special"]);
    }

    #[test]
    fn visits_fade_with_their_age() {
        let mut visits = Visits::new(Limits { half_life_ms: 1000, ..Limits::default() });
        for (n, (name, time)) in [("Old", 0), ("Old", 0), ("New", 3000)].into_iter().enumerate() {
            learn(&mut visits, &format!("s{n}"), &["A", name], time);
        }
        assert_eq!(follow(&mut visits, &["A"], 3000), ["New", "Old"]);
        assert!(visits.seen(&sku("New")) > visits.seen(&sku("Old")));
        // One sight of now, and a quarter.
        assert_eq!(visits.sights(visits.seen(&sku("A")), Millis(3000)), 1);
        assert_eq!(visits.sights(visits.seen(&sku("A")), Millis(2000)), 3);
    }

    #[test]
    fn what_is_seen_most_is_known_in_order_and_fades() {
        let mut visits = Visits::new(Limits { half_life_ms: 1000, ..Limits::default() });
        for n in 0..HOT_MAX as u64 + 40 {
            learn(&mut visits, &format!("s{n}"), &[&format!("P{:02}", n * 7 % 50), "Top"], n);
        }
        let mut all: Vec<_> = visits.products.iter().map(|one| (&one.sku, one.seen)).collect();
        all.sort_by(|(_, x), (_, y)| y.total_cmp(x));
        let seen: Vec<f64> = visits.hot().map(|(_, seen)| seen).collect();
        assert_eq!(seen, all.iter().map(|(_, seen)| *seen).collect::<Vec<_>>());
        assert_eq!(hot(&visits)[0], "Top");
        for n in 0..3 {
            learn(&mut visits, &format!("late{n}"), &["New"], 20_000);
        }
        assert_eq!(hot(&visits)[..2], ["New", "Top"]);
    }

    #[test]
    fn the_hottest_of_many_products_are_kept() {
        let mut visits = Visits::new(Limits::default());
        for n in 0..500 {
            learn(&mut visits, &format!("s{n}"), &[&format!("P{n}")], 0);
        }
        for n in 500..600 {
            learn(&mut visits, &format!("s{n}"), &["P499", &format!("P{}", n % 20)], 0);
        }
        assert_eq!((hot(&visits).len(), hot(&visits)[0]), (HOT_MAX, "P499"));
        let number = |name: &&str| name[1..].parse::<u32>().unwrap();
        assert!(hot(&visits)[1..21].iter().all(|name| number(name) < 20), "{:?}", hot(&visits));
    }

    #[test]
    fn what_an_answer_rests_on_is_counted() {
        let mut visits = learned(&[&["A", "B"], &["A", "B"], &["A", "C"], &["X"]]);
        let found = visits.follow(&[sku("A")], Millis(0));
        let support = |name| {
            let found = found.iter().find(|one| visits.sku(one).as_str() == name);
            found.map(|one| one.support)
        };
        assert_eq!((support("B"), support("C"), support("X")), (Some(2), Some(1), None));
    }

    #[test]
    fn a_product_seen_again_in_one_visit_counts_once() {
        let mut visits = learned(&[&["A", "B", "A", "B"]]);
        assert_eq!((visits.seen(&sku("A")), visits.visits()), (1.0, 1));
        assert_eq!(follow(&mut visits, &["A"], 0), ["B"]);
        // A question leaves nothing behind.
        let again = visits.follow(&[sku("B")], Millis(0)).len();
        assert_eq!(again, 2);
        assert!(visits.products.iter().all(|product| product.input == 0.0 && product.score == 0.0));
        assert!(visits.visits.iter().all(|visit| visit.score == 0.0));
    }

    #[test]
    fn the_oldest_visit_makes_room_and_leaves_no_trace() {
        let mut visits = Visits::new(Limits { visits_max: 3, ..Limits::default() });
        for n in 0..10 {
            learn(&mut visits, &format!("s{n}"), &["A", &format!("P{n}")], n);
        }
        assert_eq!(visits.visits(), 3);
        assert_eq!(visits.products[0].visits.len(), 3);
        let mut found = follow(&mut visits, &["A"], 10);
        found.sort();
        assert_eq!(found, ["P7", "P8", "P9"]);
    }

    #[test]
    fn a_visit_without_end_is_cut_off() {
        let mut visits = Visits::new(Limits { visit_products_max: 5, ..Limits::default() });
        for n in 0..100 {
            learn(&mut visits, "robot", &[&format!("P{n}")], n);
        }
        assert_eq!(visits.visits[0].products.len(), 5);
    }

    #[test]
    fn the_products_are_bounded_and_what_is_left_stays_right() {
        let mut visits = Visits::new(Limits { products_max: 8, ..Limits::default() });
        for n in 0..100_u64 {
            let names = [format!("S{}", n.saturating_sub(1)), format!("S{n}")];
            learn(&mut visits, &format!("v{n}"), &names.each_ref().map(String::as_str), n);
            assert!(visits.products() <= 8);
        }
        assert_eq!(follow(&mut visits, &["S99"], 99), ["S98"]);
        assert!(follow(&mut visits, &["S1"], 99).is_empty());
        let known = visits.products.len() as u32;
        assert!(visits.visits.iter().all(|visit| visit.products.iter().all(|id| *id < known)));
    }
}
