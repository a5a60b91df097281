//! Says what stock means to a visitor: that what was waited for is back, and what is running low.

use clickmill_sdk_core::wire::{Hint, HintId, HintKind, Millis, Sku, Wait};
use clickmill_streams::Place;

use super::{React, Stem};
use crate::hints::frame::{CLICKS, Frame};
use crate::hints::hub::{Interest, Said, Subject, Telling};
use crate::hints::outbox::Outbox;
use crate::hints::stock::Notice;
use crate::tables::{Shelf, Standing};
use crate::views::visitor::{Lesson, Signals};

impl React {
    /// Whether a hint that has waited for its stream may still go out: it has not expired, and what it
    /// shows can be had. What is taken back finds only hints that hold; one that another hint has
    /// replaced by now is found here. Where what it shows cannot be had, the stream begins anew.
    pub fn may_go_out(&self, (subject, outbox): (&Subject, &Outbox), frame: &Frame) -> bool {
        let now = Millis(self.means.clock.now_ms());
        if matches!(frame.kind, HintKind::Withdraw | HintKind::Reset) {
            return true;
        }
        if frame.expires_at <= now || frame.skus.is_empty() {
            return frame.expires_at > now;
        }
        let Some((tenant, _)) = subject.parts() else { return false };
        let shelf = self.means.tables.shelf(&tenant, now);
        let is_there = |sku: &Sku| matches!(shelf.standing(sku), Standing::InStock(_));
        let is_true = |frame: &Frame| frame.skus.iter().all(is_there);
        if is_true(frame) {
            return true;
        }
        // The tables are held: nothing that is said meanwhile gets lost.
        self.means.hub.renew((subject, outbox), now, is_true);
        false
    }

    /// Says what stock means to a visitor with an event that asks, and has the hub follow it.
    pub(super) fn tell_stock(
        &self,
        (signals, subject): (&Signals, &Subject),
        (shelf, stem): (&Shelf<'_>, Stem),
        telling: Telling,
    ) {
        let (hub, policy) = (&self.means.hub, &self.policy.stock);
        let source = (stem.place.partition, stem.epoch);
        // The tables are held: no record comes in between.
        let interest = policy.interest(signals, (shelf, source));
        let before = hub.interest(subject, interest, stem.now);
        self.tell_back((signals, subject, &before), (shelf, stem), telling);
        if telling.is_new() {
            return self.tell_low((signals, subject), (shelf, stem));
        }
        if stem.now.since(signals.time) >= self.policy.lifetime_ms {
            // It has been told for as long as that holds.
            return;
        }
        for sku in policy.looked_at(signals, shelf) {
            if let Some(notice) = policy.low(sku, shelf) {
                self.tell_of(
                    (subject, stem),
                    (notice.hint(None, source, stem.now), &notice),
                    telling,
                );
            }
        }
    }

    /// Says what is back of what was waited for, and was not told yet: all of it, as long as it holds,
    /// while nothing was said in this epoch.
    fn tell_back(
        &self,
        (signals, subject, before): (&Signals, &Subject, &Interest),
        (shelf, stem): (&Shelf<'_>, Stem),
        telling: Telling,
    ) {
        if signals.waits.is_empty() {
            return;
        }
        let is_whole = self.means.hub.is_whole(subject);
        // What was told before holds for as long as it did then.
        let until = |wait: &Wait| wait.back.unwrap_or(stem.now) + self.policy.stock.lifetime_ms;
        let is_due = |wait: &&Wait| !is_whole || !before.back.contains(&wait.sku);
        let due = signals.waits.iter().filter(is_due).filter(|wait| until(wait) > stem.now);
        let back = due.filter_map(|wait| Some((wait, self.policy.stock.notice(&wait.sku, shelf)?)));
        let mut back: Vec<(&Wait, Notice<'_>)> = back.collect();
        // In the order in which they came back: the newest stays in the slot.
        back.sort_by_key(|(_, notice)| (notice.place.offset, notice.place.partition));
        let telling = match telling {
            Telling::First if !is_whole => Telling::Perhaps,
            telling => telling,
        };
        for (wait, notice) in back {
            let awaited = Place { partition: wait.partition, offset: wait.offset };
            let source = (stem.place.partition, stem.epoch);
            let hint = notice.hint(Some(awaited), source, stem.now);
            let hint = Hint { expires_at: until(wait), ..hint };
            self.tell_of((subject, stem), (hint, &notice), telling);
        }
    }

    /// Says that the product which a visit saw for the first time is running low.
    fn tell_low(
        &self,
        (signals, subject): (&Signals, &Subject),
        (shelf, stem): (&Shelf<'_>, Stem),
    ) {
        let Some(Lesson::Saw(_, sku)) = &signals.lesson else { return };
        let Some(notice) = self.policy.stock.low(sku, shelf) else { return };
        let Place { partition, offset } = stem.place;
        let n = u32::try_from(self.policy.rules.slots.len()).unwrap_or(u32::MAX);
        let hint = Hint {
            id: HintId { source: CLICKS.to_owned(), partition, offset, n },
            cause: stem.cause,
            ..notice.hint(None, (partition, stem.epoch), stem.now)
        };
        let telling = Telling::of(signals.received_at, stem.epoch);
        let said = Said { hint, skus: vec![sku.clone()], telling, clicked_at: Some(signals.time) };
        self.means.hub.say(subject, said, (partition, stem.now));
    }

    fn tell_of(
        &self,
        (subject, stem): (&Subject, Stem),
        (hint, notice): (Hint, &Notice<'_>),
        telling: Telling,
    ) {
        let skus = vec![notice.product.sku.clone()];
        let said = Said { hint, skus, telling, clicked_at: None };
        self.means.hub.say(subject, said, (stem.place.partition, stem.now));
    }
}
