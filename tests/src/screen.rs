//! What a page shows: it takes hints as the SDK does, and keeps what it was shown when.

use std::collections::{BTreeMap, HashSet};

use clickmill_sdk_core::wire::{Hint, HintKind, Millis};
use serde_json::Value;

/// What fills a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// The hint's id.
    pub hint: String,
    /// The products it shows.
    pub skus: Vec<String>,
}

/// A page's slots.
#[derive(Clone, Debug, Default)]
pub struct Screen {
    /// What fills each slot.
    pub slots: BTreeMap<String, Shown>,
    /// Hints that were shown, and when they were here.
    pub shown: Vec<(Shown, Millis)>,
    /// Hints that are shown no more, and until when they were.
    pub gone: Vec<(Shown, Millis)>,
    /// The ids of hints that were taken back while they were shown.
    pub withdrawn: Vec<String>,
    /// Hints that came twice, or from an older epoch.
    pub faults: Vec<String>,
    /// Snapshots that began anew.
    pub resets: usize,
    epoch: u64,
    seen: HashSet<String>,
}

impl Screen {
    /// Takes a hint that came at a moment.
    pub fn take(&mut self, hint: &Hint, at: Millis) {
        let id = hint.id.to_string();
        self.enter(hint.epoch, &id);
        if !self.seen.insert(id.clone()) {
            self.faults.push(format!("{id} came twice"));
        }
        let Some(slot) = hint.slot.as_ref().map(|slot| slot.as_str().to_owned()) else { return };
        match hint.kind {
            HintKind::Withdraw => {
                let content: Value =
                    serde_json::from_str(hint.content.as_str()).unwrap_or_default();
                let named = content["hint"].as_str().unwrap_or_default();
                if self.slots.get(&slot).is_some_and(|shown| shown.hint == named) {
                    self.gone.extend(self.slots.remove(&slot).map(|shown| (shown, at)));
                    self.withdrawn.push(named.to_owned());
                }
            }
            _ => {
                let shown = Shown { hint: id, skus: products(hint) };
                self.shown.push((shown.clone(), at));
                self.gone.extend(self.slots.insert(slot, shown).map(|shown| (shown, at)));
            }
        }
    }

    /// All that was shown goes at a moment; what holds follows.
    pub fn reset(&mut self, data: &str, at: Millis) {
        let data: Value = serde_json::from_str(data).unwrap_or_default();
        self.enter(data["epoch"].as_u64().unwrap_or_default(), "a reset");
        let shown = std::mem::take(&mut self.slots);
        self.gone.extend(shown.into_values().map(|shown| (shown, at)));
        self.seen.clear();
        self.resets += 1;
    }

    fn enter(&mut self, epoch: u64, what: &str) {
        if epoch < self.epoch {
            self.faults.push(format!("{what} is of epoch {epoch}, after {}", self.epoch));
        }
        self.epoch = self.epoch.max(epoch);
    }
}

/// The products that a hint shows.
fn products(hint: &Hint) -> Vec<String> {
    let content: Value = serde_json::from_str(hint.content.as_str()).unwrap_or_default();
    let items = content["items"].as_array().cloned().unwrap_or_default();
    let all = items.iter().chain([&content["product"]]);
    all.filter_map(|item| item["sku"].as_str().map(str::to_owned)).collect()
}
