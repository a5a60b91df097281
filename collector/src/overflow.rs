//! Overflow: what one visitor sends beyond what a visitor can is kept, but beside the stream.
//!
//! All events of a visitor lie on one partition and go through one fold, so a single robot that
//! poses as a visitor could hold up everybody who shares them. Past its quota its events go to a
//! topic of their own, without a key: they are durable, they have no order, and no visitor's view is
//! made from them.

use std::hash::{BuildHasher, RandomState};
use std::num::NonZeroU32;

use governor::clock::{Clock, DefaultClock};
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};

use crate::config::LimitsConfig;

/// Visitors share so many quotas, by a hash that nobody outside knows. Two ordinary visitors on one
/// are still far below it, and the memory is bounded whoever comes.
const QUOTAS: u64 = 1 << 16;

type Limiter<C> =
    RateLimiter<u64, DashMapStateStore<u64>, C, NoOpMiddleware<<C as Clock>::Instant>>;

/// What visitors may send in order.
#[derive(Debug)]
pub(crate) struct VisitorQuota<C: Clock = DefaultClock> {
    limiter: Limiter<C>,
    hasher: RandomState,
}

impl VisitorQuota {
    pub(crate) fn new(limits: &LimitsConfig) -> Self {
        let (per_s, burst) = (limits.visitor_events_per_s, limits.visitor_events_burst);
        Self::with_clock(per_s, burst, &DefaultClock::default())
    }

    /// As good as none: for events that are judged outside of a visitor's stream.
    pub(crate) fn boundless() -> Self {
        const PER_S: NonZeroU32 = NonZeroU32::new(1_000_000).unwrap();
        Self::with_clock(PER_S, NonZeroU32::MAX, &DefaultClock::default())
    }

    /// Whether two configurations ask for the same quotas.
    pub(crate) fn is_same(one: &LimitsConfig, other: &LimitsConfig) -> bool {
        one.visitor_events_per_s == other.visitor_events_per_s
            && one.visitor_events_burst == other.visitor_events_burst
    }
}

impl<C: Clock + Clone> VisitorQuota<C> {
    fn with_clock(per_s: NonZeroU32, burst: NonZeroU32, clock: &C) -> Self {
        let quota = Quota::per_second(per_s).allow_burst(burst);
        let limiter = RateLimiter::dashmap_with_clock(quota, clock.clone());
        Self { limiter, hasher: RandomState::new() }
    }

    /// Charges one event of the visitor with that record key; whether it is one too many.
    pub(crate) fn spills(&self, key: &str) -> bool {
        self.limiter.check_key(&self.quota_of(key)).is_err()
    }

    /// Charges that many events of one visitor if none of them is too many; nothing otherwise.
    pub(crate) fn holds(&self, key: &str, events: NonZeroU32) -> bool {
        matches!(self.limiter.check_key_n(&self.quota_of(key), events), Ok(Ok(())))
    }

    fn quota_of(&self, key: &str) -> u64 {
        self.hasher.hash_one(key) % QUOTAS
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use governor::clock::FakeRelativeClock;

    use super::*;

    #[test]
    fn what_is_too_much_for_one_visitor_is_not_for_another() {
        let clock = FakeRelativeClock::default();
        let number = |n| NonZeroU32::new(n).unwrap();
        let quota = VisitorQuota::with_clock(number(1), number(3), &clock);
        let sent = |key: &str| (0..5).filter(|_| quota.spills(key)).count();
        assert_eq!(sent("shop:robot"), 2);
        let others = (0..100).map(|n| sent(&format!("shop:v{n}")));
        // A few may share a quota, by chance.
        assert!(others.filter(|spilled| *spilled == 2).count() > 95);
        clock.advance(Duration::from_secs(2));
        assert_eq!(sent("shop:robot"), 3);
    }

    #[test]
    fn many_are_charged_together_or_not_at_all() {
        let number = |n| NonZeroU32::new(n).unwrap();
        let quota = VisitorQuota::with_clock(number(1), number(3), &FakeRelativeClock::default());
        assert!(!quota.holds("v", number(4)));
        assert!(quota.holds("v", number(2)));
        assert!(!quota.holds("v", number(2)));
        assert!(!quota.spills("v"));
        assert!(quota.spills("v"));
    }

    #[test]
    fn the_number_of_quotas_is_bounded() {
        let (per_s, burst) = (NonZeroU32::MIN, NonZeroU32::MIN);
        let quota = VisitorQuota::with_clock(per_s, burst, &FakeRelativeClock::default());
        for n in 0..200_000 {
            quota.spills(&format!("shop:v{n}"));
        }
        assert!(quota.limiter.len() as u64 <= QUOTAS);
    }
}
