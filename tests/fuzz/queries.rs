//! What servers ask a relay, and what relays show and tell each other.

use clickmill_relay::ask::{Place, Query, Told, VISITORS_MAX, written};
use clickmill_relay::peers::pass;
use clickmill_sdk_core::wire::{Tenant, VisitorId};
use clickmill_server::config::Secret;
use clickmill_server::token::{Signer, SigningKey};
use hyper::header::{HeaderMap, HeaderValue};

use crate::Target;

const NOW_MS: u64 = 1_800_000_000_000;

const QUERIES: Target = Target {
    name: "queries",
    words: &[
        br#"{"visitors":["#,
        br#""v1","#,
        br#"]}"#,
        br#","after":["1.7"]"#,
        br#""tenant":"shop","#,
        br#""status":200,"#,
        br#""answer":{}"#,
        br#""\ud800""#,
        b"18446744073709551616",
        b"4294967296.0",
        b".",
        b"null",
        b"[",
    ],
    bytes_max: 16_384,
    packed: false,
};

#[test]
fn a_list_is_a_bounded_question_and_means_the_same_one_hop_on() {
    let shop = Tenant::parse("shop").expect("a name");
    QUERIES.run(|bytes| {
        let servers = Query::of_tenant(shop.clone(), bytes);
        let relays = Query::read(bytes);
        // Who may name a tenant is a relay; a server's key names it.
        assert!(servers.is_err() || relays.is_err());
        if let Ok(query) = &servers {
            assert_eq!(query.tenant, shop);
        }
        for query in [&servers, &relays].into_iter().flatten() {
            assert!((1..=VISITORS_MAX).contains(&query.visitors.len()));
            assert!(query.after.len() <= VISITORS_MAX);
            assert_eq!(Query::read(&query.written()).as_ref(), Ok(query));
        }
        if let Some(place) = std::str::from_utf8(bytes).ok().and_then(Place::parse) {
            let text = format!("{}.{}", place.partition, place.offset);
            assert_eq!(Place::parse(&text), Some(place));
        }
        let visitors = ["a", "b"].map(|id| VisitorId::parse(id).expect("an id"));
        let told = Told::read_all(bytes, visitors.len());
        if let Some(told) = &told {
            let again = written(&visitors, told);
            assert_eq!(Told::read_all(again.as_bytes(), visitors.len()).as_ref(), Some(told));
        }
        format!("{} {} {}", servers.is_ok(), relays.is_ok(), told.is_some())
    });
}

const PASSES: Target = Target {
    name: "passes",
    words: &[b"1.k1.relay.", b".1800000010000.", b"0f", b".", b"=", b"2.", b"-", b"k2"],
    bytes_max: 700,
    packed: false,
};

#[test]
fn a_pass_that_is_not_as_it_was_signed_is_none() {
    let key = SigningKey { id: "k1".to_owned(), secret: Secret::new("0123456789abcdef") };
    let signer = Signer::new(&[key]).expect("a good key");
    let errand = ("10.0.0.1:8083", "/peers/v1/visitors", &b"{}"[..]);
    let good = pass::sign(&signer, errand, NOW_MS);
    PASSES.run(|bytes| {
        let text = String::from_utf8_lossy(bytes);
        // The same damage to a pass that is good: at the place that the first byte names.
        let at = bytes.first().map_or(0, |byte| usize::from(*byte) % good.len());
        let damaged =
            format!("{}{text}{}", &good[..at], &good[(at + text.len()).min(good.len())..]);
        let seen = [text.as_bytes(), damaged.as_bytes()].map(|shown| {
            let Ok(value) = HeaderValue::from_bytes(shown) else { return "no header" };
            let headers = HeaderMap::from_iter([(pass::HEADER, value)]);
            match pass::read(&signer, &headers, NOW_MS) {
                Ok(pass) => {
                    assert_eq!(shown, good.as_bytes());
                    assert!(pass.is_for(errand));
                    "good"
                }
                Err(_) => "none",
            }
        });
        format!("{seen:?} {}", text.matches('.').count().min(8))
    });
}
