//! What is remembered and recorded of promotions.

use super::json::{ToJson, Writer};
use super::{EventId, Millis, RuleName, Sku, Slot, Tenant, VisitorId};

/// What one visitor was shown of one promotion, held out or not: those who are held out are counted
/// alike, so that both can be compared.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize))]
pub struct PromotionMark {
    /// The rule.
    pub rule: RuleName,
    /// How many times, ever.
    pub times: u32,
    /// The day of the newest: days since 1970 in the rule's time zone.
    pub day: u32,
    /// How many times on that day.
    pub today: u32,
    /// The visit of the newest: its number among the visitor's.
    pub visit: u32,
    /// How many times in that visit.
    pub in_visit: u32,
    /// When the newest was.
    pub at: Millis,
    /// Up to when it holds.
    pub until: Millis,
    /// The product it was about, where it was about the one that was seen.
    #[cfg_attr(feature = "serde", serde(default))]
    pub sku: Option<Sku>,
    /// Whether the visitor was held out: then nothing was shown.
    #[cfg_attr(feature = "serde", serde(default))]
    pub held_out: bool,
}

/// A decision on a promotion, as it is recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize))]
pub struct Promoted {
    /// Whose.
    pub tenant: Tenant,
    /// For whom.
    pub visitor: VisitorId,
    /// The rule.
    pub rule: RuleName,
    /// The rule's version: a hash of its text.
    pub version: String,
    /// The place on the page.
    pub slot: Slot,
    /// Whether the visitor was held out: then nothing was shown.
    pub held_out: bool,
    /// When.
    pub at: Millis,
    /// The event that it answers; none where a server had a page decided.
    #[cfg_attr(feature = "serde", serde(default))]
    pub event: Option<EventId>,
}

impl ToJson for PromotionMark {
    fn write(&self, w: &mut Writer) {
        w.object(|w| {
            w.field("rule", Some(&self.rule));
            w.field("times", Some(&self.times));
            w.field("day", Some(&self.day));
            w.field("today", Some(&self.today));
            w.field("visit", Some(&self.visit));
            w.field("in_visit", Some(&self.in_visit));
            w.field("at", Some(&self.at));
            w.field("until", Some(&self.until));
            w.field("sku", self.sku.as_ref());
            w.field("held_out", self.held_out.then_some(&true));
        });
    }
}

impl ToJson for Promoted {
    fn write(&self, w: &mut Writer) {
        w.object(|w| {
            w.field("tenant", Some(&self.tenant));
            w.field("visitor", Some(&self.visitor));
            w.field("rule", Some(&self.rule));
            w.text_field("version", &self.version);
            w.field("slot", Some(&self.slot));
            w.field("held_out", Some(&self.held_out));
            w.field("at", Some(&self.at));
            w.field("event", self.event.as_ref());
        });
    }
}

/// What one relay has of a promotion whose showings are capped in total, and how many it asks for.
/// What it gets follows from the records before: all readers come to the same answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize))]
pub struct Lease {
    /// The cap, as the relay knows it.
    pub of: u64,
    /// How many it had got in all when it wrote this.
    pub granted: u64,
    /// How many of them it has given back.
    pub returned: u64,
    /// How many more it asks for.
    pub asks: u64,
    /// Which of the relay's records of the rule it is, from 1.
    pub number: u64,
}

impl ToJson for Lease {
    fn write(&self, w: &mut Writer) {
        w.object(|w| {
            w.number_field("of", self.of);
            w.number_field("granted", self.granted);
            w.number_field("returned", self.returned);
            w.number_field("asks", self.asks);
            w.number_field("number", self.number);
        });
    }
}
