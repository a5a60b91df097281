//! Addresses: what of them names a quota, and what of them is kept.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::config::AddressForm;

/// The form an address is stored in; none where nothing is.
pub(crate) fn kept(address: IpAddr, form: AddressForm) -> Option<String> {
    match (form, address.to_canonical()) {
        (AddressForm::Drop, _) => None,
        (AddressForm::Full, address) => Some(address.to_string()),
        (AddressForm::Truncate, IpAddr::V4(v4)) => Some(cut_v4(v4, 24).to_string()),
        (AddressForm::Truncate, IpAddr::V6(v6)) => Some(cut_v6(v6, 48).to_string()),
    }
}

/// Addresses that count as one: at the narrowest one of IPv4, or the network of 64 bits that one IPv6
/// customer has at the least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Network {
    first: IpAddr,
    /// How often it was widened.
    step: usize,
}

impl Network {
    /// How often a network can be widened; the widest holds all of its family.
    pub(crate) const STEPS: usize = 3;

    /// The bits that addresses have in common, by step.
    const V4_BITS: [u32; Self::STEPS + 1] = [32, 24, 16, 0];
    const V6_BITS: [u32; Self::STEPS + 1] = [64, 48, 32, 0];

    /// The narrowest around an address.
    pub(crate) fn of(address: IpAddr) -> Self {
        Self::at(address.to_canonical(), 0)
    }

    /// The next wider one.
    pub(crate) fn wider(&self) -> Option<Self> {
        self.widened_to(self.step + 1)
    }

    /// The wider one at that step; none if this one is as wide already, or there is no such step.
    pub(crate) fn widened_to(&self, step: usize) -> Option<Self> {
        (self.step < step && step <= Self::STEPS).then(|| Self::at(self.first, step))
    }

    /// Whether it is as narrow as they come.
    pub(crate) fn is_narrowest(&self) -> bool {
        self.step == 0
    }

    fn at(address: IpAddr, step: usize) -> Self {
        let first = match address {
            IpAddr::V4(v4) => cut_v4(v4, Self::V4_BITS[step]).into(),
            IpAddr::V6(v6) => cut_v6(v6, Self::V6_BITS[step]).into(),
        };
        Self { first, step }
    }
}

fn cut_v4(address: Ipv4Addr, bits: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(address.to_bits() & u32::MAX.checked_shl(32 - bits).unwrap_or(0))
}

fn cut_v6(address: Ipv6Addr, bits: u32) -> Ipv6Addr {
    Ipv6Addr::from_bits(address.to_bits() & u128::MAX.checked_shl(128 - bits).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(address: &str, truncated: &str, networks: [&str; 4]) {
        let address: IpAddr = address.parse().unwrap();
        assert_eq!(kept(address, AddressForm::Truncate).as_deref(), Some(truncated));
        assert_eq!(kept(address, AddressForm::Drop), None);
        let all = std::iter::successors(Some(Network::of(address)), Network::wider);
        assert_eq!(all.map(|network| network.first.to_string()).collect::<Vec<_>>(), networks);
    }

    #[test]
    fn an_address_is_cut_to_its_network() {
        let v4 = ["192.0.2.77", "192.0.2.0", "192.0.0.0", "0.0.0.0"];
        check("192.0.2.77", "192.0.2.0", v4);
        check("::ffff:192.0.2.77", "192.0.2.0", v4);
        let v6 = ["2001:db8:1:2::", "2001:db8:1::", "2001:db8::", "::"];
        check("2001:db8:1:2:3:4:5:6", "2001:db8:1::", v6);
    }

    #[test]
    fn a_network_only_ever_gets_wider() {
        let network = Network::of([192, 0, 2, 77].into());
        let wide = network.widened_to(2).unwrap();
        assert_eq!(network.wider().and_then(|wider| wider.wider()), Some(wide));
        assert_eq!(wide.widened_to(2), None);
        assert_eq!(wide.widened_to(4), None);
        assert!(network.is_narrowest() && !wide.is_narrowest());
    }
}
