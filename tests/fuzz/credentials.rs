//! What opens something: tokens, the cookies they come in, and where a stream goes on.

use std::time::Duration;

use clickmill_relay::hints::admit::{PURPOSE, admit};
use clickmill_sdk_core::wire::{HintId, VisitorId};
use clickmill_server::config::Secret;
use clickmill_server::cookie::{self, Reader, SameSite, SetCookie, Transport};
use clickmill_server::token::{Claims, Signer, SigningKey, TOKEN_BYTES_MAX, TokenError};
use clickmill_tests::proof::Backend;
use hyper::Uri;
use hyper::header::{COOKIE, HeaderMap, HeaderName, HeaderValue};
use serde_json::json;

use crate::{Target, lines};

const NOW_MS: u64 = 1_800_000_000_000;

const TOKENS: Target = Target {
    name: "tokens",
    words: &[b"1.k1.", b".k2.", b"demo", b"visitor_1", b"1800000060000", b".", b"=", b"2.", b"-"],
    bytes_max: 700,
    packed: false,
};

const COOKIES: Target = Target {
    name: "cookies",
    words: &[b"cm_id=", b"; cm_id=", b"\"", b"=", b"; ", b";", b"Domain=x", b"__Host-cm_id=a"],
    bytes_max: 2_048,
    packed: false,
};

const PROOFS: Target = Target {
    name: "proofs",
    words: &[
        b"1.k1.",
        b"1.k2.",
        b"1800000300",
        b"1800000000",
        b".",
        b"=",
        b"2.",
        b"-",
        b"\n",
        b"ada",
        b"visitor_1",
    ],
    bytes_max: 400,
    packed: false,
};

const LINKS: Target = Target {
    name: "links",
    words: &[
        br#"{"link":""#,
        br#""visitor":""#,
        br#""proof":""#,
        br#""consent":{"granted":["analytics"]}"#,
        b"1.k1.",
        b".shop.visitor_1.1800000120000.",
        b"\"}",
        b",",
        b"null",
        b"\\u0000",
    ],
    bytes_max: 4_096,
    packed: false,
};

const CURSORS: Target = Target {
    name: "cursors",
    words: &[
        b"last_event_id=",
        b"&token=",
        b"clicks.",
        b"unknown.0.0.0",
        b".",
        b"%2e",
        b"%",
        b"%ff",
    ],
    bytes_max: 512,
    packed: false,
};

fn signer(ids: &[&str]) -> Signer {
    let key = |id: &&str| SigningKey {
        id: (*id).to_owned(),
        secret: Secret::new(format!("{id} 0123456789abcdef")),
    };
    Signer::new(&ids.iter().map(key).collect::<Vec<_>>()).expect("good keys")
}

#[test]
fn a_token_that_is_not_as_it_was_signed_opens_nothing() {
    let (both, alone) = (signer(&["k1", "k2"]), [signer(&["k1"]), signer(&["k2"])]);
    let claims = Claims::new("demo", "visitor_1", NOW_MS + 60_000).expect("plain fields");
    let good = both.sign("hints", &claims);
    assert_eq!(both.verify("hints", &good, NOW_MS), Ok(claims));
    TOKENS.run(|bytes| {
        let Ok(text) = std::str::from_utf8(bytes) else { return "no text".to_owned() };
        // The same damage to a token that is good: at the place that the first byte names.
        let at = bytes.first().map_or(0, |byte| usize::from(*byte) % good.len());
        let damaged =
            format!("{}{text}{}", &good[..at], &good[(at + text.len()).min(good.len())..]);
        [text, &damaged]
            .map(|text| match both.verify("hints", text, NOW_MS) {
                // Who can make a text that opens something other than what we signed has forged it.
                Ok(claims) => {
                    let ours = alone.each_ref().map(|signer| signer.sign("hints", &claims));
                    assert!(ours.iter().any(|ours| ours == text), "{text}");
                    assert!(claims.expires_at_ms() > NOW_MS && text.len() <= TOKEN_BYTES_MAX);
                    assert_eq!(both.verify("identity", text, NOW_MS), Err(TokenError::Forged));
                    "opens".to_owned()
                }
                Err(error) => format!("{error:?} {}", text.matches('.').count().min(8)),
            })
            .join(" | ")
    });
}

#[test]
fn a_proof_that_the_site_did_not_sign_proves_nobody() {
    let key = |id: &str| json!({"id": id, "secret": format!("{id} 0123456789abcdef")});
    let proofs = json!({"keys": [key("k1"), key("k2")], "lifetime_max": "1h"});
    let court = crate::bodies::court(&json!({"sites": [{
        "write_key": "wk", "tenant": "shop", "consent_default": ["analytics"], "proofs": proofs,
    }]}));
    let visitor = VisitorId::parse("visitor_1").expect("plain");
    let backend = Backend { key: "k1", secret: "k1 0123456789abcdef", tenant: "shop" };
    let good = backend.proof_until("ada", &visitor, NOW_MS / 1_000 + 300);
    assert_eq!(court.proves(&good, "ada", "visitor_1"), Some(Ok(())));
    PROOFS.run(|bytes| {
        let Ok(text) = std::str::from_utf8(bytes) else { return "no text".to_owned() };
        let at = bytes.first().map_or(0, |byte| usize::from(*byte) % good.len());
        let damaged =
            format!("{}{text}{}", &good[..at], &good[(at + text.len()).min(good.len())..]);
        let of = |proof: &str, customer: &str, visitor: &str| {
            let told = court.proves(proof, customer, visitor);
            let ours = (proof, customer, visitor) == (good.as_str(), "ada", "visitor_1");
            assert_eq!(told == Some(Ok(())), ours, "{proof} {customer} {visitor}");
            told.map_or("nobody", |told| told.map_or_else(|why| why.as_str(), |()| "proven"))
        };
        [
            of(text, "ada", "visitor_1"),
            of(&damaged, "ada", "visitor_1"),
            of(&good, text, "visitor_1"),
            of(&good, "ada", text),
        ]
        .join(" | ")
    });
}

