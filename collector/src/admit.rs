//! Admit: lets a request in by address, write key, origin and encoding before its body is read, and
//! by the number of its events after.

mod addresses;
pub(crate) mod told;

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use clickmill_server::cors;
use governor::clock::{Clock, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{NotUntil, Quota, RateLimiter};
use hyper::header::{CONTENT_ENCODING, HeaderMap};
use hyper::http::request::Parts;

pub(crate) use self::addresses::AddressQuota;
use self::told::KeyQuotaTold;
use crate::dialect::Dialect;
use crate::error::IngestError;
use crate::site::{Site, Sites};

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

type Direct<C> = RateLimiter<NotKeyed, InMemoryState, C, StateInformationMiddleware>;

/// What one write key may send.
#[derive(Debug)]
pub(crate) struct EventQuota<C: Clock = DefaultClock> {
    per_s: NonZeroU32,
    burst: NonZeroU32,
    limiter: Direct<C>,
    clock: C,
    told: KeyQuotaTold,
}

impl EventQuota {
    pub(crate) fn new(per_s: NonZeroU32, burst: NonZeroU32) -> Self {
        Self::with_clock(per_s, burst, DefaultClock::default())
    }
}

impl<C: Clock + Clone> EventQuota<C> {
    fn with_clock(per_s: NonZeroU32, burst: NonZeroU32, clock: C) -> Self {
        let quota = Quota::per_second(per_s).allow_burst(burst);
        let limiter = RateLimiter::direct_with_clock(quota, clock.clone());
        let told = KeyQuotaTold::new(per_s);
        Self { per_s, burst, limiter: limiter.with_middleware(), clock, told }
    }

    /// Whether it is a quota of that size.
    pub(crate) fn is(&self, per_s: NonZeroU32, burst: NonZeroU32) -> bool {
        (self.per_s, self.burst) == (per_s, burst)
    }

    /// Charges the events of one batch, all or none; how many more may be sent now. None is charged,
    /// and nothing told, for a batch of none.
    pub(crate) fn charge(&self, events: usize) -> Result<Option<u32>, IngestError> {
        let Some(count) = u32::try_from(events).ok().and_then(NonZeroU32::new) else {
            return Ok(None);
        };
        let over = |wait| IngestError::KeyOverQuota { per_s: self.per_s.get(), wait };
        match self.limiter.check_n(count) {
            Ok(Ok(state)) => Ok(Some(state.remaining_burst_capacity())),
            Ok(Err(not_until)) => Err(over(wait(&not_until, &self.clock))),
            // The configuration sees to it that a whole batch fits the burst.
            Err(_) => Err(over(Duration::from_secs(1))),
        }
    }

    /// Tells how many events may be sent now.
    pub(crate) fn tell(&self, left: u32, headers: &mut HeaderMap) {
        self.told.tell(left, headers);
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
        assert_eq!(quota.charge(0), Ok(None));
        assert_eq!(quota.charge(15), Ok(Some(5)));
        let IngestError::KeyOverQuota { per_s: 10, wait } = quota.charge(10).unwrap_err() else {
            panic!("another refusal");
        };
        assert_eq!(wait, Duration::from_millis(500));
        assert_eq!(quota.charge(5), Ok(Some(0)));
        clock.advance(Duration::from_secs(1));
        quota.charge(10).unwrap();
        assert!(quota.charge(21).is_err());
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
