//! The quota of an address. The table of quotas is bounded: when it is full, the addresses of the
//! most crowded networks share one, and everybody else keeps their own.

use std::collections::HashMap;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use governor::clock::{Clock, DefaultClock, Reference};
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::StateStore;
use governor::state::keyed::ShrinkableKeyedStateStore;
use governor::{Quota, RateLimiter};

use crate::address::Network;
use crate::config::LimitsConfig;
use crate::error::IngestError;

/// How often quotas that are full again are looked for, ms.
const SWEEP_EVERY_MS: u64 = 1_000;

/// The share of the table that is freed at once, so that going through all of it is rare.
const FREED_SHARE: usize = 64;

type Limiter<C> = RateLimiter<IpAddr, Table, C, NoOpMiddleware<<C as Clock>::Instant>>;

/// What each address may send.
#[derive(Debug)]
pub(crate) struct AddressQuota<C: Clock = DefaultClock> {
    per_s: NonZeroU32,
    limiter: Limiter<C>,
    /// The one that the limiter uses.
    table: Table,
    clock: C,
    start: C::Instant,
    swept_ms: AtomicU64,
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
        let table = Table::new(limits.addresses_max);
        Self {
            per_s,
            limiter: RateLimiter::new(quota, table.clone(), clock.clone()),
            table,
            start: clock.now(),
            clock,
            swept_ms: AtomicU64::new(0),
        }
    }

    /// Charges one request.
    pub(crate) fn charge(&self, peer: IpAddr) -> Result<(), IngestError> {
        if self.table.is_pressed() {
            self.sweep();
        }
        self.limiter.check_key(&peer).map_err(|not_until| IngestError::AddressOverQuota {
            per_s: self.per_s.get(),
            wait: not_until.wait_time_from(self.clock.now()),
        })
    }

    /// Drops quotas that are full again, at most once in a while: it goes through all of them.
    fn sweep(&self) {
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

/// Who has spent how much. Clones share it.
///
/// One lock holds all: what happens under it is one look into a map, but for the rare sweep.
#[derive(Clone, Debug)]
struct Table {
    spent: Arc<Mutex<Spent>>,
    /// Whether it is full or somebody shares, so that a sweep would help.
    pressed: Arc<AtomicBool>,
}

impl Table {
    fn new(addresses_max: usize) -> Self {
        let spent = Spent {
            networks: HashMap::default(),
            // The two families cannot share one quota.
            max: addresses_max.max(2),
            shared: false,
        };
        Self { spent: Arc::new(Mutex::new(spent)), pressed: Arc::default() }
    }

    fn is_pressed(&self) -> bool {
        self.pressed.load(Ordering::Relaxed)
    }

    /// Numbers are right at every moment, also where somebody panicked.
    fn lock(&self) -> MutexGuard<'_, Spent> {
        self.spent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StateStore for Table {
    type Key = IpAddr;

    fn measure_and_replace<T, F, E>(&self, address: &IpAddr, measure: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let mut spent = self.lock();
        let network = spent.room_for(*address);
        let (let_in, now_spent) = measure(spent.networks.get(&network).copied())?;
        spent.networks.insert(network, now_spent);
        self.pressed.store(spent.is_full() || spent.shared, Ordering::Relaxed);
        Ok(let_in)
    }
}

impl ShrinkableKeyedStateStore<IpAddr> for Table {
    fn retain_recent(&self, drop_below: Nanos) {
        let mut spent = self.lock();
        spent.networks.retain(|_, spent| *spent > drop_below);
        spent.shared = spent.networks.keys().any(|network| !network.is_narrowest());
        self.pressed.store(spent.is_full() || spent.shared, Ordering::Relaxed);
    }

    fn len(&self) -> usize {
        self.lock().networks.len()
    }

    fn is_empty(&self) -> bool {
        self.lock().networks.is_empty()
    }
}

/// By network: the moment at which its quota is full again, as the limiter counts moments.
#[derive(Debug)]
struct Spent {
    networks: HashMap<Network, Nanos, ahash::RandomState>,
    max: usize,
    /// Whether some networks are wider than one address.
    shared: bool,
}

impl Spent {
    fn is_full(&self) -> bool {
        self.networks.len() >= self.max
    }

    /// The network whose quota an address is charged to. There is room for it.
    fn room_for(&mut self, address: IpAddr) -> Network {
        let network = self.network_of(address);
        if !self.is_full() || self.networks.contains_key(&network) {
            return network;
        }
        self.share(network);
        self.network_of(address)
    }

    fn network_of(&self, address: IpAddr) -> Network {
        let narrowest = Network::of(address);
        let wider = std::iter::successors(narrowest.wider(), |network| network.wider());
        // Nothing narrower is in the table once a network shares.
        let sharing = wider.filter(|wide| self.networks.contains_key(wide));
        if self.shared { sharing.last().unwrap_or(narrowest) } else { narrowest }
    }

    /// Lets the most crowded networks share one quota each: it has spent as much as the one of its
    /// addresses that has spent most. The narrowest networks come first, so that a crowd is met as
    /// near as possible. Then there is room for the newcomer, or it is in one of them.
    fn share(&mut self, newcomer: Network) {
        let goal = self.max / FREED_SHARE;
        for steps in 1..=Network::STEPS {
            let wide = |network: &Network| network.widened_to(steps);
            let mut crowds: HashMap<Network, usize, ahash::RandomState> = HashMap::default();
            for wide in self.networks.keys().chain([&newcomer]).filter_map(wide) {
                *crowds.entry(wide).or_default() += 1;
            }
            let mut crowds: Vec<_> = crowds.into_iter().filter(|(_, count)| *count > 1).collect();
            crowds.sort_unstable_by_key(|(_, count)| std::cmp::Reverse(*count));
            let mut freed = 0;
            let mut shared: HashMap<Network, Nanos, ahash::RandomState> = HashMap::default();
            for (network, count) in crowds {
                if freed <= goal {
                    freed += count - 1;
                    shared.insert(network, Nanos::default());
                }
            }
            if shared.is_empty() {
                continue;
            }
            self.networks.retain(|network, spent| {
                let shared = wide(network).and_then(|wide| shared.get_mut(&wide));
                shared.map(|most| *most = (*spent).max(*most)).is_none()
            });
            self.networks.extend(shared);
            self.shared = true;
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use governor::clock::FakeRelativeClock;
    use proptest::prelude::*;

    use super::*;

    const BURST: u32 = 4;

    /// One request a second, and four at once.
    fn quota(addresses_max: usize) -> (AddressQuota<FakeRelativeClock>, FakeRelativeClock) {
        let clock = FakeRelativeClock::default();
        clock.advance(Duration::from_secs(10));
        let number = |number| NonZeroU32::new(number).unwrap();
        let limits = LimitsConfig {
            address_requests_per_s: number(1),
            address_requests_burst: number(BURST),
            addresses_max,
            ..LimitsConfig::default()
        };
        (AddressQuota::with_clock(&limits, clock.clone()), clock)
    }

    fn v4(number: u32) -> IpAddr {
        Ipv4Addr::from_bits(number).into()
    }

    /// An address in the network of 64 bits with that number.
    fn v6(network: u64) -> IpAddr {
        Ipv6Addr::from_bits(u128::from(network) << 64 | 7).into()
    }

    /// How many of so many requests get in.
    fn admitted(
        quota: &AddressQuota<FakeRelativeClock>,
        addresses: impl IntoIterator<Item = IpAddr>,
    ) -> u32 {
        addresses.into_iter().map(|address| u32::from(quota.charge(address).is_ok())).sum()
    }

    #[test]
    fn each_address_has_its_own_quota() {
        let (quota, clock) = quota(100);
        assert_eq!(admitted(&quota, [v4(1); 9]), BURST);
        assert!(matches!(quota.charge(v4(1)), Err(IngestError::AddressOverQuota { .. })));
        assert_eq!(admitted(&quota, [v4(2)]), 1);
        clock.advance(Duration::from_secs(1));
        assert_eq!(admitted(&quota, [v4(1); 9]), 1);
    }

    #[test]
    fn a_crowd_shares_as_near_as_possible_and_parts_once_it_is_quiet() {
        let (quota, clock) = quota(8);
        let crowd = |third: u8| (1..=9).map(move |last| IpAddr::from([192, 0, third, last]));
        assert_eq!(admitted(&quota, crowd(2)), 9, "there was room for eight, and the ninth shares");
        assert_eq!(admitted(&quota, [IpAddr::from([192, 0, 2, 77]); 9]), BURST - 2);
        assert_eq!(admitted(&quota, [IpAddr::from([192, 0, 3, 1]); 9]), BURST, "not a neighbour");

        clock.advance(Duration::from_secs(u64::from(BURST) + 2));
        assert_eq!(admitted(&quota, crowd(2)), 9, "nobody shares any more");
    }

    #[test]
    fn crowds_of_crowds_share_wider_networks() {
        let (quota, _) = quota(8);
        // Networks of 64 bits in 1,000 networks of 48, all in one of 32.
        let all = (0..1_000)
            .flat_map(|site| (0..3).map(move |net| v6(0x2001_0db8 << 32 | site << 16 | net)));
        let let_in = admitted(&quota, all);
        assert!(let_in <= 3 * 8 * BURST, "{let_in}");
        assert_eq!(admitted(&quota, [v6(0x2001_0db9 << 32); 9]), BURST);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn the_table_is_bounded_whoever_comes(
            max in 0..40_usize,
            steps in prop::collection::vec((any::<bool>(), any::<u32>(), 0..3_u32, 0..900_u64), 1..400),
        ) {
            let (quota, clock) = quota(max);
            for (is_v6, number, near, later_ms) in steps {
                // Some near each other, some anywhere.
                let number = number >> (near * 11);
                let address = if is_v6 { v6(u64::from(number) << 16) } else { v4(number) };
                let _ = quota.charge(address);
                clock.advance(Duration::from_millis(later_ms / 10));
                prop_assert!(quota.table.len() <= max.max(2));
            }
        }

        #[test]
        fn a_flood_from_one_network_meets_its_quota_and_hurts_nobody_else(
            max in 64..200_usize,
            is_v6 in any::<bool>(),
            others in 1..16_u32,
            seconds in 1..8_u32,
        ) {
            let (quota, clock) = quota(max);
            let flooding = |number: u32| match is_v6 {
                true => v6(0x2001_0db8_0001_0000 | u64::from(number % 0x1_0000)),
                false => v4(0x0a00_0000 | (number % 256)),
            };
            // Each is alone in its network; they send what an address may, no more.
            let other = |number: u32| match number % 2 {
                0 => v6(u64::from(0x2a00_0000 + number) << 32),
                _ => v4((20 + number) << 24),
            };
            let mut flooded = 0;
            let mut next = 0;
            for _ in 0..seconds {
                for _ in 0..10 {
                    flooded += admitted(&quota, (next..next + 200).map(flooding));
                    next += 200;
                    clock.advance(Duration::from_millis(100));
                }
                for number in 0..others {
                    prop_assert!(quota.charge(other(number)).is_ok(), "{number}");
                }
            }
            // While there was room each had its own; then all of them had one.
            let room = u32::try_from(max).unwrap() * BURST;
            prop_assert!(flooded <= room + BURST + seconds, "{flooded} of {}", next);
            // And from then on it is the quota of one address.
            let mut later = 0;
            for _ in 0..5 {
                later += admitted(&quota, (next..next + 200).map(flooding));
                next += 200;
                clock.advance(Duration::from_secs(1));
            }
            prop_assert!(later <= 6, "{later}");
        }
    }
}
