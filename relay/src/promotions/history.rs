//! What a visitor was shown of promotions: the marks in its state, and what follows from them.

use std::sync::Arc;

use clickmill_sdk_core::wire::{Millis, PromotionMark, RuleName, Sku};

use super::rule::Rule;

/// Rules of which a visitor's marks are kept. Beyond it some are forgotten, and may be shown again:
/// first of rules that are gone, then of those that count nothing for longer than
/// [`FORGOTTEN_AFTER_MS`], at last those that were shown longest ago.
pub const MARKS_MAX: usize = 64;

/// Marks that one event may add without forgetting any that counts.
const ROOM: usize = 8;

/// Caps of a day and of a visit are over by then, ms.
const FORGOTTEN_AFTER_MS: u64 = 2 * 24 * 3_600_000;

/// What a visitor was shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History(pub Vec<PromotionMark>);

/// A promotion that is shown, or that a visitor is held out of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Showing {
    /// The rule.
    pub rule: RuleName,
    /// When.
    pub at: Millis,
    /// Up to when it holds.
    pub until: Millis,
    /// The day: days since 1970 in the rule's time zone.
    pub day: u32,
    /// The visit.
    pub visit: u32,
    /// The product it is about, where it is about the one that was seen.
    pub sku: Option<Sku>,
    /// Whether the visitor is held out.
    pub held_out: bool,
}

/// Why a rule that applies is not shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enough {
    /// The visitor was shown it as often as may be.
    Capped,
    /// Too little time has passed since it or another one was shown.
    Cooling,
}

impl History {
    /// What is remembered of a rule.
    pub fn mark(&self, rule: &RuleName) -> Option<&PromotionMark> {
        self.0.iter().find(|mark| mark.rule == *rule)
    }

    /// Whether a rule may be shown once more, in a visit at a moment.
    ///
    /// # Errors
    /// Why not.
    pub fn allows(&self, rule: &Rule, visit: u32, now: Millis) -> Result<(), Enough> {
        let shown = self.0.iter().filter(|mark| !mark.held_out).map(|mark| mark.at).max();
        if shown.is_some_and(|at| now.since(at) < rule.cool_down_any_ms) {
            return Err(Enough::Cooling);
        }
        let Some(mark) = self.mark(&rule.name) else { return Ok(()) };
        let day = rule.schedule.day_number(now);
        let counts = [
            (rule.caps.ever, mark.times),
            (rule.caps.day, if mark.day == day { mark.today } else { 0 }),
            (rule.caps.visit, if mark.visit == visit { mark.in_visit } else { 0 }),
        ];
        if counts.into_iter().any(|(cap, count)| cap.is_some_and(|cap| count >= cap)) {
            return Err(Enough::Capped);
        }
        if now.since(mark.at) < rule.cool_down_ms {
            return Err(Enough::Cooling);
        }
        Ok(())
    }

    /// Ends what is shown: nothing of it holds any longer, but it was shown as often as it was.
    pub fn end(&mut self, now: Millis) {
        for mark in &mut self.0 {
            mark.until = mark.until.min(now);
        }
    }

    /// Forgets what counts for nothing any more, once nearly as many marks are there as are kept.
    pub fn make_room(&mut self, rules: &[Arc<Rule>], now: Millis) {
        if self.0.len() <= MARKS_MAX - ROOM {
            return;
        }
        let find = |mark: &PromotionMark| rules.iter().find(|rule| rule.name == mark.rule);
        let is_gone = |mark: &PromotionMark| find(mark).is_none();
        let is_over = |mark: &PromotionMark| {
            let is_old = mark.until <= now && now.since(mark.at) >= FORGOTTEN_AFTER_MS;
            is_old && find(mark).is_some_and(|rule| !rule.counts_for_longer(FORGOTTEN_AFTER_MS))
        };
        while self.0.len() > MARKS_MAX - ROOM {
            let of_no_use = self.0.iter().position(is_gone);
            let Some(at) = of_no_use.or_else(|| self.0.iter().position(is_over)) else { break };
            self.0.remove(at);
        }
    }

