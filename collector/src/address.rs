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

/// The address that a quota counts for: one of IPv4, or the network of 64 bits that one IPv6
/// customer has at the least.
pub(crate) fn counted(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => IpAddr::V6(cut_v6(v6, 64)),
    }
}

fn cut_v4(address: Ipv4Addr, bits: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(address.to_bits() & (u32::MAX << (32 - bits)))
}

fn cut_v6(address: Ipv6Addr, bits: u32) -> Ipv6Addr {
    Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << (128 - bits)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(address: &str, truncated: &str, quota: &str) {
        let address: IpAddr = address.parse().unwrap();
        assert_eq!(kept(address, AddressForm::Truncate).as_deref(), Some(truncated));
        assert_eq!(counted(address).to_string(), quota);
        assert_eq!(kept(address, AddressForm::Drop), None);
    }

    #[test]
    fn an_address_is_cut_to_its_network() {
        check("192.0.2.77", "192.0.2.0", "192.0.2.77");
        check("::ffff:192.0.2.77", "192.0.2.0", "192.0.2.77");
        check("2001:db8:1:2:3:4:5:6", "2001:db8:1::", "2001:db8:1:2::");
    }
}
