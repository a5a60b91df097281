//! A part of all visitors, behind one lock: what they were told, and which products hints show.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use clickmill_sdk_core::wire::{Millis, Sku};

use super::Subject;
use super::visitor::{Active, Handed, Interest, Visitor};
use crate::hints::feed::Marks;

/// A part of all visitors.
#[derive(Debug, Default)]
pub(super) struct Shard {
    pub(super) visitors: HashMap<Subject, Visitor>,
    /// Which visitors' hints show a product.
    pub(super) showing: HashMap<Sku, HashSet<Subject>>,
    /// To which visitors a product's stock matters.
    pub(super) wanted: HashMap<Sku, HashSet<Subject>>,
    /// Visitors that were told something, once each, in the order in which they are looked at to
    /// see whether they can be forgotten.
    order: VecDeque<Subject>,
}

impl Shard {
    /// A visitor, new if nothing is known of it.
    pub(super) fn visitor(&mut self, (subject, source): (&Subject, (u32, u64))) -> &mut Visitor {
        self.visitors.entry(subject.clone()).or_insert_with(|| Visitor::new(source))
    }

    /// Says a hint to a visitor, and keeps the index of shown products right.
    pub(super) fn say(
        &mut self,
        subject: &Subject,
        said: &Active,
        (source, ring_max, now): ((u32, u64), usize, Millis),
    ) -> Handed {
        self.hide_all(subject);
        let visitor = known(&mut self.visitors, &mut self.order, (subject, source));
        visitor.is_fresh = true;
        let handed = visitor.say(said, source, (ring_max, now));
        for sku in visitor.shown() {
            self.showing.entry(sku.clone()).or_default().insert(subject.clone());
        }
        handed
    }

    /// What servers choose a visitor by from now on.
    pub(super) fn mark(&mut self, (subject, source): (&Subject, (u32, u64)), marks: Marks) {
        let visitor = known(&mut self.visitors, &mut self.order, (subject, source));
        visitor.is_fresh = true;
        visitor.marks = Some(Arc::new(marks));
    }

    /// What servers choose a visitor by.
    pub(super) fn marks(&self, subject: &Subject) -> Option<Arc<Marks>> {
        self.visitors.get(subject).and_then(|visitor| visitor.marks.clone())
    }

    /// Which products' stock matters to a visitor from now on. Gives back those that did before.
    pub(super) fn interest(&mut self, subject: &Subject, interest: Interest) -> Option<Interest> {
        let is_none = interest.skus().next().is_none();
        if is_none && self.visitors.get(subject).is_none_or(|held| held.interest().is_none()) {
            return None;
        }
        let visitor = known(&mut self.visitors, &mut self.order, (subject, interest.source));
        visitor.is_fresh = true;
        let before = visitor.set_interest((!is_none).then_some(interest));
        leave(&mut self.wanted, subject, before.iter().flat_map(Interest::skus));
        for sku in visitor.wanted() {
            self.wanted.entry(sku.clone()).or_default().insert(subject.clone());
        }
        before
    }

    /// Takes a visitor out of the index of shown products.
    pub(super) fn hide_all(&mut self, subject: &Subject) {
        let Some(visitor) = self.visitors.get(subject) else { return };
        leave(&mut self.showing, subject, visitor.shown());
    }

    /// Forgets a visitor.
    pub(super) fn remove(&mut self, subject: &Subject) {
        if let Some(visitor) = self.visitors.remove(subject) {
            leave(&mut self.showing, subject, visitor.shown());
            leave(&mut self.wanted, subject, visitor.wanted());
        }
    }

    /// Forgets what a partition's visitors were told; their streams hear that.
    pub(super) fn close_partition(&mut self, partition: u32) {
        let is_of = |visitor: &Visitor| visitor.source().0 == partition;
        for (subject, visitor) in self.visitors.extract_if(|_, visitor| is_of(visitor)) {
            visitor.leave_all();
            leave(&mut self.showing, &subject, visitor.shown());
            leave(&mut self.wanted, &subject, visitor.wanted());
        }
        self.order.retain(|subject| self.visitors.contains_key(subject));
    }

    /// Forgets visitors without a stream that had no part in anything since they were looked at last:
    /// those whose hints have all expired, and beyond the bound the others.
    pub(super) fn make_room(&mut self, visitors_max: usize, now: Millis) {
        // More are looked at than one call can bring, so it catches up; and never a long wait.
        for _ in 0..self.order.len().min(4) {
            let Some(subject) = self.order.pop_front() else { return };
            let is_over = self.visitors.len() > visitors_max.max(1);
            let Some(visitor) = self.visitors.get_mut(&subject) else { continue };
            let was_fresh = std::mem::take(&mut visitor.is_fresh);
            let is_told = visitor.is_told(now);
            if visitor.streams() > 0 || was_fresh || (is_told && !is_over) {
                self.order.push_back(subject);
            } else {
                self.remove(&subject);
            }
        }
    }
}

/// A visitor that stands in the order.
fn known<'a>(
    visitors: &'a mut HashMap<Subject, Visitor>,
    order: &mut VecDeque<Subject>,
    (subject, source): (&Subject, (u32, u64)),
) -> &'a mut Visitor {
    let visitor = visitors.entry(subject.clone()).or_insert_with(|| Visitor::new(source));
    if !std::mem::replace(&mut visitor.is_known, true) {
        order.push_back(subject.clone());
    }
    visitor
}

/// Takes a visitor out of an index of products.
fn leave<'a>(
    index: &mut HashMap<Sku, HashSet<Subject>>,
    subject: &Subject,
    skus: impl Iterator<Item = &'a Sku>,
) {
    for sku in skus {
        let Some(subjects) = index.get_mut(sku) else { continue };
        subjects.remove(subject);
        if subjects.is_empty() {
            index.remove(sku);
        }
    }
}
