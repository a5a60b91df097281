//! What another version of the view takes over from the served one, since no click tells it: what
//! visitors were shown of promotions, and what they wait for.
//!
//! Whoever has something to be taken over has a click that led to it, so it is put into the state
//! with the visitor's clicks as they are folded again. A run that begins after the relays were stopped
//! finds the served states as they were left, and folds a click of everybody whose state has changed
//! since the run before.

use std::collections::HashMap;

use clickmill_kafka::KafkaConfig;
use clickmill_streams::{Around, Error, Poison, Raw, State as _, View, each_state};
use tracing::warn;

use crate::views::visitor::click::Click;
use crate::views::visitor::{Seen, Untold, Visitor, VisitorView};

/// What is taken over, by key. It is in memory while a version is made: some 200 bytes for each
/// visitor who was shown a promotion.
#[derive(Debug, Default)]
pub(super) struct Carried(HashMap<Box<[u8]>, Untold>);

/// The view that takes it over.
#[derive(Debug)]
pub(super) struct Carrying {
    pub(super) view: VisitorView,
    pub(super) carried: Carried,
}

impl Carried {
    /// Reads it from the served version's states. Blocks.
    pub(super) fn read(kafka: &KafkaConfig, topic: &str) -> Result<Self, Error> {
        let mut carried = Self::default();
        each_state(kafka, topic, |key, state, place| {
            let untold = match state.map(Visitor::read) {
                Some(Ok(visitor)) => visitor.untold(),
                Some(Err(poison)) => {
                    warn!(%place, %poison, "what a state holds of promotions is not taken over");
                    Untold::default()
                }
                None => Untold::default(),
            };
            carried.put(key, untold);
        })?;
        Ok(carried)
    }

    fn put(&mut self, key: &[u8], untold: Untold) {
        if untold.is_nothing() {
            self.0.remove(key);
        } else {
            self.0.insert(key.into(), untold);
        }
    }
}

impl View for Carrying {
    type Input = Click;
    type State = Visitor;
    type Tables = ();
    type Output = Seen;

    fn decode(&self, raw: &Raw<'_>) -> Result<Click, Poison> {
        self.view.decode(raw)
    }

    fn time_ms(&self, click: &Click) -> u64 {
        self.view.time_ms(click)
    }

    fn fold(&self, state: &mut Visitor, click: Click, around: &Around<'_, ()>) -> Vec<Seen> {
        let said = self.view.fold(state, click, around);
        if let Some(untold) = around.key.and_then(|key| self.carried.0.get(key)) {
            state.take_over(untold);
        }
        said
    }
}