    /// Takes note of a showing. One that was noted before, or is older than what was, changes nothing.
    pub fn note(&mut self, showing: &Showing) -> bool {
        let Showing { rule, at, until, day, visit, sku, held_out } = showing;
        let earlier = self.0.iter().position(|mark| mark.rule == *rule);
        let (mut times, mut today, mut in_visit) = (0_u32, 0_u32, 0_u32);
        if let Some(place) = earlier {
            let mark = &self.0[place];
            if mark.at >= *at {
                return false;
            }
            times = mark.times;
            today = if mark.day == *day { mark.today } else { 0 };
            in_visit = if mark.visit == *visit { mark.in_visit } else { 0 };
            self.0.remove(place);
        } else if self.0.len() >= MARKS_MAX {
            // The newest comes last.
            self.0.remove(0);
        }
        self.0.push(PromotionMark {
            rule: rule.clone(),
            times: times.saturating_add(1),
            day: *day,
            today: today.saturating_add(1),
            visit: *visit,
            in_visit: in_visit.saturating_add(1),
            at: *at,
            until: *until,
            sku: sku.clone(),
            held_out: *held_out,
        });
        true
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::promotions::rule::tests::rule;

    const DAY_MS: u64 = 24 * 3_600_000;

    fn showing(rule: &Rule, (at, visit): (u64, u32)) -> Showing {
        let at = Millis(at);
        Showing {
            rule: rule.name.clone(),
            at,
            until: at + 1,
            day: rule.schedule.day_number(at),
            visit,
            sku: None,
            held_out: false,
        }
    }

    proptest! {
        /// Against counting all that was shown.
        #[test]
        fn no_cap_is_exceeded_and_none_holds_back_more(
            steps in prop::collection::vec((1..DAY_MS / 3, prop::bool::ANY), 1..60),
            (per_visit, per_day, ever) in (1..4_u32, 1..5_u32, 1..20_u32),
            cool_ms in 0..DAY_MS / 2,
        ) {
            let rule = rule("r", json!({
                "caps": {"visit": per_visit, "day": per_day, "ever": ever},
                "cool_down": {"rule": format!("{cool_ms}ms")},
            }));
            let (mut history, mut all) = (History::default(), Vec::<(u64, u32)>::new());
            let (mut now, mut visit) = (DAY_MS * 20_000, 1);
            for (later, is_next) in steps {
                now += later;
                visit += u32::from(is_next);
                let in_visit = all.iter().filter(|(_, of)| *of == visit).count();
                let today = all.iter().filter(|(at, _)| at / DAY_MS == now / DAY_MS).count();
                let is_cool = all.last().is_none_or(|(at, _)| now - at >= cool_ms);
                let may = in_visit < per_visit as usize
                    && today < per_day as usize
                    && all.len() < ever as usize
                    && is_cool;
                prop_assert_eq!(history.allows(&rule, visit, Millis(now)).is_ok(), may);
                if may {
                    prop_assert!(history.note(&showing(&rule, (now, visit))));
                    // Told again it counts once.
                    prop_assert!(!history.note(&showing(&rule, (now, visit))));
                    all.push((now, visit));
                }
            }
        }
    }

    #[test]
    fn after_any_promotion_another_one_waits_unless_it_was_held_out() {
        let (first, second) =
            (rule("a", json!({})), rule("b", json!({"cool_down": {"any": "1s"}})));
        let mut history = History::default();
        history.note(&Showing { held_out: true, ..showing(&first, (5_000, 1)) });
        assert_eq!(history.allows(&second, 1, Millis(5_500)), Ok(()));
        history.note(&showing(&first, (6_000, 1)));
        assert_eq!(history.allows(&second, 1, Millis(6_999)), Err(Enough::Cooling));
        assert_eq!(history.allows(&second, 1, Millis(7_000)), Ok(()));
    }

    #[test]
    fn marks_are_bounded_and_the_oldest_goes_first() {
        let mut history = History::default();
        for n in 0..=MARKS_MAX as u64 {
            history.note(&showing(&rule(&format!("r{n}"), json!({})), (n + 1, 1)));
        }
        assert_eq!(history.0.len(), MARKS_MAX);
        assert!(history.mark(&RuleName::parse("r0").unwrap()).is_none());
    }

    #[test]
    fn what_is_counted_for_ever_is_forgotten_last() {
        let make = |n: usize| {
            let name = format!("r{n}");
            Arc::new(match n % 3 {
                0 => rule(&name, json!({"caps": {"ever": 1}})),
                1 => rule(&name, json!({"holdout": {"percent": 100}})),
                _ => rule(&name, json!({"caps": {"day": 1}})),
            })
        };
        let all: Vec<Arc<Rule>> = (0..MARKS_MAX).map(make).collect();
        let mut history = History::default();
        for (n, rule) in all.iter().enumerate() {
            history.note(&showing(rule, (n as u64 + 1, 1)));
        }
        let gone = all[1].name.clone();
        let rules: Vec<Arc<Rule>> = all.iter().filter(|rule| rule.name != gone).cloned().collect();
        // Too soon for those of a day, but not for a rule that is gone.
        history.make_room(&rules, Millis(FORGOTTEN_AFTER_MS));
        assert_eq!((history.0.len(), history.mark(&gone)), (MARKS_MAX - 1, None));
        history.make_room(&rules, Millis(FORGOTTEN_AFTER_MS + 1_000));
        assert_eq!(history.0.len(), MARKS_MAX - ROOM);
        let kept = |of: usize| {
            let rules = rules.iter().filter(|rule| number_of(rule) % 3 == of);
            rules.filter(|rule| history.mark(&rule.name).is_some()).count()
        };
        assert_eq!((kept(0), kept(1)), (22, 20), "none that counts for ever");
    }

    fn number_of(rule: &Rule) -> usize {
        rule.name.as_str()[1..].parse().unwrap()
    }
}
