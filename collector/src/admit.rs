//! Admit: lets a request in by address, write key, origin and encoding before its body is read, and
//! by the number of its events after.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use clickmill_server::cors;
use governor::clock::{Clock, DefaultClock};
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::DashMapStateStore;
use governor::state::{InMemoryState, NotKeyed};
use governor::{NotUntil, Quota, RateLimiter};
use hyper::header::CONTENT_ENCODING;
use hyper::http::request::Parts;

use crate::address;
use crate::config::LimitsConfig;
use crate::dialect::Dialect;
use crate::error::IngestError;
use crate::site::{Site, Sites};

/// Common quotas for addresses that find no room of their own.
const SHARED_QUOTAS: u64 = 64;

/// How often quotas that are full again are looked for, ms.
const SWEEP_EVERY_MS: u64 = 1_000;

/// Lets a request in before its body is read, or says why not. No site is known yet where its key
/// may be in the body.
pub(crate) fn admit(
    head: &Parts,
    dialect: Dialect,
    peer: IpAddr,
    sites: &Sites,
    addresses: &AddressQuota,
) -> Result<Option<Arc<Site>>, IngestError> {
    addresses.charge(peer)?;
    let key = dialect.key(head)?;
    let site = key.map(|key| find_site(head, &key, sites)).transpose()?;
    check_encoding(head)?;
    Ok(site)
}

/// The site of that key, if the page's origin may use it. A request without an origin comes from a
/// server.
pub(crate) fn find_site(head: &Parts, key: &str, sites: &Sites) -> Result<Arc<Site>, IngestError> {
    let site = sites.find(key).ok_or(IngestError::UnknownWriteKey)?;
    match cors::origin(&head.headers) {
        Some(origin) if !site.origins.allow(origin) => Err(IngestError::OriginNotAllowed),
        Some(_) | None => Ok(Arc::clone(site)),
    }
}

/// Whether the body is gzip shows in its first bytes; a header that promises anything else than
/// gzip or nothing is refused before the body is read.
fn check_encoding(head: &Parts) -> Result<(), IngestError> {
    let known = |name: &str| {
        ["gzip", "x-gzip", "identity"].iter().any(|known| name.trim().eq_ignore_ascii_case(known))
    };
    match head.headers.get(CONTENT_ENCODING).map(|value| value.to_str()) {
        None => Ok(()),
        Some(Ok(names)) if known(names) => Ok(()),
        Some(Ok(_) | Err(_)) => Err(IngestError::Encoding),
    }
}

type Direct<C> = RateLimiter<NotKeyed, InMemoryState, C, NoOpMiddleware<<C as Clock>::Instant>>;
type Keyed<C> =
    RateLimiter<Slot, DashMapStateStore<Slot>, C, NoOpMiddleware<<C as Clock>::Instant>>;

/// What one write key may send.
#[derive(Debug)]
pub(crate) struct EventQuota<C: Clock = DefaultClock> {
    per_s: NonZeroU32,
    burst: NonZeroU32,
    limiter: Direct<C>,
    clock: C,
}

impl EventQuota {
    pub(crate) fn new(per_s: NonZeroU32, burst: NonZeroU32) -> Self {
        Self::with_clock(per_s, burst, DefaultClock::default())
    }
}

impl<C: Clock + Clone> EventQuota<C> {
    fn with_clock(per_s: NonZeroU32, burst: NonZeroU32, clock: C) -> Self {
        let quota = Quota::per_second(per_s).allow_burst(burst);
        Self { per_s, burst, limiter: RateLimiter::direct_with_clock(quota, clock.clone()), clock }
    }

    /// Whether it is a quota of that size.
    pub(crate) fn is(&self, per_s: NonZeroU32, burst: NonZeroU32) -> bool {
        (self.per_s, self.burst) == (per_s, burst)
    }

    /// Charges the events of one batch, all or none.
    pub(crate) fn charge(&self, events: usize) -> Result<(), IngestError> {
        let Some(count) = u32::try_from(events).ok().and_then(NonZeroU32::new) else {
            return Ok(());
        };
        let over = |wait| IngestError::KeyOverQuota { per_s: self.per_s.get(), wait };
        match self.limiter.check_n(count) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(not_until)) => Err(over(wait(&not_until, &self.clock))),
            // The configuration sees to it that a whole batch fits the burst.
            Err(_) => Err(over(Duration::from_secs(1))),
        }
    }
}

/// What each address may send.
#[derive(Debug)]
pub(crate) struct AddressQuota<C: Clock = DefaultClock> {
    per_s: NonZeroU32,
    addresses_max: usize,
    limiter: Keyed<C>,
    clock: C,
    start: C::Instant,
    swept_ms: AtomicU64,
    hasher: RandomState,
}

/// Whose quota it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Slot {
    /// Of one address.
    Own(IpAddr),
    /// Of those that found no room.
    Shared(u64),
}

impl AddressQuota {
    /// Whether both limits come to the same quotas.
    pub(crate) fn is_same(one: &LimitsConfig, other: &LimitsConfig) -> bool {
        let of = |limits: &LimitsConfig| {
            let per_s = limits.address_requests_per_s;
            (per_s, limits.address_requests_burst, limits.addresses_max)
        };
        of(one) == of(other)
    }

    pub(crate) fn new(limits: &LimitsConfig) -> Self {
        Self::with_clock(limits, DefaultClock::default())
    }
}

