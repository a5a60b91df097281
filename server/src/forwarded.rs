//! Whom a request comes from, when proxies of ours stand before this service.
//!
//! Each proxy appends the address that it sees to `X-Forwarded-For`. Ours wrote the last entries,
//! one each; what stands before those is the client's own invention.

use std::net::{IpAddr, SocketAddr};

use hyper::header::HeaderMap;

use crate::network::Networks;

/// The header that proxies append to.
const HEADER: &str = "x-forwarded-for";

/// How far `X-Forwarded-For` is believed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Forwarded {
    /// How many proxies of ours a request passes; 0 ignores the header.
    pub depth: usize,
    /// Where the last of them connects from.
    pub trusted: Networks,
}

impl Forwarded {
    /// Whom a request comes from: the entry of the header that the first of our proxies wrote. Where
    /// that one is missing or is no address, the nearest one behind it that a proxy of ours wrote;
    /// the peer itself if there is none, or if it is none of ours.
    pub fn client(&self, peer: SocketAddr, headers: &HeaderMap) -> SocketAddr {
        if self.depth == 0 || !self.trusted.contain(peer.ip()) {
            return peer;
        }
        let lines = headers.get_all(HEADER).iter().rev();
        // A line that is no text ends what can be believed, as a word that is no address does.
        let words = lines.flat_map(|line| line.to_str().unwrap_or("").rsplit(','));
        let believed = words.take(self.depth).map_while(address_of);
        // A port of the client is rarely told, and nothing counts by it.
        believed.last().map_or(peer, |address| SocketAddr::new(address, 0))
    }
}

/// The address of one entry, which may carry a port, and brackets around IPv6.
fn address_of(entry: &str) -> Option<IpAddr> {
    let entry = entry.trim();
    let bare = entry.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(entry);
    let address = bare.parse::<IpAddr>().ok();
    address.or_else(|| entry.parse::<SocketAddr>().ok().map(|with_port| with_port.ip()))
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn networks(list: &str) -> Networks {
        serde_json::from_str(list).unwrap()
    }

    fn client(depth: usize, lines: &[&str]) -> String {
        let forwarded = Forwarded { depth, trusted: networks(r#"["10.0.0.0/8"]"#) };
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(HEADER, HeaderValue::from_bytes(line.as_bytes()).unwrap());
        }
        forwarded.client("10.0.0.9:7".parse().unwrap(), &headers).ip().to_string()
    }

    #[test]
    fn the_entry_of_the_first_proxy_of_ours_counts() {
        assert_eq!(client(0, &["192.0.2.1"]), "10.0.0.9");
        assert_eq!(client(1, &["192.0.2.1"]), "192.0.2.1");
        assert_eq!(client(1, &["6.6.6.6, 192.0.2.1"]), "192.0.2.1");
        assert_eq!(client(2, &["6.6.6.6, 192.0.2.1, 10.0.0.8"]), "192.0.2.1");
        assert_eq!(client(2, &["6.6.6.6,192.0.2.1", "10.0.0.8"]), "192.0.2.1");
    }

    #[test]
    fn too_few_or_malformed_entries_give_the_nearest_that_can_be_believed() {
        assert_eq!(client(1, &[]), "10.0.0.9");
        assert_eq!(client(1, &[""]), "10.0.0.9");
        assert_eq!(client(1, &["unknown"]), "10.0.0.9");
        assert_eq!(client(1, &["192.0.2.1,"]), "10.0.0.9");
        assert_eq!(client(3, &["192.0.2.1, 10.0.0.8"]), "192.0.2.1");
        assert_eq!(client(3, &["6.6.6.6, zz, 10.0.0.8"]), "10.0.0.8");
        assert_eq!(client(2, &["192.0.2.1, \u{e9}"]), "10.0.0.9");
    }

    #[test]
    fn ports_and_brackets_are_taken_off() {
        assert_eq!(client(1, &["192.0.2.1:5001"]), "192.0.2.1");
        assert_eq!(client(1, &["[2001:db8::1]:5001"]), "2001:db8::1");
        assert_eq!(client(1, &["[2001:db8::1]"]), "2001:db8::1");
        assert_eq!(client(1, &["2001:db8::1"]), "2001:db8::1");
    }

    #[test]
    fn a_peer_that_is_no_proxy_of_ours_is_not_believed() {
        let forwarded = Forwarded { depth: 1, trusted: networks(r#"["10.0.0.0/8", "::1"]"#) };
        let headers = HeaderMap::from_iter([(
            HEADER.parse().unwrap(),
            HeaderValue::from_static("192.0.2.1"),
        )]);
        let of = |peer: &str| forwarded.client(peer.parse().unwrap(), &headers).ip().to_string();
        assert_eq!(of("203.0.113.5:1"), "203.0.113.5");
        assert_eq!(of("[::ffff:10.1.2.3]:1"), "192.0.2.1");
        assert_eq!(of("[::1]:1"), "192.0.2.1");
        assert_eq!(of("[::2]:1"), "::2");
    }

    proptest! {
        #[test]
        fn what_a_client_writes_itself_changes_nothing(invented in "[ -~]{0,40}", depth in 1..4_usize) {
            let ours = ["192.0.2.1", "10.0.0.3", "10.0.0.2"][3 - depth.min(3)..].join(", ");
            let plain = client(depth, &[&ours]);
            prop_assert_eq!(&client(depth, &[&format!("{invented}, {ours}")]), &plain);
            prop_assert_eq!(&client(depth, &[&invented, &ours]), &plain);
        }
    }
}