#[test]
fn a_link_that_the_collector_did_not_sign_brings_nobody_along() {
    let court = crate::bodies::court(&json!({
        "tokens": {"keys": [{"id": "k1", "secret": "k1 0123456789abcdef"}]},
        "sites": [{"write_key": "wk", "tenant": "shop"}],
    }));
    let good = court.lends("visitor_1").expect("a plain visitor");
    let shown = |link: &str| json!({ "link": link }).to_string();
    assert_eq!(court.follows(shown(&good).as_bytes()), Ok(Some("visitor_1".to_owned())));
    LINKS.run(|bytes| {
        // As a whole question, and as damage to a link that is good.
        let at = bytes.first().map_or(0, |byte| usize::from(*byte) % good.len());
        let text = String::from_utf8_lossy(bytes);
        let damaged =
            format!("{}{text}{}", &good[..at], &good[(at + text.len()).min(good.len())..]);
        let of = |question: &[u8]| match court.follows(question) {
            Ok(None) => "asks for one".to_owned(),
            Ok(Some(visitor)) => {
                assert_eq!(visitor, "visitor_1");
                assert!(String::from_utf8_lossy(question).contains(&good), "{question:?}");
                "follows".to_owned()
            }
            Err(why) => why.split([':', '`']).next().unwrap_or_default().to_owned(),
        };
        [of(bytes), of(shown(&damaged).as_bytes())].join(" | ")
    });
}

#[test]
fn cookies_come_back_as_they_were_set_and_nothing_slips_in() {
    COOKIES.run(|bytes| {
        let set = std::str::from_utf8(bytes).ok().and_then(|value| {
            let cookie = SetCookie {
                name: "cm_id",
                value,
                domain: None,
                path: "/",
                max_age: Duration::from_secs(60),
                reader: Reader::Server,
                same_site: SameSite::Lax,
                transport: Transport::Https,
            };
            Some((value, cookie.header().ok()?))
        });
        if let Some((value, header)) = &set {
            let text = header.to_str().expect("a header of our own");
            assert_eq!(text.matches(';').count(), 5, "{text}");
            let (pair, _) = text.split_once(';').expect("attributes");
            let sent =
                HeaderMap::from_iter([(COOKIE, HeaderValue::from_str(pair).expect("plain"))]);
            assert_eq!(cookie::find(&sent, "cm_id"), Some(*value));
        }
        let Some(headers) = lines::values(&COOKIE, bytes) else { return "no header".to_owned() };
        let found = cookie::find(&headers, "cm_id");
        if let Some(value) = found {
            assert!(!value.contains(';') && bytes.windows(6).any(|part| part == b"cm_id="));
        }
        format!("{} {} {}", set.is_some(), found.is_some(), headers.len().min(4))
    });
}

#[test]
fn a_stream_goes_on_from_a_hint_that_can_be_named_or_from_an_unknown_one() {
    let signer = signer(&["k1"]);
    let claims = Claims::new("demo", "visitor_1", NOW_MS + 60_000).expect("plain fields");
    let token = signer.sign(PURPOSE, &claims);
    CURSORS.run(|bytes| {
        let query = String::from_utf8_lossy(bytes);
        let uri = format!("/v1/hints?token={token}&{query}").parse::<Uri>();
        let plain = format!("/v1/hints?token={token}").parse::<Uri>().expect("an address");
        let mut headers = HeaderMap::new();
        if let Ok(value) = HeaderValue::from_bytes(bytes) {
            headers.insert(HeaderName::from_static("last-event-id"), value);
        }
        let none = HeaderMap::new();
        let by_address = uri.as_ref().ok().map(|uri| (uri, &none));
        let all = [by_address, Some((&plain, &headers))].map(|request| {
            let Some(request) = request else { return "no address".to_owned() };
            // The first token counts, and that is ours: nothing behind it opens another stream.
            let admitted = admit(request, &signer, NOW_MS).expect("a good token");
            assert_eq!(admitted.expires_at_ms, NOW_MS + 60_000);
            let Some(cursor) = admitted.cursor else { return "from now".to_owned() };
            assert_eq!(HintId::parse(&cursor.to_string()), Ok(cursor.clone()));
            if cursor.source == "unknown" { "unknown" } else { "named" }.to_owned()
        });
        all.join(" | ")
    });
}
