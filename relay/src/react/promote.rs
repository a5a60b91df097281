//! Says promotions: those that were decided with a click, and those that hold and are not shown, as
//! after a restart or a sell-out that is over.

use std::sync::Arc;

use clickmill_kafka::Headers;
use clickmill_sdk_core::wire::{
    Hint, HintId, HintKind, Millis, Sku, Slot, TableVersion, ToJson as _, Why,
};
use clickmill_streams::{Place, Produce};

use super::{PAGES, React, State, Stem, Wish};
use crate::hints::frame::Frame;
use crate::hints::hub::{Said, Subject, Telling};
use crate::promotions::decide::Verdict;
use crate::promotions::promoter::{Asking, Promoter, Told};
use crate::promotions::rule::{Picked, Rule};
use crate::tables::Shelf;
use crate::views::visitor::Signals;

impl React {
    /// Says a click's promotions. Returns the slots that promotions hold: no suggestion takes them.
    pub(super) fn promote(
        &self,
        (signals, subject): (&Signals, &Subject),
        (shelf, stem): (&Shelf<'_>, Stem),
        telling: Telling,
    ) -> Vec<Slot> {
        let Some(promoter) = &self.means.promoter else { return Vec::new() };
        let at = (stem.now, shelf);
        let recalled = signals.standing.as_ref();
        let recalled = recalled.map(|known| promoter.holding(&signals.tenant, &known.history, at));
        let told = recalled.as_ref().unwrap_or(&signals.promotions);
        if told.is_silent() {
            return Vec::new();
        }
        let clicked_at = telling.is_new().then_some(signals.time);
        let hints = self.promoted((promoter, told), (subject, signals, shelf), stem);
        for said in hints {
            let said = Said { telling, clicked_at, ..said };
            self.means.hub.say(subject, said, (stem.place.partition, stem.now));
        }
        self.held(told, (subject, stem.now))
    }

    /// Decides and says the promotions of a page that a server renders. Returns what is new, and the
    /// slots that promotions hold.
    pub(super) fn promote_page(
        &self,
        (subject, wish): (&Subject, &Wish<'_>),
        (signals, state): (&Signals, &mut State),
        (epoch, now): (u64, Millis),
    ) -> (Vec<Arc<Frame>>, Vec<Slot>) {
        let Some(promoter) = &self.means.promoter else { return Default::default() };
        let standing = signals.standing.clone().unwrap_or_default();
        let asking = Asking {
            tenant: wish.tenant,
            visitor: wish.visitor,
            visit: standing.visit,
            event: None,
            time: now,
            now,
            asks: true,
            personalization: signals.personalization,
        };
        let shelf = self.means.tables.shelf(wish.tenant, now);
        let told = promoter.page(&asking, (&standing, wish.sku, wish.slots), &shelf);
        if told.is_silent() {
            return Default::default();
        }
        let place = Place { partition: wish.partition, offset: state.next_page(now) };
        let stem = Stem { source: PAGES, place, epoch, cause: None, now };
        let hints = self.promoted((promoter, &told), (subject, signals, &shelf), stem);
        let said =
            hints.into_iter().map(|said| self.means.hub.say(subject, said, (wish.partition, now)));
        let said = said.collect();
        (said, self.held(&told, (subject, now)))
    }

    /// The slots that promotions hold on the visitor's pages. One that was taken back, since what it
    /// shows is in the basket, holds none.
    fn held(&self, told: &Told, (subject, now): (&Subject, Millis)) -> Vec<Slot> {
        let shown = self.means.hub.promoted(subject, now);
        let is_shown = |rule: &Rule| shown.iter().any(|tag| **tag == *rule.tag());
        let held = told.holding.iter().filter(|holding| is_shown(&holding.rule));
        held.map(|holding| holding.rule.slot.clone()).collect()
    }

    /// The records of what was decided.
    pub(super) fn promotion_records(&self, signals: &Signals) -> Vec<Produce> {
        let decided = self.means.promoter.as_ref().and_then(|promoter| promoter.decided());
        let Some(topic) = decided else { return Vec::new() };
        let records = signals.promotions.records.iter().map(|record| Produce {
            topic: Arc::clone(topic),
            key: Some(format!("{}:{}", record.tenant, record.visitor).into_bytes()),
            value: Some(record.to_json().into_bytes()),
            headers: Headers::default(),
        });
        records.collect()
    }

    /// The hints of promotions that are not shown yet.
    fn promoted(
        &self,
        (promoter, told): (&Arc<Promoter>, &Told),
        (subject, signals, shelf): (&Subject, &Signals, &Shelf<'_>),
        stem: Stem,
    ) -> Vec<Said> {
        let shown = self.means.hub.promoted(subject, stem.now);
        let mut tables = shelf.versions();
        tables.extend(promoter.versions().iter().map(|version| TableVersion {
            table: "promotions".to_owned(),
            offset: version.offset,
        }));
        let mut said = Vec::new();
        for holding in &told.holding {
            let rule = &holding.rule;
            let new =
                told.verdicts.iter().find(|verdict| verdict.is_shown() && verdict.rule == *rule);
            // What the rules were when it was decided they may not be any more.
            let is_told = new.is_none() && shown.iter().any(|tag| **tag == *rule.tag());
            if is_told || !promoter.is_current(rule, stem.now) {
                continue;
            }
            // Nor need there be in stock what was then.
            let Some(mut picked) = rule.pick(holding.sku.as_ref(), shelf) else { continue };
            if new.is_none() && !leave_out(&mut picked, signals, holding.at) {
                continue;
            }
            let n =
                u32::try_from(self.policy.rules.slots.len() + 1 + said.len()).unwrap_or(u32::MAX);
            let inputs = new.map(|verdict: &Verdict| verdict.inputs.clone()).unwrap_or_default();
            let (tables, model) = (tables.clone(), rule.tag());
            let why = Why { model, inputs, support: None, tables, variant: None };
            said.push(hint((rule, picked, holding.until), (stem, n), why));
        }
        said
    }
}

/// Leaves out what is in the basket, or was ordered since a promotion began. Whether it still has
/// something to show.
fn leave_out(picked: &mut Picked, signals: &Signals, since: Millis) -> bool {
    let had_any = !picked.products.is_empty();
    let is_ordered =
        |sku: &Sku| signals.bought.iter().any(|one| one.sku == *sku && one.at >= since);
    picked
        .products
        .retain(|product| !signals.basket.contains(&product.sku) && !is_ordered(&product.sku));
    !had_any || !picked.products.is_empty()
}

fn hint((rule, picked, until): (&Rule, Picked, Millis), (stem, n): (Stem, u32), why: Why) -> Said {
    let Place { partition, offset } = stem.place;
    let hint = Hint {
        id: HintId { source: stem.source.to_owned(), partition, offset, n },
        kind: HintKind::Promote,
        epoch: stem.epoch,
        slot: Some(rule.slot.clone()),
        content: rule.shown(&picked.products),
        why,
        expires_at: until,
        stock_version: picked.stock_version,
        cause: stem.cause,
        decided_at: stem.now,
    };
    let skus = picked.products.into_iter().map(|product| product.sku).collect();
    Said { hint, skus, telling: Telling::First, clicked_at: None }
}
