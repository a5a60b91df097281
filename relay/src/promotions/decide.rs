//! All rules applied to one event: a pure function of the rules, what is known of the visitor, what
//! they were shown before, and the tables.

use std::sync::Arc;

use clickmill_sdk_core::wire::{Millis, Slot, VisitorId};

use super::history::{Enough, History, Showing};
use super::rule::{Picked, Rule};
use super::scene::Scene;
use crate::tables::Shelf;

/// What is decided about.
#[derive(Debug)]
pub struct Case<'a> {
    /// Who.
    pub visitor: &'a VisitorId,
    /// Which of the visitor's visits.
    pub visit: u32,
    /// When.
    pub now: Millis,
    /// Whether the event is one that hints answer.
    pub asks: bool,
    /// The slots that may be filled; none is any.
    pub slots: Option<&'a [Slot]>,
}

/// What became of a rule that applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// It is shown.
    Shown,
    /// It would be, but the visitor is held out.
    HeldOut,
    /// It is shown already.
    Holds,
    /// The slot has one of a higher priority, or one that is shown already.
    Outranked,
    /// The visitor was shown it as often as may be.
    Capped,
    /// Too little time has passed.
    Cooling,
    /// All that may be shown in total were, or are with other relays.
    SpentOut,
    /// Its products cannot be had.
    SoldOut,
    /// Its condition could not be told.
    Failed,
}

impl Outcome {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Shown,
        Self::HeldOut,
        Self::Holds,
        Self::Outranked,
        Self::Capped,
        Self::Cooling,
        Self::SpentOut,
        Self::SoldOut,
        Self::Failed,
    ];

    /// Its name in metrics and reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Shown => "shown",
            Self::HeldOut => "held_out",
            Self::Holds => "holds",
            Self::Outranked => "outranked",
            Self::Capped => "capped",
            Self::Cooling => "cooling",
            Self::SpentOut => "spent_out",
            Self::SoldOut => "sold_out",
            Self::Failed => "failed",
        }
    }
}

/// What became of a rule that applied, and with what.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// The rule.
    pub rule: Arc<Rule>,
    /// What became of it.
    pub outcome: Outcome,
    /// What is noted of it, where it is shown or held out.
    pub showing: Option<Showing>,
    /// The products to show.
    pub picked: Picked,
    /// What the condition looked at, where it is shown.
    pub inputs: Vec<String>,
}

/// Who may show one more of a rule with a cap in total.
pub trait Quota {
    /// Takes one, if there is one.
    fn take(&self, rule: &Rule) -> bool;
}

/// Applies a tenant's rules, in the order of their priority, and notes in the history what comes of
/// it. Rules that do not apply are not told of.
pub fn decide(
    rules: &[Arc<Rule>],
    (case, scene): (&Case<'_>, &mut Scene),
    (history, shelf): (&mut History, &Shelf<'_>),
    quota: &impl Quota,
) -> Vec<Verdict> {
    history.make_room(rules, case.now);
    let mut held = running(rules, history, (case.now, shelf));
    let mut verdicts = Vec::new();
    for rule in rules {
        if !rule.answers(scene.event(), case.asks)
            || case.slots.is_some_and(|slots| !slots.contains(&rule.slot))
            || !rule.schedule.holds(case.now)
        {
            continue;
        }
        scene.clock = rule.schedule.clock(case.now);
        let Some(verdict) = one(rule, (case, scene), (history, shelf), (&held, quota)) else {
            continue;
        };
        if let Some(showing) = &verdict.showing {
            history.note(showing);
            if verdict.outcome == Outcome::Shown {
                held.retain(|other| other.slot != rule.slot);
                held.push(Arc::clone(rule));
            }
        }
        verdicts.push(verdict);
    }
    verdicts
}

/// The promotions that a visitor is shown at a moment: at most one in a slot.
pub fn running(
    rules: &[Arc<Rule>],
    history: &History,
    (now, shelf): (Millis, &Shelf<'_>),
) -> Vec<Arc<Rule>> {
    // The newest comes first: of one slot only that one is shown.
    let mut held: Vec<Arc<Rule>> = Vec::new();
    for mark in history.0.iter().rev().filter(|mark| mark.until > now && !mark.held_out) {
        let Some(rule) = rules.iter().find(|rule| rule.name == mark.rule) else { continue };
        let is_true = rule.schedule.holds(now) && rule.pick(mark.sku.as_ref(), shelf).is_some();
        if is_true && held.iter().all(|other| other.slot != rule.slot) {
            held.push(Arc::clone(rule));
        }
    }
    held
}

fn one(
    rule: &Arc<Rule>,
    (case, scene): (&Case<'_>, &Scene),
    (history, shelf): (&History, &Shelf<'_>),
    (held, quota): (&[Arc<Rule>], &impl Quota),
) -> Option<Verdict> {
    let verdict = |outcome, picked| Verdict {
        rule: Arc::clone(rule),
        outcome,
        showing: None,
        picked,
        inputs: Vec::new(),
    };
    for condition in rule.audience.iter().chain(&rule.when) {
        match condition.holds(scene) {
            Ok(true) => {}
            Ok(false) => return None,
            Err(_) => return Some(verdict(Outcome::Failed, Picked::default())),
        }
    }
    let Some(picked) = rule.pick(scene.sku(), shelf) else {
        return Some(verdict(Outcome::SoldOut, Picked::default()));
    };
    let mark = history.mark(&rule.name).filter(|mark| mark.until > case.now);
    if let Some(mark) = mark.filter(|mark| mark.sku == picked.seen) {
        if mark.held_out {
            // Decided already: it would be shown all the while.
            return None;
        }
        if held.contains(rule) {
            return Some(verdict(Outcome::Holds, picked));
        }
    }
    let outranks = |other: &&Arc<Rule>| {
        other.slot == rule.slot && other.name != rule.name && other.priority >= rule.priority
    };
    if held.iter().any(|other| outranks(&other)) {
        return Some(verdict(Outcome::Outranked, picked));
    }
    match history.allows(rule, case.visit, case.now) {
        Ok(()) => {}
        Err(Enough::Capped) => return Some(verdict(Outcome::Capped, picked)),
        Err(Enough::Cooling) => return Some(verdict(Outcome::Cooling, picked)),
    }
    let held_out = rule.holds_out(case.visitor);
    if !held_out && !quota.take(rule) {
        return Some(verdict(Outcome::SpentOut, picked));
    }
    let showing = Showing {
        rule: rule.name.clone(),
        at: case.now,
        until: rule.end(case.now),
        day: rule.schedule.day_number(case.now),
        visit: case.visit,
        sku: picked.seen.clone(),
        held_out,
    };
    let outcome = if held_out { Outcome::HeldOut } else { Outcome::Shown };
    let inputs = rule.names().into_iter().filter_map(|name| scene.shown(name)).collect();
    Some(Verdict { showing: Some(showing), inputs, ..verdict(outcome, picked) })
}

#[cfg(test)]
mod tests;
