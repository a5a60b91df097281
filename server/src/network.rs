//! Networks of addresses: which are trusted, and which count as one sender.

use std::net::{IpAddr, Ipv6Addr};

use ipnet::IpNet;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

/// Networks, as in `["10.0.0.0/8", "2001:db8::1"]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Networks(Vec<IpNet>);

impl Networks {
    /// Whether the address lies in one of them.
    pub fn contain(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'de> Deserialize<'de> for Networks {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        let network = |text: String| {
            let of_one = || text.parse::<IpAddr>().ok().map(IpNet::from);
            text.parse().ok().or_else(of_one).ok_or_else(|| {
                D::Error::custom("a network is an address, or one with a prefix as in 10.0.0.0/8")
            })
        };
        Vec::<String>::deserialize(source)?
            .into_iter()
            .map(network)
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

/// What of an address counts as one: all of IPv4, and of IPv6 the network of 64 bits that one
/// customer has at the least.
pub fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn networks(list: &str) -> Networks {
        serde_json::from_str(list).unwrap()
    }

    #[test]
    fn a_network_is_written_with_or_without_a_prefix() {
        assert!(networks(r#"["0.0.0.0/0"]"#).contain([9, 9, 9, 9].into()));
        assert!(!networks(r#"["10.1.1.1"]"#).contain([10, 1, 1, 2].into()));
        assert!(networks("[]").is_empty());
        assert!(serde_json::from_str::<Networks>(r#"["10.0.0.0/33"]"#).is_err());
    }

    #[test]
    fn an_ipv6_customer_is_one_sender() {
        let of = |text: &str| network_of(text.parse().unwrap()).to_string();
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(of("::ffff:192.0.2.77"), "192.0.2.77");
        assert_eq!(of("192.0.2.77"), "192.0.2.77");
    }
}
