//! The crowd: how many connections each address has, and the bound of it.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::network::network_of;

/// Counts connections by address. It holds no more entries than there are connections.
#[derive(Debug)]
pub(super) struct Crowd {
    each_max: NonZeroUsize,
    counts: Mutex<HashMap<IpAddr, usize>>,
}

/// The place of one connection; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    crowd: Arc<Crowd>,
    address: IpAddr,
}

impl Crowd {
    pub(super) fn new(each_max: NonZeroUsize) -> Arc<Self> {
        Arc::new(Self { each_max, counts: Mutex::default() })
    }

    /// A place for one more connection of that address, if it may have one.
    pub(super) fn enter(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let address = network_of(address);
        let mut counts = self.counts();
        let count = counts.entry(address).or_default();
        if *count >= self.each_max.get() {
            return None;
        }
        *count += 1;
        Some(Place { crowd: Arc::clone(self), address })
    }

    /// Numbers are whole after any panic.
    fn counts(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Entry::Occupied(mut entry) = self.crowd.counts().entry(self.address) {
            *entry.get_mut() -= 1;
            if *entry.get() == 0 {
                entry.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_gets_its_places_back_and_leaves_nothing_behind() {
        let crowd = Crowd::new(NonZeroUsize::new(2).unwrap());
        let enter = |text: &str| crowd.enter(text.parse().unwrap());
        let (first, second) = (enter("192.0.2.1"), enter("192.0.2.1"));
        assert!(first.is_some() && second.is_some());
        assert!(enter("192.0.2.1").is_none());
        assert!(enter("192.0.2.2").is_some());
        drop(first);
        assert!(enter("192.0.2.1").is_some());
        drop(second);
        assert!(crowd.counts().is_empty());
    }

    #[test]
    fn an_ipv6_network_is_one_address() {
        let crowd = Crowd::new(NonZeroUsize::MIN);
        let first = crowd.enter("2001:db8:1:2::3".parse().unwrap());
        assert!(first.is_some());
        assert!(crowd.enter("2001:db8:1:2:9::9".parse().unwrap()).is_none());
        assert!(crowd.enter("2001:db8:1:3::3".parse().unwrap()).is_some());
    }
}
