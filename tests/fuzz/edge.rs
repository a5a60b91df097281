//! What a connection says before HTTP begins, and what proxies say within it.

use std::net::SocketAddr;

use clickmill_server::forwarded::Forwarded;
use clickmill_server::network::Networks;
use clickmill_server::proxy::{self, Progress};
use hyper::header::{HeaderName, HeaderValue};

use crate::{Target, lines};

const PROXY: Target = Target {
    name: "proxy",
    words: &[
        b"PROXY ",
        b"\r\n\r\n\0\r\nQUIT\n",
        b"TCP4",
        b"TCP6",
        b"UNKNOWN",
        b"192.0.2.7",
        b"2001:db8::7",
        b" 65535",
        b" ",
        b"\r\n",
        b"\x21\x11\0\x0c",
        b"\x21\x21\0\x24",
        b"\x20\0\0\0",
    ],
    bytes_max: 4_096,
    packed: false,
};

const FORWARDED: Target = Target {
    name: "forwarded",
    words: &[b", ", b",", b"192.0.2.1", b"[2001:db8::1]:1", b"10.0.0.8", b"unknown", b"\n", b":80"],
    bytes_max: 2_048,
    packed: false,
};

/// The longest header of version 2 that is read, which is the longer one: its fixed part, and a rest
/// of addresses and extensions.
const HEADER_BYTES_MAX: usize = 16 + 1_024;

#[test]
fn a_proxy_header_is_read_in_bounded_steps_and_nothing_behind_it() {
    PROXY.run(|bytes| {
        let mut have = 0;
        loop {
            match proxy::parse(&bytes[..have]) {
                Ok(Progress::More(count)) => {
                    assert!(count > 0, "no step at {have}");
                    // Whatever stands behind a header belongs to the next reader.
                    have += count;
                    assert!(have <= HEADER_BYTES_MAX, "{have} bytes are asked for");
                    if have > bytes.len() {
                        return "more".to_owned();
                    }
                }
                Ok(Progress::Whole(client)) => {
                    assert!(have > 0);
                    let is_v1 = bytes.starts_with(b"PROXY ");
                    assert!(!is_v1 || bytes[..have].ends_with(b"\r\n"));
                    assert!(!is_v1 || !bytes[..have - 2].contains(&b'\n'), "lines are read");
                    return format!("{is_v1} {:?}", client.map(|client| client.is_ipv4()));
                }
                Err(error) => return format!("{error:?} {}", have.min(17)),
            }
        }
    });
}

#[test]
fn what_a_client_writes_before_our_proxies_entries_changes_nothing() {
    let trusted: Networks = serde_json::from_str(r#"["10.0.0.0/8"]"#).expect("a network");
    let peer: SocketAddr = "10.0.0.9:7".parse().expect("an address");
    let stranger: SocketAddr = "203.0.113.5:7".parse().expect("an address");
    FORWARDED.run(|bytes| {
        let name = HeaderName::from_static("x-forwarded-for");
        let Some(headers) = lines::values(&name, bytes) else { return "no header".to_owned() };
        let clients = [0, 1, 2, 3].map(|depth| {
            let forwarded = Forwarded { depth, trusted: trusted.clone() };
            assert_eq!(forwarded.client(stranger, &headers), stranger);
            let client = forwarded.client(peer, &headers);
            // The same with our proxies' entries behind: those alone count.
            let mut behind = headers.clone();
            for entry in &["192.0.2.1", "10.0.0.3", "10.0.0.2"][3 - depth..] {
                let entry = HeaderValue::from_static(entry);
                behind.append(HeaderName::from_static("x-forwarded-for"), entry);
            }
            let ours = ["10.0.0.9", "10.0.0.2", "10.0.0.3", "192.0.2.1"][depth];
            assert_eq!(forwarded.client(peer, &behind).ip().to_string(), ours);
            format!("{} {}", client == peer, client.is_ipv4())
        });
        clients.join(",")
    });
}
