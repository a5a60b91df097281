//! When a visit ends: one rule for the SDK and the relay.

use super::Millis;

/// The rule that divides a visitor's events into sessions (visits).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionRule {
    /// A visit ends after this long without an event, ms.
    pub idle_ms: u64,
    /// A visit never lasts longer than this, ms.
    pub length_ms_max: u64,
}

impl Default for SessionRule {
    /// Half an hour of rest, as the field counts it; a day at the most.
    fn default() -> Self {
        Self { idle_ms: 30 * 60 * 1000, length_ms_max: 24 * 60 * 60 * 1000 }
    }
}

/// Why a visit ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionEnd {
    /// The visitor came back through another campaign.
    Campaign,
    /// Nothing happened for too long.
    Idle,
    /// It lasted as long as a visit may.
    Length,
}

impl SessionRule {
    /// Whether an event at `now` belongs to the visit that began at `started` and last saw an
    /// event at `last`, or why it begins a new one. `campaigns` are the running visit's and the
    /// event's; an event without marks of a campaign never ends a visit.
    pub fn end<C: PartialEq>(
        &self,
        (started, last): (Millis, Millis),
        now: Millis,
        campaigns: (Option<C>, Option<C>),
    ) -> Option<SessionEnd> {
        if now.since(last) > self.idle_ms {
            return Some(SessionEnd::Idle);
        }
        if now.since(started) > self.length_ms_max {
            return Some(SessionEnd::Length);
        }
        match campaigns {
            (running, new @ Some(_)) if running != new => Some(SessionEnd::Campaign),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Campaign;

    #[test]
    fn a_visit_ends_by_rest_by_length_and_by_campaign() {
        let rule = SessionRule::default();
        let minutes = |m: u64| Millis(m * 60_000);
        let none = (None::<()>, None);
        let ends = |last, now| rule.end((minutes(0), minutes(last)), minutes(now), none);
        assert_eq!(ends(10, 40), None);
        assert_eq!(ends(10, 41), Some(SessionEnd::Idle));
        assert_eq!(ends(1430, 1441), Some(SessionEnd::Length));

        let spring = Campaign { source: Some("spring".into()), ..Campaign::default() };
        let end = |a, b| rule.end((minutes(0), minutes(1)), minutes(2), (a, b));
        assert_eq!(end(None, Some(&spring)), Some(SessionEnd::Campaign));
        assert_eq!(end(Some(&spring), Some(&spring)), None);
        assert_eq!(end(Some(&spring), None), None);
    }

    #[test]
    fn an_event_from_the_past_ends_nothing() {
        let rule = SessionRule::default();
        assert_eq!(rule.end((Millis(100), Millis(200)), Millis(50), (None::<()>, None)), None);
    }
}
