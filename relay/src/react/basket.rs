//! What a click puts into the basket, or orders, is shown no more.

use clickmill_sdk_core::wire::{HintId, PageKind};

use super::{React, Stem};
use crate::hints::hub::{Away, Subject, Telling};
use crate::views::visitor::Signals;

impl React {
    /// Takes back what still shows a product that a click has put into the basket or ordered, after
    /// its own hints were said: mostly they have taken the place of those.
    pub(super) fn put_away(&self, (signals, subject): (&Signals, &Subject), stem: Stem) {
        if signals.taken.is_empty() {
            return;
        }
        let click = HintId {
            source: stem.source.to_owned(),
            partition: stem.place.partition,
            offset: stem.place.offset,
            n: 0,
        };
        let away = Away {
            skus: &signals.taken,
            model: if signals.page == PageKind::Order { "ordered" } else { "in_basket" },
            click: &click,
            cause: stem.cause,
            telling: Telling::of(signals.received_at, stem.epoch),
        };
        self.means.hub.put_away(subject, away, stem.now);
    }
}
