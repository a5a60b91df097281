//! What is suggested and where, and when products count as in stock.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use clickmill_sdk_core::wire::{Purpose, Slot};
use clickmill_server::config::duration;
use serde::Deserialize;

use super::millis;
use crate::decide::plan::Plan;
use crate::decide::suggest::Rules;
use crate::decide::{learned, visits};
use crate::suggestions::Titles;
use crate::tables::StockRule;

/// What is suggested, and where.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SuggestConfig {
    /// The places on a page that suggestions fill, in the order in which they get the products that
    /// several of them could show.
    pub slots: Vec<Slot>,
    /// Which models fill them, by the sort of page and the slot.
    pub plan: Plan,
    /// How many products a hint shows at the most.
    pub products_max: usize,
    /// How many of one category a hint shows while others fit.
    pub category_max: usize,
    /// How long what was ordered is not suggested; no longer than a visitor is remembered.
    #[serde(with = "duration")]
    pub ordered_rest: Duration,
    /// Categories whose products are used up: they are suggested again at once.
    pub consumables: BTreeSet<String>,
    /// How long a hint holds.
    #[serde(with = "duration")]
    pub lifetime: Duration,
    /// After this long a sight counts half.
    #[serde(with = "duration")]
    pub half_life: Duration,
    /// After this long an order counts half.
    #[serde(with = "duration")]
    pub order_half_life: Duration,
    /// Whether it is also learned from the clicks that other instances enrich.
    pub learn_from_others: bool,
    /// What counts as granted while a visitor has said nothing.
    pub consent_default: Vec<Purpose>,
    /// The headings over products, by model.
    pub titles: Titles,
    /// The same in other languages, by their tags.
    pub languages: BTreeMap<String, Titles>,
}

impl SuggestConfig {
    /// Whether a visitor who has said nothing is told what is made for them.
    pub(crate) fn personalizes_unasked(&self) -> bool {
        self.consent_default.contains(&Purpose::Personalization)
    }

    /// What is suggested where.
    pub(crate) fn rules(&self) -> Rules {
        Rules {
            slots: self.slots.clone(),
            plan: self.plan.clone(),
            products_max: self.products_max,
            category_max: self.category_max,
            ordered_rest_ms: long_millis(self.ordered_rest),
            consumables: self.consumables.clone(),
        }
    }

    /// How much is learned.
    pub(crate) fn learning(&self) -> learned::Limits {
        learned::Limits {
            visits: visits::Limits {
                half_life_ms: long_millis(self.half_life),
                ..visits::Limits::default()
            },
            order_half_life_ms: long_millis(self.order_half_life),
        }
    }
}

impl Default for SuggestConfig {
    fn default() -> Self {
        Self {
            slots: Slot::parse("suggested").into_iter().collect(),
            plan: Plan::default(),
            products_max: 4,
            category_max: 3,
            ordered_rest: Duration::from_secs(30 * 24 * 60 * 60),
            consumables: BTreeSet::new(),
            lifetime: Duration::from_secs(600),
            half_life: Duration::from_millis(visits::Limits::default().half_life_ms),
            order_half_life: Duration::from_secs(30 * 24 * 60 * 60),
            learn_from_others: true,
            consent_default: Vec::new(),
            titles: Titles::default(),
            languages: BTreeMap::new(),
        }
    }
}

/// When products count as in stock, and what is told of it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StockConfig {
    /// Pieces that are never sold by a hint: with as many or fewer a product counts as sold out.
    pub safety: u32,
    /// How long ago a level's source may have been heard; 0 where levels do not age.
    #[serde(with = "duration")]
    pub age_max: Duration,
    /// From so many pieces down who looks at a product is told; 0 tells nobody.
    pub low_at: i64,
    /// The place on a page that tells what is back, or running low.
    pub slot: Slot,
}

impl Default for StockConfig {
    fn default() -> Self {
        // Proof: it is a slot's name, by a test of this file.
        #[allow(clippy::unwrap_used)]
        let slot = Slot::parse("stock").unwrap();
        Self { safety: 0, age_max: Duration::from_secs(300), low_at: 0, slot }
    }
}

impl StockConfig {
    /// When a product may be shown.
    pub fn rule(&self) -> StockRule {
        let age_ms = u64::from(millis(self.age_max));
        StockRule { safety: self.safety.into(), age_ms_max: (age_ms > 0).then_some(age_ms) }
    }
}

/// A duration in milliseconds, where months count.
fn long_millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