impl<C: Clock + Clone> AddressQuota<C> {
    fn with_clock(limits: &LimitsConfig, clock: C) -> Self {
        let per_s = limits.address_requests_per_s;
        let quota = Quota::per_second(per_s).allow_burst(limits.address_requests_burst);
        Self {
            per_s,
            addresses_max: limits.addresses_max,
            limiter: RateLimiter::dashmap_with_clock(quota, clock.clone()),
            start: clock.now(),
            clock,
            swept_ms: AtomicU64::new(0),
            hasher: RandomState::new(),
        }
    }

    /// Charges one request.
    pub(crate) fn charge(&self, peer: IpAddr) -> Result<(), IngestError> {
        let slot = self.slot(address::counted(peer));
        self.limiter.check_key(&slot).map_err(|not_until| IngestError::AddressOverQuota {
            per_s: self.per_s.get(),
            wait: wait(&not_until, &self.clock),
        })
    }

    /// The quota of an address: its own while there is room. When the table is full of addresses
    /// that were all active a moment ago, every address shares: an attacker who has that many could
    /// not be held by quotas of their own.
    fn slot(&self, address: IpAddr) -> Slot {
        if self.limiter.len() >= self.addresses_max {
            self.sweep();
            if self.limiter.len() >= self.addresses_max {
                return Slot::Shared(self.hasher.hash_one(address) % SHARED_QUOTAS);
            }
        }
        Slot::Own(address)
    }

    /// Drops quotas that are full again, at most once in a while: it goes through all of them.
    fn sweep(&self) {
        use governor::clock::Reference;
        let since_start: Duration = self.clock.now().duration_since(self.start).into();
        let now_ms = u64::try_from(since_start.as_millis()).unwrap_or(u64::MAX);
        let swept_ms = self.swept_ms.load(Ordering::Relaxed);
        let due = now_ms.saturating_sub(swept_ms) >= SWEEP_EVERY_MS;
        let ours = due
            && self
                .swept_ms
                .compare_exchange(swept_ms, now_ms, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok();
        if ours {
            self.limiter.retain_recent();
        }
    }
}

fn wait<C: Clock>(not_until: &NotUntil<C::Instant>, clock: &C) -> Duration {
    not_until.wait_time_from(clock.now())
}

#[cfg(test)]
mod tests {
    use governor::clock::FakeRelativeClock;
    use hyper::Request;

    use super::*;

    fn number(number: u32) -> NonZeroU32 {
        NonZeroU32::new(number).unwrap()
    }

    #[test]
    fn a_batch_is_charged_whole_or_not_at_all() {
        let clock = FakeRelativeClock::default();
        let quota = EventQuota::with_clock(number(10), number(20), clock.clone());
        quota.charge(0).unwrap();
        quota.charge(15).unwrap();
        let IngestError::KeyOverQuota { per_s: 10, wait } = quota.charge(10).unwrap_err() else {
            panic!("another refusal");
        };
        assert_eq!(wait, Duration::from_millis(500));
        quota.charge(5).unwrap();
        clock.advance(Duration::from_secs(1));
        quota.charge(10).unwrap();
        assert!(quota.charge(21).is_err());
    }

    fn addresses(max: usize) -> (AddressQuota<FakeRelativeClock>, FakeRelativeClock) {
        let clock = FakeRelativeClock::default();
        clock.advance(Duration::from_secs(10));
        let limits = LimitsConfig {
            address_requests_per_s: number(1),
            address_requests_burst: number(2),
            addresses_max: max,
            ..LimitsConfig::default()
        };
        (AddressQuota::with_clock(&limits, clock.clone()), clock)
    }

    fn v4(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    #[test]
    fn each_address_has_its_own_quota() {
        let (quota, clock) = addresses(100);
        quota.charge(v4(1)).unwrap();
        quota.charge(v4(1)).unwrap();
        assert!(matches!(quota.charge(v4(1)), Err(IngestError::AddressOverQuota { .. })));
        quota.charge(v4(2)).unwrap();
        clock.advance(Duration::from_secs(1));
        quota.charge(v4(1)).unwrap();
    }

    #[test]
    fn the_table_of_addresses_is_bounded() {
        let (quota, clock) = addresses(3);
        let bound = 3 + usize::try_from(SHARED_QUOTAS).unwrap();
        for round in 0..10_u8 {
            for last in 0..=255_u8 {
                let _ = quota.charge(v4(last.wrapping_mul(round)));
                assert!(quota.limiter.len() <= bound);
            }
        }
        // Once they have been quiet, there is room again.
        clock.advance(Duration::from_secs(30));
        assert_eq!(quota.slot(v4(1)), Slot::Own(v4(1)));
    }

    fn encoding(value: &str) -> Result<(), IngestError> {
        let request = Request::builder().header(CONTENT_ENCODING, value).body(()).unwrap();
        check_encoding(&request.into_parts().0)
    }

    #[test]
    fn only_gzip_is_read() {
        for good in ["gzip", " GZIP", "identity", "x-gzip"] {
            assert_eq!(encoding(good), Ok(()), "{good}");
        }
        for bad in ["br", "deflate", "gzip, br", "zstd", ""] {
            assert_eq!(encoding(bad), Err(IngestError::Encoding), "{bad}");
        }
        check_encoding(&Request::new(()).into_parts().0).unwrap();
    }
}
